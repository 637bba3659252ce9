"""A page for people in the room, on a listener of its own that knows nothing of Jupyter's.

It is plain HTTP, so it is opened on one address of a local network. Where nobody in the room can reach the
machine, as in a cloud, it is opened on the loopback alone, for an ssh tunnel from the presenter's laptop.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable
from functools import lru_cache
from itertools import groupby
from types import TracebackType
from typing import Any

from tornado import httpserver, httputil, log, netutil, web

from presenter.console import addresses
from presenter.console.pages import HEADERS, KINDS, PAGE

LIMITS = {"max_header_size": 8192, "max_body_size": 1000, "body_timeout": 10, "idle_connection_timeout": 60}


class Listener:
    """Where a page is open."""

    def __init__(self, *, port: int = 0) -> None:
        """Open nothing yet.

        port: 0: any that is free; once open, it stays the same
        """
        self.port = port
        self.shown_address = ""  # the address in the QR code; "" if nobody in the room can reach this machine
        self.bound_address = ""  # the address of this machine on which the page is open
        self.trouble = ""  # why nobody in the room can reach this machine
        self.server: httpserver.HTTPServer | None = None

    def make_application(self) -> web.Application:
        """Lay out the addresses."""
        raise NotImplementedError

    def listen(self, address: str = "") -> None:
        """Open the page on an address, and close it where it was open before.

        address: an address of this machine, or the laptop's at the other end of an ssh tunnel; empty:
            choose one

        Raises ValueError for an address of no local network, OSError if the port cannot be had there.
        """
        own = addresses.list_addresses()
        obstacle = "" if address else addresses.find_obstacle()
        found = addresses.check_local(address) if address else (own[0] if own and not obstacle else "")
        self._bind(found if found in own else addresses.LOOPBACK)
        self.shown_address, self.trouble = found, "" if found else addresses.explain_obstacle(obstacle)

    def _bind(self, address: str) -> None:
        if address == self.bound_address:
            return
        sockets = netutil.bind_sockets(self.port, address, family=socket.AF_INET)
        if self.server:
            self.server.stop()
        self.server = httpserver.HTTPServer(self.make_application(), **LIMITS)
        self.server.add_sockets(sockets)
        self.bound_address, self.port = address, sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Close the page and every connection; `listen` opens it anew."""
        if self.server:
            self.server.stop()
            await self.server.close_all_connections()
        self.server, self.bound_address = None, ""

    @property
    def host(self) -> str:
        """The Host by which the page is asked for."""
        return f"{self.shown_address or 'localhost'}:{self.port}"

    def knows(self, request: httputil.HTTPServerRequest) -> bool:
        """Return whether a request asks for this page by its own Host: a foreign name is another site's."""
        return request.headers.get_list("Host") == [self.host]

    @property
    def tunnel(self) -> str:
        """The command that brings the page to the presenter's laptop; "" if it is open where it is shown."""
        if self.shown_address == self.bound_address:
            return ""
        return addresses.write_tunnel(self.shown_address, self.port)


class Plain(web.RequestHandler):
    """What the handlers of such a page share. By itself, it finds nothing."""

    refused = ""  # what a 403 says

    def set_default_headers(self) -> None:
        """Set the console's headers and two more, and name no server."""
        self.clear_header("Server")
        for name, value in HEADERS.items():
            self.set_header(name, value)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")

    def get(self, *_: str) -> Awaitable[None] | None:
        """Find nothing: every address that exists has a handler of its own."""
        raise web.HTTPError(404)

    def write_error(self, status_code: int, **_: Any) -> None:
        """Write the reason in plain words, without a trace."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(self.refused if status_code == 403 else f"{self._reason}\n")

    def log_exception(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Log a fault of ours, without the address that was asked for, which may have a key in it."""
        if not isinstance(value, web.HTTPError):
            log.app_log.error("A page for the room failed", exc_info=value)

    def send(self, file: str) -> None:
        """Send a file of the page's folder."""
        path = PAGE / file
        self.set_header("Content-Type", f"{KINDS[path.suffix]}; charset=utf-8")
        self.finish(path.read_bytes())


@lru_cache(maxsize=4)
def draw_code(text: str) -> dict[str, Any]:
    """Draw a QR code.

    returns: size, its modules from side to side with the quiet margin; path, the dark modules as an SVG path
    """
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
