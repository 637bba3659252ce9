"""The part that runs inside a kernel: it appends a JSON line to the event log when a cell begins and ends.

It imports the standard library only and is loaded by its path, because a kernel may be any Python, without
this package. Each line is written by one call to a file opened for appending, so lines of several kernels
never mix. Runs without a cell id are left out: `%%capture` and other magics run their cell a second time,
inside the run that has the id.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import time
from typing import Any

MESSAGE_LENGTH = 200  # characters of an error's first line; the notebook shows the rest
MEMORY_ERRORS = {"MemoryError", "OutOfMemoryError"}  # Python's own, and torch's on CUDA and ROCm


def install(shell: Any, *, log: str) -> Hook:
    """Write the events of every cell that this shell runs to a log, which only its owner can read."""
    hook = Hook(log, shell)
    shell.events.register("pre_run_cell", hook.before)
    shell.events.register("post_run_cell", hook.after)
    atexit.register(hook.stop)
    hook.write("start")
    return hook


class Hook:
    """Writes the events of one kernel. An error of the log never stops a cell."""

    def __init__(self, log: str, shell: Any = None) -> None:
        self.file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.pid = os.getpid()
        self.notebook = os.environ.get("JPY_SESSION_NAME", "")
        self.shell = shell

    def before(self, info: Any) -> None:
        """Write that a cell begins."""
        if info.cell_id:
            self.write("pre", cell=info.cell_id, asked=find_asked(self.shell))

    def after(self, result: Any) -> None:
        """Write that a cell ended, and with which error."""
        cell = result.info.cell_id if result.info else None
        error = result.error_before_exec or result.error_in_exec
        if cell and error is None:
            self.write("post", cell=cell)
        elif cell:
            self.write("post", cell=cell, **describe_error(error))

    def stop(self) -> None:
        """Write that the kernel ends; one that is killed does not come here."""
        if os.getpid() == self.pid:  # not in a process that a cell forked
            self.write("stop")

    def write(self, event: str, **more: Any) -> None:
        """Append an event to the log."""
        line = {"at": time.time(), "event": event, "pid": self.pid, "notebook": self.notebook, **more}
        with contextlib.suppress(OSError):  # a full disk must not stop a lesson
            os.write(self.file, (json.dumps(line) + "\n").encode())


def find_asked(shell: Any) -> float:
    """Return when the browser asked for the cell that begins, in s since 1970 by its clock; 0.0: unknown.

    Run All asks for all cells at once; a person's Shift Enter asks for one, even while another runs.
    """
    try:
        return float(shell.kernel.get_parent("shell")["header"]["date"].timestamp())
    except (AttributeError, KeyError, TypeError, ValueError, LookupError):  # another kernel than ipykernel
        return 0.0


def describe_error(error: BaseException) -> dict[str, Any]:
    """Return an error's name, the first line of its message, and whether memory ran out."""
    name = type(error).__name__
    lines = str(error).splitlines()
    message = lines[0][:MESSAGE_LENGTH] if lines else ""
    memory = name in MEMORY_ERRORS or "out of memory" in message.lower()
    return {"error": name, "message": message, "memory": memory}
