"""The presenter's phone: a small page on a listener of its own, behind a key of its own that expires.

    /KEY/           the page: the clock, what to do, the current cue and the next one
    /KEY/page/…     its style and code
    /KEY/stream     server-sent events: the fields in SHOWN, and nothing else of the console
    /KEY/act        next, pause, go on, and the fallback; only if that was allowed when the server was started

This listener knows nothing of Jupyter's listener: neither its login nor its token nor its pages. The key
stands in the path and not in a cookie, because browsers send a host's cookies to all of its ports. A missing
key, a foreign Origin and a foreign Host are answered alike, with 403, whatever the address.

The page is plain HTTP, so it is opened on one address of a local network. Where a phone cannot reach the
machine, as in a cloud, it is opened on the loopback alone, for an ssh tunnel from the presenter's laptop.
"""

from __future__ import annotations

import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tornado import iostream, web

from presenter.console import addresses
from presenter.console.listener import Listener, Plain, draw_code
from presenter.console.pages import STREAM, Board, read_news
from presenter.console.view import View
from workshop.units import HOUR

LOOK, DRIVE = "look", "drive"  # what a phone may do
KEY_BYTES, KEY_SECONDS = 16, 4 * HOUR  # 16 random bytes; valid 4 h: a talk, its break and an hour of set-up
FILES = ("phone.css", "phone.js", "stream.js", "icon.svg")
# The fields of each of the console's parts that a phone gets to see.
SHOWN = {
    "talk": ("state", "pause", "staged"),
    "clock": ("elapsed", "left", "ends", "pace", "late", "sentence"),
    "now": ("title", "where", "say_html", "points"),
    "time": ("text", "exceeded"),
    "next": ("name", "title", "minutes", "pause"),
    "run": ("cell", "state", "seconds", "expected"),
    "alarm": ("title", "html"),
}
OFF = {"on": False, "trouble": ""}
REFUSED = (
    "This page needs a key, and this one is not valid or has expired. Scan the code on the second screen.\n"
)


def select_shown(name: str, part: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the fields of one of the console's parts that a phone gets to see."""
    if part is None:
        return None
    if name == "now":
        words = (note["html"] for note in part["notes"] if note["label"] == "Say")
        part = {**part, "say_html": next(words, "")}
    return {field: part[field] for field in SHOWN[name]}


def translate_act(asked: Mapping[str, Any], view: View) -> dict[str, Any]:
    """Turn what a phone asks for into what the console's own page would ask for.

    A phone names the cue that it goes to, so that a second tap, or somebody else's, skips nothing.

    Raises ValueError for anything that a phone may not do.
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
    if do == "stage":
        return {"do": "stage", "on": asked.get("on")}
    raise ValueError(f"A phone cannot do {do!r}. It can do: next, pause, resume, stage.")


@dataclass(frozen=True)
class PhoneKey:
    """What opens the page, until it expires."""

    secret: str
    until: float  # s since 1970

    @classmethod
    def new(cls, *, now: float) -> PhoneKey:
        """Make a key that is valid from now, in s since 1970, for KEY_SECONDS."""
        return cls(secrets.token_urlsafe(KEY_BYTES), now + KEY_SECONDS)

    def opens(self, given: str, *, now: float) -> bool:
        """Return whether this is the valid key, in a time that does not depend on what was given."""
        return hmac.compare_digest(self.secret.encode(), given.encode()) and now < self.until


class Phone(Listener):
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

        act: does what a phone asks for; None: a phone can only look
        port: 0: any that is free; once open, it stays the same
        """
        super().__init__(port=port)
        self.board, self.view, self.act, self.clock = board, view, act, clock
        self.renew()
        board.show("may", {"drive": act is not None})

    def renew(self) -> None:
        """Make a new key; from now on the old one opens nothing."""
        self.key = PhoneKey.new(now=self.clock())

    def opens(self, given: str) -> bool:
        """Return whether this is the key and still valid."""
        return self.key.opens(given, now=self.clock())

    def listen(self, address: str = "") -> None:
        """Open the page with a new key on an address, and close it where it was open before.

        The address, and what is raised, are those of `Listener.listen`.
        """
        super().listen(address)
        self.renew()

    def make_application(self) -> web.Application:
        """Lay out the addresses, each of which begins with the key."""
        return make_application(self)

    async def close(self) -> None:
        """Make the key invalid and close every connection."""
        self.renew()
        await super().close()

    @property
    def url(self) -> str:
        """The page's address with its key."""
        return f"http://{self.host}/{self.key.secret}/"

    def describe(self) -> dict[str, Any]:
        """Return the console's part about the phone page: how to get there. Only the presenter sees it."""
        valid = self.opens(self.key.secret)
        return {
            "on": True,
            "drives": self.act is not None,
            "until": datetime.fromtimestamp(self.key.until).strftime("%H:%M") if valid else "",
            "url": self.url if valid else "",
            "code": draw_code(self.url) if valid and self.shown_address else None,
            "trouble": self.trouble,
            "tunnel": self.tunnel,
            "address": self.shown_address,
            "addresses": addresses.list_addresses(),
        }


def make_application(phone: Phone) -> web.Application:
    """Lay out the addresses, each of which begins with the key."""
    key = r"/([A-Za-z0-9_-]+)"
    handlers = [
        (key + "/", KeyedPage),
        (key + r"/page/([\w.]+)", KeyedFile),
        (key + "/stream", KeyedStream),
        (key + "/act", KeyedAct),
        (key + "/.*", Keyed),
    ]
    return web.Application(
        [(route, handler, {"phone": phone}) for route, handler in handlers],
        default_handler_class=Keyed,
        default_handler_args={"phone": phone},
        log_function=lambda handler: None,  # an address in the log would give the key away
    )


class Keyed(Plain):
    """What all handlers share: they answer nobody without the key. By itself, it finds nothing."""

    refused = REFUSED

    def initialize(self, phone: Phone) -> None:
        """Take the listener from the application."""
        self.phone = phone

    def prepare(self) -> None:
        """Refuse a request without a valid key, with another Host, or from another page."""
        asked, key = self.request, self.path_args[0] if self.path_args else ""
        origin = asked.headers.get("Origin")
        own = origin == f"http://{self.phone.host}" or (origin is None and asked.method != "POST")
        if not (self.phone.opens(key) and self.phone.knows(asked) and own):
            raise web.HTTPError(403)


class KeyedPage(Keyed):
    """The page."""

    def get(self, *_: str) -> None:
        """Send it."""
        self.send("phone.html")


class KeyedFile(Keyed):
    """The page's style, code and icon."""

    def get(self, *path: str) -> None:
        """Send one of FILES."""
        name = path[-1]
        if name not in FILES:
            raise web.HTTPError(404)
        self.send(name)


class KeyedStream(Keyed):
    """What a phone gets to see, and then every change, until the phone goes away or its key expires.

    It ends within PULSE after the key has expired.
    """

    async def get(self, *path: str) -> None:
        """Send each part of the board, and each again when it changes."""
        key = path[0]
        for name, value in STREAM.items():
            self.set_header(name, value)
        queue = self.phone.board.join()
        try:
            async for news in read_news(queue):
                if not self.phone.opens(key):
                    break
                self.write(news)
                await self.flush()
            await self.finish("event: gone\ndata: null\n\n")
        except iostream.StreamClosedError:
            pass
        finally:
            self.phone.board.queues.discard(queue)


class KeyedAct(Keyed):
    """Next, pause and the fallback, where they are allowed."""

    def post(self, *_: str) -> None:
        """Do what the JSON object in the body asks for; if refused, answer with what is allowed."""
        if self.phone.act is None:
            return self.answer(403, "This phone can only look.")
        try:
            asked = json.loads(self.request.body)
            if not isinstance(asked, dict):
                raise ValueError('What to do must come as a JSON object, such as {"do": "resume"}.')
            self.phone.act(translate_act(asked, self.phone.view()))
        except ValueError as error:
            return self.answer(400, str(error))
        self.answer(200, "")

    def answer(self, status: int, message: str) -> None:
        """Send a message as JSON."""
        self.set_status(status)
        self.finish({"message": message})
