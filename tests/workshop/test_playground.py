"""The playground without a browser: it draws what its widgets say, and can be used again after an error."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from tests.support.easel import Easel
from tests.support.machines import MACHINE, REAL
from tests.support.people import MAN, WOMAN
from workshop import looking, lora, playground, profiles, prompts
from workshop.training import live


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


@pytest.mark.parametrize("prompt", ["", "  \n"])
def test_an_empty_prompt_is_refused_and_nothing_is_drawn(
    prompt: str, ground: playground.Playground, easel: Easel
) -> None:
    ground.prompt.value = prompt
    with pytest.raises(ValueError, match="The prompt is empty"):
        ground.generate()
    assert easel.asked == []


def test_the_button_shows_what_to_change_without_a_traceback(
    ground: playground.Playground, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    ground.prompt.value = ""
    ground.button.click()
    assert "The prompt is empty. Write" in capsys.readouterr().out and not caplog.text
    assert not ground.button.disabled


def test_the_longest_prompt_of_the_workshop_is_seen_whole(easel: Easel) -> None:
    pictures = {"woman": WOMAN}
    edit = playground.EditPlayground(
        easel, MACHINE, prompts.SCENE, pictures, negative=prompts.NEGATIVE_PROMPT
    )
    letters_a_line = 72  # in the 550 px beside the label, at JupyterLab's size of print
    longest = max(map(len, (*prompts.SCENE.values(), prompts.NEGATIVE_PROMPT)))
    assert min(edit.prompt.rows, edit.negative.rows) * letters_a_line >= longest


def test_words_that_the_pocket_model_never_met_are_named(
    ground: playground.Playground, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.prompt.value = "A purple elephant on the moon, with flowers"
    ground.generate()
    said = capsys.readouterr().out
    assert said.startswith("drawing …") and "draws without them: elephant, moon.\n" in said


@pytest.mark.parametrize("prompt", [one.text for one in prompts.WORKSHOP_PROMPTS.values()])
def test_no_word_of_the_workshops_prompts_is_unknown(prompt: str) -> None:
    assert looking.find_unknown_words(prompt, MACHINE) == []


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
    assert "TypeError" in caplog.text  # in a kernel the output area shows it, too
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


def test_on_the_real_model_references_are_resized_as_it_learned_them() -> None:
    real = playground.EditPlayground(Easel(), REAL, {"forest": "in a forest"}, {"woman": WOMAN})
    real.generate()
    assert real.pipe.asked[0]["edit_image_auto_resize"] is True


def test_a_playground_for_two_passes_a_list_in_the_order_chosen() -> None:
    two = edit_ground(listed=True)
    two.first.value, two.second.value = "man", "woman"
    two.generate()
    two.second.value = two.NOBODY
    two.button.click()
    assert [asked["edit_image"] for asked in two.pipe.asked] == [[MAN, WOMAN], [MAN]]
    assert {two.first, two.second, two.button, two.output} <= set(two.box.children)


# With LoRAs


class Stacked:
    """A pipeline that only notes which LoRAs lie on it when it draws."""

    def __init__(self) -> None:
        self.dit, self.now, self.seen = None, [], []

    def clear_lora(self, *, verbose: int) -> None:
        self.now = []

    def cfg_guided_model_fn(self, *_: object) -> None:
        """Stand where DiffSynth guides: a drawing may replace it."""

    def __call__(self, prompt: str, **settings: object) -> Image.Image:
        self.seen.append(list(self.now))
        return Image.new("RGB", (settings["width"], settings["height"]))


@pytest.fixture
def stacking(monkeypatch: pytest.MonkeyPatch) -> playground.LoraPlayground:
    def load(pipe: Stacked, source: str, *, alpha: float) -> None:
        pipe.now.append((source, alpha))

    monkeypatch.setattr(lora, "load", load)
    loras = {"ArtAug": "artaug.safetensors", "dog": "dog.safetensors"}
    return playground.LoraPlayground(Stacked(), MACHINE, {"dog": "a dog"}, loras=loras)


def test_the_playground_stacks_what_is_not_zero_and_says_so(
    stacking: playground.LoraPlayground, capsys: pytest.CaptureFixture[str]
) -> None:
    stacking.generate()
    stacking.alphas["ArtAug"].value, stacking.alphas["dog"].value = 0.5, -1.0
    stacking.generate()
    assert stacking.pipe.seen == [
        [("artaug.safetensors", 1.0)],
        [("artaug.safetensors", 0.5), ("dog.safetensors", -1.0)],
    ]
    said = capsys.readouterr().out
    assert "ArtAug × 1 · dog × 0 · pocket model" in said and "ArtAug × 0.5 · dog × -1 · pocket model" in said
    assert list(stacking.alphas.values()) == list(stacking.box.children[:2])


def test_the_playground_leaves_no_lora_behind(
    stacking: playground.LoraPlayground, monkeypatch: pytest.MonkeyPatch
) -> None:
    stacking.generate()
    assert stacking.pipe.now == []
    monkeypatch.setattr(Stacked, "__call__", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        stacking.generate()
    assert stacking.pipe.now == []


# That trains


def test_the_training_playground_trains_what_its_widgets_say_and_draws_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[dict] = []
    loaded: list[tuple[str, float]] = []

    def follow(flags: dict, folder: Path, *, profile: object) -> None:
        asked.append(flags)
        folder.mkdir(parents=True)
        for step in (5, 10):
            (folder / f"step-{step}.safetensors").touch()

    monkeypatch.setattr(live, "follow", follow)
    monkeypatch.setattr(
        playground.lora, "load", lambda pipe, file, *, alpha: loaded.append((file.name, alpha))
    )
    monkeypatch.setattr(playground.drawing, "draw", lambda *_, **__: Image.new("RGB", (8, 8)))
    pipe = SimpleNamespace(clear_lora=lambda verbose: None)
    machine = profiles.choose("pocket")
    play = playground.TrainingPlayground(pipe, machine, {"a dog": "a dog"}, folder=tmp_path)
    play.generate()
    assert loaded == [] and "nothing trained yet" in capsys.readouterr().out
    play.rank.value, play.repeats.value, play.alpha.value = 4, 2, 0.5
    play.train()
    play.generate()
    assert (asked[0]["lora_rank"], asked[0]["dataset_repeat"]) == (4, 2)
    assert loaded == [("step-10.safetensors", 0.5)]
    assert "rank-4-repeats-2 × 0.5" in capsys.readouterr().out
