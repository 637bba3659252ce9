"""What a stage leaves on disk, and the weights that another can begin with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from workshop import files
from workshop.training.checkpoint import (
    AVERAGE,
    NETWORK,
    OPTIMIZER,
    pack_optimizer,
    serialise,
    unpack_optimizer,
)

SHIPPED = files.POCKET / "Qwen" / "Qwen-Image"
SHIPPED_VAE = "Qwen-Image/vae/diffusion_pytorch_model.safetensors"
SHIPPED_DIT = {
    "base": "Qwen-Image/transformer/diffusion_pytorch_model.safetensors",
    "multi": "Qwen-Image-Edit-2509/transformer/diffusion_pytorch_model.safetensors",
    "edit": "Qwen-Image-Edit/transformer/diffusion_pytorch_model.safetensors",
}
"""The DiT that each stage ships, in data/pocket/Qwen."""

SHIPPED_READER = "../reader.safetensors"
SHIPPED_ARTAUG = "../DiffSynth-Studio/Qwen-Image-LoRA-ArtAug-v1/model.safetensors"


def save(
    path: Path,
    step: int,
    network: torch.nn.Module,
    averages: Mapping[str, torch.Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write weights, their averages and the optimiser's state to one file, whole or not at all.

    step: the number of the next step; averages: by the names of the network's weights, or none
    """
    tensors = {NETWORK + key: value for key, value in network.state_dict().items()}
    tensors |= {AVERAGE + key: value for key, value in averages.items()} | pack_optimizer(optimizer)
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as file:
        file.write(serialise(tensors, {"step": str(step)}))


def restore(
    path: Path,
    network: torch.nn.Module,
    averages: Mapping[str, torch.Tensor],
    optimizer: torch.optim.Optimizer,
) -> int:
    """Put everything back as `save` found it, in place; return the next step, 0 if there is no checkpoint."""
    if not path.exists():
        return 0
    tensors, step = _read(path, NETWORK, AVERAGE, OPTIMIZER)
    network.load_state_dict(_without(NETWORK, tensors))
    for key, average in averages.items():
        average.copy_(tensors[AVERAGE + key])
    optimizer.load_state_dict({**optimizer.state_dict(), "state": unpack_optimizer(tensors)})
    return step


def load_trained(folder: Path, name: str) -> dict[str, torch.Tensor]:
    """Return the weights of a trained stage: the averaged ones where there are, else the last.

    Raises FileNotFoundError if the stage was not trained in this folder.
    """
    path = Path(folder) / f"{name}.safetensors"
    if not path.exists():
        raise FileNotFoundError(
            f"no checkpoint {path}. Run `.venv/bin/python -m workshop.pocket.training {name}` first."
        )
    averages = _without(AVERAGE, _read(path, AVERAGE)[0])
    return averages or _without(NETWORK, _read(path, NETWORK)[0])


def load_shipped(name: str) -> dict[str, torch.Tensor]:
    """Return the weights in data/pocket/Qwen under this name, in float32."""
    weights = load_file(SHIPPED.parent / name)
    return {key: value.float() for key, value in weights.items()}


def exists(folder: Path, name: str) -> bool:
    """Return whether a stage was trained in this folder; if not, later stages build on what is shipped."""
    return (Path(folder) / f"{name}.safetensors").exists()


def _read(path: Path, *prefixes: str) -> tuple[dict[str, torch.Tensor], int]:
    """Read the tensors whose names begin with one of these, and the next step."""
    with safe_open(path, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys() if key.startswith(prefixes)}  # noqa: SIM118 - not a dict
        return tensors, int(file.metadata()["step"])


def _without(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
