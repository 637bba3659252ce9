"""A network that reads attributes from latents: what it looks at, and what it reads, is a loss of the DiT."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F

from workshop.pocket.model import reader
from workshop.pocket.training import checkpoint


class LatentReader(torch.nn.Module):
    """(B, 16, 16, 16) → logits of every class of every attribute, (B, classes)."""

    def __init__(self) -> None:
        super().__init__()
        self.near = torch.nn.Sequential(torch.nn.Conv2d(16, 64, 3, padding=1), reader.Residual(64))
        self.far = torch.nn.Sequential(torch.nn.Conv2d(64, 128, 3, stride=2, padding=1), reader.Residual(128))
        self.hidden = torch.nn.Linear(128 * 8 * 8, 256)
        self.heads = torch.nn.Linear(256, sum(len(values) for values in reader.CLASSES.values()))

    def features(self, latents: torch.Tensor) -> list[torch.Tensor]:
        """What it sees at three scales: every latent pixel, every 2×2 of them, the whole."""
        near = self.near(latents)
        far = self.far(near)
        return [near, far, F.silu(self.hidden(F.silu(far).flatten(1)))]

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return self.heads(self.features(latents)[-1])


def judged(
    network: LatentReader, drawn: torch.Tensor, real: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the network makes of drawn latents, (B, 16, 16, 16), beside the real ones.

    returns: the squared error of its features, relative to those of the real latents, summed over scales,
    (B,); and what it reads in the drawn ones, logits of every class, (B, classes)
    """
    with torch.no_grad():
        wanted = network.features(real)
    found = network.features(drawn)
    errors = [
        (a.float() - b.float()).square().flatten(1).mean(dim=1) / b.float().square().mean().clamp(min=1e-6)
        for a, b in zip(found, wanted, strict=True)
    ]
    return torch.stack(errors).sum(dim=0), network.heads(found[-1])


def load_features(folder: Path) -> LatentReader:
    """The checkpoint.load_trained network, for inference."""
    network = LatentReader()
    network.load_state_dict(checkpoint.load_trained(folder, "feature"))
    return network.eval().requires_grad_(False)
