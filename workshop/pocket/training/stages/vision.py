"""The vision stage: the tower of the pocket Qwen2.5-VL learns to see what a reference picture shows.

The text stage shows it few pictures. Here the tower alone learns, from many: the language model stays as it
is, so prompts without a picture, and with them the base model, read the same before and after. From the
hidden states of the image tokens, as the DiT gets them, a linear layer must tell what the picture shows, and
where an edit has two, each what is in its own.

Axes: B batch, S sequence, D width. Source of the forward: transformers 5.23,
models/qwen2_5_vl/modeling_qwen2_5_vl.py.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch

from workshop.pocket.model import tokens
from workshop.pocket.model.architecture import WIDTH
from workshop.pocket.training import checkpoint
from workshop.pocket.training.encoder import TextNetwork, layout, picture_positions, run_layers, see
from workshop.pocket.training.inputs import IMAGE_PAD, IMAGE_TOKENS, Prompts, edit_prompt, patches
from workshop.pocket.training.labels import CLASSES, answers, cross_entropy, hits
from workshop.pocket.training.latents import to_tensor
from workshop.pocket.training.loop import world
from workshop.pocket.training.renders import PLAIN, RICH, rendered
from workshop.pocket.training.speed import compiled
from workshop.pocket.world import captions, scenes
from workshop.prompts import Caption

RICH_SHARE = 0.25
"""Share of steps with rich renders: ArtAug's pictures are edited too."""

NOTHING = Caption("", "en", {})


class VisionStage:
    """Edit prompts of one picture, of two, and of one with a caption after it, in turn."""

    name, steps, rate, batch, ema = "vision", 3825, 2e-3, 64, 0.998

    def __init__(self, folder: Path, device: str) -> None:
        self.device, self.folder = device, folder
        self.prompts = Prompts(folder)
        self.network = TextNetwork().to(device)
        self.network.load_state_dict(checkpoint.load_trained(folder, "text"))
        self.network.encoder.model.language_model.requires_grad_(False)
        self.network.words.requires_grad_(False)
        self.renders = [
            rendered(folder, count, seed=seed, rich=rich)
            for rich, (count, seed) in ((False, PLAIN), (True, RICH))
        ]
        self.at, self.same_window = (x.to(device) for x in layout(self.network.encoder.model.visual))
        self.fast_see, self.fast_layers = compiled(see), compiled(run_layers)

    def loss(self, step: int) -> torch.Tensor:
        rank, processes = world()
        rng = random.Random(step * processes + rank)
        pictures, spoken = 1 + step % 2, step % 4 == 0
        known, renders = self.renders[rng.random() < RICH_SHARE]
        chosen = np.array(sorted(rng.sample(range(len(known)), self.batch // processes)))
        said = [NOTHING] * (len(chosen) // pictures)
        if spoken:
            said = [captions.caption(rng.choice(known), rng.choice(captions.LANGUAGES), rng) for _ in said]
        shown = torch.tensor([answers(scenes.attributes(known[i])) for i in chosen], device=self.device)
        with torch.autocast(self.device, torch.bfloat16):
            drawn = to_tensor(renders[chosen], self.device)
            hidden, seen, lengths = self.hidden(drawn, said, pictures=pictures)
            loss = self.asked(seen, shown)
            if spoken:
                asked = torch.tensor([answers(caption.named) for caption in said], device=self.device)
                loss = loss + cross_entropy(self.network.read_words(hidden, lengths), asked)
        return loss

    def asked(self, seen: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
        """How badly the picture is told from all of its tokens, and from every single one."""
        each = self.network.picture(seen).flatten(0, 1)
        together = self.network.picture(seen.mean(dim=1))
        return cross_entropy(together, shown) + cross_entropy(each, shown.repeat_interleave(IMAGE_TOKENS, 0))

    def hidden(
        self, renders: torch.Tensor, said: list[Caption], *, pictures: int, fast: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Hidden states of edit prompts of so many pictures each, (B / pictures, S, D), those of the image
        tokens by picture, (B, 25, D), and the lengths of the prompts."""
        model = self.network.encoder.model
        whole = [edit_prompt(caption.text, references=pictures, numbered=pictures > 1) for caption in said]
        ids, lengths = self.prompts.after(tokens.EDIT_DROP, whole, multiple=32)
        row = torch.cat([self.prompts.edit_template, ids[0]])[None]
        positions, ids = picture_positions(model, row, pictures).to(self.device), ids.to(self.device)
        look, layers = (self.fast_see, self.fast_layers) if fast else (see, run_layers)
        seen = look(model.visual, patches(renders), self.at, self.same_window)
        embed = model.language_model.embed_tokens
        first, rest = embed(self.prompts.edit_template.to(self.device)[None]), embed(ids)
        rest = rest.masked_scatter((ids == IMAGE_PAD)[..., None], seen.to(rest.dtype))
        hidden = layers(model.language_model, first, rest, positions)
        return hidden, hidden[ids == IMAGE_PAD].view(-1, IMAGE_TOKENS, WIDTH), lengths

    @torch.no_grad()
    def report(self) -> str:
        """Share of attributes told rightly from held-out pictures, one at a time, and the worst of them."""
        shown, renders = rendered(self.folder, 200, seed=3, test=True)
        drawn = to_tensor(renders[:100], self.device)
        _, seen, _ = self.hidden(drawn, [NOTHING] * 100, pictures=1, fast=False)
        targets = torch.tensor([answers(scenes.attributes(scene)) for scene in shown[:100]])
        right, there = hits(self.network.picture(seen.mean(dim=1)).cpu(), targets), targets > 0
        each = {
            name: float(right[there[:, i], i].float().mean())
            for i, name in enumerate(CLASSES)
            if there[:, i].any()
        }
        worst = ", ".join(f"{name} {each[name]:.2f}" for name in sorted(each, key=each.get)[:8])
        return f"held-out pictures told {right[there].float().mean():.3f}; {worst}"
