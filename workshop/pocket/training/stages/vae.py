"""The VAE stage: QwenImageVAE at base width 16 learns to compress renders of both finishes, 8× in each
direction.

Axes: B batch, C channels, H height, W width; pictures are in [-1, 1], latents are (B, 16, H/8, W/8).
Source of the architecture: diffsynth 2.1.12, models/qwen_image_vae.py. Latents that are equivariant under
scaling and turning: EQ-VAE, arXiv 2502.09509.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffsynth.models.qwen_image_vae import QwenImageVAE

from workshop.pocket.measure import faces
from workshop.pocket.model import reader
from workshop.pocket.model.architecture import VAE_KWARGS
from workshop.pocket.training.crops import Crops
from workshop.pocket.training.latents import psnr, single_frame, to_pictures, to_tensor
from workshop.pocket.training.renders import PLAIN, RICH, rendered
from workshop.pocket.training.speed import autocast

ENOUGH = {"plain": (16_000, PLAIN[1]), "rich": (6_000, RICH[1])}
"""Count and seed of the renders that this stage cuts its crops from."""

DARK = 0.06
"""Of the range 0 to 1: where `log_light` bends. An error on dark skin (0.3) weighs three times that on
white."""

NOISE = 0.08
"""The most, in standard deviations, of the noise on latents; how much is drawn anew for each crop."""

EQUIVARIANT = 0.25
"""Share of steps whose latents are turned, mirrored or shrunk before they are decoded."""

PERCEPTION, SIZE_OF_LATENTS = 0.1, 1e-3
"""Weights of the loss in features, and of the mean square of the latents."""


def compute_slopes(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Subtract each pixel from the next, downwards and to the right: (B, C, H-1, W) and (B, C, H, W-1)."""
    return x[..., 1:, :] - x[..., :-1, :], x[..., 1:] - x[..., :-1]


def log_light(pictures: torch.Tensor) -> torch.Tensor:
    """Put pictures, (B, C, H, W) in [-1, 1], on a scale on which equal ratios of light are equal steps.

    log((x + 1)/2 + DARK)
    """
    return torch.log((pictures.clamp(min=-1) + 1) / 2 + DARK)


def measure_error(error: torch.Tensor) -> torch.Tensor:
    """Return mean |e| + 0.5 · mean |∇e| of an error of shape (B, C, H, W), a scalar."""
    down, right = compute_slopes(error)
    return error.abs().mean() + 0.5 * (down.abs().mean() + right.abs().mean())


def reconstruction_loss(decoded: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """Return the loss of copies x̂ of pictures x, both (B, 3, H, W) in [-1, 1], a scalar.

    m(x̂ − x) + 4 · mean (x̂ − x)² + 0.5 · m(log_light(x̂) − log_light(x)), with m = measure_error
    """
    error = decoded - pictures
    dark = log_light(decoded) - log_light(pictures)
    return measure_error(error) + 4 * error.square().mean() + 0.5 * measure_error(dark)


class Perception(torch.nn.Module):
    """L1 between features of the reader's first two stages, each scaled to unit variance.

    They see lines and corners, and know nothing yet of what a picture shows; so weights that were trained on
    other renders serve as well.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stages = reader.load().stages[:2]

    def forward(self, decoded: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        """Return Σ mean |f(x̂) − f(x)| / std f(x), ().

        decoded, pictures: (B, 3, H, W), x̂ and x in [-1, 1]
        """
        loss, x, y = torch.zeros((), device=decoded.device), decoded, pictures
        for stage in self.stages:
            x, y = stage(x), stage(y)
            loss = loss + ((x - y).abs().mean() / y.detach().std())
        return loss


def transform(x: torch.Tensor, way: str) -> torch.Tensor:
    """Turn, mirror or shrink latents or pictures, (B, C, H, W); leave them for any other word."""
    if way == "turn":
        return x.rot90(1, (2, 3))
    if way == "mirror":
        return x.flip(3)
    if way == "shrink":
        return F.interpolate(x, scale_factor=0.5, mode="area")
    return x


class VaeStage:
    """Reconstruction and perception loss on crops of 64 pixels; latents noisy, at times transformed.

    Forward and backward on one core of an EPYC with avx512_bf16, crops per second of its time: float32 30,
    bfloat16 31; with the norm of `single_frame` and channels last, 36 and 39. torch.compile took 7 minutes to
    begin and was no faster there, so this stage does without.
    """

    name, steps, rate, batch, ema = "vae", 20_000, 6e-4, 16, 0.998
    crop = 64

    def __init__(self, folder: Path, device: str) -> None:
        self.device = device
        self.network = QwenImageVAE(**VAE_KWARGS).to(device)
        self.perception = Perception().to(device)
        self.sources = [
            Crops(*rendered(folder, count, seed=seed, rich=finish == "rich"))
            for finish, (count, seed) in ENOUGH.items()
        ]
        self.held_out = {
            finish: rendered(folder, 32, seed=3, test=True, rich=finish == "rich")[1] for finish in ENOUGH
        }
        self.faces = {
            finish: [faces.render_faces(kind, 6, seed=4, rich=finish == "rich") for kind in faces.KINDS]
            for finish in ENOUGH
        }

    def crops(self, step: int) -> torch.Tensor:
        """Cut the crops of one step, a quarter of them rich: (B, 3, 64, 64)."""
        rng = random.Random(step)
        cut = [self.sources[int(i % 4 == 0)].cut(self.crop, rng) for i in range(self.batch)]
        return to_tensor(np.stack(cut), self.device)

    def loss(self, step: int) -> torch.Tensor:
        """Return reconstruction_loss + 0.1 · Perception + 1e-3 · mean z² of latents z, a scalar."""
        pictures = self.crops(step)
        rng = random.Random(-step)
        way = rng.choice(("turn", "mirror", "shrink")) if rng.random() < EQUIVARIANT else "as is"
        size = (self.batch, 16, self.crop // 8, self.crop // 8)
        strength = NOISE * torch.rand(self.batch, 1, 1, 1, device=self.device)
        noise = strength * torch.randn(size, device=self.device)
        with single_frame(), autocast(self.device):
            latents = self.network.encode(pictures.contiguous(memory_format=torch.channels_last))
            decoded = self.network.decode(transform(latents + noise, way))
            target = transform(pictures, way)
            perceived = self.perception(decoded, target)
        latents_size = latents.float().square().mean()
        loss = reconstruction_loss(decoded.float(), target)
        return loss + PERCEPTION * perceived.float() + SIZE_OF_LATENTS * latents_size

    @torch.no_grad()
    def copy(self, pictures: np.ndarray) -> torch.Tensor:
        """Return what the VAE makes of pictures, uint8 (B, H, W, 3): (B, 3, H, W) in [-1, 1]."""
        with single_frame(), autocast(self.device):
            parts = [
                self.network.decode(self.network.encode(part)).float().clamp(-1, 1)
                for part in to_tensor(pictures, self.device).split(8)
            ]
        return torch.cat(parts)

    def report(self) -> str:
        """Report PSNR in dB of each finish, and what is kept and lost of light/tan/dark faces by kind."""
        lines = []
        for finish, pictures in self.held_out.items():
            quality = psnr(self.copy(pictures), to_tensor(pictures, self.device))
            lines.append(f"{quality.mean():.2f} dB {finish}")
        for finish, kinds in self.faces.items():
            for shown in kinds:
                figures = shown.copy(lambda some: to_pictures(self.copy(some))).values()
                kept = "/".join(f"{f.kept:.2f}" for f in figures)
                lost = "/".join(f"{f.unexplained:.2f}" for f in figures)
                lines.append(f"{finish} {shown.kind} kept {kept} lost {lost}")
        return "; ".join(lines)
