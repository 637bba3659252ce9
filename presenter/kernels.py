"""Follow the kernels from outside: read the event log as it grows, and know how every cell ended.

hook.py writes the log's lines inside the kernels. A kernel is known by its process id. One that is killed
cannot write; `Kernels.end_lost` asks the operating system whether its process still runs.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

STARTUP = Path(__file__).with_name("startup.py")
# s between two cells that were asked for: a person does not press the keys faster than this, and Run All asks
# for all cells within milliseconds.
QUEUED = 0.1
CHUNK = 1 << 20  # bytes that one look reads at most
KINDS = ("start", "pre", "post", "stop", "clock")
MOVED = 1.0  # s by which somebody must have set the computer's clock for the log to say so
# The states of a run that failed, and what the presenter is told then; {} is the cell.
FAILURES = {
    "failed": "An error in {}",
    "out of memory": "Out of memory in {}",
    "died": "The kernel died in {}",
}


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
    memory: bool = False  # whether memory ran out
    shift: float = 0.0  # clock: s by which the talk's clock is ahead of the kernels' from here on
    asked: float = 0.0  # pre: when the browser asked for the cell, in s since 1970; 0.0: not known


@dataclass(frozen=True)
class Run:
    """One execution of a cell."""

    notebook: str  # stem, as 02_inference
    cell: str
    pid: int
    began: float  # s since 1970
    queued: bool = False  # it was asked for within QUEUED of the cell before: by Run All, not by hand
    ended: float | None = None
    state: str = "running"  # then "done", "failed", "interrupted", "out of memory" or "died"
    error: str = ""
    message: str = ""


class Outcome(NamedTuple):
    """How a run ended; the fields are those of Run."""

    state: str
    error: str = ""
    message: str = ""


DIED = Outcome("died")


def report_cells(environment: MutableMapping[str, str], *, log: Path) -> None:
    """Make every kernel that is started with this environment write its cells' events to a log.

    The file that PYTHONSTARTUP named before still runs. Raises OSError if the log cannot be written.
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
    """The log's end: each `read` returns what was appended since the one before."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.unreadable = 0  # lines that are no events
        self._offset = 0
        self._rest = b""  # the beginning of a line whose end is not written yet

    def read_all(self) -> Iterator[Event]:
        """Give all new events in order, however long the log is."""
        before = -1
        while before != self._offset:
            before = self._offset
            yield from self.read()

    def read(self) -> list[Event]:
        """Return the new events of at most CHUNK in order; a log that does not exist yet has none."""
        try:
            if self.log.stat().st_size < self._offset:  # it was emptied
                self._offset, self._rest = 0, b""
            with self.log.open("rb") as file:
                file.seek(self._offset)
                data = file.read(CHUNK)
        except FileNotFoundError:
            return []
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        events = [event for line in lines if (event := parse_event(line))]
        self.unreadable += len(lines) - len(events)
        return events


def parse_event(line: bytes) -> Event | None:
    """Parse a line of the log; None if it is no event, as after a power cut."""
    try:
        raw: dict[str, Any] = json.loads(line)
        event = Event(**raw)
    except (ValueError, TypeError, RecursionError):
        return None
    return event if _is_sound(event) and event.event in KINDS else None


def _is_sound(event: Event) -> bool:
    """Return whether the fields of an event that was read are of the kinds that they should be."""
    plain = Event(0.0, "", 0, "")
    numbers = dict.fromkeys(("at", "asked", "shift"), (int, float))
    kinds = {name: type(value) for name, value in vars(plain).items()} | numbers
    fit = all(isinstance(value, kinds[name]) for name, value in vars(event).items())
    times = (event.at, event.asked, event.shift)
    return fit and not any(isinstance(one, bool) or not math.isfinite(one) for one in times)


def write_death(log: Path, run: Run, *, shift: float = 0.0) -> None:
    """Write the end of a kernel that was killed, which cannot do that itself: a restart finds it then.

    shift: s by which the run's times are ahead of the computer's clock, by which kernels write
    """
    _write(log, at=(run.ended or run.began) - shift, event="stop", pid=run.pid, notebook=run.notebook)


def write_shift(log: Path, shift: float) -> None:
    """Write that somebody set the computer's clock: from here on, the talk's is ahead of it by so many s."""
    _write(log, at=time.time(), event="clock", pid=os.getpid(), notebook="", shift=shift)


def _write(log: Path, **line: Any) -> None:
    with contextlib.suppress(OSError), log.open("ab") as file:  # a full disk must not stop a lesson
        file.write(json.dumps(line).encode() + b"\n")


def replay(tail: Tail) -> Iterator[Event]:
    """Give all events of a log by the talk's clock, which goes on evenly when the computer's is set."""
    shift = 0.0
    for event in tail.read_all():
        shift = event.shift if event.event == "clock" else shift
        yield replace(event, at=event.at + shift)


class Kernels:
    """What the kernels did and do, according to their events."""

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        """Follow the notebooks in some folders; a copy elsewhere is somebody's own. None: follow all."""
        self.folders = {folder.resolve() for folder in folders}
        self.runs: list[Run] = []  # in the order in which they began
        self.kernel_of: dict[str, int] = {}  # notebook's stem to the process id of its newest kernel
        self._running: dict[int, int] = {}  # process id to the index, in runs, of the cell that it runs
        self._ended: dict[int, float] = {}  # process id to the time at which its last cell ended
        self._asked: dict[int, float] = {}  # process id to the time at which its last cell was asked for

    def see(self, event: Event) -> Run | None:
        """Take in an event, and return the run that it began or ended, if any."""
        path = Path(event.notebook)
        if self.folders and path.is_absolute() and path.parent.resolve() not in self.folders:
            return None
        if event.event == "start":
            return self._start(path.stem, event)
        if event.event == "pre":
            return self._begin(event)
        if event.event == "post":
            return self._end(event.pid, event.at, find_outcome(event), cell=event.cell)
        if event.event == "stop":  # if a cell is running, the kernel was restarted in the middle of it
            return self._end(event.pid, event.at, DIED)
        return None

    @property
    def running(self) -> list[Run]:
        """The runs that have not ended, the last begun at the end."""
        return [self.runs[index] for index in sorted(self._running.values())]

    def ran(self, notebook: str) -> set[str]:
        """Return the ids of the cells that ended well in the notebook's present kernel."""
        here = [run for run in self.runs if run.pid == self.kernel_of.get(notebook)]
        return {run.cell for run in here if run.state == "done"}

    def lost(self, notebook: str) -> set[str]:
        """Return the ids of the cells that ended well in an earlier kernel of the notebook, and not again."""
        before = {run.cell for run in self.runs if run.notebook == notebook and run.state == "done"}
        return before - self.ran(notebook)

    def end_lost(self, *, now: float, shift: float = 0.0) -> list[Run]:
        """End the runs of kernels whose process is gone, and return them.

        shift: s by which the runs' times are ahead of the computer's clock, if that was set back meanwhile
        """
        began = {pid: self.runs[index].began for pid, index in self._running.items()}
        lost = [pid for pid, at in began.items() if not is_alive(pid, since=max(at, at - shift))]
        return [run for pid in lost if (run := self._end(pid, now, DIED))]

    def _start(self, notebook: str, event: Event) -> Run | None:
        """Take in a notebook's new kernel; the cell that its old one ran has died by now."""
        before = self.kernel_of.get(notebook)
        self.kernel_of[notebook] = event.pid
        return None if before is None or before == event.pid else self._end(before, event.at, DIED)

    def _begin(self, event: Event) -> Run:
        self._end(event.pid, event.at, DIED)  # a cell before this one of which no end was written
        queued = self._is_queued(event)
        self._asked[event.pid] = event.asked
        run = Run(Path(event.notebook).stem, event.cell, event.pid, event.at, queued)
        self._running[event.pid] = len(self.runs)
        self.runs.append(run)
        return run

    def _is_queued(self, event: Event) -> bool:
        """Return whether a cell was asked for together with the one before, as by Run All."""
        if event.asked:
            return abs(event.asked - self._asked.get(event.pid, 0.0)) < QUEUED
        return event.at - self._ended.get(event.pid, 0.0) < QUEUED  # all that the log says

    def _end(self, pid: int, at: float, outcome: Outcome, *, cell: str = "") -> Run | None:
        index = self._running.get(pid)
        if index is None or cell not in ("", self.runs[index].cell):  # a blank cell ends without a beginning
            return None
        del self._running[pid]
        self._ended[pid] = at
        self.runs[index] = replace(
            self.runs[index],
            ended=at,
            state=outcome.state,
            error=outcome.error,
            message=outcome.message,
        )
        return self.runs[index]


def find_outcome(event: Event) -> Outcome:
    """Find from its last event how a run ended."""
    if event.memory:
        state = "out of memory"
    elif event.error == "KeyboardInterrupt":
        state = "interrupted"
    else:
        state = "failed" if event.error else "done"
    return Outcome(state, event.error, event.message)


def is_alive(pid: int, *, since: float) -> bool:
    """Return whether the process that had this id at a time, in s since 1970, still runs."""
    import psutil

    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= since + 1.0
    except psutil.NoSuchProcess:
        return False
