"""What makes training fast on a CPU."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import torch


def compiled(function: Callable) -> Callable:
    """torch.compile where a C++ compiler is there: fused element-wise work trains many times faster."""
    return torch.compile(function) if shutil.which("g++") or torch.cuda.is_available() else function


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Attention written out, (B, heads, S, D): on a CPU the backward pass of the fused kernel takes ten
    times as long."""
    weights = torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + bias, dim=-1)
    return weights.to(v.dtype) @ v
