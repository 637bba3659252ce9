"""The console's pages and one talk without JupyterLab: a small server for a browser to look at."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from presenter import fallbacks
from presenter.console import pages
from presenter.console.talk import Console

LOOK = 0.03  # s between two looks at the board


class Room(ThreadingHTTPServer):
    """Serves the pages, the stream and the acts of one console, at an address of this machine."""

    daemon_threads = True

    def __init__(self, console: Console | None, *, pictures: Path, bare: bytes = b"") -> None:
        """Serve in the background; `close` ends it.

        bare: the page that stands at /presenter/, for a script to draw on
        """
        self.console, self.pictures, self.bare = console, pictures, bare
        self.lock = threading.Lock()
        self.going = True
        self.stalled = False  # a line that carries nothing, and is not closed
        self.holding = False  # whether places of the pointer wait for their answer
        self.held = 0  # places that wait now
        self.deaf = False  # whether no place of the pointer is heard
        self.late = ""  # the name of a picture's file that is not sent yet
        super().__init__(("127.0.0.1", 0), _Answers)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def address(self, path: str) -> str:
        """Return the address of a path."""
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def close(self) -> None:
        """End it and its streams."""
        self.going = False
        self.shutdown()
        self.server_close()


class _Answers(BaseHTTPRequestHandler):
    server: Room

    def do_GET(self) -> None:
        name = Path(self.path).name
        if self.path == "/presenter/stream":
            self._stream()
        elif self.path.startswith("/presenter/page/"):
            self._send(pages.KINDS[Path(name).suffix], (pages.PAGE / name).read_bytes())
        elif self.path.startswith("/presenter/picture/") and (self.server.pictures / name).is_file():
            while self.server.late == name and self.server.going:
                time.sleep(LOOK)
            self._send("image/png", fallbacks.draw_for_projector(self.server.pictures / name))
        elif self.path == "/presenter/":
            self._send("text/html", self.server.bare)
        elif self.path in ("/presenter", "/presenter/stage"):
            file = "console.html" if self.path == "/presenter" else "stage.html"
            self._send("text/html", (pages.PAGE / file).read_bytes())
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.server.console
        if asked["do"] == "point":
            self._hold()
            if self.server.deaf:
                self.send_error(503)
                return
        try:
            with self.server.lock:
                self.server.console.act(asked)
        except ValueError as error:
            self._send("application/json", json.dumps({"message": str(error)}).encode(), status=400)
        else:
            self._send("application/json", b"{}")

    def _hold(self) -> None:
        with self.server.lock:
            self.server.held += 1
        while self.server.holding and self.server.going:
            time.sleep(LOOK)
        with self.server.lock:
            self.server.held -= 1

    def _send(self, kind: str, body: bytes, *, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Security-Policy", "" if self.path == "/presenter/" else pages.POLICY)
        self.send_header("Cache-Control", "max-age=600" if kind == "image/png" else "no-store")
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        """Send each part of the board, and each again when it changes; the clock goes on meanwhile."""
        self._wait_for_line()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        sent: dict[str, Any] = {}
        try:
            while self.server.going and self.server.console:
                self._wait_for_line()
                with self.server.lock:
                    self.server.console.refresh()
                    parts = dict(self.server.console.board.parts)
                for name, text in parts.items():
                    if sent.get(name) != text:
                        self.wfile.write(f"event: {name}\ndata: {text}\n\n".encode())
                sent = parts
                self.wfile.write(b"event: pulse\ndata: 0\n\n")
                time.sleep(LOOK)
        except OSError:  # the browser has gone
            return

    def _wait_for_line(self) -> None:
        while self.server.stalled and self.server.going:
            time.sleep(LOOK)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
