"""The feature stage: a small network learns to read attributes from latents, for the loss of all that draws.

Axes: B batch, A attributes. Latents are (B, 16, 16, 16), normalised, as the DiT sees them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from workshop.pocket.model import reader
from workshop.pocket.training import labels
from workshop.pocket.training.features import LatentReader
from workshop.pocket.training.latents import encode_renders, load_vae, single_frame, to_tensor
from workshop.pocket.training.renders import load_held_out, load_training
from workshop.pocket.training.speed import autocast, compiled


class FeatureStage:
    """The latent reader learns from the latents of plain renders, with noise."""

    name, steps, rate, batch, ema = "feature", 1000, 2e-3, 96, 0.99

    def __init__(self, folder: Path, device: str) -> None:
        self.device, self.folder = device, folder
        self.network = LatentReader().to(device)
        self.latents = encode_renders(folder, device)
        self.labels = torch.tensor([reader.label_scene(scene) for scene in load_training(folder)[0]])
        self.fast_read = compiled(self.network.forward)

    def loss(self, step: int) -> torch.Tensor:
        """Return −log softmax(logits)[label], averaged over attributes, on noisy latents."""
        chosen = np.sort(np.random.default_rng(step).integers(len(self.latents), size=self.batch))
        latents = torch.from_numpy(self.latents[chosen]).float().to(self.device)
        latents = latents + 0.5 * torch.rand(self.batch, 1, 1, 1) * torch.randn_like(latents)
        with autocast(self.device):
            logits = self.fast_read(latents).float()
        return labels.cross_entropy(logits, self.labels[chosen].to(self.device))

    @torch.no_grad()
    def report(self) -> str:
        """Report the share of attributes that are read rightly from 100 held-out latents."""
        scenes, pictures = load_held_out(self.folder)
        with single_frame():
            latents = load_vae(self.folder).encode(to_tensor(pictures[:100])).to(self.device)
        targets = torch.tensor([reader.label_scene(scene) for scene in scenes[:100]])
        right = labels.is_correct(self.network(latents).cpu(), targets)[targets > 0]
        return f"{right.float().mean():.4f} of attributes right on held-out latents"
