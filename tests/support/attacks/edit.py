"""Notebook 05."""

from __future__ import annotations

import itertools
from typing import Any

from tests.support.attacked import Case


def bare_pipe() -> tuple[Any, ...]:
    """Return a pipeline without weights: what it computes with must not be asked for."""
    import torch
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

    return (QwenImagePipeline(device="cpu", torch_dtype=torch.float32),)


def flip_by_product(gains: list[int], *, strict: bool = False) -> float:
    """Go through all ways to choose the signs. strict: leave out those that only reach the sum."""
    ways = [
        sum(sign * gain for sign, gain in zip(signs, gains, strict=True))
        for signs in itertools.product([1, -1], repeat=len(gains))
    ]
    return sum(way > sum(gains) or (not strict and way == sum(gains)) for way in ways) / len(ways)


def flip_by_bits(gains: list[int]) -> float:
    """Read the signs off the bits of a number."""
    reached = 0
    for number in range(2 ** len(gains)):
        total = sum(-gain if number >> place & 1 else gain for place, gain in enumerate(gains))
        reached += total >= sum(gains)
    return reached / 2 ** len(gains)


def flip_by_adding(gains: list[int]) -> float:
    """Grow the list of all sums by one gain after the other."""
    found, sums = sum(gains), [0]
    while gains:
        gain = gains.pop()
        sums = [one + gain for one in sums] + [one - gain for one in sums]
    return len([one for one in sums if one >= found]) / len(sums)


CASES = {
    "a prompt unread": Case(
        stub=4.0, solutions=(1.0, 1, True + 0), mistakes=(2.0, 0.0), needs_pipe=True, context=({"size": 128},)
    ),
    "guidance by hand": Case(
        stub=lambda wanted, unwanted, scale: None,
        solutions=[
            lambda wanted, unwanted, scale: unwanted + scale * (wanted - unwanted),
            lambda wanted, unwanted, scale: scale * wanted + (1 - scale) * unwanted,
            lambda wanted, unwanted, scale: wanted.sub_(unwanted).mul_(scale).add_(unwanted),
        ],
        mistakes=[
            lambda wanted, unwanted, scale: wanted + scale * (wanted - unwanted),
            lambda wanted, unwanted, scale: scale * wanted,
            lambda wanted, unwanted, scale: unwanted + scale * (unwanted - wanted),
            lambda wanted, unwanted, scale: wanted,
        ],
        context=bare_pipe,
    ),
    "an instruction unread": Case(
        stub=4.0,
        solutions=(0.0, 0, False + 0),
        mistakes=(1.0, -1.0, 0.5),
        needs_pipe=True,
        context=({"size": 128},),
    ),
    "sign flips": Case(
        stub=lambda gains: None,
        solutions=(flip_by_product, flip_by_bits, flip_by_adding),
        mistakes=(
            lambda gains: flip_by_product(gains, strict=True),
            lambda gains: sum(gain > 0 for gain in gains) / len(gains),
            lambda gains: 0.5 ** len(gains),
            lambda gains: 2 * flip_by_product(gains),
            lambda gains: float(sum(gains) <= 0),
        ),
    ),
}
