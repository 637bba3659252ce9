"""A network that reads attributes from latents. Its features, and what it reads, become losses of the DiT.

The squared error of a velocity weighs every latent alike, so a pair of glasses counts as little as a patch of
sky. The features of a network that must tell glasses from none weigh them as people do (Johnson et al. 2016,
perceptual losses; Berrada et al. 2024, in latent space), and what it reads is right or wrong whatever its
size. Only training uses it; pictures are judged by another network (`workshop.pocket.model.reader`), from
their pixels.

Axes: B batch, C channels (16), H and W (16). Latents are normalised, as the DiT sees them.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F

from workshop.pocket.model import reader
from workshop.pocket.training import checkpoint, labels


class LatentReader(torch.nn.Module):
    """Latents, (B, 16, 16, 16) → logits of every class of every attribute, (B, classes)."""

    def __init__(self) -> None:
        super().__init__()
        self.near = torch.nn.Sequential(torch.nn.Conv2d(16, 64, 3, padding=1), reader.Residual(64))
        self.far = torch.nn.Sequential(torch.nn.Conv2d(64, 128, 3, stride=2, padding=1), reader.Residual(128))
        self.hidden = torch.nn.Linear(128 * 8 * 8, 256)
        self.heads = torch.nn.Linear(256, labels.COUNT)

    def features(self, latents: torch.Tensor) -> list[torch.Tensor]:
        """Return features at three scales: (B, 64, 16, 16), (B, 128, 8, 8) and (B, 256).

        latents: (B, 16, 16, 16)
        """
        near = self.near(latents)
        far = self.far(near)
        return [near, far, F.silu(self.hidden(F.silu(far).flatten(1)))]

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """Return logits of every class: (B, 16, 16, 16) → (B, classes)."""
        return self.heads(self.features(latents)[-1])


def compare_latents(
    network: LatentReader, drawn: torch.Tensor, real: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the feature error of drawn latents, and what the network reads in them.

    error = Σ over scales of mean (f(drawn) − f(real))² / mean f(real)², the divisor over the whole batch

    drawn, real: (B, 16, 16, 16)
    returns: the error of each, (B,), and logits, (B, classes)
    """
    with torch.no_grad():
        wanted = network.features(real)
    found = network.features(drawn)
    errors = [
        (a.float() - b.float()).square().flatten(1).mean(dim=1) / b.float().square().mean().clamp(min=1e-6)
        for a, b in zip(found, wanted, strict=True)
    ]
    return torch.stack(errors).sum(dim=0), network.heads(found[-1])


def load_latent_reader(folder: Path) -> LatentReader:
    """Return the network of the stage `feature`, for inference."""
    network = LatentReader()
    network.load_state_dict(checkpoint.load_trained(folder, "feature"))
    return network.eval().requires_grad_(False)
