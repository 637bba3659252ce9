"""The talk as a journal: what acts add up to, what undo takes back, and what a disk may do to it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from presenter import journal
from presenter.journal import Act, Journal, fold

BEGUN = Act(1000.0, "begin", cue="01-a")


def go(at: float, cue: str) -> Act:
    return Act(at, "go", cue=cue)


def pause(at: float, kind: str) -> Act:
    return Act(at, "pause", kind=kind)


def resume(at: float) -> Act:
    return Act(at, "resume")


def cut(at: float, *names: str, how: str = "cut") -> Act:
    return Act(at, "cut", treatments=dict.fromkeys(names, how))


def test_empty_journal_is_a_talk_that_has_not_begun() -> None:
    talk = fold([])
    assert (talk.began, talk.ended, talk.running, talk.pause) == (None, None, False, "")
    assert talk.elapsed(now=5000.0) == 0


def test_clock_runs_from_the_beginning_to_the_end() -> None:
    assert fold([BEGUN]).elapsed(now=1090.0) == 90
    talk = fold([BEGUN, Act(1060.0, "end")])
    assert talk.elapsed(now=9999.0) == 60
    assert not talk.running and talk.ended == 1060.0


def test_question_costs_time_of_the_plan_and_break_does_not() -> None:
    acts = [BEGUN, pause(1060, "question"), resume(1090), pause(1100, "break"), resume(1700)]
    talk = fold(acts)
    assert talk.elapsed(now=1710.0) == 60 + 30 + 10 + 10
    assert talk.breaks(now=1710.0) == 600
    assert talk.spent(now=1710.0) == {"01-a": 80}  # neither is talk


def test_open_pause_counts_up_to_now() -> None:
    talk = fold([BEGUN, pause(1060, "break")])
    assert talk.pause == "break"
    assert (talk.in_pause(now=1090.0), talk.elapsed(now=1090.0), talk.breaks(now=1090.0)) == (30, 60, 30)


def test_question_may_turn_into_a_break() -> None:
    talk = fold([BEGUN, pause(1010, "question"), pause(1020, "break"), resume(1100)])
    assert [one.kind for one in talk.stretches] == ["talk", "question", "break", "talk"]
    assert talk.elapsed(now=1100.0) == 20


def test_time_goes_to_the_cue_it_was_spent_in() -> None:
    talk = fold([BEGUN, go(1060, "01-b"), go(1090, "01-a"), go(1100, "01-b")])
    assert talk.spent(now=1101.0) == {"01-a": 70, "01-b": 31}
    assert talk.cue == "01-b"


def test_moving_during_a_pause_does_not_end_it() -> None:
    talk = fold([BEGUN, pause(1010, "question"), go(1020, "01-b")])
    assert (talk.pause, talk.cue) == ("question", "01-b")


def test_moving_before_the_talk_starts_no_clock() -> None:
    talk = fold([go(500, "02-a")])
    assert talk.cue == "02-a" and talk.began is None


def test_acts_that_make_no_sense_change_nothing() -> None:
    talk = fold([BEGUN])
    for act in (resume(1010), go(1010, "01-a"), pause(1010, "nap"), cut(1010)):
        assert fold([BEGUN, act]) == talk
    ended = [BEGUN, Act(1010, "end")]
    for act in (Act(1020, "end"), pause(1020, "break"), resume(1020)):
        assert fold([*ended, act]) == fold(ended)


def test_cuts_add_up_and_each_can_be_taken_back_in() -> None:
    talk = fold([BEGUN, cut(1010, "01-b", "01-c"), cut(1020, "01-d", how="short")])
    assert talk.treatments == {"01-b": "cut", "01-c": "cut", "01-d": "short"}
    kept = fold([BEGUN, cut(1010, "01-b", "01-c"), cut(1020, "01-b", how="full")])
    assert kept.treatments == {"01-b": "full", "01-c": "cut"}


def test_plan_outlives_a_second_beginning() -> None:
    planned = Act(990, "plan", plan={"minutes": 75}, level="beginner")
    talk = fold([planned, BEGUN, Act(1100, "begin", cue="01-a")])
    assert (talk.plan, talk.level, talk.began) == ({"minutes": 75}, "beginner", 1100)


def test_undo_takes_back_the_last_cut_and_nothing_else(tmp_path: Path) -> None:
    kept = Journal(tmp_path)
    for act in (
        BEGUN,
        cut(1010, "01-b"),
        cut(1020, "01-c"),
        go(1030, "01-d"),
        pause(1040, "question"),
    ):
        kept.add(act)
    talk = kept.add(Act(1050, "undo"))
    assert (talk.treatments, talk.cue, talk.pause) == ({"01-b": "cut"}, "01-d", "question")
    assert kept.add(Act(1060, "undo")).treatments == {}


def test_talk_begun_again_by_mistake_is_brought_back(tmp_path: Path) -> None:
    kept = Journal(tmp_path)
    for act in (BEGUN, go(1060, "01-b"), cut(1070, "01-c")):
        before = kept.add(act)
    again = kept.add(Act(1100, "begin", cue="01-a"))
    assert again.elapsed(now=1100) == 0 and again.treatments == {} and again.cue == "01-a"
    assert kept.add(Act(1110, "undo")) == before


def test_talk_ended_by_mistake_goes_on_as_if_nothing_was(tmp_path: Path) -> None:
    kept = Journal(tmp_path)
    kept.add(BEGUN)
    kept.add(Act(1100, "end"))
    assert kept.add(Act(1110, "undo")).elapsed(now=1120) == 120


def test_undo_with_nothing_to_take_back_says_so(tmp_path: Path) -> None:
    kept = Journal(tmp_path)
    kept.add(go(1000, "01-b"))
    with pytest.raises(ValueError, match="nothing to take back"):
        kept.add(Act(1010, "undo"))
    with pytest.raises(ValueError, match=r"no act 'dance'. These are: plan, begin, go"):
        kept.add(Act(1010, "dance"))
    assert len(kept.acts) == 1


def test_fallback_leaves_the_stage_when_the_talk_moves_on_or_ends() -> None:
    staged = [BEGUN, Act(1010, "stage", cue="01-a")]
    assert fold(staged).staged == "01-a"
    assert fold([*staged, Act(1020, "stage")]).staged == ""
    assert fold([*staged, go(1020, "01-b")]).staged == ""
    assert fold([*staged, Act(1020, "end")]).staged == ""


def test_level_and_following_are_remembered() -> None:
    talk = fold([BEGUN, Act(1010, "level", level="advanced"), Act(1020, "follow", on=False)])
    assert (talk.level, talk.follows) == ("advanced", False)


def test_clock_that_is_set_back_makes_no_negative_time() -> None:
    talk = fold([BEGUN, go(1060, "01-b"), go(500, "01-c"), go(1090, "01-d")])
    assert talk.spent(now=1090) == {"01-a": 60, "01-b": 0, "01-c": 30, "01-d": 0}


def test_talk_is_the_same_after_a_restart(tmp_path: Path) -> None:
    kept = Journal(tmp_path / "talk")
    for act in (
        BEGUN,
        cut(1010, "01-b"),
        go(1020, "01-ಕ"),
        Act(1030, "follow", on=False),
        pause(1040, "break"),
    ):
        before = kept.add(act)
    again = Journal(tmp_path / "talk")
    assert again.talk == before and again.acts == kept.acts
    assert again.add(resume(1100)).elapsed(now=1100) == 40


def test_journal_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    kept = Journal(tmp_path / "talk")
    assert kept.path.stat().st_mode & 0o777 == 0o600
    assert kept.path.parent.stat().st_mode & 0o777 == 0o700


def test_journal_only_grows(tmp_path: Path) -> None:
    kept = Journal(tmp_path)
    lengths = []
    for act in (BEGUN, cut(1010, "01-b"), Act(1020, "undo"), Act(1030, "begin", cue="01-a")):
        before = kept.path.read_bytes()
        kept.add(act)
        assert kept.path.read_bytes().startswith(before)
        lengths.append(len(kept.path.read_bytes().splitlines()))
    assert lengths == [1, 2, 3, 4]


def test_torn_last_line_spoils_neither_what_is_there_nor_what_comes(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    first.add(BEGUN)
    with first.path.open("ab") as file:
        file.write(b'{"at": 1010.0, "do": "go", "cu')
    again = Journal(tmp_path)
    assert again.unreadable == 1 and again.talk == fold([BEGUN])
    again.add(go(1020, "01-b"))
    assert [act.do for act in Journal(tmp_path).acts] == ["begin", "go"]


def test_lines_that_are_no_acts_are_counted(tmp_path: Path) -> None:
    lines = [
        b'{"at": 1, "do": "dance"}',
        b"7",
        b"{}",
        b'{"at": 1, "do": "end", "colour": 3}',
        b'{"at": 2, "do": "end"}',
    ]
    (tmp_path / journal.JOURNAL).write_bytes(b"\n".join(lines) + b"\n")
    acts, unreadable = journal.read(tmp_path / journal.JOURNAL)
    assert acts == [Act(2, "end")] and unreadable == 4


def test_full_disk_is_told_and_the_talk_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Journal(tmp_path)
    kept.add(BEGUN)
    write = os.write
    monkeypatch.setattr(journal.os, "write", lambda file, line: write(file, line[:7]))
    assert kept.add(go(1010, "01-b")).cue == "01-b"
    assert "cannot be written (No space left on device)" in kept.problem
    monkeypatch.undo()
    assert kept.add(go(1020, "01-c")).cue == "01-c" and kept.problem == ""
    assert [act.cue for act in Journal(tmp_path).acts] == ["01-a", "01-c"]  # and no half line


def test_line_holds_only_what_was_said() -> None:
    assert json.loads(journal.format_act(go(1.5, "01-b"))) == {"at": 1.5, "do": "go", "cue": "01-b"}


def talks(folder: Path, *acts: Act) -> Path:
    kept = Journal(folder)
    for act in acts:
        kept.add(act)
    return folder


def test_last_talk_is_gone_on_with_after_a_restart(tmp_path: Path) -> None:
    assert journal.find_unfinished(tmp_path, now=1000) is None
    old = talks(tmp_path / "morning", BEGUN)
    os.utime(old / journal.JOURNAL, (1, 1))
    new = talks(tmp_path / "afternoon", BEGUN)
    assert journal.find_unfinished(tmp_path, now=2000) == new


def test_talk_that_ended_or_was_left_long_ago_is_not_gone_on_with(tmp_path: Path) -> None:
    talks(tmp_path / "one", BEGUN)
    assert journal.find_unfinished(tmp_path, now=BEGUN.at + journal.FORGOTTEN - 1) is not None
    assert journal.find_unfinished(tmp_path, now=BEGUN.at + journal.FORGOTTEN + 1) is None
    talks(tmp_path / "one", Act(1100, "end"))
    assert journal.find_unfinished(tmp_path, now=1200) is None


@pytest.mark.parametrize(
    "line",
    [
        '{"at": "noon", "do": "go"}',
        '{"at": NaN, "do": "go"}',
        '{"at": true, "do": "go"}',
        '{"at": 1, "do": "go", "cue": 3}',
        '{"at": 1, "do": "cut", "treatments": []}',
        '{"at": 1, "do": "plan", "plan": "90"}',
        '{"at": 1, "do": []}',
        "[" * 100_000,
    ],
)
def test_line_with_fields_of_another_kind_is_no_act(line: str, tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text(f'{line}\n{{"at": 1, "do": "begin"}}\n', encoding="utf-8")
    acts, unreadable = journal.read(tmp_path / "journal.jsonl")
    assert ([act.do for act in acts], unreadable) == (["begin"], 1)


def test_journal_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").mkdir()
    with pytest.raises(
        ValueError, match=r"journal\.jsonl cannot be read \(Is a directory\). Move the folder"
    ):
        journal.read(tmp_path / "journal.jsonl")


def test_pause_goes_on_through_a_move_to_another_cue() -> None:
    acts = [BEGUN, pause(1060, "question"), resume(1070), pause(1100, "break"), go(1130, "01-b")]
    talk = fold(acts)
    assert (talk.pause, talk.in_pause(now=1160.0), talk.breaks(now=1160.0)) == ("break", 60, 60)
    assert [one.cue for one in talk.pause_stretches] == ["01-a", "01-b"]
    assert fold([*acts, resume(1170)]).pause_stretches == ()


def test_folder_of_a_talk_is_its_owners_unless_it_held_other_things_before(tmp_path: Path) -> None:
    modes = {}
    for name, before in (
        ("new", None),
        ("empty", ()),
        ("talk", (journal.JOURNAL,)),
        ("home", ("letter.txt",)),
    ):
        folder = tmp_path / name
        if before is not None:
            folder.mkdir(mode=0o755)
            folder.chmod(0o755)
        for file in before or ():
            (folder / file).touch()
        Journal(folder)
        modes[name] = folder.stat().st_mode & 0o777
    assert modes == {"new": 0o700, "empty": 0o700, "talk": 0o700, "home": 0o755}


@pytest.mark.parametrize("minutes", ["NaN", "Infinity", "true", '"5"'])
def test_act_whose_minutes_are_no_number_is_no_act(tmp_path: Path, minutes: str) -> None:
    line = f'{{"at": 1060.0, "do": "pause", "kind": "break", "minutes": {minutes}}}\n'
    path = tmp_path / journal.JOURNAL
    path.write_bytes(journal.format_act(BEGUN) + line.encode())
    assert journal.read(path) == ([BEGUN], 1)
