"""The presenter's phone: a small page on a listener of its own, behind a key of its own that expires.

    /KEY/           the page: the clock, what to do, the current cue and the next one
    /KEY/page/…     its style and code
    /KEY/stream     server-sent events: the fields in SHOWN, and nothing else of the console
    /KEY/act        next, pause and go on; only if that was allowed when the server was started

Jupyter's login, token and pages belong to another listener, which this one knows nothing of. The key stands
in the path and not in a cookie, because browsers hand a host's cookies to all of its ports. Whoever comes
without the key, from a foreign page or by a foreign name gets the same answer, whatever they asked for.

The page is plain HTTP, so it is opened on one address of a local network. Where a phone cannot reach the
machine, as in a cloud, it is opened on the loopback alone, for an ssh tunnel from the presenter's laptop.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import platform
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from itertools import groupby
from pathlib import Path
from typing import Any

from tornado import httpserver, iostream, log, netutil, web

from presenter.console.guide import View
from presenter.console.pages import HEADERS, KINDS, PAGE, Board

LOOK, DRIVE = "look", "drive"  # what a phone may do
KEY_BYTES, KEY_SECONDS = 16, 4 * 3600.0  # of randomness; of a talk, its break and an hour before it
PULSE = 1.0  # s; a stream ends that soon after its key
LOOPBACK = "127.0.0.1"
LOCAL = [
    IPv4Network(one) for one in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
]  # RFC 1918, and RFC 6598 for networks such as a phone's own hotspot
INSIDE = ("docker", "br-", "veth", "virbr")  # networks within this machine
CONTAINER = (".dockerenv", "run/.containerenv")
NO_CLOUD = ("", "none", "nocloud", "lxd", "fallback")  # what cloud-init calls a machine that is in none
LIMITS = {"max_header_size": 8192, "max_body_size": 1000, "body_timeout": 10, "idle_connection_timeout": 60}
FILES = ("phone.css", "phone.js", "stream.js", "icon.svg")
SHOWN = {  # all that a phone gets to see of each part
    "talk": ("state", "pause"),
    "clock": ("elapsed", "left", "ends", "pace", "late", "sentence"),
    "now": ("title", "where", "say_html", "points"),
    "time": ("text", "over"),
    "next": ("name", "title", "minutes", "pause"),
    "run": ("cell", "state", "seconds", "expected"),
    "alarm": ("title", "html"),
}
OFF = {"on": False, "trouble": ""}
REFUSED = (
    "This page needs a key, and this one is not valid or has expired. Scan the code on the second screen.\n"
)


def glimpse(name: str, part: Any) -> Any:
    """Keep of a part of the console what a phone gets to see."""
    if part is None:
        return None
    if name == "now":
        said = (note["html"] for note in part["notes"] if note["label"] == "Say")
        part = part | {"say_html": next(said, "")}
    return {field: part[field] for field in SHOWN[name]}


def understood(asked: Mapping[str, Any], view: View) -> dict[str, Any]:
    """Turn what a phone sends into what the console does; raises ValueError for all that a phone may not do.

    A phone names the cue that it goes to, so that a second tap, or somebody else's, skips nothing.
    """
    do = asked.get("do")
    if do == "next":
        name = view.following.cue.name if view.following else ""
        if not name or asked.get("cue") != name:
            raise ValueError("The talk has moved on meanwhile. Look again.")
        return {"do": "go", "cue": name}
    if do == "pause":
        return {"do": "pause", "kind": asked.get("kind")}
    if do == "resume":
        return {"do": "resume"}
    raise ValueError(f"A phone cannot do {do!r}. It can do: next, pause, resume.")


@dataclass(frozen=True)
class Key:
    """What opens the page, until it expires."""

    secret: str
    until: float  # s since 1970

    @classmethod
    def new(cls, *, now: float) -> Key:
        return cls(secrets.token_urlsafe(KEY_BYTES), now + KEY_SECONDS)

    def opens(self, given: str, *, now: float) -> bool:
        """Say whether this is the key, without telling by the time it takes how much of it is right."""
        return hmac.compare_digest(self.secret.encode(), given.encode()) and now < self.until


class Phone:
    """The listener: where it is open, and who may look."""

    def __init__(
        self,
        board: Board,
        *,
        view: Callable[[], View],
        act: Callable[[dict[str, Any]], None] | None = None,
        port: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make a key; `listen` opens the page.

        act: what next and pause are handed to; None: the phone can only look
        port: 0: any that is free; once open, it stays the same
        """
        self.board, self.view, self.act, self.port, self.clock = board, view, act, port, clock
        self.address = ""  # of the local network, as in the code; "" if no phone can reach this machine
        self.bound = ""  # the address of this machine that the page is open on
        self.trouble = ""  # why no phone can reach it
        self.server: httpserver.HTTPServer | None = None
        self.renew()
        board.show("may", {"drive": act is not None})

    def renew(self) -> None:
        """Make a new key; the one before opens nothing from now on."""
        self.key = Key.new(now=self.clock())

    def opens(self, given: str) -> bool:
        return self.key.opens(given, now=self.clock())

    def listen(self, address: str = "") -> None:
        """Open the page on an address with a new key, in place of where it was open before.

        address: this machine's own, or that of the laptop from which an ssh tunnel comes; "": find out

        Raises ValueError for an address of no local network, OSError if the port cannot be had there.
        """
        own = addresses()
        kind = "" if address else whereabouts()
        found = local(address) if address else (own[0] if own and not kind else "")
        self._bind(found if found in own else LOOPBACK)
        self.address, self.trouble = found, "" if found else unreachable(kind)
        self.renew()

    def _bind(self, address: str) -> None:
        if address == self.bound:
            return
        sockets = netutil.bind_sockets(self.port, address, family=socket.AF_INET)
        if self.server:
            self.server.stop()
        self.server = httpserver.HTTPServer(application(self), **LIMITS)
        self.server.add_sockets(sockets)
        self.bound, self.port = address, sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Let nobody in any more, and send away who is there."""
        self.renew()
        if self.server:
            self.server.stop()
            await self.server.close_all_connections()

    @property
    def host(self) -> str:
        """The name by which the page may be asked for; through any other it is refused."""
        return f"{self.address or 'localhost'}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/{self.key.secret}/"

    def part(self) -> dict[str, Any]:
        """Say on the console how to get there; this part is for the presenter only."""
        valid = self.opens(self.key.secret)
        return {
            "on": True,
            "drives": self.act is not None,
            "until": datetime.fromtimestamp(self.key.until).strftime("%H:%M") if valid else "",
            "url": self.url if valid else "",
            "code": code(self.url) if valid and self.address else None,
            "trouble": self.trouble,
            "tunnel": "" if self.address == self.bound else tunnel(self.address, self.port),
            "address": self.address,
            "addresses": addresses(),
        }


@lru_cache(maxsize=1)
def code(text: str) -> dict[str, Any]:
    """Draw a QR code: how many modules wide it is with its quiet margin, and the dark ones as an SVG path."""
    import segno

    made = segno.make_qr(text, error="m")
    border = made.default_border_size
    path = [
        f"M{border + run[0][0]} {border + y}h{len(run)}v1h-{len(run)}z"
        for y, row in enumerate(made.matrix)
        for dark, group in groupby(enumerate(row), key=lambda module: module[1])
        if dark and (run := list(group))
    ]
    return {"size": made.symbol_size()[0], "path": "".join(path)}


def tunnel(laptop: str, port: int) -> str:
    """Write the command that lets phones in through a laptop, to be typed there."""
    return f"ssh -N -L {laptop or 'LAPTOP'}:{port}:{LOOPBACK}:{port} USER@THIS-MACHINE"


# Where is this machine, and can a phone in the room reach it?


def local(address: str) -> str:
    """Give an address of a local network back.

    Raises ValueError for any other: the page is not encrypted and must not cross the Internet.
    """
    try:
        found = IPv4Address(address)
    except AddressValueError:
        raise ValueError(f"{address!r} is no IPv4 address. It must look like 192.168.1.20.") from None
    if not any(found in network for network in LOCAL):
        ranges = ", ".join(map(str, LOCAL))
        raise ValueError(f"{address} is in no local network. It must be in one of these: {ranges}.")
    return str(found)


def addresses() -> list[str]:
    """List this machine's addresses in local networks, the one that leads outwards first."""
    import psutil

    stats = psutil.net_if_stats()
    up = [name for name in stats if stats[name].isup and not name.startswith(INSIDE)]
    every = [one.address for name in up for one in psutil.net_if_addrs().get(name, [])]
    outward = _outward()
    return sorted(filter(_is_local, every), key=lambda address: address != outward)


def _is_local(address: str) -> bool:
    try:
        return bool(local(address))
    except ValueError:
        return False


def _outward() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation; to connect UDP sends nothing
        except OSError:
            return ""
        return probe.getsockname()[0]


def whereabouts(
    *, root: Path = Path("/"), environment: Mapping[str, str] = os.environ, release: str = ""
) -> str:
    """Say what kind of machine this is if a phone in the room hardly reaches it; "" for a laptop on the desk.

    root: where to look for the signs; release: the kernel's, "" for this one's
    """
    cloud = _text(root / "run/cloud-init/cloud-id").strip()
    if cloud not in NO_CLOUD:
        return f"a cloud instance ({cloud})"
    if "microsoft" in (release or platform.uname().release).lower():
        return "WSL, whose network Windows keeps to itself"
    if any((root / sign).exists() for sign in CONTAINER) or "KUBERNETES_SERVICE_HOST" in environment:
        return "a container"
    if "hypervisor" in _text(root / "proc/cpuinfo").split():
        return "a virtual machine, as in a cloud"
    client, _, server, *_ = (environment.get("SSH_CONNECTION", "") + " x x x").split()
    return "" if client == "x" or (_is_local(client) and _is_local(server)) else "reached over ssh"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def unreachable(kind: str) -> str:
    """Say why there is no code to scan."""
    if kind:
        return f"This machine is {kind}: it has no address that a phone in the room can reach."
    return "This machine is in no local network: it has no address that a phone in the room can reach."


# What is served.


def application(phone: Phone) -> web.Application:
    """Lay out the routes; every one of them is below the key."""
    key = r"/([A-Za-z0-9_-]+)"
    handlers = [
        (key + "/", PageHandler),
        (key + r"/page/([\w.]+)", FileHandler),
        (key + "/stream", StreamHandler),
        (key + "/act", ActHandler),
        (key + "/.*", Keyed),
    ]
    return web.Application(
        [(route, handler, {"phone": phone}) for route, handler in handlers],
        default_handler_class=Keyed,
        default_handler_args={"phone": phone},
        log_function=lambda handler: None,  # an address in the log would give the key away
    )


class Keyed(web.RequestHandler):
    """What all handlers share: nothing happens without the key. By itself, it serves nothing."""

    def initialize(self, phone: Phone) -> None:
        self.phone = phone

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        for name, value in HEADERS.items():
            self.set_header(name, value)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")

    def prepare(self) -> None:
        """Refuse whoever has no valid key, asks by another name or comes from another page."""
        asked, key = self.request, self.path_args[0] if self.path_args else ""
        origin = asked.headers.get("Origin")
        own = origin == f"http://{self.phone.host}" or (origin is None and asked.method != "POST")
        by_name = asked.headers.get_list("Host") == [self.phone.host]
        if not (self.phone.opens(key) and by_name and own):
            raise web.HTTPError(403)

    def get(self, *_: str) -> None:
        raise web.HTTPError(404)

    def write_error(self, status_code: int, **_: Any) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(REFUSED if status_code == 403 else f"{self._reason}\n")

    def log_exception(self, kind: Any, value: Any, trace: Any) -> None:
        """Log a fault of ours, without the address that was asked for."""
        if not isinstance(value, web.HTTPError):
            log.app_log.error("The phone page failed", exc_info=(kind, value, trace))

    def send(self, file: str) -> None:
        path = PAGE / file
        self.set_header("Content-Type", f"{KINDS[path.suffix]}; charset=utf-8")
        self.finish(path.read_bytes())


class PageHandler(Keyed):
    """The page."""

    def get(self, key: str) -> None:
        self.send("phone.html")


class FileHandler(Keyed):
    """The page's style, code and icon."""

    def get(self, key: str, name: str) -> None:
        if name not in FILES:
            raise web.HTTPError(404)
        self.send(name)


class StreamHandler(Keyed):
    """What a phone gets to see, and then every change, until it goes away or its key does."""

    async def get(self, key: str) -> None:
        self.set_header("Content-Type", "text/event-stream")
        queue = self.phone.board.join()
        try:
            while True:
                news = await self._news(queue)
                if not self.phone.opens(key):
                    break
                self.write(news)
                await self.flush()
            await self.finish("event: gone\ndata: null\n\n")
        except iostream.StreamClosedError:
            pass
        finally:
            self.phone.board.queues.discard(queue)

    async def _news(self, queue: asyncio.Queue[tuple[str, str]]) -> str:
        try:
            name, text = await asyncio.wait_for(queue.get(), PULSE)
        except asyncio.TimeoutError:
            return ":\n\n"  # a comment: finds out whether anybody is still there
        return f"event: {name}\ndata: {text}\n\n"


class ActHandler(Keyed):
    """Next and pause, where they are allowed."""

    def post(self, key: str) -> None:
        if self.phone.act is None:
            return self.answer(403, "This phone can only look.")
        try:
            asked = json.loads(self.request.body)
            if not isinstance(asked, dict):
                raise ValueError('What to do must come as a JSON object, such as {"do": "resume"}.')
            self.phone.act(understood(asked, self.phone.view()))
        except ValueError as error:
            return self.answer(400, str(error))
        self.answer(200, "")

    def answer(self, status: int, message: str) -> None:
        self.set_status(status)
        self.finish({"message": message})
