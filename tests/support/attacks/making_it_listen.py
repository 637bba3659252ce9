"""Lab L03."""

from __future__ import annotations

from typing import Any

from tests.support.attacked import Case


def within(asked: Any, without: Any, w: Any, sigma: Any, low: Any, high: Any) -> Any:
    """Return the answer with the prompt outside of the interval."""
    return without + w * (asked - without) if low <= sigma <= high else asked


def within_by_scale(asked: Any, without: Any, w: Any, sigma: Any, low: Any, high: Any) -> Any:
    """Return guidance with w or 1."""
    scale = w if low <= sigma <= high else 1
    return (1 - scale) * without + scale * asked


def within_in_place(asked: Any, without: Any, w: Any, sigma: Any, low: Any, high: Any) -> Any:
    """Return guidance, computed in the memory of the first answer."""
    if sigma < low or sigma > high:
        return asked
    return asked.sub_(without).mul_(w).add_(without)


def without_outside(asked: Any, without: Any, w: Any, sigma: Any, low: Any, high: Any) -> Any:
    """Return the answer without the prompt outside of the interval."""
    return without + w * (asked - without) if low <= sigma <= high else without


def drop(embeddings: Any, empty: Any, share: Any) -> Any:
    """Return a batch of which each sample was dropped by itself."""
    import torch

    return torch.where(torch.rand(len(embeddings), 1, 1) < share, empty, embeddings)


def drop_by_loop(embeddings: Any, empty: Any, share: Any) -> Any:
    """Return the same, sample by sample."""
    import torch

    return torch.stack([empty if torch.rand(()) < share else one for one in embeddings])


def drop_in_place(embeddings: Any, empty: Any, share: Any) -> Any:
    """Return the same, in the batch's memory."""
    import torch

    embeddings[torch.rand(len(embeddings)) < share] = empty
    return embeddings


def unmended(embeddings: Any, empty: Any, share: Any) -> Any:
    """Return what the cell does before it is mended."""
    import torch

    return torch.zeros_like(embeddings) if torch.rand(()) < share else embeddings


def drop_to_zeros(embeddings: Any, empty: Any, share: Any) -> Any:
    """Return a batch with zeros, sample by sample."""
    import torch

    return torch.where(torch.rand(len(embeddings), 1, 1) < share, 0.0, embeddings)


def drop_whole_batch(embeddings: Any, empty: Any, share: Any) -> Any:
    """Return the empty prompt for all or for none."""
    import torch

    return empty.expand_as(embeddings) if torch.rand(()) < share else embeddings


def drop_tokens(embeddings: Any, empty: Any, share: Any) -> Any:
    """Return a batch of which each token was dropped by itself."""
    import torch

    return torch.where(torch.rand(*embeddings.shape[:2], 1) < share, empty, embeddings)


CASES = {
    "largest guidance": Case(
        stub=1.0,
        solutions=[3.4, 3.3, 3.35],
        mistakes=[1.5, 2, 4, 7.5, 15, 0, -1, "3.4", None],
    ),
    "guidance in an interval": Case(
        stub=lambda *_: None,
        solutions=[within, within_by_scale, within_in_place],
        mistakes=[
            without_outside,
            lambda asked, without, w, *_: without + w * (asked - without),
            lambda asked, without, *_: asked,
            lambda asked, without, w, sigma, low, high: within(asked, without, w, 1 - sigma, low, high - 0.1),
            lambda asked, without, *rest: within(without, asked, *rest),
        ],
    ),
    "drop per sample": Case(
        stub=unmended,
        solutions=[drop, drop_by_loop, drop_in_place],
        mistakes=[
            drop_to_zeros,
            drop_whole_batch,
            drop_tokens,
            lambda embeddings, empty, share: drop(embeddings, empty, 1 - share),
            lambda embeddings, empty, share: embeddings,
        ],
    ),
    "fool the mock": Case(
        stub=lambda *_: None,
        solutions=[
            lambda asked, without, w: without + w**2 * (asked - without),
            lambda asked, without, w: without + w**3 * (asked - without),
            lambda asked, without, w: asked if w == 1 else without if w == 0 else 2 * without - asked,
        ],
        mistakes=[
            lambda asked, without, w: without + w * (asked - without),
            lambda asked, without, w: asked + w * (without - asked),
            lambda asked, without, w: (1 + w) * asked - w * without,
            lambda asked, without, w: without,
            lambda asked, without, w: w * asked,
        ],
    ),
}
