"""The diagram shows the shapes of the profile, and each later notebook's change in red."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from workshop import diagram
from workshop.profiles import Profile

POCKET = Profile("pocket", "cpu", "float32", 128, Path("pocket"), "of a test")
REAL = Profile("mi300x", "cuda", "bfloat16", 1328, Path("real"), "of a test")


def texts(figure: Figure) -> set[str]:
    return {text.get_text() for text in figure.axes[0].texts}


def red_boxes(figure: Figure) -> int:
    found = [patch for patch in figure.axes[0].patches if isinstance(patch, FancyBboxPatch)]
    return sum(to_hex(box.get_edgecolor()) == diagram.RED for box in found)


@pytest.mark.parametrize(
    ("profile", "latents", "picture", "vectors"),
    [(POCKET, "16×16×16", "3×128×128", "192"), (REAL, "16×166×166", "3×1328×1328", "3,584")],
)
def test_the_shapes_are_the_profiles(profile: Profile, latents: str, picture: str, vectors: str) -> None:
    drawn = texts(diagram.draw(profile))
    assert {f"latents\n{latents}", f"picture\n{picture}", f"vectors\ntokens × {vectors}"} <= drawn
    assert {"velocity", "scheduler\ngoes a step"} <= drawn
    said = diagram.describe(profile)
    assert latents in said and picture in said and vectors in said


@pytest.mark.parametrize("change", diagram.CHANGES)
def test_a_change_is_drawn_in_red_and_said(change: str) -> None:
    plain, changed = diagram.draw(POCKET), diagram.draw(POCKET, change=change)
    assert red_boxes(plain) == 0 and red_boxes(changed) > 0
    assert texts(plain) < texts(changed)
    assert diagram.describe(POCKET, change=change).endswith(diagram.CHANGES[change].alt)


def test_the_tokenizer_stands_between_prompt_and_text_encoder() -> None:
    plain, changed = diagram.draw(POCKET), diagram.draw(POCKET, change="tokenizer")
    arrows = [len([one for one in figure.axes[0].texts if not one.get_text()]) for figure in (plain, changed)]
    assert arrows[1] == arrows[0] + 1  # two arrows in place of one


def test_an_unknown_change_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no change 'lora'\. Take one of: LoRA, tokenizer, reference"):
        diagram.show(POCKET, change="lora")
