"""The decoder stage: the VAE's decoder learns to draw clean pictures from latents as the DiT leaves them.

The encoder, and with it what latents mean, stays as it is; so every DiT, edit model and LoRA goes on working.
A drawn picture's latents are softer than a render's (`redraws`). Most latents in training are such ones, and
the target is the render itself: the decoder learns to put an edge where a soft one is meant, and eyes where
two smudges are.

Axes: B batch, C channels, H height, W width; pictures are in [-1, 1], latents are (B, 16, H/8, W/8).
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from diffsynth.models.qwen_image_vae import QwenImageVAE

from workshop.pocket.measure import faces, looks
from workshop.pocket.model.architecture import VAE_KWARGS
from workshop.pocket.training.crops import Crops
from workshop.pocket.training.latents import load_vae, psnr, single_frame, to_pictures, to_tensor
from workshop.pocket.training.redraws import redrawn
from workshop.pocket.training.speed import autocast
from workshop.pocket.training.stages.vae import (
    PERCEPTION,
    Perception,
    log_light,
    measure_error,
    reconstruction_loss,
)

ENOUGH = {"plain": (3_600, 1), "rich": (1_400, 2)}
"""Count and seed of the renders that are redrawn."""

HELD_OUT, FACES_OF_A_KIND = 64, 4
"""So many held-out renders of each finish, and scenes of each kind in every skin tone, are reported on."""

REDRAWN, RICH = 0.6, 0.3
"""Shares of crops that come from redrawn latents, and from rich renders."""

GRID = 8
"""px of one latent: crops begin at multiples of it."""


def redrawn_loss(decoded: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """Return the loss of pictures x̂ of redrawn latents, (B, 3, H, W) in [-1, 1], a scalar.

    m(x̂ − x) + 0.5 · m(log_light(x̂) − log_light(x)), with m = measure_error

    There is no squared error: where the DiT moved an edge, the median of what may be there is a clean
    edge, and the mean a blurred one.
    """
    dark = log_light(decoded) - log_light(pictures)
    return measure_error(decoded - pictures) + 0.5 * measure_error(dark)


class DecoderStage:
    """Reconstruction, redrawing and perception loss on crops of 64 pixels; the encoder is frozen."""

    name, steps, rate, batch, ema = "decoder", 6_000, 4e-4, 16, 0.998
    crop = 64
    enough: ClassVar = ENOUGH

    def __init__(self, folder: Path, device: str) -> None:
        self.device = device
        self.vae = QwenImageVAE(**VAE_KWARGS).to(device)
        self.vae.load_state_dict(load_vae(folder).state_dict())
        self.vae.requires_grad_(False)
        for part in (self.vae.decoder, self.vae.post_quant_conv):
            part.requires_grad_(True)
        self.network: torch.nn.Module = self.vae
        self.perception = Perception().to(device)
        self.sources = {finish: self._read(folder, finish) for finish in self.enough}
        self.held_out = {
            finish: redrawn(folder, HELD_OUT, seed=3, test=True, rich=finish == "rich")[1:]
            for finish in self.enough
        }
        self.faces = {
            finish: [
                faces.render_faces(kind, FACES_OF_A_KIND, seed=4, rich=finish == "rich")
                for kind in faces.KINDS
            ]
            for finish in self.enough
        }

    def _read(self, folder: Path, finish: str) -> tuple[Crops, tuple[np.ndarray, np.ndarray]]:
        """Return where to cut, and the latents of renders and of redrawn pictures, each (N, 16, 16, 16)."""
        count, seed = self.enough[finish]
        chosen, pictures, own, drawn = redrawn(folder, count, seed=seed, rich=finish == "rich")
        return Crops(chosen, pictures), (own, drawn)

    def crops(self, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Cut the crops of one step: latents (B, 16, 8, 8), pictures (B, 3, 64, 64), is redrawn (B,)."""
        rng, latents, pictures, redrawings = random.Random(step), [], [], []
        side = self.crop // GRID
        for _ in range(self.batch):
            crops, states = self.sources["rich" if rng.random() < RICH else "plain"]
            anew = rng.random() < REDRAWN
            index, x, y = crops.choose_place(self.crop, rng)
            column, row = x // GRID, y // GRID
            latents.append(states[anew][index, :, row : row + side, column : column + side])
            x, y = column * GRID, row * GRID
            pictures.append(crops.pictures[index, y : y + self.crop, x : x + self.crop])
            redrawings.append(anew)
        z = torch.from_numpy(np.stack(latents)).float().to(self.device)
        return z, to_tensor(np.stack(pictures), self.device), torch.tensor(redrawings, device=self.device)

    def loss(self, step: int) -> torch.Tensor:
        """Return what is wrong with the decoded crops of a step, a scalar."""
        latents, pictures, anew = self.crops(step)
        with single_frame(), autocast(self.device):
            decoded = self.vae.decode(latents).float()
        return self.measure(decoded, pictures, anew)

    def measure(self, decoded: torch.Tensor, pictures: torch.Tensor, anew: torch.Tensor) -> torch.Tensor:
        """Return the mean over crops of the loss of their kind, + 0.1 · Perception, a scalar.

        decoded, pictures: (B, 3, H, W) in [-1, 1]; anew: whether a crop's latents were redrawn, (B,)
        """
        with autocast(self.device):
            total = PERCEPTION * self.perception(decoded, pictures).float()
        share = anew.float().mean()
        if anew.any():
            total = total + share * redrawn_loss(decoded[anew], pictures[anew])
        if not anew.all():
            total = total + (1 - share) * reconstruction_loss(decoded[~anew], pictures[~anew])
        return total

    @torch.no_grad()
    def decode(self, latents: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Decode latents, (B, 16, H, W), as pictures, (B, 3, 8·H, 8·W) in [-1, 1]."""
        with single_frame():
            parts = torch.as_tensor(latents).float().to(self.device).split(8)
            return torch.cat([self.vae.decode(part).float().clamp(-1, 1) for part in parts])

    @torch.no_grad()
    def copy(self, pictures: np.ndarray) -> np.ndarray:
        """Return what the VAE makes of pictures, uint8 (B, H, W, 3)."""
        with single_frame():
            parts = [self.vae.encode(part) for part in to_tensor(pictures, self.device).split(8)]
        return to_pictures(self.decode(torch.cat(parts)))

    def report(self) -> str:
        """Report dB and finest looks, own and redrawn, and what is kept and lost of light/tan/dark faces."""
        lines = []
        for finish, (pictures, own, drawn) in self.held_out.items():
            target = to_tensor(pictures, self.device)
            for kind, latents in (("own", own), ("redrawn", drawn)):
                made = self.decode(np.array(latents))
                far = next(iter(looks.distances(made.cpu(), target.cpu()).values()))
                lines.append(f"{finish} {kind} {psnr(made, target).mean():.2f} dB looks {1000 * far:.0f}")
        for finish, kinds in self.faces.items():
            for shown in kinds:
                figures = shown.copy(self.copy).values()
                kept = "/".join(f"{f.kept:.2f}" for f in figures)
                lost = "/".join(f"{f.unexplained:.2f}" for f in figures)
                lines.append(f"{finish} {shown.kind} kept {kept} lost {lost}")
        return "; ".join(lines)
