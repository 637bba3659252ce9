"""Write the trained pocket model to disk, in the layout and with the file names of the real repositories."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from workshop import files
from workshop.pocket.model import tokens
from workshop.pocket.model.architecture import PocketDiT
from workshop.pocket.training import checkpoint
from workshop.pocket.training.dit import drop_readout
from workshop.pocket.training.encoder import load_encoder
from workshop.pocket.training.inputs import PromptTokens
from workshop.pocket.training.latents import load_vae
from workshop.pocket.training.recipes import ALPHAS, LORAS, RECIPES
from workshop.pocket.training.warm import load_start
from workshop.training.checkpoint import serialise


def export(folder: Path, output: Path | None = None) -> None:
    """Write what is trained in `folder` to data/pocket, or to `output`; leave the rest there as it is.

    Text encoder, VAE, tokenizer and processor are always written: what is shipped stands in for what this
    folder lacks. An edit model that it lacks takes the change of the base with it (`warm.load_start`).
    """
    pocket = output or files.POCKET
    repositories = pocket / "Qwen"
    base = repositories / "Qwen-Image"
    for stage, weights in collect_dits(folder).items():
        save_dit(weights, repositories / checkpoint.SHIPPED_DIT[stage])
    for stage, name in LORAS.items():
        if checkpoint.exists(folder, stage):
            target = pocket / "DiffSynth-Studio" / name
            save_lora(checkpoint.load_trained(folder, stage), target, alpha=ALPHAS[stage])
    save_weights(load_encoder(folder).state_dict(), base / "text_encoder" / "model.safetensors")
    save_weights(load_vae(folder).state_dict(), base / "vae" / "diffusion_pytorch_model.safetensors")
    if checkpoint.exists(folder, "reader"):
        save_weights(checkpoint.load_trained(folder, "reader"), pocket / "reader.safetensors")
    tokenizer = PromptTokens(folder).tokenizer
    tokens.write_tokenizer(tokenizer, base / "tokenizer")
    tokens.make_processor(tokenizer).save_pretrained(repositories / "Qwen-Image-Edit" / "processor")


def collect_dits(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Return the DiTs to ship, by stage: those trained in `folder`, and those made from one that was."""
    found: dict[str, dict[str, torch.Tensor]] = {}
    for stage in checkpoint.SHIPPED_DIT:  # each after the one that it is made from
        if checkpoint.exists(folder, stage):
            found[stage] = checkpoint.load_trained(folder, stage)
        elif RECIPES[stage].begins in found:
            found[stage] = load_start(stage, after=found[RECIPES[stage].begins])
    return found


def save_dit(weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Save a DiT without its readout."""
    dit = PocketDiT()
    dit.load_state_dict(drop_readout(weights))
    save_weights(dit.state_dict(), path)


def save_lora(weights: Mapping[str, torch.Tensor], folder: Path, *, alpha: float = 1.0) -> None:
    """Save the LoRA among weights, under the keys that DiffSynth loads; B is multiplied by alpha."""
    lora = {
        key: value * alpha if ".lora_B." in key else value
        for key, value in weights.items()
        if ".lora_" in key
    }
    save_weights(lora, folder / "model.safetensors")


def save_weights(weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Save weights in bfloat16, the precision in which the real ones are published, and print their size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = serialise(
        {key: value.detach().to(torch.bfloat16) for key, value in weights.items()}, {"format": "pt"}
    )
    with files.replacing(path) as file:
        file.write(content)
    count = sum(value.numel() for value in weights.values())
    print(f"{path}: {count:,} parameters, {len(content) / 1e6:.1f} MB")
