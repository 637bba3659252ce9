"""What the server answers: pages, pictures, the stream of changes, and what the presenter does."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from jupyter_server.base.handlers import APIHandler, JupyterHandler
from tornado import iostream, web

from presenter import fallbacks
from presenter.console import addresses
from presenter.console.listener import Listener
from presenter.console.pages import HEADERS, KINDS, PAGE, STREAM, read_news
from presenter.console.talk import Console

MOST = 1000  # bytes of what a page asks for


class Private(JupyterHandler):
    """What all handlers of the console share: its headers, which let nothing foreign into a page."""

    def set_default_headers(self) -> None:
        """Set the console's headers here, where they take the place of the server-wide ones."""
        super().set_default_headers()
        for name, value in HEADERS.items():
            self.set_header(name, value)

    @property
    def console(self) -> Console:
        """The console of this server."""
        return self.settings["presenter_console"]


class PageHandler(Private):
    """One of the two pages."""

    def initialize(self, file: str) -> None:
        """Take the page's file name from the route."""
        self.file = file

    @web.authenticated
    def get(self) -> None:
        """Send the page, and the cookie whose token it sends back with whatever it does.

        An address with Jupyter's token in it, or with a slash at its end, leads to the bare one: nobody in
        the room shall read the token, and the page finds its files from the bare address only.
        """
        self.xsrf_token  # noqa: B018  reading it sets the cookie
        if self.request.path.endswith("/") or "token" in self.request.query_arguments:
            self.redirect(self.request.path.rstrip("/"))
            return
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish((PAGE / self.file).read_bytes())


class FileHandler(Private):
    """The pages' style, code and icon."""

    @web.authenticated
    def get(self, name: str) -> None:
        """Send a file of the page's folder that is not a page itself."""
        path = PAGE / name
        if path.suffix not in KINDS or path.suffix == ".html" or not path.is_file():
            raise web.HTTPError(404)
        self.set_header("Content-Type", f"{KINDS[path.suffix]}; charset=utf-8")
        self.finish(path.read_bytes())


class PictureHandler(Private):
    """The fallback picture of a cue."""

    @web.authenticated
    async def get(self, name: str) -> None:
        """Send the picture of this name as the projector shows it, if a cue names it."""
        names = {cue.fallback for cue in self.console.material.cues}
        path = self.console.pictures / f"{name}.png"
        if name not in names or not path.is_file():
            raise web.HTTPError(404)
        self.set_header("Content-Type", "image/png")
        self.finish(await asyncio.to_thread(fallbacks.draw_for_projector, path))


class StreamHandler(Private, APIHandler):
    """Everything on the board, and then every change, until the page goes away."""

    @web.authenticated
    async def get(self) -> None:
        """Send each part of the board, and each again when it changes."""
        for name, value in STREAM.items():
            self.set_header(name, value)
        queue = self.console.board.join()
        try:
            async for news in read_news(queue):
                self.write(news)
                if queue.empty():
                    await self.flush()
        except iostream.StreamClosedError:
            pass
        finally:
            self.console.board.queues.discard(queue)


@web.stream_request_body
class ActHandler(Private, APIHandler):
    """What the presenter does on the page."""

    def initialize(self) -> None:
        """Begin with an empty body."""
        self.body = b""

    async def prepare(self) -> None:  # type: ignore[override]  # tornado's argument for logins is Jupyter's
        """Refuse a body of more than MOST bytes before it is read: Jupyter itself would take 512 MB."""
        self.request.connection.set_max_body_size(MOST)  # type: ignore[union-attr]
        await super().prepare()

    def data_received(self, chunk: bytes) -> None:
        """Take in a part of the body."""
        self.body += chunk

    @web.authenticated
    def post(self) -> None:
        """Do what the JSON object in the body asks for, or answer 400 with what would be right."""
        try:
            asked = json.loads(self.body)
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict):
            raise web.HTTPError(400, 'What to do must come as a JSON object, such as {"do": "resume"}.')
        try:
            self.act(asked)
        except ValueError as error:
            raise web.HTTPError(400, str(error)) from error
        self.finish({})

    def act(self, asked: dict[str, Any]) -> None:
        """Do it; raises ValueError if that cannot be."""
        self.console.act(asked)


class PhoneHandler(ActHandler):
    """What the presenter does about the pages for the room: another key for the phone, or another address."""

    def act(self, asked: dict[str, Any]) -> None:
        """Renew the key or move the page; raises ValueError if that cannot be."""
        listener = self.console.phone
        if listener is None:
            raise ValueError("The phone page is off. Start the server with: ./scripts/presenter lab --phone")
        if asked.get("do") == "renew":
            listener.renew()
        elif asked.get("do") == "address":
            address = addresses.check_local(str(asked.get("address", "")))
            move_page(listener, address, name="phone")
            if self.console.students:  # the same people reach it in the same way
                move_page(self.console.students, address, name="students'")
        else:
            raise ValueError(f"There is nothing to do for {asked.get('do')!r}. These are: renew, address.")
        self.console.show_phone()


def move_page(listener: Listener, address: str, *, name: str) -> None:
    """Open a page for the room on another address; raises ValueError if that cannot be."""
    try:
        listener.listen(address)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise ValueError(f"The {name} page cannot be opened on port {listener.port}: {why}.") from error
