"""Lab L03: the largest guidance, guidance in an interval, the drop per sample, and a mock that is fooled."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from workshop.exercises.verdict import (
    Verdict,
    Waiting,
    ask,
    compare,
    demand_number,
    demand_tensor,
    exercise,
)

if TYPE_CHECKING:
    import torch

POINTS, INSIDE, REACH = 2000, 0.95, 2.5  # of the heap's widths
NEAR = 0.3


@exercise("largest guidance", hint="the share falls from w=2 to w=4: halve the interval a few times")
def _largest(answer: object) -> Verdict:
    scale = demand_number(answer, wanted="a guidance scale")
    if scale == 1.0:
        raise Waiting
    kept, more = _share_inside(scale), _share_inside(scale + NEAR)
    return Verdict(
        scale > 1 and kept >= INSIDE > more,
        f"{kept:.1%} inside at {scale:g}, {more:.1%} at {scale + NEAR:g}",
        f"{INSIDE:.0%} or more, and less than that {NEAR} higher",
    )


def _share_inside(scale: float) -> float:
    """Return which share of guided points ends within 2.5 widths of heap 0, over 50 levels of DDPM."""
    import torch

    from workshop.labs import mixture

    x = torch.randn(POINTS, 2, generator=torch.Generator().manual_seed(0))
    bars = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), dim=0)[torch.arange(980, -1, -20)]
    mode, width = mixture.MODES[0], mixture.WIDTH
    for now, after in pairwise([*bars.tolist(), 1.0]):
        alpha, sigma = now**0.5, (1 - now) ** 0.5
        of_heap = mode + alpha * width**2 / (alpha**2 * width**2 + sigma**2) * (x - alpha * mode)
        of_all = mixture.expect_clean(x, alpha, sigma)
        x0 = of_all + scale * (of_heap - of_all)
        x = after**0.5 * x0 + (1 - after) ** 0.5 * (x - alpha * x0) / sigma
    return float(((x - mode).norm(dim=1) < REACH * width).float().mean())


@exercise("guidance in an interval", hint="outside of the interval w is 1: the answer with the prompt")
def _interval(guide: Callable[..., Any]) -> Verdict:
    import torch

    def expected(
        asked: torch.Tensor, without: torch.Tensor, w: float, sigma: float, low: float, high: float
    ) -> torch.Tensor:
        return without + (w if low <= sigma <= high else 1.0) * (asked - without)

    places = [
        (0.5, 0.2, 0.8),
        (0.1, 0.2, 0.8),
        (0.9, 0.2, 0.8),
        (0.2, 0.2, 0.8),
        (0.8, 0.2, 0.8),
        (1.0, 0.0, 1.0),
    ]
    cases = [(*torch.randn(2, 3, 4), 2 + float(torch.rand(())) * 8, *place) for place in places]
    return compare(guide, expected, cases, within=1e-4)


@exercise(
    "drop per sample", hint="one dice a sample, of shape (batch, 1, 1); torch.where with the empty prompt"
)
def _drop(drop: Callable[..., Any]) -> Verdict:
    import torch

    embeddings, empty = torch.randn(400, 5, 6), torch.randn(5, 6)
    shares, wrong = [], 0
    for wanted in (0.1, 0.5, 0.0, 1.0):
        answer = demand_tensor(ask(drop, embeddings, empty, wanted), shape=embeddings.shape)
        gone = (answer == empty).flatten(1).all(dim=1)
        kept = (answer == embeddings).flatten(1).all(dim=1)
        wrong += int((~(gone | kept)).sum())
        shares.append((float(gone.float().mean()), wanted))
    if wrong and _is_stub(drop, embeddings, empty):
        raise Waiting
    # 400 samples: a share of 0.5 varies by 0.025, one of 0.1 by 0.015
    near = all(abs(share - wanted) <= 0.1 * (0 < wanted < 1) for share, wanted in shares)
    mixed = 0 < shares[0][0] < 0.3 and 0.3 < shares[1][0] < 0.7
    told = ", ".join(f"{share:.0%} for {wanted:.0%}" for share, wanted in shares)
    return Verdict(
        near and mixed and not wrong,
        f"dropped {told}; {wrong} samples are neither kept nor the empty prompt",
        "10%, 50%, 0% and 100% of a batch, about; every sample kept or the empty prompt",
    )


def _is_stub(drop: Callable[..., Any], embeddings: torch.Tensor, empty: torch.Tensor) -> bool:
    """Return whether a drop is the cell's: zeros for the whole batch."""
    import torch

    zeros = torch.zeros_like(embeddings)
    tries = [ask(drop, embeddings, empty, 0.5) for _ in range(8)] + [ask(drop, embeddings, empty, 1.0)]
    return torch.equal(tries[-1], zeros) and all(
        torch.equal(one, zeros) or torch.equal(one, embeddings) for one in tries
    )


@exercise("fool the mock", hint="w times the difference is right; what else is 0 at 0 and 1 at 1?")
def _fool(line: Callable[..., Any]) -> Verdict:
    import torch

    asked, without = torch.randn(2, 1, 4, 8, 8)

    def off(w: float) -> float:
        answer = demand_tensor(ask(line, asked, without, w), shape=asked.shape)
        return float((answer - (without + w * (asked - without))).abs().max())

    mock = max(
        float((demand_tensor(ask(line, asked, asked, w), shape=asked.shape) - asked).abs().max())
        for w in (0.0, 1.0, 7.5, 100.0)
    )
    ends, others = max(off(0.0), off(1.0)), min(off(w) for w in (0.5, 2.0, 4.0, 7.5))
    return Verdict(
        mock < 1e-3 and ends < 1e-4 and others > 0.1,
        f"mock {'passed' if mock < 1e-3 else 'failed'}; off by {ends:.2g} at 0 and 1, else {others:.2g}",
        "the mock passed, off by 0 at 0 and 1, and by more than 0.1 elsewhere",
    )
