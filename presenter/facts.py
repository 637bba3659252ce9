"""The numbers that the cue sheets say aloud: computed from the catalogue, a data sheet or a measurement.

    fill("It has {fact:pipeline.parameters} parameters; the cell takes {runtime:02-first-picture}.")
    fill("A file of {fact:lora.memory|words}.")     A file of half a gigabyte.

A fact has its unit and is rounded once, here. GB is 10**9 bytes and GiB is 2**30. The shape and the
arithmetic are those of diffsynth 2.1.12, models/qwen_image_dit.py; the card's figures are AMD's, from the
ROCm documentation's table of GPU architectures. Nothing here imports torch.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

from presenter import runtimes, spoken
from workshop import cards, files, lora, models, notebooks
from workshop.files import POCKET, REPO
from workshop.training import dataset, flags
from workshop.units import GB, GIB, duration

REPORT = POCKET / "report.json"
ANEW = "Fetch it again: git checkout -- data/pocket/report.json"
NOT_MEASURED, NOT_REHEARSED = "not measured yet", "not rehearsed yet"

SHAPE = models.DIT_SHAPES["Qwen-Image"]
BLOCKS, WIDTH, HEAD_WIDTH = SHAPE.blocks, SHAPE.width, SHAPE.head
HEADS = WIDTH // HEAD_WIDTH
SCALE, CHANNELS, PATCH = 8, 16, 2  # image px of a latent px; latent channels; latent px of a token's side
RANK, STEPS, SIZE = 32, 40, 1328  # the workshop's own settings; image px
PASSES = 2  # of the DiT in a step with guidance
CARD = cards.CARDS["MI300X"]
GAMING_BYTES = 24 * GIB  # of a Radeon RX 7900 XTX
GPT2_PARAMETERS = 1_542_000_000  # the largest one: Radford et al. 2019, table 2

COUNTED, COMPUTED = "counted from the catalogue", "computed from the model's shape"
PUBLISHED, ESTIMATED = "published by AMD", "estimated, unmeasured"
MEASURED, IN_FILES = "measured with the pocket model", "counted in the pocket model's files"
SET = "set by the workshop"

PLACEHOLDER = re.compile(r"\{(\w+):([^{}\s|]+)(?:\|([^{}\s]*))?\}")  # kind, name, form
BEGINNING = re.compile(r"(?:[.!?:]\*{0,2}[”\"’)]?\s+|^- +|\*\*\s+)[“\"‘(]?$", re.MULTILINE)  # of a sentence
SPOKEN = "words"  # the form of a placeholder that is said, not shown


@dataclass(frozen=True)
class Fact:
    """A number, and the text that shows it."""

    name: str
    number: float | None  # None: nobody has measured it yet
    text: str  # rounded, with its unit
    source: str  # where the number comes from

    @property
    def words(self) -> str:
        """The text as it is said."""
        return spoken.speak(self.text)


def list_names() -> list[str]:
    """List the names of all facts."""
    return sorted(_facts())


def find_fact(name: str) -> Fact:
    """Find a fact by its name.

    >>> find_fact("pipeline.parameters").text
    '28.8 billion'

    Raises ValueError, with the names that come nearest, for an unknown one.
    """
    facts = _facts()
    if name not in facts:
        family = name.partition(".")[0] + "."
        near = [one for one in facts if one.startswith(family)] or list(facts)
        raise ValueError(f"There is no fact named {name!r}. There are: {', '.join(near)}.")
    return facts[name]


def format_runtime(cell: str, *, notebook: str = "", label: str | None = None) -> str:
    """Write how long a cell is expected to run.

    cell: its id in `notebook`, or the id with the notebook's number before it, as 03-after
    label: the machine's, under which runtimes are filed; None: this machine's

    Raises ValueError if neither names a notebook.
    """
    number, dash, rest = cell.partition("-")
    if dash and re.fullmatch(r"\d\d", number):
        notebook, cell = notebooks.select([number])[0].stem, rest
    if not notebook:
        raise ValueError(f"The runtime of {cell!r} needs its notebook. Write it before the id, as 03-after.")
    found = runtimes.find_expected(notebook, cell, label=label)
    return format_seconds(found.seconds) if found else NOT_REHEARSED


def fill(text: str, *, notebook: str = "", label: str | None = None) -> str:
    """Replace the names of facts and runtimes in a text by what they say.

    >>> fill("{fact:dit.blocks} blocks of width {fact:dit.width}")
    '60 blocks of width 3,072'
    >>> fill("{fact:dit.blocks|words} blocks: a file of {fact:lora.memory|words}.")
    'Sixty blocks: a file of half a gigabyte.'

    Raises ValueError for an unknown name or form. A spoken form that begins a sentence gets a capital.
    """

    def found(match: re.Match[str]) -> str:
        kind, name, form = match.groups()
        if form not in (None, SPOKEN):
            raise ValueError(f"{match[0]} asks for the form {form!r}. Write {{{kind}:{name}|{SPOKEN}}}.")
        if kind == "fact":
            said = find_fact(name).text
        elif kind == "runtime":
            said = format_runtime(name, notebook=notebook, label=label)
        else:
            raise ValueError(
                f"{match[0]} is neither a fact nor a runtime. Write {{fact:…}} or {{runtime:…}}."
            )
        return _speak(said, before=text[: match.start()]) if form else said

    return PLACEHOLDER.sub(found, text)


def _speak(said: str, *, before: str) -> str:
    """Write a text as it is said, with a capital if it begins a sentence.

    before: the text before it
    """
    words = spoken.speak(said)
    begins = not before.strip() or before.endswith("\n\n") or BEGINNING.search(before)
    return words[:1].upper() + words[1:] if begins else words


def format_count(count: float) -> str:
    """Write a number as it is said, large ones in words.

    >>> format_count(28_849_460_275), format_count(126_892_531), format_count(3_820_224), format_count(4096)
    ('28.8 billion', '127 million', '3.8 million', '4,096')
    """
    if count >= 1e9:
        return f"{count / 1e9:.1f} billion"
    if count >= 1e6:
        return f"{count / 1e6:.{0 if count >= 1e8 else 1}f} million"
    return f"{count:,.0f}"


def format_bytes(count: float, *, unit: int = GB) -> str:
    """Write bytes in GB or GiB, with three digits.

    >>> format_bytes(173.1e9), format_bytes(57.7e9), format_bytes(0.25e9), format_bytes(57.7e9, unit=GIB)
    ('173 GB', '57.7 GB', '0.25 GB', '53.7 GiB')
    """
    size = count / unit
    digits = 0 if size >= 100 else 1 if size >= 1 else 2
    return f"{size:.{digits}f} {'GB' if unit == GB else 'GiB'}"


def format_percent(share: float) -> str:
    """Write a share in percent, a small one with a decimal.

    >>> format_percent(0.905), format_percent(0.01155), format_percent(0.0)
    ('90 %', '1.2 %', '0 %')
    """
    return f"{share:.{1 if 0 < share < 0.1 else 0}%}".replace("%", " %")


def format_seconds(took: float) -> str:
    """Write a time as people say it.

    >>> format_seconds(0.04), format_seconds(1.46), format_seconds(18.4), format_seconds(200)
    ('less than a second', '1.5 s', '18 s', '3 min 20 s')
    """
    if took < 0.5:
        return "less than a second"
    return f"{took:.0f} s" if 10 <= took < 59.5 else duration(took)


def count_image_tokens(size: int) -> int:
    """Count the image tokens of a square picture.

    size: of its side, in image px

    >>> count_image_tokens(1024), count_image_tokens(1328)
    (4096, 6889)
    """
    return (size // (SCALE * PATCH)) ** 2


def count_picture_flops(size: int = SIZE, *, steps: int = STEPS) -> float:
    """Count the DiT's operations for one picture with guidance, without text tokens, text encoder and VAE.

    size: of the picture's side, in image px

    >>> f"{count_picture_flops():.2e}"
    '1.03e+16'
    """
    run = models.dit_operations(blocks=BLOCKS, width=WIDTH, tokens=count_image_tokens(size))
    return steps * PASSES * run


def _fact(name: str, number: float | None, how: Callable[[float], str], *, source: str) -> Fact:
    return Fact(name, number, NOT_MEASURED if number is None else how(number), source)


@cache
def _facts() -> Mapping[str, Fact]:
    groups = (
        _weights(),
        _sums(),
        _shape(),
        _lora(),
        _card(),
        _workshop(),
        _pocket(),
        read_measured(_report()),
    )
    return {fact.name: fact for fact in chain.from_iterable(groups)}


def _weights() -> Iterator[Fact]:
    model = models.MODELS["Qwen-Image"]
    parts = {part.role: part.parameters for part in model.files if part.parameters}
    for role, count in {"pipeline": model.parameters, **parts}.items():
        yield Fact(f"{role}.parameters", count, format_count(count), COUNTED)
        yield Fact(f"{role}.memory", 2 * count, format_bytes(2 * count), COUNTED)  # bf16: 2 bytes a parameter
        yield Fact(f"{role}.memory_gib", 2 * count, format_bytes(2 * count, unit=GIB), COUNTED)


def _sums() -> Iterator[Fact]:
    names = list(models.PIPELINES)
    apart, shared = sum(models.pipeline_bytes([name]) for name in names), models.pipeline_bytes(names)
    yield Fact("three.counted", apart // 2, format_count(apart // 2), COUNTED)
    yield Fact("three.unique", shared // 2, format_count(shared // 2), COUNTED)
    for name, size in {"three": apart, "shared": shared}.items():
        yield Fact(f"{name}.memory", size, format_bytes(size), COUNTED)
        yield Fact(f"{name}.memory_gib", size, format_bytes(size, unit=GIB), COUNTED)
    yield Fact("shared.saving", apart - shared, format_bytes(apart - shared), COUNTED)


def _shape() -> Iterator[Fact]:
    shape = {"dit.blocks": BLOCKS, "dit.width": WIDTH, "dit.heads": HEADS, "dit.head_width": HEAD_WIDTH}
    shape |= {"vae.scale": SCALE, "vae.channels": CHANNELS}
    shape |= {f"tokens.{size}": count_image_tokens(size) for size in (128, 1024, SIZE)}
    shape |= {"picture.steps": STEPS, "picture.passes": STEPS * PASSES}
    for name, count in shape.items():
        yield Fact(name, count, format_count(count), COMPUTED)
    fewer = 3 * SCALE**2 / CHANNELS  # three colours in SCALE × SCALE image px become one latent px
    yield Fact("vae.compression", fewer, format_count(fewer), COMPUTED)
    share = count_image_tokens(SIZE) / (6 * WIDTH + count_image_tokens(SIZE))
    yield Fact(
        "attention.share", share, format_percent(share), COMPUTED
    )  # of the work, for a picture of SIZE


def _lora() -> Iterator[Fact]:
    count = lora.predict(blocks=BLOCKS, width=WIDTH, rank=RANK)
    share = count / models.MODELS["Qwen-Image"].part("dit").parameters
    modules = BLOCKS * len(lora.TARGETS)
    yield Fact("lora.parameters", count, format_count(count), COMPUTED)
    yield Fact("lora.rank", RANK, format_count(RANK), SET)
    yield Fact("lora.memory", 2 * count, format_bytes(2 * count), COMPUTED)
    yield Fact("lora.modules", modules, format_count(modules), COMPUTED)
    yield Fact("lora.targets", len(lora.TARGETS), format_count(len(lora.TARGETS)), SET)
    yield Fact("lora.share", share, format_percent(share), COMPUTED)


def _card() -> Iterator[Fact]:
    yield Fact("gpu.memory", CARD.memory, f"{CARD.memory // GIB} GB", PUBLISHED)
    yield Fact("gaming.memory", GAMING_BYTES, f"{GAMING_BYTES // GIB} GB", PUBLISHED)
    yield Fact("gpt2.parameters", GPT2_PARAMETERS, format_count(GPT2_PARAMETERS), "published by OpenAI")
    yield Fact("gpu.bandwidth", CARD.bandwidth, f"{CARD.bandwidth / 1e12:.1f} TB/s", PUBLISHED)
    yield Fact("gpu.compute_units", CARD.units, format_count(CARD.units), PUBLISHED)
    yield Fact("gpu.bf16", CARD.bf16, f"{CARD.bf16 / 1e12:,.0f} TFLOPS", PUBLISHED)
    yield Fact("gpu.busy", cards.BUSY, format_percent(cards.BUSY), ESTIMATED)
    yield Fact("gib.excess", GIB / GB - 1, format_percent(GIB / GB - 1), COMPUTED)  # of a GiB over a GB
    flops = count_picture_flops()
    yield Fact("picture.flops", flops, f"about {flops / 1e15:.0f} PFLOP", COMPUTED)
    for name, at in {"at_peak": 1.0, "estimate": cards.BUSY}.items():
        took = flops / CARD.bf16 / at
        yield Fact(f"picture.seconds_{name}", took, f"about {took:.2g} s ({ESTIMATED})", ESTIMATED)


def _workshop() -> Iterator[Fact]:
    disk = sum(model.bytes for model in models.MODELS.values())
    yield Fact("workshop.disk", disk, f"about {format_bytes(disk)}", COUNTED)
    dog = REPO / "data" / dataset.DOG
    pictures = len(dataset.DataSet(dog, dog / "metadata.csv").rows())
    repeat, epochs = (flags.FLAGS[name].default for name in ("dataset_repeat", "num_epochs"))
    yield Fact("training.pictures", pictures, format_count(pictures), SET)
    yield Fact("training.repeat", repeat, format_count(repeat), SET)
    yield Fact("training.steps", pictures * repeat * epochs, format_count(pictures * repeat * epochs), SET)


def _pocket() -> Iterator[Fact]:
    model = models.MODELS["Qwen-Image"]
    counts = {part.role: _parameters(model, part) for part in model.files if part.parameters}
    for role, count in counts.items():
        yield _fact(f"pocket.{role}.parameters", count, format_count, source=IN_FILES)
    known = [count for count in counts.values() if count is not None]
    whole = sum(known) if len(known) == len(counts) else None
    yield _fact("pocket.parameters", whole, format_count, source=IN_FILES)
    size = None if whole is None else 2 * whole  # bf16
    yield _fact("pocket.size", size, lambda count: f"{count / 1e6:.0f} MB", source=IN_FILES)


def _parameters(model: models.Model, part: models.Part) -> int | None:
    """Count a part's parameters in the pocket model's files; None if they are not here."""
    files = models.find_files(model, part, POCKET)
    if not files or list(models.find_broken(files)):
        return None
    return sum(math.prod(entry["shape"]) for file in files for entry in models.read_header(file).values())


def _report() -> dict:
    try:
        raw = json.loads(REPORT.read_text(encoding="utf-8")) if REPORT.exists() else {}
    except OSError as error:
        raise ValueError(files.explain_unreadable(REPORT, error)) from error
    except ValueError as error:
        raise ValueError(f"{files.shorten(REPORT)} is damaged ({error}). {ANEW}") from error
    if not isinstance(raw, dict):
        raise ValueError(f"{files.shorten(REPORT)} is damaged (it holds no table). {ANEW}")
    return raw


# The names of facts to their places in the pocket model's report: shares, and times in s.
SHARES = {
    **{f"pocket.{code}": code for code in ("en", "ko", "kn", "zh")},
    "pocket.reader": "reader",
    "pocket.artaug": "richer with ArtAug",
    "pocket.artaug.en": "en with ArtAug",
    "pocket.artaug.same": "same scene with ArtAug",
    "pocket.dog_before": "a dog: all its markings, before",
    "pocket.dog_after": "a dog: all its markings, after",
    "pocket.jumping_after": "a dog is jumping: all its markings, after",
    "pocket.jumps_after": "a dog is jumping: it jumps, after",
    "pocket.portraits_before": "portraits: what was asked for, before",
    "pocket.portraits_after": "portraits: what was asked for, after",
    "pocket.edit.followed": "instruction followed",
    "pocket.edit.kept": "identity kept",
    "pocket.edit.chance": "identity by chance",
    "pocket.f2p.followed": "instruction followed with F2P",
    "pocket.f2p.kept": "identity kept with F2P",
    "pocket.couple.right": "two people",
    "pocket.couple.korean": "two people (ko)",
}
TIMES = {"pocket.picture_seconds": "seconds a picture", "pocket.dog_seconds": "seconds of training the dog"}


def read_measured(report: Mapping[str, Any]) -> Iterator[Fact]:
    """Yield the facts that the pocket model's evaluation measures; those that it has not yet have no number.

    report: as in the pocket model's report.json
    """
    figures = {**report, **report.get("family", {})}
    for name, place in SHARES.items():
        yield _fact(name, figures.get(place), format_percent, source=MEASURED)
    for name, place in TIMES.items():
        yield _fact(name, figures.get(place), format_seconds, source=MEASURED)
    yield _fact("pocket.vae", figures.get("vae dB plain"), lambda ratio: f"{ratio:.1f} dB", source=MEASURED)
