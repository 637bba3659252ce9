"""The reader stage: the attribute reader learns from renders, blurred and noisy ones, and renders that
went through the VAE."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from workshop.pocket.model import reader
from workshop.pocket.training.latents import encoded, load_vae, single_frame, to_tensor
from workshop.pocket.training.renders import PLAIN, SIZE, rendered
from workshop.pocket.training.speed import compiled
from workshop.pocket.world import draw, scenes

DECODED = 6000
"""How many training renders are decoded from their latents, so that the reader knows what the VAE does to
a picture."""

MARKED = 2000
"""How many dogs with more than one marking it sees."""


@torch.no_grad()
def decoded(folder: Path, device: str) -> np.ndarray:
    """The first training renders after a round trip through the VAE, uint8 (DECODED, 128, 128, 3); made
    on the first call."""
    from tqdm.auto import tqdm

    path = Path(folder) / f"decoded-{DECODED}.npy"
    if not path.exists():
        vae, latents = load_vae(folder).to(device), encoded(folder, device)
        pictures = np.empty((DECODED, SIZE, SIZE, 3), np.uint8)
        decode = compiled(vae.decode)
        for start in tqdm(range(0, DECODED, 50), desc="decode", unit="batch"):
            part = torch.from_numpy(np.asarray(latents[start : start + 50])).float().to(device)
            with single_frame(), torch.autocast(device, torch.bfloat16):
                pixels = decode(part).float()
            pixels = ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1)
            pictures[start : start + 50] = pixels.cpu().numpy()
        np.save(path, pictures)
    return np.load(path, mmap_mode="r")


@torch.no_grad()
def marked(folder: Path, device: str) -> tuple[list[scenes.Scene], np.ndarray]:
    """Dogs with two or three markings, which no other stage ever sees, and their pictures, half of them after
    a round trip through the VAE: the reader must know them when a LoRA has learned to draw one."""
    chosen = list(islice(many_markings(), MARKED))
    path = Path(folder) / f"marked-{MARKED}.npy"
    if not path.exists():
        vae = load_vae(folder).to(device)
        pictures = np.stack([np.asarray(draw.to_image(scene, SIZE)) for scene in chosen])
        for start in range(0, MARKED, 100):
            with single_frame(), torch.autocast(device, torch.bfloat16):
                pixels = vae.decode(vae.encode(to_tensor(pictures[start : start + 50], device))).float()
            pixels = ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1)
            pictures[start : start + 50] = pixels.cpu().numpy()
        np.save(path, pictures)
    return chosen, np.load(path, mmap_mode="r")


def many_markings() -> Iterator[scenes.Scene]:
    """Endless dogs with two or three markings; the same everywhere."""
    rng = random.Random(6)
    for scene in scenes.stream(6, kind="dog"):
        chosen = tuple(name for name in scenes.MARKINGS if rng.random() < 0.75)
        if len(chosen) > 1:
            yield replace(scene, dog=replace(scene.dog, markings=chosen))


def worsen(pictures: torch.Tensor) -> torch.Tensor:
    """Shift by up to four pixels, change brightness a little, blur half of them, add noise: pictures a
    generator might make."""
    batch = len(pictures)
    shift = torch.randint(-4, 5, (2,)).tolist()
    x = torch.roll(pictures, shift, dims=(2, 3))
    x = x * (0.9 + 0.2 * torch.rand(batch, 1, 1, 1)) + 0.1 * torch.randn(batch, 3, 1, 1) * 0.5
    small = F.interpolate(x[: batch // 2], scale_factor=0.5, mode="area")
    x = torch.cat([F.interpolate(small, size=x.shape[2:], mode="bilinear"), x[batch // 2 :]])
    return x + 0.1 * torch.rand(batch, 1, 1, 1) * torch.randn_like(x)


class ReaderStage:
    name, steps, rate, batch, ema = "reader", 3100, 2e-3, 64, 0.99

    def __init__(self, folder: Path, device: str) -> None:
        self.device, self.folder = device, folder
        self.network = reader.Reader().to(device)
        self.scenes, self.renders = rendered(folder, PLAIN[0], seed=PLAIN[1])
        self.decoded = decoded(folder, device)
        self.labels = torch.tensor([reader.label_scene(scene) for scene in self.scenes])
        dogs, self.dogs = marked(folder, device)
        self.dog_labels = torch.tensor([reader.label_scene(scene) for scene in dogs])
        self.fast_read = compiled(self.network.forward)

    def loss(self, step: int) -> torch.Tensor:
        rng = np.random.default_rng(step)
        fresh = np.sort(rng.integers(len(self.renders), size=self.batch // 2))
        through = np.sort(rng.integers(len(self.decoded), size=self.batch // 2 - self.batch // 8))
        dogs = np.sort(rng.integers(MARKED, size=self.batch // 8))
        shown = np.concatenate([self.renders[fresh], self.decoded[through], self.dogs[dogs]])
        pictures = worsen(to_tensor(shown)).to(self.device)
        labels = torch.cat([self.labels[np.concatenate([fresh, through])], self.dog_labels[dogs]])
        labels = labels.to(self.device)
        with torch.autocast(self.device, torch.bfloat16):
            parts = reader.split_by_attribute(self.fast_read(pictures).float())
        return torch.stack([F.cross_entropy(part, labels[:, i]) for i, part in enumerate(parts)]).mean()

    @torch.no_grad()
    def report(self) -> str:
        shown, renders = rendered(self.folder, 200, seed=3, test=True)
        parts = reader.split_by_attribute(self.network(to_tensor(renders, self.device)))
        best = torch.stack([part.argmax(1) for part in parts], dim=1).cpu()
        labels = torch.tensor([reader.label_scene(scene) for scene in shown])
        right = (best == labels)[labels > 0]
        return f"{right.float().mean():.4f} of attributes right on held-out renders"
