"""Attributes as classes: the label of each, and the losses over them.

Axes: B batch, S tokens, A attributes (25), classes of all attributes together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F

from workshop.pocket.world import scenes

CLASSES = {name: ("free", *values) for name, values in scenes.ATTRIBUTES.items()}
"""The classes of every attribute: its values, and "free" where a caption leaves it free."""

COUNT = sum(len(values) for values in CLASSES.values())
"""Classes of all attributes together: the width of a layer that answers for each."""


def to_label_numbers(named: Mapping[str, str]) -> list[int]:
    """Return the class of every attribute, in the order of CLASSES; 0 where it is free.

    >>> to_label_numbers({"kind": "dog"})[:2]
    [5, 0]
    """
    return [classes.index(named.get(name, "free")) for name, classes in CLASSES.items()]


def to_tensor(rows: Sequence[Mapping[str, str]], device: str = "cpu") -> torch.Tensor:
    """Return the classes of several captions or scenes, (B, A) int64."""
    return torch.tensor([to_label_numbers(named) for named in rows], device=device)


def split(logits: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Split logits, (…, classes), into one part per attribute, (…, classes of the attribute)."""
    return logits.split([len(values) for values in CLASSES.values()], dim=-1)


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return −log softmax(logits)[target], averaged over attributes and batch: "free" is an answer, too.

    logits: (B, classes), targets: (B, A); returns: () float32
    """
    parts = split(logits.float())
    return torch.stack([F.cross_entropy(part, targets[:, i]) for i, part in enumerate(parts)]).mean()


def is_correct(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return whether the likeliest class of each attribute is its target, (B, A) bool.

    logits: (B, classes), targets: (B, A)
    """
    return torch.stack([part.argmax(1) for part in split(logits)], dim=1) == targets


def named_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how well each token knows what a caption names; what it leaves free is not asked.

    −log softmax(logits)[target], averaged over tokens and named attributes

    logits: (B, S, classes), targets: (B, A), 0 where free
    returns: that mean, and the share of right answers, both ()
    """
    parts = split(logits)
    named = (targets > 0).float()[:, None]
    total = torch.stack([part.logsumexp(-1) for part in parts], dim=-1)
    chosen = targets[:, None].expand(-1, logits.shape[1], -1)
    picked = torch.stack([p.gather(-1, chosen[..., i, None])[..., 0] for i, p in enumerate(parts)], dim=-1)
    right = torch.stack([part.argmax(-1) for part in parts], dim=-1) == chosen
    asked = (named.sum() * logits.shape[1]).clamp(min=1)
    return ((total - picked) * named).sum() / asked, (right * named).sum() / asked
