"""Notebook 03."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.support.attacked import Case

WEIGHTS = dict.fromkeys(
    f"{layer}.lora_{matrix}.default.weight" for layer in ("to_q", "to_k") for matrix in "AB"
)


def rename(beginning: str) -> dict[str, Any]:
    """Return the LoRA with every key renamed."""
    return {beginning + key: value for key, value in WEIGHTS.items()}


def small() -> tuple[Any, ...]:
    """Return the LoRA's file, and a pipeline as far as the exercise looks at it: a DiT with two layers."""
    import torch
    from safetensors.torch import save_file

    path = Path(tempfile.mkdtemp(prefix="workshop-")) / "lora.safetensors"
    save_file({key: torch.zeros((2, 4) if "lora_A" in key else (4, 2)) for key in WEIGHTS}, path)
    return path, SimpleNamespace(
        dit=torch.nn.ModuleDict({one: torch.nn.Linear(4, 4) for one in ("to_q", "to_k")})
    )


def run_stack(
    x: Any,
    layers: Any,
    *,
    few: int | None = None,
    scaled: bool = True,
    early: bool = False,
    bend: bool = True,
) -> Any:
    """Run a stack of layers with LoRAs beside them, rightly or with one mistake."""
    for weight, loras in layers:
        answer = (x @ weight.T).tanh() if early else x @ weight.T
        for a, b, alpha in loras[:few]:
            answer = answer + (alpha if scaled else 1) * x @ a.T @ b.T
        x = answer.tanh() if bend and not early else answer
    return x


def run_merged(x: Any, layers: Any) -> Any:
    """Merge every LoRA into its weight in place, then run the stack."""
    import torch

    for weight, loras in layers:
        while loras:
            a, b, alpha = loras.pop()
            weight.add_(b @ a, alpha=alpha)
        x = torch.tanh(torch.nn.functional.linear(x, weight))
    return x


def run_columns(x: Any, layers: Any) -> Any:
    """Run the stack on the transposed inputs."""
    x = x.T
    for weight, loras in layers:
        x = (weight @ x + sum(alpha * (b @ (a @ x)) for a, b, alpha in loras)).tanh()
    return x.T


def run_summed(x: Any, layers: Any) -> Any:
    """Add all A and all B of a layer before they are multiplied: products of different LoRAs get in."""
    for weight, loras in layers:
        answer = x @ weight.T
        if loras:
            down = sum(alpha * a for a, _, alpha in loras)
            answer = answer + x @ down.T @ sum(b for _, b, _ in loras).T
        x = answer.tanh()
    return x


CASES = {
    "a rank for 100 MB": Case(stub=32, solutions=[6], mistakes=[5, 7, 6.0, 100, "6"]),
    "merge by hand": Case(
        stub=lambda weight, a, b, strength: None,
        solutions=[
            lambda weight, a, b, strength: weight + strength * b @ a,
            lambda weight, a, b, strength: weight.add_(strength * b @ a),
            lambda weight, a, b, strength: (weight.T + a.T @ b.T * strength).T,
        ],
        mistakes=[
            lambda weight, a, b, strength: weight + b @ a,
            lambda weight, a, b, strength: strength * b @ a,
            lambda weight, a, b, strength: weight - strength * b @ a,
            lambda weight, a, b, strength: weight,
        ],
    ),
    "LoRA forward": Case(
        stub=lambda x, layers: None,
        solutions=[run_stack, run_merged, run_columns],
        mistakes=[
            run_summed,
            lambda x, layers: run_stack(x, layers, few=0),
            lambda x, layers: run_stack(x, layers, few=1),
            lambda x, layers: run_stack(x, layers, scaled=False),
            lambda x, layers: run_stack(x, layers, early=True),
            lambda x, layers: run_stack(x, layers, bend=False),
            lambda x, layers: run_stack(x, layers[:1]),
        ],
    ),
    "patch nothing": Case(
        stub=rename(""),
        solutions=[rename("transformer."), rename("x."), rename("lora_unet.")],
        mistakes=[
            rename("diffusion_model."),
            {"transformer.one": 1},
            dict(list(rename("transformer.").items())[:2]),
        ],
        context=small,
    ),
}
