"""The text encoder's forward passes, written out so that they train fast, and its classification heads.

Each pass equals that of the transformers class; tests hold them together.

Axes: B batch, S sequence, D width of a token, T tokens of the template.
Source: transformers 5.23, models/qwen2_5_vl/modeling_qwen2_5_vl.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from workshop.pocket.model import tokens
from workshop.pocket.model.architecture import HEAD_WIDTH, WIDTH, PocketTextEncoder
from workshop.pocket.training import checkpoint, labels
from workshop.pocket.training.inputs import IMAGE_PAD, IMAGE_TOKENS
from workshop.pocket.training.speed import attend

SIDE = tokens.VISION_SIZE // tokens.PATCH
"""Patches along one side of a picture."""


class TextNetwork(torch.nn.Module):
    """The text encoder and, for its own training, two linear layers that answer for every attribute.

    words: from the hidden states of the five tokens after a prompt; picture: from an image token
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = PocketTextEncoder()
        self.words = torch.nn.Linear(tokens.SUFFIX_TOKENS * WIDTH, labels.COUNT)
        self.picture = torch.nn.Linear(WIDTH, labels.COUNT)

    def forward(self, template: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Do `encode_text` with the encoder's language model: (T,) and (B, S) → (B, S, D)."""
        return encode_text(self.encoder.model.language_model, template, ids)

    def encode_edits(self, ids: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        """Return the hidden states of edit prompts with one picture each, (B, S, D).

        ids: (B, S); patches: (B·100, 1176)
        """
        grid = torch.tensor([[1, SIDE, SIDE]] * len(ids), device=ids.device)
        kinds = (ids == IMAGE_PAD).int()
        return self.encoder(
            input_ids=ids, pixel_values=patches, image_grid_thw=grid, mm_token_type_ids=kinds
        )[-1]

    def classify_words(self, hidden: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return logits of every class, (B, classes), from the five tokens after each prompt.

        hidden: (B, S, D); lengths: (B,), with those five
        """
        at = (lengths[:, None] - torch.arange(tokens.SUFFIX_TOKENS, 0, -1)).to(hidden.device)
        suffix = hidden.gather(1, at[..., None].expand(-1, -1, WIDTH))
        return self.words(suffix.flatten(1))


def load_encoder(folder: Path) -> PocketTextEncoder:
    """Return the trained text encoder alone, in float32, for inference; else the shipped one."""
    encoder = PocketTextEncoder()
    if checkpoint.exists(folder, "text"):
        stage = "vision" if checkpoint.exists(folder, "vision") else "text"
        weights = {
            key.removeprefix("encoder."): value
            for key, value in checkpoint.load_trained(folder, stage).items()
            if key.startswith("encoder.")
        }
    else:
        weights = checkpoint.load_shipped("Qwen-Image/text_encoder/model.safetensors")
    encoder.load_state_dict(weights)
    return encoder.eval().requires_grad_(False)


# The language model


def encode_text(language_model: Any, template: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Return the last hidden states of prompts that share their first tokens.

    template: (T,) token ids that every prompt begins with; ids: (B, S) what follows, padded on the right
    returns: (B, S, D), what the transformers class returns for the whole prompts, without the template

    Attention is causal, so padding needs no mask. The class would run the template B times, and torch.compile
    cannot fuse it; here the template runs once.
    """
    positions = torch.arange(len(template) + ids.shape[1], device=ids.device)
    first, rest = language_model.embed_tokens(template[None]), language_model.embed_tokens(ids)
    return run_layers(language_model, first, rest, positions.expand(3, 1, -1))  # for text the axes are equal


def run_layers(
    language_model: Any, first: torch.Tensor, rest: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """Run the language model's layers on embeddings whose first T tokens all prompts share.

    first: (1, T, D), shared; rest: (B, S, D); positions: (3, 1, T + S), frame, row and column
    returns: (B, S, D)
    """
    shared, length = first.shape[1], positions.shape[-1]
    cos, sin = language_model.rotary_emb(rest, positions)
    causal = torch.ones(length, length, dtype=torch.bool, device=rest.device).tril()
    for layer in language_model.layers:
        query, key, value = project_qkv(layer, first, cos[:, :shared], sin[:, :shared])
        later, keys, values = project_qkv(layer, rest, cos[:, shared:], sin[:, shared:])
        keys = torch.cat([key.expand(len(rest), -1, -1, -1), keys], dim=2)
        values = torch.cat([value.expand(len(rest), -1, -1, -1), values], dim=2)
        first = apply_layer(layer, first, query, key, value, causal[:shared, :shared])
        rest = apply_layer(layer, rest, later, keys, values, causal[shared:])
    return language_model.norm(rest)


def project_qkv(
    layer: Any, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return queries, keys and values of one layer, (B, heads, S, head width), queries and keys rotated.

    x: (B, S, D); cos, sin: (1, S, head width)
    """
    normed, attention = layer.input_layernorm(x), layer.self_attn
    q, k, v = (
        linear(normed).unflatten(-1, (-1, HEAD_WIDTH)).transpose(1, 2)
        for linear in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    return apply_rotary(q, cos, sin), apply_rotary(k, cos, sin), v


def apply_rotary(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate the two halves of every head: x·cos + (−high, low)·sin, (B, heads, S, head width)."""
    low, high = x.chunk(2, dim=-1)
    return (x * cos + torch.cat((-high, low), dim=-1) * sin).type_as(x)


def apply_layer(
    layer: Any, x: torch.Tensor, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """Add one layer's attention and its MLP to x, (B, S, D).

    q: (B, heads, S, head width); k, v: (B, key heads, keys, head width); mask: (S, keys) bool, true to attend
    """
    groups = q.shape[1] // k.shape[1]
    k, v = (part.repeat_interleave(groups, dim=1) for part in (k, v))
    mixed = attend(q, k, v, torch.zeros_like(mask, dtype=q.dtype).masked_fill(~mask, float("-inf")))
    x = x + layer.self_attn.o_proj(mixed.transpose(1, 2).flatten(2))
    return x + layer.mlp(layer.post_attention_layernorm(x))


# The vision tower


def lay_out_patches(tower: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return where one picture's patches are, in the order of `cut_patches`, and who attends to whom.

    returns: row and column, (100, 2); and which patches share a window, (100, 100) bool
    """
    grid = torch.stack(torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij"), dim=-1)
    at = grid.unflatten(1, (-1, tokens.MERGE)).unflatten(0, (-1, tokens.MERGE)).transpose(1, 2).reshape(-1, 2)
    window = at // (tower.config.window_size // tower.config.patch_size)
    return at, (window[:, None] == window[None]).all(dim=-1)


def encode_patches(
    tower: Any, patches: torch.Tensor, at: torch.Tensor, same_window: torch.Tensor
) -> torch.Tensor:
    """Return the image tokens of whole pictures, (B, 25, D).

    patches: (B·100, 1176); at and same_window: from `lay_out_patches`

    The transformers class attends window by window and picture by picture, which takes many times as long.
    """
    embed = tower.patch_embed.proj
    x = F.linear(patches, embed.weight.flatten(1)).unflatten(0, (-1, SIDE * SIDE))
    cos, sin = tower.rotary_pos_emb(x, at)
    within = torch.zeros(same_window.shape, device=x.device).masked_fill(~same_window, float("-inf"))
    for number, block in enumerate(tower.blocks):
        everywhere = number in tower.fullatt_block_indexes
        qkv = block.attn.qkv(block.norm1(x)).unflatten(-1, (3, block.attn.num_heads, -1))
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))
        bias = torch.zeros_like(within) if everywhere else within
        mixed = attend(apply_rotary(q, cos, sin), apply_rotary(k, cos, sin), v, bias)
        x = x + block.attn.proj(mixed.transpose(1, 2).flatten(2))
        x = x + block.mlp(block.norm2(x))
    return tower.merger(x.flatten(0, 1)).unflatten(0, (-1, IMAGE_TOKENS))


def find_positions(model: Any, row: torch.Tensor, pictures: int) -> torch.Tensor:
    """Return the positions of one prompt's tokens, (3, 1, S): frame, row and column. row: (1, S) token ids"""
    grid = torch.tensor([[1, SIDE, SIDE]] * pictures)
    return model.get_rope_index(row, (row == IMAGE_PAD).int(), grid, attention_mask=torch.ones_like(row))[0]
