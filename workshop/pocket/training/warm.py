"""What a stage begins with when it goes on from what ships (`--warm`)."""

from __future__ import annotations

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


def load_start(folder: Path, stage: str) -> dict[str, torch.Tensor]:
    """Return the weights with which a stage goes on from what ships.

    An edit model takes the change of the DiT that it was made from, where that was trained on in `folder`:

        W = W_shipped + (before - before_shipped)

    Ilharco et al. 2022, "Editing Models with Task Arithmetic", arXiv 2212.04089. A LoRA is taken as it was
    trained: its B without the alpha that export multiplies it by.
    """
    weights = checkpoint.load_shipped(WARM[stage])
    before = RECIPES[stage].begins
    if stage in checkpoint.SHIPPED_DIT and before and checkpoint.exists(folder, before):
        trained = checkpoint.load_trained(folder, before)
        shipped = checkpoint.load_shipped(WARM[before])
        return {key: value + (trained[key] - shipped[key]) for key, value in weights.items()}
    alpha = ALPHAS.get(stage, 1.0)
    return {key: value / alpha if ".lora_B." in key else value for key, value in weights.items()}
