"""Editing: what a pipeline takes as reference picture, and how to tell whether it is still the same person.

Nothing here imports torch or diffsynth before a function needs them.

Source: diffsynth 2.1.12, pipelines/qwen_image.py: QwenImageUnit_PromptEmbedder words the prompt for one
picture or for a numbered list by what it is given, and never asks which of the two the model has learned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from PIL import Image

from workshop.pocket.world.scenes import IDENTITY, PERSON_ATTRIBUTES
from workshop.prompts import NEGATIVE_PROMPT, WORKSHOP_PROMPTS

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

    from workshop.profiles import Profile

# The most references each pipeline has learned to take; 3 is what the model card of Edit-2509 says.
MOST = {"Qwen-Image": 0, "Qwen-Image-Edit": 1, "Qwen-Image-Edit-2509": 3}
SIDE = 16  # image px of a token's side; DiffSynth cuts a reference into such squares

NEGATIVE = NEGATIVE_PROMPT  # what the workshop's edits lead away from
FULL_FIGURE = WORKSHOP_PROMPTS["woman in the forest"].named  # what the workshop's instruction asks for

CHANCE = sum(1 / len(PERSON_ATTRIBUTES[name]) for name in IDENTITY) / len(IDENTITY)  # kept by guessing


def check(name: str, references: object, *, auto_resize: bool = False) -> None:
    """Raise unless `references` is an edit_image that this pipeline has learned and DiffSynth can read.

    auto_resize: DiffSynth brings the pictures to a size that fits, as edit_image_auto_resize=True makes it

    Raises TypeError for what is no picture, OSError for a picture that cannot be read, else ValueError.

    >>> check("Qwen-Image-Edit", Image.new("RGB", (128, 128)))
    """
    listed = isinstance(references, list | tuple)
    if not listed and not isinstance(references, Image.Image):
        raise TypeError(f"edit_image must be a picture, or a list of them; got {_kind(references)}. {_OPEN}")
    _check_number(name, len(references) if listed else None)
    for number, picture in enumerate(references if listed else [references], 1):
        _check_picture(number, picture, auto_resize=auto_resize)


def guard(pipe: QwenImagePipeline, name: str) -> None:
    """Let the pipeline check its edit_image before it computes anything."""
    from diffsynth.diffusion.base_pipeline import PipelineUnit

    class ReferenceCheck(PipelineUnit):
        def process(self, pipe: QwenImagePipeline, edit_image: object, edit_image_auto_resize: bool) -> dict:
            if edit_image is not None:
                check(name, edit_image, auto_resize=bool(edit_image_auto_resize))
            return {}

    pipe.units.insert(0, ReferenceCheck(input_params=("edit_image", "edit_image_auto_resize")))


def identity(people: Sequence[Image.Image], profile: Profile) -> dict[str, str]:
    """Name what must be seen again in a picture made from these: the first person left, the second right.

    On the pocket profile a trained reader looks at the references; on the real model you do.
    """
    sides = tuple(zip(("left", "right"), people, strict=False))
    if profile.name != "pocket":
        return {f"{side} {name}": "as in the reference" for side, _ in sides for name in IDENTITY}
    from workshop.pocket.model import reader

    seen = {side: reader.read(picture) for side, picture in sides}
    return {f"{side} {name}": seen[side].get(f"left {name}", "none") for side in seen for name in IDENTITY}


def seen(picture: Image.Image, profile: Profile) -> dict[str, str]:
    """Say in a few words what kind of picture this is, and who is left and right in it.

    On the pocket profile a trained reader looks; on the real model you do: the answers are empty boxes.
    """
    if profile.name != "pocket":
        return dict.fromkeys(("kind", "left", "right"), "☐")
    from workshop.pocket.model import reader

    found = reader.read(picture)
    people = {side: found.get(f"{side} who") for side in ("left", "right")}
    told = {
        side: f"{who}, {found.get(f'{side} hair', 'no')} hair" if who else "nobody"
        for side, who in people.items()
    }
    return {"kind": found.get("kind", "none"), **told}


def tally(answers: Iterable[Mapping[str, str]]) -> str:
    """Count the ticks that `lessons.shown` set; boxes it left empty are yours to count.

    >>> tally([{"left hair": "✓ black", "left skin": "✗ dark"}])
    '1 of 2 (50 %)'
    """
    marks = [answer[0] for answered in answers for answer in answered.values()]
    if "☐" in marks:
        return f"{len(marks)} boxes for you to tick"
    return f"{marks.count('✓')} of {len(marks)} ({100 * marks.count('✓') / len(marks):.0f} %)"


_OPEN = "Open it first: PIL.Image.open(path)."


def _check_number(name: str, count: int | None) -> None:
    """count: how long the list is; None for one picture that is not in a list"""
    most = MOST[name]
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
    if not isinstance(picture, Image.Image):
        raise TypeError(f"Reference {number} must be a picture, got {_kind(picture)}. {_OPEN}")
    try:
        picture.load()  # PIL reads a file's pixels only when somebody asks for them
    except (OSError, SyntaxError, ValueError) as error:
        raise OSError(
            f"Reference {number} cannot be read ({error}). Its file is damaged: copy it or make it again."
        ) from error
    if picture.mode != "RGB":
        raise ValueError(
            f'Reference {number} must be RGB, got {picture.mode}. Convert it: picture.convert("RGB").'
        )
    if not auto_resize and (picture.width % SIDE or picture.height % SIDE):
        raise ValueError(
            f"Reference {number} must have sides that are multiples of {SIDE} px, got "
            f"{picture.width}×{picture.height}. Resize it, or pass edit_image_auto_resize=True."
        )


def _kind(value: object) -> str:
    return repr(value) if isinstance(value, str) else f"a {type(value).__name__}"
