"""The notebooks' exercises: what each expects, and a check that prints yours beside it and never raises."""

from __future__ import annotations

import json
import math
import re
import shutil
import struct
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop import guards, looking, lora, models, profiles, prompts, units
from workshop.training import dataset
from workshop.training.flags import make_parser
from workshop.units import GB, GIB

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import ModelConfig, QwenImagePipeline
    from PIL import Image

SHORT = 20  # tokens
NEEDED = ("man", "suit", "gray", "red", "flowers", "table")
ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff"  # characters that take no room on the screen


@dataclass(frozen=True)
class Verdict:
    """Yours beside what was expected, and a hint for those who are not there yet."""

    solved: bool
    yours: str
    expected: str
    hint: str = ""

    def __str__(self) -> str:
        mark = "✓ solved" if self.solved else "✗ not yet"
        lines = [mark, f"  yours:    {self.yours}", f"  expected: {self.expected}"]
        return "\n".join([*lines, *([f"  hint:     {self.hint}"] if self.hint and not self.solved else [])])


Judge = Callable[..., Verdict]
JUDGES: dict[str, Judge] = {}


def exercise(name: str) -> Callable[[Judge], Judge]:
    """Enter a judge under the exercise's name."""

    def enter(judge: Judge) -> Judge:
        JUDGES[name] = judge
        return judge

    return enter


def check(name: str, answer: object, *context: object) -> None:
    """Print yours, expected and whether they agree. What is wrong with an answer is printed, never raised.

    context: what the exercise's judge needs beside the answer, as the pipeline

    Raises ValueError for a name that is no exercise.
    """
    if name not in JUDGES:
        raise ValueError(f"There is no exercise named {name!r}. These are: {', '.join(JUDGES)}.")
    try:
        verdict = JUDGES[name](answer, *context)
    except Exception as error:  # a student's function may fail in any way, and the next cell must still run
        what = f"{type(error).__name__}: {error}"
        verdict = Verdict(False, f"an error, {what}", "an answer that can be judged")
    print(f"{name}: {verdict}")


@exercise("fill the card")
def _fill_the_card(chosen: Sequence[str], card: int) -> Verdict:
    def fits(names: Sequence[str]) -> bool:
        return models.pipeline_bytes(names) <= card * GIB

    def told(names: Sequence[str]) -> str:
        return (
            f"{len(names)} of {len(models.PIPELINES)} pipelines, {models.pipeline_bytes(names) / GIB:.1f} GiB"
        )

    most: list[str] = []
    for name in models.PIPELINES:
        most += [name] if fits([*most, name]) else []
    solved = fits(chosen) and len(set(chosen)) == len(most) == len(chosen)
    return Verdict(
        solved, told(chosen), f"{told(most)}, at most {card} GiB", "add a name from models.PIPELINES"
    )


@exercise("GB to GiB")
def _gb_to_gib(convert: Callable[[float], float]) -> Verdict:
    samples = (57.7, 192.0)
    expected = [size * GB / GIB for size in samples]
    yours = [convert(size) for size in samples]
    if None in yours:
        return Verdict(False, "None", _numbers(expected, "GiB"), "return gigabytes * 10**9 / 2**30")
    solved = all(abs(a - b) < 0.01 for a, b in zip(yours, expected, strict=True))
    return Verdict(solved, _numbers(yours, "GiB"), _numbers(expected, "GiB"), "1 GiB is 2**30 bytes")


@exercise("cut a file")
def _cut_a_file(path: Path) -> Verdict:
    expected = "a message that begins with: cut short"
    try:
        header = models.read_header(path)
    except ValueError as error:
        return Verdict(str(error).startswith("cut short"), str(error), expected, "leave out bytes at the end")
    return Verdict(False, f"a whole file with {len(header)} tensors", expected, "write fewer bytes back")


def sample_weights() -> Path:
    """Write a safetensors file of two small tensors, 96 bytes, into a new folder for temporary files."""
    header, end = {}, 0
    for name, shape in {"to_q.weight": (4, 4), "to_q.bias": (8,)}.items():
        start, end = end, end + 4 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": (start, end)}
    text = json.dumps(header).encode()
    path = Path(tempfile.mkdtemp(prefix="workshop-")) / "sample.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))
    return path


@exercise("one pass a step")
def _one_pass(counted: int, steps: int) -> Verdict:
    hint = "a guidance of exactly 1.0 leaves the pass without the prompt out"
    return Verdict(counted == steps, f"{counted} passes", f"{steps} passes for {steps} steps", hint)


@exercise("add noise")
def _add_noise(noisy: Callable[..., Any], pipe: QwenImagePipeline) -> Verdict:
    import torch

    generator = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(1, 16, 4, 4, generator=generator) for _ in range(2))
    pipe.scheduler.set_timesteps(40, dynamic_shift_len=64)
    expected = pipe.scheduler.add_noise(clean, noise, pipe.scheduler.timesteps[20])
    yours = noisy(clean, noise, pipe.scheduler.sigmas[20])
    target = "the scheduler's own add_noise, to within 0.00001"
    if yours is None:
        return Verdict(False, "None", target, "one line: return … * clean + … * noise")
    apart = (yours - expected).abs().max().item()
    hint = "which of the two is all that is left at sigma 1?"
    return Verdict(apart < 1e-5, f"at most {apart:.5f} from it", target, hint)


@exercise("misspell a file")
def _misspell(config: ModelConfig) -> Verdict:
    config.download_if_necessary()
    found = [config.path] if isinstance(config.path, str) else config.path
    hint = "change one letter of the pattern"
    return Verdict(not found, f"files found: {len(found)}", "files found: 0, and no error", hint)


@exercise("a shorter prompt")
def _shorter_prompt(prompt: str, pipe: QwenImagePipeline) -> Verdict:
    count = tokens(pipe, prompt)
    absent = [word for word in NEEDED if not re.search(rf"\b{word}\b", prompt.lower())]
    expected = f"at most {SHORT} tokens, with the words {', '.join(NEEDED)}"
    yours = f"{count} tokens" + (f", without {', '.join(absent)}" if absent else ", with all of them")
    return Verdict(count <= SHORT and not absent, yours, expected, "what does the picture not need?")


@exercise("bytes a token")
def _bytes_a_token(rate: Callable[[str], float], pipe: QwenImagePipeline) -> Verdict:
    expected = [len(text.encode()) / tokens(pipe, text) for text in prompts.SCENE.values()]
    yours = [rate(text) for text in prompts.SCENE.values()]
    if None in yours:
        return Verdict(False, "None", _numbers(expected), "len(text.encode()) counts bytes")
    solved = all(abs(a - b) < 0.01 for a, b in zip(yours, expected, strict=True))
    return Verdict(solved, _numbers(yours), _numbers(expected), "bytes, not characters")


@exercise("hidden characters")
def _hidden_characters(text: str, original: str, pipe: QwenImagePipeline) -> Verdict:
    looks = "".join(letter for letter in text if letter not in ZERO_WIDTH)
    before, after = tokens(pipe, original), tokens(pipe, text)
    same = "looks the same" if looks == original else "looks different"
    expected = f"looks the same, more than {before} tokens"
    hint = r'put the zero-width space "\u200b" somewhere inside'
    return Verdict(looks == original and after > before, f"{same}, {after} tokens", expected, hint)


# Notebook 03: LoRA


@exercise("a rank for 100 MB")
def _rank_for_100_mb(rank: int) -> Verdict:
    sizes = [2 * lora.predict(blocks=60, width=3072, rank=one) for one in (rank, rank + 1)]
    solved = type(rank) is int and sizes[0] <= 100 * 10**6 < sizes[1]
    yours = f"rank {rank}, {units.gb(sizes[0])}; one more would be {units.gb(sizes[1])}"
    expected = "at most 100 MB, and one more would be above"
    return Verdict(solved, yours, expected, "divide the size at rank 32 by 32: that is rank 1")


@exercise("merge by hand")
def _merge_by_hand(merged: Callable[..., Any]) -> Verdict:
    import torch

    generator, target = torch.Generator().manual_seed(0), "the unmerged layer's output, to within 0.00001"
    apart = 0.0
    for rows, columns, strength in ((6, 4, 1.0), (4, 6, 0.5), (5, 5, -2.0)):
        shapes = ((rows, columns), (2, columns), (rows, 2), (3, columns))
        weight, a, b, x = (torch.randn(shape, generator=generator) for shape in shapes)
        yours = merged(weight, a, b, strength)
        if yours is None:
            return Verdict(False, "None", target, "one line: return weight + …")
        expected = x @ weight.T + strength * (x @ a.T @ b.T)
        apart = max(apart, (x @ yours.T - expected).abs().max().item())
    return Verdict(
        apart < 1e-5, f"at most {apart:.5f} from it", target, "B is tall, A is wide: which is first?"
    )


@exercise("patch nothing")
def _patch_nothing(
    renamed: Mapping[str, Any], original: Mapping[str, Any], pipe: QwenImagePipeline
) -> Verdict:
    fitting, held = lora.patched(renamed, pipe.dit)
    _, all_of_them = lora.patched(original, pipe.dit)
    yours, expected = f"{fitting} of {held} layers patched", f"0 of {all_of_them} layers patched"
    return Verdict(
        yours == expected, yours, expected, "give every key another beginning, and keep all of them"
    )


# Notebooks 05 and 06: editing


@exercise("a prompt unread")
def _prompt_unread(with_and_without: Sequence[Image.Image]) -> Verdict:
    apart = looking.difference(*with_and_without)
    hint = "at which guidance is the pass with the negative prompt left out?"
    return Verdict(apart == 0, f"{apart:.2f} levels apart", "0.00 levels: the same picture", hint)


@exercise("guidance by hand")
def _guidance_by_hand(guided: Callable[..., Any], pipe: QwenImagePipeline) -> Verdict:
    import torch

    generator, target = torch.Generator().manual_seed(0), "DiffSynth's own guidance, to within 0.00001"
    wanted, unwanted = (torch.randn(1, 16, 4, 4, generator=generator) for _ in range(2))
    inputs = {"inputs_shared": {}, "inputs_posi": {"velocity": wanted}, "inputs_nega": {"velocity": unwanted}}
    apart = 0.0
    for scale in (1.0, 2.5, 7.0):
        yours = guided(wanted, unwanted, scale)
        if yours is None:
            return Verdict(False, "None", target, "one line: return unwanted + …")
        expected = pipe.cfg_guided_model_fn(lambda velocity: velocity, scale, **inputs)
        apart = max(apart, (yours - expected).abs().max().item())
    hint = "start at the unwanted one and go along the difference, scale times"
    return Verdict(apart < 1e-5, f"at most {apart:.5f} from it", target, hint)


@exercise("a size that is refused")
def _refused_size(reference: Image.Image) -> Verdict:
    return _refused("Qwen-Image-Edit", reference, "multiples of", "resize it by a few pixels")


@exercise("no list")
def _no_list(references: object) -> Verdict:
    return _refused("Qwen-Image-Edit-2509", references, "without a list", "leave the brackets out")


def _refused(name: str, references: object, words: str, hint: str) -> Verdict:
    try:
        guards.check_references(name, references)
    except ValueError as error:
        return Verdict(words in str(error), str(error), f"a message with: {words}", hint)
    return Verdict(False, f"{name} takes it", f"a message with: {words}", hint)


@exercise("the smallest card")
def _smallest_card(size: int) -> Verdict:
    both = models.pipeline_bytes(["Qwen-Image-Edit", "Qwen-Image-Edit-2509"]) + models.WORKING_BYTES
    least = math.ceil(both / GIB)
    told = f"{size} GiB, " + ("too small" if size < least else f"{size * GIB - both:,} bytes to spare")
    hint = "weights of both, shared parts once, and what is needed to draw; round up"
    return Verdict(size == least, told, "the smallest whole number of GiB that holds both", hint)


@exercise("count once")
def _count_once(count: Callable[..., int]) -> Verdict:
    import torch

    alone, shared, other = torch.nn.Linear(3, 5), torch.nn.Linear(7, 2), torch.nn.Linear(4, 4)
    lists = ([alone, shared, other, shared], [shared, torch.nn.Sequential(shared, alone)], [other])
    yours = [count(networks) for networks in lists]
    expected = [56, 36, 20]  # 20 + 16 + 20, 16 + 20, 20: a Linear of a by b has (a + 1) · b
    if None in yours:
        return Verdict(False, "None", str(expected), "keep each parameter once, as in {id(p): p.numel() …}")
    return Verdict(yours == expected, str(yours), str(expected), "the same parameter object counts once")


# Notebook 07: training


@exercise("three hundred steps")
def _three_hundred_steps(flags: Sequence[str], pictures: int) -> Verdict:
    told, plain = vars(make_parser().parse_args(list(flags))), vars(make_parser().parse_args([]))
    steps = pictures * told["dataset_repeat"] * told["num_epochs"]
    counted = {"dataset_repeat", "num_epochs", "output_path", "restart", "profile"}
    other = [name for name in plain if told[name] != plain[name] and name not in counted]
    yours = f"{steps} steps" + (f", and another {', '.join(other)}" if other else "")
    hint = "steps are pictures × repeats × epochs"
    return Verdict(steps == 300 and not other, yours, "300 steps, all else as before", hint)


@exercise("the loss")
def _the_loss(loss: Callable[..., Any]) -> Verdict:
    import torch
    from diffsynth.diffusion import FlowMatchScheduler

    generator, scheduler = torch.Generator().manual_seed(0), FlowMatchScheduler("Qwen-Image")
    apart, target = 0.0, "the mean squared error to DiffSynth's own target, to within 0.00001"
    for side in (2, 4, 8):
        velocity, clean, noise = (torch.randn(1, 16, side, side, generator=generator) for _ in range(3))
        yours = loss(velocity, clean, noise)
        if yours is None:
            return Verdict(False, "None", target, "one line: return (… - …).square().mean()")
        wanted = scheduler.training_target(clean, noise, None)
        expected = torch.nn.functional.mse_loss(velocity, wanted)
        apart = max(apart, abs(float(yours) - float(expected)))
    hint = "02 has the equation: from which end of the line to which does the velocity point?"
    return Verdict(apart < 1e-5, f"at most {apart:.5f} from it", target, hint)


@exercise("three faults")
def _three_faults(table: str) -> Verdict:
    with tempfile.TemporaryDirectory(prefix="workshop-") as made:
        for picture in (profiles.REPO / "data" / "dog").glob("*.png"):
            shutil.copy(picture, made)
        data = dataset.DataSet(Path(made), Path(made) / "metadata.csv")
        data.table.write_text(table, encoding="utf-8")
        told = [line.partition(" row ")[2].partition(": ") for line in dataset.problems(data)]
    rows = {where.partition(",")[0] for where, _, _ in told}
    kinds = {" ".join(what.split()[:3]) for _, _, what in told}
    yours = f"{len(kinds)} kinds of fault, in {len(rows)} rows" + "".join(f"; {what}" for _, _, what in told)
    hint = "a name that is not there, a prompt of spaces, a comma that is not in quotation marks"
    return Verdict(len(kinds) == 3 == len(rows), yours, "3 kinds of fault, in 3 rows", hint)


def tokens(pipe: QwenImagePipeline, text: str) -> int:
    """Count a text's tokens, without the template that DiffSynth puts around it."""
    return len(pipe.tokenizer(text).input_ids)


def _numbers(values: Sequence[float], unit: str = "") -> str:
    return ", ".join(f"{value:.2f}" for value in values) + (f" {unit}" if unit else "")
