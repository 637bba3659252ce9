"""The reader of digits: a small convolutional network that never sees a drawn digit in its training.

Axes: B pictures of 1×16×16 image px in [-1, 1].
"""

from __future__ import annotations

import torch
from torch import nn


def make_reader() -> nn.Sequential:
    """Return an untrained reader: (B, 1, 16, 16) to (B, 10) scores."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(512, 10),
    )


@torch.no_grad()
def read(reader: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    """Return the digit, (B,), that the reader sees in each picture."""
    return reader.eval()(pictures).argmax(dim=1)
