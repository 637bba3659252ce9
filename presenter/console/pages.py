"""What the console's and the phone's listener share: files, headers, and the board with what they show."""

from __future__ import annotations

import asyncio
import json
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


class Board:
    """The parts of a page: whoever joins gets all of them, and then each one that changes."""

    def __init__(self) -> None:
        self.parts: dict[str, str] = {}  # name to JSON
        self.queues: set[asyncio.Queue[tuple[str, str]]] = set()

    def show(self, name: str, part: Any) -> None:
        """Show a part; it is sent only if it has changed."""
        text = json.dumps(part, ensure_ascii=False)
        if self.parts.get(name) != text:
            self.parts[name] = text
            for queue in self.queues:
                queue.put_nowait((name, text))

    def join(self) -> asyncio.Queue[tuple[str, str]]:
        """Return a queue of all parts, which then gets each change; discard it from `queues` in the end."""
        queue: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        for item in self.parts.items():
            queue.put_nowait(item)
        self.queues.add(queue)
        return queue
