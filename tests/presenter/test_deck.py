"""The slides: one file, with the speaker's words as notes."""

from __future__ import annotations

import base64
import re

import pytest

from presenter import cues
from presenter.handout import deck, export
from presenter.material import Material
from tests.support.handout import REMOTE

pytestmark = pytest.mark.usefixtures("measured")


@pytest.fixture
def deck_of(handout: Material, raw: dict) -> str:
    return deck.make_deck(export.strip_notebook(raw), handout.sheets[0], handout)


def test_slides_have_the_words_of_the_cue_as_notes(deck_of: str) -> None:
    slides = deck_of.split('<section class="slide">')[1:]
    assert len(slides) == 5  # title and settings, question and code, its picture, the task, the end
    assert "What people take home." in slides[0] and "Water" in slides[0]
    assert '<aside class="notes"><h2>Draw it</h2>' in slides[1] and "60 blocks, in 4.0 s" in slides[1]
    assert [level for level in cues.LEVELS if f'data-level="{level}"' in slides[1]] == list(cues.LEVELS)
    assert "data:image/png;base64," in slides[2]
    assert '<aside class="notes"><h2>Take home</h2>' in slides[-1] and "Thank you." in slides[-1]


def test_slides_are_one_file_and_what_stands_in_a_cue_stays_text(deck_of: str) -> None:
    assert not REMOTE.search(deck_of)
    assert deck_of.count("<script") == 1 == deck_of.count("</script>")  # the deck's own
    assert "&lt;b&gt;drawn&lt;/b&gt;" in deck_of


def test_formula_is_drawn_and_code_is_left_alone(deck_of: str) -> None:
    assert "MathJax" not in deck_of and 'class="formula"' in deck_of
    image = deck.draw_formulas("It is $$x_\\sigma = 1$$")
    assert image.startswith('It is <img class="formula"') and 'alt="x_\\sigma = 1"' in image
    data = re.search(r"base64,([^\"]+)", image)[1]
    assert b"<svg" in base64.b64decode(data)
    assert deck.draw_formulas("a `$x$` and $5 and $6") == "a `$x$` and $5 and $6"
    assert deck.draw_formulas("$\\nonsense{x}$") == "<code>\\nonsense{x}</code>"
