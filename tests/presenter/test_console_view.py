"""The talk at one moment: how late it is, and where it is."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime

import pytest

from presenter.journal import Act
from presenter.material import Material
from tests.support.views import BEGUN, at, view


@pytest.mark.parametrize(
    ("position", "held", "elapsed"),
    [
        ("01-slow", 0, 5),  # the break is still to come
        ("01-slow", 4, 5),  # held early, in part
        ("01-slow", 10, 5),  # held early
        ("01-slow", 12, 7),  # and longer than planned
        ("02-last", 0, 5),  # left out: 10 minutes are won
        ("02-last", 10, 15),  # held as planned
        ("02-last", 13, 18),
    ],
)
def test_break_counts_as_planned_wherever_it_is_held(
    material: Material, position: str, held: float, elapsed: float
) -> None:
    acts = [BEGUN, at(position, now=60), Act(60, "pause", kind="break"), Act(60 + held * 60, "resume")]
    seen = view(material, *acts, now=(5 + held) * 60, minutes=40, breaks=[10])
    assert [one.before for one in seen.plan.breaks] == ["02-base"]
    assert seen.elapsed == pytest.approx(elapsed)


def test_late_start_is_a_delay_and_another_day_is_not(material: Material) -> None:
    start = datetime(2026, 11, 22, 10, 0)
    for minutes, late in ((4, 4), (-3, -3), (600, 0)):
        began = start.timestamp() + minutes * 60
        seen = view(material, Act(began, "begin", cue="01-hello"), now=began, start=start.isoformat())
        assert seen.late_start == pytest.approx(late)
    assert datetime.fromtimestamp(seen.ends).strftime("%H:%M") == "20:18"  # 18 of its 30 minutes are planned


def test_forecast_end_moves_with_the_delay(material: Material) -> None:
    on_time = view(material, BEGUN, now=0, minutes=18)
    late = view(material, BEGUN, now=180, minutes=18)
    assert late.ends - on_time.ends == 60  # three minutes in a cue of two


def test_talk_arrived_at_a_cue_when_it_last_came_there(material: Material) -> None:
    there, back = at("01-slow", now=60), at("01-hello", now=90)
    pause, again = Act(100, "pause", kind="question"), at("01-slow", now=120)
    assert view(material).arrived == math.inf
    assert view(material, BEGUN, now=30).arrived == 0
    assert view(material, BEGUN, there, now=70).arrived == 60
    assert view(material, BEGUN, there, back, pause, now=110).arrived == 90  # a pause is no arrival
    assert view(material, BEGUN, there, back, pause, again, now=130).arrived == 120
    assert view(material, BEGUN, there, replace(back, at=60), replace(again, at=60), now=70).arrived == 60


def test_cue_that_a_new_sheet_no_longer_has_leaves_the_talk_at_its_beginning(material: Material) -> None:
    assert view(material, at("05-gone")).here.cue.name == "01-hello"
