"""Pictures as tensors, the trained VAE, and latents on disk.

Axes: B batch, N pictures, C channels, H and W px; latents are (B, 16, 16, 16).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffsynth.models.qwen_image_vae import QwenImageCausalConv3d, QwenImageRMS_norm, QwenImageVAE

from workshop import files, frame
from workshop.pocket.model.architecture import VAE_KWARGS
from workshop.pocket.training import checkpoint, renders
from workshop.pocket.training.speed import autocast, compiled


def to_tensor(pictures: np.ndarray, device: str = "cpu") -> torch.Tensor:
    """Scale pictures: uint8 (B, H, W, 3) → float (B, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.array(pictures)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pictures(pixels: torch.Tensor) -> np.ndarray:
    """Round pixels: float (B, 3, H, W) in [-1, 1] → uint8 (B, H, W, 3)."""
    return ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def psnr(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the peak signal-to-noise ratio of each picture in dB: 10·log10(2² / mean (a − b)²).

    a, b: (B, 3, H, W) in [-1, 1]; returns: (B,)
    """
    return 10 * torch.log10(4 / (a.float() - b.float()).square().mean(dim=(1, 2, 3)))


# The VAE


class _Norm(torch.autograd.Function):
    """y = u·w with u = x / |x| over the channels. Written out, the backward pass needs a third of the memory
    traffic: dx = (g·w − u·(u·g·w)) / |x|."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """Compute u·w: x (B, C, T, H, W) and w (C, 1, 1, 1) → (B, C, T, H, W)."""
        inverse = torch.linalg.vector_norm(x, dim=1, keepdim=True).clamp_min_(1e-12).reciprocal_()
        unit = x * inverse
        ctx.save_for_backward(unit, inverse, w)
        return unit * w

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the gradients of x, (B, C, T, H, W), and w, (C, 1, 1, 1), from g, that of y."""
        unit, inverse, w = ctx.saved_tensors
        along = g * unit
        for_w = along.sum(dim=(0, *range(2, g.dim())), keepdim=True)[0]
        along = along.mul_(w).sum(dim=1, keepdim=True)
        return (g * w).addcmul_(unit, along, value=-1).mul_(inverse), for_w


def _forward_norm(self: QwenImageRMS_norm, x: torch.Tensor) -> torch.Tensor:
    return _Norm.apply(x, (self.gamma * self.scale).to(x.dtype)) + self.bias


@contextmanager
def single_frame() -> Iterator[None]:
    """Compute the causal 3-D convolutions as 2-D ones, and norms with a backward pass of their own.

    A causal convolution pads time with zeros in front, so for one frame only the kernel's last slice meets
    data: the result is the same, and faster on a CPU.
    """
    originals = QwenImageCausalConv3d.forward, QwenImageRMS_norm.forward
    QwenImageCausalConv3d.forward, QwenImageRMS_norm.forward = _forward_2d, _forward_norm
    try:
        yield
    finally:
        QwenImageCausalConv3d.forward, QwenImageRMS_norm.forward = originals


def _forward_2d(self: QwenImageCausalConv3d, x: torch.Tensor, cache_x: None = None) -> torch.Tensor:
    """Convolve one frame: (B, C, 1, H, W) → (B, channels out, 1, H, W)."""
    if cache_x is not None or x.shape[2] != 1:
        raise ValueError(f"single_frame() is for one frame without a cache, got {x.shape[2]} frames.")
    return frame.convolve(self, x)


@torch.no_grad()
def normalise(vae: QwenImageVAE, pictures: torch.Tensor) -> None:
    """Give every latent channel mean 0 and variance 1, in place; decoded pictures stay as they are.

    pictures: (B, 3, H, W) in [-1, 1], a sample of what the model will see

    A shift and a scale per channel are folded into the 1×1 convolutions around the latents, q → (q − mean) /
    std and back. The class's own constants stay.
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


def load_vae(folder: Path) -> QwenImageVAE:
    """Return the trained VAE with normalised latents, in float32, for inference; else the shipped one.

    The stages `decoder` and `sharpen` begin with what there is and keep its encoder.
    """
    vae = QwenImageVAE(**VAE_KWARGS)
    if checkpoint.exists(folder, "sharpen"):
        weights = checkpoint.load_trained(folder, "sharpen")
        own = {key: value for key, value in weights.items() if key.startswith("vae.")}  # without the critic
        vae.load_state_dict({key.removeprefix("vae."): value for key, value in own.items()})
    elif checkpoint.exists(folder, "decoder"):
        vae.load_state_dict(checkpoint.load_trained(folder, "decoder"))
    elif checkpoint.exists(folder, "vae"):
        vae.load_state_dict(checkpoint.load_trained(folder, "vae"))
        normalise(vae, to_tensor(renders.load_training(folder)[1][:512]))
    else:
        vae.load_state_dict(checkpoint.load_shipped(checkpoint.SHIPPED_VAE))
    return vae.eval().requires_grad_(False)


# Latents on disk


def encode_renders(folder: Path, device: str, *, rich: bool = False) -> np.ndarray:
    """Return the latents of all N training renders of one finish, float16 (N, 16, 16, 16), a memory map."""
    path = Path(folder) / ("latents-rich.npy" if rich else "latents.npy")
    return encode_pictures(folder, device, renders.load_training(folder, rich=rich)[1], path)


@torch.no_grad()
def encode_pictures(folder: Path, device: str, pictures: np.ndarray, path: Path) -> np.ndarray:
    """Return the latents of pictures, a memory map of the file at `path`.

    pictures: uint8 (N, H, W, 3), H = W = 128
    returns: float16 (N, 16, 16, 16)
    """
    vae = load_vae(folder).to(device)
    encode = compiled(vae.encode)

    def latents(some: np.ndarray) -> torch.Tensor:
        """Encode uint8 pictures, (B, H, W, 3), as (B, 16, 16, 16)."""
        with single_frame(), autocast(device):
            return encode(to_tensor(some, device))

    return map_pictures(path, pictures, latents, shape=(16, 16, 16))


def map_pictures(
    path: Path,
    pictures: np.ndarray,
    function: Callable[[np.ndarray], torch.Tensor],
    *,
    shape: tuple[int, ...],
) -> np.ndarray:
    """Return what `function` makes of pictures, 50 at a time; computed once and kept in the file at `path`.

    pictures: uint8 (N, H, W, 3); function: (50, H, W, 3) → (50, *shape)
    returns: float16 (N, *shape), a read-only memory map
    """
    from tqdm.auto import tqdm

    if not path.exists():
        with files.replacing_path(path) as part:
            made = np.lib.format.open_memmap(part, "w+", np.float16, (len(pictures), *shape))
            for start in tqdm(range(0, len(pictures), 50), desc=path.stem, unit="batch"):
                made[start : start + 50] = function(pictures[start : start + 50]).half().cpu().numpy()
            made.flush()
    return np.load(path, mmap_mode="r")
