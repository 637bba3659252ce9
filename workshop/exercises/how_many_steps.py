"""Lab L02: a sampler for eight calls, the midpoint method, the next stop, and a measure that is fooled."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from workshop.exercises.verdict import (
    Verdict,
    Waiting,
    Wrong,
    ask,
    compare,
    demand_number,
    demand_tensor,
    describe,
    exercise,
)

if TYPE_CHECKING:
    import torch

POINTS = 2000  # that the check of a sampler draws
CLOSE, MOST_CALLS = 0.05, 8
SAMPLERS = ("DDIM", "flow, Euler", "flow, Heun")


@exercise("at most eight calls", hint="which row of the table is lowest where calls are few?")
def _eight_calls(answer: object) -> Verdict:
    if answer == ("DDIM", 4):
        raise Waiting
    pair = list(answer) if isinstance(answer, tuple | list) else []
    if len(pair) != 2 or not isinstance(pair[0], str) or pair[0] not in SAMPLERS:
        raise Wrong(f"a name out of {', '.join(SAMPLERS)} and a number is wanted, got {describe(answer)}")
    name, steps = pair[0], demand_number(pair[1], wanted="a whole number of steps")
    if steps != int(steps) or not 1 <= steps <= 1000:
        raise Wrong(f"a whole number of steps from 1 to 1000 is wanted, got {steps:g}")
    calls = 2 * int(steps) - 1 if name == "flow, Heun" else int(steps)
    distance = _measure(name, int(steps))
    told = f"{calls} {'call' if calls == 1 else 'calls'}, distance {distance:.3f}"
    return Verdict(
        calls <= MOST_CALLS and distance <= CLOSE,
        told,
        f"at most {MOST_CALLS} calls and a distance of {CLOSE} or less",
    )


def _measure(name: str, steps: int) -> float:
    """Return how far 2,000 points of a sampler are from the mixture."""
    import torch

    from workshop.labs import mixture

    x, alpha_of = torch.randn(POINTS, 2, generator=torch.Generator().manual_seed(0)), _stay
    if name == "DDIM":  # Euler's method over x/√ābar = x₀ + s·ε
        bars = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), dim=0)
        stops = bars[torch.arange(steps).flip(0) * (1000 // steps)]
        levels = [*((1 - stops) / stops).sqrt().tolist(), 0.0]
        x = x / stops[0].sqrt()
    else:
        levels, alpha_of = torch.linspace(1, 0, steps + 1).tolist(), _shrink

    def ask_exact(x: torch.Tensor, sigma: float) -> torch.Tensor:
        return (x - mixture.expect_clean(x, alpha_of(sigma), sigma)) / sigma

    for now, after in pairwise(levels):
        velocity = ask_exact(x, now)
        if name == "flow, Heun" and after > 0:
            velocity = (velocity + ask_exact(x + (after - now) * velocity, after)) / 2
        x = x + (after - now) * velocity
    return mixture.measure_distance(x, mixture.draw_true(POINTS, seed=0))


def _stay(sigma: float) -> float:
    return 1.0


def _shrink(sigma: float) -> float:
    return 1 - sigma


@exercise("midpoint method", hint="half a step on trial; the velocity there, at the level in the middle")
def _midpoint(sample: Callable[..., Any]) -> Verdict:
    import torch

    def expected(velocity: Callable[..., torch.Tensor], x: torch.Tensor, sigmas: list[float]) -> torch.Tensor:
        for now, after in pairwise(sigmas):
            middle = now + (after - now) / 2
            x = x + (after - now) * velocity(x - (now - middle) * velocity(x, now), middle)
        return x

    walks = [sorted(torch.rand(steps).tolist(), reverse=True) for steps in (1, 2, 5, 9)]
    cases = [(_make_velocity(), torch.randn(4, 2), [*levels, 0.0]) for levels in walks]
    return compare(sample, expected, cases, within=1e-4)


def _make_velocity() -> Callable[[torch.Tensor, float], torch.Tensor]:
    """Return a velocity that turns with x and changes with sigma, drawn at random."""
    import torch

    turn = torch.randn(2, 2)
    return lambda x, sigma: torch.tanh(x @ turn) + math.cos(3 * sigma)


@exercise("the next stop", hint="the next stop is the next entry of the walk, wherever t - 1 may be")
def _next_stop(visit: Callable[..., Any]) -> Verdict:
    import torch

    bars = [torch.rand(size).sort(descending=True).values for size in (1000, 200, 50)]
    walks = [torch.randperm(len(bar))[:8].sort(descending=True).values for bar in bars]
    cases = list(zip([*walks, torch.arange(9, -1, -1)], [*bars, bars[0]], strict=True))
    right = []
    for timesteps, bar in cases:
        stops = [bar[int(t)] for t in timesteps]
        wanted = torch.stack([torch.stack(stops), torch.stack([*stops[1:], torch.ones(())])])
        given = ask(visit, timesteps, bar)
        if not isinstance(given, tuple | list) or len(given) != 2:
            raise Wrong(f"two tensors, ābar here and ābar after, are wanted, got {describe(given)}")
        now, after = (demand_tensor(one, shape=timesteps.shape) for one in given)
        if torch.equal(after, torch.where(timesteps > 0, bar[timesteps - 1], torch.ones(()))) and not (
            torch.equal(after, wanted[1])
        ):
            raise Waiting
        right.append(bool((torch.stack([now, after]) - wanted).abs().max() < 1e-6))
    return Verdict(all(right), f"{sum(right)} of {len(cases)} walks right", f"all {len(cases)} walks")


@exercise("fool the Fréchet distance", hint="whiten the noise, then give it the truth's covariance and mean")
def _fool(make: Callable[..., Any]) -> Verdict:
    import torch

    from workshop.labs import mixture

    truth = mixture.draw_true(POINTS, seed=int(torch.randint(10**6, ())))
    made = demand_tensor(ask(make, torch.randn(POINTS, 2), truth), shape=(POINTS, 2)).detach().to(truth.dtype)
    frechet, sliced = _measure_frechet(made, truth), mixture.measure_distance(made, truth)
    return Verdict(
        frechet < 1e-5 and sliced > CLOSE,
        f"Fréchet {frechet:.6f}, sliced Wasserstein {sliced:.3f}",
        f"Fréchet below 0.00001, sliced Wasserstein above {CLOSE}",
    )


def _measure_frechet(points: torch.Tensor, others: torch.Tensor) -> float:
    """Return the Fréchet distance of two clouds in the plane, each taken for normal.

    In the plane tr (A B)^½ = √(tr A B + 2 √(det A det B)).
    """
    mean = (points.mean(dim=0) - others.mean(dim=0)).square().sum()
    one, other = points.T.cov().double(), others.T.cov().double()
    root = ((one @ other).trace() + 2 * (one.det() * other.det()).clamp(min=0).sqrt()).clamp(min=0).sqrt()
    return float(mean + one.trace() + other.trace() - 2 * root)
