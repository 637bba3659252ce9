"""The feature stage: a small network learns to read attributes from latents; what it looks at, and what it
reads, becomes a loss.

The squared error of a velocity weighs every latent alike, so a pair of glasses counts as little as a patch of
sky. The features of a network that must tell glasses from none weigh them as people do (Johnson et al. 2016,
perceptual losses; Berrada et al. 2024, in latent space), and what it reads is right or wrong whatever its
size. Only training uses it; pictures are judged by another network (`reader`), from their pixels.

Axes: B batch, C channels (16), H and W (16). Latents are normalised, as the DiT sees them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from workshop.pocket.model import reader
from workshop.pocket.training.loop import compiled, trained
from workshop.pocket.training.renders import rendered
from workshop.pocket.training.stages.base import encoded, load_vae
from workshop.pocket.training.stages.vae import PLAIN, single_frame, to_tensor


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
    """The trained network, for inference."""
    network = LatentReader()
    network.load_state_dict(trained(folder, "feature"))
    return network.eval().requires_grad_(False)


class FeatureStage:
    name, steps, rate, batch, ema = "feature", 1000, 2e-3, 96, 0.99

    def __init__(self, folder: Path, device: str) -> None:
        self.device, self.folder = device, folder
        self.network = LatentReader().to(device)
        self.latents = encoded(folder, device)
        self.labels = torch.tensor(
            [reader.targets(scene) for scene in rendered(folder, PLAIN[0], seed=PLAIN[1])[0]]
        )
        self.fast_read = compiled(self.network.forward)

    def loss(self, step: int) -> torch.Tensor:
        chosen = np.sort(np.random.default_rng(step).integers(len(self.latents), size=self.batch))
        latents = torch.from_numpy(self.latents[chosen]).float().to(self.device)
        latents = latents + 0.5 * torch.rand(self.batch, 1, 1, 1) * torch.randn_like(latents)
        with torch.autocast(self.device, torch.bfloat16):
            parts = reader.per_attribute(self.fast_read(latents).float())
        labels = self.labels[chosen].to(self.device)
        return torch.stack([F.cross_entropy(part, labels[:, i]) for i, part in enumerate(parts)]).mean()

    @torch.no_grad()
    def report(self) -> str:
        shown, renders = rendered(self.folder, 200, seed=3, test=True)
        with single_frame():
            latents = load_vae(self.folder).encode(to_tensor(renders[:100])).to(self.device)
        parts = reader.per_attribute(self.network(latents))
        best = torch.stack([part.argmax(1) for part in parts], dim=1).cpu()
        labels = torch.tensor([reader.targets(scene) for scene in shown[:100]])
        right = (best == labels)[labels > 0]
        return f"{right.float().mean():.4f} of attributes right on held-out latents"


def make(name: str, folder: Path, device: str) -> FeatureStage:
    return FeatureStage(folder, device)
