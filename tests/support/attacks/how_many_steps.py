"""Lab L02."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from tests.support.attacked import Case


def midpoint(velocity: Any, x: Any, sigmas: Any) -> Any:
    """Return the end of the walk, the trial written out."""
    for now, after in pairwise(sigmas):
        half = (now + after) / 2
        trial = x + (half - now) * velocity(x, now)
        x = x + (after - now) * velocity(trial, half)
    return x


def midpoint_by_index(velocity: Any, x: Any, sigmas: Any) -> Any:
    """Return the end of the walk, step by number."""
    for place in range(len(sigmas) - 1):
        step = sigmas[place] - sigmas[place + 1]
        inside = velocity(x - step / 2 * velocity(x, sigmas[place]), sigmas[place] - step / 2)
        x = x - step * inside
    return x


def midpoint_in_place(velocity: Any, x: Any, sigmas: Any) -> Any:
    """Return the end of the walk, in the memory of x and with the list used up."""
    now = sigmas.pop(0)
    while sigmas:
        after = sigmas.pop(0)
        x.add_((after - now) * velocity(x + (after - now) / 2 * velocity(x, now), (after + now) / 2))
        now = after
    return x


def heun(velocity: Any, x: Any, sigmas: Any) -> Any:
    """Return the end of Heun's walk."""
    for now, after in pairwise(sigmas):
        slope = velocity(x, now)
        x = x + (after - now) * (slope + velocity(x + (after - now) * slope, after)) / 2
    return x


def euler(velocity: Any, x: Any, sigmas: Any) -> Any:
    """Return the end of Euler's walk."""
    for now, after in pairwise(sigmas):
        x = x + (after - now) * velocity(x, now)
    return x


def midpoint_at_the_start(velocity: Any, x: Any, sigmas: Any) -> Any:
    """Return the end of a walk that asks at the trial, and with the step's first level."""
    for now, after in pairwise(sigmas):
        x = x + (after - now) * velocity(x + (after - now) / 2 * velocity(x, now), now)
    return x


def visit(timesteps: Any, alpha_bar: Any) -> Any:
    """Return both, shifted by one stop."""
    import torch

    now = alpha_bar[timesteps]
    return now, torch.cat([now[1:], torch.ones(1)])


def visit_by_loop(timesteps: Any, alpha_bar: Any) -> Any:
    """Return both, stop by stop."""
    import torch

    now = [alpha_bar[t] for t in timesteps]
    return [torch.stack(now), torch.stack([*now[1:], torch.tensor(1.0)])]


def visit_rolled(timesteps: Any, alpha_bar: Any) -> Any:
    """Return both, rolled."""
    now = alpha_bar[timesteps]
    after = now.roll(-1)
    after[-1] = 1.0
    return now, after


def unmended(timesteps: Any, alpha_bar: Any) -> Any:
    """Return what the cell computes before it is mended."""
    import torch

    after = torch.where(timesteps > 0, alpha_bar[timesteps - 1], torch.ones(()))
    return alpha_bar[timesteps], after


def repeat_the_last(timesteps: Any, alpha_bar: Any) -> Any:
    """Return both, with the last stop twice."""
    import torch

    now = alpha_bar[timesteps]
    return now, torch.cat([now[1:], now[-1:]])


def end_at_the_first(timesteps: Any, alpha_bar: Any) -> Any:
    """Return both, with ābar of t = 0 after the last."""
    import torch

    now = alpha_bar[timesteps]
    return now, torch.cat([now[1:], alpha_bar[:1]])


def recolour(noise: Any, truth: Any) -> Any:
    """Return noise with the truth's mean and covariance, by Cholesky's factors."""
    import torch

    white = torch.linalg.inv(torch.linalg.cholesky(noise.T.cov()))
    colour = torch.linalg.cholesky(truth.T.cov())
    return truth.mean(dim=0) + (noise - noise.mean(dim=0)) @ (colour @ white).T


def turn_axes(noise: Any, truth: Any) -> Any:
    """Return noise with the truth's mean and spread, along the main axes of each."""
    import torch

    spreads, axes = zip(*(torch.linalg.eigh(one.T.cov()) for one in (noise, truth)), strict=True)
    along = (noise - noise.mean(dim=0)) @ axes[0] / spreads[0].sqrt()
    return truth.mean(dim=0) + along * spreads[1].sqrt() @ axes[1].T


def draw_ellipse(noise: Any, truth: Any) -> Any:
    """Return points of two heaps on a diagonal, recoloured."""
    import torch

    return recolour(noise * 0.3 + torch.where(noise[:, :1] > 0, 2.0, -2.0), truth)


CASES = {
    "at most eight calls": Case(
        stub=("DDIM", 4),
        solutions=[("flow, Euler", 8), ["flow, Heun", 4], ("flow, Euler", 7)],
        mistakes=[
            ("DDIM", 8),
            ("DDIM", 50),
            ("flow, Heun", 8),
            ("flow, Euler", 4),
            ("flow, Euler", 100),
            ("flow, Euler", 7.5),
            ("flow, Euler", 0),
            ("Euler", 8),
            (8, "flow, Euler"),
        ],
    ),
    "midpoint method": Case(
        stub=lambda velocity, x, sigmas: None,
        solutions=[midpoint, midpoint_by_index, midpoint_in_place],
        mistakes=[heun, euler, midpoint_at_the_start, lambda v, x, s: midpoint(v, x, s[:-1])],
    ),
    "the next stop": Case(
        stub=unmended,
        solutions=[visit, visit_by_loop, visit_rolled],
        mistakes=[
            repeat_the_last,
            end_at_the_first,
            lambda timesteps, bar: visit(timesteps, bar)[::-1],
            lambda timesteps, bar: (visit(timesteps, bar)[1],) * 2,
        ],
    ),
    "fool the Fréchet distance": Case(
        stub=lambda noise, truth: None,
        solutions=[recolour, turn_axes, draw_ellipse],
        mistakes=[
            lambda noise, truth: noise,
            lambda noise, truth: truth,
            lambda noise, truth: truth.flip(0),
            lambda noise, truth: noise * truth.std(),
            lambda noise, truth: truth.mean(dim=0).expand(2000, 2),
        ],
    ),
}
