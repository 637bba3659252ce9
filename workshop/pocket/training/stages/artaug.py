"""The ArtAug stage: a LoRA on the base learns another finish from rich renders, and leaves the scene alone.

Axes: B batch. Latents are (B, 16, 16, 16).
"""

from __future__ import annotations

from pathlib import Path

import torch

from workshop.pocket.training.flow import Words
from workshop.pocket.training.recipes import SCENE_ABOVE
from workshop.pocket.training.stages.base import BaseStage


class ArtAugStage(BaseStage):
    """The base stage on rich renders, with a LoRA."""

    def __init__(self, folder: Path, device: str) -> None:
        super().__init__(folder, device, "artaug")
        self.base = self.begin(rank=0).to(device).requires_grad_(False)

    @torch.no_grad()
    def regression_target(
        self, velocity: torch.Tensor, mixed: torch.Tensor, sigma: torch.Tensor, *, words: Words, fast: bool
    ) -> torch.Tensor:
        """Return the velocity of the render; above SCENE_ABOVE, what the base alone predicts.

        target = velocity where sigma < SCENE_ABOVE, else base(x_sigma)

        velocity, mixed: (B, 16, 16, 16); sigma: (B,)
        returns: (B, 16, 16, 16)
        """
        base = self.predict(mixed, sigma, words, fast=fast, network=self.base)[0]
        return torch.where(sigma.view(-1, 1, 1, 1) < SCENE_ABOVE, velocity, base)
