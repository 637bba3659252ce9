"""The DiT in training: its forward for batches of prompts, the noise it meets, and its readout.

Axes: B batch, C channels (16), H and W latent px (16), S tokens, D width. 2×2 latents make one of 64 image
tokens.
Source: diffsynth 2.1.12, models/qwen_image_dit.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from diffsynth.diffusion import DiffusionTrainingModule
from diffsynth.models import qwen_image_dit
from einops import rearrange

from workshop import lora
from workshop.pocket.model.architecture import WIDTH, PocketDiT
from workshop.pocket.training import labels
from workshop.pocket.training.speed import attend

READOUT_AFTER = 3
"""After this many of the six blocks the image tokens are asked what the caption names."""

Rotary = tuple[torch.Tensor, torch.Tensor]
"""Cosine and sine for the image tokens and for the text tokens, (S, head width / 2, 2) each."""


class DiTWithReadout(PocketDiT):
    """The DiT and, for training alone, a linear layer that reads from image tokens what the caption names.

    The squared error of a velocity hardly notices a collar or the colour of a tie, so reading them from the
    prompt is learned late or never. Asked directly, every image token soon knows the whole prompt, and
    drawing what is known is quickly learned. Akin to REPA (Yu et al. 2024), with words in place of features.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readout = torch.nn.Linear(WIDTH, labels.COUNT)


def drop_readout(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weights of the DiT alone."""
    return {key: value for key, value in weights.items() if not key.startswith("readout.")}


def add_lora(dit: DiTWithReadout, rank: int) -> DiTWithReadout:
    """Freeze the DiT and give it a LoRA on DiffSynth's 12 targets; the readout goes on learning."""
    dit.requires_grad_(False)
    DiffusionTrainingModule().add_lora_to_model(dit, list(lora.TARGETS), rank)
    dit.readout.requires_grad_(True)
    return dit


def zero_last_layers(dit: PocketDiT) -> None:
    """Zero modulation and output: every block starts as the identity, and the first prediction is zero."""
    blocks: Iterable[Any] = dit.transformer_blocks
    for block in blocks:
        for layer in (block.img_mod[1], block.txt_mod[1]):
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
    for layer in (dit.norm_out.linear, dit.proj_out):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)


# The forward pass


def predict_velocity(
    dit: PocketDiT,
    latents: torch.Tensor,
    sigma: torch.Tensor,
    text: torch.Tensor,
    mask: torch.Tensor,
    rotary: Rotary,
    references: Sequence[torch.Tensor] = (),
) -> tuple[torch.Tensor, torch.Tensor]:
    """Do QwenImageDiT.forward for a batch of prompts of different lengths; call it within `fast_functions`.

    latents and each of references: (B, 16, H, W); sigma: (B,) in [0, 1]; text: (B, S, D), padded;
    mask: (B, 1, 1, S + image tokens), 0 or -inf
    returns: the velocity, (B, 16, H, W), and the image tokens after READOUT_AFTER blocks, those of the
    drawing first, then those of each reference, (B, (1 + references)·H·W/4, D)
    """
    height = latents.shape[2] // 2
    image = torch.cat(
        [rearrange(x, "B C (H P) (W Q) -> B (H W) (C P Q)", P=2, Q=2) for x in (latents, *references)], dim=1
    )
    image, drawn = dit.img_in(image), image.shape[1] // (1 + len(references))
    text = dit.txt_in(dit.txt_norm(text))
    when = dit.time_text_embed(sigma, image.dtype)
    for number, block in enumerate(dit.transformer_blocks, start=1):
        text, image = block(image=image, text=text, temb=when, image_rotary_emb=rotary, attention_mask=mask)
        if number == READOUT_AFTER:
            middle = image
    image = dit.proj_out(dit.norm_out(image[:, :drawn], when))
    return rearrange(image, "B (H W) (C P Q) -> B C (H P) (W Q)", H=height, P=2, Q=2), middle


def make_rotary(dit: PocketDiT, text_tokens: int, device: str, *, pictures: int = 1) -> Rotary:
    """Return the real-valued rotary tables of the 8×8 image tokens of each picture, and of the text.

    returns: (pictures·64, head width / 2, 2) and (text_tokens, head width / 2, 2)
    """
    image, text = dit.pos_embed([(1, 8, 8)] * pictures, [text_tokens], device=torch.device(device))
    return torch.view_as_real(image), torch.view_as_real(text)


def mask_padding(lengths: torch.Tensor, text_tokens: int, image_tokens: int = 64) -> torch.Tensor:
    """Return minus infinity where a text token is padding, else 0.

    lengths: (B,)
    returns: (B, 1, 1, text_tokens + image_tokens)
    """
    padding = torch.arange(text_tokens)[None] >= lengths[:, None]
    mask = torch.zeros(len(lengths), text_tokens + image_tokens)
    mask[:, :text_tokens].masked_fill_(padding, float("-inf"))
    return mask[:, None, None]


def sample_sigmas(count: int, *, even: bool = False) -> torch.Tensor:
    """Return noise levels for training, (count,): two thirds logit-normal, one third close to pure noise.

    even: draw half of them uniformly instead, so that edges and small things are met as often as shapes

    sigma = 1 / (1 + e^−n), or 1 − u²/4, with n normal and u uniform. A picture of 64 tokens shows its colours
    through nearly all noise: only there does a model learn to take them from the prompt.
    """
    usual = torch.sigmoid(torch.randn(count))
    mixed = torch.where(torch.rand(count) < 2 / 3, usual, 1 - 0.25 * torch.rand(count).square())
    return torch.where(torch.rand(count) < 0.5, torch.rand(count), mixed) if even else mixed


# Fast functions


@contextmanager
def fast_functions() -> Iterator[None]:
    """Swap two functions of DiffSynth's DiT for equal ones that train several times faster on a CPU.

    The rotation is in real instead of complex numbers, which torch.compile can fuse, and attention is written
    out (see `attend`).
    """
    original = qwen_image_dit.apply_rotary_emb_qwen, qwen_image_dit.qwen_image_flash_attention
    qwen_image_dit.apply_rotary_emb_qwen, qwen_image_dit.qwen_image_flash_attention = _rotate, _attention
    try:
        yield
    finally:
        qwen_image_dit.apply_rotary_emb_qwen, qwen_image_dit.qwen_image_flash_attention = original


def _rotate(x: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Rotate neighbouring pairs by cosine and sine: x (B, heads, S, D), table (S, D/2, 2) → x's shape."""
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = table.unbind(-1)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(3).type_as(x)


def _attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, num_heads: int, attention_mask: torch.Tensor, **_: bool
) -> torch.Tensor:
    """Attend as DiffSynth's function does: q, k, v, (B, heads, S, D) each → (B, S, heads·D)."""
    return attend(q, k, v, attention_mask).transpose(1, 2).flatten(2)
