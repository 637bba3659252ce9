"""What a stage leaves on disk, and the weights that another can begin with."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from workshop.files import POCKET
from workshop.pocket.training.stage import Stage

SHIPPED = POCKET / "Qwen" / "Qwen-Image"


SHIPPED_DIT = {
    "base": "Qwen-Image/transformer/diffusion_pytorch_model.safetensors",
    "multi": "Qwen-Image-Edit-2509/transformer/diffusion_pytorch_model.safetensors",
    "edit": "Qwen-Image-Edit/transformer/diffusion_pytorch_model.safetensors",
}
"""The DiT that each stage ships, in data/pocket/Qwen."""


class Checkpoint:
    """Network, EMA and AdamW state as one safetensors file, written whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(
        self, step: int, stage: Stage, averages: dict[str, torch.Tensor], optimizer: torch.optim.AdamW
    ) -> None:
        tensors = {f"net.{k}": v for k, v in stage.network.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in averages.items()}
        for i, state in optimizer.state_dict()["state"].items():
            tensors |= {f"opt.{i}.{k}": torch.as_tensor(v) for k, v in state.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        save_file(
            {k: v.detach().contiguous().clone() for k, v in tensors.items()}, partial, {"step": str(step)}
        )
        os.replace(partial, self.path)

    def load(self, stage: Stage, averages: dict[str, torch.Tensor], optimizer: torch.optim.AdamW) -> int:
        """Restore everything and return the next step; 0 if there is no checkpoint."""
        if not self.path.exists():
            return 0
        with safe_open(self.path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
            step = int(file.metadata()["step"])
        stage.network.load_state_dict({k[4:]: v for k, v in tensors.items() if k.startswith("net.")})
        for key, average in averages.items():
            average.copy_(tensors[f"ema.{key}"])
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("opt."):
                _, i, name = key.split(".", 2)
                state.setdefault(int(i), {})[name] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        return step


def trained(folder: Path, name: str) -> dict[str, torch.Tensor]:
    """The weights of a trained stage: the averaged ones where there are, else the last."""
    path = Path(folder) / f"{name}.safetensors"
    if not path.exists():
        raise FileNotFoundError(
            f"no checkpoint {path}. Run `python -m workshop.pocket.training {name}` first."
        )
    with safe_open(path, "pt") as file:
        keys = list(file.keys())
        prefix = "ema." if any(key.startswith("ema.") for key in keys) else "net."
        return {key[4:]: file.get_tensor(key) for key in keys if key.startswith(prefix)}


def shipped(name: str) -> dict[str, torch.Tensor]:
    """The weights in data/pocket/Qwen under this name, in float32."""
    weights = load_file(SHIPPED.parent / name)
    return {key: value.float() for key, value in weights.items()}


def has_checkpoint(folder: Path, name: str) -> bool:
    """Whether a stage was trained in this folder; if not, later stages build on what the repository ships."""
    return (Path(folder) / f"{name}.safetensors").exists()
