"""Runs in a kernel: one JSON line, appended to the event log, when a cell begins and when it ends.

Standard library only, loaded by its path: the kernel may be any Python, without this package. A line is
written by one call to a file opened for appending, so lines of several kernels never mix. Runs without a cell
id are left out: `%%capture` and other magics run their cell once more, inside the one that has the id.
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
    """Follow the cells that this shell runs; the log is made readable by its owner only."""
    hook = Hook(log)
    shell.events.register("pre_run_cell", hook.before)
    shell.events.register("post_run_cell", hook.after)
    atexit.register(hook.stop)
    hook.write("start")
    return hook


class Hook:
    """Writes the events of one kernel; whatever goes wrong with the log, the lesson goes on."""

    def __init__(self, log: str) -> None:
        self.file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.pid = os.getpid()
        self.notebook = os.environ.get("JPY_SESSION_NAME", "")

    def before(self, info: Any) -> None:
        """Note that a cell begins."""
        if info.cell_id:
            self.write("pre", cell=info.cell_id)

    def after(self, result: Any) -> None:
        """Note that a cell ended, and with which error."""
        cell = result.info.cell_id if result.info else None
        error = result.error_before_exec or result.error_in_exec
        if cell and error is None:
            self.write("post", cell=cell)
        elif cell:
            self.write("post", cell=cell, **described(error))

    def stop(self) -> None:
        """Note that the kernel ends by itself; a killed one says nothing."""
        if os.getpid() == self.pid:  # not a child that it forked
            self.write("stop")

    def write(self, event: str, **more: Any) -> None:
        """Append one line."""
        line = {"at": time.time(), "event": event, "pid": self.pid, "notebook": self.notebook, **more}
        with contextlib.suppress(OSError):  # a full disk must not stop a lesson
            os.write(self.file, (json.dumps(line) + "\n").encode())


def described(error: BaseException) -> dict[str, Any]:
    """Name an error, its first line, and whether it was memory that ran out."""
    name = type(error).__name__
    lines = str(error).splitlines()
    message = lines[0][:MESSAGE_LENGTH] if lines else ""
    memory = name in MEMORY_ERRORS or "out of memory" in message.lower()
    return {"error": name, "message": message, "memory": memory}
