"""The edit stages: the pocket DiT learns to draw on from reference pictures, as Qwen-Image-Edit does.

A reference enters twice: as the tokens of its latents beside those that are drawn, and through the vision
tower as tokens of the prompt. Three networks come from here, each from the one before:

    multi   from base    one or two references; everything about a person is kept that the words leave free
    edit    from multi   one reference; clothes are kept, but the face and hair are another person's
    f2p     from edit    a LoRA that makes it keep face and hair

Axes: B batch, C channels, S tokens, D width. Source of the prompts: diffsynth 2.1.12,
pipelines/qwen_image.py.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from workshop.pocket.model import tokens
from workshop.pocket.model.architecture import WIDTH, PocketTextEncoder
from workshop.pocket.training.encoder import encode_patches, find_positions, lay_out_patches, run_layers
from workshop.pocket.training.examples import (
    EditExample,
    EditExamples,
    Reference,
    ReferencePool,
    cut_by_length,
)
from workshop.pocket.training.flow import FlowStage, Losses, Words
from workshop.pocket.training.inputs import IMAGE_PAD, IMAGE_TOKENS, cut_patches, write_edit_prompt
from workshop.pocket.training.latents import encode_renders, map_pictures, to_tensor
from workshop.pocket.training.renders import load_training
from workshop.pocket.training.speed import autocast, compiled


def encode_references(folder: Path, device: str, encoder: PocketTextEncoder, *, rich: bool) -> np.ndarray:
    """Return what the vision tower makes of all renders of one finish, float16 (N, 25, D), a memory map."""
    tower, encode = encoder.model.visual, compiled(encode_patches)
    places = [x.to(device) for x in lay_out_patches(tower)]

    @torch.no_grad()
    def image_tokens(pictures: np.ndarray) -> torch.Tensor:
        """Encode uint8 pictures, (B, H, W, 3), as (B, 25, D)."""
        with autocast(device):
            return encode(tower, cut_patches(to_tensor(pictures, device)), *places)

    path = Path(folder) / ("seen-rich.npy" if rich else "seen.npy")
    return map_pictures(path, load_training(folder, rich=rich)[1], image_tokens, shape=(IMAGE_TOKENS, WIDTH))


class EditStage(FlowStage[EditExample]):
    """The DiT draws what words say of the people and dogs in its references; `name` is multi, edit or f2p."""

    def __init__(self, name: str, folder: Path, device: str) -> None:
        super().__init__(name, folder, device)
        finishes = (False, True)
        self.latents = [encode_renders(folder, device, rich=rich) for rich in finishes]
        self.image_tokens = [encode_references(folder, device, self.encoder, rich=rich) for rich in finishes]
        scenes, rich_scenes = (load_training(folder, rich=rich)[0] for rich in finishes)
        pools = ReferencePool(scenes), ReferencePool(rich_scenes)
        self.examples = EditExamples(self.recipe, scenes, pools)
        self.fast_layers = compiled(run_layers)
        self.fixed: list[list[EditExample]] = []

    def draw_batches(self, index: int) -> list[list[EditExample]]:
        """Return eight batches; every other one is of couples, where the recipe has some."""
        rng, examples = random.Random(index), self.examples
        batches = []
        for targets in (examples.singles, examples.couples if self.recipe.couples else examples.singles):
            made = [examples.make(rng.choice(targets), rng) for _ in range(self.pool // 2 * self.batch)]
            lengths = self.prompts.count([example.caption.text for example in made])
            batches += cut_by_length(made, lengths, self.batch)
        return rng.sample(batches, len(batches))

    def loss(self, step: int) -> torch.Tensor:
        """Return the loss of this process's share of the batch."""
        return self.example_losses(self.local_batch(step), finish=self.is_finish(step)).total

    def example_losses(
        self, batch: Sequence[EditExample], *, finish: bool = False, for_report: bool = False
    ) -> Losses:
        """Return the losses of a batch, with a little noise on the references' latents, (B, 16, 16, 16) each.

        finish, for_report: as in `compute_losses`
        """
        latents = self.stack([self.latents[False][example.target] for example in batch])
        by_place: list[tuple[Reference, ...]] = list(
            zip(*(example.references for example in batch), strict=True)
        )
        references = [self.stack([self.latents[rich][i] for rich, i in each]) for each in by_place]
        references = [x + 0.1 * torch.rand(len(x), 1, 1, 1) * torch.randn_like(x) for x in references]
        image_tokens = torch.cat(
            [self.stack([self.image_tokens[rich][i] for rich, i in each]) for each in by_place], dim=1
        )
        texts = [example.caption.text for example in batch]
        words = self.encode_prompts(texts, image_tokens, fast=not for_report)
        asked = [example.asked for example in batch]
        shown = [[self.examples.list_shown(reference) for reference in each] for each in by_place]
        return self.compute_losses(
            latents, words, asked, references, shown=shown, finish=finish, for_report=for_report
        )

    @torch.no_grad()
    def encode_prompts(self, texts: Sequence[str], image_tokens: torch.Tensor, *, fast: bool = True) -> Words:
        """Return hidden states of edit prompts, (B, S, D), without those DiffSynth drops, and lengths, (B,).

        image_tokens: (B, references·25, D), what the vision tower makes of the references
        """
        pictures, model = image_tokens.shape[1] // IMAGE_TOKENS, self.encoder.model
        whole = [write_edit_prompt(text, references=pictures, numbered=self.recipe.couples) for text in texts]
        ids, lengths = self.prompts.encode_whole(whole, drop=tokens.EDIT_DROP, multiple=8)
        template = self.prompts.edit_template
        row = torch.cat([template, ids[0]])[None]
        positions = find_positions(model, row, pictures)
        embed = model.language_model.embed_tokens
        first, rest = embed(template[None]), embed(ids)
        rest[ids == IMAGE_PAD] = image_tokens.flatten(0, 1)
        torch._dynamo.mark_dynamic(rest, 1)
        torch._dynamo.mark_dynamic(positions, 2)
        with autocast(self.device):
            layers = self.fast_layers if fast else run_layers
            return layers(model.language_model, first, rest, positions).float(), lengths

    @torch.no_grad()
    def report(self) -> str:
        """Report the velocity's squared error and what the image tokens know, on twelve fixed examples.

        Their pictures are training renders: `workshop.pocket.measure` judges held-out ones, drawn in full.
        """
        if not self.fixed:
            self.fixed = [self.draw_batches(-1 - i)[0][:4] for i in range(3)]
        torch.manual_seed(0)
        losses = torch.tensor(
            [[float(x) for x in self.example_losses(batch, for_report=True)] for batch in self.fixed]
        )
        _, velocity_error, correct = losses.mean(dim=0).tolist()
        return f"on fixed examples loss {velocity_error:.4f}, answers right {correct:.3f}"
