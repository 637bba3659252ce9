"""The report of a talk: what its journal and the kernels' log add up to, and what goes back into the plan."""

from __future__ import annotations

import csv
import json
import os
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from presenter import check, cues, runtimes
from presenter import journal as state
from presenter.console.guide import Material
from presenter.journal import Act
from presenter.report import page as report_page
from presenter.report import talk as report
from presenter.runtimes import Runtime
from tests.support.lesson import write_lesson

T0 = datetime(2026, 11, 22, 10, 0).timestamp()
PATH = ("01-hello", "01-slow", "01-breaks", "01-extra", "02-base", "02-last")
# Minutes planned: 2, 3, 3, 4 (nice), 2 (should), 4: together 18. Half of each is its least.


@pytest.fixture
def material(tmp_path: Path) -> Material:
    return Material.read(*write_lesson(tmp_path))


def hold(folder: Path, *acts: Act, events: tuple[dict, ...] = (), minutes: float = 18) -> Path:
    """Write the journal of a talk of so many minutes, and what its kernel said."""
    folder.mkdir(exist_ok=True)
    plan = Act(T0 - 60, "plan", plan={"minutes": minutes}, level="intermediate")
    lines = b"".join(map(state.as_line, [plan, *acts]))
    (folder / state.JOURNAL).write_bytes(lines)
    said = [{"pid": os.getpid(), "notebook": "notebooks/01_first.ipynb", **one} for one in events]
    (folder / state.EVENTS).write_text("".join(json.dumps(one) + "\n" for one in said), encoding="utf-8")
    return folder


def begin(at: float = 0.0, cue: str = "01-hello") -> Act:
    return Act(T0 + at * 60, "begin", cue=cue)


def go(at: float, cue: str) -> Act:
    return Act(T0 + at * 60, "go", cue=cue)


def act(at: float, do: str, **more: object) -> Act:
    return Act(T0 + at * 60, do, **more)


def ran(cell: str, at: float, seconds: float, **more: object) -> tuple[dict, dict]:
    """What a kernel says of a run: at minutes after the beginning, for so many seconds."""
    begun = {"event": "pre", "at": T0 + at * 60, "cell": cell}
    return begun, {"event": "post", "at": T0 + at * 60 + seconds, "cell": cell, **more}


def as_planned(*, slow: float = 3.0, end: bool = True) -> list[Act]:
    """A talk in which every cue takes its minutes, but for one."""
    starts = [0.0, 2.0, 2 + slow, 5 + slow, 9 + slow, 11 + slow]
    acts = [begin(), *(go(at, cue) for at, cue in zip(starts[1:], PATH[1:], strict=True))]
    return [*acts, act(15 + slow, "end")] if end else acts


def row(told: report.Report, name: str) -> report.Row:
    return next(one for one in told.rows if one.cue.name == name)


def test_minutes_of_each_cue_are_split_into_talk_question_and_break(
    tmp_path: Path, material: Material
) -> None:
    pauses = [act(2.5, "pause", kind="question"), act(3.5, "resume")]
    pauses += [act(5, "pause", kind="break"), act(15, "resume")]
    folder = hold(tmp_path / "talk", begin(), go(2, "01-slow"), *pauses, act(16, "end"))
    told = report.read(folder, material)
    slow = row(told, "01-slow")
    assert (slow.planned, slow.talk, slow.questions, slow.breaks) == (3.0, 3.0, 1.0, 10.0)
    assert (slow.took, slow.beyond) == (4.0, 1.0)
    assert row(told, "01-breaks").began is None
    assert [(one.kind, one.text) for one in told.moments if one.kind in ("question", "break")] == [
        *(("question", "Question of 1:00"), ("break", "Break of 10:00"))
    ]


def test_talk_that_follows_its_plan_is_on_time_at_every_cue(tmp_path: Path, material: Material) -> None:
    told = report.read(hold(tmp_path / "talk", *as_planned()), material)
    assert report.verdict(told) == "18:00 of 18 minutes, on time"
    assert [behind for _, behind in told.course] == pytest.approx([0.0] * 7)


def test_cue_that_takes_longer_puts_all_that_follow_behind(tmp_path: Path, material: Material) -> None:
    told = report.read(hold(tmp_path / "talk", *as_planned(slow=5.5)), material)
    assert report.verdict(told) == "20:30 of 18 minutes, 2:30 late"
    assert [behind for _, behind in told.course] == pytest.approx([0, 0, 2.5, 2.5, 2.5, 2.5, 2.5])
    assert "Most beyond the plan: 01-slow +2:30" in report.summary(told)


def test_break_is_no_delay_until_it_takes_more_than_was_planned(tmp_path: Path, material: Material) -> None:
    options = {"minutes": 23, "breaks": [5]}  # before 01-breaks, where the talk is half over
    for long, late in ((5.0, 0.0), (7.0, 2.0)):
        acts = [begin(), act(1, "pause", kind="break"), act(1 + long, "resume")]  # early
        acts += [replace(one, at=one.at + long * 60) for one in as_planned()[1:]]
        folder = hold(tmp_path / f"talk-{long:g}", act(-1, "plan", plan=options, level="advanced"), *acts)
        told = report.read(folder, material)
        assert told.base.breaks and told.talk.level == "advanced"
        assert told.late == pytest.approx(late)
        assert [behind for _, behind in told.course] == pytest.approx([0, *[late] * 6])


def test_cut_is_told_and_one_that_was_taken_back_is_not(tmp_path: Path, material: Material) -> None:
    cut = act(1, "cut", treatments={"01-extra": "cut"})
    undone = act(1.5, "cut", treatments={"02-base": "short"})
    acts = as_planned()
    folder = hold(tmp_path / "talk", acts[0], cut, undone, act(1.6, "undo", of=4), *acts[1:])
    told = report.read(folder, material)
    assert [one.text for one in told.moments if one.kind == "cut"] == ["Skip 01-extra"]
    assert (row(told, "01-extra").treatment, row(told, "02-base").treatment) == ("cut", "full")


def test_error_in_a_cell_is_told_with_its_message_as_text(tmp_path: Path, material: Material) -> None:
    events = ran("breaks", 6, 2, error="ValueError", message="<script>alert(1)</script>")
    staged = act(6.5, "stage", cue="01-breaks")
    acts = as_planned()
    told = report.read(hold(tmp_path / "talk", *acts[:3], staged, *acts[3:], events=events), material)
    assert (row(told, "01-breaks").errors, row(told, "01-breaks").staged) == (1, True)
    assert any(one.text.startswith("An error in breaks: ValueError: <script>") for one in told.moments)
    page = report_page.page(told)
    assert "<script" not in page and "&lt;script&gt;" in page


def test_kernel_that_was_killed_in_a_cell_is_an_error(tmp_path: Path, material: Material) -> None:
    gone = {"event": "pre", "at": T0 + 60, "cell": "hello", "pid": 2**22 + 1}  # above Linux's highest
    told = report.read(hold(tmp_path / "talk", *as_planned(), events=(gone,)), material)
    assert [one.state for one in told.runs] == ["died"]
    assert row(told, "01-hello").errors == 1


def test_cells_before_the_talk_and_of_other_notebooks_are_not_its_own(
    tmp_path: Path, material: Material
) -> None:
    events = (*ran("hello", -5, 1), *ran("scratch", 1, 1), *ran("hello", 1, 1))
    told = report.read(hold(tmp_path / "talk", *as_planned(), events=events), material)
    assert [(one.cell, one.began) for one in told.runs] == [("hello", T0 + 60)]


def test_talk_that_was_begun_again_is_told_from_there(tmp_path: Path, material: Material) -> None:
    tried = [begin(-30), act(-29, "cut", treatments={"02-last": "cut"}), act(-28, "stage", cue="01-hello")]
    told = report.read(hold(tmp_path / "talk", *tried, *as_planned()), material)
    assert told.minutes == pytest.approx(18)
    assert [one.kind for one in told.moments] == ["start", "end"]
    assert row(told, "02-last").treatment == "full"


def test_talk_that_nobody_ended_is_counted_up_to_its_last_sign(tmp_path: Path, material: Material) -> None:
    folder = hold(tmp_path / "talk", *as_planned(end=False), events=ran("last", 16, 30))
    told = report.read(folder, material)
    assert told.minutes == pytest.approx(16.5)
    assert told.note == "It was not ended by hand: it is counted up to its last act or cell."


def test_talk_whose_plan_cannot_be_made_any_more_is_still_told(tmp_path: Path, material: Material) -> None:
    told = report.read(hold(tmp_path / "talk", *as_planned(), minutes=1), material)
    assert told.note.startswith(
        "The cue sheets have changed, and its plan cannot be made any more (1 minutes"
    )
    assert row(told, "01-slow").planned == 3.0


def test_talk_that_never_began_says_what_to_do(tmp_path: Path, material: Material) -> None:
    with pytest.raises(
        ValueError, match=r"The talk talk never began\. Begin it with Start on the presenter's"
    ):
        report.read(hold(tmp_path / "talk"), material)


def test_talk_is_found_by_name_by_path_or_as_the_last_one_that_began(tmp_path: Path) -> None:
    talks = tmp_path / "talks"
    talks.mkdir()
    first, second, empty = (
        hold(talks / "a", begin()),
        hold(talks / "b", begin()),
        hold(talks / "c"),
    )
    for age, folder in enumerate((empty, second, first)):
        os.utime(folder / state.JOURNAL, (T0 - age, T0 - age))
    assert report.find([], talks=talks) == [second]
    assert report.find(["a", str(second)], talks=talks) == [first, second]
    with pytest.raises(
        ValueError, match=r"There is no talk 'd'\. There are: a, b, c\. Or name a talk's folder"
    ):
        report.find(["d"], talks=talks)
    with pytest.raises(ValueError, match=r"has begun yet\. Hold one: presenter lab"):
        report.find([], talks=tmp_path)


def test_table_has_a_line_for_each_cue(tmp_path: Path, material: Material) -> None:
    folder = hold(tmp_path / "talk", begin(), go(2, "01-slow"), act(6, "end"))
    lines = list(csv.DictReader(report.table(report.read(folder, material)).splitlines()))
    assert [line["cue"] for line in lines] == list(PATH)
    slow, never = lines[1], lines[2]
    assert (slow["planned_min"], slow["took_min"], slow["beyond_min"]) == ("3.00", "4.00", "1.00")
    assert (never["planned_min"], never["took_min"], never["began"]) == ("3.00", "", "")


def test_table_of_cells_has_what_was_expected_beside_what_it_took(tmp_path: Path, material: Material) -> None:
    known = replace(material, runtimes={"01_first": {"hello": Runtime(0.5, None, 1)}})
    events = (*ran("hello", 0.5, 2), *ran("breaks", 6, 1, error="KeyboardInterrupt"))
    told = report.read(hold(tmp_path / "talk", *as_planned(), events=events), known)
    hello, broke = csv.DictReader(report.cells(told).splitlines())
    assert (hello["cue"], hello["seconds"], hello["expected_seconds"]) == ("01-hello", "2.00", "0.50")
    assert (broke["expected_seconds"], broke["state"]) == ("", "interrupted")


def test_page_stands_alone_and_names_every_cue(tmp_path: Path, material: Material) -> None:
    events = ran("slow", 2.1, 40)
    known = replace(material, runtimes={"01_first": {"slow": Runtime(5.0, None, 1)}}, label="pocket model")
    told = report.read(hold(tmp_path / "talk", *as_planned(slow=5), events=events), known)
    page = report.write(told, into=tmp_path / "talk").read_text(encoding="utf-8")
    assert all(f"<small>{name}</small>" in page for name in PATH)
    assert not re.search(r"https?://|<script|<link|src=", page)
    assert "2:00 late" in page and "01-slow: 3 → 5 minutes" in page
    assert "<td>5.0 s</td><td>40 s</td>" in page


def test_minutes_are_learnt_in_halves_and_never_below_the_least(tmp_path: Path, material: Material) -> None:
    acts = [begin(), go(1.4, "01-slow"), go(5.7, "01-breaks"), go(7.0, "01-extra"), act(11.1, "end")]
    told = report.read(hold(tmp_path / "talk", *acts), material)
    # 1.4 of 2 minutes; 4.3 of 3; 1.3 of 3, whose least is 1.5; 4.1 of 4
    assert report.measured([told]) == {"01-hello": 1.5, "01-slow": 4.5, "01-breaks": 1.5}


def test_nothing_is_learnt_from_a_cue_that_was_not_simply_presented(
    tmp_path: Path, material: Material
) -> None:
    acts = [
        *(begin(), act(0.1, "cut", treatments={"01-slow": "short"})),
        *(go(0.2, "01-slow"), go(1.9, "01-breaks"), go(7, "01-extra"), go(20, "02-base"), go(21, "02-last")),
    ]
    events = ran("breaks", 2, 1, error="ValueError")
    told = report.read(hold(tmp_path / "talk", *acts, events=events), material)
    by_name = {one.cue.name: one.took for one in told.presented}
    assert by_name["01-hello"] < 0.5  # clicked through
    assert (
        row(told, "01-slow").treatment == "short" and row(told, "01-breaks").errors
    )  # and left open at the end:
    assert by_name["01-extra"] > 3 * 4 and told.talk.cue == "02-last"  # forgotten
    assert report.measured([told]) == {"02-base": 1.0}


def test_several_talks_count_by_their_median(tmp_path: Path, material: Material) -> None:
    tellings = [
        report.read(
            hold(tmp_path / f"talk-{slow}", *as_planned(slow=slow), events=ran("slow", 2.5, slow)), material
        )
        for slow in (2.5, 4.0, 8.0)
    ]
    assert report.measured(tellings) == {"01-slow": 4.0}
    assert report.seconds(tellings) == {"01_first": {"slow": Runtime(4.0, None, 3)}}


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(runtimes, "FILE", tmp_path / "runtimes.json")
    return tmp_path / "runtimes.json"


def test_apply_changes_minutes_and_seconds_and_nothing_else(
    tmp_path: Path, material: Material, kept: Path
) -> None:
    runtimes.write(
        "pocket model", {"01_first": {"slow": Runtime(9.0, 1.5, 3), "names": Runtime(1.0, 0.5, 3)}}
    )
    known = replace(material, runtimes=runtimes.read()["pocket model"])
    before = {path.name: path.read_text(encoding="utf-8") for path in cues.paths(tmp_path / "cues")}
    folder = hold(tmp_path / "talk", *as_planned(slow=4.4), events=ran("slow", 2.5, 6))
    said = report.apply([report.read(folder, known)], label="pocket model")
    assert said[0].startswith("Kept the seconds of 1 cell of the pocket model in ")
    assert said[-1] == "  01-slow: 3 → 4.5 minutes"
    after = {path.name: path.read_text(encoding="utf-8") for path in cues.paths(tmp_path / "cues")}
    assert after["01_first.md"] == before["01_first.md"].replace("| 3.0 | 1.5 |", "| 4.5 | 1.5 |", 1)
    assert after["02_second.md"] == before["02_second.md"]
    assert runtimes.read()["pocket model"]["01_first"] == {
        "slow": Runtime(6.0, 1.5, 1),
        "names": Runtime(1.0, 0.5, 3),
    }
    again = report.read(folder, Material.read(tmp_path / "cues", tmp_path / "notebooks"))
    assert report.measured([again]) == {}


def test_minutes_that_would_break_a_rule_are_not_written(
    tmp_path: Path, material: Material, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "SERIES", ("01", "02"))
    monkeypatch.setattr(check, "SHORTEST", 0.0)
    monkeypatch.setattr(check, "MUST", 12.0)  # as many as the must cues take now
    before = (tmp_path / "cues" / "01_first.md").read_text(encoding="utf-8")
    said = report.apply([report.read(hold(tmp_path / "talk", *as_planned(slow=6)), material)], label="here")
    assert said[1] == "No minutes were changed, for the check would then fail:"
    assert "the must cues take 15 minutes, more than 12" in said[2]
    assert (tmp_path / "cues" / "01_first.md").read_text(encoding="utf-8") == before


def test_command_writes_the_report_beside_the_journal_and_changes_no_plan(
    tmp_path: Path, material: Material, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = hold(tmp_path / "talk", *as_planned(slow=5))
    where = ["--cues", str(tmp_path / "cues"), "--notebooks", str(tmp_path / "notebooks")]
    assert report.main([str(folder), *where]) == 0
    printed = capsys.readouterr().out
    assert "Talk of 22 November 2026, 10:00: 20:00 of 18 minutes, 2:00 late" in printed
    assert "--apply would change the minutes of 1 cue and keep the seconds of 0 cells." in printed
    assert all((folder / name).is_file() for name in (report.PAGE, report.TABLE, report.CELLS))
    assert not kept.exists()


def test_command_ends_with_2_for_a_talk_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main(["nonsense"]) == 2
    assert "presenter report: There is no talk 'nonsense'." in capsys.readouterr().err
