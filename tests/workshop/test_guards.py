"""Prompts: an empty one is an error, a long one a warning, and the limits are those of the sources."""

from __future__ import annotations

import inspect
import random
import warnings
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest

from workshop import guards, prompts
from workshop.pocket.world import captions, scenes
from workshop.profiles import POCKET


class Words:
    """A tokenizer that takes each word for a token."""

    def __call__(self, text: str) -> SimpleNamespace:
        return SimpleNamespace(input_ids=text.split())


REAL = SimpleNamespace(tokenizer=Words(), text_encoder=SimpleNamespace())
SMALL = SimpleNamespace(tokenizer=Words(), text_encoder=SimpleNamespace(longest_prompt=120))


@pytest.mark.parametrize("prompt", ["", "  \n\t"])
def test_an_empty_prompt_says_what_to_do(prompt: str) -> None:
    with pytest.raises(ValueError, match=r"The prompt is empty\. Say what .*cfg_scale=0"):
        guards.check(REAL, prompt)


@pytest.mark.parametrize(("prompt", "kind"), [(None, "NoneType"), (["a dog", "a cat"], "list")])
def test_what_is_no_text_is_named(prompt: object, kind: str) -> None:
    with pytest.raises(TypeError, match=f"A prompt is one text, got {kind}"):
        guards.check(REAL, prompt)


@pytest.mark.parametrize(("pipe", "longest"), [(REAL, 512), (SMALL, 120)])
def test_a_prompt_longer_than_any_in_training_is_warned_of_with_both_numbers(pipe: Any, longest: int) -> None:
    guards.check(pipe, "dog " * longest)  # warnings are errors here
    words = rf"has {longest + 1} tokens, .* trained on {longest} at most: .* not at all\. Say it shorter"
    with pytest.warns(UserWarning, match=words):
        guards.check(pipe, "dog " * (longest + 1))


def test_a_prompt_that_will_be_cut_off_is_told_so() -> None:
    with pytest.warns(UserWarning, match=r"has 4,097 tokens, .*After 4,096 tokens it is cut off"):
        guards.check(REAL, "dog " * 4097)


def test_the_limits_of_the_real_model_are_those_that_diffsynth_states() -> None:
    from diffsynth.pipelines.qwen_image import QwenImageUnit_PromptEmbedder

    source = inspect.getsource(QwenImageUnit_PromptEmbedder.encode_prompt)
    assert f"trained on prompts up to {guards.LONGEST} tokens" in source
    assert f"max_length={guards.CUT}+drop_idx" in source and "truncation=True" in source


def test_the_pockets_limit_is_what_its_captions_reach() -> None:
    from tokenizers import Tokenizer

    from workshop.pocket.model.architecture import LONGEST_PROMPT, PocketTextEncoder

    tokenizer = Tokenizer.from_file(str(POCKET / "Qwen/Qwen-Image/tokenizer/tokenizer.json"))
    rng = random.Random(0)
    said = [captions.caption(scene, "kn", rng).text for scene in islice(scenes.stream(0), 1000)]
    longest = max(len(tokenizer.encode(text).ids) for text in said)
    assert 0.7 * LONGEST_PROMPT < longest <= LONGEST_PROMPT == PocketTextEncoder.longest_prompt
    ours = (prompt.text for prompt in prompts.WORKSHOP_PROMPTS.values())
    assert max(len(tokenizer.encode(text).ids) for text in ours) <= LONGEST_PROMPT


def test_a_guarded_pipeline_refuses_an_empty_prompt_before_it_computes_anything() -> None:
    import torch
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

    pipe = QwenImagePipeline(device="cpu", torch_dtype=torch.float32)  # no weights: computing would fail
    guards.guard(pipe)
    with pytest.raises(ValueError, match="The prompt is empty"):
        pipe("", progress_bar_cmd=iter)


def test_a_single_step_is_refused_because_its_picture_would_be_black() -> None:
    import torch
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

    pipe = QwenImagePipeline(device="cpu", torch_dtype=torch.float32)
    guards.guard(pipe)
    with pytest.raises(ValueError, match="num_inference_steps=1 gives no picture: .* Ask for 2 or more"):
        pipe("a dog", num_inference_steps=1, progress_bar_cmd=iter)
    pipe.scheduler.set_timesteps(2, dynamic_shift_len=64)
    guards.check_steps(pipe)


def test_a_guard_lets_a_good_prompt_and_an_empty_negative_one_through() -> None:
    import torch
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

    pipe = QwenImagePipeline(device="cpu", torch_dtype=torch.float32)
    guards.guard(pipe)
    pipe.tokenizer = Words()
    pipe.scheduler.set_timesteps(40, dynamic_shift_len=64)
    inputs = ({"cfg_scale": 4.0}, {"prompt": "a dog"}, {"negative_prompt": ""})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pipe.unit_runner(pipe.units[0], pipe, *inputs) == inputs
