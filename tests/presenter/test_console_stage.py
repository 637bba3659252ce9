"""What the projector shows at each moment of the talk."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest

from presenter import cues
from presenter.console import stage
from presenter.journal import Act, Talk
from presenter.material import Material
from tests.support.views import BEGUN, at, view
from workshop import notebooks

STAGED = Act(1, "stage", cue="01-hello")


@pytest.mark.parametrize(
    ("point", "short"),
    [
        ("One. Two.", "One."),
        ("A single point without an end", "A single point without an end"),
        ("Why *two*? Because.", "Why *two*?"),
        ("It is `arXiv 2209.03003`. More.", "It is `arXiv 2209.03003`."),
        ("She said “no.” Then more.", "She said “no.”"),
        ("See [the notebook about guidance](#cell:guidance-grid) first. Then more.", None),
        ("long " * 40, ""),
        ("*An emphasis. That ends here*.", ""),
    ],
)
def test_point_is_shortened_to_a_sentence_that_is_read_at_a_glance(point: str, short: str | None) -> None:
    expected = point.partition(" Then")[0] if short is None else short
    assert stage.shorten(point) == expected


def test_no_cue_shows_more_than_three_short_points() -> None:
    material = Material.read(cues.CUES, notebooks.FOLDER)
    seen, some = view(material, minutes=300), 0
    for cue in material.cues:
        for level in cues.LEVELS:
            seen = replace(seen, talk=Talk(level=level))
            points = stage.describe_cue(seen, cue)["points"]
            assert len(points) <= stage.MOST
            read = [html.unescape(re.sub(r"<[^>]*>", "", point["html"])).strip() for point in points]
            assert [words for words in read if not 0 < len(words) <= stage.SHORT] == [], cue.name
            some += bool(points)
    assert some > 100


def test_fallback_goes_on_and_off_the_projector(material: Material) -> None:
    shown = stage.describe_stage(view(material, BEGUN, STAGED))
    assert (shown["kind"], shown["name"], shown["picture"]) == ("cue", "01-hello", "dog")
    quiet = stage.describe_stage(view(material, BEGUN, STAGED, at("01-slow", now=2)))
    assert (quiet["kind"], quiet["title"]) == ("idle", "01 · First")


def test_quiet_page_says_when_the_talk_begins_and_thanks_at_its_end(material: Material) -> None:
    start = "2026-11-22T10:00:00"
    assert stage.describe_stage(view(material, start=start))["start"] == "We begin at 10:00."
    assert stage.describe_stage(view(material, BEGUN, start=start))["start"] == ""
    assert stage.describe_stage(view(material, BEGUN, Act(9, "end")))["title"] == "Thank you"


def test_preview_is_what_f_would_show(material: Material) -> None:
    before = view(material, BEGUN)
    after = view(material, BEGUN, STAGED)
    assert stage.describe_preview(before) == stage.describe_stage(after)


def test_black_hides_everything_until_it_is_lifted(material: Material) -> None:
    black = Act(2, "screen", kind="black")
    seen = view(material, BEGUN, STAGED, black)
    assert (stage.describe_stage(seen)["kind"], stage.describe_stage(seen)["title"]) == ("black", "")
    assert stage.describe_stage(view(material, BEGUN, black, at("01-slow", now=3)))["kind"] == "black"
    assert stage.describe_stage(view(material, BEGUN, STAGED, black, Act(3, "screen")))["kind"] == "cue"
    assert stage.describe_stage(view(material, BEGUN, black, Act(3, "end")))["kind"] == "idle"


def test_break_counts_down_as_planned_or_as_said(material: Material) -> None:
    pause = Act(60, "pause", kind="break")
    planned = stage.describe_stage(view(material, BEGUN, pause, now=90, minutes=40, breaks=[10]))
    assert (planned["kind"], planned["left"]) == ("break", "9:30")
    said = Act(60, "pause", kind="break", minutes=5)
    five = stage.describe_stage(view(material, BEGUN, pause, said, now=90, minutes=40, breaks=[10]))
    assert five["left"] == "4:30" and five["until"].startswith("back at ")
    assert stage.describe_stage(view(material, BEGUN, said, now=999))["left"] == "We go on"
    assert stage.describe_stage(view(material, BEGUN, pause, now=90))["left"] == ""  # nobody said how long
    question = stage.describe_stage(view(material, BEGUN, Act(60, "pause", kind="question")))
    assert question["kind"] == "idle"


def test_move_during_a_break_leaves_its_countdown_as_it_is(material: Material) -> None:
    pause, options = Act(60, "pause", kind="break"), {"minutes": 40.0, "breaks": [10]}
    moves = [at(item.cue.name, now=90) for item in view(material, BEGUN).plan.items[1:]]
    stays = stage.describe_stage(view(material, BEGUN, pause, now=120, **options))
    assert stays["left"] == "9:00"
    for move in moves:  # to cues before and behind the one that the break was planned for
        assert stage.describe_stage(view(material, BEGUN, pause, move, now=120, **options)) == stays
