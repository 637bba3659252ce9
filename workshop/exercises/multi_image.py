"""Notebook 06: several references, several pipelines on one card."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Mapping, Sequence

from workshop import models
from workshop.exercises.verdict import Verdict, Waiting, Wrong, compare, describe, exercise
from workshop.units import GIB


@exercise(
    "the smallest card", hint="weights of both, shared parts once, and what is needed to draw; round up"
)
def _smallest_card(size: int) -> Verdict:
    if type(size) is not int:
        raise Wrong(f"a whole Python number is wanted, got {describe(size)}")
    if size == 64:
        raise Waiting
    both = models.pipeline_bytes(["Qwen-Image-Edit", "Qwen-Image-Edit-2509"]) + models.WORKING_BYTES
    least = math.ceil(both / GIB)
    told = f"{size} GiB, " + ("too small" if size < least else f"{size * GIB - both:,} bytes to spare")
    return Verdict(size == least, told, "the smallest whole number of GiB that holds both")


@exercise("count once", hint="the same parameter object counts once")
def _count_once(count: Callable[..., int]) -> Verdict:
    import torch

    wide, high = random.randint(2, 9), random.randint(2, 9)
    alone, shared, twin = (torch.nn.Linear(wide, high) for _ in range(3))  # of one shape, and not the same
    other = torch.nn.Linear(high, high + 1)
    lists = (
        [alone, shared, other, shared],
        [shared, torch.nn.Sequential(shared, alone)],
        [alone, twin, other],
    )

    def expected(networks: list[torch.nn.Module]) -> int:
        return sum(one.numel() for one in torch.nn.ModuleList(networks).parameters())  # torch counts once

    return compare(count, expected, [(networks,) for networks in lists], within=0)


@exercise("best order", hint="itertools.permutations(wanted) lists the orders; keep the largest count")
def _best_order(best: object) -> Verdict:
    woman, man = {"hair": "black", "skin": "tan"}, {"hair": "black", "skin": "light"}
    other, reading = {"hair": "gray", "skin": "tan"}, woman | {"glasses": "yes"}
    fixed = [
        ([man, woman], [woman, man]),
        ([woman, woman], [woman, man]),  # one reference must not be taken twice
        ([woman, reading], [reading, woman]),  # who takes the best for the first place fails at the second
        ([woman, man, other], [other, woman, man]),
    ]
    return compare(best, _count_best, [*fixed, *map(_draw_people, (2, 3, 4))], within=0)


def _count_best(found: Sequence[Mapping[str, str]], wanted: Sequence[Mapping[str, str]]) -> int:
    """Return how many attributes are right if the references are assigned to the places as well as can be."""
    return max(
        sum(
            seen.get(name) == value
            for seen, asked in zip(found, order, strict=True)
            for name, value in asked.items()
        )
        for order in itertools.permutations(wanted)
    )


def _draw_people(count: int) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Return people as they are seen and as they are wanted, each drawn at random."""
    values = {"hair": ("black", "red", "gray"), "skin": ("tan", "light"), "glasses": ("yes", "no")}
    seen, wanted = (
        [{name: random.choice(some) for name, some in values.items()} for _ in range(count)] for _ in range(2)
    )
    return seen, wanted


@exercise("fool the count", hint="a Parameter is an object around a tensor, and .data is that tensor")
def _fool_the_count(layers: object) -> Verdict:
    import torch

    if not isinstance(layers, list) or not all(isinstance(one, torch.nn.Linear) for one in layers):
        raise Wrong(f"a list of two linear layers is wanted, got {describe(layers)}")
    parameters = list(torch.nn.ModuleList(layers).parameters())  # each object once
    counted = sum(one.numel() for one in parameters)
    held = sum({one.untyped_storage().data_ptr(): one.numel() for one in parameters}.values())
    if counted == held == 40:
        raise Waiting
    told = f"{counted} numbers counted, {held} held"
    return Verdict(held < counted == 40, told, "40 numbers counted, fewer held")
