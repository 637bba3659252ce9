"""Notebook 03: the size of a LoRA, its merging and its forward by hand, and keys that fit nowhere."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from workshop import lora, models, units
from workshop.exercises.verdict import Verdict, Waiting, Wrong, compare, describe, exercise

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from diffsynth.pipelines.qwen_image import ModelConfig, QwenImagePipeline

Loras: TypeAlias = "list[tuple[torch.Tensor, torch.Tensor, float]]"  # A, B and alpha of each


@exercise("a rank for 100 MB", hint="divide the size at rank 32 by 32: what does one rank cost?")
def _rank_for_100_mb(rank: int) -> Verdict:
    if type(rank) is not int or rank < 1:
        raise Wrong(f"a whole Python number, 1 or more, is wanted, got {describe(rank)}")
    if rank == 32:
        raise Waiting
    sizes = [2 * lora.predict(blocks=60, width=3072, rank=one) for one in (rank, rank + 1)]
    solved = sizes[0] <= 100 * 10**6 < sizes[1]
    yours = f"rank {rank}, {units.gb(sizes[0])}; one more would be {units.gb(sizes[1])}"
    expected = "at most 100 MB, and one more would be above"
    return Verdict(solved, yours, expected)


@exercise("merge by hand", hint="B is tall, A is wide: which is first?")
def _merge_by_hand(merged: Callable[..., Any]) -> Verdict:
    import torch

    cases = []
    for rows, columns, strength in ((6, 4, 1.0), (4, 6, 0.5), (5, 5, -2.0), (3, 7, random.uniform(2, 3))):
        shapes = ((rows, columns), (2, columns), (rows, 2))
        cases.append((*(torch.randn(shape) for shape in shapes), strength))

    def expected(weight: torch.Tensor, a: torch.Tensor, b: torch.Tensor, strength: float) -> torch.Tensor:
        columns = torch.eye(weight.shape[1])  # through the two ways, as an unmerged layer sends them
        return (columns @ weight.T + strength * (columns @ a.T @ b.T)).T

    return compare(merged, expected, cases)


@exercise(
    "LoRA forward", hint="every LoRA of a layer gets the layer's own x; tanh comes after the last of them"
)
def _lora_forward(forward: Callable[..., Any]) -> Verdict:
    return compare(forward, _run_stack, [_random_stack() for _ in range(4)])


def _random_stack() -> tuple[torch.Tensor, list[tuple[torch.Tensor, Loras]]]:
    """Return inputs, and layers of which the first has two LoRAs, the others none to three."""
    import torch

    depth = random.randint(2, 4)
    sides = [random.randint(3, 6) for _ in range(depth + 1)]
    layers = []
    for number, (columns, rows) in enumerate(itertools.pairwise(sides)):
        loras = [
            (torch.randn(2, columns), torch.randn(rows, 2) / columns**0.5, random.uniform(-0.9, 0.9))
            for _ in range(random.randint(0, 3) if number else 2)
        ]
        layers.append((torch.randn(rows, columns) / columns**0.5, loras))
    return torch.randn(3, sides[0]), layers


def _run_stack(x: torch.Tensor, layers: Sequence[tuple[torch.Tensor, Loras]]) -> torch.Tensor:
    """Send x through merged layers, as a stack without LoRAs would."""
    for weight, loras in layers:
        for a, b, alpha in loras:
            weight = weight + alpha * b @ a
        x = (x @ weight.T).tanh()
    return x


@exercise("patch nothing", hint="give every key another beginning, and keep all of them")
def _patch_nothing(
    renamed: Mapping[str, Any], source: str | Path | ModelConfig, pipe: QwenImagePipeline
) -> Verdict:
    if not isinstance(renamed, Mapping):
        raise Wrong(f"a dictionary of renamed keys is wanted, got {describe(renamed)}")
    original = models.read_header(lora.read(source).path)  # again: what is in memory may have changed, too
    if set(renamed) == set(original):
        raise Waiting
    fitting, held = lora.count_patched(renamed, pipe.dit)
    _, all_of_them = lora.count_patched(original, pipe.dit)
    yours, expected = f"{fitting} of {held} layers patched", f"0 of {all_of_them} layers patched"
    return Verdict(yours == expected, yours, expected)
