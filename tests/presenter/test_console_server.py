"""The console's server, asked as a browser and as a stranger would ask it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from presenter import cues
from presenter import journal as state
from presenter.console import extension as app
from presenter.console import lab, pages
from presenter.console.extension import Console
from presenter.console.guide import Material
from presenter.journal import Act
from tests.support.lesson import write_lesson
from tests.support.server import TOKEN, Server, assert_strict, jar
from workshop import notebooks

ROUTES = ("/presenter", "/presenter/stage", "/presenter/stream", "/presenter/page/console.js")
ROUTES += ("/presenter/page/console.css", "/presenter/picture/dog.png")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("house"))
    from PIL import Image

    for name in ("dog", "secret"):
        Image.new("RGB", (8, 8), "red").save(server.folder / "pictures" / f"{name}.png")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def cookies(server: Server) -> dict[str, str]:
    """Log in as a browser does, by the address with the token."""
    _, headers, _ = server.ask("GET", f"/presenter?token={TOKEN}")
    found = dict(re.match(r"([^=]+)=([^;]+)", line).groups() for line in headers.get_all("Set-Cookie"))
    assert "_xsrf" in found and len(found) == 2
    return found


@pytest.mark.parametrize("route", ROUTES)
def test_route_is_closed_without_login_and_with_a_wrong_key(server: Server, route: str) -> None:
    for token in ("", "wrong"):
        status, headers, body = server.ask("GET", route, token=token)
        assert status in (302, 403), route
        assert status == 403 or headers["Location"].startswith("/login?")
        assert b"Presenter" not in body and b"PNG" not in body


@pytest.mark.parametrize("route", ROUTES)
def test_route_opens_with_the_key_and_lets_nothing_foreign_in(server: Server, route: str) -> None:
    status, headers, _ = server.ask("GET", route, token=TOKEN)
    assert status == 200
    assert_strict(headers)


def test_foreign_page_can_neither_follow_nor_act(server: Server, cookies: dict[str, str]) -> None:
    own = {"Cookie": jar(cookies), "X_XSRFToken": cookies["_xsrf"]}
    before = server.acts()
    assert server.ask("GET", "/presenter/stream", Origin="https://evil.example", **own)[0] == 404
    status, _, _ = server.ask(
        "POST", "/presenter/act", body={"do": "begin"}, Origin="https://evil.example", **own
    )
    assert status in (403, 404)
    assert server.acts() == before


def test_acting_needs_login_and_the_xsrf_token(server: Server, cookies: dict[str, str]) -> None:
    before = server.acts()
    asked = {"do": "level", "level": "advanced"}
    assert server.ask("POST", "/presenter/act", body=asked)[0] == 403
    assert server.ask("POST", "/presenter/act", body=asked, token="wrong")[0] == 403
    assert server.ask("POST", "/presenter/act", body=asked, Cookie=jar(cookies))[0] == 403
    wrong = {"Cookie": jar(cookies), "X_XSRFToken": "2|wrong"}
    assert server.ask("POST", "/presenter/act", body=asked, **wrong)[0] == 403
    assert server.acts() == before
    right = {"Cookie": jar(cookies), "X_XSRFToken": cookies["_xsrf"]}
    assert server.ask("POST", "/presenter/act", body=asked, **right)[0] == 200
    assert server.acts()[-1].level == "advanced"


@pytest.mark.parametrize(
    "path",
    [
        "/presenter/picture/secret.png",  # a picture, but of no cue
        "/presenter/picture/..%2f..%2fsecret.png",
        "/presenter/page/console.html",  # only by its own address
        "/presenter/page/..%2fextension.py",
        "/presenter/page/extension.py",
    ],
)
def test_no_other_file_is_served(server: Server, path: str) -> None:
    assert server.ask("GET", path, token=TOKEN)[0] == 404


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"do": "dance"}, "nothing to do for 'dance'. These are: begin, go"),
        ({}, "nothing to do for None"),
        ({"do": "go", "cue": "09-none"}, "no cue '09-none'. They are named as 03-after"),
        ({"do": "go", "cue": ["x"]}, "no cue"),
        ({"do": "level", "level": "expert"}, "It must be one of: beginner, intermediate, advanced"),
        ({"do": "pause", "kind": "nap"}, "It must be one of: question, break"),
        ({"do": "stage", "on": "yes"}, "It must be true or false"),
        ({"do": "accept"}, "no proposal to accept"),
    ],
)
def test_wrong_act_says_what_would_be_right(server: Server, asked: dict[str, Any], message: str) -> None:
    before = server.acts()
    status, said = server.act(**asked)
    assert status == 400 and message in said
    assert server.acts() == before


def test_act_that_is_no_object_is_refused(server: Server) -> None:
    status, _, body = server.ask("POST", "/presenter/act", body=[1], token=TOKEN)
    assert status == 400 and "JSON object" in json.loads(body)["message"]


def test_pages_take_nothing_from_elsewhere_and_hold_no_inline_script() -> None:
    for file in pages.PAGE.glob("*.*"):
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|\bon\w+=\"|style=\"|<script>|eval\(", text), file.name


def test_files_of_the_talk_are_readable_by_their_owner_only(server: Server) -> None:
    assert server.talk.stat().st_mode & 0o777 == 0o700
    for file in (state.EVENTS, state.JOURNAL):
        assert (server.talk / file).stat().st_mode & 0o777 == 0o600


# The console itself, without a server.


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return Material.read(*write_lesson(tmp_path_factory.mktemp("lesson")))


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
    assert [act.plan["minutes"] for act in state.read(tmp_path / state.JOURNAL)[0]] == [25, 40]


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
    made.learn("a machine that nobody rehearsed on")
    assert part(made, "cells")["next"]["expected"] == "not rehearsed yet"


def test_impossible_plan_ends_the_command_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheets, books = write_lesson(tmp_path)
    assert lab.lab(["--minutes", "3", "--cues", str(sheets), "--notebooks", str(books)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("presenter lab: 3 minutes are ") and "too few" in said


def test_command_line_says_nothing_about_a_plan_that_goes_on() -> None:
    assert lab.planned(lab.parser().parse_args([])) == {}
    asked = lab.parser().parse_args(["--level", "advanced", "--break", "5", "--break", "7"])
    assert lab.planned(asked) == {"minutes": 90.0, "level": "advanced", "breaks": [5.0, 7.0]}


def test_folder_of_a_talk_is_the_one_that_goes_on(tmp_path: Path) -> None:
    new = app.talk_folder(tmp_path, now=1000.0, new=False)
    state.Journal(new).add(Act(1000.0, "begin", cue="01-hello"))
    assert app.talk_folder(tmp_path, now=2000.0, new=False) == new
    assert app.talk_folder(tmp_path, now=2000.0, new=True) != new


# A whole talk at accelerated time, on the workshop's own cue sheets.


class Room:
    """A talk as it happens: a clock that is turned by hand, and kernels that write what they are told."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.now = 1_000_000.0
        self.console = Console(
            Material.read(cues.CUES, notebooks.FOLDER), folder, options=options, clock=lambda: self.now
        )
        self.log = folder / state.EVENTS

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
