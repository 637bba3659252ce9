"""A talk of the small lesson that was held: its journal, and what its kernels wrote. Times are in minutes."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from presenter import journal
from presenter.journal import Act
from presenter.report.talk import Row, TalkReport

T0 = datetime(2026, 11, 22, 10, 0).timestamp()
PATH = ("01-hello", "01-slow", "01-breaks", "01-extra", "02-base", "02-last")
# Minutes planned: 2, 3, 3, 4 (nice), 2 (should), 4: together 18. Half of each is its least.

Events = tuple[dict[str, Any], ...]


def hold(folder: Path, *acts: Act, events: Events = (), minutes: float = 18) -> Path:
    """Write the journal of a talk of so many minutes, and the events of its kernel."""
    folder.mkdir(exist_ok=True)
    plan = Act(T0 - 60, "plan", plan={"minutes": minutes}, level="intermediate")
    lines = b"".join(map(journal.format_act, [plan, *acts]))
    (folder / journal.JOURNAL).write_bytes(lines)
    written = [{"pid": os.getpid(), "notebook": "notebooks/01_first.ipynb", **one} for one in events]
    log = "".join(json.dumps(one) + "\n" for one in written)
    (folder / journal.EVENTS).write_text(log, encoding="utf-8")
    return folder


def begin(at: float = 0.0, cue: str = "01-hello") -> Act:
    """Begin the talk."""
    return act(at, "begin", cue=cue)


def go(at: float, cue: str) -> Act:
    """Go to a cue."""
    return act(at, "go", cue=cue)


def act(at: float, do: str, **more: Any) -> Act:
    """Make any act."""
    return Act(T0 + at * 60, do, **more)


def ran(cell: str, at: float, seconds: float, **more: Any) -> Events:
    """Make the events of a cell that ran for so many seconds."""
    begun = {"event": "pre", "at": T0 + at * 60, "cell": cell}
    return begun, {"event": "post", "at": T0 + at * 60 + seconds, "cell": cell, **more}


def as_planned(*, slow: float = 3.0, end: bool = True) -> list[Act]:
    """Make the acts of a talk in which every cue but `01-slow` takes its minutes."""
    starts = [0.0, 2.0, 2 + slow, 5 + slow, 9 + slow, 11 + slow]
    acts = [begin(), *(go(at, cue) for at, cue in zip(starts[1:], PATH[1:], strict=True))]
    return [*acts, act(15 + slow, "end")] if end else acts


def row(report: TalkReport, name: str) -> Row:
    """Find a cue's row in a report."""
    return next(one for one in report.rows if one.cue.name == name)
