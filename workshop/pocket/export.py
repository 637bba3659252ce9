"""Write the trained pocket model to disk, in the layout and with the file names of the real repositories."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from workshop.pocket import reader, tokens
from workshop.pocket.architecture import PocketDiT
from workshop.pocket.base_stage import load_vae
from workshop.pocket.text_stage import Prompts, load_encoder
from workshop.pocket.train import trained

POCKET = Path(__file__).resolve().parents[2] / "data" / "pocket"


def save_weights(network: torch.nn.Module, path: Path) -> None:
    """Save in bfloat16, the precision the real weights are published in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {k: v.detach().to(torch.bfloat16).contiguous() for k, v in network.state_dict().items()}
    save_file(weights, path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors writes files that only their owner can read
    print(
        f"{path}: {sum(v.numel() for v in weights.values()):,} parameters, {path.stat().st_size / 1e6:.1f} MB"
    )


def export(folder: Path, output: Path | None = None) -> None:
    """Write DiT, text encoder, VAE, reader, tokenizer and processor from the checkpoints in `folder` to
    data/pocket."""
    base = (output or POCKET) / "Qwen" / "Qwen-Image"
    dit = PocketDiT()
    dit.load_state_dict(trained(folder, "base"))
    save_weights(dit, base / "transformer" / "diffusion_pytorch_model.safetensors")
    save_weights(load_encoder(folder), base / "text_encoder" / "model.safetensors")
    save_weights(load_vae(folder), base / "vae" / "diffusion_pytorch_model.safetensors")
    network = reader.Reader()
    network.load_state_dict(trained(folder, "reader"))
    save_weights(network, (output or POCKET) / "reader.safetensors")
    tokenizer = Prompts(folder).tokenizer
    tokens.write_tokenizer(tokenizer, base / "tokenizer")
    tokens.make_processor(tokenizer).save_pretrained(base.parent / "Qwen-Image-Edit" / "processor")
