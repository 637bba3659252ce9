"""Rectified flow, with which all stages that draw are trained: noise, targets, the loss and its parts.

    x_sigma = (1 − sigma)·x0 + sigma·noise, and the DiT predicts the velocity noise − x0

Liu et al. 2022, "Flow Straight and Fast"; diffsynth 2.1.12, diffusion/flow_match.py.

Axes: B batch, C channels (16), S tokens, D width. Latents are (B, 16, 16, 16).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
import torch.nn.functional as F

from workshop.pocket.model.architecture import WIDTH
from workshop.pocket.training import checkpoint, labels
from workshop.pocket.training.dit import (
    DiTWithReadout,
    add_lora,
    fast_functions,
    make_rotary,
    mask_padding,
    predict_velocity,
    sample_sigmas,
    zero_last_layers,
)
from workshop.pocket.training.encoder import load_encoder
from workshop.pocket.training.features import compare_latents, load_latent_reader
from workshop.pocket.training.inputs import PromptTokens
from workshop.pocket.training.loop import rank_and_size
from workshop.pocket.training.recipes import FEATURE_WEIGHT, READOUT_WEIGHT, RECIPES
from workshop.pocket.training.speed import autocast, compiled

E = TypeVar("E")
Named = Mapping[str, str]
Words = tuple[torch.Tensor, torch.Tensor]
"""Hidden states of prompts, (B, S, D), padded, and their lengths, (B,)."""


class Losses(NamedTuple):
    """What a batch costs, each ()."""

    total: torch.Tensor
    velocity_error: torch.Tensor  # the mean squared error of the velocity alone
    correct: torch.Tensor  # share of attributes that the image tokens know, nan if they are not asked


class FlowStage(Generic[E]):
    """A stage in which the DiT learns to draw, from examples of type E; text encoder and VAE are frozen."""

    pool = 8
    """So many batches are made at once, and sorted by the length of their prompts."""

    def __init__(self, name: str, folder: Path, device: str) -> None:
        self.name, self.recipe = name, (recipe := RECIPES[name])
        self.steps, self.rate, self.batch, self.ema = recipe.steps, recipe.rate, recipe.batch, recipe.ema
        self.folder, self.device = folder, device
        self.prompts, self.encoder = PromptTokens(folder), load_encoder(folder).to(device)
        self.network = self.begin(rank=recipe.rank).to(device)
        self.batches: tuple[int | None, list[list[E]]] = (None, [])
        self.fast_velocity = compiled(predict_velocity)
        self.latent_reader = None
        if checkpoint.exists(folder, "feature"):
            self.latent_reader = load_latent_reader(folder).to(device)
        self.fast_compare = compiled(compare_latents)

    def begin(self, *, rank: int) -> DiTWithReadout:
        """Return the network before its first step.

        New weights, or those of `recipe.begins`; a LoRA if rank > 0.
        """
        network, name = DiTWithReadout(), self.recipe.begins
        if not name:
            zero_last_layers(network)
            return network
        if checkpoint.exists(self.folder, name):
            network.load_state_dict(checkpoint.load_trained(self.folder, name))
        else:
            shipped = checkpoint.load_shipped(checkpoint.SHIPPED_DIT[name])
            network.load_state_dict(shipped, strict=False)
        return add_lora(network, rank) if rank else network

    # Batches

    def draw_batches(self, index: int) -> list[list[E]]:
        """Return `pool` batches; the same index gives the same ones."""
        raise NotImplementedError

    def global_batch(self, step: int) -> list[E]:
        """Return the batch of a step, which all processes share."""
        index, place = divmod(step, self.pool)
        if index != self.batches[0]:
            self.batches = index, self.draw_batches(index)
        return self.batches[1][place]

    def local_batch(self, step: int) -> list[E]:
        """Return this process's share of the batch."""
        rank, size = rank_and_size()
        return self.global_batch(step)[rank::size]

    def stack(self, arrays: Sequence[np.ndarray]) -> torch.Tensor:
        """Stack B arrays of one shape into a batch, (B, *shape) float32, on the stage's device."""
        return torch.from_numpy(np.stack(arrays)).float().to(self.device)

    # The loss

    def is_finish(self, step: int) -> bool:
        """Return whether a step is in the run's last part, in which only the velocity's error counts."""
        return step >= (1 - self.recipe.finish) * self.steps

    def compute_losses(
        self,
        latents: torch.Tensor,
        words: Words,
        asked: Sequence[Named],
        references: Sequence[torch.Tensor] = (),
        *,
        shown: Sequence[Sequence[Named]] = (),
        finish: bool = False,
        for_report: bool = False,
    ) -> Losses:
        """Return the losses of a batch at random sigmas.

        total = mean (v − target)²
        + READOUT_WEIGHT·(named cross-entropy of the image tokens, and of those of references)
        + FEATURE_WEIGHT·(feature error of x0', where sigma < features_below)
        + reading_weight·(named cross-entropy of what is read in x0', where sigma < reading_below)

        with the predicted velocity v and picture x0' = x_sigma − sigma·v. The last two lines need the stage
        `feature`.

        latents and each of references: (B, 16, 16, 16)
        asked: attributes that each drawing must have; shown: those of each reference, one list for each of
        `references`
        finish: leave all but the velocity's error out of the total, and meet more low sigmas
        for_report: compile nothing, and leave the last two lines out of the total, which no report prints
        """
        fast = not for_report
        noise = torch.randn_like(latents)
        sigma = sample_sigmas(len(latents), even=finish).to(self.device)
        mixed = torch.lerp(latents, noise, sigma.view(-1, 1, 1, 1))
        predicted, middle = self.predict(mixed, sigma, words, references, fast=fast)
        target = self.regression_target(noise - latents, mixed, sigma, words=words, fast=fast)
        velocity_error = (predicted - target).square().mean()
        if finish:
            return Losses(velocity_error, velocity_error, velocity_error.new_tensor(float("nan")))
        asked_labels = labels.to_tensor(asked, self.device)
        shown_labels = [labels.to_tensor(each, self.device) for each in shown]
        readout, correct = self.readout_loss(middle, asked_labels, shown_labels)
        total = velocity_error + READOUT_WEIGHT * readout
        if self.latent_reader is not None and not for_report:
            drawn = mixed - sigma.view(-1, 1, 1, 1) * predicted
            with autocast(self.device):
                error, logits = self.fast_compare(self.latent_reader, drawn, latents)
            readable = asked_labels * (sigma < self.recipe.reading_below)[:, None]
            total = total + FEATURE_WEIGHT * (error * (sigma < self.recipe.features_below)).mean()
            reading = labels.named_cross_entropy(logits.float()[:, None], readable)[0]
            total = total + self.recipe.reading_weight * reading
        return Losses(total, velocity_error, correct)

    def readout_loss(
        self, middle: torch.Tensor, asked_labels: torch.Tensor, shown_labels: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the named cross-entropy of what image tokens know, and the share they know of the drawing.

        middle: (B, (1 + references)·64, D); asked_labels: (B, A); shown_labels: (B, A) for each reference
        returns: the sum over drawing and references, and the share, both ()
        """
        with autocast(self.device):
            logits = self.network.readout(F.layer_norm(middle, (WIDTH,))).float()
        drawing, *others = logits.chunk(1 + len(shown_labels), dim=1)
        loss, correct = labels.named_cross_entropy(drawing, asked_labels)
        pairs = zip(others, shown_labels, strict=True)
        of_references = [labels.named_cross_entropy(*pair)[0] for pair in pairs]
        return loss + sum(of_references), correct

    def regression_target(
        self, velocity: torch.Tensor, mixed: torch.Tensor, sigma: torch.Tensor, *, words: Words, fast: bool
    ) -> torch.Tensor:
        """Return what is to be predicted, (B, 16, 16, 16): the velocity of the render.

        velocity, mixed: (B, 16, 16, 16); sigma: (B,)
        fast: run what is compiled, if another network is asked
        """
        return velocity

    def predict(
        self,
        mixed: torch.Tensor,
        sigma: torch.Tensor,
        words: Words,
        references: Sequence[torch.Tensor] = (),
        *,
        fast: bool,
        network: DiTWithReadout | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the velocity in float32, (B, 16, 16, 16), and the DiT's middle, (B, (1 + references)·64, D).

        mixed and each of references: (B, 16, 16, 16); sigma: (B,)
        fast: run what is compiled; network: if not the stage's own
        """
        network = network or self.network
        (text, lengths), pictures = words, 1 + len(references)
        mask = mask_padding(lengths, text.shape[1], 64 * pictures).to(self.device).bfloat16()
        with fast_functions(), autocast(self.device):
            rotary = make_rotary(network, text.shape[1], self.device, pictures=pictures)
            for tensor, axis in ((text, 1), (mask, 3), (rotary[1], 0)):
                torch._dynamo.mark_dynamic(tensor, axis)
            forward = self.fast_velocity if fast else predict_velocity
            predicted, middle = forward(network, mixed, sigma, text, mask, rotary, references)
        return predicted.float(), middle
