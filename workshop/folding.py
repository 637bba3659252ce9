"""Hot-loaded LoRAs without their slow path: folded into the weights for as long as a drawing lasts.

DiffSynth computes W x + B (A x) in every layer, for every LoRA, at every pass, and asks each time where the
weights are; on a small model that takes longer than W x. Here each layer gets W + B A once, beside W:

    in the block      y = (W + Σ B A) x        alpha is in A already
    afterwards        as DiffSynth does; W was never touched, so clearing and stacking are as before

The same sums in another order. Weights that are large, offloaded, in eight bits or merged by a network of
their own keep DiffSynth's path.

Source: diffsynth 2.1.12, core/vram/layers.py, AutoWrappedLinear and LoRAHotLoadMixin.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, cast

from workshop.units import GIB

if TYPE_CHECKING:
    import torch
    from diffsynth.core import AutoWrappedLinear

MOST_BYTES = GIB
"""Of second copies of weights; the pocket model needs 20 MB, and the real one would need 20 GB."""


@contextmanager
def folded(dit: torch.nn.Module | None) -> Iterator[None]:
    """Compute the layers of a DiT with their hot-loaded LoRAs folded in; load and clear none in the block."""
    layers = [] if dit is None else _find(dit)
    try:
        for layer in layers:
            layer.forward = _fold(layer)
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)


def _find(dit: torch.nn.Module) -> list[AutoWrappedLinear]:
    """List the layers that hot-loading has wrapped, if all of them may be folded."""
    from diffsynth.core import AutoWrappedLinear

    layers = [module for module in dit.modules() if type(module) is AutoWrappedLinear]
    weights = [cast("torch.Tensor", layer.weight) for layer in layers if layer.lora_A_weights]
    size = sum(weight.nbytes for weight in weights)
    return layers if size <= MOST_BYTES and all(map(_is_plain, layers)) else []


def _is_plain(layer: AutoWrappedLinear) -> bool:
    """Return whether nothing but W, its bias and LoRAs makes this layer's answer, all of it in one place."""
    wanted = (layer.computation_dtype, layer.computation_device)
    return (
        "forward" not in vars(layer)
        and layer.vram_limit is None
        and not (layer.disk_offload or layer.enable_fp8 or layer.lora_merger)
        and (layer.onload_dtype, layer.onload_device) == wanted
        and (layer.preparing_dtype, layer.preparing_device) == wanted
        and layer.weight.dtype == layer.computation_dtype
    )


def _fold(layer: AutoWrappedLinear) -> partial[torch.Tensor]:
    """Return what computes this layer with its LoRAs: a matrix product."""
    import torch

    weight = layer.weight
    with torch.no_grad():
        for down, up in zip(layer.lora_A_weights, layer.lora_B_weights, strict=True):
            change = up.to(weight.device, torch.float32) @ down.to(weight.device, torch.float32)
            weight = weight + change.to(weight.dtype)
    return partial(torch.nn.functional.linear, weight=weight, bias=layer.bias)
