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
from workshop.pocket.training.recipes import ALPHAS, LORAS
from workshop.training.checkpoint import serialise


def export(folder: Path, output: Path | None = None) -> None:
    """Write what is trained in `folder` to data/pocket, or to `output`; leave the rest there as it is.

    Text encoder, VAE, tokenizer and processor are always written: what is shipped stands in for what this
    folder lacks.
    """
    pocket = output or files.POCKET
    repositories = pocket / "Qwen"
    base = repositories / "Qwen-Image"
    for stage, path in checkpoint.SHIPPED_DIT.items():
        if checkpoint.exists(folder, stage):
            save_dit(checkpoint.load_trained(folder, stage), repositories / path)
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
