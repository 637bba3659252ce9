"""The VAE stage: QwenImageVAE at base width 16 learns to compress renders of both finishes, 8× in each
direction.

Axes: B batch, C channels, T frames (always 1), H height, W width; pictures are in [-1, 1].
Source of the architecture: diffsynth 2.1.12, models/qwen_image_vae.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffsynth.models.qwen_image_vae import QwenImageVAE

from workshop.pocket.model.architecture import VAE_KWARGS
from workshop.pocket.training.latents import psnr, single_frame, to_tensor
from workshop.pocket.training.renders import PLAIN, RICH, rendered
from workshop.pocket.training.speed import compiled


def edges(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the differences of neighbouring pixels, down and across: (B, C, H − 1, W), (B, C, H, W − 1)."""
    return x[..., 1:, :] - x[..., :-1, :], x[..., 1:] - x[..., :-1]


def reconstruct(
    vae: QwenImageVAE, pictures: torch.Tensor, noise: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pictures as decoded from noisy latents, and the latents without the noise.

    pictures: (B, 3, H, W) in [-1, 1]; noise: (B, 16, H/8, W/8)
    returns: (B, 3, H, W) and (B, 16, H/8, W/8)
    """
    latents = vae.encode(pictures)
    return vae.decode(latents + noise), latents


class VaeStage:
    """L1 + squared + gradient loss on crops of 64 pixels, with a little noise on the latents."""

    name, steps, rate, batch, ema = "vae", 4000, 2e-3, 32, 0.995
    crop = 64

    def __init__(self, folder: Path, device: str) -> None:
        self.device = device
        self.network = QwenImageVAE(**VAE_KWARGS).to(device)
        self.plain = rendered(folder, PLAIN[0], seed=PLAIN[1])[1]
        self.rich = rendered(folder, RICH[0], seed=RICH[1], rich=True)[1]
        self.fast_reconstruct = compiled(reconstruct)
        self.held_out = rendered(folder, 200, seed=3, test=True)[1][:32]

    def crops(self, step: int) -> torch.Tensor:
        """Return the crops of a step, a quarter of them rich, (B, 3, 64, 64) in [-1, 1]."""
        rng = np.random.default_rng(step)
        cut = []
        for i in range(self.batch):
            source = self.rich if i % 4 == 0 else self.plain
            y, x = rng.integers(0, source.shape[1] - self.crop + 1, 2)
            piece = source[rng.integers(len(source)), y : y + self.crop, x : x + self.crop]
            cut.append(piece[:, ::-1] if rng.random() < 0.5 else piece)
        return to_tensor(np.stack(cut), self.device)

    def loss(self, step: int) -> torch.Tensor:
        """Return mean |e| + 4·mean e² + 0.5·(mean |∂e/∂y| + mean |∂e/∂x|) + 1e-4·mean z².

        e: reconstruction − crop, from latents z with a little noise
        """
        pictures = self.crops(step)
        noise = 0.02 * torch.randn(self.batch, 16, self.crop // 8, self.crop // 8, device=self.device)
        with single_frame(), torch.autocast(self.device, torch.bfloat16):
            decoded, latents = self.fast_reconstruct(self.network, pictures, noise)
        error = decoded.float() - pictures
        slopes = sum(e.abs().mean() for e in edges(error))
        return (
            error.abs().mean()
            + 4 * error.square().mean()
            + 0.5 * slopes
            + 1e-4 * latents.float().square().mean()
        )

    @torch.no_grad()
    def report(self) -> str:
        """Report the mean PSNR of 32 held-out renders in dB."""
        pictures = to_tensor(self.held_out, self.device)
        with single_frame(), torch.autocast(self.device, torch.bfloat16):
            decoded = reconstruct(self.network, pictures, torch.zeros(()))[0].clamp(-1, 1)
        return f"{psnr(decoded, pictures).mean():.2f} dB on held-out renders"
