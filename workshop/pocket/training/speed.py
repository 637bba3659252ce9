"""What makes training fast, on a CPU above all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function compiled by torch.compile, which fuses element-wise work, or as it is.

    Without a C++ compiler nothing can be compiled for a CPU.
    """
    return torch.compile(function) if shutil.which("g++") or torch.cuda.is_available() else function


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Return softmax(q·kᵀ / √D + bias)·v, written out: the fused kernel's backward is slow on a CPU.

    Trained on a CPU it takes a tenth of the time.

    q, k, v: (B, heads, S, D); bias: whatever broadcasts to (B, heads, S, S), 0 or -inf
    returns: (B, heads, S, D), in v's dtype
    """
    weights = torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + bias, dim=-1)
    return weights.to(v.dtype) @ v
