"""What stands in front of DiffSynth: prompts, steps and reference pictures are checked before it computes.

An empty prompt, a single step and references that a model has not learned to take are errors; a prompt that
is too long is a warning.

Source: diffsynth 2.1.12, pipelines/qwen_image.py. QwenImageUnit_PromptEmbedder takes anything for a prompt,
cuts it after 4,096 tokens without a word, and says from 990 on that 512 were the most in training. It chooses
the single-picture or the numbered template by the type of edit_image, not by what the model was trained on.
"""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workshop import pictures

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline
    from PIL import Image

MAX_TRAINED_TOKENS = 512  # the real model's; the pocket's text encoder carries its own
CUT_AFTER = 4096  # tokens DiffSynth hands on
# The most references each pipeline has learned to take; 3 is what the model card of Edit-2509 says.
MAX_REFERENCES = {"Qwen-Image": 0, "Qwen-Image-Edit": 1, "Qwen-Image-Edit-2509": 3}
TOKEN_SIDE = 16  # image px of a token's side; DiffSynth cuts a reference into such squares
HOW_TO_OPEN = "Open it first: PIL.Image.open(path)."
CONVERT = "Convert it: from workshop.pictures import to_rgb; to_rgb(picture)."


def check_prompt(pipe: QwenImagePipeline, prompt: object) -> None:
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
    longest = getattr(pipe.text_encoder, "longest_prompt", MAX_TRAINED_TOKENS)
    count = len(pipe.tokenizer(prompt).input_ids)
    if count > longest:
        cut = f" After {CUT_AFTER:,} tokens it is cut off." if count > CUT_AFTER else ""
        warnings.warn(
            f"The prompt has {count:,} tokens, and the text encoder was trained on {longest:,} at most: "
            f"what it says may be drawn wrongly or not at all.{cut} Say it shorter.",
            stacklevel=2,
        )


def check_steps(pipe: QwenImagePipeline) -> None:
    """Raise ValueError if the noise levels of the drawing that begins are NaN.

    Source: diffsynth 2.1.12, FlowMatchScheduler.set_timesteps_qwen_image stretches the levels so that the
    last is 0.02; with one step the stretch divides by 0, and the picture is black.
    """
    sigmas = pipe.scheduler.sigmas
    if sigmas.isnan().any():
        raise ValueError(
            f"num_inference_steps={len(sigmas)} gives no picture: between its first noise level and its last "
            "Qwen-Image's schedule needs at least 2 steps. Ask for 2 or more; 40 are usual."
        )


def check_settings(given: Mapping[str, Any]) -> None:
    """Raise for a setting of a drawing that gives no picture, or another one than was asked for.

    given: the pipeline's arguments by name, any of them; `size` is height and width in one

    Raises TypeError for a value of another kind, ValueError for one out of range.

    >>> check_settings({"height": 128, "cfg_scale": 4.0, "seed": None, "negative_prompt": ""})
    """
    for name in ("size", "height", "width"):
        if name in given:
            _check_whole(name, given[name], least=TOKEN_SIDE)
            if given[name] % TOKEN_SIDE:
                near = given[name] // TOKEN_SIDE * TOKEN_SIDE
                what = f"{name} must be a multiple of {TOKEN_SIDE} px, got {given[name]}"
                raise ValueError(f"{what}. Take {near} or {near + TOKEN_SIDE}.")
    if "num_inference_steps" in given:
        _check_whole("num_inference_steps", given["num_inference_steps"], least=1)
    if given.get("seed") is not None:  # None: another picture each time
        _check_whole("seed", given["seed"], least=0)
        if given["seed"] >= 2**64:
            raise ValueError(f"seed must be below 2**64, got {given['seed']}. Any smaller number will do.")
    if "cfg_scale" in given:
        _check_number("cfg_scale", given["cfg_scale"], remedy="4.0 is usual.")
    if "denoising_strength" in given:
        strength = given["denoising_strength"]
        _check_number("denoising_strength", strength, remedy="1.0 starts from pure noise.")
        if not 0 < strength <= 1:
            raise ValueError(f"denoising_strength must be above 0 and at most 1, got {strength}.")
    if "negative_prompt" in given and not isinstance(given["negative_prompt"], str):
        raise TypeError(
            f"negative_prompt must be one text, got {_kind(given['negative_prompt'])}. "
            'For no negative prompt leave it out, or write negative_prompt="".'
        )


def _check_whole(name: str, value: object, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be a whole number, got {_kind(value)}. Write it as 40.")
    if value < least:
        raise ValueError(f"{name} must be {least} or more, got {value}.")


def _check_number(name: str, value: object, *, remedy: str) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {_kind(value)}. {remedy}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value}; the picture would be black. {remedy}")


def check_references(name: str, references: object, *, auto_resize: bool = False) -> None:
    """Raise unless `references` is an edit_image that this pipeline has learned and DiffSynth can read.

    auto_resize: DiffSynth brings the pictures to a size that fits, as edit_image_auto_resize=True makes it

    Raises TypeError for what is no picture, OSError for a picture that cannot be read, else ValueError.

    >>> from PIL import Image
    >>> check_references("Qwen-Image-Edit", Image.new("RGB", (128, 128)))
    """
    from PIL import Image

    if isinstance(references, Image.Image):
        _check_count(name, None)
        _check_picture(1, references, auto_resize=auto_resize)
        return
    if not isinstance(references, list | tuple):
        raise TypeError(
            f"edit_image must be a picture, or a list of them; got {_kind(references)}. {HOW_TO_OPEN}"
        )
    _check_count(name, len(references))
    for number, picture in enumerate(references, 1):
        _check_picture(number, picture, auto_resize=auto_resize)


def guard_prompts(pipe: QwenImagePipeline) -> None:
    """Make the pipeline check its settings and its prompt first; the negative prompt may be empty."""
    from diffsynth.diffusion.base_pipeline import PipelineUnit

    class PromptCheck(PipelineUnit):
        def process(
            self,
            pipe: QwenImagePipeline,
            inputs_shared: dict[str, Any],
            inputs_posi: dict[str, Any],
            inputs_nega: dict[str, Any],
        ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
            check_settings(inputs_shared | inputs_nega)
            check_steps(pipe)
            check_prompt(pipe, inputs_posi["prompt"])
            return inputs_shared, inputs_posi, inputs_nega

    pipe.units.insert(0, PromptCheck(take_over=True))
    set_timesteps = pipe.scheduler.set_timesteps

    def set_checked(num_inference_steps: int = 100, denoising_strength: float = 1.0, **more: Any) -> None:
        # The pipeline lays out its steps before its first unit runs.
        check_settings({"num_inference_steps": num_inference_steps, "denoising_strength": denoising_strength})
        set_timesteps(num_inference_steps, denoising_strength, **more)

    pipe.scheduler.set_timesteps = set_checked


def guard_references(pipe: QwenImagePipeline, name: str) -> None:
    """Make the pipeline check its edit_image before it computes anything."""
    from diffsynth.diffusion.base_pipeline import PipelineUnit

    class ReferenceCheck(PipelineUnit):
        def process(self, pipe: QwenImagePipeline, edit_image: object, edit_image_auto_resize: bool) -> dict:
            if edit_image is not None:
                check_references(name, edit_image, auto_resize=bool(edit_image_auto_resize))
            return {}

    pipe.units.insert(0, ReferenceCheck(input_params=("edit_image", "edit_image_auto_resize")))


def add_image_positions(text_encoder: Any) -> Any:
    """Give a reference picture's tokens their 3-D positions (time, height, width); returns the encoder.

    text_encoder: DiffSynth's QwenImageTextEncoder

    DiffSynth 2.1.12 does not pass mm_token_type_ids, and transformers 5 then counts a picture's tokens like
    words, in one dimension. A hook adds it, (B, S): 1 for a picture's token, 0 for text.
    Without a picture nothing changes.
    """
    if getattr(text_encoder, "has_image_positions", False):
        return text_encoder

    def add_token_types(module: Any, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        ids = args[0] if args else kwargs.get("input_ids")
        if ids is not None and kwargs.get("image_grid_thw") is not None:
            kwargs.setdefault("mm_token_type_ids", (ids == module.config.image_token_id).int())
        return args, kwargs

    text_encoder.register_forward_pre_hook(add_token_types, with_kwargs=True)
    text_encoder.has_image_positions = True
    return text_encoder


def _check_count(name: str, count: int | None) -> None:
    """Raise ValueError unless the pipeline takes so many references.

    count: how long the list is; None for one picture that is not in a list
    """
    most = MAX_REFERENCES[name]
    came = "one picture without a list" if count is None else f"a list of {count}"
    if most == 0:
        raise ValueError(
            f"{name} takes no reference picture, got {came}. "
            'Load a pipeline that edits: loading.load_pipeline("Qwen-Image-Edit").'
        )
    if most == 1 and count is not None:
        raise ValueError(
            f"{name} takes one reference picture, without a list; got {came}. "
            "Pass edit_image=picture, or load Qwen-Image-Edit-2509, which takes a list."
        )
    if most > 1 and (count is None or not 1 <= count <= most):
        raise ValueError(
            f"{name} takes a list of 1 to {most} reference pictures, got {came}. "
            "Pass edit_image=[picture], or [first, second]."
        )


def _check_picture(number: int, picture: object, *, auto_resize: bool) -> None:
    from PIL import Image

    if not isinstance(picture, Image.Image):
        raise TypeError(f"Reference {number} must be a picture, got {_kind(picture)}. {HOW_TO_OPEN}")
    try:
        picture.load()  # PIL reads a file's pixels only when somebody asks for them
    except (OSError, SyntaxError, ValueError) as error:
        raise OSError(
            f"Reference {number} cannot be read ({error}). Its file is damaged: copy it or make it again."
        ) from error
    if picture.mode != "RGB" or picture.has_transparency_data:
        raise ValueError(f"Reference {number} must be RGB, got {_mode(picture)}. {CONVERT}")
    if not pictures.is_upright(picture):
        raise ValueError(f"Reference {number} lies on its side, as its EXIF tag says. {CONVERT}")
    if not auto_resize and (picture.width % TOKEN_SIDE or picture.height % TOKEN_SIDE):
        raise ValueError(
            f"Reference {number} must have sides that are multiples of {TOKEN_SIDE} px, got "
            f"{picture.width}×{picture.height}. Resize it, or pass edit_image_auto_resize=True."
        )


def _mode(picture: Image.Image) -> str:
    return f"{picture.mode} with transparency" if picture.mode == "RGB" else picture.mode


def _kind(value: object) -> str:
    return repr(value) if isinstance(value, str) else f"a {type(value).__name__}"
