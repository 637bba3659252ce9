"""The text stage: the pocket Qwen2.5-VL learns what a caption names, in four languages, and what a picture
shows.

Every prompt ends with the same five template tokens, which have read all of it. From their last hidden states
a linear layer must tell the value of each attribute, or that the words leave it free. The vision tower learns
beside it: from the image tokens of an edit prompt another linear layer must tell what the reference picture
shows. The linear layers are then thrown away; what stays is hidden states in which a DiT can read attributes
without learning four languages first.

Axes: B batch, S sequence, D width. Source of the vision layout: transformers 5.23,
models/qwen2_vl/image_processing_qwen2_vl.py.
"""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path

import torch

from workshop.pocket.model.architecture import WIDTH
from workshop.pocket.training.encoder import TextNetwork
from workshop.pocket.training.inputs import IMAGE_PAD, IMAGE_TOKENS, Prompts, patches
from workshop.pocket.training.labels import answers, cross_entropy, hits
from workshop.pocket.training.latents import to_tensor
from workshop.pocket.training.renders import PLAIN, rendered
from workshop.pocket.training.speed import compiled
from workshop.pocket.world import captions, scenes
from workshop.prompts import Caption

COUPLES = 0.35
"""Share of captions that are of couples, beyond those that come by chance."""


class TextStage:
    """Captions of any language in every step, and every eighth step edit prompts with a picture."""

    name, steps, rate, batch, ema = "text", 2300, 1e-3, 64, 0.0
    pictures = 24

    def __init__(self, folder: Path, device: str) -> None:
        self.device = device
        self.folder, self.prompts = folder, Prompts(folder, learn=True)
        self.network = TextNetwork().to(device)
        self.scenes, self.renders = rendered(folder, PLAIN[0], seed=PLAIN[1])
        self.couples = [scene for scene in self.scenes if scene.kind == "couple"]
        self.fast_read = compiled(self.network.forward)

    def captions(self, rng: random.Random, count: int) -> list[Caption]:
        """Random captions, many of them of couples: which words belong to which person is the hard part."""
        chosen = (self.couples if rng.random() < COUPLES else self.scenes for _ in range(count))
        return [captions.caption(rng.choice(pool), rng.choice(captions.LANGUAGES), rng) for pool in chosen]

    def loss(self, step: int) -> torch.Tensor:
        rng = random.Random(step)
        loss = self.words_loss(self.captions(rng, self.batch))
        return loss + self.pictures_loss(rng) if step % 8 == 0 else loss

    def words_loss(self, said: list[Caption]) -> torch.Tensor:
        ids, lengths = self.prompts.ids([caption.text for caption in said])
        targets = torch.tensor([answers(caption.named) for caption in said], device=self.device)
        with torch.autocast(self.device, torch.bfloat16):
            hidden = self.fast_read(self.prompts.template.to(self.device), ids.to(self.device))
            logits = self.network.read_words(hidden, lengths)
        return cross_entropy(logits, targets)

    def pictures_loss(self, rng: random.Random) -> torch.Tensor:
        chosen = [rng.randrange(len(self.scenes)) for _ in range(self.pictures)]
        said = self.captions(rng, self.pictures)
        ids, lengths = self.prompts.ids([caption.text for caption in said], edit=True)
        ids = ids.to(self.device)
        pixels = patches(to_tensor(self.renders[sorted(chosen)], self.device))
        seen = torch.tensor(
            [answers(scenes.attributes(self.scenes[i])) for i in sorted(chosen)], device=self.device
        )
        asked = torch.tensor([answers(caption.named) for caption in said], device=self.device)
        with torch.autocast(self.device, torch.bfloat16):
            hidden = self.network.see(ids, pixels)
            image = hidden[ids == IMAGE_PAD].view(self.pictures, IMAGE_TOKENS, WIDTH)
            return cross_entropy(self.network.picture(image.mean(dim=1)), seen) + cross_entropy(
                self.network.read_words(hidden, lengths), asked
            )

    @torch.no_grad()
    def report(self) -> str:
        """Share of attributes read rightly from held-out captions, by language, and from held-out
        pictures."""
        rng, shares = random.Random(0), []
        for language in captions.LANGUAGES:
            said = [captions.caption(s, language, rng) for s in islice(scenes.stream(9, test=True), 128)]
            ids, lengths = self.prompts.ids([caption.text for caption in said])
            targets = torch.tensor([answers(caption.named) for caption in said])
            hidden = self.network(self.prompts.template.to(self.device), ids.to(self.device))
            right = hits(self.network.read_words(hidden, lengths).cpu(), targets)
            named = targets > 0
            shares.append(
                f"{language} {right[named].float().mean():.3f} named {right[~named].float().mean():.3f} free"
            )
        return "; ".join(shares) + f"; pictures {self.seen_rightly():.3f}"

    def seen_rightly(self) -> float:
        shown, renders = rendered(self.folder, 200, seed=3, test=True)
        ids, _ = self.prompts.ids(["" for _ in range(64)], edit=True)
        hidden = self.network.see(ids.to(self.device), patches(to_tensor(renders[:64], self.device)))
        image = hidden[ids == IMAGE_PAD].view(64, IMAGE_TOKENS, WIDTH)
        targets = torch.tensor([answers(scenes.attributes(scene)) for scene in shown[:64]])
        right = hits(self.network.picture(image.mean(dim=1)).cpu(), targets)
        return float(right[targets > 0].float().mean())
