"""The VAE's side of training: pictures as tensors, and their latents on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffsynth.models.qwen_image_vae import QwenImageCausalConv3d, QwenImageVAE

from workshop import files
from workshop.pocket.model.architecture import VAE_KWARGS
from workshop.pocket.training import checkpoint
from workshop.pocket.training.renders import PLAIN, RICH, rendered
from workshop.pocket.training.speed import compiled


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


def load_vae(folder: Path) -> QwenImageVAE:
    """The checkpoint.load_trained VAE with normalised latents, in float32, for inference."""
    vae = QwenImageVAE(**VAE_KWARGS)
    if not checkpoint.exists(folder, "vae"):
        vae.load_state_dict(checkpoint.load_shipped("Qwen-Image/vae/diffusion_pytorch_model.safetensors"))
        return vae.eval().requires_grad_(False)
    vae.load_state_dict(checkpoint.load_trained(folder, "vae"))
    normalise(vae, to_tensor(rendered(folder, PLAIN[0], seed=PLAIN[1])[1][:512]))
    return vae.eval().requires_grad_(False)


@torch.no_grad()
def encoded(folder: Path, device: str, *, rich: bool = False) -> np.ndarray:
    """The latents of all training renders of one finish, float16 (N, 16, 16, 16), as a memory map; made on
    the first call."""
    count, seed = RICH if rich else PLAIN
    path = Path(folder) / ("latents-rich.npy" if rich else "latents.npy")
    return latents_of(folder, device, rendered(folder, count, seed=seed, rich=rich)[1], path)


@torch.no_grad()
def latents_of(folder: Path, device: str, pictures: np.ndarray, path: Path) -> np.ndarray:
    """The latents of pictures, float16 (N, 16, 16, 16), in the file at `path`."""
    vae = load_vae(folder).to(device)
    encode = compiled(vae.encode)

    def latents(some: np.ndarray) -> torch.Tensor:
        with single_frame(), torch.autocast(device, torch.bfloat16):
            return encode(to_tensor(some, device))

    return mapped(path, pictures, latents, shape=(16, 16, 16))


def mapped(
    path: Path,
    pictures: np.ndarray,
    function: Callable[[np.ndarray], torch.Tensor],
    *,
    shape: tuple[int, ...],
) -> np.ndarray:
    """What `function` makes of every picture, 50 at a time, float16 (N, *shape) in a file that is read as a
    memory map; made on the first call."""
    from tqdm.auto import tqdm

    if not path.exists():
        with files.replacing_path(path) as part:
            made = np.lib.format.open_memmap(part, "w+", np.float16, (len(pictures), *shape))
            for start in tqdm(range(0, len(pictures), 50), desc=path.stem, unit="batch"):
                made[start : start + 50] = function(pictures[start : start + 50]).half().cpu().numpy()
            made.flush()
    return np.load(path, mmap_mode="r")
