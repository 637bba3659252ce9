"""The reader stage: the attribute reader learns from renders, worsened ones and ones that the VAE decoded.

Axes: B batch, N pictures, A attributes, H and W px.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    load_vae,
    single_frame,
    to_pictures,
    to_tensor,
)
from workshop.pocket.training.renders import PLAIN, RICH, drawn, load_held_out, rendered
from workshop.pocket.training.speed import autocast, compiled
from workshop.pocket.world.scenes import Scene

ENOUGH = {"plain": (16_000, PLAIN[1]), "rich": (1_400, RICH[1])}
"""Count and seed of the renders that the reader sees."""

DECODED = {"plain": 1_800, "rich": 600}
"""So many renders are shown as the VAE decodes them, too: the reader must know what the VAE does."""

MARKED = 2000
"""So many dogs with two or three markings are shown to the reader."""


def decode_renders(folder: Path, device: str, finish: str, pictures: np.ndarray) -> np.ndarray:
    """Return the first renders of a finish as the VAE shows them, uint8 (N, 128, 128, 3), a memory map."""
    count = DECODED[finish]
    return pass_through_vae(folder, device, pictures[:count], Path(folder) / f"decoded-{finish}-{count}.npy")


def draw_marked_dogs(folder: Path, device: str) -> tuple[list[Scene], np.ndarray]:
    """Return dogs with two or three markings and their pictures, half of them as the VAE shows them.

    returns: the scenes, and uint8 (MARKED, 128, 128, 3)

    No other stage meets such dogs. The reader must know them when a LoRA has learned to draw one.
    """
    chosen = list(islice(stream_marked_dogs(), MARKED))
    pictures = drawn(Path(folder) / f"renders-marked-{MARKED}.npy", chosen)
    copies = pass_through_vae(folder, device, pictures[::2], Path(folder) / f"marked-{MARKED}.npy")
    mixed = np.array(pictures)
    mixed[::2] = copies
    return chosen, mixed


@torch.no_grad()
def pass_through_vae(folder: Path, device: str, pictures: np.ndarray, path: Path) -> np.ndarray:
    """Return pictures, uint8 (N, 128, 128, 3), as the VAE shows them; computed once, kept in the file."""
    from tqdm.auto import tqdm

    if not path.exists():
        vae, copies = load_vae(folder).to(device), np.empty_like(pictures)
        for start in tqdm(range(0, len(pictures), 50), desc=path.stem, unit="batch"):
            part = to_tensor(pictures[start : start + 50], device)
            with single_frame(), autocast(device):
                copies[start : start + 50] = to_pictures(vae.decode(vae.encode(part)).float())
        with files.replacing(path) as file:
            np.save(file, copies)
    return np.load(path, mmap_mode="r")


def label_scenes(scenes: Sequence[Scene]) -> torch.Tensor:
    """Return what a reader should say of each scene, (N, A)."""
    return torch.tensor([reader.label_scene(scene) for scene in scenes])


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
    """Half of a batch are renders, three eighths are decoded ones, an eighth are dogs with many markings.

    A quarter of the renders and of the decoded ones have the rich finish.
    """

    name, steps, rate, batch, ema = "reader", 3100, 2e-3, 64, 0.99

    def __init__(self, folder: Path, device: str) -> None:
        self.device, self.folder = device, folder
        self.network = reader.Reader().to(device)
        self.sources = list(self._read_sources())
        self.fast_read = compiled(self.network.forward)

    def _read_sources(self) -> Iterator[tuple[float, np.ndarray, torch.Tensor]]:
        """Yield each source: its share of a batch, its pictures, (N, 128, 128, 3), and labels, (N, A)."""
        for finish, part in (("plain", 3 / 4), ("rich", 1 / 4)):
            count, seed = ENOUGH[finish]
            scenes, renders = rendered(self.folder, count, seed=seed, rich=finish == "rich")
            answers = label_scenes(scenes)
            decoded = decode_renders(self.folder, self.device, finish, renders)
            yield part / 2, renders, answers
            yield part * 3 / 8, decoded, answers[: len(decoded)]
        scenes, pictures = draw_marked_dogs(self.folder, self.device)
        yield 1 / 8, pictures, label_scenes(scenes)

    def loss(self, step: int) -> torch.Tensor:
        """Return −log softmax(logits)[label], averaged over attributes, on worsened pictures."""
        rng = np.random.default_rng(step)
        pictures, targets = [], []
        for share, shown, answers in self.sources:
            chosen = np.sort(rng.integers(len(shown), size=round(share * self.batch)))
            pictures.append(shown[chosen])
            targets.append(answers[chosen])
        worse = worsen(to_tensor(np.concatenate(pictures))).to(self.device)
        with autocast(self.device):
            logits = self.fast_read(worse).float()
        return labels.cross_entropy(logits, torch.cat(targets).to(self.device))

    @torch.no_grad()
    def report(self) -> str:
        """Report the share of attributes that are read rightly from 200 held-out renders."""
        scenes, pictures = load_held_out(self.folder)
        targets = label_scenes(scenes)
        logits = self.network(to_tensor(pictures, self.device)).cpu()
        right = labels.is_correct(logits, targets)[targets > 0]
        return f"{right.float().mean():.4f} of attributes right on held-out renders"
