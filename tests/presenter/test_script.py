"""The script for paper: one level's words, with their numbers, as text."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from presenter import cues
from presenter.handout import script
from presenter.material import Material
from tests.support.handout import REMOTE
from workshop import notebooks

pytestmark = pytest.mark.usefixtures("measured")


@pytest.mark.parametrize("level", cues.LEVELS)
def test_script_speaks_to_one_level_only(level: str, handout: Material) -> None:
    page = script.make_script(handout, level=level)
    words = {"beginner": "A knob.", "intermediate": "A matrix", "advanced": "A spectrum."}
    assert [one for one, text in words.items() if text in page] == [level]


def test_script_has_every_part_of_a_cue_with_its_numbers_filled_in(handout: Material) -> None:
    page = script.make_script(handout, level="beginner")
    assert "60 blocks, in 4.0 s" in page  # a fact, and a runtime of this machine
    for text in (
        "Before you start",
        "Thank you.",
        "Draw it",
        "How many?",
        "Two.",
        "3 min (least 1)",
        "At home",
    ):
        assert text in page
    assert "should · its cells run even if it is cut" in page
    assert "print" in page and "<code>draw</code> <span>4.0 s</span>" in page
    assert "Fallback, pocket model" in page and "data:image/png;base64," in page
    assert "Runtimes: as measured with the pocket model." in page


def test_script_counts_the_clock_from_its_first_cue(handout: Material) -> None:
    times = re.findall(r'<span class="time">([^<]*)</span>', script.make_script(handout, level="beginner"))
    assert times == ["0:00", "2:00", "", "5:00"]  # the third one is for home


def test_script_in_a_cue_stays_text_and_nothing_is_remote(handout: Material) -> None:
    page = script.make_script(handout, level="advanced")
    assert "<script" not in page and "&lt;script&gt;" in page
    assert not REMOTE.search(page)


def test_unknown_fact_stops_the_export(handout: Material) -> None:
    sheet = replace(handout.sheets[0], lead="{fact:nonsense}")
    with pytest.raises(ValueError, match="There is no fact named 'nonsense'"):
        script.make_script(replace(handout, sheets=(sheet,)), level="beginner")


def test_script_of_the_workshop_has_every_cue_and_its_links_lead_somewhere() -> None:
    handout = Material.read(cues.CUES, notebooks.FOLDER)
    page = script.make_script(handout, level="intermediate")
    there = set(re.findall(r"id='([^']+)'", page))
    assert {f"{one.sheet[:2]}-{cell}" for one in handout.cues for cell in one.cells} <= there
    links = set(re.findall(r"""href=["']#([^"']+)""", page))
    missing = {link for link in links - there if link[:2] in {sheet.name[:2] for sheet in handout.sheets}}
    assert links and not missing
    assert "{fact:" not in page and "{runtime:" not in page
