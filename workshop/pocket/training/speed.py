"""What makes training fast, on a CPU above all."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from functools import cache
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function compiled by torch.compile, which fuses element-wise work, or as it is.

    Without a C++ compiler nothing can be compiled for a CPU.
    """
    return torch.compile(function) if shutil.which("g++") or torch.cuda.is_available() else function


def autocast(device: str) -> torch.autocast:
    """Return autocast to bfloat16 where this machine multiplies in it at least as fast, else to nothing."""
    return torch.autocast(device, torch.bfloat16, enabled=device != "cpu" or has_fast_bfloat16())


@cache
def has_fast_bfloat16() -> bool:
    """Return whether this CPU multiplies matrices in bfloat16 at least as fast as in float32; it is timed.

    Some have matrix units for it (amx_bf16 or avx512_bf16 in /proc/cpuinfo); others emulate it slowly.
    """
    seconds = {kind: _time_product(kind) for kind in (torch.float32, torch.bfloat16)}
    fast = seconds[torch.bfloat16] <= seconds[torch.float32]
    each = ", ".join(f"{str(kind).removeprefix('torch.')} {1000 * s:.1f} ms" for kind, s in seconds.items())
    print(f"a product of two 512×512 matrices: {each}; training in {'bfloat16' if fast else 'float32'}")
    return fast


def _time_product(kind: torch.dtype) -> float:
    """Return the shortest of five times of a product of two 512×512 matrices, in s."""
    matrix, seconds = torch.ones(512, 512, dtype=kind), []
    for _ in range(5):
        started = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Return softmax(q·kᵀ / √D + bias)·v, written out: the fused kernel's backward is slow on a CPU.

    Trained on a CPU it takes a tenth of the time.

    q, k, v: (B, heads, S, D); bias: whatever broadcasts to (B, heads, S, S), 0 or -inf
    returns: (B, heads, S, D), in v's dtype
    """
    weights = torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + bias, dim=-1)
    return weights.to(v.dtype) @ v
