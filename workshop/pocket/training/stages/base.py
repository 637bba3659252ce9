"""The base stage: the pocket DiT learns to turn noise into the latents of plain renders, guided by captions.

Axes: B batch, C channels (16), S tokens, D width. Latents are (B, 16, 16, 16); 2×2 of them make one of 64
image tokens.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from workshop.pocket.training.encoder import encode_text
from workshop.pocket.training.examples import (
    CaptionExamples,
    Example,
    choose_workshop_scenes,
    cut_by_length,
)
from workshop.pocket.training.flow import FlowStage, Losses, Words
from workshop.pocket.training.latents import (
    encode_pictures,
    encode_renders,
    load_vae,
    single_frame,
    to_tensor,
)
from workshop.pocket.training.renders import drawn, load_held_out, load_training
from workshop.pocket.training.speed import autocast, compiled
from workshop.pocket.world import captions
from workshop.prompts import Caption


class BaseStage(FlowStage[Example]):
    """The DiT draws what captions say."""

    def __init__(self, folder: Path, device: str, name: str = "base") -> None:
        super().__init__(name, folder, device)
        self.scenes = load_training(folder, rich=self.recipe.rich)[0]
        self.latents = encode_renders(folder, device, rich=self.recipe.rich)
        workshop = self.add_workshop_scenes() if name == "base" else 0
        self.examples = CaptionExamples(self.scenes, workshop=workshop)
        self.fast_encode = compiled(encode_text)
        self.held_out: torch.Tensor | None = None

    def add_workshop_scenes(self) -> int:
        """Put scenes that match the workshop's prompts behind the others; return how many there are."""
        chosen = choose_workshop_scenes()
        pictures = drawn(Path(self.folder) / "renders-workshop.npy", chosen)
        latents = encode_pictures(
            self.folder, self.device, pictures, Path(self.folder) / "latents-workshop.npy"
        )
        self.latents = np.concatenate([self.latents, latents])
        self.scenes = [*self.scenes, *chosen]
        return len(chosen)

    def draw_batches(self, index: int) -> list[list[Example]]:
        """Return eight batches, each of captions of similar length."""
        rng = random.Random(index)
        examples = self.examples.draw(rng, self.pool * self.batch)
        lengths = self.prompts.count([example.caption.text for example in examples])
        batches = cut_by_length(examples, lengths, self.batch)
        return rng.sample(batches, len(batches))

    def loss(self, step: int) -> torch.Tensor:
        """Return the loss of this process's share of the batch."""
        batch = self.local_batch(step)
        latents = self.stack([self.latents[example.target] for example in batch])
        wanted = [example.caption for example in batch]
        return self.caption_losses(latents, wanted, finish=self.is_finish(step)).total

    def caption_losses(
        self,
        latents: torch.Tensor,
        batch_captions: Sequence[Caption],
        *,
        finish: bool = False,
        for_report: bool = False,
    ) -> Losses:
        """Return the losses of pictures with their captions; `finish`, `for_report` as in `compute_losses`.

        latents: (B, 16, 16, 16)
        """
        words = self.encode_prompts([caption.text for caption in batch_captions], fast=not for_report)
        asked = [caption.named for caption in batch_captions]
        return self.compute_losses(latents, words, asked, finish=finish, for_report=for_report)

    @torch.no_grad()
    def encode_prompts(self, texts: Sequence[str], *, fast: bool = True) -> Words:
        """Return what the pipeline hands to the DiT, (B, S, D), and the lengths, (B,)."""
        ids, lengths = self.prompts.encode_prompts(texts, multiple=8)
        with autocast(self.device):
            template, ids = self.prompts.template.to(self.device), ids.to(self.device)
            torch._dynamo.mark_dynamic(ids, 1)  # one compilation for prompts of every length
            encode = self.fast_encode if fast else encode_text
            hidden = encode(self.encoder.model.language_model, template, ids)
        return hidden.float(), lengths

    @torch.no_grad()
    def report(self) -> str:
        """Report the velocity's squared error and what image tokens know, on 64 held-out renders."""
        scenes, pictures = load_held_out(self.folder)
        if self.held_out is None:
            with single_frame():
                self.held_out = load_vae(self.folder).encode(to_tensor(pictures[:64])).to(self.device)
        rng = random.Random(0)
        chosen = [captions.caption(scene, "en", rng) for scene in scenes[:64]]
        torch.manual_seed(0)
        losses = self.caption_losses(self.held_out, chosen, for_report=True)
        return f"on held-out renders loss {losses.velocity_error:.4f}, answers right {losses.correct:.3f}"
