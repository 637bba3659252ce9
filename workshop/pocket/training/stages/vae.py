"""The VAE stage: QwenImageVAE at base width 16 learns to compress renders of both finishes, 8× in each
direction.

Axes: B batch, C channels, T frames (always 1), H height, W width; pictures are in [-1, 1].
Source of the architecture: diffsynth 2.1.12, models/qwen_image_vae.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffsynth.models.qwen_image_vae import QwenImageCausalConv3d, QwenImageVAE

from workshop.pocket.model.architecture import VAE_KWARGS
from workshop.pocket.training.loop import compiled
from workshop.pocket.training.renders import rendered

PLAIN, RICH = (60_000, 1), (12_000, 2)
"""Count and seed of the renders that training sees."""


def to_tensor(pictures: np.ndarray, device: str = "cpu") -> torch.Tensor:
    """uint8 (B, H, W, 3) to float (B, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.array(pictures)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def psnr(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio in dB of each picture of a batch in [-1, 1]: 10·log10(2² / mean squared
    error)."""
    return 10 * torch.log10(4 / (a.float() - b.float()).square().mean(dim=(1, 2, 3)))


def _forward_2d(self: QwenImageCausalConv3d, x: torch.Tensor, cache_x: None = None) -> torch.Tensor:
    if cache_x is not None or x.shape[2] != 1:
        raise ValueError(f"single_frame() is for one frame without a cache, got {x.shape[2]} frames.")
    height = self._padding[2]
    return F.conv2d(x[:, :, 0], self.weight[:, :, -1], self.bias, self.stride[1:], height).unsqueeze(2)


@contextmanager
def single_frame() -> Iterator[None]:
    """Compute the causal 3-D convolutions as 2-D ones.

    A causal convolution pads time with zeros in front, so for one frame only the kernel's last slice meets
    data: the result is the same, and faster on a CPU (FACTS 3).
    """
    original = QwenImageCausalConv3d.forward
    QwenImageCausalConv3d.forward = _forward_2d
    try:
        yield
    finally:
        QwenImageCausalConv3d.forward = original


def edges(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x[..., 1:, :] - x[..., :-1, :], x[..., 1:] - x[..., :-1]


def reconstruct(
    vae: QwenImageVAE, pictures: torch.Tensor, noise: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, 3, H, W) → its reconstruction from noisy latents, and the latents without the noise."""
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
        """One batch of crops, a quarter of them rich."""
        rng = np.random.default_rng(step)
        cut = []
        for i in range(self.batch):
            source = self.rich if i % 4 == 0 else self.plain
            y, x = rng.integers(0, source.shape[1] - self.crop + 1, 2)
            piece = source[rng.integers(len(source)), y : y + self.crop, x : x + self.crop]
            cut.append(piece[:, ::-1] if rng.random() < 0.5 else piece)
        return to_tensor(np.stack(cut), self.device)

    def loss(self, step: int) -> torch.Tensor:
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
        pictures = to_tensor(self.held_out, self.device)
        with single_frame(), torch.autocast(self.device, torch.bfloat16):
            decoded = reconstruct(self.network, pictures, torch.zeros(()))[0].clamp(-1, 1)
        return f"{psnr(decoded, pictures).mean():.2f} dB on held-out renders"


def make(name: str, folder: Path, device: str) -> VaeStage:
    return VaeStage(folder, device)


@torch.no_grad()
def normalise(vae: QwenImageVAE, pictures: torch.Tensor) -> None:
    """Fold a shift and scale per channel into the 1×1 convolutions around the latents, so that they have mean
    0, variance 1.

    pictures: (B, 3, H, W) in [-1, 1], a sample of what the model will see

    What the VAE decodes does not change; the class's own constants stay as they are.
    """
    with single_frame():
        latents = torch.cat([vae.encode(part) for part in pictures.split(64)])
    mean, std = latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3))
    class_mean, class_std = vae.mean.flatten(), 1 / vae.std.flatten()
    # encode returns (q - class_mean) / class_std; we want ((q - class_mean) / class_std - mean) / std
    scale = 1 / std
    shift = class_mean - scale * (class_mean + class_std * mean)
    weight, bias = vae.quant_conv.weight, vae.quant_conv.bias
    weight[:16] *= scale.view(-1, 1, 1, 1, 1)
    bias[:16] = bias[:16] * scale + shift
    weight, bias = vae.post_quant_conv.weight, vae.post_quant_conv.bias
    bias += (weight.flatten(1) * (-shift / scale)).sum(dim=1)
    weight /= scale.view(1, -1, 1, 1, 1)
