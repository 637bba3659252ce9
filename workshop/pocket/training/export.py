"""Write the trained pocket model to disk, in the layout and with the file names of the real repositories."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from workshop.files import POCKET
from workshop.pocket.model import reader, tokens
from workshop.pocket.model.architecture import PocketDiT
from workshop.pocket.training import checkpoint
from workshop.pocket.training.dit import without_readout
from workshop.pocket.training.encoder import load_encoder
from workshop.pocket.training.inputs import Prompts
from workshop.pocket.training.latents import load_vae


def save_weights(network: torch.nn.Module, path: Path) -> None:
    save_tensors(network.state_dict(), path)


def save_tensors(tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Save in bfloat16, the precision the real weights are published in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {k: v.detach().to(torch.bfloat16).contiguous() for k, v in tensors.items()}
    save_file(weights, path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors writes files that only their owner can read
    print(
        f"{path}: {sum(v.numel() for v in weights.values()):,} parameters, {path.stat().st_size / 1e6:.1f} MB"
    )


LORAS = {"artaug": "Qwen-Image-LoRA-ArtAug-v1", "f2p": "Qwen-Image-Edit-F2P"}
"""The stages that train a LoRA, and its folder in data/pocket/DiffSynth-Studio."""

STRENGTHS = {"artaug": 1.32, "f2p": 1.4}
"""What strength 1 of the shipped LoRA was in training. ArtAug learns with care, because it must not change
the scene; at 1.32 the richer finish shows in nearly every picture. F2P keeps more of a face at 1.4."""


def export(folder: Path, output: Path | None = None) -> None:
    """Write DiT, text encoder, VAE, reader, tokenizer and processor from the checkpoints in `folder` to
    data/pocket, and of the edit models and LoRAs those that are trained."""
    repositories = (output or POCKET) / "Qwen"
    base = repositories / "Qwen-Image"
    for stage, path in checkpoint.SHIPPED_DIT.items():
        if stage == "base" or checkpoint.exists(folder, stage):
            save_dit(checkpoint.load_trained(folder, stage), repositories / path)
    for stage, name in LORAS.items():
        if checkpoint.exists(folder, stage):
            target = (output or POCKET) / "DiffSynth-Studio" / name
            save_lora(checkpoint.load_trained(folder, stage), target, strength=STRENGTHS[stage])
    save_weights(load_encoder(folder), base / "text_encoder" / "model.safetensors")
    save_weights(load_vae(folder), base / "vae" / "diffusion_pytorch_model.safetensors")
    network = reader.Reader()
    network.load_state_dict(checkpoint.load_trained(folder, "reader"))
    save_weights(network, (output or POCKET) / "reader.safetensors")
    tokenizer = Prompts(folder).tokenizer
    tokens.write_tokenizer(tokenizer, base / "tokenizer")
    tokens.make_processor(tokenizer).save_pretrained(repositories / "Qwen-Image-Edit" / "processor")


def save_dit(weights: dict[str, torch.Tensor], path: Path) -> None:
    dit = PocketDiT()
    dit.load_state_dict(without_readout(weights))
    save_weights(dit, path)


def save_lora(weights: dict[str, torch.Tensor], folder: Path, *, strength: float = 1.0) -> None:
    """Save the LoRA alone, under the keys that DiffSynth loads; its own strength goes into B."""
    lora = {
        key: value * strength if ".lora_B." in key else value
        for key, value in weights.items()
        if ".lora_" in key
    }
    save_tensors(lora, folder / "model.safetensors")
