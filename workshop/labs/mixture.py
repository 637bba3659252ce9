"""The mixture of lab L02: data of which the perfect network is a formula, and how far samples are from it.

Axes: N points of 2 numbers, K = 8 modes.
A noisy point is x = alpha · x0 + sigma · noise; DDPM has alpha² + sigma² = 1, a flow alpha + sigma = 1.
"""

from __future__ import annotations

import math

import torch

_ANGLES = torch.arange(8) * math.pi / 4
MODES = torch.stack([_ANGLES.cos(), _ANGLES.sin()], dim=1)
"""Centres of the eight modes, (8, 2), evenly on the circle of radius 1; all are equally likely."""
WIDTH = 0.1
"""Standard deviation of a mode, in both directions."""


def draw_true(count: int, seed: int) -> torch.Tensor:
    """Draw points of the mixture, (count, 2)."""
    generator = torch.Generator().manual_seed(seed)
    modes = MODES[torch.randint(8, (count,), generator=generator)]
    return modes + WIDTH * torch.randn(count, 2, generator=generator)


def expect_clean(x: torch.Tensor, alpha: float | torch.Tensor, sigma: float | torch.Tensor) -> torch.Tensor:
    """Return the mean of all x0 that fit x = alpha · x0 + sigma · noise: what a perfect network answers.

        E[x0 | x] = Σ_k p(k | x) · (mode_k + alpha · WIDTH² / variance · (x - alpha · mode_k))
        variance  = alpha² · WIDTH² + sigma²

    x: (N, 2)
    returns: (N, 2)
    """
    variance = alpha**2 * WIDTH**2 + sigma**2
    apart = x[:, None] - alpha * MODES  # (N, K, 2)
    belongs = torch.softmax(-apart.square().sum(dim=2) / (2 * variance), dim=1)  # (N, K): p(k | x)
    means = MODES + alpha * WIDTH**2 / variance * apart
    return (belongs[:, :, None] * means).sum(dim=1)


def measure_distance(points: torch.Tensor, others: torch.Tensor) -> float:
    """Return the sliced Wasserstein distance of two clouds: the mean over 64 directions.

    In a direction the points cast shadows on a line; sorted, the shadows of both clouds are paired, and the
    distance is the mean of how far a pair is apart.

    points, others: (N, 2), of one N
    """
    angles = torch.arange(64) * math.pi / 64
    directions = torch.stack([angles.cos(), angles.sin()])  # (2, 64)
    shadows, wanted = ((one @ directions).sort(dim=0).values for one in (points, others))
    return (shadows - wanted).abs().mean().item()
