"""The notebooks' exercises: what each expects, and a check that prints yours beside it and never raises."""

from __future__ import annotations

import json
import re
import struct
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop import lessons, models
from workshop.memory import GIB

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import ModelConfig, QwenImagePipeline

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
    expected = [size * models.GB / GIB for size in samples]
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
    expected = [len(text.encode()) / tokens(pipe, text) for text in lessons.SCENE.values()]
    yours = [rate(text) for text in lessons.SCENE.values()]
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


def tokens(pipe: QwenImagePipeline, text: str) -> int:
    """Count a text's tokens, without the template that DiffSynth puts around it."""
    return len(pipe.tokenizer(text).input_ids)


def _numbers(values: Sequence[float], unit: str = "") -> str:
    return ", ".join(f"{value:.2f}" for value in values) + (f" {unit}" if unit else "")
