"""The reader stage: the attribute reader learns from renders, worsened ones and ones that the VAE decoded.

Axes: B batch, N pictures, A attributes, H and W px.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from workshop import files
from workshop.pocket.model import reader
from workshop.pocket.training import labels
from workshop.pocket.training.examples import stream_marked_dogs
from workshop.pocket.training.latents import (
    encode_renders,
    load_vae,
    single_frame,
    to_pictures,
    to_tensor,
)
from workshop.pocket.training.renders import SIZE, load_held_out, load_training
from workshop.pocket.training.speed import compiled
from workshop.pocket.world import draw
from workshop.pocket.world.scenes import Scene

DECODED = 6000
"""So many training renders are decoded from their latents: the reader must know what the VAE does."""

MARKED = 2000
"""So many dogs with two or three markings are shown to the reader."""


@torch.no_grad()
def decode_renders(folder: Path, device: str) -> np.ndarray:
    """Return the first training renders as the VAE decodes them, uint8 (DECODED, 128, 128, 3), a memory map.

    They are decoded on the first call and kept in `folder`.
    """
    from tqdm.auto import tqdm

    path = Path(folder) / f"decoded-{DECODED}.npy"
    if not path.exists():
        vae, latents = load_vae(folder).to(device), encode_renders(folder, device)
        pictures = np.empty((DECODED, SIZE, SIZE, 3), np.uint8)
        decode = compiled(vae.decode)
        for start in tqdm(range(0, DECODED, 50), desc="decode", unit="batch"):
            part = torch.from_numpy(np.array(latents[start : start + 50])).float().to(device)
            with single_frame(), torch.autocast(device, torch.bfloat16):
                pictures[start : start + 50] = to_pictures(decode(part).float())
        with files.replacing(path) as file:
            np.save(file, pictures)
    return np.load(path, mmap_mode="r")


@torch.no_grad()
def draw_marked_dogs(folder: Path, device: str) -> tuple[list[Scene], np.ndarray]:
    """Return dogs with two or three markings and their pictures, half of them as the VAE decodes them.

    returns: the scenes, and uint8 (MARKED, 128, 128, 3), a memory map of a file in `folder`

    No other stage meets such dogs. The reader must know them when a LoRA has learned to draw one.
    """
    chosen = list(islice(stream_marked_dogs(), MARKED))
    path = Path(folder) / f"marked-{MARKED}.npy"
    if not path.exists():
        vae = load_vae(folder).to(device)
        pictures = np.stack([np.asarray(draw.to_image(scene, SIZE)) for scene in chosen])
        for start in range(0, MARKED, 100):
            with single_frame(), torch.autocast(device, torch.bfloat16):
                latents = vae.encode(to_tensor(pictures[start : start + 50], device))
                pictures[start : start + 50] = to_pictures(vae.decode(latents).float())
        with files.replacing(path) as file:
            np.save(file, pictures)
    return chosen, np.load(path, mmap_mode="r")


def worsen(pictures: torch.Tensor) -> torch.Tensor:
    """Make of renders what a generator might draw, (B, 3, H, W) → (B, 3, H, W).

    All are shifted by up to four pixels, a little brighter or darker, and noisy; half of them are blurred.
    """
    batch = len(pictures)
    shift = torch.randint(-4, 5, (2,)).tolist()
    x = torch.roll(pictures, shift, dims=(2, 3))
    x = x * (0.9 + 0.2 * torch.rand(batch, 1, 1, 1)) + 0.1 * torch.randn(batch, 3, 1, 1) * 0.5
    small = F.interpolate(x[: batch // 2], scale_factor=0.5, mode="area")
    x = torch.cat([F.interpolate(small, size=x.shape[2:], mode="bilinear"), x[batch // 2 :]])
    return x + 0.1 * torch.rand(batch, 1, 1, 1) * torch.randn_like(x)


class ReaderStage:
    """Half of a batch are renders, three eighths are decoded ones, an eighth are dogs with many markings."""

    name, steps, rate, batch, ema = "reader", 3100, 2e-3, 64, 0.99

    def __init__(self, folder: Path, device: str) -> None:
        self.device, self.folder = device, folder
        self.network = reader.Reader().to(device)
        scenes, self.renders = load_training(folder)
        self.decoded = decode_renders(folder, device)
        self.labels = torch.tensor([reader.label_scene(scene) for scene in scenes])
        dogs, self.dogs = draw_marked_dogs(folder, device)
        self.dog_labels = torch.tensor([reader.label_scene(scene) for scene in dogs])
        self.fast_read = compiled(self.network.forward)

    def loss(self, step: int) -> torch.Tensor:
        """Return −log softmax(logits)[label], averaged over attributes, on worsened pictures."""
        rng = np.random.default_rng(step)
        fresh = np.sort(rng.integers(len(self.renders), size=self.batch // 2))
        decoded = np.sort(rng.integers(len(self.decoded), size=self.batch // 2 - self.batch // 8))
        dogs = np.sort(rng.integers(MARKED, size=self.batch // 8))
        chosen = np.concatenate([self.renders[fresh], self.decoded[decoded], self.dogs[dogs]])
        pictures = worsen(to_tensor(chosen)).to(self.device)
        targets = torch.cat([self.labels[np.concatenate([fresh, decoded])], self.dog_labels[dogs]])
        with torch.autocast(self.device, torch.bfloat16):
            logits = self.fast_read(pictures).float()
        return labels.cross_entropy(logits, targets.to(self.device))

    @torch.no_grad()
    def report(self) -> str:
        """Report the share of attributes that are read rightly from 200 held-out renders."""
        scenes, pictures = load_held_out(self.folder)
        targets = torch.tensor([reader.label_scene(scene) for scene in scenes])
        logits = self.network(to_tensor(pictures, self.device)).cpu()
        right = labels.is_correct(logits, targets)[targets > 0]
        return f"{right.float().mean():.4f} of attributes right on held-out renders"
