"""Qwen-Image in four steps: a distilled LoRA and the noise levels that it was trained for.

It is an option, and another result than the workshop's: the LoRA was distilled from Qwen-Image, so that each
of its four calls goes where ten of the original's go. It takes no guidance, so a step is one pass, and a
picture 4 passes instead of 80. Other pictures come of it. `./scripts/download Lightning` fetches it; nobody
has distilled the pocket model.

Source: lightx2v/Qwen-Image-Lightning on the hubs; diffsynth 2.1.12, diffusion/flow_match.py,
set_timesteps_qwen_image_lightning.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop import lora, models, profiles

if TYPE_CHECKING:
    from diffsynth.core import AutoWrappedLinear
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

SETTINGS: dict[str, Any] = {"num_inference_steps": 4, "cfg_scale": 1.0}
"""What a picture takes from it; more guidance or other steps are not what it was distilled for."""


def find(profile: profiles.Profile | None = None) -> Path:
    """Return the LoRA's file.

    profile: by default the one in use

    Raises FileNotFoundError, with what to do, where it is not.
    """
    profile = profile or profiles.current()
    model = models.OPTIONS["Lightning"]
    part = model.part("lora")
    if not profile.is_real:
        raise FileNotFoundError(
            "Lightning is for the real Qwen-Image; nobody has distilled the pocket model."
        )
    for problem in profile.find_problems(model, part):
        raise FileNotFoundError(
            f"{problem}. Lightning is an option: ./scripts/download Lightning fetches it."
        )
    return models.find_files(model, part, profile.models)[0]


@contextmanager
def distilled(pipe: QwenImagePipeline, source: str | Path | None = None) -> Iterator[QwenImagePipeline]:
    """Give a pipeline the distilled LoRA and its noise levels; afterwards it is as before, bit for bit.

    source: the LoRA's file; by default `find`'s

    In the block draw with `SETTINGS`, and load or clear no LoRA. One that was loaded before stays, and adds
    up.

    Raises what `find` and `lora.load` raise; then the pipeline is as it was.
    """
    from diffsynth.diffusion.flow_match import FlowMatchScheduler

    own, before = pipe.scheduler, _count_loaded(pipe)
    lora.load(pipe, source or find())
    pipe.scheduler = FlowMatchScheduler("Qwen-Image-Lightning")
    try:
        yield pipe
    finally:
        pipe.scheduler = own
        for layer in _count_loaded(pipe):
            for weights in (layer.lora_A_weights, layer.lora_B_weights):
                del weights[before.get(layer, 0) :]


def _count_loaded(pipe: QwenImagePipeline) -> dict[AutoWrappedLinear, int]:
    """Count the LoRAs that each layer of the DiT has loaded hot."""
    from diffsynth.core import AutoWrappedLinear

    layers = (layer for layer in pipe.dit.modules() if isinstance(layer, AutoWrappedLinear))
    return {layer: len(layer.lora_A_weights) for layer in layers}
