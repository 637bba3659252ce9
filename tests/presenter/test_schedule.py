"""The planner: whatever the talk, it fits or says why not, keeps what must be kept, and can be undone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from presenter import cues, schedule
from presenter.cues import Cue
from presenter.schedule import CUT, FULL, SHORT, Plan, TooLong, make_plan, replan
from workshop.notebooks import Cell, Notebook

NEAR = 1e-4  # minutes


def made(
    name: str, minutes: float = 2, *, least: float = 1, priority: str = "must", if_cut: str = "skip"
) -> Cue:
    """Make a cue of one cell from its name, as 03-zoom."""
    sheet, _, cell = name.partition("-")
    return Cue(f"{sheet}_lesson", (cell,), cell.title(), 1, minutes, least, priority, if_cut, "")


def book(name: str, **cells: str) -> Notebook:
    """Make a notebook of code cells: id and source."""
    return Notebook(
        name,
        Path(f"{name}.ipynb"),
        (4, 5),
        tuple(Cell(*one) for one in zip(cells, *[["code"] * len(cells)], cells.values(), strict=True)),
    )


def treated(done: Plan) -> dict[str, str]:
    return {item.cue.name: item.treatment for item in done.items}


TALK = [
    made("01-hello", 2, least=1),
    made("01-extra", 3, least=1, priority="nice"),
    made("02-model", 4, least=2, priority="should"),
    made("02-picture", 5, least=3),
    made("02-more", 1, least=1, priority="nice"),
    made("03-lora", 4, least=1, priority="should"),
    made("03-home", 0, least=0, priority="nice"),
]  # 19 minutes; must: 7, at least 4


def test_talk_that_fits_is_not_cut() -> None:
    done = make_plan(TALK, minutes=19)
    assert set(treated(done).values()) == {FULL, schedule.HOME}
    assert (done.total, done.excess) == (19, 0)


@pytest.mark.parametrize(
    ("minutes", "changed"),
    [
        (18, {"02-more": CUT}),
        (17, {"01-extra": CUT}),
        (15, {"01-extra": CUT, "02-more": CUT}),
        (14, {"01-extra": CUT, "02-more": CUT, "02-model": SHORT}),
        (12, {"01-extra": CUT, "02-more": CUT, "03-lora": SHORT}),
        (10, {"01-extra": CUT, "02-more": CUT, "03-lora": SHORT, "02-model": SHORT}),
        (9, {"01-extra": CUT, "02-more": CUT, "03-lora": CUT, "02-model": SHORT}),
        (7, {"01-extra": CUT, "02-more": CUT, "03-lora": CUT, "02-model": CUT}),
        (5, {"01-extra": CUT, "02-more": CUT, "03-lora": CUT, "02-model": CUT, "02-picture": SHORT}),
    ],
)
def test_nice_goes_then_should_shrinks_then_should_goes_then_must_shrinks(
    minutes: float, changed: dict[str, str]
) -> None:
    done = make_plan(TALK, minutes=minutes)
    assert done.treatments == changed
    assert done.total <= minutes + schedule.GRACE


def test_impossible_plan_says_by_how_much() -> None:
    with pytest.raises(
        TooLong, match=r"3 minutes are 1 too few: the must cues.* take 4.*or take 4 min"
    ) as caught:
        make_plan(TALK, minutes=3)
    assert caught.value.by == 1
    with pytest.raises(TooLong, match="12 minutes are 2 too few"):
        make_plan(TALK, minutes=12, breaks=[10])


def test_cue_or_notebook_is_skipped_by_name_even_a_must() -> None:
    done = make_plan(TALK, minutes=30, skip=["02-picture", "03"])
    assert done.treatments == {"02-picture": CUT, "03-lora": CUT, "03-home": CUT}
    assert done.total == 10


def test_word_that_is_no_cue_is_refused_with_the_right_ones() -> None:
    with pytest.raises(
        ValueError, match=r"no cue '02-pictures' to skip. The nearest are: 02-picture, 02-m"
    ) as no:
        make_plan(TALK, minutes=30, skip=["02-pictures"])
    assert str(no.value).count("0") == 5 and len(str(no.value)) < 150  # the word, three names, a notebook


def test_skipping_everything_is_refused() -> None:
    with pytest.raises(ValueError, match=r"--skip leaves nothing to present. Skip fewer cues"):
        make_plan(TALK, minutes=30, breaks=[5], skip=["01", "02", "03"])


def test_must_cue_that_was_skipped_is_told() -> None:
    done = make_plan(TALK, minutes=60, skip=["01-hello"])
    assert "though they are must cues: 01-hello" in schedule.format_timetable(done)
    assert "must cues" not in schedule.format_timetable(make_plan(TALK, minutes=60, skip=["01-extra"]))


def test_time_without_material_is_told() -> None:
    printed = schedule.format_timetable(make_plan(TALK, minutes=600))
    takes = sum(cue.minutes for cue in TALK)
    assert f"The material takes {takes:g} minutes. The rest is room for questions" in printed


def test_few_seconds_of_silent_cells_shorten_nothing() -> None:
    whole = sum(cue.minutes for cue in TALK)
    assert make_plan(TALK, minutes=whole - 2 / 60).treatments == {}
    assert make_plan(TALK, minutes=whole - 10 / 60).treatments != {}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"minutes": 0}, "Minutes must be above 0, at most 1,440, got 0"),
        ({"minutes": "ten"}, "Minutes must be above 0, at most 1,440, got 'ten'"),
        ({"minutes": True}, "Minutes must be above 0, at most 1,440, got True"),
        ({"minutes": 30, "breaks": ["5"]}, r"breaks of \['5'\]"),
        ({"minutes": 30, "breaks": [-5]}, r"breaks of \[-5\]"),
        ({"minutes": 30, "level": "expert"}, "no level 'expert'. These are: beginner, intermediate, adv"),
        ({"minutes": 90, "breaks": [1] * 9}, "no place for 9 breaks between 6 cues. Take fewer"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_plan(TALK, **wrong)


def test_break_comes_between_notebooks_and_takes_its_time_from_the_talk() -> None:
    done = make_plan(TALK, minutes=25, breaks=[10])
    assert [(one.minutes, one.before) for one in done.breaks] == [(10, "03-lora")]
    assert done.item("03-lora").begins == 2 + 4 + 5 + 10  # what is nice is cut
    assert done.total <= 25


CELLS = {
    "load": "import torch\npipe = load()",
    "helper": "def draw(seed):\n    return pipe(seed)",
    "first": "picture = draw(0)",
    "grid": "pictures = [draw(seed) for seed in range(4)]",
    "change": "pipe.load_lora(file)",
    "last": "show(picture, torch.ones(1))",
}


def silent(*kept: str, if_cut: str = "skip") -> list[str]:
    talk = [made(f"01-{cell}", priority="nice", if_cut=if_cut) for cell in CELLS]
    skip = [cue.name for cue in talk if cue.cells[0] not in kept]
    done = make_plan(talk, minutes=60, skip=skip, books=[book("01_lesson", **CELLS)])
    return [cell for item in done.items for cell in item.silent]


def test_cut_cell_that_defines_what_a_kept_one_needs_runs_silently() -> None:
    assert silent("grid") == ["load", "helper"]
    assert silent("last") == ["load", "helper", "first"]
    assert silent("load") == []


def test_of_two_cells_that_bind_a_name_the_nearest_above_runs() -> None:
    cells = {"one": "a = 1", "two": "a = 2", "show": "print(a)", "three": "a = 3"}
    talk = [made(f"01-{cell}", priority="nice") for cell in cells]
    done = make_plan(
        talk, minutes=9, skip=["01-one", "01-two", "01-three"], books=[book("01_lesson", **cells)]
    )
    assert [cell for item in done.items for cell in item.silent] == ["two"]


def test_changing_an_object_is_no_definition_and_so_its_cue_must_say_run() -> None:
    assert "change" not in silent("last")
    assert silent("last", if_cut="run") == ["load", "helper", "first", "grid", "change"]


def test_cell_after_everything_that_is_presented_does_not_run() -> None:
    assert silent("grid", if_cut="run") == ["load", "helper", "first"]


def test_notebook_that_nobody_presents_runs_nothing() -> None:
    talk = [made(f"01-{cell}", priority="nice", if_cut="run") for cell in CELLS] + [made("02-other")]
    done = make_plan(talk, minutes=60, skip=["01"], books=[book("01_lesson", **CELLS)])
    assert [cell for item in done.items for cell in item.silent] == []


def test_silent_cells_take_their_time() -> None:
    talk = [made("01-load", 3, priority="nice"), made("01-helper", 1, priority="nice"), made("01-first", 2)]
    given = {"books": [book("01_lesson", **CELLS)], "seconds": {("01_lesson", "load"): 90.0}}
    done = make_plan(talk, minutes=4, **given)
    assert treated(done)["01-load"] == CUT
    assert done.item("01-load").minutes == 1.5
    with pytest.raises(TooLong) as caught:
        make_plan(talk, minutes=2, **given)
    assert caught.value.by == pytest.approx(0.5)


def test_advice_says_what_to_skip_and_how_early_it_ends() -> None:
    done = make_plan(TALK, minutes=19)
    advice = replan(done, elapsed=3 + 4 / 3, position="01-hello", spent=2)
    assert str(advice) == "2:20 behind: skip 01-extra, finish 0:40 early."
    advice = replan(done, elapsed=10, position="01-extra", spent=3)
    assert str(advice) == "5:00 behind: skip 02-more, shorten 02-model and 03-lora, finish 1:00 early."
    advice = replan(done, elapsed=13, position="01-extra", spent=3)
    assert str(advice) == "8:00 behind: skip 02-model and 02-more, shorten 03-lora, finish on time."


def test_advice_names_a_few_cues_and_counts_the_rest() -> None:
    talk = [made(f"01-{number}", 1, priority="nice") for number in range(7)]
    for late, said in ((3, "skip 01-4, 01-5 and 01-6"), (6, "skip 01-1, 01-2, 01-3 and 3 more")):
        advice = replan(make_plan(talk, minutes=7), elapsed=late, position="01-0", spent=0)
        assert str(advice) == f"{late}:00 behind: {said}, finish on time."


def test_advice_that_cannot_help_says_how_late_it_will_be() -> None:
    advice = replan(make_plan(TALK, minutes=19), elapsed=20, position="03-lora", spent=0)
    assert (advice.treatments, str(advice)) == ({}, "5:00 behind: nothing is left to cut, finish 5:00 late.")


@pytest.mark.parametrize(
    ("elapsed", "said"), [(2, "0:00 in hand"), (1.5, "0:30 in hand"), (2.4, "0:24 behind")]
)
def test_talk_that_is_about_on_time_goes_on_as_planned(elapsed: float, said: str) -> None:
    advice = replan(make_plan(TALK, minutes=19), elapsed=elapsed, position="01-hello", spent=2)
    assert not advice.treatments and str(advice).startswith(f"{said}: go on as planned, finish ")


def test_time_spent_on_a_cue_counts_from_its_planned_beginning_if_nothing_is_known() -> None:
    done = make_plan(TALK, minutes=19)
    assert [replan(done, elapsed=at, position="01-extra").behind_now for at in (1, 2, 3, 5, 6)] == [
        -1,
        0,
        0,
        0,
        1,
    ]


def test_timetable_gives_clock_times_breaks_silent_cells_and_what_was_left_out() -> None:
    talk = [made("01-load", 3, priority="nice"), made("01-helper", 1), made("01-first", 2), made("02-end", 4)]
    done = make_plan(
        talk, minutes=17, start=datetime(2026, 5, 4, 9, 55), breaks=[10], books=[book("01_lesson", **CELLS)]
    )
    printed = schedule.format_timetable(done, titles={"01_lesson": "01 · A lesson"})
    for line in (
        "17 minutes, intermediate level: 3 cues",
        "01 · A lesson",
        "run silently: load",
        "09:55     1  01-helper",
        "09:58    10  Break",
        "10:08     4  02-end",
        "10:12        End, on time",
        "Left out: 01-load",
    ):
        assert line in printed
    assert printed.index("09:58") < printed.index("02_lesson") < printed.index("10:08")


def test_command_prints_a_timetable_or_says_why_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert schedule.main(["--minutes", "500", "--start", "10:00"]) == 0
    assert "\n10:00 " in capsys.readouterr().out
    assert schedule.main(["--minutes", "1"]) == 1
    assert "presenter plan: 1 minutes are " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        schedule.main(["--start", "ten"])
    assert "'ten' is no time of day; write it as 10:00" in capsys.readouterr().err


NAMES = ["x0", "x1", "x2", "x3"]


@some.composite
def talks(draw: some.DrawFn, *, timed: bool = True) -> dict[str, Any]:
    """A talk's cues, its notebooks, and how long its cells run."""
    found, books, seconds = [], [], {}
    for number in range(1, draw(some.integers(1, 3)) + 1):
        cells: dict[str, str] = {}
        for place in range(draw(some.integers(1, 6))):
            name, taken = (
                draw(some.sampled_from(NAMES)),
                draw(some.sets(some.sampled_from(NAMES), max_size=2)),
            )
            values = ", ".join(f"globals().get({one!r}) and {one}" for one in sorted(taken))
            source = f"{name} = ('{number}.{place}', {values})"
            cells[f"c{place}"] = source
            minutes = draw(some.integers(0, 12)) / 2
            priority = draw(some.sampled_from(cues.PRIORITIES)) if minutes else "nice"
            least = draw(some.integers(1, int(2 * minutes))) / 2 if minutes else 0
            if_cut = draw(some.sampled_from(cues.IF_CUT))
            found.append(made(f"0{number}-c{place}", minutes, least=least, priority=priority, if_cut=if_cut))
            seconds[f"0{number}_lesson", f"c{place}"] = draw(some.integers(0, 120)) if timed else 0
        books.append(book(f"0{number}_lesson", **cells))
    return {"cues": found, "books": books, "seconds": seconds}


@some.composite
def talks_to_fit(draw: some.DrawFn, *, timed: bool = True) -> tuple[dict[str, Any], float]:
    """A talk and the minutes there are for it: from a little too few to a little more than it takes."""
    talk = draw(talks(timed=timed))
    share = draw(some.integers(-1, 21)) / 20
    return talk, minutes_at(share, talk)


def minutes_at(share: float, talk: dict[str, Any]) -> float:
    """Find the minutes between a talk's least, at 0, and all of it, at 1."""
    full = make_plan(**talk, minutes=1000).total
    least = planned(talk, minutes=NEAR)
    if least is None:
        with pytest.raises(TooLong) as caught:
            make_plan(**talk, minutes=NEAR)
    shortest = NEAR + caught.value.by if least is None else least.total
    return max(NEAR, shortest + share * (full - shortest))


# The same talks each time, so that no test fails for somebody who changed nothing. Hypothesis also draws
# numbers that it finds in the modules which happen to be imported, so a few talks differ from run to run.
quick = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


def planned(talk: dict[str, Any], **settings: Any) -> Plan | None:
    try:
        return make_plan(**talk, **settings)
    except ValueError:  # TooLong, or everything was skipped
        return None


def test_most_talks_that_are_drawn_are_cut() -> None:
    found: Counter[str] = Counter()

    @quick
    @given(talks_to_fit())
    def look(drawn: tuple[dict[str, Any], float]) -> None:
        talk, minutes = drawn
        done = planned(talk, minutes=minutes)
        found["too long" if done is None else "cut" if done.treatments else "whole"] += 1

    look()
    assert found["cut"] > found.total() / 2, found


@quick
@given(talks_to_fit())
def test_plan_fits_or_is_as_much_too_long_as_it_says(drawn: tuple[dict[str, Any], float]) -> None:
    talk, minutes = drawn
    done = planned(talk, minutes=minutes)
    if done is None:
        with pytest.raises(TooLong) as caught:
            make_plan(**talk, minutes=minutes)
        assert caught.value.by > 0
        done = make_plan(**talk, minutes=minutes + caught.value.by)
        assert done.total == pytest.approx(minutes + caught.value.by, abs=schedule.GRACE + NEAR)
    assert done.excess <= schedule.GRACE + NEAR


@quick
@given(talks_to_fit())
def test_must_is_never_cut(drawn: tuple[dict[str, Any], float]) -> None:
    talk, minutes = drawn
    done = planned(talk, minutes=minutes)
    assert done is None or all(item.kept for item in done.items if item.cue.priority == "must")


@quick
@given(talks_to_fit(timed=False))
def test_nothing_is_cut_before_what_matters_less(drawn: tuple[dict[str, Any], float]) -> None:
    talk, minutes = drawn
    done = planned(talk, minutes=minutes)
    if done is None:
        return
    how = {
        priority: {
            item.treatment
            for item in done.items
            if item.cue.priority == priority
            and item.cue.takes_time
            and not (item.treatment == FULL and priority != "nice" and item.cue.least == item.cue.minutes)
        }
        for priority in cues.PRIORITIES
    }  # a cue that cannot be shortened says nothing
    if how["should"] - {FULL}:
        assert how["nice"] <= {CUT}
    if CUT in how["should"]:
        assert how["should"] <= {CUT, SHORT}
    if SHORT in how["must"]:
        assert how["should"] <= {CUT} and how["nice"] <= {CUT}
        assert not any(item.kept for item in done.items if item.cue.priority == "should")


@quick
@given(talks_to_fit(), some.data())
def test_kept_cells_see_what_they_would_see_in_the_whole_notebook(
    drawn: tuple[dict[str, Any], float], data: some.DataObject
) -> None:
    talk, minutes = drawn
    skip = data.draw(some.lists(some.sampled_from([cue.name for cue in talk["cues"]]), unique=True))
    done = planned(talk, minutes=minutes, skip=skip)
    if done is None:
        return
    for one in talk["books"]:
        spoken = {
            cell for item in done.items if item.kept and item.cue.sheet == one.name for cell in item.cue.cells
        }
        quiet = {cell for item in done.items if item.cue.sheet == one.name for cell in item.silent}
        assert not spoken & quiet
        assert made_by(one, spoken | quiet, of=spoken) == made_by(
            one, {cell.id for cell in one.code}, of=spoken
        )


def made_by(one: Notebook, running: set[str], *, of: set[str]) -> dict[str, object]:
    """Run some cells of a notebook; what the cells of interest made."""
    names: dict[str, object] = {}
    values = {}
    for cell in one.code:
        if cell.id in running:
            exec(cell.source, names)
            values[cell.id] = names[cell.source.partition(" ")[0]]
    return {cell: values[cell] for cell in of}


@quick
@given(talks_to_fit(), some.lists(some.integers(1, 15), max_size=2))
def test_breaks_are_held_in_full_and_inside_the_talk(
    drawn: tuple[dict[str, Any], float], breaks: list[int]
) -> None:
    talk, minutes = drawn
    try:
        done = make_plan(**talk, minutes=minutes + sum(breaks), breaks=breaks)
    except ValueError:  # too long, or too few cues for so many breaks
        return
    assert sorted(one.minutes for one in done.breaks) == sorted(breaks)
    assert sum(item.pause for item in done.items) == sum(breaks)
    assert done.items[0].pause == 0 and done.excess <= schedule.GRACE + NEAR


@quick
@given(talks_to_fit(), some.data())
def test_advice_is_what_happens_when_it_is_accepted_and_undo_takes_it_back(
    drawn: tuple[dict[str, Any], float], data: some.DataObject
) -> None:
    talk, minutes = drawn
    done = planned(talk, minutes=minutes)
    if done is None:
        return
    place = data.draw(some.integers(0, len(done.items) - 1))
    behind = data.draw(some.integers(-4, 20)) / 2
    now = {
        "elapsed": max(0.0, done.items[place].begins + behind),
        "position": done.items[place].cue.name,
        "spent": data.draw(some.integers(0, 20)) / 2,
    }
    advice = replan(done, **now)
    followed = done.accept(advice)
    again = replan(followed, **now)
    assert again.late == pytest.approx(advice.late_if_accepted, abs=NEAR)
    assert advice.late_if_accepted <= max(schedule.ON_TIME, advice.late) + NEAR
    assert not again.treatments  # once is enough
    changed = {item.cue.name: item.cue for item in done.items[place + 1 :]}
    for name, how in advice.treatments.items():
        assert name in changed  # what is over stays as it was
        assert changed[name].priority != "must" or how == SHORT
    assert followed.undo() == done and replace(followed.undo(), before=None) == replace(done, before=None)


@quick
@given(talks(), some.integers(0, 100))
def test_first_plan_has_nothing_to_undo(talk: dict[str, Any], elapsed: int) -> None:
    done = make_plan(**talk, minutes=1000)
    assert done.undo() is done
    once = done.accept(replan(done, elapsed=elapsed, position=done.items[0].cue.name))
    assert once.undo() is done


def test_material_is_what_is_presented_without_the_cues_that_you_skip() -> None:
    done = make_plan(TALK, minutes=60, skip=["02-picture"])
    assert "The material takes 14 minutes." in schedule.format_timetable(done)
