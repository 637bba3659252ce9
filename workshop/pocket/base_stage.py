"""The base stage: the pocket DiT learns to turn noise into the latents of plain renders, guided by captions.

Rectified flow (Liu et al. 2022; diffsynth 2.1.12, diffusion/flow_match.py): x_sigma = (1 - sigma)·x0 +
sigma·noise, and the DiT predicts the velocity noise - x0.

Axes: B batch, C channels (16), S tokens, D width. Latents are (B, 16, 16, 16); 2×2 of them make one of 64
image tokens.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from diffsynth.models import qwen_image_dit
from diffsynth.models.qwen_image_vae import QwenImageVAE
from einops import rearrange

from workshop.pocket import captions
from workshop.pocket.architecture import VAE_KWARGS, PocketDiT
from workshop.pocket.dataset import rendered
from workshop.pocket.text_stage import Prompts, hidden_states, load_encoder
from workshop.pocket.train import attend, compiled, has_checkpoint, shipped, trained, world
from workshop.pocket.vae_stage import PLAIN, normalise, single_frame, to_tensor

EMPTY_SHARE = 0.1
"""Share of prompts that are empty in training: guidance needs a model that also knows what nobody asked
for."""

COUPLES = 0.1
"""Share of pictures that are couples beyond those that come by chance: they have the most to get right."""


def load_vae(folder: Path) -> QwenImageVAE:
    """The trained VAE with normalised latents, in float32, for inference."""
    vae = QwenImageVAE(**VAE_KWARGS)
    if not has_checkpoint(folder, "vae"):
        vae.load_state_dict(shipped("vae/diffusion_pytorch_model.safetensors"))
        return vae.eval().requires_grad_(False)
    vae.load_state_dict(trained(folder, "vae"))
    normalise(vae, to_tensor(rendered(folder, PLAIN[0], seed=PLAIN[1])[1][:512]))
    return vae.eval().requires_grad_(False)


@torch.no_grad()
def encoded(folder: Path, device: str) -> np.ndarray:
    """The latents of all training renders, float16 (N, 16, 16, 16), as a memory map; made on the first
    call."""
    from tqdm.auto import tqdm

    path = Path(folder) / "latents.npy"
    if not path.exists():
        vae, pictures = load_vae(folder).to(device), rendered(folder, PLAIN[0], seed=PLAIN[1])[1]
        partial = path.with_suffix(".partial")
        latents = np.lib.format.open_memmap(partial, "w+", np.float16, (len(pictures), 16, 16, 16))
        encode = compiled(vae.encode)
        for start in tqdm(range(0, len(pictures), 50), desc="encode", unit="batch"):
            with single_frame(), torch.autocast(device, torch.bfloat16):
                part = encode(to_tensor(pictures[start : start + 50], device))
            latents[start : start + 50] = part.half().cpu().numpy()
        latents.flush()
        partial.rename(path)
    return np.load(path, mmap_mode="r")


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


def velocity(
    dit: PocketDiT,
    latents: torch.Tensor,
    sigma: torch.Tensor,
    text: torch.Tensor,
    mask: torch.Tensor,
    turns: tuple[torch.Tensor, torch.Tensor],
) -> torch.Tensor:
    """QwenImageDiT.forward for a batch with prompts of different lengths; to be called within `trainable`.

    latents: (B, 16, H, W); sigma: (B,) in [0, 1]; text: (B, S, D), padded; mask: (B, 1, 1, S + H·W/4), 0 or
    -inf
    returns: the velocity, (B, 16, H, W)
    """
    height = latents.shape[2] // 2
    image = dit.img_in(rearrange(latents, "B C (H P) (W Q) -> B (H W) (C P Q)", P=2, Q=2))
    text = dit.txt_in(dit.txt_norm(text))
    when = dit.time_text_embed(sigma, image.dtype)
    for block in dit.transformer_blocks:
        text, image = block(image=image, text=text, temb=when, image_rotary_emb=turns, attention_mask=mask)
    image = dit.proj_out(dit.norm_out(image, when))
    return rearrange(image, "B (H W) (C P Q) -> B C (H P) (W Q)", H=height, P=2, Q=2)


def random_sigma(count: int) -> torch.Tensor:
    """Noise levels for training, (count,): half logit-normal, half from the noisiest quarter.

    A picture of 64 tokens shows its colours through nearly all noise: what prompts decide is learned there.
    """
    usual = torch.sigmoid(0.4 + torch.randn(count))
    return torch.where(torch.rand(count) < 0.5, usual, 1 - 0.25 * torch.rand(count))


def rotary(dit: PocketDiT, text_tokens: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The real-valued rotary tables of 8×8 image tokens and of the text."""
    image, text = dit.pos_embed([(1, 8, 8)], [text_tokens], device=torch.device(device))
    return torch.view_as_real(image), torch.view_as_real(text)


def key_mask(lengths: torch.Tensor, text_tokens: int, image_tokens: int = 64) -> torch.Tensor:
    """(B,) → (B, 1, 1, S): minus infinity where a text token is padding."""
    padding = torch.arange(text_tokens)[None] >= lengths[:, None]
    mask = torch.zeros(len(lengths), text_tokens + image_tokens)
    mask[:, :text_tokens].masked_fill_(padding, float("-inf"))
    return mask[:, None, None]


class BaseStage:
    """Text encoder and VAE are frozen; only the DiT learns."""

    name, steps, rate, batch, ema = "base", 7000, 1.2e-3, 64, 0.998
    pool = 8

    def __init__(self, folder: Path, device: str) -> None:
        self.device, self.folder = device, folder
        self.prompts, self.encoder = Prompts(folder), load_encoder(folder).to(device)
        self.network = PocketDiT().to(device)
        start_small(self.network)
        self.scenes = rendered(folder, PLAIN[0], seed=PLAIN[1])[0]
        self.couples = [i for i, scene in enumerate(self.scenes) if scene.kind == "couple"]
        self.pooled: tuple[int, list[list[tuple[int, str]]]] = (-1, [])
        self.latents = encoded(folder, device)
        self.fast_velocity = compiled(velocity)
        self.fast_encode = compiled(hidden_states)

    def said(self, step: int) -> list[tuple[int, str]]:
        """Scene numbers and captions of this step."""
        index, turn = divmod(step, self.pool)
        if index != self.pooled[0]:
            self.pooled = index, self.batches(index)
        return self.pooled[1][turn]

    def batches(self, index: int) -> list[list[tuple[int, str]]]:
        """Eight batches, each of captions of similar length, so that little is padding."""
        rng, drawn = random.Random(index), []
        for _ in range(self.pool * self.batch):
            i = rng.choice(self.couples) if rng.random() < COUPLES else rng.randrange(len(self.scenes))
            text = captions.caption(self.scenes[i], rng.choice(captions.LANGUAGES), rng).text
            drawn.append((i, "" if rng.random() < EMPTY_SHARE else text))
        rows = self.prompts.tokenizer([text for _, text in drawn])["input_ids"]
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

    def loss(self, step: int) -> torch.Tensor:
        rank, processes = world()
        chosen = self.said(step)[rank::processes]
        latents = torch.from_numpy(np.stack([self.latents[i] for i, _ in chosen])).float().to(self.device)
        return self.flow_loss(latents, [text for _, text in chosen])

    def flow_loss(self, latents: torch.Tensor, texts: list[str], *, fast: bool = True) -> torch.Tensor:
        """Squared error of the predicted velocity at random sigmas; `fast` runs what is compiled."""
        noise = torch.randn_like(latents)
        sigma = random_sigma(len(latents)).to(self.device)
        mixed = torch.lerp(latents, noise, sigma.view(-1, 1, 1, 1))
        text, lengths = self.text(texts, fast=fast)
        mask = key_mask(lengths, text.shape[1]).to(self.device)
        with trainable(), torch.autocast(self.device, torch.bfloat16):
            turns, mask = rotary(self.network, text.shape[1], self.device), mask.bfloat16()
            for tensor, tokens in ((text, 1), (mask, 3), (turns[1], 0)):
                torch._dynamo.mark_dynamic(tensor, tokens)
            forward = self.fast_velocity if fast else velocity
            predicted = forward(self.network, mixed, sigma, text, mask, turns)
        return (predicted.float() - (noise - latents)).square().mean()

    @torch.no_grad()
    def report(self) -> str:
        shown, renders = rendered(self.folder, 200, seed=3, test=True)
        if not hasattr(self, "held_out"):
            with single_frame():
                self.held_out = load_vae(self.folder).encode(to_tensor(renders[:64])).to(self.device)
        rng = random.Random(0)
        texts = [captions.caption(scene, "en", rng).text for scene in shown[:64]]
        torch.manual_seed(0)
        return f"loss {self.flow_loss(self.held_out, texts, fast=False):.4f} on held-out renders"


def make(folder: Path, device: str) -> BaseStage:
    return BaseStage(folder, device)
