"""The console itself, without a server: one talk from kernels, presenter and clock."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from presenter import cues, journal, kernels, runtimes
from presenter.console.talk import Console, SteadyClock, read_picture_words
from presenter.material import Material
from presenter.report import talk as report
from presenter.runtimes import Runtime
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


def test_cue_sheet_is_read_again_when_it_changes(own_material: Material, tmp_path: Path) -> None:
    talk = console(own_material, tmp_path / "talk", minutes=25)
    talk.act({"do": "begin"})
    path = own_material.sheets[0].path
    text = path.read_text(encoding="utf-8")
    title = own_material.cues[0].title

    def change(text: str) -> None:
        save(path, text)
        talk.watch()

    change(text.replace(title, "A better title"))
    assert part(talk, "now")["title"] == "A better title" and talk.base.items[0].cue.title == "A better title"
    change(text.replace("| must |", "| most |"))
    problem = part(talk, "talk")["problem"]
    assert "shown as they were before" in problem and "priority is 'most'" in problem
    assert part(talk, "now")["title"] == "A better title"
    change(text.replace(own_material.cues[0].cells[0], "other"))
    assert "The cues themselves changed (01-hello, 01-other)" in part(talk, "talk")["problem"]
    change(text)
    assert (part(talk, "now")["title"], part(talk, "talk")["problem"]) == (title, "")


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


def test_key_of_jupyterlab_does_what_the_pages_key_would(material: Material, tmp_path: Path) -> None:
    talk = console(material, tmp_path)
    with pytest.raises(ValueError, match="Start it on the second screen"):
        talk.act({"do": "question"})
    talk.act({"do": "begin"})
    for pause in ("question", ""):
        talk.act({"do": "question"})
        assert part(talk, "talk")["pause"] == pause
    for staged in (True, False):
        talk.act({"do": "fallback"})
        assert part(talk, "talk")["staged"] is staged
    talk.act({"do": "next"})
    assert part(talk, "talk")["here"] == "01-slow"
    talk.act({"do": "go", "cue": "02-last"})
    with pytest.raises(ValueError, match="This is the last cue"):
        talk.act({"do": "next"})


def test_nobody_is_told_of_a_part_that_is_as_it_was(material: Material, tmp_path: Path) -> None:
    quiet = console(material, tmp_path, minutes=30)
    queue = quiet.board.join()
    assert queue.qsize() == len(quiet.board.parts)
    while not queue.empty():
        queue.get_nowait()
    quiet.refresh()
    assert queue.empty()
    quiet.act({"do": "level", "level": "advanced"})
    assert {queue.get_nowait()[0] for _ in range(queue.qsize())} == {"talk", "now", "preview"}


def test_machine_that_nobody_rehearsed_on_has_no_expected_runtimes(
    material: Material, tmp_path: Path
) -> None:
    made = console(material, tmp_path, minutes=30)
    made.learn_machine("a machine that nobody rehearsed on")
    assert part(made, "cells")["next"]["expected"] == "not rehearsed yet"


def save(path: Path, text: str) -> None:
    """Save a file so that it has another time, even within one tick of the disk's clock."""
    path.write_text(text, encoding="utf-8")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))


def test_talk_that_is_too_long_on_this_machine_goes_on_and_says_so(
    own_material: Material, tmp_path: Path
) -> None:
    made = console(
        own_material, tmp_path, minutes=12, skip=["02-base"]
    )  # its cell runs silently all the same
    made.runtimes = tmp_path / "runtimes.json"
    runtimes.write("slow machine", {"02_second": {"base": Runtime(600.0, None, 1)}}, file=made.runtimes)
    before = made.base
    made.learn_machine("slow machine")
    problem = part(made, "talk")["problem"]
    assert "counts no cell's time on this machine" in problem and "too few" in problem
    assert made.base == before and made.material.label == "slow machine"
    path, title = own_material.sheets[0].path, own_material.cues[0].title
    save(path, path.read_text(encoding="utf-8").replace(title, "A better title"))
    made.watch()
    assert (part(made, "now")["title"], part(made, "talk")["problem"]) == ("A better title", problem)


def test_times_that_cannot_be_read_are_told_while_the_sheets_change(
    own_material: Material, tmp_path: Path
) -> None:
    made = console(own_material, tmp_path, minutes=30)
    made.runtimes = tmp_path / "runtimes.json"
    made.runtimes.write_text("{", encoding="utf-8")
    made.learn_machine("pocket model")
    path = own_material.sheets[0].path
    save(path, path.read_text(encoding="utf-8").replace(own_material.cues[0].title, "A better title"))
    made.watch()
    assert part(made, "now")["title"] == "A better title"
    assert "runtimes.json is damaged" in part(made, "talk")["problem"]


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


class Small(Room):
    """The small lesson, followed by its own kernels."""

    def __init__(self, folder: Path, material: Material) -> None:
        self.now = 1_000_000.0
        self.console = Console(material, folder, options={"minutes": 30}, clock=lambda: self.now)
        self.log = folder / journal.EVENTS

    def go_on(self, *cells: str, folder: str = "notebooks") -> None:
        """Begin and end a cell, by hand; several of a notebook are asked for at once, as by Run All."""
        book = "02_second" if {"base", "last"} & set(cells) else "01_first"
        common = {"pid": 7, "notebook": f"{folder}/{book}.ipynb", "asked": self.now}
        with self.log.open("a", encoding="utf-8") as file:
            for cell in cells:
                for kind in ("pre", "post"):
                    file.write(json.dumps({"at": self.now, "event": kind, "cell": cell, **common}) + "\n")
                    self.now += 1
        self.console.look()


@pytest.fixture
def small(tmp_path: Path, material: Material) -> Small:
    return Small(tmp_path, material)


def test_forgotten_break_ends_with_the_next_cell_and_says_so(small: Small) -> None:
    small.console.act({"do": "begin"})
    small.console.act({"do": "pause", "kind": "break"})
    small.wait(10)
    small.go_on("hello")
    assert small.part("talk")["state"] == "running"
    assert small.part("talk")["notice"] == "A cell was run, so the break is over: the clock goes on."
    small.wait(2)
    assert small.part("talk")["notice"] == ""
    assert small.console.view.talk.breaks(now=small.now) == 602


@pytest.mark.parametrize(
    ("kind", "notice"),
    [
        ("break", "A cell was run, so the break is over: the clock goes on."),
        ("question", "A cell was run, so the question is over."),
    ],
)
def test_pause_that_a_cell_ends_is_told_though_the_cell_moves_the_talk(
    small: Small, kind: str, notice: str
) -> None:
    small.console.act({"do": "begin"})
    small.console.act({"do": "pause", "kind": kind})
    small.wait(10)
    small.go_on("slow")
    assert (small.part("talk")["here"], small.part("talk")["notice"]) == ("01-slow", notice)
    small.wait(2)
    assert small.part("talk")["notice"] == ""


def test_late_start_begins_here_and_can_count_from_the_first_cell(small: Small) -> None:
    small.go_on("hello")
    small.wait(4)
    small.go_on("slow")
    assert small.part("talk")["ran_since"] == "4:02 ago"
    small.console.act({"do": "begin"})
    assert (small.part("talk")["here"], small.part("clock")["elapsed"]) == ("01-slow", "0:00")
    small.console.act({"do": "undo"})
    small.console.act({"do": "begin", "since": True})
    assert (small.part("talk")["here"], small.part("clock")["elapsed"]) == ("01-slow", "4:02")


def test_start_after_a_warm_up_is_reminded_of_the_first_cue(small: Small) -> None:
    small.wait(0)
    assert "warm-up" not in small.part("clock")["sentence"]
    small.go_on("slow")
    told = small.part("clock")["sentence"]
    assert "The talk would begin at “Slow”, where you are." in told
    assert "After a warm-up, go back to the first cue before you start: O, and its name." in told
    small.console.act({"do": "go", "cue": "01-hello"})
    assert "warm-up" not in small.part("clock")["sentence"] and small.part("talk")["ran_since"] == ""
    small.wait(4)
    small.go_on("slow")
    small.wait(1)
    assert small.part("talk")["ran_since"] == "1:00 ago"  # the warm-up does not count
    small.console.act({"do": "begin", "since": True})
    assert small.part("clock")["elapsed"] == "1:00"


def test_start_from_the_first_cell_needs_one(small: Small) -> None:
    with pytest.raises(ValueError, match=r"No cell has run in the last half hour. Start the talk from now"):
        small.console.act({"do": "begin", "since": True})


def test_stray_cell_asks_and_the_jump_can_be_undone(small: Small) -> None:
    small.console.act({"do": "begin"})
    small.go_on("last")
    assert small.part("talk")["here"] == "01-hello" and small.part("stray")["cue"] == "02-last"
    small.console.act({"do": "dismiss"})
    assert small.part("stray") is None
    small.go_on("last")
    small.console.act({"do": "go", "cue": "02-last"})
    assert small.part("talk")["here"] == "02-last" and small.part("talk")["undo"] == "Undo the jump"
    small.console.act({"do": "undo"})
    assert small.part("talk")["here"] == "01-hello"


def test_run_all_in_a_notebook_far_ahead_keeps_its_question(small: Small) -> None:
    small.console.act({"do": "begin"})
    small.go_on("last", "base")
    assert small.part("talk")["here"] == "01-hello" and small.part("stray")["cue"] == "02-last"
    small.console.act({"do": "end"})
    assert small.part("stray") is None


def test_copy_of_a_notebook_in_another_folder_does_not_move_the_talk(small: Small) -> None:
    small.console.act({"do": "begin"})
    small.go_on("slow", folder="/home/student")
    assert small.part("talk")["here"] == "01-hello" and small.console.kernels.runs == []


def test_death_is_found_again_after_a_restart_of_the_server(small: Small, material: Material) -> None:
    line = {"at": time.time() - 5, "event": "pre", "pid": 2**30, "notebook": "01_first.ipynb", "cell": "slow"}
    small.log.write_text(json.dumps(line) + "\n", encoding="utf-8")
    small.console.look()
    small.console.watch()
    before = small.console.kernels.runs[-1]
    again = Console(material, small.log.parent, options={}, clock=lambda: small.now + 120)
    again.watch()
    assert again.kernels.runs[-1] == before and before.state == "died"


@pytest.mark.parametrize("step", [-900.0, 3600.0])
def test_computers_clock_set_back_or_forward_changes_nothing(step: float) -> None:
    wall, steady = 5000.0, 70.0
    clock = SteadyClock(wall=lambda: wall, steady=lambda: steady)
    wall, steady = wall + step, steady + 10
    assert clock() == 5010.0
    assert SteadyClock(earliest=9000.0, wall=lambda: wall, steady=lambda: steady)() == max(9000.0, wall)


@pytest.mark.parametrize("step", [-900.0, 3600.0])
def test_times_of_day_follow_the_computers_clock_and_lengths_do_not(
    material: Material, tmp_path: Path, step: float
) -> None:
    wall, steady = datetime(2026, 11, 22, 10, 0).timestamp(), 70.0
    clock = SteadyClock(wall=lambda: wall, steady=lambda: steady)
    start = datetime.fromtimestamp(wall + step + 600).isoformat()
    room = Console(material, tmp_path, options={"minutes": 18.0, "start": start}, clock=clock)
    wall += step
    room.refresh()
    assert "does not count" not in part(room, "clock")["sentence"]  # it is ten minutes before the start
    room.base = replace(room.base, start=None)
    room.act({"do": "begin"})
    room.act({"do": "pause", "kind": "break", "minutes": 10})
    steady, wall = steady + 60, wall + 60
    room.refresh()
    stands, ends = part(room, "stage"), datetime.fromtimestamp(wall + 18 * 60)
    assert stands["left"] == "9:00"
    assert stands["until"] == f"back at {datetime.fromtimestamp(wall + 9 * 60):%H:%M}"
    assert part(room, "clock")["ends"] == f"{ends:%H:%M}"


@pytest.mark.parametrize("step", [-900.0, 1200.0])
def test_late_start_goes_by_the_computers_clock_of_the_start_alone(
    material: Material, tmp_path: Path, step: float
) -> None:
    wall, steady = datetime(2026, 11, 22, 10, 0).timestamp(), 70.0
    clock = SteadyClock(wall=lambda: wall, steady=lambda: steady)
    start = datetime.fromtimestamp(wall + step).isoformat()
    room = Console(material, tmp_path, options={"minutes": 30.0, "start": start}, clock=clock)
    wall += step  # the clock is set, and four minutes later the talk begins
    wall, steady = wall + 240, steady + 240
    room.act({"do": "begin"})
    assert room.view.late_start == pytest.approx(4)
    wall += 600  # and set again during the talk
    assert room.view.late_start == pytest.approx(4)
    assert Console(material, tmp_path, options={}, clock=clock).view.late_start == pytest.approx(4)
    assert report.read(tmp_path, material).late_start == pytest.approx(4)


def test_restart_after_the_clock_was_set_back_knows_how_long_a_cell_runs(
    material: Material, tmp_path: Path
) -> None:
    wall, steady = 1_000_000.0, 70.0
    clocks = {"wall": lambda: wall, "steady": lambda: steady}
    first = Console(material, tmp_path, options={"minutes": 30.0}, clock=SteadyClock(**clocks))
    wall -= 900
    first.act({"do": "begin"})
    pre = {"at": wall, "event": "pre", "pid": os.getpid(), "notebook": "01_first.ipynb", "cell": "slow"}
    first.tail.log.write_text(json.dumps(pre) + "\n", encoding="utf-8")
    first.look()
    wall, steady = wall + 5, steady + 5
    last = first.journal.acts[-1].at
    again = Console(material, tmp_path, options={}, clock=SteadyClock(earliest=last, **clocks))
    again.refresh()
    assert part(again, "run")["seconds"] == "5 s"


@pytest.mark.parametrize("step", [-900.0, 1200.0])
def test_report_puts_cells_where_the_talk_was_though_the_clock_was_set(
    material: Material, tmp_path: Path, step: float
) -> None:
    wall, steady = datetime(2026, 11, 22, 10, 0).timestamp(), 70.0
    clock = SteadyClock(wall=lambda: wall, steady=lambda: steady)
    room = Console(material, tmp_path, options={"minutes": 30.0}, clock=clock)

    def run(cell: str) -> None:
        nonlocal wall, steady
        for event in ("pre", "post"):
            line = {
                "at": wall,
                "event": event,
                "pid": os.getpid(),
                "notebook": "01_first.ipynb",
                "cell": cell,
            }
            with room.tail.log.open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
            wall, steady = wall + 30, steady + 30
            room.look()

    room.act({"do": "begin"})
    run("hello")
    wall += step
    room.look()
    run("slow")
    room.act({"do": "end"})
    held = report.read(tmp_path, material)
    assert [(one.cell, one.began - held.began) for one in held.runs] == [("hello", 0.0), ("slow", 60.0)]
    assert held.minutes == 2.0
    lines = len(room.tail.log.read_text(encoding="utf-8").splitlines())
    Console(material, tmp_path, options={}, clock=clock).look()  # a restart finds what is written already
    assert len(room.tail.log.read_text(encoding="utf-8").splitlines()) == lines


def test_restart_reads_a_long_log_whole(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = console(material, tmp_path, minutes=30)
    first.act({"do": "begin"})
    where = {"pid": os.getpid(), "notebook": "01_first.ipynb"}
    cells = ["hello"] * 30 + ["slow"]
    lines: list[dict[str, Any]] = [{"at": 1000.0, "event": "start", **where}]
    lines += [
        {"at": 1000.0, "event": one, "cell": cell, **where} for cell in cells for one in ("pre", "post")
    ]
    first.tail.log.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    monkeypatch.setattr(kernels, "CHUNK", 1000)
    again = console(material, tmp_path)
    assert len(again.kernels.runs) == 31 and again.kernels.ran("01_first") == {"hello", "slow"}
    again.look()
    assert part(again, "talk")["here"] == "01-hello"  # what ran before the restart does not move the talk


def test_death_is_written_by_the_clock_of_the_kernels(material: Material, tmp_path: Path) -> None:
    room = Console(material, tmp_path, options={"minutes": 30.0})
    assert isinstance(room.clock, SteadyClock)
    room.clock.offset += 900  # the computer's clock was set back
    line = {"at": time.time() - 5, "event": "pre", "pid": 2**30, "notebook": "01_first.ipynb", "cell": "slow"}
    room.tail.log.write_text(json.dumps(line) + "\n", encoding="utf-8")
    room.look()
    room.watch()
    assert room.kernels.runs[-1].state == "died"
    written = json.loads(room.tail.log.read_text("utf-8").splitlines()[-1])
    assert abs(written["at"] - time.time()) < 450  # half of what the clock was set back


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
            assert room.part("stage")["kind"] == "cue"
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
    assert room.part("stage")["kind"] == "idle"
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


def test_fallback_picture_is_decoded_once_and_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    opened: list[Path] = []
    whole = Image.open
    monkeypatch.setattr(Image, "open", lambda path: opened.append(path) or whole(path))
    path = tmp_path / "dog.png"
    for number, alt in enumerate(("A dog.", "A larger dog."), start=1):
        words = PngInfo()
        words.add_itxt("alt", alt)
        Image.new("L", (8, 8)).save(path, pnginfo=words)
        for _ in range(3):
            assert read_picture_words(path)["alt"] == alt
        assert len(opened) == number
    path.unlink()
    assert "dog.png is not there" in read_picture_words(path)["missing"]


def test_cell_of_a_copy_in_the_talks_folder_moves_the_talk(material: Material, tmp_path: Path) -> None:
    room = console(material, tmp_path, minutes=30)
    room.act({"do": "begin"})
    copy = tmp_path.resolve() / journal.COPIES / "01_first.ipynb"
    pre = {"at": 1001.0, "event": "pre", "pid": 1, "notebook": str(copy), "cell": "slow"}
    (tmp_path / journal.EVENTS).write_text(json.dumps(pre) + "\n")
    room.look()
    assert part(room, "talk")["here"] == "01-slow"


def test_frozen_projector_stays_as_it_is_and_follows_again(material: Material, tmp_path: Path) -> None:
    room = console(material, tmp_path, minutes=30)
    room.act({"do": "begin"})
    room.act({"do": "stage", "on": True})
    before = part(room, "stage")
    room.act({"do": "screen", "kind": "freeze"})
    room.act({"do": "go", "cue": "01-slow"})
    assert part(room, "stage") == before | {"frozen": True} and part(room, "stage")["title"] == "Hello"
    assert part(room, "preview")["title"] == "Slow"
    room.act({"do": "screen", "kind": ""})
    assert part(room, "stage")["kind"] == "idle" and not part(room, "stage")["frozen"]


@pytest.mark.parametrize("staged", [False, True])
@pytest.mark.parametrize(
    ("over", "kind"),
    [({"do": "screen", "kind": "black"}, "black"), ({"do": "pause", "kind": "break"}, "break")],
)
def test_fallback_key_does_what_its_button_says_under_black_and_in_a_break(
    material: Material, tmp_path: Path, staged: bool, over: dict[str, str], kind: str
) -> None:
    room = console(material, tmp_path, minutes=30)
    room.act({"do": "begin"})
    room.act({"do": "stage", "on": staged})
    room.act(over)
    assert (part(room, "stage")["kind"], part(room, "talk")["staged"]) == (kind, False)
    room.act({"do": "fallback"})
    assert (part(room, "stage")["kind"], part(room, "talk")["staged"]) == ("cue", True)
    room.act({"do": "fallback"})
    assert part(room, "stage")["kind"] == ("break" if kind == "break" else "idle")
    assert not part(room, "talk")["staged"]


def test_fallback_is_there_again_after_a_break(material: Material, tmp_path: Path) -> None:
    room = console(material, tmp_path, minutes=30)
    for asked in ({"do": "begin"}, {"do": "stage", "on": True}, {"do": "pause", "kind": "break"}):
        room.act(asked)
    assert part(room, "stage")["kind"] == "break"
    room.act({"do": "resume"})
    assert part(room, "stage")["kind"] == "cue"


@pytest.mark.parametrize("again", [1, 2])
def test_frozen_projector_stays_as_it_is_through_a_restart(
    material: Material, tmp_path: Path, again: int
) -> None:
    room = console(material, tmp_path, minutes=30)
    room.act({"do": "screen", "kind": "freeze"})
    room.act({"do": "begin"})  # shows the talk again
    room.act({"do": "stage", "on": True})
    for _ in range(again):
        room.act({"do": "screen", "kind": "freeze"})
        room.act({"do": "go", "cue": "01-slow"})
    before = part(room, "stage")
    assert (before["frozen"], before["title"]) == (True, "Hello")
    assert part(console(material, tmp_path), "stage") == before


def test_pointer_is_shown_and_is_no_part_of_the_journal(material: Material, tmp_path: Path) -> None:
    room = console(material, tmp_path, minutes=30)
    acts = len(room.journal.acts)
    room.act({"do": "point", "x": 0.25, "y": 1, "spot": True})
    assert part(room, "pointer") == {"x": 0.25, "y": 1, "spot": True}
    room.act({"do": "point", "x": None, "y": None})
    assert part(room, "pointer") is None and len(room.journal.acts) == acts


def test_pointer_goes_off_when_its_page_says_nothing_more(small: Small) -> None:
    small.console.act({"do": "point", "x": 0.5, "y": 0.5})
    small.now += 3
    small.console.watch()
    assert small.part("pointer") == {"x": 0.5, "y": 0.5, "spot": False}
    small.console.act({"do": "point", "x": 0.5, "y": 0.5})  # the mouse rests
    small.now += 5
    small.console.watch()
    assert small.part("pointer")
    small.now += 5
    small.console.watch()
    assert small.part("pointer") is None


def test_page_that_does_not_read_holds_no_more_than_the_board(material: Material, tmp_path: Path) -> None:
    room = console(material, tmp_path, minutes=30)
    queue = room.board.join()
    for step in range(500):
        room.act({"do": "point", "x": step / 500, "y": 0})
    assert queue.qsize() == len(room.board.parts)
    parts = dict(queue.get_nowait() for _ in range(queue.qsize()))
    assert parts == room.board.parts and json.loads(parts["pointer"])["x"] == 499 / 500


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"do": "point", "x": 2, "y": 0.5}, "x and y are 2 and 0.5. Both must be from 0 to 1"),
        ({"do": "point", "x": "left", "y": 0.5}, "Both must be from 0 to 1, or null"),
        ({"do": "point", "x": float("nan"), "y": 0}, "Both must be from 0 to 1"),
        ({"do": "point", "x": True, "y": 0}, "x and y are True and 0. Both must be from 0 to 1"),
        ({"do": "point", "x": 0.5, "y": None}, "x and y are 0.5 and None. Both must be from 0 to 1, or null"),
        ({"do": "point"}, "A point needs x and y, got do. Both are from 0 to 1, or null"),
        ({"do": "point", "X": 0.5, "y": 0.5}, "A point needs x and y, got do, X, y"),
        ({"do": "point", "x": 0.5, "y": 0.5, "spot": "yes"}, "spot is 'yes'. It must be true or false"),
        ({"do": "screen", "kind": "pink"}, "It must be one of: , black, freeze"),
        ({"do": "pause", "kind": "break", "minutes": -1}, "A break takes up to 120 minutes"),
        ({"do": "pause", "kind": "break", "minutes": float("nan")}, "minutes is nan"),
        ({"do": "pause", "kind": "break", "minutes": "ten"}, "minutes is 'ten'"),
    ],
)
def test_what_the_projector_cannot_do_is_refused(
    material: Material, tmp_path: Path, asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        console(material, tmp_path, minutes=30).act(asked)
