"""Follow the kernels from outside: read the event log as it grows, and know what every cell came to.

The lines are written by hook.py, inside the kernels, and every kernel has its own process id. A kernel that
is killed says nothing; `Kernels.lost` asks the system whether it is still there.
"""

from __future__ import annotations

import json
import os
from collections.abc import MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

STARTUP = Path(__file__).with_name("startup.py")
QUEUED = (
    0.1  # s between two cells; nobody presses the keys faster, a kernel starts what waits within milliseconds
)
CHUNK = 1 << 20  # bytes read at once
KINDS = ("start", "pre", "post", "stop")


@dataclass(frozen=True)
class Event:
    """One line of the log."""

    at: float  # s since 1970, by the kernel's clock
    event: str  # one of KINDS
    pid: int
    notebook: str  # the path that Jupyter gave the kernel
    cell: str = ""
    error: str = ""  # name of the exception
    message: str = ""  # its first line
    memory: bool = False  # memory ran out


@dataclass(frozen=True)
class Run:
    """One execution of a cell: running until it has ended."""

    notebook: str  # stem, as 02_inference
    cell: str
    pid: int
    began: float  # s since 1970
    queued: bool = False  # began right after another cell: Run All, not a hand
    ended: float | None = None
    state: str = "running"  # then "done", "failed", "interrupted", "out of memory" or "died"
    error: str = ""
    message: str = ""


def watch(environment: MutableMapping[str, str], *, log: Path) -> None:
    """Make every kernel that is started with this environment report its cells to a log.

    What PYTHONSTARTUP named before still runs. Raises OSError if the log cannot be written.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.fchmod(handle, 0o600)
    os.close(handle)
    before = environment.get("PYTHONSTARTUP", "")
    if before and before != str(STARTUP):
        environment["PRESENTER_STARTUP"] = before
    environment["PRESENTER_EVENTS"] = str(log.absolute())
    environment["PYTHONSTARTUP"] = str(STARTUP)


class Tail:
    """Reads what was appended to the log since the last look."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.unreadable = 0  # lines that were no event
        self._offset = 0
        self._rest = b""  # a line that is not whole yet

    def read(self) -> list[Event]:
        """Give the new events in order; none if the log has not grown or is not there yet."""
        try:
            if self.log.stat().st_size < self._offset:  # somebody emptied it
                self._offset, self._rest = 0, b""
            with self.log.open("rb") as file:
                file.seek(self._offset)
                data = file.read(CHUNK)
        except FileNotFoundError:
            return []
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        events = [event for line in lines if (event := parsed(line))]
        self.unreadable += len(lines) - len(events)
        return events


def parsed(line: bytes) -> Event | None:
    """Read one line; None if it is no event, as after a power cut."""
    try:
        raw: dict[str, Any] = json.loads(line)
        event = Event(**raw)
    except (ValueError, TypeError):
        return None
    return event if event.event in KINDS else None


class Kernels:
    """What the kernels did and do, from their events."""

    def __init__(self) -> None:
        self.runs: list[Run] = []  # in the order in which they began
        self.kernel_of: dict[str, int] = {}  # a notebook's stem: the process id of its newest kernel
        self._running: dict[int, int] = {}  # pid: index in runs
        self._ended: dict[int, float] = {}  # pid: when its last cell ended

    def see(self, event: Event) -> Run | None:
        """Take one event in; returns the run that it began or ended, if it did."""
        if event.event == "start":
            self.kernel_of[Path(event.notebook).stem] = event.pid
        if event.event == "pre":
            return self._begin(event)
        if event.event == "post":
            return self._end(event.pid, event.at, cell=event.cell, **outcome(event))
        if event.event == "stop":  # a restart in the middle of a cell
            return self._end(event.pid, event.at, state="died")
        return None

    @property
    def running(self) -> list[Run]:
        """The runs that have not ended, the youngest last."""
        return [self.runs[index] for index in sorted(self._running.values())]

    def ran(self, notebook: str) -> set[str]:
        """Name the cells that ended well in the notebook's present kernel; a restart forgets them."""
        here = [run for run in self.runs if run.pid == self.kernel_of.get(notebook)]
        return {run.cell for run in here if run.state == "done"}

    def lost(self, *, now: float) -> list[Run]:
        """End the runs of kernels that are gone without a word, and return them."""
        gone = [pid for pid, index in self._running.items() if not alive(pid, since=self.runs[index].began)]
        return [run for pid in gone if (run := self._end(pid, now, state="died"))]

    def _begin(self, event: Event) -> Run:
        self._end(event.pid, event.at, state="died")  # it never said how the last one ended
        queued = event.at - self._ended.get(event.pid, 0.0) < QUEUED
        run = Run(Path(event.notebook).stem, event.cell, event.pid, event.at, queued)
        self._running[event.pid] = len(self.runs)
        self.runs.append(run)
        return run

    def _end(self, pid: int, at: float, *, cell: str = "", **outcome: str) -> Run | None:
        index = self._running.get(pid)
        if index is None or cell not in ("", self.runs[index].cell):  # a blank cell ends without a beginning
            return None
        del self._running[pid]
        self._ended[pid] = at
        self.runs[index] = replace(self.runs[index], ended=at, **outcome)
        return self.runs[index]


def outcome(event: Event) -> dict[str, str]:
    """Say what an ended cell came to."""
    if event.memory:
        state = "out of memory"
    elif event.error == "KeyboardInterrupt":
        state = "interrupted"
    else:
        state = "failed" if event.error else "done"
    return {"state": state, "error": event.error, "message": event.message}


def alive(pid: int, *, since: float) -> bool:
    """Say whether the process that had this id at that time still runs."""
    import psutil

    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= since + 1.0
    except psutil.NoSuchProcess:
        return False
