"""Spoken numbers: what a number reads aloud, and which number a few words mean."""

from __future__ import annotations

import pytest

from presenter import spoken


@pytest.mark.parametrize("number", [*range(2, 130), 192, 304, 720, 1000, 2000, 4000, 64_000])
def test_number_in_words_means_the_number(number: int) -> None:
    words = spoken.speak_number(number)
    assert [found for found, _ in spoken.find_numbers(f"about {words} of them")] == [number], words


@pytest.mark.parametrize("number", [1.37, 6.4, 47.3, 1307, 3072, 6889, 8300, 12_345])
def test_spoken_number_is_close_to_the_written_one(number: float) -> None:
    words = spoken.speak_number(number)
    if "point" not in words and "half" not in words:
        assert spoken.read_number(words) == pytest.approx(number, rel=spoken.CLOSE)


def test_two_numbers_with_and_between_them_are_two() -> None:
    assert [number for number, _ in spoken.find_numbers("twenty and forty steps")] == [20, 40]


def test_none_and_all_are_said_only_of_nothing_and_everything() -> None:
    assert [spoken.speak_share(share) for share in (0.0, 0.004, 0.99, 1.0)] == [
        *("none", "zero point four percent", "ninety-nine percent", "all")
    ]


def test_text_without_a_number_stays() -> None:
    assert spoken.speak("not rehearsed yet") == "not rehearsed yet"
    assert spoken.speak("less than a second") == "less than a second"


def test_unit_that_nobody_can_say_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"'3 furlong' has no spoken form"):
        spoken.speak("3 furlong")
