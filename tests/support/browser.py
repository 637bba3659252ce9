"""Chromium without a window, driven over its DevTools protocol: its tabs, and JupyterLab in one of them.

WORKSHOP_SCREENSHOTS names a folder to keep the pictures in.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from presenter import kernels
from presenter.handout import export
from tests.support.server import TOKEN, Server

websocket = pytest.importorskip(
    "websocket", reason="websocket-client is not installed: pip install -e .[test]"
)
CHROMIUM = export.find_browser()
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0"]
FLAGS += ["--disable-background-networking", "--disable-dev-shm-usage", "--hide-scrollbars"]
PATIENCE = 120.0  # s; JupyterLab on a busy machine
LAPTOP, PROJECTOR, NARROW = (1366, 768), (1280, 720), (390, 844)
KEYS = {"PageDown": 34, "PageUp": 33, "ArrowRight": 39, "ArrowLeft": 37, "Escape": 27, "Enter": 13, "Tab": 9}
KEYS |= {"ArrowDown": 40, "ArrowUp": 38, " ": 32}
DOMAINS = ("Page", "Runtime", "Log", "Network", "Accessibility")
ALT, CTRL, SHIFT = 1, 2, 8  # among CDP's modifiers
# What a page said in its console, and errors of the page itself, such as a breach of its security policy.
SAID = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")


class Tab:
    """One page of the browser."""

    def __init__(self, address: str, *, domains: tuple[str, ...] = DOMAINS) -> None:
        self.socket = websocket.create_connection(address, suppress_origin=True, timeout=PATIENCE)
        self.numbers = itertools.count(1)
        self.said: list[dict] = []
        self.asked: list[str] = []  # addresses that the page has loaded
        for domain in domains:
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol, and take in what the page says meanwhile."""
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("method") in SAID:
                self.said.append(message["params"])
            if message.get("method") == "Network.requestWillBeSent":
                self.asked.append(message["params"]["request"]["url"])
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]

    def size(self, width: int, height: int) -> None:
        """Make the page this large, in px."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def js(self, expression: str) -> Any:
        """Evaluate an expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, expression: str) -> Any:
        """Wait until an expression is true in the page; an error counts as not yet.

        Raises AssertionError, with what the page shows and what it said last, after PATIENCE.
        """
        limit = time.monotonic() + PATIENCE
        while time.monotonic() < limit:
            value = self.js(f"(() => {{ try {{ return {expression} }} catch {{ return null }} }})()")
            if value:
                return value
            time.sleep(0.05)
        page = self.js("document.body.innerText")[:1500]
        raise AssertionError(f"never true: {expression}; said last: {self.said[-2:]}; the page: {page}")

    def text(self, element: str) -> str:
        """Return an element's text."""
        return self.js(f"document.getElementById('{element}').innerText")

    def sees(self, element: str) -> bool:
        """Return whether an element is visible."""
        return self.js(f"document.getElementById('{element}').checkVisibility()")

    def wait_text(self, element: str, text: str) -> None:
        """Wait until an element's text has this in it."""
        self.wait(f"document.getElementById('{element}').innerText.includes({json.dumps(text)})")

    def key(self, key: str, *, modifiers: int = 0, repeats: int = 0, every: float = 0.0) -> None:
        """Press a key, hold it until it has repeated itself so many times, and let it go.

        every: s before each repeat
        """
        code = KEYS.get(key) or (ord(key.upper()) if key.isalnum() else 0)
        typed = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
        shared = {"key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        shared |= {"code": f"Key{key.upper()}"} if len(key) == 1 and key.isalpha() else {}
        for repeat in range(1 + repeats):
            time.sleep(every if repeat else 0)
            self.call("Input.dispatchKeyEvent", type="keyDown", autoRepeat=repeat > 0, **shared, **typed)
        self.call("Input.dispatchKeyEvent", type="keyUp", **shared)

    def click(self, expression: str) -> None:
        """Click on the element that an expression gives."""
        box = self.js(
            f"(() => {{ const element = {expression}; element.scrollIntoView({{block: 'center'}});"
            " return element.getBoundingClientRect().toJSON() })()"
        )
        where = {"x": box["x"] + min(box["width"], 60) / 2, "y": box["y"] + box["height"] / 2}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **where)

    def picture(self, name: str) -> None:
        """Keep a picture of the page, if WORKSHOP_SCREENSHOTS names a folder."""
        folder = Path(os.environ.get("WORKSHOP_SCREENSHOTS") or "/dev/null")
        if folder.is_dir():
            shot = self.call("Page.captureScreenshot", format="png")["data"]
            (folder / f"{name}.png").write_bytes(base64.b64decode(shot))


class Browser:
    """Chromium without a window."""

    def __init__(self, profile: Path, *flags: str) -> None:
        assert CHROMIUM, "no Chromium here: apt-get install chromium"
        command = [CHROMIUM, *FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"]
        log = profile / "log"
        with log.open("wb") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
        port = profile / "DevToolsActivePort"
        limit = time.monotonic() + PATIENCE
        while not (port.exists() and port.read_text().strip()):
            if time.monotonic() > limit or self.process.poll() is not None:
                raise AssertionError(f"Chromium did not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        self.port = port.read_text().split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/json/version", timeout=PATIENCE) as answer:
            self.whole = Tab(json.load(answer)["webSocketDebuggerUrl"], domains=())
        self.tabs: list[Tab] = [self.whole]

    def open(self, address: str, size: tuple[int, int]) -> Tab:
        """Open a page in a window of its own, as on two screens: so no page is in the background."""
        target = self.whole.call("Target.createTarget", url="about:blank", newWindow=True)["targetId"]
        tab = Tab(f"ws://127.0.0.1:{self.port}/devtools/page/{target}")
        self.tabs.append(tab)
        tab.size(*size)
        tab.call("Page.navigate", url=address)
        return tab

    def close(self) -> None:
        """Close the pages and end the browser."""
        for tab in self.tabs:
            tab.socket.close()
        os.killpg(self.process.pid, signal.SIGTERM)  # its own group: Chromium is many processes
        self.process.wait(PATIENCE)


class Lab:
    """JupyterLab on the lesson's first notebook, used by mouse and keyboard."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab
        tab.wait("document.querySelectorAll('.jp-Notebook .jp-CodeCell .cm-content').length === 5")
        tab.wait("document.querySelector('.jp-Notebook-ExecutionIndicator').dataset.status === 'idle'")

    def run(self, number: int) -> None:
        """Run a cell, counted from 0, as a hand does."""
        self.tab.click(f"document.querySelectorAll('.jp-Notebook .jp-CodeCell .cm-content')[{number}]")
        time.sleep(2 * kernels.QUEUED)
        self.tab.key("Enter", modifiers=SHIFT)

    @contextmanager
    def instead(self, number: int, source: str) -> Iterator[None]:
        """Let a cell of one line hold another one for a while."""
        cell = f"document.querySelectorAll('.jp-Notebook .jp-CodeCell .cm-content')[{number}]"
        before = self.tab.js(f"{cell}.innerText")
        self._type(cell, source)
        yield
        self._type(cell, before)

    def _type(self, cell: str, source: str) -> None:
        self.tab.click(cell)
        self.tab.key("a", modifiers=CTRL)
        self.tab.call("Input.insertText", text=source)
        self.tab.wait(f"{cell}.innerText === {json.dumps(source)}")

    def interrupt(self) -> None:
        """Press the key for it twice, as JupyterLab wants it."""
        for key in ("Escape", "i", "i"):
            self.tab.key(key)


def open_page(browser: Browser, server: Server, path: str, size: tuple[int, int]) -> Tab:
    """Open a page of the server, logged in."""
    return browser.open(f"http://localhost:{server.port}/{path}?token={TOKEN}", size)
