"""Predict what a picture costs on cards that nobody has measured: from operations and bytes.

    seconds = max(operations / (BUSY · peak), bytes of the weights read / bandwidth)

for each run of the DiT, whose weights are read once a run. Prompt and VAE are left out: a few runs' worth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from workshop import models, trial
from workshop.units import GIB

BUSY = 0.4  # the share of a card's peak that such a model is assumed to reach


@dataclass(frozen=True)
class Card:
    """What a maker's data sheet says of a card."""

    name: str
    memory: int  # bytes
    bandwidth: float  # bytes/s
    bf16: float  # dense FLOP/s
    units: int  # compute units, or streaming multiprocessors
    source: str


# The memory that AMD calls 192 GB is counted in binary: torch reports 191.98 GiB.
CARDS = {
    card.name: card
    for card in (
        Card("MI300X", 192 * GIB, 5.3e12, 1307.4e12, 304, "ROCm docs, GPU hardware specifications"),
        Card("MI325X", 256 * GIB, 6.0e12, 1307.4e12, 304, "ROCm docs, GPU hardware specifications"),
        Card("H100", 80 * GIB, 3.35e12, 989.4e12, 132, "NVIDIA H100 data sheet, SXM5"),
    )
}

PUBLISHED = (
    "published for the MI300X: 50 steps in 29.0 s an image (SGLang cookbook, another server than DiffSynth)"
)


def predict(name: str, card: Card, *, steps: int, size: int) -> float:
    """Predict the seconds of a picture of size × size image px with guidance, references at 1024²."""
    shape = models.DIT_SHAPES["Qwen-Image"]
    tokens = trial.count_tokens(name, size=size, auto_resize=True)
    work = models.dit_operations(blocks=shape.blocks, width=shape.width, tokens=tokens)
    dit = models.MODELS["Qwen-Image"].part("dit").bytes
    return trial.PASSES * steps * max(work / (BUSY * card.bf16), dit / card.bandwidth)


def table(*, steps: int, size: int) -> Iterator[str]:
    """Yield the lines of a table: a card each, a pipeline each, and what was published."""
    how = f"{steps} steps with guidance, at {BUSY:.0%} of the peak"
    yield f"predicted s a picture of {size}×{size}, {how}; unmeasured"
    yield f"{'':<8}" + "".join(f"{name:>22}" for name in models.PIPELINES)
    for card in CARDS.values():
        seconds = (predict(name, card, steps=steps, size=size) for name in models.PIPELINES)
        yield f"{card.name:<8}" + "".join(f"{one:>22.1f}" for one in seconds)
    yield from (f"{card.name}: {card.source}" for card in CARDS.values())
    fifty = predict("Qwen-Image", CARDS["MI300X"], steps=50, size=size)
    yield f"{PUBLISHED}; predicted here: {fifty:.1f} s"
