"""JupyterLab with the presenter's console in a process of its own, and questions to ask it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from presenter import journal
from presenter.console import pages
from presenter.journal import Act
from tests.support.lesson import write_lesson

TOKEN = "the-key-of-the-house"
PATIENCE = 180  # s; JupyterLab on a busy machine


class Server:
    """JupyterLab with the console, in a process of its own, on a small lesson."""

    def __init__(
        self, folder: Path, *, scale: float = 1.0, words: tuple[str, ...] = ("--minutes", "30")
    ) -> None:
        self.folder, self.words = folder, words
        self.talk, self.log = folder / "talk", folder / "log"
        self.sheets, self.books = write_lesson(folder, scale=scale)
        (folder / "pictures").mkdir()
        self.port = 0  # any; a restart takes the same again

    def start(self) -> None:
        """Start it, and wait until it answers; after a stop, on the same port as before."""
        settings = [
            f"--{name}={folder}"
            for name, folder in (("talk", self.talk), ("cues", self.sheets), ("notebooks", self.books))
        ]
        settings += [f"--PresenterConsole.pictures={self.folder / 'pictures'}"]
        settings += [f"--PresenterConsole.runtimes={self.folder / 'runtimes.json'}"]
        settings += [f"--IdentityProvider.token={TOKEN}"]
        settings += ["--originals", "--no-browser", f"--port={self.port}", "--allow-root"]
        own = {
            f"JUPYTER_{name}_DIR": str(self.folder / name.lower()) for name in ("CONFIG", "RUNTIME", "DATA")
        }
        code = "import sys; from presenter.console.lab import main; sys.exit(main(sys.argv[1:]))"
        with self.log.open("ab") as log:
            command = [sys.executable, "-c", code, *self.words, *settings]
            self.process = subprocess.Popen(
                command, env=os.environ | own, stdout=log, stderr=log, cwd=self.folder
            )
        self.port = self._find_port()
        self._knock()

    def _knock(self) -> None:
        """Wait until somebody listens on the port: the server writes its number down before that."""
        limit = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("localhost", self.port), timeout=PATIENCE).close()
                return
            except ConnectionRefusedError:
                if time.monotonic() > limit or self.process.poll() is not None:
                    raise
                time.sleep(0.1)

    def _find_port(self) -> int:
        limit = time.monotonic() + PATIENCE
        while time.monotonic() < limit and self.process.poll() is None:
            for file in (self.folder / "runtime").glob(f"jpserver-{self.process.pid}.json"):
                try:
                    return int(json.loads(file.read_text(encoding="utf-8"))["port"])
                except (ValueError, KeyError):  # not written to its end yet
                    pass
            time.sleep(0.1)
        raise AssertionError(f"the server did not start:\n{self.log.read_text(encoding='utf-8')}")

    def stop(self) -> None:
        """End it, by force if it does not end by itself."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def ask(
        self, method: str, path: str, *, body: Any = None, token: str = "", **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Ask once; of a stream, read the beginning."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["Authorization"] = f"token {token}"
        connection = http.client.HTTPConnection("localhost", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body=None if body is None else json.dumps(body), headers=sent)
            answer = connection.getresponse()
            stream = answer.headers.get_content_type() == "text/event-stream"
            return answer.status, answer.headers, answer.fp.readline() if stream else answer.read()
        finally:
            connection.close()

    def act(self, **asked: Any) -> tuple[int, str]:
        """Ask for an act as the page does; return the status and the message."""
        status, _, body = self.ask("POST", "/presenter/act", body=asked, token=TOKEN)
        return status, json.loads(body).get("message", "")

    def acts(self) -> list[Act]:
        """Read the acts of its talk."""
        return journal.read(self.talk / journal.JOURNAL)[0]


def log_in(server: Server) -> dict[str, str]:
    """Log in as a browser does, by the address with the token; return the cookies."""
    _, headers, _ = server.ask("GET", f"/presenter?token={TOKEN}")
    pairs = [line.partition(";")[0].partition("=") for line in headers.get_all("Set-Cookie") or []]
    return {name: value for name, _, value in pairs}


def jar(cookies: dict[str, str]) -> str:
    """Write cookies as a browser sends them."""
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


def assert_strict(headers: http.client.HTTPMessage) -> None:
    """Check what every answer, to the second screen or to a phone, must forbid."""
    policy = headers.get_all("Content-Security-Policy")
    assert policy == [pages.POLICY]
    assert "default-src 'none'" in policy[0] and "unsafe" not in policy[0] and "*" not in policy[0]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
