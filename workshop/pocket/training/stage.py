"""What the training loop asks of a stage."""

from __future__ import annotations

from typing import Protocol

import torch


class Stage(Protocol):
    """One network in training. `steps`, `rate` and `batch` are those of the full run; `ema` 0 keeps no
    average."""

    name: str
    steps: int
    rate: float
    batch: int
    network: torch.nn.Module
    ema: float

    def loss(self, step: int) -> torch.Tensor:
        """The loss of the batch that belongs to this step, a scalar with gradient."""

    def report(self) -> str:
        """One line on how good the network is now, on held-out data."""
