"""The ArtAug stage: a LoRA on the base, from rich renders."""

from __future__ import annotations

from pathlib import Path

import torch

from workshop.pocket.training.stages.base import SCENE_ABOVE, BaseStage, Words


class ArtAugStage(BaseStage):
    """A LoRA on the base, from rich renders of the same world: another finish, the same scene."""

    name, steps, rate, batch, ema = "artaug", 450, 1e-3, 32, 0.99
    rank, begins = 32, "base"
    rich, shown_below, read_below = True, SCENE_ABOVE, SCENE_ABOVE

    def __init__(self, folder: Path, device: str) -> None:
        super().__init__(folder, device)
        self.base = self.begin(rank=0).to(device).requires_grad_(False)

    @torch.no_grad()
    def wanted(
        self, velocity: torch.Tensor, mixed: torch.Tensor, sigma: torch.Tensor, *, words: Words, fast: bool
    ) -> torch.Tensor:
        """The velocity of the render; where the scene is decided, what the base alone predicts."""
        base = self.predict(mixed, sigma, words, (), fast=fast, network=self.base)[0]
        return torch.where(sigma.view(-1, 1, 1, 1) < SCENE_ABOVE, velocity, base)
