"""What the console's and the phone's listener share: files, headers, and the board with what they show."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("page")
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
POLICY = "; ".join(
    [
        *("default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'"),
        *("connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"),
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the phone page's address has the key in it
}
STREAM = {  # headers of a stream of server-sent events
    "Content-Type": "text/event-stream",
    "X-Accel-Buffering": "no",  # else nginx keeps small events back until its buffer is full
}
PULSE = 1.0  # s; a stream says something at least this often, so that no proxy takes it for dead


class News(asyncio.Queue[tuple[str, str]]):
    """What a page has not been sent yet: of each part the newest, however long the page does not read."""

    def _init(self, maxsize: int) -> None:
        self._queue: dict[str, str] = {}

    def _put(self, item: tuple[str, str]) -> None:
        name, text = item
        self._queue[name] = text

    def _get(self) -> tuple[str, str]:
        name = next(iter(self._queue))
        return name, self._queue.pop(name)


class Board:
    """The parts of a page: whoever joins gets all of them, and then each one that changes."""

    def __init__(self) -> None:
        self.parts: dict[str, str] = {}  # name to JSON
        self.queues: set[News] = set()

    def show(self, name: str, part: Any) -> None:
        """Show a part; it is sent only if it has changed."""
        text = json.dumps(part, ensure_ascii=False)
        if self.parts.get(name) != text:
            self.parts[name] = text
            for queue in self.queues:
                queue.put_nowait((name, text))

    def join(self) -> News:
        """Return a queue of all parts, which then gets each change; discard it from `queues` in the end."""
        queue = News()
        for item in self.parts.items():
            queue.put_nowait(item)
        self.queues.add(queue)
        return queue


async def read_news(queue: News) -> AsyncIterator[str]:
    """Give each change as a server-sent event, and a pulse every PULSE, however much changes meanwhile.

    A page may show few of the parts, so it goes by the pulse; and sending that fails if the browser has gone.
    """
    now = asyncio.get_running_loop().time
    due = now() + PULSE
    while True:
        with contextlib.suppress(asyncio.TimeoutError):
            name, text = await asyncio.wait_for(queue.get(), due - now())
            yield f"event: {name}\ndata: {text}\n\n"
        if now() >= due:
            yield "event: pulse\ndata: 0\n\n"
            due = now() + PULSE
