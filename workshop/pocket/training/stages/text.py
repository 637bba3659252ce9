"""The text stage: the pocket Qwen2.5-VL learns what captions name, in four languages, and what pictures show.

Every prompt ends with the same five template tokens; the encoder is causal, so they depend on all of it. From
their last hidden states a linear layer must tell the value of each attribute, or that the words leave it
free. The vision tower learns beside it: from the image tokens of an edit prompt another linear layer must
tell what the reference picture shows. The linear layers are then thrown away. What stays is hidden states in
which a DiT can read attributes without learning four languages first.

Axes: B batch, S sequence, D width, A attributes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import torch

from workshop.pocket.model.architecture import WIDTH
from workshop.pocket.training import labels
from workshop.pocket.training.encoder import TextNetwork
from workshop.pocket.training.examples import random_caption
from workshop.pocket.training.inputs import IMAGE_PAD, IMAGE_TOKENS, PromptTokens, cut_patches
from workshop.pocket.training.latents import to_tensor
from workshop.pocket.training.renders import load_held_out, load_training
from workshop.pocket.training.speed import autocast, compiled
from workshop.pocket.world import captions, scenes
from workshop.prompts import Caption

COUPLES_SHARE = 0.35
"""Oversampling: 35 % couples. Which words belong to which person is the hard part."""


class TextStage:
    """Captions of any language in every step, and every eighth step edit prompts with a picture."""

    name, steps, rate, batch, ema = "text", 2300, 1e-3, 64, 0.0
    pictures = 24

    def __init__(self, folder: Path, device: str) -> None:
        self.device = device
        self.folder, self.prompts = folder, PromptTokens(folder, learn=True)
        self.network = TextNetwork().to(device)
        self.scenes, self.renders = load_training(folder)
        self.couples = [scene for scene in self.scenes if scene.kind == "couple"]
        self.fast_encode = compiled(self.network.forward)

    def draw_captions(self, rng: random.Random, count: int) -> list[Caption]:
        """Return random captions, COUPLES_SHARE of them certainly of couples."""
        pools = (self.couples if rng.random() < COUPLES_SHARE else self.scenes for _ in range(count))
        return [random_caption(rng.choice(pool), rng) for pool in pools]

    def loss(self, step: int) -> torch.Tensor:
        """Return the loss of the words, and every eighth step that of pictures beside it."""
        rng = random.Random(step)
        loss = self.words_loss(self.draw_captions(rng, self.batch))
        return loss + self.pictures_loss(rng) if step % 8 == 0 else loss

    def words_loss(self, batch: Sequence[Caption]) -> torch.Tensor:
        """Return −log softmax(logits)[target], averaged over attributes; what is not named is "free"."""
        ids, lengths = self.prompts.encode_prompts([caption.text for caption in batch])
        targets = labels.to_tensor([caption.named for caption in batch], self.device)
        with autocast(self.device):
            hidden = self.fast_encode(self.prompts.template.to(self.device), ids.to(self.device))
            logits = self.network.classify_words(hidden, lengths)
        return labels.cross_entropy(logits, targets)

    def pictures_loss(self, rng: random.Random) -> torch.Tensor:
        """Return the same cross-entropy for what edit prompts show, plus that for what they say."""
        chosen = sorted(rng.randrange(len(self.scenes)) for _ in range(self.pictures))
        batch = self.draw_captions(rng, self.pictures)
        ids, lengths = self.prompts.encode_edits([caption.text for caption in batch])
        ids = ids.to(self.device)
        patches = cut_patches(to_tensor(self.renders[chosen], self.device))
        shown = labels.to_tensor([scenes.attributes(self.scenes[i]) for i in chosen], self.device)
        named = labels.to_tensor([caption.named for caption in batch], self.device)
        with autocast(self.device):
            hidden = self.network.encode_edits(ids, patches)
            image = hidden[ids == IMAGE_PAD].view(self.pictures, IMAGE_TOKENS, WIDTH)
            return labels.cross_entropy(
                self.network.picture(image.mean(dim=1)), shown
            ) + labels.cross_entropy(self.network.classify_words(hidden, lengths), named)

    @torch.no_grad()
    def report(self) -> str:
        """Report the share of attributes told rightly from held-out captions, by language, and pictures."""
        rng, shares = random.Random(0), []
        for language in captions.LANGUAGES:
            chosen = islice(scenes.stream(9, test=True), 128)
            batch = [captions.caption(scene, language, rng) for scene in chosen]
            ids, lengths = self.prompts.encode_prompts([caption.text for caption in batch])
            targets = labels.to_tensor([caption.named for caption in batch])
            hidden = self.network(self.prompts.template.to(self.device), ids.to(self.device))
            right = labels.is_correct(self.network.classify_words(hidden, lengths).cpu(), targets)
            named = targets > 0
            shares.append(
                f"{language} {right[named].float().mean():.3f} named {right[~named].float().mean():.3f} free"
            )
        return "; ".join(shares) + f"; pictures {self.share_of_pictures():.3f}"

    def share_of_pictures(self) -> float:
        """Return the share of attributes told rightly from 64 held-out pictures."""
        chosen, renders = load_held_out(self.folder)
        ids, _ = self.prompts.encode_edits([""] * 64)
        hidden = self.network.encode_edits(
            ids.to(self.device), cut_patches(to_tensor(renders[:64], self.device))
        )
        image = hidden[ids == IMAGE_PAD].view(64, IMAGE_TOKENS, WIDTH)
        targets = labels.to_tensor([scenes.attributes(scene) for scene in chosen[:64]])
        right = labels.is_correct(self.network.picture(image.mean(dim=1)).cpu(), targets)
        return float(right[targets > 0].float().mean())
