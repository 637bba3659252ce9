"""What the console tells its presenter, as pure functions of plan, talk, kernels and time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from presenter import kernels
from presenter.console import guide
from presenter.journal import Act, Talk
from presenter.material import Material
from presenter.runtimes import Runtime
from tests.support.lesson import write_lesson
from tests.support.views import BEGUN, at, ran, run, view


def test_talk_follows_a_cell_that_is_run_by_hand(material: Material) -> None:
    assert guide.find_move(view(material, BEGUN), run("breaks")) == "01-breaks"
    assert guide.find_move(view(material, BEGUN), run("names")) == "01-slow"  # the second cell of its cue


@pytest.mark.parametrize(
    ("acts", "begun", "why"),
    [
        ([], run("breaks", queued=True), "Run All"),
        ([at("01-breaks")], run("slow"), "a cell run again behind the talk"),
        ([at("01-breaks")], run("breaks"), "the same cue"),
        ([Act(0, "follow", on=False)], run("breaks"), "told not to follow"),
        ([Act(0, "cut", treatments={"01-extra": "cut"})], run("extra"), "a cue that was cut"),
        ([], run("scratch"), "a cell without a cue"),
        ([], run("hello", book="09_other"), "another notebook"),
    ],
)
def test_talk_stays_where_it_is(material: Material, acts: list[Act], begun: kernels.Run, why: str) -> None:
    assert guide.find_move(view(material, BEGUN, *acts), begun) == "", why


def test_clock_before_the_talk_says_what_is_planned(material: Material) -> None:
    part = guide.describe_clock(view(material))
    assert (part["elapsed"], part["left"]) == ("0:00", "30:00")
    assert part["sentence"] == "30 minutes, 6 cues. The clock starts when you do."


def test_clock_says_what_to_do_when_the_talk_is_behind(material: Material) -> None:
    late = view(material, BEGUN, at("01-slow", now=60), now=60 + 5 * 60, minutes=18)
    part = guide.describe_clock(late)
    assert part["pace"] == "1:00 behind" and part["accept"] and part["late"] == 1.0
    assert part["sentence"] == "1:00 behind: skip 01-extra, finish 3:00 early."
    assert (part["elapsed"], part["left"]) == ("6:00", "12:00")


def test_accepted_cut_is_what_the_clock_then_counts_on(material: Material) -> None:
    acts = [BEGUN, at("01-slow", now=60)]
    late = view(material, *acts, now=360, minutes=18)
    after = view(material, *acts, Act(360, "cut", treatments=late.advice.treatments), now=360, minutes=18)
    assert guide.describe_clock(after)["pace"] == "3:00 ahead"
    assert [item.cue.name for item in after.path] == [
        "01-hello",
        "01-slow",
        "01-breaks",
        "02-base",
        "02-last",
    ]
    undone = view(
        material,
        *acts,
        Act(360, "cut", treatments={"01-extra": "cut"}),
        Act(361, "undo", of=3),
        now=360,
        minutes=18,
    )
    assert undone.plan == late.plan


def test_time_within_half_a_minute_is_on_time(material: Material) -> None:
    part = guide.describe_clock(view(material, BEGUN, at("01-slow", now=140), now=200, minutes=18))
    assert part["pace"] == "on time" and part["late"] == 0 and not part["accept"]


def test_question_goes_against_the_plan_and_says_so(material: Material) -> None:
    asked = view(material, BEGUN, Act(60, "pause", kind="question"), now=105)
    part = guide.describe_clock(asked)
    assert part["sentence"] == "Question, 0:45 so far: the clock goes on." and not part["accept"]
    assert guide.describe_time(asked)["text"] == "1:00 of 2:00"  # the cue is not charged
    assert asked.elapsed == 105 / 60


def test_now_shows_the_cue_of_the_level_with_its_facts(material: Material) -> None:
    part = guide.describe_now(view(material, BEGUN))
    assert part["points"] == [{"html": "A point with a fact: 60 blocks."}]
    assert part["where"] == "01 · First · cue 1 of 6"
    assert [note["label"] for note in part["notes"]] == ["Say", "While it runs", "If it fails"]
    assert part["questions"] == [{"html": "How many?", "answer_html": "Three."}]
    advanced = guide.describe_now(view(material, BEGUN, Act(1, "level", level="advanced")))
    assert advanced["points"] == [{"html": 'A point with a <a href="#01-hello">link</a>.'}]


def test_opening_comes_with_the_first_cue_and_closing_with_the_last(material: Material) -> None:
    def titles(name: str) -> tuple[list[str], list[str]]:
        part = guide.describe_now(view(material, at(name)))
        before, after = ([section["title"] for section in part[where]] for where in ("before", "after"))
        return before, after

    assert titles("01-hello") == (["Before you start", "Opening"], [])
    assert titles("01-slow") == ([], [])
    assert titles("02-last") == ([], ["Closing"])


def test_cue_on_a_page_of_text_waits_for_no_cell_and_is_gone_to_by_hand(tmp_path: Path) -> None:
    sheets, books = write_lesson(tmp_path)
    path = books / "02_second.ipynb"
    path.write_text(path.read_text().replace('"code", "id": "last"', '"markdown", "id": "last"'))
    lesson = Material.read(sheets, books)
    before = ran(view(lesson, at("02-base")), "base", book="02_second")
    assert guide.describe_next(before)["by_hand"] and guide.describe_cells(before)["next"] is None
    part = guide.describe_cells(view(lesson, at("02-last")))
    assert (part["cells"], part["next"], part["again"]) == ([], None, [])
    assert not guide.describe_next(view(lesson, at("01-hello")))["by_hand"]


def test_undo_names_a_few_of_many_cuts():
    cuts = {f"0{number}-cue": "cut" for number in range(1, 8)}
    acts = [Act(0, "begin"), Act(1, "cut", treatments=cuts)]
    said = guide.describe_undo(Talk(undoable=2), acts)
    assert said == "Undo: skip 01-cue, 02-cue, 03-cue, 4 more"


def test_next_cell_of_another_notebook_is_said_to_be_there(material: Material) -> None:
    ahead = guide.describe_cells(ran(view(material, at("01-slow")), "slow"))["next"]
    assert ahead["notebook"] == "01_first" and not ahead["elsewhere"]
    last = [item.cue for item in view(material, BEGUN).path if item.cue.sheet == "01_first"][-1]
    over = view(material, at(last.name))
    for cell in last.cells:
        over = ran(over, cell)
    beyond = guide.describe_cells(over)["next"]
    assert beyond["notebook"] == "02_second" and beyond["elsewhere"]


def test_script_in_a_cue_or_in_code_stays_text(material: Material) -> None:
    html = guide.describe_now(view(material, BEGUN))["notes"][0]["html"]
    assert html == "<p>Words about <em>Hello</em> &lt;b&gt;plain&lt;/b&gt;.</p>"
    cell = guide.describe_cells(ran(view(material, at("01-slow")), "slow"))["next"]
    assert cell["id"] == "names" and "&lt;img" in cell["code_html"] and "<img" not in cell["code_html"]


def test_unknown_fact_is_shown_by_its_name(material: Material) -> None:
    seen = view(material, BEGUN)
    sheet = material.sheets[0]
    odd = replace(sheet.cues[0], points={"intermediate": ("It has {fact:no.such} parts.",)})
    other = Material((replace(sheet, cues=(odd, *sheet.cues[1:])), material.sheets[1]), material.books)
    part = guide.describe_now(view(other, BEGUN))
    assert part["points"] == [{"html": "It has {fact:no.such} parts."}]
    assert guide.describe_now(seen)["points"] != part["points"]


def test_next_cell_is_the_first_that_has_not_run_here(material: Material) -> None:
    seen = view(material, at("01-slow"))
    assert guide.describe_cells(seen)["next"]["id"] == "slow"
    assert guide.describe_cells(ran(seen, "slow"))["next"]["id"] == "names"
    part = guide.describe_cells(ran(seen, "names"))
    assert part["next"]["id"] == "breaks"  # of the next cue
    assert [cell["state"] for cell in part["cells"]] == ["done", "done"]
    seen.kernels.see(kernels.Event(50.0, "start", 8, "notebooks/01_first.ipynb"))  # the kernel was restarted
    assert guide.describe_cells(seen)["next"]["id"] == "slow"


def test_expected_runtime_is_the_one_of_this_machine(material: Material) -> None:
    assert guide.describe_cells(view(material, BEGUN))["next"]["expected"] == "not rehearsed yet"
    known = replace(material, runtimes={"01_first": {"hello": Runtime(18.4, 3.0, 3)}})
    assert guide.describe_cells(view(known, BEGUN))["next"]["expected"] == "expected 18 s"


def test_running_cell_is_measured_against_what_was_expected(material: Material) -> None:
    known = replace(material, runtimes={"01_first": {"hello": Runtime(20.0, None, 3)}})
    part = guide.describe_run(ran(view(known, BEGUN, now=5.0), "hello", "running"))
    assert (part["seconds"], part["share"], part["state"], part["waiting"]) == ("5 s", 25, "running", True)
    assert not guide.describe_run(ran(view(known, BEGUN, now=1.0), "hello", "running"))["waiting"]
    assert guide.describe_run(view(known, BEGUN)) is None


@pytest.mark.parametrize(
    ("state", "title"), [("failed", "An error in hello"), ("out of memory", "Out of memory in hello")]
)
def test_error_raises_the_alarm_with_what_the_sheet_says(material: Material, state: str, title: str) -> None:
    part = guide.describe_alarm(ran(view(material, BEGUN), "hello", state))
    assert part["title"] == title
    assert part["message"] == "ValueError: bad <b>"
    assert "what it would have shown" in part["html"]


def test_failed_cell_is_the_next_one_until_its_fallback_is_on_the_projector(material: Material) -> None:
    failed = ran(view(material, BEGUN), "hello", "failed")
    assert guide.describe_cells(failed)["next"]["id"] == "hello"  # to be repaired
    staged = replace(failed, talk=replace(failed.talk, staged="01-hello"))
    assert guide.describe_cells(staged)["next"]["id"] == "slow"


def test_killed_kernel_raises_the_alarm(material: Material) -> None:
    seen = ran(view(material, BEGUN), "hello", "running")
    seen.kernels.see(kernels.Event(5.0, "stop", 7, "notebooks/01_first.ipynb"))
    assert guide.describe_alarm(seen)["title"] == "The kernel died in hello"


def test_overrun_raises_the_alarm_only_when_it_is_long(material: Material) -> None:
    known = replace(material, runtimes={"01_first": {"hello": Runtime(20.0, None, 3)}})
    assert guide.describe_alarm(ran(view(known, BEGUN, now=39.0), "hello", "running")) is None
    part = guide.describe_alarm(ran(view(known, BEGUN, now=41.0), "hello", "running"))
    assert part["title"] == "hello takes longer than expected"


def test_no_alarm_for_what_is_well_or_elsewhere(material: Material) -> None:
    assert guide.describe_alarm(ran(view(material, BEGUN), "hello")) is None
    assert guide.describe_alarm(ran(view(material, at("01-slow")), "hello", "failed")) is None
    assert (
        guide.describe_alarm(ran(view(material, BEGUN, now=900.0), "hello", "running")) is None
    )  # not rehearsed


def test_cells_of_a_cut_cue_are_listed_to_run_silently(material: Material) -> None:
    cut = Act(1, "cut", treatments={"02-base": "cut"})
    seen = view(material, BEGUN, at("01-extra"), cut)
    assert guide.describe_next(seen)["silent"] == [{"id": "base", "notebook": "02_second", "done": False}]
    assert guide.describe_next(ran(seen, "base", book="02_second"))["silent"][0]["done"]
    assert guide.describe_next(view(material, at("02-last"))) is None


def test_silent_cell_that_must_run_first_is_listed_once(material: Material) -> None:
    cut = Act(1, "cut", treatments={"02-base": "cut"})
    seen = ran(view(material, BEGUN, at("01-extra"), cut), "extra")
    part = guide.describe_cells(seen)
    assert part["next"]["id"] == "base" and [one["id"] for one in part["again"]] == ["base"]
    assert guide.describe_next(seen)["silent"] == []
    ran(seen, "base", book="02_second")
    assert guide.describe_cells(seen)["again"] == []
    assert guide.describe_next(seen)["silent"] == [{"id": "base", "notebook": "02_second", "done": True}]


def test_memory_is_that_of_the_hungriest_cell_to_come(material: Material) -> None:
    measured = {"02_second": {"base": Runtime(1.0, 54.0, 3), "last": Runtime(1.0, 20.0, 3)}}
    known = replace(material, runtimes=measured)
    seen = view(known, at("02-last"))
    assert guide.find_memory(seen) == ("base", 54.0, 0.0)  # it must run first
    assert guide.find_memory(ran(seen, "base", book="02_second")) == ("last", 20.0, 54.0)
    assert guide.find_memory(ran(seen, "last", book="02_second")) == ("", None, 0.0)


def test_cell_that_takes_less_than_a_second_is_not_measured_against_it(material: Material) -> None:
    known = replace(material, runtimes={"01_first": {"hello": Runtime(0.2, None, 3)}})
    assert guide.describe_run(ran(view(known, BEGUN), "hello"))["expected"] == ""


def test_undo_says_what_it_takes_back(material: Material) -> None:
    acts = [BEGUN, Act(1, "cut", treatments={"01-extra": "cut", "02-base": "short"})]
    seen = view(material, *acts)
    assert guide.describe_talk(seen, acts)["undo"] == "Undo: skip 01-extra, shorten 02-base"
    assert not guide.describe_talk(seen, acts)["undo_resets"]
    part = guide.describe_talk(view(material, BEGUN), [BEGUN])
    assert part["undo"] == "Undo the start" and part["undo_resets"]
    assert guide.describe_talk(view(material), [])["undo"] == ""


def test_next_and_back_step_over_what_is_cut(material: Material) -> None:
    acts = [at("01-breaks"), Act(1, "cut", treatments={"01-extra": "cut"})]
    part = guide.describe_talk(view(material, *acts), acts)
    assert (part["back"], part["next"]) == ("01-slow", "02-base")
    assert guide.describe_talk(view(material, at("02-last")), [])["next"] == ""


def test_cell_asked_for_while_another_runs_moves_the_talk_and_run_all_does_not(material: Material) -> None:
    seen = view(material, BEGUN)
    for cell, asked in (("hello", 100.0), ("slow", 101.5), ("names", 101.51)):
        begun = seen.kernels.see(kernels.Event(asked + 9, "pre", 7, "01_first.ipynb", cell, asked=asked))
        assert begun is not None
        assert bool(guide.find_move(seen, begun)) == (cell == "slow"), cell


def test_cell_far_ahead_asks_and_does_not_move_the_talk(material: Material) -> None:
    seen = view(material, BEGUN)
    far = run("last", book="02_second")
    assert (guide.find_move(seen, far), guide.find_stray(seen, far)) == ("", "02-last")
    near = run("breaks")
    assert (guide.find_move(seen, near), guide.find_stray(seen, near)) == ("01-breaks", "")
    asked = guide.describe_stray(seen, "02-last")
    assert asked == {
        "cue": "02-last",
        "text": "A cell of “Last” (02 · Second) was run. The talk stays here.",
    }


def test_next_cell_is_never_one_that_has_run(material: Material) -> None:
    seen = view(material, at("01-hello"))
    for cell in ("hello", "slow", "names"):  # by Run All
        seen = ran(seen, cell)
    seen = ran(seen, "breaks", "running")
    assert guide.describe_cells(seen)["next"]["id"] == "extra"


def test_kernel_that_lost_its_names_is_told_with_the_cells_to_run_again(material: Material) -> None:
    known = replace(material, runtimes={"02_second": {"base": Runtime(4.0, None, 3)}})
    seen = ran(view(known, BEGUN, at("02-last")), "base", book="02_second")
    assert guide.describe_cells(seen)["again"] == [] and guide.describe_alarm(seen) is None
    seen.kernels.see(kernels.Event(50.0, "start", 8, "notebooks/02_second.ipynb"))
    part = guide.describe_cells(seen)
    assert [cell["id"] for cell in part["again"]] == ["base"] and part["again_takes"] == "4.0 s in all"
    assert part["next"]["id"] == "base"  # `last` would end in a NameError
    alarm = guide.describe_alarm(seen)
    assert alarm["title"] == "The kernel of 02_second started anew"
    assert "<code>base</code> (4.0 s in all)" in alarm["html"]
    path = "notebooks/02_second.ipynb"
    seen.kernels.see(kernels.Event(51.0, "pre", 8, path, "base"))
    seen.kernels.see(kernels.Event(55.0, "post", 8, path, "base"))
    assert guide.describe_cells(seen)["next"]["id"] == "last" and guide.describe_alarm(seen) is None


def test_restart_is_told_when_only_the_current_cue_lost_its_cells(material: Material) -> None:
    seen = ran(view(material, BEGUN, at("01-slow", now=5)), "slow", began=10.0)
    assert guide.describe_alarm(seen) is None
    seen.kernels.see(kernels.Event(50.0, "start", 8, "notebooks/01_first.ipynb"))
    alarm = guide.describe_alarm(seen)
    assert alarm and alarm["title"] == "The kernel of 01_first started anew"
    assert "<code>slow</code>" in alarm["html"]


def test_cell_of_no_cue_hides_no_restart(material: Material) -> None:
    seen = ran(view(material, BEGUN, at("02-last", now=20)), "base", book="02_second", began=10.0)
    path = "notebooks/02_second.ipynb"
    seen.kernels.see(kernels.Event(50.0, "start", 8, path))
    seen.kernels.see(kernels.Event(51.0, "pre", 8, path, "scratch"))
    seen.kernels.see(kernels.Event(52.0, "post", 8, path, "scratch"))
    alarm = guide.describe_alarm(seen)
    assert alarm and alarm["title"] == "The kernel of 02_second started anew"


def test_silent_cell_that_fails_raises_the_alarm(material: Material) -> None:
    seen = ran(view(material, BEGUN, at("02-last", now=10)), "base", "failed", book="02_second", began=20.0)
    assert guide.describe_alarm(seen)["title"] == "An error in base, a cell of “Base”"


def test_start_far_away_is_said(material: Material) -> None:
    start = "2026-11-26T10:00:00"
    near = datetime.fromisoformat(start).timestamp() + 20 * 60
    assert "too far" not in guide.describe_clock(view(material, now=near, start=start))["sentence"]
    far = guide.describe_clock(view(material, now=near + 3 * 3600, start=start))["sentence"]
    assert far.endswith("It is 13:20: the start time is too far away, and does not count.")
