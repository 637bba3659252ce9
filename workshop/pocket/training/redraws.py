"""Latents as the DiT leaves them: renders with noise on them, drawn to the end by the shipped DiT.

A render's own latents are what the VAE's encoder makes of it. A drawn picture's latents are what the DiT
makes of noise, and they differ: edges are softer and small things smudged. To know what a drawn picture
should look like, we put noise on a render and let the DiT take it off again, which keeps the composition
(SDEdit, Meng et al. 2022, arXiv 2108.01073).

Axes: B batch, N pictures, C channels (16), H and W latent px (16), S tokens, D width.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from diffsynth.models.qwen_image_vae import QwenImageVAE

from workshop import files
from workshop.pocket.model.architecture import PocketDiT
from workshop.pocket.training import checkpoint
from workshop.pocket.training.dit import fast_functions, make_rotary, mask_padding, predict_velocity
from workshop.pocket.training.encoder import encode_text, load_encoder
from workshop.pocket.training.inputs import PromptTokens
from workshop.pocket.training.latents import load_vae, single_frame, to_tensor
from workshop.pocket.training.renders import rendered
from workshop.pocket.world import captions
from workshop.pocket.world.scenes import Scene

SIGMAS = (0.2, 0.65)
"""Noise levels from which a picture is drawn anew: its shapes stay, everything small is the DiT's."""

STEP = 0.12
"""The largest step in sigma."""

CFG_SCALE = 4.0
BATCH = 16


class Redrawer:
    """The shipped base DiT, with the ArtAug LoRA in its weights for the rich finish."""

    def __init__(self, folder: Path, *, rich: bool) -> None:
        self.prompts, self.encoder = PromptTokens(folder), load_encoder(folder)
        self.dit = PocketDiT().eval().requires_grad_(False)
        weights = checkpoint.load_shipped(checkpoint.SHIPPED_DIT["base"])
        if rich:
            merge_lora(weights, checkpoint.load_shipped(checkpoint.SHIPPED_ARTAUG))
        self.dit.load_state_dict(weights)

    def embed(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the DiT gets for B prompts, (B, S, D), padded, and their lengths, (B,)."""
        ids, lengths = self.prompts.encode_prompts(texts, multiple=8)
        return encode_text(self.encoder.model.language_model, self.prompts.template, ids), lengths

    def predict(self, latents: torch.Tensor, sigma: float, texts: Sequence[str]) -> torch.Tensor:
        """Return the velocity for B latents at one noise level, all (B, C, H, W)."""
        hidden, lengths = self.embed(texts)
        mask = mask_padding(lengths, hidden.shape[1])
        rotary = make_rotary(self.dit, hidden.shape[1], "cpu")
        at = torch.full((len(latents),), sigma)
        return predict_velocity(self.dit, latents, at, hidden, mask, rotary)[0]

    @torch.no_grad()
    def redraw(self, latents: torch.Tensor, texts: Sequence[str], *, sigma: float) -> torch.Tensor:
        """Put noise of level sigma on latents, (B, C, H, W), and draw to the end: the same shape.

        x ← x + (sigma' − sigma)·v, with v = v_empty + 4·(v_prompt − v_empty)
        """
        x = torch.lerp(latents, torch.randn_like(latents), sigma)
        levels = torch.linspace(sigma, 0, 1 + max(2, round(sigma / STEP))).tolist()
        with fast_functions():
            for here, there in pairwise(levels):
                asked = self.predict(x, here, texts)
                empty = self.predict(x, here, [""] * len(x))
                x = x + (there - here) * torch.lerp(empty, asked, CFG_SCALE)
        return x


def merge_lora(weights: dict[str, torch.Tensor], lora: dict[str, torch.Tensor]) -> None:
    """Add a LoRA to weights, in place: W ← W + B·A."""
    for key, down in lora.items():
        if ".lora_A." in key:
            up = lora[key.replace(".lora_A.", ".lora_B.")]
            weights[key.partition(".lora_A.")[0] + ".weight"] += up @ down


@torch.no_grad()
def redrawn(
    folder: Path, count: int, *, seed: int, test: bool = False, rich: bool = False
) -> tuple[list[Scene], np.ndarray, np.ndarray, np.ndarray]:
    """Return scenes, their renders, the renders' latents, and latents as the DiT leaves them.

    returns: N scenes; uint8 (N, 128, 128, 3); float16 (N, C, H, W) twice; computed once and kept in `folder`
    """
    chosen, pictures = rendered(folder, count, seed=seed, test=test, rich=rich)
    finish = "rich" if rich else "plain"
    path = Path(folder) / f"redrawn-{finish}-{'test' if test else 'train'}-{seed}-{count}.npy"
    if not path.exists():
        _redraw_all(path, Redrawer(folder, rich=rich), load_vae(folder), chosen, pictures)
    both = np.load(path, mmap_mode="r")
    return chosen, pictures, both[0], both[1]


def _redraw_all(
    path: Path, drawer: Redrawer, vae: QwenImageVAE, chosen: Sequence[Scene], pictures: np.ndarray
) -> None:
    from tqdm.auto import tqdm

    with files.replacing_path(path) as part:
        made = np.lib.format.open_memmap(part, "w+", np.float16, (2, len(chosen), 16, 16, 16))
        for start in tqdm(range(0, len(chosen), BATCH), desc=path.stem, unit="batch"):
            rng = random.Random(start)
            torch.manual_seed(start)
            some = slice(start, start + BATCH)
            texts = [describe(scene, rng) for scene in chosen[some]]
            with single_frame():
                latents = vae.encode(to_tensor(pictures[some]))
            drawn = drawer.redraw(latents, texts, sigma=rng.uniform(*SIGMAS))
            made[0, some], made[1, some] = latents.numpy(), drawn.numpy()
        made.flush()


def describe(scene: Scene, rng: random.Random) -> str:
    """Return the fullest of four captions of a scene, in any language: it lets the DiT change least."""
    languages = rng.choices(captions.LANGUAGES, k=4)
    written = (captions.caption(scene, language, rng) for language in languages)
    return max(written, key=lambda caption: len(caption.named)).text
