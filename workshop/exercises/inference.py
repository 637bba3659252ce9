"""Notebook 02: passes, noise, the Euler loop and a file name that nobody finds."""

from __future__ import annotations

import difflib
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from workshop import drawing, prompts
from workshop.exercises.verdict import Verdict, Waiting, Wrong, compare, demand_number, describe, exercise

if TYPE_CHECKING:
    import torch
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

PATTERN = "vae/diffusion_pytorch_model.safetensors"


@exercise("one pass a step", hint="when is without + g · (with − without) the same as with?")
def _one_pass(guidance: object, pipe: QwenImagePipeline, size: int) -> Verdict:
    scale = demand_number(guidance)
    if scale == 4.0:
        raise Waiting
    steps = 4
    runs = drawing.count_passes(pipe, prompts.PORTRAIT, size=size, num_inference_steps=steps, cfg_scale=scale)
    return Verdict(runs == steps, f"{runs} runs of the DiT for {steps} steps", f"{steps} runs")


@exercise("add noise", hint="which of the two is all that is left at sigma 1, and which at sigma 0?")
def _add_noise(noisy: object, pipe: QwenImagePipeline) -> Verdict:
    import torch

    scheduler = pipe.scheduler
    scheduler.set_timesteps(40, dynamic_shift_len=64)

    def expected(clean: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return scheduler.add_noise(clean, noise, scheduler.timesteps[scheduler.sigmas == sigma])

    levels = [scheduler.sigmas[number] for number in random.sample(range(1, 40), 3)]
    cases = [(torch.randn(1, 16, 4, 4), torch.randn(1, 16, 4, 4), sigma) for sigma in levels]
    return compare(noisy, expected, cases)


@exercise(
    "Euler loop",
    hint="the step goes from sigmas[i] to the next one, and after the last one to 0: where does 0 come from?",
)
def _euler(loop: object) -> Verdict:
    return compare(loop, _walk, [_random_case() for _ in range(4)])


def _random_case() -> tuple[torch.Tensor, list[float], Callable[[Any, float], Any]]:
    """Return latents, falling noise levels from 1, and a velocity that depends on both."""
    import torch

    steps = random.randint(3, 9)
    sigmas = [1.0, *sorted((random.uniform(0.05, 0.95) for _ in range(steps - 1)), reverse=True)]
    slope, shift = random.uniform(0.2, 1.5), torch.randn(1, 16, 4, 4)

    def velocity(latents: torch.Tensor, sigma: float) -> torch.Tensor:
        return slope * latents * (0.5 + sigma) + shift

    return torch.randn(1, 16, 4, 4), sigmas, velocity


def _walk(
    latents: torch.Tensor, sigmas: Sequence[float], velocity: Callable[[Any, float], Any]
) -> torch.Tensor:
    """Follow a velocity through the noise levels, then to 0."""
    for sigma, after in zip(sigmas, [*sigmas[1:], 0.0], strict=True):
        latents = latents + (after - sigma) * velocity(latents, sigma)
    return latents


@exercise("misspell a file", hint="change one letter of the pattern and leave all others as they are")
def _misspell(config: Any) -> Verdict:
    pattern = getattr(config, "origin_file_pattern", None)
    if not isinstance(pattern, str) or not hasattr(config, "download_if_necessary"):
        raise Wrong(f"a ModelConfig with a pattern is wanted, got {describe(config)}")
    if pattern == PATTERN:
        raise Waiting
    config.download_if_necessary()
    found = [config.path] if isinstance(config.path, str) else config.path
    alike = difflib.SequenceMatcher(None, pattern, PATTERN).ratio() > 0.9
    yours = f"files found: {len(found)}" + ("" if alike else ", but more than a letter is changed")
    return Verdict(alike and not found, yours, "one letter changed, no file found, and no error")
