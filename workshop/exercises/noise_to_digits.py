"""Lab L01: schedules, targets, a batch noised picture by picture, and a test that cannot fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workshop.exercises.verdict import Verdict, Waiting, ask, compare, demand_number, exercise

if TYPE_CHECKING:
    import torch

    Case = tuple[torch.Tensor, ...]

SAMPLES = 4000  # numbers that the check of a sampler draws
BATCH = 16  # pictures, as many as columns: a wrong broadcast runs, and is wrong


@exercise("a line for 200 steps", hint="log ābar is nearly minus the sum of the betas: a fifth of the steps")
def _line_for_200(factor: object) -> Verdict:
    import torch

    scale = demand_number(factor)
    if scale == 1.0:
        raise Waiting

    def last(steps: int, scale: float) -> float:
        return float(torch.prod(1 - scale * torch.linspace(1e-4, 0.02, steps, dtype=torch.float64)))

    wanted, found = last(1000, 1.0), last(200, scale)
    solved = scale * 0.02 < 1 and wanted / 2 <= found <= wanted * 2
    return Verdict(
        solved, f"last ābar {found:.1e}", f"{wanted:.1e}, within a factor of 2, every beta below 1"
    )


@exercise("velocity target", hint="√ābar on the noise, √(1 − ābar) on the picture, and a minus between")
def _velocity(make: Callable[..., Any]) -> Verdict:
    def expected(x0: torch.Tensor, noise: torch.Tensor, alpha_bar: torch.Tensor) -> torch.Tensor:
        angle = alpha_bar.sqrt().acos().view(-1, 1, 1, 1)  # √ābar is a cosine, √(1 - ābar) its sine
        return angle.cos() * noise - angle.sin() * x0

    return compare(make, expected, [_draw_case() for _ in range(4)], within=1e-4)


@exercise("picture from velocity", hint="x_t and v are x₀ and ε, turned by one angle: turn back")
def _recover(recover: Callable[..., Any]) -> Verdict:
    cases, answers = [], []
    for _ in range(4):
        x0, noise, alpha_bar = _draw_case()
        kept = alpha_bar.view(-1, 1, 1, 1)
        x = kept.sqrt() * x0 + (1 - kept).sqrt() * noise
        cases.append((x, kept.sqrt() * noise - (1 - kept).sqrt() * x0, alpha_bar))
        answers.append(x0)
    remaining = iter(answers)
    return compare(recover, lambda *_: next(remaining), cases, within=1e-4)


@exercise("each at its own level", hint="(B,) has to become (B, 1, 1, 1), and for numbers stay (B,): view")
def _own_level(noisy: Callable[..., Any]) -> Verdict:
    import torch

    def expected(x0: torch.Tensor, noise: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        each = zip(x0, noise, kept.tolist(), strict=True)
        return torch.stack([math.sqrt(a) * one + math.sqrt(1 - a) * other for one, other, a in each])

    shapes = ((BATCH, 1, BATCH, BATCH), (BATCH,), (3, 2, 3, 3), (5, 5))
    cases = [(torch.randn(shape), torch.randn(shape), torch.rand(shape[0])) for shape in shapes]
    if _is_the_stub(noisy, cases[0]):
        raise Waiting
    return compare(noisy, expected, cases, within=1e-4)


def _is_the_stub(noisy: Callable[..., Any], case: Case) -> bool:
    """Return whether an answer spreads the levels over the columns, as the cell does before it is mended."""
    import torch

    x0, noise, kept = case
    given = ask(noisy, *case)
    unmended = kept.sqrt() * x0 + (1 - kept).sqrt() * noise
    return isinstance(given, torch.Tensor) and given.shape == unmended.shape and torch.equal(given, unmended)


def _draw_case() -> Case:
    """Return pictures, noise and one ābar for each picture, drawn at random."""
    import torch

    shape = (BATCH, 1, BATCH, BATCH)
    return torch.randn(shape), torch.randn(shape), 0.05 + 0.9 * torch.rand(BATCH)


@exercise("a test that cannot fail", hint="for which data is the estimate of x₀ right at every step?")
def _cannot_fail(std: object) -> Verdict:
    width = demand_number(std)
    if width == 0.5:
        raise Waiting
    right, wrong = _draw(width, wrong=False), _draw(width, wrong=True)
    apart = max(abs(one - other) for one, other in zip(right, wrong, strict=True))
    told = f"mean and standard deviation differ by {apart:.4f} at most"
    return Verdict(
        width >= 0 and apart <= 1e-3, told, "a width, 0 or more, at which they differ by at most 0.001"
    )


def _draw(std: float, *, wrong: bool) -> tuple[float, float]:
    """Return mean and standard deviation of samples from N(0.7, std²), by the right step or by the course's.

    wrong: take √(1 - ābar)·ε away, where the paper takes β/√(1 - ābar)·ε
    """
    import torch

    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    bar = torch.cumprod(1 - betas, dim=0)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(SAMPLES, generator=generator, dtype=torch.float64)
    for t in reversed(range(1000)):
        kept, rest = bar[t], 1 - bar[t]
        eps = rest.sqrt() * (x - kept.sqrt() * 0.7) / (kept * std**2 + rest)
        share = rest.sqrt() if wrong else betas[t] / rest.sqrt()
        x = (x - share * eps) / (1 - betas[t]).sqrt()
        if t:
            spread = (betas[t] * (1 - bar[t - 1]) / rest).sqrt()
            x = x + spread * torch.randn(SAMPLES, generator=generator, dtype=torch.float64)
    return float(x.mean()), float(x.std())
