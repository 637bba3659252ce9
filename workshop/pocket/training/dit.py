"""The DiT in training: its forward for batches of prompts, and its readout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from diffsynth.diffusion import DiffusionTrainingModule
from diffsynth.models import qwen_image_dit
from einops import rearrange

from workshop import lora
from workshop.pocket.model.architecture import WIDTH, PocketDiT
from workshop.pocket.training.labels import CLASSES
from workshop.pocket.training.speed import attend

ASKED_AFTER = 3
"""After this many blocks the image tokens are asked what the caption names."""


class AskedDiT(PocketDiT):
    """The DiT and, for training only, a linear layer that asks its image tokens what the caption names.

    The squared error of a velocity hardly notices a collar or the colour of a tie, so reading them from the
    prompt is learned late or never. Asked directly, every image token soon knows the whole prompt, and
    drawing what is known is quickly learned. Akin to REPA (Yu et al. 2024), with words in place of features.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readout = torch.nn.Linear(WIDTH, sum(len(values) for values in CLASSES.values()))


def without_readout(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of the DiT alone, from those of an AskedDiT."""
    return {key: value for key, value in weights.items() if not key.startswith("readout.")}


def with_lora(dit: AskedDiT, rank: int) -> AskedDiT:
    """Freeze the DiT and give it a LoRA on DiffSynth's 12 targets; the readout stays free."""
    dit.requires_grad_(False)
    DiffusionTrainingModule().add_lora_to_model(dit, list(lora.TARGETS), rank)
    dit.readout.requires_grad_(True)
    return dit


def start_small(dit: PocketDiT) -> None:
    """Zero modulation and output: every block starts as the identity, and the first prediction is zero."""
    for block in dit.transformer_blocks:
        for layer in (block.img_mod[1], block.txt_mod[1]):
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
    for layer in (dit.norm_out.linear, dit.proj_out):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)


def _rotate(x: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Rotary embedding with cosine and sine apart. x: (B, heads, S, D), turns: (S, D/2, 2)"""
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = turns.unbind(-1)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(3).type_as(x)


def _attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, num_heads: int, attention_mask: torch.Tensor, **_: bool
) -> torch.Tensor:
    return attend(q, k, v, attention_mask).transpose(1, 2).flatten(2)


@contextmanager
def trainable() -> Iterator[None]:
    """Swap two functions of DiffSynth's DiT for equal ones that train several times faster on a CPU.

    Rotation in real instead of complex numbers, which torch.compile can fuse, and attention written out (see
    `attend`).
    """
    original = qwen_image_dit.apply_rotary_emb_qwen, qwen_image_dit.qwen_image_flash_attention
    qwen_image_dit.apply_rotary_emb_qwen, qwen_image_dit.qwen_image_flash_attention = _rotate, _attention
    try:
        yield
    finally:
        qwen_image_dit.apply_rotary_emb_qwen, qwen_image_dit.qwen_image_flash_attention = original


def velocity(*inputs: object) -> torch.Tensor:
    """`velocity_and_middle`, without the middle."""
    return velocity_and_middle(*inputs)[0]


def velocity_and_middle(
    dit: PocketDiT,
    latents: torch.Tensor,
    sigma: torch.Tensor,
    text: torch.Tensor,
    mask: torch.Tensor,
    turns: tuple[torch.Tensor, torch.Tensor],
    references: Sequence[torch.Tensor] = (),
) -> tuple[torch.Tensor, torch.Tensor]:
    """QwenImageDiT.forward for a batch with prompts of different lengths; to be called within `trainable`.

    latents and each of references: (B, 16, H, W); sigma: (B,) in [0, 1]; text: (B, S, D), padded;
    mask: (B, 1, 1, S + image tokens), 0 or -inf
    returns: the velocity, (B, 16, H, W), and the image tokens after ASKED_AFTER blocks, those of the drawing
    first, then those of each reference, (B, (1 + references)·H·W/4, D)
    """
    height = latents.shape[2] // 2
    image = torch.cat(
        [rearrange(x, "B C (H P) (W Q) -> B (H W) (C P Q)", P=2, Q=2) for x in (latents, *references)], dim=1
    )
    image, drawn = dit.img_in(image), image.shape[1] // (1 + len(references))
    text = dit.txt_in(dit.txt_norm(text))
    when = dit.time_text_embed(sigma, image.dtype)
    for number, block in enumerate(dit.transformer_blocks, start=1):
        text, image = block(image=image, text=text, temb=when, image_rotary_emb=turns, attention_mask=mask)
        if number == ASKED_AFTER:
            middle = image
    image = dit.proj_out(dit.norm_out(image[:, :drawn], when))
    return rearrange(image, "B (H W) (C P Q) -> B C (H P) (W Q)", H=height, P=2, Q=2), middle


def random_sigma(count: int) -> torch.Tensor:
    """Noise levels for training, (count,): two thirds logit-normal, one third close to pure noise.

    A picture of 64 tokens shows its colours through nearly all noise: what prompts decide is learned there.
    """
    usual = torch.sigmoid(torch.randn(count))
    return torch.where(torch.rand(count) < 2 / 3, usual, 1 - 0.25 * torch.rand(count).square())


def rotary(
    dit: PocketDiT, text_tokens: int, device: str, *, pictures: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """The real-valued rotary tables of the 8×8 image tokens of each picture and of the text."""
    image, text = dit.pos_embed([(1, 8, 8)] * pictures, [text_tokens], device=torch.device(device))
    return torch.view_as_real(image), torch.view_as_real(text)


def key_mask(lengths: torch.Tensor, text_tokens: int, image_tokens: int = 64) -> torch.Tensor:
    """(B,) → (B, 1, 1, S): minus infinity where a text token is padding."""
    padding = torch.arange(text_tokens)[None] >= lengths[:, None]
    mask = torch.zeros(len(lengths), text_tokens + image_tokens)
    mask[:, :text_tokens].masked_fill_(padding, float("-inf"))
    return mask[:, None, None]
