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
from workshop.pocket.training.features import LatentReader
from workshop.pocket.training.latents import encoded, load_vae, single_frame, to_tensor
from workshop.pocket.training.renders import PLAIN, rendered
from workshop.pocket.training.speed import compiled


class FeatureStage:
    name, steps, rate, batch, ema = "feature", 1000, 2e-3, 96, 0.99

    def __init__(self, folder: Path, device: str) -> None:
        self.device, self.folder = device, folder
        self.network = LatentReader().to(device)
        self.latents = encoded(folder, device)
        self.labels = torch.tensor(
            [reader.label_scene(scene) for scene in rendered(folder, PLAIN[0], seed=PLAIN[1])[0]]
        )
        self.fast_read = compiled(self.network.forward)

    def loss(self, step: int) -> torch.Tensor:
        chosen = np.sort(np.random.default_rng(step).integers(len(self.latents), size=self.batch))
        latents = torch.from_numpy(self.latents[chosen]).float().to(self.device)
        latents = latents + 0.5 * torch.rand(self.batch, 1, 1, 1) * torch.randn_like(latents)
        with torch.autocast(self.device, torch.bfloat16):
            parts = reader.split_by_attribute(self.fast_read(latents).float())
        labels = self.labels[chosen].to(self.device)
        return torch.stack([F.cross_entropy(part, labels[:, i]) for i, part in enumerate(parts)]).mean()

    @torch.no_grad()
    def report(self) -> str:
        shown, renders = rendered(self.folder, 200, seed=3, test=True)
        with single_frame():
            latents = load_vae(self.folder).encode(to_tensor(renders[:100])).to(self.device)
        parts = reader.split_by_attribute(self.network(latents))
        best = torch.stack([part.argmax(1) for part in parts], dim=1).cpu()
        labels = torch.tensor([reader.label_scene(scene) for scene in shown[:100]])
        right = (best == labels)[labels > 0]
        return f"{right.float().mean():.4f} of attributes right on held-out latents"
