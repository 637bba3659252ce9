"""An empty prompt is an error and a long one a warning; wrong references are refused in clear words."""

from __future__ import annotations

import inspect
import random
import warnings
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from tests.support.people import MAN, SQUARE, WOMAN
from workshop import guards, models, prompts
from workshop.files import POCKET
from workshop.pocket.world import captions, scenes


class Words:
    """A tokenizer that takes each word for a token."""

    def __call__(self, text: str) -> SimpleNamespace:
        return SimpleNamespace(input_ids=text.split())


EDIT, MULTI = "Qwen-Image-Edit", "Qwen-Image-Edit-2509"
REAL = SimpleNamespace(tokenizer=Words(), text_encoder=SimpleNamespace())
SMALL = SimpleNamespace(tokenizer=Words(), text_encoder=SimpleNamespace(longest_prompt=120))


@pytest.mark.parametrize("prompt", ["", "  \n\t"])
def test_an_empty_prompt_says_what_to_do(prompt: str) -> None:
    with pytest.raises(ValueError, match=r"The prompt is empty\. Say what .*cfg_scale=0"):
        guards.check_prompt(REAL, prompt)


@pytest.mark.parametrize(("prompt", "kind"), [(None, "NoneType"), (["a dog", "a cat"], "list")])
def test_what_is_no_text_is_named(prompt: object, kind: str) -> None:
    with pytest.raises(TypeError, match=f"A prompt is one text, got {kind}"):
        guards.check_prompt(REAL, prompt)


@pytest.mark.parametrize(("pipe", "longest"), [(REAL, 512), (SMALL, 120)])
def test_a_prompt_longer_than_any_in_training_is_warned_of_with_both_numbers(pipe: Any, longest: int) -> None:
    guards.check_prompt(pipe, "dog " * longest)  # warnings are errors here
    words = rf"has {longest + 1} tokens, .* trained on {longest} at most: .* not at all\. Say it shorter"
    with pytest.warns(UserWarning, match=words):
        guards.check_prompt(pipe, "dog " * (longest + 1))


def test_a_prompt_that_will_be_cut_off_is_told_so() -> None:
    with pytest.warns(UserWarning, match=r"has 4,097 tokens, .*After 4,096 tokens it is cut off"):
        guards.check_prompt(REAL, "dog " * 4097)


def test_the_limits_of_the_real_model_are_those_that_diffsynth_states() -> None:
    from diffsynth.pipelines.qwen_image import QwenImageUnit_PromptEmbedder

    source = inspect.getsource(QwenImageUnit_PromptEmbedder.encode_prompt)
    assert f"trained on prompts up to {guards.MAX_TRAINED_TOKENS} tokens" in source
    assert f"max_length={guards.CUT_AFTER}+drop_idx" in source and "truncation=True" in source


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
    guards.guard_prompts(pipe)
    with pytest.raises(ValueError, match="The prompt is empty"):
        pipe("", progress_bar_cmd=iter)


def test_a_single_step_is_refused_because_its_picture_would_be_black() -> None:
    import torch
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

    pipe = QwenImagePipeline(device="cpu", torch_dtype=torch.float32)
    guards.guard_prompts(pipe)
    with pytest.raises(ValueError, match=r"num_inference_steps=1 gives no picture: .* Ask for 2 or more"):
        pipe("a dog", num_inference_steps=1, progress_bar_cmd=iter)
    pipe.scheduler.set_timesteps(2, dynamic_shift_len=64)
    guards.check_steps(pipe)


def test_a_guard_lets_a_good_prompt_and_an_empty_negative_one_through() -> None:
    import torch
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

    pipe = QwenImagePipeline(device="cpu", torch_dtype=torch.float32)
    guards.guard_prompts(pipe)
    pipe.tokenizer = Words()
    pipe.scheduler.set_timesteps(40, dynamic_shift_len=64)
    inputs = ({"cfg_scale": 4.0}, {"prompt": "a dog"}, {"negative_prompt": ""})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pipe.unit_runner(pipe.units[0], pipe, *inputs) == inputs


# References


def test_it_is_known_of_each_pipeline_how_many_references_it_takes() -> None:
    assert guards.MAX_REFERENCES.keys() == models.PIPELINES.keys()


@pytest.mark.parametrize(
    ("name", "references"),
    [(EDIT, SQUARE), (MULTI, [SQUARE]), (MULTI, (SQUARE, SQUARE)), (MULTI, [SQUARE, WOMAN, MAN])],
)
def test_what_the_model_has_learned_passes(name: str, references: object) -> None:
    guards.check_references(name, references)


@pytest.mark.parametrize(
    ("name", "references", "said"),
    [
        (
            EDIT,
            [SQUARE, SQUARE],
            "Edit takes one reference picture, without a list; got a list of 2. Pass edi",
        ),
        (EDIT, [SQUARE], "got a list of 1. Pass edit_image=picture, or load Qwen-Image-Edit-2509"),
        (MULTI, SQUARE, "takes a list of 1 to 3 reference pictures, got one picture without a list. Pass ed"),
        (MULTI, [], r"got a list of 0\. Pass edit_image=\[picture\]"),
        (MULTI, [SQUARE] * 4, "takes a list of 1 to 3 reference pictures, got a list of 4"),
        ("Qwen-Image", SQUARE, r"Qwen-Image takes no reference picture, got one .*load_pipeline\(.*Edit"),
        (EDIT, SQUARE.convert("RGBA"), r"1 must be RGB, got RGBA. Convert it: .*import to_rgb"),
        (MULTI, [SQUARE, SQUARE.convert("L")], "Reference 2 must be RGB, got L"),
        (
            EDIT,
            SQUARE.resize((120, 128)),
            "multiples of 16 px, got 120×128. Resize it, or pass edit_image_auto",
        ),
    ],
)
def test_what_it_has_not_learned_says_what_came_what_is_needed_and_what_to_do(
    name: str, references: object, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        guards.check_references(name, references)


@pytest.mark.parametrize(
    ("name", "references", "said"),
    [
        (EDIT, "face.png", r"a picture, or a list of them; got 'face.png'. Open it first: PIL.Image.open"),
        (MULTI, [SQUARE, "man.png"], "Reference 2 must be a picture, got 'man.png'. Open it first"),
        (MULTI, [3], "Reference 1 must be a picture, got a int"),
    ],
)
def test_what_is_no_picture_says_how_to_open_one(name: str, references: object, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        guards.check_references(name, references)


def test_a_picture_whose_file_is_cut_short_is_found_before_anything_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    WOMAN.save(path)
    path.write_bytes(path.read_bytes()[:-2000])
    with (
        Image.open(path) as opened,
        pytest.raises(OSError, match=r"Reference 2 cannot be read \(.+\)\. Its file is damaged: copy it"),
    ):
        guards.check_references(MULTI, [SQUARE, opened])


def test_with_auto_resize_any_size_will_do() -> None:
    guards.check_references(EDIT, SQUARE.resize((120, 90)), auto_resize=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_guidance_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"cfg_scale must be a finite number, got .*would be black"):
        guards.check_settings({"cfg_scale": value})
