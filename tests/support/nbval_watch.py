"""A pytest plugin that lets nbval notice within seconds that a kernel is dead.

    python -m pytest -p tests.support.nbval_watch --nbval-lax …

By itself nbval (0.11.0, nbval/kernel.py) waits for the reply of a dead kernel until the cell's time is over.
"""

from __future__ import annotations

import time
from queue import Empty
from typing import Any

import pytest
from nbval.plugin import IPyNbCell

LOOK = 1.0  # s between two looks at the kernel


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Let the kernel of a cell that is about to run wait for its messages in short turns."""
    if not isinstance(item, IPyNbCell):
        return
    kernel = item.parent.kernel
    receive = type(kernel).get_message

    def get_message(stream: str, timeout: float | None = None) -> dict[str, Any]:
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = LOOK if end is None else end - time.monotonic()
            try:
                return receive(kernel, stream, timeout=max(0.0, min(LOOK, left)))
            except Empty:
                if not kernel.is_alive():
                    item.raise_cell_error("The kernel died while it ran this cell.")
                if left <= LOOK and end is not None:
                    raise

    kernel.get_message = get_message
