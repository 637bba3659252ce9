"""The playground without a browser: it draws what its widgets say, and can be used again after an error."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.easel import Easel
from tests.support.machines import MACHINE
from tests.support.people import MAN, WOMAN
from workshop import playground


@pytest.fixture
def easel() -> Easel:
    return Easel()


@pytest.fixture
def ground(easel: Easel) -> playground.Playground:
    return playground.Playground(easel, MACHINE, {"dog": "a dog", "Korean": "개 한 마리"})


def test_generate_draws_what_the_widgets_say(
    ground: playground.Playground, easel: Easel, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.seed.value, ground.num_inference_steps.value, ground.cfg_scale.value = 7, 12, 2.5
    assert ground.generate().size == (128, 128)
    asked = easel.asked[0]
    assert (asked["prompt"], asked["seed"], asked["num_inference_steps"]) == ("a dog", 7, 12)
    assert (asked["cfg_scale"], asked["height"]) == (2.5, 128)
    assert "a dog · seed 7 · 12 steps · guidance 2.5 · pocket model" in capsys.readouterr().out


def test_choosing_a_preset_fills_in_its_prompt(ground: playground.Playground) -> None:
    ground.preset.value = "Korean"
    assert ground.prompt.value == "개 한 마리"


def test_the_button_draws_and_can_be_pressed_again(ground: playground.Playground, easel: Easel) -> None:
    ground.button.click()
    ground.button.click()
    assert len(easel.asked) == 2 and not ground.button.disabled


def test_the_button_can_be_pressed_again_after_an_error(
    ground: playground.Playground, caplog: pytest.LogCaptureFixture
) -> None:
    ground.pipe = None
    ground.button.click()
    assert "'NoneType' object is not callable" in caplog.text  # in a kernel the output area shows it, too
    assert not ground.button.disabled


def edit_ground(**options: Any) -> playground.EditPlayground:
    pictures = {"woman": WOMAN, "man": MAN}
    return playground.EditPlayground(Easel(), MACHINE, {"forest": "in a forest"}, pictures, **options)


def test_a_playground_for_one_reference_passes_the_picture_itself(capsys: pytest.CaptureFixture[str]) -> None:
    one = edit_ground(negative="bad hands")
    one.first.value, one.cfg_scale.value = "man", 2.0
    one.generate()
    asked = one.pipe.asked[0]
    assert asked["edit_image"] is MAN and asked["edit_image_auto_resize"] is False
    assert (asked["negative_prompt"], asked["cfg_scale"]) == ("bad hands", 2.0)
    assert "man: in a forest · seed 0 · 40 steps · guidance 2 · pocket model" in capsys.readouterr().out
    assert one.second not in one.box.children and one.negative in one.box.children


def test_a_playground_for_two_passes_a_list_in_the_order_chosen() -> None:
    two = edit_ground(listed=True)
    two.first.value, two.second.value = "man", "woman"
    two.generate()
    two.second.value = two.NOBODY
    two.button.click()
    assert [asked["edit_image"] for asked in two.pipe.asked] == [[MAN, WOMAN], [MAN]]
    assert {two.first, two.second, two.button, two.output} <= set(two.box.children)
