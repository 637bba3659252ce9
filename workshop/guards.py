"""What a pipeline can make of a prompt and of a number of steps: an empty prompt and a single step are
errors, a prompt that is too long is a warning.

Source: diffsynth 2.1.12, pipelines/qwen_image.py, QwenImageUnit_PromptEmbedder: it takes anything for a
prompt, cuts it after 4,096 tokens without a word, and says from 990 on that 512 were the most in training.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

LONGEST = 512  # tokens the real model was trained on; the pocket's text encoder carries its own number
CUT = 4096  # tokens DiffSynth hands on


def check(pipe: QwenImagePipeline, prompt: object) -> None:
    """Raise for a prompt that says nothing; warn of one longer than the text encoder was trained on.

    Raises TypeError for what is no text, ValueError for an empty one.
    """
    if not isinstance(prompt, str):
        raise TypeError(f"A prompt is one text, got {type(prompt).__name__}. Draw one picture for each text.")
    if not prompt.strip():
        raise ValueError(
            "The prompt is empty. Say what the picture should show. "
            "(What the model draws of its own accord you see with any prompt and cfg_scale=0.)"
        )
    longest = getattr(pipe.text_encoder, "longest_prompt", LONGEST)
    count = len(pipe.tokenizer(prompt).input_ids)
    if count > longest:
        cut = f" After {CUT:,} tokens it is cut off." if count > CUT else ""
        warnings.warn(
            f"The prompt has {count:,} tokens, and the text encoder was trained on {longest:,} at most: "
            f"what it says may be drawn wrongly or not at all.{cut} Say it shorter.",
            stacklevel=2,
        )


def check_steps(pipe: QwenImagePipeline) -> None:
    """Raise ValueError if the noise levels of the drawing that begins are no numbers.

    Source: diffsynth 2.1.12, FlowMatchScheduler.set_timesteps_qwen_image stretches the levels so that the
    last is 0.02; a first level of 1 that is also the last one is divided by 0, and the picture is black.
    """
    sigmas = pipe.scheduler.sigmas
    if sigmas.isnan().any():
        raise ValueError(
            f"num_inference_steps={len(sigmas)} gives no picture: between its first noise level and its last "
            "Qwen-Image's schedule needs at least 2 steps. Ask for 2 or more; 40 are usual."
        )


def guard(pipe: QwenImagePipeline) -> None:
    """Let the pipeline check its steps and its prompt before it computes anything; the negative prompt may be
    empty."""
    from diffsynth.diffusion.base_pipeline import PipelineUnit

    class PromptCheck(PipelineUnit):
        def process(
            self,
            pipe: QwenImagePipeline,
            inputs_shared: dict[str, Any],
            inputs_posi: dict[str, Any],
            inputs_nega: dict[str, Any],
        ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
            check_steps(pipe)
            check(pipe, inputs_posi["prompt"])
            return inputs_shared, inputs_posi, inputs_nega

    pipe.units.insert(0, PromptCheck(take_over=True))
