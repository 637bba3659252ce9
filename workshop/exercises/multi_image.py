"""Notebook 06: several references, several pipelines on one card."""

from __future__ import annotations

import math
from collections.abc import Callable

from workshop import models
from workshop.exercises.edit import judge_refusal
from workshop.exercises.verdict import Verdict, exercise
from workshop.units import GIB


@exercise("no list")
def _no_list(references: object) -> Verdict:
    return judge_refusal("Qwen-Image-Edit-2509", references, "without a list", "leave the brackets out")


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
