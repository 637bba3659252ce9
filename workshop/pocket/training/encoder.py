"""The text encoder's forward passes, written out so that they train fast."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F

from workshop.pocket.model import tokens
from workshop.pocket.model.architecture import HEAD_WIDTH, WIDTH, PocketTextEncoder
from workshop.pocket.training import checkpoint
from workshop.pocket.training.inputs import IMAGE_PAD, IMAGE_TOKENS
from workshop.pocket.training.labels import CLASSES
from workshop.pocket.training.speed import attend

SIDE = tokens.VISION_SIZE // tokens.PATCH
"""Patches along one side of a picture."""


def hidden_states(language_model: torch.nn.Module, template: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The last hidden states of text prompts that share their first tokens: Qwen2.5's forward, with the
    shared part run once.

    template: (T,) token ids that every prompt begins with; ids: (B, S) what follows, padded on the right
    returns: (B, S, D), equal to what the transformers class returns for the whole prompts, without the
    template

    Causal, so padding needs no mask. The class itself would run the template B times, and torch.compile
    cannot fuse it.
    """
    positions = torch.arange(len(template) + ids.shape[1], device=ids.device)
    first, rest = language_model.embed_tokens(template[None]), language_model.embed_tokens(ids)
    return run_layers(language_model, first, rest, positions.expand(3, 1, -1))  # for text the axes are equal


def run_layers(
    language_model: torch.nn.Module, first: torch.Tensor, rest: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """The layers of `hidden_states`. first: (1, T, D), shared; rest: (B, S, D); positions: (3, 1, T + S)"""
    shared, length = first.shape[1], positions.shape[-1]
    cos, sin = language_model.rotary_emb(rest, positions)
    causal = torch.ones(length, length, dtype=torch.bool, device=rest.device).tril()
    for layer in language_model.layers:
        query, key, value = project(layer, first, cos[:, :shared], sin[:, :shared])
        later, keys, values = project(layer, rest, cos[:, shared:], sin[:, shared:])
        keys = torch.cat([key.expand(len(rest), -1, -1, -1), keys], dim=2)
        values = torch.cat([value.expand(len(rest), -1, -1, -1), values], dim=2)
        first = transform(layer, first, query, key, value, causal[:shared, :shared])
        rest = transform(layer, rest, later, keys, values, causal[shared:])
    return language_model.norm(rest)


def project(
    layer: torch.nn.Module, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values of one layer, (B, heads, S, head width), queries and keys rotated."""
    normed, attention = layer.input_layernorm(x), layer.self_attn
    q, k, v = (
        linear(normed).unflatten(-1, (-1, HEAD_WIDTH)).transpose(1, 2)
        for linear in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    return turn(q, cos, sin), turn(k, cos, sin), v


def turn(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    low, high = x.chunk(2, dim=-1)
    return (x * cos + torch.cat((-high, low), dim=-1) * sin).type_as(x)


def transform(
    layer: torch.nn.Module,
    x: torch.Tensor,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: torch.Tensor,
) -> torch.Tensor:
    """Attention and MLP of one layer, each added to x."""
    groups = q.shape[1] // k.shape[1]
    k, v = (part.repeat_interleave(groups, dim=1) for part in (k, v))
    mixed = attend(q, k, v, torch.zeros_like(mask, dtype=q.dtype).masked_fill(~mask, float("-inf")))
    x = x + layer.self_attn.o_proj(mixed.transpose(1, 2).flatten(2))
    return x + layer.mlp(layer.post_attention_layernorm(x))


def layout(tower: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Row and column of one picture's patches in the order of `patches`, (100, 2), and which patches see each
    other where attention is within windows, (100, 100)."""
    grid = torch.stack(torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij"), dim=-1)
    at = grid.unflatten(1, (-1, tokens.MERGE)).unflatten(0, (-1, tokens.MERGE)).transpose(1, 2).reshape(-1, 2)
    window = at // (tower.config.window_size // tower.config.patch_size)
    return at, (window[:, None] == window[None]).all(dim=-1)


def see(
    tower: torch.nn.Module, pixels: torch.Tensor, at: torch.Tensor, same_window: torch.Tensor
) -> torch.Tensor:
    """What the vision tower makes of whole pictures, (B, 25, D): Qwen2.5-VL's forward for pictures of one
    size.

    pixels: (B·100, 1176); at and same_window: from `layout`

    The class itself attends window by window and picture by picture, which takes many times as long.
    """
    embed = tower.patch_embed.proj
    x = F.linear(pixels, embed.weight.flatten(1)).unflatten(0, (-1, SIDE * SIDE))
    cos, sin = tower.rotary_pos_emb(x, at)
    within = torch.zeros(same_window.shape, device=x.device).masked_fill(~same_window, float("-inf"))
    for number, block in enumerate(tower.blocks):
        everywhere = number in tower.fullatt_block_indexes
        qkv = block.attn.qkv(block.norm1(x)).unflatten(-1, (3, block.attn.num_heads, -1))
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))
        bias = torch.zeros_like(within) if everywhere else within
        mixed = attend(turn(q, cos, sin), turn(k, cos, sin), v, bias)
        x = x + block.attn.proj(mixed.transpose(1, 2).flatten(2))
        x = x + block.mlp(block.norm2(x))
    return tower.merger(x.flatten(0, 1)).unflatten(0, (-1, IMAGE_TOKENS))


def picture_positions(model: torch.nn.Module, row: torch.Tensor, pictures: int) -> torch.Tensor:
    """Qwen2.5-VL's positions of one prompt with pictures. row: (1, S) token ids; returns: (3, 1, S)"""
    grid = torch.tensor([[1, SIDE, SIDE]] * pictures)
    return model.get_rope_index(row, (row == IMAGE_PAD).int(), grid, attention_mask=torch.ones_like(row))[0]


class TextNetwork(torch.nn.Module):
    """The text encoder and, for this stage only, the two linear layers that are asked about attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = PocketTextEncoder()
        classes = sum(len(values) for values in CLASSES.values())
        self.words = torch.nn.Linear(tokens.SUFFIX_TOKENS * WIDTH, classes)
        self.picture = torch.nn.Linear(WIDTH, classes)

    def read_words(self, hidden: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """(B, S, D) → logits of every class of every attribute, (B, classes), from the five tokens after
        the prompt."""
        at = (lengths[:, None] - torch.arange(tokens.SUFFIX_TOKENS, 0, -1)).to(hidden.device)
        suffix = hidden.gather(1, at[..., None].expand(-1, -1, WIDTH))
        return self.words(suffix.flatten(1))

    def forward(self, template: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        return hidden_states(self.encoder.model.language_model, template, ids)

    def see(self, ids: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
        """Hidden states of edit prompts with one picture each. ids: (B, S), pixels: (B·100, 1176)"""
        side = tokens.VISION_SIZE // tokens.PATCH
        grid = torch.tensor([[1, side, side]] * len(ids), device=ids.device)
        kinds = (ids == IMAGE_PAD).int()
        return self.encoder(input_ids=ids, pixel_values=pixels, image_grid_thw=grid, mm_token_type_ids=kinds)[
            -1
        ]


def load_encoder(folder: Path) -> PocketTextEncoder:
    """The trained text encoder alone, in float32, for inference."""
    encoder = PocketTextEncoder()
    if checkpoint.exists(folder, "text"):
        weights = checkpoint.load_trained(folder, "vision" if checkpoint.exists(folder, "vision") else "text")
        weights = {k.removeprefix("encoder."): v for k, v in weights.items() if k.startswith("encoder.")}
    else:
        weights = checkpoint.load_shipped("Qwen-Image/text_encoder/model.safetensors")
    encoder.load_state_dict(weights)
    return encoder.eval().requires_grad_(False)
