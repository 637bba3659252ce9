"""Looking: what the reader finds is told beside what was asked; on the real model you are the reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from PIL import Image

from tests.support.machines import MACHINE, REAL
from tests.support.people import MAN, SQUARE, WOMAN
from workshop import looking, prompts
from workshop.pocket.world import scenes


def test_difference_is_the_mean_over_pixels_in_levels() -> None:
    black, gray = (Image.new("RGB", (4, 4), (level,) * 3) for level in (0, 10))
    assert looking.difference(black, gray) == 10
    assert looking.difference(gray, gray) == 0


def test_on_the_real_model_the_checklist_is_left_to_the_eye() -> None:
    answers = looking.look(Image.new("RGB", (8, 8)), prompts.ASKED, REAL)
    assert answers["held"] == "☐ red flowers" and answers.keys() == prompts.ASKED.keys()


@pytest.fixture
def reader_says(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[int, dict[str, str]]], None]:
    """Give a function that lets the reader answer by picture, by its id."""

    def answer(by_picture: Mapping[int, dict[str, str]]) -> None:
        monkeypatch.setattr(
            looking, "read_all", lambda pictures: [by_picture[id(picture)] for picture in pictures]
        )

    return answer


def test_look_marks_what_the_reader_finds_and_names_what_it_finds_instead(reader_says) -> None:
    reader_says({id(SQUARE): {"held": "book", "left who": "man"}})
    asked = {"held": "red flowers", "left who": "man", "left color": "dark gray"}
    assert looking.look(SQUARE, asked, MACHINE) == {
        "held": "✗ book",
        "left who": "✓ man",
        "left color": "✗ none",
    }


def test_the_first_person_is_looked_for_on_the_left_and_the_second_on_the_right(reader_says) -> None:
    reader_says({id(WOMAN): {"left hair": "red", "left who": "woman"}, id(MAN): {"left hair": "gray"}})
    wanted = looking.identity([WOMAN, MAN], MACHINE)
    assert len(wanted) == 2 * len(looking.IDENTITY) and "left who" not in wanted
    assert (wanted["left hair"], wanted["right hair"]) == ("red", "gray")
    assert wanted["left glasses"] == "none"  # a portrait in which the reader finds no face


def test_on_the_real_model_identity_is_left_to_the_eye() -> None:
    wanted = looking.identity([WOMAN], REAL)
    assert set(wanted.values()) == {"as in the reference"}
    assert looking.tally([looking.look(SQUARE, wanted, REAL)]) == "4 boxes for you to tick"
    assert set(looking.describe(SQUARE, REAL).values()) == {"☐"}


def test_what_is_seen_is_told_in_a_few_words(reader_says) -> None:
    reader_says({id(SQUARE): {"kind": "couple", "left who": "woman", "left hair": "red"}})
    assert looking.describe(SQUARE, MACHINE) == {
        "kind": "couple",
        "left": "woman, red hair",
        "right": "nobody",
    }


def test_the_gain_of_each_pair_is_counted_and_an_empty_box_is_no_tick() -> None:
    before = [{"a": "✓ x", "b": "✗ y"}, {"a": "✓ x", "b": "✓ z"}, {"a": "☐ x"}]
    after = [{"a": "✓ x", "b": "✓ z"}, {"a": "✗ y", "b": "✓ z"}, {"a": "☐ x"}]
    assert looking.count_gains(before, after) == [1, -1, 0]


def test_the_rows_of_a_person_alone_do_not_say_left() -> None:
    table = looking.tabulate({"asked": {"kind": "figure", "left who": "woman"}})
    assert list(table.index) == ["kind", "who"] and list(table["asked"]) == ["figure", "woman"]


def test_a_tally_counts_ticks_over_several_pictures() -> None:
    assert looking.tally([{"a": "✓ x", "b": "✗ y"}, {"a": "✓ x", "b": "✓ z"}]) == "3 of 4, 30–95 %"


def test_chance_is_what_guessing_evenly_would_keep() -> None:
    assert pytest.approx((1 / 3 + 1 / 5 + 1 / 3 + 1 / 2) / 4) == looking.CHANCE


def test_identity_and_clothes_are_the_pocket_worlds_own_words() -> None:
    assert set(looking.IDENTITY) < set(scenes.PERSON_ATTRIBUTES)


def test_flat_colours_have_no_detail_and_noise_has_much() -> None:
    assert looking.detail(SQUARE) == 0
    assert looking.detail(Image.effect_noise((64, 64), 50)) > 20


def test_the_dogs_are_drawn_by_prompt_and_seed_and_read_by_the_reader(
    monkeypatch: pytest.MonkeyPatch, reader_says
) -> None:
    asked: list[tuple[str, int]] = []

    def draw(pipe: object, prompt: str, *, size: int, seed: int) -> Image.Image:
        asked.append((prompt, seed))
        return Image.new("RGB", (size, size))

    monkeypatch.setattr(looking.drawing, "draw", draw)
    drawn = looking.draw_dogs(None, size=8, count=2, portraits=3)
    portraits = [caption.text for caption in looking.portrait_captions(3)]
    assert asked == [
        *((prompt, seed) for prompt in (prompts.DOG, prompts.JUMPING) for seed in range(2)),
        *((prompt, seed) for seed, prompt in enumerate(portraits)),
    ]
    marked = {"eye patch": "yes", "spots": "yes"}
    answers = {id(one): {} for one in drawn.portraits}
    answers |= dict(zip(map(id, drawn.dogs), ({"eye patch": "yes"}, marked), strict=True))
    answers |= dict(zip(map(id, drawn.jumping), ({"dog pose": "jumping"}, marked), strict=True))
    reader_says(answers)
    assert looking.measure_dogs(drawn) == {
        looking.MARKINGS: 0.5,
        looking.JUMPING_MARKINGS: 0.5,
        looking.JUMPING_POSE: 0.5,
        looking.PORTRAITS: 0,
    }
    assert looking.count_markings(drawn.dogs, MACHINE) == "1 of 2, 9–91 %"
    assert looking.count_any_marking(drawn.dogs, MACHINE) == "2 of 2, 34–100 %"


def test_on_the_real_model_the_dogs_are_yours_to_count() -> None:
    drawn = looking.DogPictures([SQUARE], [SQUARE], [SQUARE])
    assert set(looking.tabulate_dogs(drawn, REAL).values()) == {"☐"}
    assert looking.count_markings(drawn.dogs, REAL) == looking.count_any_marking(drawn.dogs, REAL) == "☐ of 1"
