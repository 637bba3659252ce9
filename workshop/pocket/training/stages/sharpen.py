"""The sharpen stage: the VAE's decoder learns to draw pictures that a critic cannot tell from renders.

The decoder stage asks for the median of what latents may mean, and where they leave open which of two things
was meant, the median is a smudge. Here a second network, the critic, learns to tell crops of decoded pictures
from crops of renders, and the decoder learns to deceive it, beside the loss of the decoder stage (VQGAN,
Esser et al. 2021, arXiv 2012.09841). The encoder, and with it what latents mean, stays as it is.

Axes: B batch, H height, W width; pictures are in [-1, 1], latents are (B, 16, H/8, W/8).
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch.nn.utils.parametrizations import spectral_norm

from workshop.pocket.training.latents import single_frame
from workshop.pocket.training.speed import autocast
from workshop.pocket.training.stages.decoder import DecoderStage
from workshop.pocket.training.stages.vae import log_light

PRIMER, GENTLE = 200, 1_800
"""Steps up to which the decoder does not listen to the critic yet, and up to which it listens a little."""

A_LITTLE, MUCH = 0.7, 1.5
"""How strongly the critic's opinion pulls at a decoded picture; the pull of the other losses is 1."""


class Critic(torch.nn.Module):
    """Tells renders from decoded pictures, patch by patch: high values for renders.

    It judges patches of 22 pixels, which hold an eye, and of 46 pixels, which hold a face. It sees every
    picture twice, as it is and on the scale of `log_light`: features show on dark skin, too.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = (6, width, 2 * width, 4 * width, 4 * width)
        self.down = torch.nn.ModuleList(
            spectral_norm(torch.nn.Conv2d(a, b, 4, stride=2, padding=1)) for a, b in pairwise(widths)
        )
        self.judges = torch.nn.ModuleList(
            spectral_norm(torch.nn.Conv2d(width, 1, 1)) for width in widths[-2:]
        )

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Judge pictures, (B, 3, H, W) in [-1, 1]: (B, 1, H/8, W/8) and (B, 1, H/16, W/16)."""
        x, seen = torch.cat([pictures, log_light(pictures)], dim=1), []
        for layer in self.down:
            x = F.leaky_relu(layer(x), 0.2)
            seen.append(x)
        fine, coarse = (judge(x) for judge, x in zip(self.judges, seen[-2:], strict=True))
        return fine, coarse


def critic_loss(of_renders: torch.Tensor, of_decoded: torch.Tensor) -> torch.Tensor:
    """Return the hinge loss of the critic's judgements: mean max(0, 1 − D(x)) + mean max(0, 1 + D(x̂)), ()."""
    return F.relu(1 - of_renders).mean() + F.relu(1 + of_decoded).mean()


class SharpenStage(DecoderStage):
    """The decoder stage's loss, and a critic's opinion; decoder and critic learn in the same step."""

    name, steps, rate, batch, ema = "sharpen", 2_900, 2e-4, 16, 0.995
    enough: ClassVar = {"plain": (2_000, 1), "rich": (800, 2)}

    def __init__(self, folder: Path, device: str) -> None:
        super().__init__(folder, device)
        self.critic = Critic().to(device)
        self.network = torch.nn.ModuleDict({"vae": self.vae, "critic": self.critic})

    def loss(self, step: int) -> torch.Tensor:
        """Return the decoder stage's loss + the critic's, a scalar whose gradient moves both networks.

        At the decoded pictures x̂ the decoder stage's loss pulls by g, and the critic by c = −∇ mean D(x̂), as
        soon as its primer is over. The decoder follows g + k · |g|/|c| · c, where k is A_LITTLE, then MUCH.
        """
        latents, pictures, anew = self.crops(step)
        with single_frame(), autocast(self.device):
            decoded = self.vae.decode(latents).float()
        shown = decoded.detach().requires_grad_()
        wrong = self.measure(shown, pictures, anew)
        (pull,) = torch.autograd.grad(wrong, shown)
        if step >= PRIMER:
            opinion = sum(part.mean() for part in self.critic(shown))
            (criticism,) = torch.autograd.grad(-opinion, shown)
            strength = A_LITTLE if step < GENTLE else MUCH
            pull = pull + strength * pull.norm() / criticism.norm().clamp_min(1e-12) * criticism
        judged = zip(self.critic(pictures), self.critic(shown.detach()), strict=True)
        moved = (decoded * pull).sum()  # whose gradient at x̂ is the pull; its value means nothing
        return wrong.detach() + moved - moved.detach() + sum(critic_loss(*both) for both in judged)
