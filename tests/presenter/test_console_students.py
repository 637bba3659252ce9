"""The students' page: what it serves, and that it serves nothing else."""

from __future__ import annotations

import asyncio
import json
import re
import time
import urllib.request
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from tornado import httpclient

from presenter.console import addresses, lab, stage, students
from presenter.console.handlers import PhoneHandler
from presenter.console.listener import draw_code
from presenter.console.pages import POLICY
from presenter.console.phone import Phone
from presenter.console.students import Students
from presenter.console.talk import Console
from presenter.cues import Section
from presenter.material import Material
from tests.support.server import PATIENCE, TOKEN, Server
from tests.support.views import view

LINKS = "Leave these on the screen.\n\n- Code: https://example.org/code.\n- Paper: `https://example.org/1`."
LAPTOP = "10.11.12.13"  # no address of this machine, so the page is on the loopback


@pytest.fixture
def page(handout: Material, tmp_path: Path) -> Students:
    """Make the page of the lesson with solutions, whose sheet has links; it is not open yet."""
    sheet = handout.sheets[0]
    linked = replace(sheet, sections=(*sheet.sections, Section(students.LINKS, LINKS, 1)))
    folder = lab.write_students([book.path for book in handout.books], tmp_path / "talk")
    return Students(folder, material=lambda: replace(handout, sheets=(linked,)))


def ask(page: Students, *paths: str, method: str = "GET", host: str = "") -> list[httpclient.HTTPResponse]:
    """Open the page, ask for these paths, and close it; host: another than its own."""

    async def inside() -> list[httpclient.HTTPResponse]:
        page.listen(LAPTOP)
        client = httpclient.AsyncHTTPClient(force_instance=True)
        base = f"http://{addresses.LOOPBACK}:{page.port}"
        options = {"method": method, "body": b"{}" if method == "POST" else None}
        options["headers"] = {"Host": host or page.host}
        answers = [await client.fetch(base + path, raise_error=False, **options) for path in paths]
        client.close()
        await page.close()
        return answers

    return asyncio.run(inside())


def test_page_has_the_notebooks_without_solutions_and_links_to_follow(
    page: Students, handout: Material
) -> None:
    name = handout.books[0].path.name
    answer, book, glossary, style = ask(
        page, "/", f"/notebooks/{name}", "/notebooks/GLOSSARY.md", "/page/students.css"
    )
    assert {one.code for one in (answer, book, glossary, style)} == {200}
    html = answer.body.decode()
    assert f'href="notebooks/{name}"' in html and handout.sheets[0].title in html
    assert 'href="https://example.org/code"' in html and 'href="https://example.org/1"' in html
    assert "Leave these" not in html
    assert book.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    assert b"Solution" not in book.body and json.loads(page.files[name])["cells"]
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert all("Server" not in one.headers and "Set-Cookie" not in one.headers for one in (answer, book))


def test_page_moves_with_the_phones(page: Students, material: Material, tmp_path: Path) -> None:
    console = Console(material, tmp_path / "other", options={"minutes": 30}, clock=lambda: 0.0)
    console.students, console.phone = page, Phone(console.small, view=lambda: console.view)

    async def inside() -> None:
        for listener in (page, console.phone):
            listener.listen("10.99.99.99")
        asked = {"do": "address", "address": LAPTOP}
        PhoneHandler.act(SimpleNamespace(console=console), asked)  # type: ignore[arg-type]
        for listener in (page, console.phone):
            await listener.close()

    asyncio.run(inside())
    assert page.describe() == {
        "url": f"http://{LAPTOP}:{page.port}/",
        "code": draw_code(f"http://{page.host}/"),
    }
    assert console.phone.shown_address == LAPTOP
    tunnels = json.loads(console.board.parts["phone"])["tunnel"].splitlines()
    assert tunnels == [addresses.write_tunnel(LAPTOP, one.port) for one in (console.phone, page)]


def test_nothing_of_the_presenters_or_of_jupyter_is_there(page: Students, handout: Material) -> None:
    html = ask(page, "/")[0].body.decode()
    cue = handout.cues[0]
    assert cue.title not in html
    # what the sheet says to the presenter, rendered or not: a note, a talking point, a question
    assert [
        words for words in ("Words", "alert(1)", "blocks, in", "A knob", "How many") if words in html
    ] == []
    assert all(words in "".join(cue.notes.values()) for words in ("Words", "alert(1)", "blocks, in"))
    paths = (
        "/lab",
        "/api",
        "/presenter",
        "/presenter/stream",
        "/stream",
        "/act",
        "/page/console.js",
        "/page/students.html.j2",
        "/page/../students.py",
        "/notebooks/",
        "/notebooks/..%2fjournal.jsonl",
        "/notebooks/../journal.jsonl",
        "/notebooks/%00",
    )
    assert {one.code for one in ask(page, *paths)} <= {400, 404}
    assert ask(page, "/", method="POST")[0].code == 405


def test_only_what_was_written_for_students_now_is_there(handout: Material, tmp_path: Path) -> None:
    folder = tmp_path / "students"
    folder.mkdir()
    (folder / "answers.ipynb").write_text("{}", encoding="utf-8")  # left from before
    (tmp_path / "secret").write_text("{}", encoding="utf-8")
    book = handout.books[0].path
    page_of = partial(Students, folder, material=lambda: handout)
    (folder / book.name).symlink_to(tmp_path / "secret")
    assert page_of().files == {}
    assert lab.write_students([book], tmp_path) == folder
    page = page_of()
    assert set(page.files) == {book.name, "GLOSSARY.md"}
    (folder / book.name).write_text("changed since", encoding="utf-8")
    answers = ask(page, f"/notebooks/{book.name}", "/notebooks/answers.ipynb")
    assert [one.code for one in answers] == [200, 404] and b"changed" not in answers[0].body
    assert (tmp_path / "secret").read_text(encoding="utf-8") == "{}"


@pytest.mark.parametrize("path", ["/", "/notebooks/GLOSSARY.md", "/page/students.css", "/nowhere"])
def test_page_answers_to_its_own_address_only(page: Students, path: str) -> None:
    for host in ("example.org", f"{addresses.LOOPBACK}:{page.port}", f"{LAPTOP}:1"):
        (answer,) = ask(page, path, host=host)
        assert answer.code == 403
        assert answer.body.decode() == f"This page is at http://{LAPTOP}:{page.port}/\n"


def test_quiet_page_shows_its_code_only_if_the_room_can_reach_it(
    page: Students, material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(page, "/")
    url = f"http://{LAPTOP}:{page.port}/"
    invite = page.describe()
    assert invite == {"url": url, "code": draw_code(url)}
    assert stage.describe_stage(view(material), students=invite)["students"] == invite
    monkeypatch.setattr(addresses, "find_obstacle", lambda: "a container")
    monkeypatch.setattr(page, "_bind", lambda address: None)
    page.listen()
    assert page.describe() is None and "a container" in page.trouble
    option = re.search(r"start again with (--\S+)", page.advice)
    assert option and option[1] in lab.make_parser().format_help()
    page.listen(LAPTOP)
    assert page.describe() and page.advice == ""


def test_address_alone_opens_no_phone_page_where_the_students_is_asked_for() -> None:
    ours = lab.make_parser().parse_args(["--students", "--phone-address", LAPTOP])
    assert lab.collect_phone_settings(ours) == {"phone_address": LAPTOP}


def test_lab_opens_the_page_where_it_says(tmp_path: Path) -> None:
    server = Server(tmp_path, words=("--students", "--phone-address", LAPTOP))
    server.start()
    try:
        limit = time.monotonic() + PATIENCE
        while not (
            shown := re.search(rf"page is open on http://{LAPTOP}:(\d+)/", server.log.read_text("utf-8"))
        ):
            assert time.monotonic() < limit
            time.sleep(0.1)
        request = urllib.request.Request(
            f"http://{addresses.LOOPBACK}:{shown[1]}/", headers={"Host": f"{LAPTOP}:{shown[1]}"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            html = answer.read().decode()
        assert "notebooks/01_first.ipynb" in html and TOKEN not in html
    finally:
        server.stop()
