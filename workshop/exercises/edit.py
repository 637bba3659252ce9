"""Notebook 05: guidance by hand, and references that are refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from workshop import guards, looking
from workshop.exercises.verdict import Verdict, exercise

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline
    from PIL import Image


@exercise("a prompt unread")
def _prompt_unread(with_and_without: Sequence[Image.Image]) -> Verdict:
    apart = looking.difference(*with_and_without)
    hint = "at which guidance is the pass with the negative prompt left out?"
    return Verdict(apart == 0, f"{apart:.2f} levels apart", "0.00 levels: the same picture", hint)


@exercise("guidance by hand")
def _guidance_by_hand(guided: Callable[..., Any], pipe: QwenImagePipeline) -> Verdict:
    import torch

    generator, target = torch.Generator().manual_seed(0), "DiffSynth's own guidance, to within 0.00001"
    wanted, unwanted = (torch.randn(1, 16, 4, 4, generator=generator) for _ in range(2))
    inputs = {"inputs_shared": {}, "inputs_posi": {"velocity": wanted}, "inputs_nega": {"velocity": unwanted}}
    apart = 0.0
    for scale in (1.0, 2.5, 7.0):
        yours = guided(wanted, unwanted, scale)
        if yours is None:
            return Verdict(False, "None", target, "one line: return unwanted + …")
        expected = pipe.cfg_guided_model_fn(lambda velocity: velocity, scale, **inputs)
        apart = max(apart, (yours - expected).abs().max().item())
    hint = "start at the unwanted one and go along the difference, scale times"
    return Verdict(apart < 1e-5, f"at most {apart:.5f} from it", target, hint)


@exercise("a size that is refused")
def _refused_size(reference: Image.Image) -> Verdict:
    return judge_refusal("Qwen-Image-Edit", reference, "multiples of", "resize it by a few pixels")


def judge_refusal(name: str, references: object, words: str, hint: str) -> Verdict:
    """Judge references that are to be refused with these words in the message.

    name: the pipeline that gets them
    """
    try:
        guards.check_references(name, references)
    except ValueError as error:
        return Verdict(words in str(error), str(error), f"a message with: {words}", hint)
    return Verdict(False, f"{name} takes it", f"a message with: {words}", hint)
