"""The base stage: the pocket DiT learns to turn noise into the latents of plain renders, guided by captions.

Rectified flow (Liu et al. 2022; diffsynth 2.1.12, diffusion/flow_match.py): x_sigma = (1 - sigma)·x0 +
sigma·noise, and the DiT predicts the velocity noise - x0.

Axes: B batch, C channels (16), S tokens, D width. Latents are (B, 16, 16, 16); 2×2 of them make one of 64
image tokens.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from workshop import prompts
from workshop.pocket.model.architecture import WIDTH
from workshop.pocket.training import checkpoint
from workshop.pocket.training.dit import (
    AskedDiT,
    key_mask,
    random_sigma,
    rotary,
    start_small,
    trainable,
    velocity_and_middle,
    with_lora,
)
from workshop.pocket.training.encoder import hidden_states, load_encoder
from workshop.pocket.training.features import judged, load_features
from workshop.pocket.training.inputs import Prompts
from workshop.pocket.training.labels import answers, asked_loss
from workshop.pocket.training.latents import encoded, latents_of, load_vae, single_frame, to_tensor
from workshop.pocket.training.loop import world
from workshop.pocket.training.renders import PLAIN, RICH, drawn, rendered
from workshop.pocket.training.speed import compiled
from workshop.pocket.world import captions, scenes
from workshop.pocket.world.scenes import Scene
from workshop.prompts import Caption

EMPTY_SHARE = 0.1
"""Share of prompts that are empty in training: guidance needs a model that also knows what nobody asked
for."""

COUPLES, SMALL_THINGS, WORKSHOP = 0.1, 0.3, 0.06
"""Shares of pictures beyond those that come by chance: of couples, who have the most to get right, of
pictures with something small in them, which is drawn last and worst, and of those that the workshop's own
prompts ask for: of 60,000 random scenes four show a man as they want him."""


ASKED_WEIGHT, FEATURE_WEIGHT, READ_WEIGHT = 0.1, 0.1, 0.15
"""Weights in the loss, beside the velocity's squared error: of the answers, of the features, and of what the
reader of latents reads in the drawing."""

Words = tuple[torch.Tensor, torch.Tensor]
"""Hidden states of prompts, (B, S, D), padded, and their lengths (B,)."""

SHOWN_BELOW, READ_BELOW = 0.85, 0.92
"""Noisier predictions are too vague to compare their features, or to read anything in them."""

SCENE_ABOVE = 0.5
"""At noisier levels it is decided what a picture shows; ArtAug leaves the base alone there."""


def has_small_things(scene: Scene) -> bool:
    """Whether something is in the picture that covers little of it: glasses, a thing held, a collar, a
    marking."""
    dog = scene.dog
    return (
        scene.held != "nothing"
        or any(person.glasses == "yes" for person in scene.people)
        or (dog is not None and (dog.collar != "none" or bool(dog.markings)))
    )


def of_the_workshop(folder: Path, device: str) -> tuple[list[Scene], np.ndarray]:
    """Pictures of one person that show what a prompt of the workshop names, 400 for each, without the
    held-out ones; and their latents, as from `encoded`."""
    asked = {prompt.text: prompt.named for prompt in prompts.WORKSHOP_PROMPTS.values()}
    chosen = [
        scene
        for text, named in asked.items()
        if "left who" in named and "right who" not in named
        for plain in islice(scenes.stream(len(text), kind=named["kind"]), 400)
        if not scenes.held_out(scene := scenes.showing(plain, named))
    ]
    pictures = drawn(Path(folder) / "renders-workshop.npy", chosen)
    return chosen, latents_of(folder, device, pictures, Path(folder) / "latents-workshop.npy")


class BaseStage:
    """Text encoder and VAE are frozen; only the DiT learns."""

    name, steps, rate, batch, ema = "base", 28_550, 1.2e-3, 64, 0.998
    pool = 8
    begins, rank, rich = "", 0, False
    shown_below, read_below, read_weight = SHOWN_BELOW, READ_BELOW, READ_WEIGHT

    def __init__(self, folder: Path, device: str) -> None:
        self.device, self.folder = device, folder
        self.prompts, self.encoder = Prompts(folder), load_encoder(folder).to(device)
        self.network = self.begin(self.rank).to(device)
        count, seed = RICH if self.rich else PLAIN
        self.scenes = rendered(folder, count, seed=seed, rich=self.rich)[0]
        self.latents = encoded(folder, device, rich=self.rich)
        self.couples = [i for i, scene in enumerate(self.scenes) if scene.kind == "couple"]
        self.small = [i for i, scene in enumerate(self.scenes) if has_small_things(scene)]
        self.workshop = self.add_workshop() if self.name == "base" else []
        self.pooled: tuple[int | None, list[list]] = (None, [])
        self.fast_velocity = compiled(velocity_and_middle)
        self.fast_encode = compiled(hidden_states)
        self.features = load_features(folder).to(device) if checkpoint.exists(folder, "feature") else None
        self.fast_judged = compiled(judged)

    def begin(self, rank: int) -> AskedDiT:
        """The network before its first step: new, or that of the stage it begins from, and with a LoRA if
        there is a rank."""
        network = AskedDiT()
        if not self.begins:
            start_small(network)
            return network
        if checkpoint.exists(self.folder, self.begins):
            network.load_state_dict(checkpoint.load_trained(self.folder, self.begins))
        else:
            network.load_state_dict(
                checkpoint.load_shipped(checkpoint.SHIPPED_DIT[self.begins]), strict=False
            )
        return with_lora(network, rank) if rank else network

    def add_workshop(self) -> list[int]:
        """Put the pictures `of_the_workshop` behind the others; returns their numbers."""
        found, latents = of_the_workshop(self.folder, self.device)
        self.latents = np.concatenate([self.latents, latents])
        self.scenes = [*self.scenes, *found]
        return list(range(len(self.scenes) - len(found), len(self.scenes)))

    def said(self, step: int) -> list[tuple[int, Caption]]:
        """Scene numbers and captions of this step."""
        index, turn = divmod(step, self.pool)
        if index != self.pooled[0]:
            self.pooled = index, self.batches(index)
        return self.pooled[1][turn]

    def batches(self, index: int) -> list[list[tuple[int, Caption]]]:
        """Eight batches, each of captions of similar length, so that little is padding."""
        rng, drawn = random.Random(index), []
        others = range(len(self.scenes) - len(self.workshop))
        pools = (self.workshop, self.couples, self.small, others)
        workshop = WORKSHOP if self.workshop else 0.0
        shares = (workshop, COUPLES, SMALL_THINGS, 1 - workshop - COUPLES - SMALL_THINGS)
        for pool in rng.choices(pools, shares, k=self.pool * self.batch):
            i = rng.choice(pool)
            if pool is self.workshop:
                caption = rng.choice(captions.workshop_prompts(self.scenes[i]))
            else:
                caption = captions.caption(self.scenes[i], rng.choice(captions.LANGUAGES), rng)
            drawn.append((i, Caption("", "en", {}) if rng.random() < EMPTY_SHARE else caption))
        rows = self.prompts.tokenizer([caption.text for _, caption in drawn])["input_ids"]
        order = sorted(range(len(drawn)), key=lambda k: len(rows[k]))
        cut = [
            [drawn[k] for k in order[start : start + self.batch]]
            for start in range(0, len(drawn), self.batch)
        ]
        return rng.sample(cut, len(cut))

    @torch.no_grad()
    def text(self, texts: list[str], *, fast: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
        """Prompts → what the pipeline hands to the DiT, (B, S, D), and the lengths (B,), both without the
        template."""
        ids, lengths = self.prompts.ids(texts, multiple=8)
        with torch.autocast(self.device, torch.bfloat16):
            template, ids = self.prompts.template.to(self.device), ids.to(self.device)
            torch._dynamo.mark_dynamic(ids, 1)  # one compilation for prompts of every length
            encode = self.fast_encode if fast else hidden_states
            hidden = encode(self.encoder.model.language_model, template, ids)
        return hidden.float(), lengths

    def mine(self, step: int) -> list:
        """This process's share of the batch."""
        rank, processes = world()
        return self.said(step)[rank::processes]

    def stack(self, latents: np.ndarray, chosen: list[int]) -> torch.Tensor:
        return torch.from_numpy(np.stack([latents[i] for i in chosen])).float().to(self.device)

    def loss(self, step: int) -> torch.Tensor:
        numbers, said = zip(*self.mine(step), strict=True)
        return self.caption_losses(self.stack(self.latents, numbers), said)[0]

    def caption_losses(
        self, latents: torch.Tensor, said: Sequence[Caption], *, fast: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        words = self.text([caption.text for caption in said], fast=fast)
        return self.losses(latents, words, [caption.named for caption in said], fast=fast)

    def losses(
        self,
        latents: torch.Tensor,
        words: Words,
        asked: list[dict[str, str]],
        references: Sequence[torch.Tensor] = (),
        *,
        shown: Sequence[list[dict[str, str]]] = (),
        fast: bool = True,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The loss at random sigmas; of it the squared error of the velocity alone; and the share of answers
        that are right.

        asked: attributes and values that each drawing must have; shown: those that each reference has, one
        list for each of `references`; `fast` runs what is compiled
        """
        noise = torch.randn_like(latents)
        sigma = random_sigma(len(latents)).to(self.device)
        mixed = torch.lerp(latents, noise, sigma.view(-1, 1, 1, 1))
        predicted, middle = self.predict(mixed, sigma, words, references, fast=fast)
        wanted = self.wanted(noise - latents, mixed, sigma, words=words, fast=fast)
        flow = (predicted - wanted).square().mean()
        with torch.autocast(self.device, torch.bfloat16):
            logits = self.network.readout(F.layer_norm(middle, (WIDTH,))).float()
        drawing, *others = logits.chunk(1 + len(references), dim=1)
        targets, *known = (self.answers(each) for each in (asked, *shown))
        answered, right = asked_loss(drawing, targets)
        of_references = (asked_loss(*pair)[0] for pair in zip(others, known, strict=True))
        loss = flow + ASKED_WEIGHT * (answered + sum(of_references))
        if self.features is not None and fast:
            drawn = mixed - sigma.view(-1, 1, 1, 1) * predicted
            with torch.autocast(self.device, torch.bfloat16):
                error, logits = self.fast_judged(self.features, drawn, latents)
            readable = targets * (sigma < self.read_below)[:, None]
            loss = loss + FEATURE_WEIGHT * (error * (sigma < self.shown_below)).mean()
            loss = loss + self.read_weight * asked_loss(logits.float()[:, None], readable)[0]
        return loss, flow, right

    def answers(self, asked: list[dict[str, str]]) -> torch.Tensor:
        return torch.tensor([answers(named) for named in asked], device=self.device)

    def wanted(
        self, velocity: torch.Tensor, mixed: torch.Tensor, sigma: torch.Tensor, *, words: Words, fast: bool
    ) -> torch.Tensor:
        """What is to be predicted: the velocity of the render."""
        return velocity

    def predict(
        self,
        mixed: torch.Tensor,
        sigma: torch.Tensor,
        words: Words,
        references: Sequence[torch.Tensor],
        *,
        fast: bool,
        network: AskedDiT | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Velocity in float32 and the image tokens in the middle; of the stage's network if none is given."""
        network = network or self.network
        (text, lengths), pictures = words, 1 + len(references)
        mask = key_mask(lengths, text.shape[1], 64 * pictures).to(self.device).bfloat16()
        with trainable(), torch.autocast(self.device, torch.bfloat16):
            turns = rotary(network, text.shape[1], self.device, pictures=pictures)
            for tensor, tokens in ((text, 1), (mask, 3), (turns[1], 0)):
                torch._dynamo.mark_dynamic(tensor, tokens)
            forward = self.fast_velocity if fast else velocity_and_middle
            predicted, middle = forward(network, mixed, sigma, text, mask, turns, references)
        return predicted.float(), middle

    @torch.no_grad()
    def report(self) -> str:
        shown, renders = rendered(self.folder, 200, seed=3, test=True)
        if not hasattr(self, "held_out"):
            with single_frame():
                self.held_out = load_vae(self.folder).encode(to_tensor(renders[:64])).to(self.device)
        rng = random.Random(0)
        said = [captions.caption(scene, "en", rng) for scene in shown[:64]]
        torch.manual_seed(0)
        _, flow, right = self.caption_losses(self.held_out, said, fast=False)
        return f"on held-out renders loss {flow:.4f}, answers right {right:.3f}"
