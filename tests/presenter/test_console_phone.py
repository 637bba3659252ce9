"""The phone page: what its key opens, that nothing else is open, and the clicker's keys in JupyterLab.

WORKSHOP_SCREENSHOTS names a folder to keep pictures of the page in.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from presenter.console import addresses, pages, phone
from presenter.console.listener import draw_code
from presenter.console.phone import Phone, PhoneKey
from presenter.console.talk import Console
from presenter.material import Material
from tests.support.server import PATIENCE, TOKEN, Server, assert_strict, jar, log_in
from workshop.files import REPO

LAPTOP = "10.11.12.13"  # no address of this machine, so the page is on the loopback, as behind an ssh tunnel


HANDHELD, LYING = (390, 844), (844, 390)


ROUTES = ("/", "/page/phone.js", "/page/phone.css", "/page/stream.js", "/page/icon.svg", "/stream")


WRONG = "A" * 22


PASSWORD_OF_NOBODY = ("", "x", WRONG, TOKEN, "..", "%00", "%ff")


ELSEWHERE = (
    "/",
    "/lab",
    "/api",
    "/api/contents",
    "/presenter",
    "/presenter/stream",
    "/login",
    "/static/x.js",
)


class Listener:
    """A phone listener in a thread of its own, on a talk whose clock is turned by hand."""

    def __init__(self, folder: Path, material: Material, *, drives: bool) -> None:
        self.now = time.time()
        self.console = Console(material, folder, options={"minutes": 30}, clock=lambda: self.now)
        self.console.refresh()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.phone: Phone = self.do(lambda: self.open(drives))

    def open(self, drives: bool) -> Phone:
        act = self.console.act if drives else None
        opened = Phone(self.console.small, view=lambda: self.console.view, act=act, clock=lambda: self.now)
        opened.listen(LAPTOP)
        return opened

    def do(self, work: Callable[[], Any]) -> Any:
        """Do something in the listener's thread."""

        async def inside() -> Any:
            done = work()
            return await done if asyncio.iscoroutine(done) else done

        return asyncio.run_coroutine_threadsafe(inside(), self.loop).result(PATIENCE)

    def close(self) -> None:
        self.do(self.phone.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(PATIENCE)
        self.loop.close()

    @property
    def key(self) -> str:
        return self.phone.key.secret

    def ask(self, method: str, path: str, *, body: Any = None, **headers: str) -> Answer:
        return ask(self.phone.port, method, path, body=body, **{"Host": self.phone.host, **headers})

    def act(self, **asked: Any) -> tuple[int, str]:
        origin = f"http://{self.phone.host}"
        status, _, body = self.ask("POST", f"/{self.key}/act", body=asked, Origin=origin)
        return status, json.loads(body)["message"]


Answer = tuple[int, http.client.HTTPMessage, bytes]


def ask(port: int, method: str, path: str, *, body: Any = None, **headers: str) -> Answer:
    """Ask the loopback once; of a stream, read what it begins with."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body)
        connection.request(method, path, body=sent, headers=headers)
        answer = connection.getresponse()
        stream = answer.headers.get_content_type() == "text/event-stream"
        with answer:
            return answer.status, answer.headers, answer.read1() if stream else answer.read()
    finally:
        connection.close()


@pytest.fixture
def looking(material: Material, tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(tmp_path / "talk", material, drives=False)
    yield listener
    listener.close()


@pytest.fixture
def driving(material: Material, tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(tmp_path / "talk", material, drives=True)
    yield listener
    listener.close()


def refused(answer: Answer) -> bool:
    status, headers, body = answer
    return (
        status == 403
        and body == phone.REFUSED.encode()
        and headers["Content-Security-Policy"] == pages.POLICY
        and "Set-Cookie" not in headers
    )


@pytest.mark.parametrize("route", [*ROUTES, "/act", "/elsewhere", "/page/phone.html"])
def test_route_is_closed_without_the_key(driving: Listener, route: str) -> None:
    for given in PASSWORD_OF_NOBODY:
        for path in (f"/{given}{route}", f"{route}?token={driving.key}", f"{route}#{driving.key}"):
            status, _, body = driving.ask("GET", path)
            assert status in (400, 403), path  # 400: an address that cannot be read
            assert b"Presenter" not in body and b"event:" not in body
    headers = {"Authorization": f"token {driving.key}", "Cookie": f"key={driving.key}"}
    assert refused(driving.ask("GET", route, **headers))
    assert refused(driving.ask("GET", f"/{driving.key[:-1]}{route}"))


@pytest.mark.parametrize("route", ROUTES)
def test_route_is_closed_when_the_key_has_expired_or_there_is_a_new_one(
    looking: Listener, route: str
) -> None:
    path = f"/{looking.key}{route}"
    assert looking.ask("GET", path)[0] == 200
    looking.now += phone.KEY_SECONDS - 1
    assert looking.ask("GET", path)[0] == 200
    looking.now += 1
    assert refused(looking.ask("GET", path))
    looking.do(looking.phone.renew)
    assert refused(looking.ask("GET", path))
    assert looking.ask("GET", f"/{looking.key}{route}")[0] == 200


@pytest.mark.parametrize("route", ROUTES)
def test_route_is_closed_by_another_name_and_for_a_foreign_page(looking: Listener, route: str) -> None:
    path, port = f"/{looking.key}{route}", looking.phone.port
    for host in ("evil.example", f"evil.example:{port}", f"localhost:{port}", f"127.0.0.1:{port}", LAPTOP):
        assert refused(looking.ask("GET", path, Host=host)), host
    for origin in ("https://evil.example", "null", f"https://{LAPTOP}:{port}", f"http://{LAPTOP}:8888"):
        assert refused(looking.ask("GET", path, Origin=origin)), origin
    assert looking.ask("GET", path, Origin=f"http://{LAPTOP}:{port}")[0] == 200


@pytest.mark.parametrize("route", ROUTES)
def test_route_opens_with_the_key_and_lets_nothing_foreign_in(looking: Listener, route: str) -> None:
    status, headers, _ = looking.ask("GET", f"/{looking.key}{route}")
    assert status == 200
    assert_strict(headers)
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert {"Set-Cookie", "Server", "Access-Control-Allow-Origin"}.isdisjoint(headers)


def test_nothing_else_is_open_with_the_key_or_without(driving: Listener) -> None:
    inside = ("/page/console.js", "/page/console.html", "/page/..%2fphone.py", "/page/../phone.py")
    inside += ("/page/console.css", "/picture/dog.png", "/phone", "/act", *ELSEWHERE[1:])
    for path in inside:
        assert driving.ask("GET", f"/{driving.key}{path}")[0] == 404, path
    for path in ELSEWHERE:
        assert refused(driving.ask("GET", path)), path
    for method in ("HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"):
        assert driving.ask(method, f"/{WRONG}/stream")[0] == 403
        assert driving.ask(method, f"/{driving.key}/stream")[0] == 405


def test_nobody_acts_without_the_key_or_from_a_foreign_page(driving: Listener) -> None:
    own, asked = f"http://{driving.phone.host}", {"do": "pause", "kind": "break"}
    before = list(driving.console.journal.acts)
    for given in PASSWORD_OF_NOBODY:
        status, _, _ = driving.ask("POST", f"/{given}/act", body=asked, Origin=own)
        assert status in (400, 403)
    key = driving.key
    assert refused(driving.ask("POST", "/act", body=asked | {"key": key}, Origin=own))
    assert refused(driving.ask("POST", f"/{key}/act", body=asked))
    for origin in ("https://evil.example", "null", f"http://{LAPTOP}:8888"):
        assert refused(driving.ask("POST", f"/{key}/act", body=asked, Origin=origin))
    assert refused(driving.ask("POST", f"/{key}/act", body=asked, Origin=own, Host="localhost"))
    driving.now += phone.KEY_SECONDS
    assert refused(driving.ask("POST", f"/{key}/act", body=asked, Origin=own))
    assert driving.console.journal.acts == before


def test_phone_that_may_only_look_cannot_act(looking: Listener) -> None:
    looking.console.act({"do": "begin"})
    before = list(looking.console.journal.acts)
    assert looking.act(do="next", cue="01-slow") == (403, "This phone can only look.")
    assert looking.console.journal.acts == before


def test_phone_that_may_drives_the_talk(driving: Listener) -> None:
    driving.console.act({"do": "begin"})
    assert driving.act(do="next", cue="01-slow") == (200, "")
    assert driving.act(do="pause", kind="question") == (200, "")
    assert driving.console.view.talk.pause == "question"
    assert driving.act(do="resume") == (200, "")
    assert [act.do for act in driving.console.journal.acts[-3:]] == ["go", "pause", "resume"]
    assert driving.console.view.here.cue.name == "01-slow"


def test_phone_puts_the_fallback_up_and_takes_it_off(driving: Listener) -> None:
    driving.console.act({"do": "begin"})
    assert driving.act(do="stage", on=True) == (200, "")
    assert driving.console.view.talk.staged == "01-hello"
    assert driving.act(do="stage", on=False) == (200, "")
    assert driving.console.view.talk.staged == ""
    status, said = driving.act(do="stage", on="yes")
    assert status == 400 and "It must be true or false" in said


def test_second_tap_skips_nothing(driving: Listener) -> None:
    driving.console.act({"do": "begin"})
    assert driving.act(do="next", cue="01-slow")[0] == 200
    status, said = driving.act(do="next", cue="01-slow")
    assert status == 400 and "moved on" in said
    assert driving.console.view.here.cue.name == "01-slow"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"do": "next"}, "moved on meanwhile"),
        ({"do": "pause", "kind": "nap"}, "It must be one of: question, break"),
        *[
            (
                {"do": do, "cue": "01-slow", "on": True, "level": "advanced"},
                "It can do: next, pause, resume, stage",
            )
            for do in ("begin", "go", "accept", "keep", "screen", "level", "follow", "end", "undo", "renew")
        ],
        ({}, "A phone cannot do None"),
    ],
)
def test_phone_does_nothing_but_next_pause_and_fallback(driving: Listener, asked: dict, message: str) -> None:
    driving.console.act({"do": "begin"})
    before = list(driving.console.journal.acts)
    status, said = driving.act(**asked)
    assert status == 400 and message in said
    assert driving.console.journal.acts == before


@pytest.mark.parametrize("body", [b"", b"no json", b"[1]", b"\xff", b"[" * 900])
def test_body_that_is_no_object_does_no_harm(
    driving: Listener, body: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    origin = f"http://{driving.phone.host}"
    status, _, said = driving.ask("POST", f"/{driving.key}/act", body=body, Origin=origin)
    assert status in (400, 500) and b"Traceback" not in said
    assert driving.key not in "".join(capfd.readouterr())


def test_large_body_is_refused_before_it_is_read(driving: Listener) -> None:
    origin = {"Host": driving.phone.host, "Origin": f"http://{driving.phone.host}"}
    connection = http.client.HTTPConnection("127.0.0.1", driving.phone.port, timeout=PATIENCE)
    # Only announced: a server that closes on bytes it has not read resets the connection.
    connection.request("POST", f"/{driving.key}/act", headers=origin | {"Content-Length": "5000"})
    with connection.getresponse() as answer:
        assert answer.status == 400
    connection.close()


def stream_of(listener: Listener) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", listener.phone.port, timeout=PATIENCE)
    connection.request("GET", f"/{listener.key}/stream", headers={"Host": listener.phone.host})
    return connection


@pytest.mark.parametrize("how", ["expired", "renewed", "moved"])
def test_stream_ends_with_its_key(looking: Listener, how: str) -> None:
    connection = stream_of(looking)
    answer = connection.getresponse()
    assert answer.readline() == b"event: talk\n"
    if how == "expired":
        looking.now += phone.KEY_SECONDS
    else:
        looking.do(looking.phone.renew if how == "renewed" else lambda: looking.phone.listen("10.0.0.9"))
    looking.do(lambda: looking.console.act({"do": "level", "level": "advanced"}))
    lines = []
    with answer:
        for line in answer:  # to its end
            lines.append(line)
            assert lines.count(b":\n") < 5, "the stream goes on"
    assert lines[-3:] == [b"event: gone\n", b"data: null\n", b"\n"] and b">link<" not in b"".join(lines)
    connection.close()


def test_stream_shows_what_is_listed_and_nothing_else(looking: Listener) -> None:
    shown = {name: json.loads(text) for name, text in looking.console.small.parts.items()}
    assert set(shown) == {*phone.SHOWN, "may"}
    assert {name: tuple(part) for name, part in shown.items() if name != "may" and part} == {
        name: fields for name, fields in phone.SHOWN.items() if shown[name]
    }
    everything = "".join(looking.console.small.parts.values())
    for private in ("import time", "time.sleep", "&lt;img", str(REPO), looking.key, "code_html"):
        assert private not in everything
    assert "Words about <em>Hello</em> &lt;b&gt;plain&lt;/b&gt;" in shown["now"]["say_html"]


def test_key_never_stands_in_the_log(driving: Listener, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    driving.ask("GET", f"/{driving.key}/")
    driving.ask("GET", f"/{driving.key}/elsewhere")
    driving.ask("POST", f"/{driving.key}/act", body=b"[", Origin=f"http://{driving.phone.host}")
    driving.phone.act = lambda asked: 1 / 0
    assert (
        driving.ask(
            "POST", f"/{driving.key}/act", body={"do": "resume"}, Origin=f"http://{driving.phone.host}"
        )[0]
        == 500
    )
    assert "A page for the room failed" in caplog.text
    assert driving.key not in caplog.text


def test_move_to_another_address_keeps_the_port_and_closes_the_old_one(
    looking: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, old = looking.phone.port, looking.key
    monkeypatch.setattr(addresses, "list_addresses", lambda: ["10.0.0.7"])
    monkeypatch.setattr(addresses, "LOOPBACK", "127.0.0.2")
    looking.do(lambda: looking.phone.listen("10.0.0.9"))
    assert (looking.phone.port, looking.phone.bound_address) == (port, "127.0.0.2")
    assert looking.key != old and looking.phone.host == f"10.0.0.9:{port}"
    with pytest.raises(ConnectionRefusedError):
        looking.ask("GET", "/")


def test_move_that_fails_leaves_the_page_where_it_was(looking: Listener) -> None:
    url = looking.phone.url
    with pytest.raises(ValueError, match=r"8\.8\.8\.8 is in no local network"):
        looking.do(lambda: looking.phone.listen("8.8.8.8"))
    assert looking.phone.url == url and looking.ask("GET", f"/{looking.key}/")[0] == 200


def test_key_is_long_random_and_expires() -> None:
    one, other = PhoneKey.new(now=0.0), PhoneKey.new(now=0.0)
    assert one.secret != other.secret and re.fullmatch(r"[\w-]{22}", one.secret)  # 128 bits
    assert one.opens(one.secret, now=phone.KEY_SECONDS - 1) and not one.opens(other.secret, now=0.0)
    assert not one.opens(one.secret, now=phone.KEY_SECONDS) and not one.opens("", now=0.0)


def test_code_draws_the_address_with_a_quiet_margin() -> None:
    import segno

    text = "http://192.168.1.20:48899/" + WRONG + "/"
    drawn = draw_code(text)
    squares = {
        (int(x) + step, int(y))
        for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", drawn["path"])
        for step in range(int(width))
    }
    made = segno.make_qr(text, error="m")
    dark = {(x + 4, y + 4) for y, row in enumerate(made.matrix) for x, bit in enumerate(row) if bit}
    assert squares == dark and drawn["size"] == len(made.matrix) + 8
    assert drawn["size"] <= 41  # few modules, so that a phone reads it from a hand's distance


def placed(monkeypatch: pytest.MonkeyPatch, *, kind: str, own: list[str]) -> Phone:
    """Make a phone listener on a machine of some kind; its sockets stay on the loopback."""
    monkeypatch.setattr(addresses, "find_obstacle", lambda: kind)
    monkeypatch.setattr(addresses, "list_addresses", lambda: own)
    made = Phone(pages.Board(), view=lambda: None, port=8899)
    monkeypatch.setattr(made, "_bind", lambda address: setattr(made, "bound_address", address))
    made.listen()
    return made


def test_laptop_on_the_desk_is_open_on_its_own_address_only(monkeypatch: pytest.MonkeyPatch) -> None:
    made = placed(monkeypatch, kind="", own=["192.168.1.20", "10.8.0.2"])
    part = made.describe()
    assert (made.bound_address, part["trouble"], part["tunnel"]) == ("192.168.1.20", "", "")
    assert part["url"] == f"http://192.168.1.20:8899/{made.key.secret}/" and part["code"]


def test_cloud_instance_stays_on_the_loopback_and_offers_the_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    made = placed(monkeypatch, kind="a cloud instance (digitalocean)", own=["10.108.0.4"])
    part = made.describe()
    assert made.bound_address == addresses.LOOPBACK and part["code"] is None
    assert part["trouble"].startswith("This machine is a cloud instance (digitalocean): it has no address")
    assert "LAPTOP:8899:127.0.0.1:8899" in part["tunnel"]
    made.listen("192.168.1.20")  # the laptop's
    part = made.describe()
    assert made.bound_address == addresses.LOOPBACK and part["trouble"] == ""
    assert part["url"].startswith("http://192.168.1.20:8899/") and part["code"]
    assert shlex.split(part["tunnel"])[:4] == ["ssh", "-N", "-L", "192.168.1.20:8899:127.0.0.1:8899"]


def test_machine_without_a_local_address_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    made = placed(monkeypatch, kind="", own=[])
    assert made.bound_address == addresses.LOOPBACK
    assert made.describe()["trouble"].startswith("This machine is in no local network")


def test_expired_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    made = placed(monkeypatch, kind="", own=["192.168.1.20"])
    made.clock = lambda: time.time() + phone.KEY_SECONDS
    part = made.describe()
    assert (part["until"], part["url"], part["code"]) == ("", "", None)
    made.renew()
    assert made.describe()["url"]


WORDS = ("--minutes", "30", "--keys", "--phone-next", "--phone-address", LAPTOP)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("house"), words=WORDS)
    server.start()
    yield server
    server.stop()


def told(server: Server) -> dict[str, Any]:
    """Read off the second screen how to get to the phone page."""
    connection = http.client.HTTPConnection("localhost", server.port, timeout=PATIENCE)
    connection.request("GET", "/presenter/stream", headers={"Authorization": f"token {TOKEN}"})
    with connection.getresponse() as answer:
        while answer.readline() != b"event: phone\n":
            pass
        part = json.loads(answer.readline().removeprefix(b"data: "))
    connection.close()
    return part


def by_phone(server: Server, method: str, route: str, *, key: str = "", **more: Any) -> Answer:
    host, own = re.match(r"http://(.*)/(.*)/$", told(server)["url"]).groups()
    port = int(host.partition(":")[2])
    return ask(port, method, f"/{key or own}{route}", Host=host, Origin=f"http://{host}", **more)


def test_no_question_about_news_lies_over_the_lesson(server: Server) -> None:
    where = "/lab/api/settings/@jupyterlab/apputils-extension:notification"
    status, _, body = server.ask("GET", where, token=TOKEN)
    assert status == 200
    known = json.loads(body)["schema"]["properties"]
    assert (known["fetchNews"]["default"], known["checkForUpdates"]["default"]) == ("false", False)


def test_jupyter_token_is_in_nothing_that_the_phone_gets_and_opens_nothing_there(server: Server) -> None:
    assert TOKEN not in told(server)["url"]
    for route in ROUTES:
        status, headers, body = by_phone(server, "GET", route)
        assert status == 200
        assert TOKEN not in str(headers) and TOKEN.encode() not in body
        assert refused(by_phone(server, "GET", route, key=TOKEN))
        authorized = {"Authorization": f"token {TOKEN}"}
        assert refused(by_phone(server, "GET", f"{route}?token={TOKEN}", key=WRONG, **authorized))


def test_key_of_the_phone_opens_nothing_of_jupyter(server: Server) -> None:
    key = told(server)["url"].split("/")[3]
    for route in ("/presenter", "/presenter/stream", "/api/contents", "/api/kernels", "/lab"):
        for path, token in ((route, key), (f"{route}?token={key}", ""), (f"/{key}{route}", "")):
            status, _, body = server.ask("GET", path, token=token)
            assert status in (302, 403, 404), path
            assert b"Presenter" not in body
    assert server.ask("POST", "/presenter/phone", body={"do": "renew"}, token=key)[0] == 403


def test_jupyter_has_no_phone_page_and_the_phone_nothing_of_jupyter(server: Server) -> None:
    assert server.ask("GET", "/presenter/page/phone.html", token=TOKEN)[0] == 404
    for path in ELSEWHERE[1:]:
        assert by_phone(server, "GET", path)[0] == 404


def test_new_key_needs_login_and_the_xsrf_token(server: Server) -> None:
    before = told(server)["url"]
    asked = {"do": "renew"}
    cookies = log_in(server)
    assert server.ask("POST", "/presenter/phone", body=asked)[0] == 403
    assert server.ask("POST", "/presenter/phone", body=asked, Cookie=jar(cookies))[0] == 403
    own = {"Cookie": jar(cookies), "X_XSRFToken": cookies["_xsrf"]}
    foreign = server.ask("POST", "/presenter/phone", body=asked, Origin="https://evil.example", **own)
    assert foreign[0] in (403, 404) and told(server)["url"] == before
    assert server.ask("POST", "/presenter/phone", body=asked, **own)[0] == 200
    old = before.split("/")[3]
    assert told(server)["url"] != before and refused(by_phone(server, "GET", "/", key=old))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"do": "close"}, "These are: renew, address"),
        ({"do": "address", "address": "8.8.8.8"}, "8.8.8.8 is in no local network"),
        ({"do": "address"}, "'' is no IPv4 address. It must look like"),
    ],
)
def test_wrong_wish_about_the_phone_says_what_would_be_right(
    server: Server, asked: dict[str, Any], message: str
) -> None:
    status, _, body = server.ask("POST", "/presenter/phone", body=asked, token=TOKEN)
    assert status == 400 and message in json.loads(body)["message"]


def test_phone_moves_the_real_talk_and_its_key_is_in_no_log(server: Server) -> None:
    assert server.ask("POST", "/presenter/phone", body={"do": "renew"}, token=TOKEN)[0] == 200
    assert server.act(do="begin")[0] == 200
    assert by_phone(server, "POST", "/act", body={"do": "next", "cue": "01-slow"})[0] == 200
    assert server.acts()[-1].cue == "01-slow"
    assert by_phone(server, "GET", "/elsewhere")[0] == 404
    log = server.log.read_text(encoding="utf-8")
    assert "phone page is open on" in log and told(server)["url"].split("/")[3] not in log


def test_clicker_keys_reach_jupyterlab(server: Server) -> None:
    path = "/lab/api/settings/@jupyterlab/shortcuts-extension:shortcuts"
    _, _, body = server.ask("GET", path, token=TOKEN)
    found = json.loads(body)["schema"]["properties"]["shortcuts"]["default"]
    assert {one["keys"][0]: one["command"] for one in found} == {
        "PageDown": "notebook:run-cell-and-select-next",
        "PageUp": "notebook:move-cursor-up",
    }


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium, for which this machine is the laptop that the phone page is reached through."""
    chromium = pytest.importorskip("tests.support.browser", reason="no websocket-client")
    if chromium.CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    here = f"--host-resolver-rules=MAP {LAPTOP} 127.0.0.1"
    browser = chromium.Browser(tmp_path_factory.mktemp("chromium"), here)
    yield browser
    browser.close()


@pytest.fixture
def handheld(browser: Any, server: Server) -> Iterator[Any]:
    server.act(do="begin")
    tab = browser.open(told(server)["url"], HANDHELD)
    tab.wait_text("title", "Hello")
    yield tab
    tab.call("Page.navigate", url="about:blank")  # a browser keeps six streams to a server at most


def paint(tab: Any, light: str) -> None:
    feature = {"name": "prefers-color-scheme", "value": light}
    tab.call("Emulation.setEmulatedMedia", features=[feature])


@pytest.mark.slow
def test_phone_follows_the_talk_and_drives_it(handheld: Any, server: Server) -> None:
    assert handheld.sees("keys") and "Next" in handheld.text("go")
    assert "Words about Hello <b>plain</b>." in handheld.text("say")
    paint(handheld, "dark")
    handheld.picture("phone-1-dark")
    handheld.click("document.getElementById('go')")
    handheld.wait_text("title", "Slow")
    handheld.click("document.getElementById('break')")
    handheld.wait_text("sentence", "the clock stands")
    assert handheld.text("break") == "Go on"
    paint(handheld, "light")
    handheld.picture("phone-2-light")
    handheld.click("document.getElementById('break')")
    handheld.wait("document.body.dataset.talk === 'running'")
    server.act(do="go", cue="02-last")
    handheld.wait_text("next-title", "This is the last cue")
    assert handheld.js("document.getElementById('go').disabled")


@pytest.mark.slow
def test_key_that_is_held_presses_a_button_of_the_phone_once(handheld: Any, server: Server) -> None:
    before = len(server.acts())
    handheld.js("document.getElementById('question').focus()")
    handheld.key("Enter", repeats=3)
    handheld.wait_text("sentence", "Question")
    handheld.click("document.getElementById('go')")
    handheld.wait_text("title", "Slow")
    assert [act.do for act in server.acts()[before:]] == ["pause", "go"]


@pytest.mark.slow
def test_refusal_stays_on_the_phone_while_the_server_says_other_things(handheld: Any) -> None:
    handheld.js("window.setTimeout = () => 0")  # nothing else takes it off
    handheld.js(
        """(() => {
          const ask = window.fetch;
          window.fetch = (url, options) => ask(url, { ...options, body: '{"do": "next", "cue": "none"}' });
          window.pulses = 0;
          new MutationObserver(() => { window.pulses += 1; }).observe(
            document.getElementById('elapsed'), { childList: true });
        })()"""
    )
    handheld.click("document.getElementById('go')")
    handheld.wait_text("lost", "The talk has moved on meanwhile. Look again.")
    before = handheld.js("window.pulses")
    handheld.wait(f"window.pulses > {before} + 2")
    assert handheld.sees("lost") and "Look again" in handheld.text("lost")


@pytest.mark.slow
@pytest.mark.parametrize("size", [(320, 568), HANDHELD, LYING])
def test_phone_page_fits_small_screens(handheld: Any, size: tuple[int, int]) -> None:
    handheld.size(*size)
    handheld.picture(f"phone-3-{size[0]}x{size[1]}")
    beyond = "(e) => e.getBoundingClientRect().right > innerWidth + 1"
    wide = f"[...document.querySelectorAll('body *')].filter({beyond})"
    assert handheld.js(f"{wide}.map((e) => e.id || e.tagName)") == []
    assert handheld.js("document.getElementById('keys').getBoundingClientRect().bottom <= innerHeight")
    assert handheld.js("[...document.querySelectorAll('button')].every((e) => e.offsetHeight >= 44)")


@pytest.mark.slow
def test_phone_page_loads_nothing_from_elsewhere_and_keeps_no_cookie(handheld: Any, server: Server) -> None:
    assert handheld.js("document.cookie") == ""
    url = told(server)["url"]
    assert handheld.asked and all(address.startswith(url) for address in handheld.asked)
    assert handheld.said == []


@pytest.mark.slow
def test_phone_whose_key_is_replaced_says_so_and_shows_the_talk_no_more(
    handheld: Any, server: Server
) -> None:
    server.ask("POST", "/presenter/phone", body={"do": "renew"}, token=TOKEN)
    handheld.wait("document.getElementById('gone').checkVisibility()")
    assert "This code has expired" in handheld.text("gone")
    assert not handheld.sees("title") and not handheld.sees("keys")
    handheld.picture("phone-4-gone")


@pytest.mark.slow
def test_second_screen_shows_the_code_and_makes_a_new_one(browser: Any, server: Server) -> None:
    tab = browser.open(f"http://localhost:{server.port}/presenter?token={TOKEN}", (1366, 768))
    tab.wait("document.getElementById('title').innerText.length > 1")
    tab.key("m")
    tab.wait("document.getElementById('phone').open")
    url = told(server)["url"]
    tab.wait_text("phone-url", url)
    tab.click("document.querySelector('#phone-reach summary')")
    assert f"{LAPTOP}:" in tab.text("phone-tunnel")
    assert tab.js("document.querySelector('#phone svg').getBoundingClientRect().width") >= 200  # px
    for light in ("dark", "light"):
        tab.js(f"document.documentElement.dataset.light = '{light}'")
        tab.picture(f"phone-5-code-{light}")
    tab.click("document.querySelector('[data-act=renew]')")
    tab.wait(f"!document.getElementById('phone-url').innerText.includes('{url}')")
    tab.js("document.getElementById('phone-address').value = '8.8.8.8'")
    tab.click("document.querySelector('#phone-move button')")
    tab.wait_text("phone-no", "8.8.8.8 is in no local network")
    tab.js("1")
    assert [one for one in tab.said if "400" not in json.dumps(one)] == []


@pytest.mark.slow
def test_clicker_runs_the_cells_of_jupyterlab(browser: Any, server: Server) -> None:
    chromium = pytest.importorskip("tests.support.browser")
    tab = browser.open(f"http://localhost:{server.port}/lab/tree/01_first.ipynb?token={TOKEN}", (1366, 768))
    chromium.Lab(tab)
    # The notebook's indicator is idle before there is a kernel; the status bar knows better.
    tab.wait("document.getElementById('jp-main-statusbar').innerText.includes('| Idle')")
    tab.click("document.querySelector('.jp-Notebook .jp-CodeCell .cm-content')")
    tab.key("Escape")
    tab.wait("document.querySelector('.jp-Notebook').matches('.jp-mod-commandMode')")
    cells = "[...document.querySelectorAll('.jp-Notebook .jp-Cell')]"
    active = f"{cells}.findIndex((cell) => cell.matches('.jp-mod-active'))"
    tab.key("PageDown", repeats=3, every=1.0)  # a clicker's button that is held runs one cell
    tab.wait(f"{active} === 1")
    tab.wait("document.querySelector('.jp-CodeCell .jp-OutputArea-output').innerText.includes('hello')")
    assert tab.js(active) == 1
    tab.key("PageUp")
    tab.wait(f"{active} === 0")
    tab.key("Enter")  # into the cell, where the editor takes the key until the cursor is at the end
    tab.wait("document.querySelector('.jp-Notebook').matches('.jp-mod-editMode')")
    tab.key("PageDown")
    tab.key("PageDown")
    tab.wait(f"{active} === 1")
