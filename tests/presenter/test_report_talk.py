"""The report of a talk: what its journal and the kernels' log add up to."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from presenter import journal
from presenter.material import Material
from presenter.report import talk
from presenter.report.page import make_page
from presenter.runtimes import Runtime
from tests.support.talks import T0, act, as_planned, begin, go, hold, ran, row


def test_minutes_of_each_cue_are_split_into_talk_question_and_break(
    tmp_path: Path, material: Material
) -> None:
    pauses = [act(2.5, "pause", kind="question"), act(3.5, "resume")]
    pauses += [act(5, "pause", kind="break"), act(15, "resume")]
    folder = hold(tmp_path / "talk", begin(), go(2, "01-slow"), *pauses, act(16, "end"))
    report = talk.read(folder, material)
    slow = row(report, "01-slow")
    assert (slow.planned, slow.talked, slow.questions, slow.breaks) == (3.0, 3.0, 1.0, 10.0)
    assert (slow.spent, slow.beyond) == (4.0, 1.0)
    assert row(report, "01-breaks").began is None
    assert [(one.kind, one.text) for one in report.moments if one.kind in ("question", "break")] == [
        *(("question", "Question of 1:00"), ("break", "Break of 10:00"))
    ]


def test_talk_that_follows_its_plan_is_on_time_at_every_cue(tmp_path: Path, material: Material) -> None:
    report = talk.read(hold(tmp_path / "talk", *as_planned()), material)
    assert talk.describe_length(report) == "18:00 of 18 minutes, on time"
    assert [behind for _, behind in report.course] == pytest.approx([0.0] * 7)


def test_cue_that_takes_longer_puts_all_that_follow_behind(tmp_path: Path, material: Material) -> None:
    report = talk.read(hold(tmp_path / "talk", *as_planned(slow=5.5)), material)
    assert talk.describe_length(report) == "20:30 of 18 minutes, 2:30 late"
    assert [behind for _, behind in report.course] == pytest.approx([0, 0, 2.5, 2.5, 2.5, 2.5, 2.5])
    assert "Most beyond the plan: 01-slow +2:30" in talk.summarize_report(report)


def test_break_is_no_delay_until_it_takes_more_than_was_planned(tmp_path: Path, material: Material) -> None:
    options = {"minutes": 23, "breaks": [5]}  # before 01-breaks, where the talk is half over
    for long, late in ((5.0, 0.0), (7.0, 2.0)):
        acts = [begin(), act(1, "pause", kind="break"), act(1 + long, "resume")]  # early
        acts += [replace(one, at=one.at + long * 60) for one in as_planned()[1:]]
        folder = hold(tmp_path / f"talk-{long:g}", act(-1, "plan", plan=options, level="advanced"), *acts)
        report = talk.read(folder, material)
        assert report.base.breaks and report.talk.level == "advanced"
        assert report.late == pytest.approx(late)
        assert [behind for _, behind in report.course] == pytest.approx([0, *[late] * 6])


def test_cut_is_told_and_one_that_was_taken_back_is_not(tmp_path: Path, material: Material) -> None:
    cut = act(1, "cut", treatments={"01-extra": "cut"})
    undone = act(1.5, "cut", treatments={"02-base": "short"})
    acts = as_planned()
    folder = hold(tmp_path / "talk", acts[0], cut, undone, act(1.6, "undo", of=4), *acts[1:])
    report = talk.read(folder, material)
    assert [one.text for one in report.moments if one.kind == "cut"] == ["Skip 01-extra"]
    assert (row(report, "01-extra").treatment, row(report, "02-base").treatment) == ("cut", "full")


def test_error_in_a_cell_is_told_with_its_message_as_text(tmp_path: Path, material: Material) -> None:
    events = ran("breaks", 6, 2, error="ValueError", message="<script>alert(1)</script>")
    staged = act(6.5, "stage", cue="01-breaks")
    acts = as_planned()
    report = talk.read(hold(tmp_path / "talk", *acts[:3], staged, *acts[3:], events=events), material)
    assert (row(report, "01-breaks").errors, row(report, "01-breaks").staged) == (1, True)
    assert any(one.text.startswith("An error in breaks: ValueError: <script>") for one in report.moments)
    page = make_page(report)
    assert "<script" not in page and "&lt;script&gt;" in page


def test_kernel_that_was_killed_in_a_cell_is_an_error(tmp_path: Path, material: Material) -> None:
    gone = {"event": "pre", "at": T0 + 60, "cell": "hello", "pid": 2**22 + 1}  # above Linux's highest
    report = talk.read(hold(tmp_path / "talk", *as_planned(), events=(gone,)), material)
    assert [one.state for one in report.runs] == ["died"]
    assert row(report, "01-hello").errors == 1


def test_cells_before_the_talk_and_of_other_notebooks_are_not_its_own(
    tmp_path: Path, material: Material
) -> None:
    events = (*ran("hello", -5, 1), *ran("scratch", 1, 1), *ran("hello", 1, 1))
    report = talk.read(hold(tmp_path / "talk", *as_planned(), events=events), material)
    assert [(one.cell, one.began) for one in report.runs] == [("hello", T0 + 60)]


def test_talk_that_was_begun_again_is_told_from_there(tmp_path: Path, material: Material) -> None:
    tried = [begin(-30), act(-29, "cut", treatments={"02-last": "cut"}), act(-28, "stage", cue="01-hello")]
    report = talk.read(hold(tmp_path / "talk", *tried, *as_planned()), material)
    assert report.minutes == pytest.approx(18)
    assert [one.kind for one in report.moments] == ["start", "end"]
    assert row(report, "02-last").treatment == "full"


def test_talk_that_nobody_ended_is_counted_up_to_its_last_sign(tmp_path: Path, material: Material) -> None:
    folder = hold(tmp_path / "talk", *as_planned(end=False), events=ran("last", 16, 30))
    report = talk.read(folder, material)
    assert report.minutes == pytest.approx(16.5)
    assert report.note == "It was not ended by hand: it is counted up to its last act or cell."


def test_talk_whose_plan_cannot_be_made_any_more_is_still_told(tmp_path: Path, material: Material) -> None:
    report = talk.read(hold(tmp_path / "talk", *as_planned(), minutes=1), material)
    assert report.note.startswith(
        "The cue sheets have changed, and its plan cannot be made any more (1 minutes"
    )
    assert row(report, "01-slow").planned == 3.0


def test_talk_that_never_began_says_what_to_do(tmp_path: Path, material: Material) -> None:
    with pytest.raises(
        ValueError, match=r"The talk talk never began\. Begin it with Start on the presenter's"
    ):
        talk.read(hold(tmp_path / "talk"), material)


def test_talk_is_found_by_name_by_path_or_as_the_last_one_that_began(tmp_path: Path) -> None:
    talks = tmp_path / "talks"
    talks.mkdir()
    first, second, empty = (
        hold(talks / "a", begin()),
        hold(talks / "b", begin()),
        hold(talks / "c"),
    )
    for age, folder in enumerate((empty, second, first)):
        os.utime(folder / journal.JOURNAL, (T0 - age, T0 - age))
    assert talk.find_folders([], talks=talks) == [second]
    assert talk.find_folders(["a", str(second)], talks=talks) == [first, second]
    with pytest.raises(
        ValueError, match=r"There is no talk 'd'\. There are: a, b, c\. Or name a talk's folder"
    ):
        talk.find_folders(["d"], talks=talks)
    with pytest.raises(ValueError, match=r"has begun yet\. Hold one: \./scripts/presenter lab"):
        talk.find_folders([], talks=tmp_path)


def test_path_of_a_talk_is_not_sought_among_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "talks" / "sub").mkdir(parents=True)
    hold(tmp_path / "talks" / "sub" / "first", begin())
    for name in ("sub/first", "./first"):
        with pytest.raises(ValueError, match=f"There is no talk '{name}'"):
            talk.find_folders([name], talks=tmp_path / "talks")


def test_plan_that_fits_only_without_times_is_the_one_that_the_talk_had(
    tmp_path: Path, material: Material
) -> None:
    options = {"minutes": 12, "skip": ["02-base"]}  # its cell runs silently all the same
    folder = hold(tmp_path / "talk", act(-1, "plan", plan=options), begin(), act(9, "end"))
    slow = replace(material, runtimes={"02_second": {"base": Runtime(600.0, None, 1)}}, label="slow machine")
    report = talk.read(folder, slow)
    assert report.base == material.plan(options, level=report.talk.level)
    assert "counts no cell's time on this machine" in report.note and "have changed" not in report.note


def test_copy_of_a_notebook_elsewhere_is_no_part_of_the_talk(tmp_path: Path, material: Material) -> None:
    folder = tmp_path / "talk"
    events = [
        {**event, "notebook": str(place / "01_first.ipynb"), "pid": pid}
        for pid, place in enumerate((folder / journal.COPIES, Path("/home/student")), start=1)
        for event in ran("breaks", 3, 2, error="ValueError", message="no")
    ]
    report = talk.read(hold(folder, *as_planned(), events=tuple(events)), material)
    assert [run.pid for run in report.runs] == [1] and row(report, "01-breaks").errors == 1
    carried = folder.rename(tmp_path / "carried")  # from another machine
    assert len(talk.read(carried, material).runs) == 2
