"""Notebook 02: passes, noise and a file name that nobody finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workshop.exercises.verdict import Verdict, exercise

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import ModelConfig, QwenImagePipeline


@exercise("one pass a step")
def _one_pass(counted: int, steps: int) -> Verdict:
    hint = "a guidance of exactly 1.0 leaves the pass without the prompt out"
    return Verdict(counted == steps, f"{counted} passes", f"{steps} passes for {steps} steps", hint)


@exercise("add noise")
def _add_noise(noisy: Callable[..., Any], pipe: QwenImagePipeline) -> Verdict:
    import torch

    generator = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(1, 16, 4, 4, generator=generator) for _ in range(2))
    pipe.scheduler.set_timesteps(40, dynamic_shift_len=64)
    expected = pipe.scheduler.add_noise(clean, noise, pipe.scheduler.timesteps[20])
    yours = noisy(clean, noise, pipe.scheduler.sigmas[20])
    target = "the scheduler's own add_noise, to within 0.00001"
    if yours is None:
        return Verdict(False, "None", target, "one line: return … * clean + … * noise")
    apart = (yours - expected).abs().max().item()
    hint = "which of the two is all that is left at sigma 1?"
    return Verdict(apart < 1e-5, f"at most {apart:.5f} from it", target, hint)


@exercise("misspell a file")
def _misspell(config: ModelConfig) -> Verdict:
    config.download_if_necessary()
    found = [config.path] if isinstance(config.path, str) else config.path
    hint = "change one letter of the pattern"
    return Verdict(not found, f"files found: {len(found)}", "files found: 0, and no error", hint)
