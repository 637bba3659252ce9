"""The console's server, asked as a browser and as a stranger would ask it."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from presenter import journal
from presenter.console import pages
from tests.support.server import TOKEN, Server, assert_strict, jar, log_in

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
    found = log_in(server)
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


@pytest.mark.parametrize("route", ["/presenter", "/presenter/stage"])
def test_address_with_a_slash_or_with_the_token_leads_to_the_bare_one(server: Server, route: str) -> None:
    for given in (f"{route}/", f"{route}?token={TOKEN}", f"{route}/?token={TOKEN}"):
        status, headers, body = server.ask("GET", given, token=TOKEN)
        assert (status, headers["Location"], body) == (302, route, b""), given
    cookies = log_in(server)
    assert server.ask("GET", route, Cookie=jar(cookies))[0] == 200


def test_no_foreign_page_brings_the_login_with_it(server: Server) -> None:
    _, headers, _ = server.ask("GET", f"/presenter?token={TOKEN}")
    login = [line for line in headers.get_all("Set-Cookie") or [] if line.startswith("username-")]
    assert login and all("samesite=strict" in line.lower() for line in login)


def test_stream_is_held_back_by_no_proxy(server: Server) -> None:
    connection = http.client.HTTPConnection("localhost", server.port, timeout=30)
    connection.request("GET", "/presenter/stream", headers={"Authorization": f"token {TOKEN}"})
    answer = connection.getresponse()
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert answer.headers.get_all("Content-Type") == ["text/event-stream"]
    connection.close()


def test_every_stream_has_the_same_headers_and_the_same_pulse(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = {path.name: path.read_text(encoding="utf-8") for path in pages.PAGE.parent.glob("*.py")}
    assert [name for name, text in sources.items() if "event-stream" in text] == ["pages.py"]
    streams = [text for text in sources.values() for _ in re.findall(r"board\.join\(\)", text)]
    assert len(streams) == 2
    assert all("STREAM.items()" in text and "read_news(queue)" in text for text in streams)

    monkeypatch.setattr(pages, "PULSE", 0.01)
    board = pages.Board()
    board.show("clock", 1)

    async def listen() -> list[str]:
        news = pages.read_news(board.join())
        return [await anext(news) for _ in range(3)]

    assert asyncio.run(listen()) == ["event: clock\ndata: 1\n\n", *2 * ["event: pulse\ndata: 0\n\n"]]


def test_pulse_comes_however_much_else_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The projector's page shows two parts of many, so the others must not stand for the pulse."""
    monkeypatch.setattr(pages, "PULSE", 0.01)
    board = pages.Board()

    async def listen() -> str:
        news = pages.read_news(board.join())
        for number in range(1000):
            board.show("clock", number)
            told = await anext(news)
            if "pulse" in told:
                return told
            await asyncio.sleep(0.001)
        return ""

    assert asyncio.run(listen()) == "event: pulse\ndata: 0\n\n"


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


def test_act_of_bytes_that_are_no_text_is_refused(server: Server) -> None:
    for body in (b"\xff", b"[" * 900, b""):
        connection = http.client.HTTPConnection("localhost", server.port, timeout=30)
        connection.request("POST", "/presenter/act", body=body, headers={"Authorization": f"token {TOKEN}"})
        answer = connection.getresponse()
        assert answer.status == 400 and b"JSON object" in answer.read()
        connection.close()


def test_act_is_refused_before_all_of_a_large_body_is_read(server: Server) -> None:
    connection = http.client.HTTPConnection("localhost", server.port, timeout=30)
    connection.putrequest("POST", "/presenter/act")
    connection.putheader("Authorization", f"token {TOKEN}")
    connection.putheader("Content-Length", str(30 * 10**6))
    connection.endheaders()  # and not a byte of the body
    assert connection.getresponse().status == 400
    connection.close()


def test_pages_take_nothing_from_elsewhere_and_hold_no_inline_script() -> None:
    for file in pages.PAGE.glob("*.*"):
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|\bon\w+=\"|style=\"|<script>|eval\(", text), file.name


def test_files_of_the_talk_are_readable_by_their_owner_only(server: Server) -> None:
    assert server.talk.stat().st_mode & 0o777 == 0o700
    for file in (journal.EVENTS, journal.JOURNAL):
        assert (server.talk / file).stat().st_mode & 0o777 == 0o600
