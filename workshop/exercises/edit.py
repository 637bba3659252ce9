"""Notebook 05: words that nobody reads, guidance by hand, and a permutation test of pairs."""

from __future__ import annotations

import itertools
import operator
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workshop import drawing, looking, prompts
from workshop.exercises.verdict import Verdict, Waiting, compare, demand_number, exercise

if TYPE_CHECKING:
    import torch
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

PROMPT = prompts.WORKSHOP_PROMPTS["woman in the forest"].text


DOG_ON_SAND = "A brown dog on the sand."


@exercise("a prompt unread", hint="at which guidance is the pass with the negative prompt left out?")
def _prompt_unread(guidance: object, pipe: QwenImagePipeline, settings: Mapping[str, Any]) -> Verdict:
    negative = [{"negative_prompt": words} for words in (prompts.NEGATIVE_PROMPT, "")]
    return _judge_equal(guidance, pipe, settings, negative)


@exercise(
    "an instruction unread", hint="put numbers for g into the formula: when does v hold no instruction?"
)
def _instruction_unread(guidance: object, pipe: QwenImagePipeline, settings: Mapping[str, Any]) -> Verdict:
    return _judge_equal(guidance, pipe, settings, [{"prompt": words} for words in (PROMPT, DOG_ON_SAND)])


def _judge_equal(
    guidance: object,
    pipe: QwenImagePipeline,
    settings: Mapping[str, Any],
    words: Sequence[Mapping[str, str]],
) -> Verdict:
    """Draw a picture in 4 steps with each of two wordings and demand that they are equal to the last pixel.

    settings: what `drawing.draw` takes beside them, as `size` and `edit_image`
    words: what one picture is told and what the other is told, by the pipeline's names
    """
    scale = demand_number(guidance)
    if scale == 4.0:
        raise Waiting
    usual = {"prompt": PROMPT, "negative_prompt": prompts.NEGATIVE_PROMPT, **settings}
    usual |= {"num_inference_steps": 4, "cfg_scale": scale}
    one, other = (drawing.draw(pipe, **usual | dict(said)) for said in words)
    apart = looking.difference(one, other)
    return Verdict(apart == 0, f"{apart:.2f} levels apart", "0.00 levels: the same picture")


@exercise("guidance by hand", hint="start at the unwanted one and go along the difference, scale times")
def _guidance_by_hand(guided: Callable[..., Any], pipe: QwenImagePipeline) -> Verdict:
    import torch

    def expected(wanted: torch.Tensor, unwanted: torch.Tensor, scale: float) -> torch.Tensor:
        both = {"inputs_posi": {"velocity": wanted}, "inputs_nega": {"velocity": unwanted}}
        return pipe.cfg_guided_model_fn(lambda velocity: velocity, scale, inputs_shared={}, **both)

    scales = (1.0, 2.5, 7.0, random.uniform(2, 6))
    cases = [(torch.randn(1, 16, 4, 4), torch.randn(1, 16, 4, 4), scale) for scale in scales]
    return compare(guided, expected, cases)


@exercise("sign flips", hint="count a way if its sum is as large as the one that was found, or larger")
def _sign_flips(share: object) -> Verdict:
    lists = [[random.randint(-2, 4) for _ in range(length)] for length in (3, 4, 5, 6)]
    return compare(share, _flip_signs, [([1, 3, 2, 1],), ([2, -1, 0],), *((gains,) for gains in lists)])


def _flip_signs(gains: Sequence[int]) -> float:
    """Return the share of all ways to choose the signs whose sum is at least the one that was found."""
    ways = list(itertools.product((1, -1), repeat=len(gains)))
    sums = [sum(map(operator.mul, signs, gains)) for signs in ways]
    return sum(one >= sum(gains) for one in sums) / len(ways)
