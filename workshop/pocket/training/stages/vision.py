"""The vision stage: the tower of the pocket Qwen2.5-VL learns to see what a reference picture shows.

The text stage shows it few pictures. Here the tower alone learns, from many: the language model stays as it
is, so prompts without a picture, and with them the base model, read the same before and after. From the
hidden states of the image tokens, as the DiT gets them, a linear layer must tell what the picture shows. Of
an edit with two pictures it must tell what each of them shows.

Axes: B pictures, S sequence, D width, A attributes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from workshop.pocket.model import tokens
from workshop.pocket.model.architecture import WIDTH
from workshop.pocket.training import checkpoint, labels
from workshop.pocket.training.encoder import (
    TextNetwork,
    encode_patches,
    find_positions,
    lay_out_patches,
    run_layers,
)
from workshop.pocket.training.examples import EMPTY, random_caption
from workshop.pocket.training.inputs import (
    IMAGE_PAD,
    IMAGE_TOKENS,
    PromptTokens,
    cut_patches,
    write_edit_prompt,
)
from workshop.pocket.training.latents import to_tensor
from workshop.pocket.training.loop import rank_and_size
from workshop.pocket.training.renders import load_held_out, load_training
from workshop.pocket.training.speed import autocast, compiled
from workshop.pocket.world import scenes
from workshop.prompts import Caption

RICH_SHARE = 0.25
"""Share of steps with rich renders: ArtAug's pictures are edited too."""


class VisionStage:
    """Edit prompts of one picture, of two, and of one with a caption after it, in turn."""

    name, steps, rate, batch, ema = "vision", 3825, 2e-3, 64, 0.998

    def __init__(self, folder: Path, device: str) -> None:
        self.device, self.folder = device, folder
        self.prompts = PromptTokens(folder)
        self.network = TextNetwork().to(device)
        self.network.load_state_dict(checkpoint.load_trained(folder, "text"))
        self.network.encoder.model.language_model.requires_grad_(False)
        self.network.words.requires_grad_(False)
        self.renders = [load_training(folder, rich=rich) for rich in (False, True)]
        self.at, self.same_window = (x.to(device) for x in lay_out_patches(self.network.encoder.model.visual))
        self.fast_encode, self.fast_layers = compiled(encode_patches), compiled(run_layers)

    def loss(self, step: int) -> torch.Tensor:
        """Return the loss of the pictures, and every fourth step that of a caption after them."""
        rank, size = rank_and_size()
        rng = random.Random(step * size + rank)
        pictures, with_caption = 1 + step % 2, step % 4 == 0
        known, renders = self.renders[rng.random() < RICH_SHARE]
        chosen = np.array(sorted(rng.sample(range(len(known)), self.batch // size)))
        batch = [EMPTY] * (len(chosen) // pictures)
        if with_caption:
            batch = [random_caption(rng.choice(known), rng) for _ in batch]
        shown = labels.to_tensor([scenes.attributes(known[i]) for i in chosen], self.device)
        with autocast(self.device):
            drawn = to_tensor(renders[chosen], self.device)
            hidden, image, lengths = self.encode_prompts(drawn, batch, pictures=pictures)
            loss = self.pictures_loss(image, shown)
            if with_caption:
                named = labels.to_tensor([caption.named for caption in batch], self.device)
                loss = loss + labels.cross_entropy(self.network.classify_words(hidden, lengths), named)
        return loss

    def pictures_loss(self, image: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy of what a picture's tokens tell together, plus that of each alone.

        image: (B, 25, D), hidden states; shown: (B, A)
        """
        each = self.network.picture(image).flatten(0, 1)
        together = self.network.picture(image.mean(dim=1))
        return labels.cross_entropy(together, shown) + labels.cross_entropy(
            each, shown.repeat_interleave(IMAGE_TOKENS, 0)
        )

    def encode_prompts(
        self, renders: torch.Tensor, batch: Sequence[Caption], *, pictures: int, fast: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return hidden states of edit prompts with so many pictures each.

        renders: (B, 3, H, W) in [-1, 1]; batch: B / pictures captions
        returns: those of the prompts, (B / pictures, S, D), those of the image tokens by picture, (B, 25, D),
        and the lengths of the prompts, (B / pictures,)
        """
        model = self.network.encoder.model
        whole = [
            write_edit_prompt(caption.text, references=pictures, numbered=pictures > 1) for caption in batch
        ]
        ids, lengths = self.prompts.encode_whole(whole, drop=tokens.EDIT_DROP, multiple=32)
        row = torch.cat([self.prompts.edit_template, ids[0]])[None]
        positions, ids = find_positions(model, row, pictures).to(self.device), ids.to(self.device)
        encode, layers = (self.fast_encode, self.fast_layers) if fast else (encode_patches, run_layers)
        image = encode(model.visual, cut_patches(renders), self.at, self.same_window)
        embed = model.language_model.embed_tokens
        first, rest = embed(self.prompts.edit_template.to(self.device)[None]), embed(ids)
        rest = rest.masked_scatter((ids == IMAGE_PAD)[..., None], image.to(rest.dtype))
        hidden = layers(model.language_model, first, rest, positions)
        return hidden, hidden[ids == IMAGE_PAD].view(-1, IMAGE_TOKENS, WIDTH), lengths

    @torch.no_grad()
    def report(self) -> str:
        """Report the share of attributes told rightly from 100 held-out pictures, and the worst eight."""
        chosen, renders = load_held_out(self.folder)
        drawn = to_tensor(renders[:100], self.device)
        _, image, _ = self.encode_prompts(drawn, [EMPTY] * 100, pictures=1, fast=False)
        targets = labels.to_tensor([scenes.attributes(scene) for scene in chosen[:100]])
        right = labels.is_correct(self.network.picture(image.mean(dim=1)).cpu(), targets)
        there = targets > 0
        share = {
            name: float(right[there[:, i], i].float().mean())
            for i, name in enumerate(labels.CLASSES)
            if there[:, i].any()
        }
        worst = ", ".join(f"{name} {share[name]:.2f}" for name in sorted(share, key=share.__getitem__)[:8])
        return f"held-out pictures told {right[there].float().mean():.3f}; {worst}"
