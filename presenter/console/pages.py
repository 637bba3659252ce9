"""What both listeners serve, the console's and the phone's: files, and a board with what they show."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("page")
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
POLICY = "; ".join(
    ["default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'"]
    + ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the address may carry a key
}


class Board:
    """The parts of the page: whoever looks gets all of them, and then each that changes."""

    def __init__(self) -> None:
        self.parts: dict[str, str] = {}  # name: JSON
        self.queues: set[asyncio.Queue[tuple[str, str]]] = set()

    def show(self, name: str, part: Any) -> None:
        """Show a part; nobody is told of one that is as it was."""
        text = json.dumps(part, ensure_ascii=False)
        if self.parts.get(name) != text:
            self.parts[name] = text
            for queue in self.queues:
                queue.put_nowait((name, text))

    def join(self) -> asyncio.Queue[tuple[str, str]]:
        """Give somebody who begins to look a queue with all there is; `queues` must forget it in the end."""
        queue: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        for item in self.parts.items():
            queue.put_nowait(item)
        self.queues.add(queue)
        return queue
