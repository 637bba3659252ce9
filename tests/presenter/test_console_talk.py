"""The console itself, without a server: one talk from kernels, presenter and clock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from presenter import cues, journal
from presenter.console.talk import Console, read_picture_words
from presenter.material import Material
from workshop import notebooks


def console(material: Material, folder: Path, **options: Any) -> Console:
    made = Console(material, folder, options=options, clock=lambda: 1000.0)
    made.refresh()
    return made


def part(of: Console, name: str) -> Any:
    return json.loads(of.board.parts[name])


def test_talk_goes_on_as_it_was_planned_after_a_restart(material: Material, tmp_path: Path) -> None:
    first = console(material, tmp_path, minutes=25, level="beginner")
    first.act({"do": "begin"})
    first.act({"do": "go", "cue": "01-names"})  # by any of its cells
    again = console(material, tmp_path)
    assert (again.base.minutes, again.base.level) == (25, "beginner")
    assert part(again, "talk") == part(first, "talk") and part(again, "talk")["here"] == "01-slow"


def test_new_plan_takes_the_place_of_the_old_one(material: Material, tmp_path: Path) -> None:
    console(material, tmp_path, minutes=25)
    console(material, tmp_path, minutes=40, breaks=[5])
    assert console(material, tmp_path).base.minutes == 40
    assert [act.plan["minutes"] for act in journal.read(tmp_path / journal.JOURNAL)[0]] == [25, 40]


def test_accept_does_what_the_page_proposed(material: Material, tmp_path: Path) -> None:
    late = console(material, tmp_path, minutes=18)
    late.act({"do": "begin"})
    late.clock = lambda: 1000.0 + 5 * 60
    late.refresh()
    assert part(late, "clock")["accept"]
    late.act({"do": "accept"})
    assert part(late, "talk")["undo"] == "Undo: skip 01-extra"
    assert not part(late, "clock")["accept"]
    late.act({"do": "undo"})
    assert part(late, "clock")["accept"]
    late.act({"do": "accept"})
    late.act({"do": "keep", "cue": "01-extra"})
    assert late.view.plan.item("01-extra").kept


def test_nobody_is_told_of_a_part_that_is_as_it_was(material: Material, tmp_path: Path) -> None:
    quiet = console(material, tmp_path, minutes=30)
    queue = quiet.board.join()
    assert queue.qsize() == len(quiet.board.parts)
    while not queue.empty():
        queue.get_nowait()
    quiet.refresh()
    assert queue.empty()
    quiet.act({"do": "level", "level": "advanced"})
    assert {queue.get_nowait()[0] for _ in range(queue.qsize())} == {"talk", "now"}


def test_machine_that_nobody_rehearsed_on_has_no_expected_runtimes(
    material: Material, tmp_path: Path
) -> None:
    made = console(material, tmp_path, minutes=30)
    made.learn_machine("a machine that nobody rehearsed on")
    assert part(made, "cells")["next"]["expected"] == "not rehearsed yet"


class Room:
    """A talk as it happens: a clock that is turned by hand, and kernels that write what they are told."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.now = 1_000_000.0
        self.console = Console(
            Material.read(cues.CUES, notebooks.FOLDER), folder, options=options, clock=lambda: self.now
        )
        self.log = folder / journal.EVENTS

    def wait(self, minutes: float) -> None:
        self.now += minutes * 60
        self.console.refresh()

    def run(self, cue: cues.Cue, **error: Any) -> None:
        """Run the first cell of a cue, by hand."""
        common = {"pid": 7, "notebook": f"notebooks/{cue.sheet}.ipynb", "cell": cue.cells[0]}
        lines = [
            {"at": self.now, "event": "pre", **common},
            {"at": self.now + 1, "event": "post", **common, **error},
        ]
        with self.log.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        self.now += 1
        self.console.look()

    def part(self, name: str) -> Any:
        return json.loads(self.console.board.parts[name])


@pytest.mark.parametrize(("minutes", "pace"), [(70, 1.0), (70, 1.12), (60, 1.2)])
def test_whole_talk_with_a_failure_and_questions_ends_on_time(
    tmp_path: Path, minutes: float, pace: float
) -> None:
    room = Room(tmp_path, minutes=minutes, breaks=[5])
    room.console.act({"do": "begin"})
    accepted, given, cue = [], 0, room.console.view.here.cue
    while cue is not None:
        view = room.console.view
        assert view.here.cue == cue
        failing = given == 8
        room.run(cue, **({"error": "ValueError", "message": "no"} if failing else {}))
        if failing:
            assert room.part("alarm")["title"] == f"An error in {cue.cells[0]}"
            room.console.act({"do": "stage", "on": True})
            assert room.part("stage")["on"]
        if given in (5, 15):
            room.console.act({"do": "pause", "kind": "question"})
            room.wait(1.0)
            room.console.act({"do": "resume"})
        room.wait(view.here.minutes * pace)
        if room.part("clock")["accept"]:
            accepted.append(room.part("clock")["sentence"])
            room.console.act({"do": "accept"})
        given += 1
        following = room.console.view.following
        cue = following.cue if following else None
        if following and following.pause:
            room.console.act({"do": "pause", "kind": "break"})
            room.wait(following.pause)
            room.console.act({"do": "resume"})
        if cue:
            room.run(cue)  # moves the talk on
    room.console.act({"do": "end"})
    assert not room.part("stage")["on"]
    took = (room.now - 1_000_000.0) / 60
    assert took <= minutes + 1.0, accepted  # what the last cues lose cannot be made up
    assert accepted or pace == 1.0
    assert all(" behind: " in sentence for sentence in accepted)
    kept = [item.cue for item in room.console.view.plan.items if item.kept]
    assert [cue for cue in room.console.material.cues if cue.priority == "must" and cue not in kept] == []
    again = Console(room.console.material, tmp_path, options={}, clock=lambda: room.now)
    assert again.view.talk == room.console.view.talk


def test_fallback_picture_that_is_cut_short_says_what_to_do(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "dog.png"
    Image.effect_noise((64, 64), 40).save(path)
    path.write_bytes(path.read_bytes()[:500])
    said = read_picture_words(path)["missing"]
    assert "dog.png is no whole picture (" in said and "rehearse --apply makes it anew" in said
