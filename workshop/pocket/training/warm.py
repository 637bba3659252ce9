"""What a stage begins with when it goes on from what ships (`--warm`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from workshop.pocket.training import checkpoint
from workshop.pocket.training.recipes import ALPHAS, LORAS, RECIPES

WARM = {
    "vae": checkpoint.SHIPPED_VAE,
    "reader": checkpoint.SHIPPED_READER,
    **checkpoint.SHIPPED_DIT,
    **{stage: f"../DiffSynth-Studio/{name}/model.safetensors" for stage, name in LORAS.items()},
}
"""The stages that can begin with shipped weights, and where these are."""


def load_start(stage: str, *, after: Mapping[str, torch.Tensor] | None = None) -> dict[str, torch.Tensor]:
    """Return the weights with which a stage goes on from what ships.

    after: the trained weights of the DiT that this one was made from; the change comes with it,

        W = W_shipped + (after - after_shipped), both in bfloat16, as they ship

    so that exporting again changes nothing. Ilharco et al. 2022, "Editing Models with Task Arithmetic", arXiv
    2212.04089. A LoRA is taken as it was trained: its B without the alpha that export multiplies it by.
    """
    weights = checkpoint.load_shipped(WARM[stage])
    if after is not None:
        before = checkpoint.load_shipped(WARM[RECIPES[stage].begins])
        return {key: value + (after[key].bfloat16().float() - before[key]) for key, value in weights.items()}
    alpha = ALPHAS.get(stage, 1.0)
    return {key: value / alpha if ".lora_B." in key else value for key, value in weights.items()}


def load_warm(folder: Path, stage: str) -> dict[str, torch.Tensor]:
    """Return `load_start`, with the change of the DiT before it, where that was trained on in `folder`."""
    before = RECIPES[stage].begins if stage in checkpoint.SHIPPED_DIT else ""
    trained = (
        checkpoint.load_trained(folder, before) if before and checkpoint.exists(folder, before) else None
    )
    return load_start(stage, after=trained)
