"""Several passes of the DiT in one call: the two of guidance, and those of several pictures.

Stock DiffSynth runs the DiT once for each pass. On a small model much of such a run goes into reading weights
and starting small operations, and one pass more in the same call costs little. Here the picture's tokens of
all passes are one batch. The prompts differ in length, so their tokens lie one behind the other, without
padding; only attention looks at each pass alone:

    linear layers, norms, modulation    all passes at once
    attention                           passes with prompts of one length at once, and so without a mask

Every layer is the DiT's own module and is called as such: a hot-loaded LoRA counts. The numbers are those of
single passes but for the order of sums.

`together(pipe)` is the switch: in its block the pipeline's guidance is one call. A DiT or a setting that this
file does not know, and pictures of so many tokens that a batch gains nothing, run as DiffSynth runs them.

Axes: P passes, N tokens of the picture and its references, S tokens of a prompt, T those of all P prompts,
D width, E heads, F width of a head; latents (P, C, H, W). Source: diffsynth 2.1.12, pipelines/qwen_image.py
(model_fn_qwen_image), models/qwen_image_dit.py, diffusion/base_pipeline.py (cfg_guided_model_fn).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import torch
    from diffsynth.models.qwen_image_dit import (
        QwenDoubleStreamAttention,
        QwenImageDiT,
        QwenImageTransformerBlock,
    )
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

Inputs: TypeAlias = dict[str, Any]
Conditions: TypeAlias = tuple[Inputs, Inputs, Inputs]  # what both passes take, what one takes, what the other

MOST_TOKENS = 4096
"""Of pictures and references in one call. Of more, a batch has nothing to gain: it only costs memory."""

ALONE = (
    *("entity_prompt_emb", "blockwise_controlnet_conditioning", "layer_num", "layer_input_latents"),
    *("context_latents", "kv_cache", "zero_cond_t", "enable_fp8_attention", "edit_rope_interpolation"),
    *("positive_only_lora", "negative_only_lora", "use_gradient_checkpointing"),
)
"""What DiffSynth's model_fn takes and this file does not know: with any of them set, each pass runs alone."""


@contextmanager
def together(pipe: QwenImagePipeline) -> Iterator[None]:
    """Run both passes of guidance in one call of the DiT in the block, where that gives the same sooner.

    Inside, `pipe(...)` and `pipe.cfg_guided_model_fn` take the short way; outside, DiffSynth's.
    """
    if "cfg_guided_model_fn" in vars(pipe):  # a block within a block
        yield
        return
    stock = pipe.cfg_guided_model_fn

    def guide(
        model_fn: Callable[..., torch.Tensor],
        cfg_scale: float,
        inputs_shared: Inputs,
        inputs_posi: Inputs,
        inputs_nega: Inputs,
        **others: Any,
    ) -> torch.Tensor:
        one = (inputs_shared, inputs_posi, inputs_nega)
        if cfg_scale == 1.0 or not _is_stock(model_fn) or not fit(others["dit"], [one]):
            return stock(model_fn, cfg_scale, *one, **others)
        return velocities(others["dit"], others["timestep"], [one], [cfg_scale])

    pipe.cfg_guided_model_fn = guide
    try:
        yield
    finally:
        del pipe.cfg_guided_model_fn


def is_stock(pipe: QwenImagePipeline) -> bool:
    """Return whether the pipeline guides and runs its DiT as DiffSynth made it, or in `together`'s block."""
    guide = vars(pipe).get("cfg_guided_model_fn")
    return _is_stock(pipe.model_fn) and (guide is None or guide.__module__ == __name__)


def count_fitting(dit: QwenImageDiT, picture: Conditions) -> int:
    """Count how many pictures like this one gain by one call: 0 if it is to run as DiffSynth runs it."""
    return MOST_TOKENS // _count_tokens(picture) if fit(dit, [picture]) else 0


def fit(dit: QwenImageDiT, pictures: Sequence[Conditions]) -> bool:
    """Return whether all passes of these pictures give the same in one call, and sooner than alone."""
    given = [inputs for conditions in pictures for inputs in conditions]
    if any(_is_set(inputs, name) for inputs in given for name in ALONE) or not _is_plain(dit):
        return False
    seen = [[shared["latents"], *_references(shared)] for shared, _, _ in pictures]
    alike = len({tuple(one.shape for one in latents) for latents in seen}) == 1
    return alike and sum(map(_count_tokens, pictures)) <= MOST_TOKENS


def velocities(
    dit: QwenImageDiT, timestep: torch.Tensor, pictures: Sequence[Conditions], scales: Sequence[float]
) -> torch.Tensor:
    """Compute the guided velocity of each picture, all passes in one call; a guidance of 1 costs one pass.

        velocity = without + cfg_scale · (with - without)

    timestep: (1,), the same for all; scales: cfg_scale of each
    returns: (pictures, C, H, W)
    """
    import torch

    owners, prompts = [], []
    for number, ((_, positive, negative), scale) in enumerate(zip(pictures, scales, strict=True)):
        chosen = [positive] if scale == 1.0 else [positive, negative]
        owners += [number] * len(chosen)
        prompts += [inputs["prompt_emb"][0] for inputs in chosen]
    latents = torch.cat([pictures[owner][0]["latents"] for owner in owners])
    seen = zip(*(_references(pictures[owner][0]) for owner in owners), strict=True)
    answers = iter(run(dit, latents, timestep, prompts, [torch.cat(one) for one in seen]).split(1))
    guided = []
    for scale in scales:
        velocity = next(answers)
        if scale != 1.0:
            without = next(answers)
            velocity = without + scale * (velocity - without)
        guided.append(velocity)
    return torch.cat(guided)


def run(
    dit: QwenImageDiT,
    latents: torch.Tensor,
    timestep: torch.Tensor,
    prompts: Sequence[torch.Tensor],
    references: Sequence[torch.Tensor] = (),
) -> torch.Tensor:
    """Run the DiT once for P passes; each gets its latents, its prompt and its references.

    latents: (P, C, H, W)
    timestep: (1,), from 0 to 1000
    prompts: P of them, (S, D of the text encoder), of any lengths
    references: each (P, C, h, w), of any sizes
    returns: velocities (P, C, H, W)
    """
    import torch

    # Passes with prompts of one length stand side by side: attention takes them together.
    order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
    lengths = [len(prompts[number]) for number in order]
    pictures = [latents[order], *(one[order] for one in references)]
    shapes = [(1, one.shape[2] // 2, one.shape[3] // 2) for one in pictures]
    image = dit.img_in(torch.cat([_patches(one) for one in pictures], dim=1))
    text = dit.txt_in(dit.txt_norm(torch.cat([prompts[number] for number in order]).unsqueeze(0)))
    noise_level = dit.time_text_embed(timestep / 1000, image.dtype)
    turns, of_longest = dit.pos_embed(shapes, lengths, device=latents.device)
    text_turns = torch.cat([of_longest[:length] for length in lengths])
    for block in dit.transformer_blocks:
        text, image = _run_block(block, text, image, noise_level, (text_turns, turns), lengths)
    image = image[:, : shapes[0][1] * shapes[0][2]]
    velocity = _unpatch(dit.proj_out(dit.norm_out(image, noise_level)), *shapes[0][1:])
    return velocity[torch.tensor(order, device=velocity.device).argsort()]


def _run_block(
    block: QwenImageTransformerBlock,
    text: torch.Tensor,
    image: torch.Tensor,
    noise_level: torch.Tensor,
    turns: tuple[torch.Tensor, torch.Tensor],
    lengths: Sequence[int],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run one block: text (1, T, D) and image (P, N, D), which it returns changed.

    noise_level: (1, D); turns: of text (T, F / 2) and image (N, F / 2); lengths: S of each pass
    """
    import torch

    image_changes = block.img_mod(noise_level).chunk(6, dim=-1)  # shift, scale, gate; for attention, for MLP
    text_changes = block.txt_mod(noise_level).chunk(6, dim=-1)
    attended = _attend(
        block.attn,
        _modulate(block.txt_norm1(text), *text_changes[:2]),
        _modulate(block.img_norm1(image), *image_changes[:2]),
        turns,
        lengths,
    )
    text = torch.addcmul(text, text_changes[2], attended[0])
    image = torch.addcmul(image, image_changes[2], attended[1])
    text_out = block.txt_mlp(_modulate(block.txt_norm2(text), *text_changes[3:5]))
    image_out = block.img_mlp(_modulate(block.img_norm2(image), *image_changes[3:5]))
    return torch.addcmul(text, text_changes[5], text_out), torch.addcmul(image, image_changes[5], image_out)


def _modulate(x: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.addcmul(shift, x, 1 + scale)


def _attend(
    attention: QwenDoubleStreamAttention,
    text: torch.Tensor,
    image: torch.Tensor,
    turns: tuple[torch.Tensor, torch.Tensor],
    lengths: Sequence[int],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Let each pass's prompt and picture attend to each other; text (1, T, D) and image (P, N, D)."""
    import torch
    from diffsynth.models import qwen_image_dit

    a, heads = attention, (attention.num_heads, attention.head_dim)
    of_text = [layer(text).unflatten(-1, heads) for layer in (a.add_q_proj, a.add_k_proj, a.add_v_proj)]
    of_image = [layer(image).unflatten(-1, heads) for layer in (a.to_q, a.to_k, a.to_v)]
    of_text[:2] = [_turn(a.norm_added_q(of_text[0]), turns[0]), _turn(a.norm_added_k(of_text[1]), turns[0])]
    of_image[:2] = [_turn(a.norm_q(of_image[0]), turns[1]), _turn(a.norm_k(of_image[1]), turns[1])]
    texts, images, start, first = [], [], 0, 0
    for length, alike in groupby(lengths):
        count = len(list(alike))
        ending, last = start + count * length, first + count
        joint = [
            torch.cat([t[0, start:ending].unflatten(0, (count, length)), i[first:last]], dim=1).transpose(
                1, 2
            )
            for t, i in zip(of_text, of_image, strict=True)
        ]  # q, k and v: (count, E, length + N, F)
        out = qwen_image_dit.qwen_image_flash_attention(*joint, num_heads=heads[0])
        texts.append(out[:, :length].flatten(0, 1))
        images.append(out[:, length:])
        start, first = ending, last
    return a.to_add_out(torch.cat(texts).unsqueeze(0)), a.to_out(torch.cat(images))


def _turn(x: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Turn each pair of numbers by its token's position: x (P, N, E, F), turns (N, F / 2), complex."""
    import torch

    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns.unsqueeze(1)).flatten(-2).type_as(x)


def _patches(latents: torch.Tensor) -> torch.Tensor:
    """Cut latents into tokens of 2×2: (P, C, H, W) → (P, H W / 4, 4 C)."""
    tiles = latents.unflatten(2, (-1, 2)).unflatten(4, (-1, 2))  # (P, C, H/2, 2, W/2, 2)
    return tiles.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def _unpatch(tokens: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Put tokens together again: (P, rows columns, 4 C) → (P, C, 2 rows, 2 columns)."""
    tiles = tokens.unflatten(1, (rows, columns)).unflatten(3, (-1, 2, 2))  # (P, H/2, W/2, C, 2, 2)
    return tiles.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)


def _count_tokens(picture: Conditions) -> int:
    """Count the tokens of a picture and its references in both passes."""
    latents = [picture[0]["latents"], *_references(picture[0])]
    return 2 * sum(one.shape[2] * one.shape[3] // 4 for one in latents)


def _references(shared: Mapping[str, Any]) -> list[torch.Tensor]:
    latents = shared.get("edit_latents")
    return [] if latents is None else latents if isinstance(latents, list) else [latents]


def _is_set(inputs: Mapping[str, Any], name: str) -> bool:
    return inputs.get(name) is not None and inputs[name] is not False


def _is_stock(model_fn: Callable[..., Any]) -> bool:
    from diffsynth.pipelines.qwen_image import model_fn_qwen_image

    return model_fn is model_fn_qwen_image


def _is_plain(dit: QwenImageDiT) -> bool:
    """Return whether nobody listens to, replaces or compiles what `_run_block` does itself."""
    from diffsynth.models.qwen_image_dit import QwenEmbedRope, QwenImageTransformerBlock

    blocks = list(dit.transformer_blocks)
    own = [part for block in blocks for part in (block, block.attn)]
    return (
        all(type(block) is QwenImageTransformerBlock for block in blocks)
        and type(dit.pos_embed) is QwenEmbedRope
        and not dit.time_text_embed.use_additional_t_cond
        and not any(part._forward_hooks or part._forward_pre_hooks for part in own)
        and not any("forward" in vars(part) or part._compiled_call_impl for part in own)
    )
