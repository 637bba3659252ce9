"""Attributes as classes: what a caption or a scene says of each, and the losses over them."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from workshop.pocket.world import scenes

CLASSES = {name: ("free", *values) for name, values in scenes.ATTRIBUTES.items()}
"""What a head can answer per attribute: its values, or that the caption leaves it free."""


def answers(named: dict[str, str]) -> list[int]:
    """The class of every attribute, in the order of CLASSES."""
    return [classes.index(named.get(name, "free")) for name, classes in CLASSES.items()]


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean over attributes. logits: (B, classes), targets: (B, attributes)"""
    parts = logits.float().split([len(values) for values in CLASSES.values()], dim=1)
    return torch.stack([F.cross_entropy(part, targets[:, i]) for i, part in enumerate(parts)]).mean()


def hits(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Whether each answer is right, (B, attributes)."""
    parts = logits.split([len(values) for values in CLASSES.values()], dim=1)
    return torch.stack([part.argmax(1) for part in parts], dim=1) == targets


def asked_loss(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What image tokens know of the attributes a caption names; what it leaves free is not asked.

    logits: (B, S, classes), targets: (B, attributes), 0 where free
    returns: the mean cross-entropy and the share of right answers, over tokens and named attributes
    """
    parts = logits.split([len(values) for values in CLASSES.values()], dim=-1)
    named = (targets > 0).float()[:, None]
    total = torch.stack([part.logsumexp(-1) for part in parts], dim=-1)
    chosen = targets[:, None].expand(-1, logits.shape[1], -1)
    picked = torch.stack([p.gather(-1, chosen[..., i, None])[..., 0] for i, p in enumerate(parts)], dim=-1)
    right = torch.stack([part.argmax(-1) for part in parts], dim=-1) == chosen
    asked = (named.sum() * logits.shape[1]).clamp(min=1)
    return ((total - picked) * named).sum() / asked, (right * named).sum() / asked
