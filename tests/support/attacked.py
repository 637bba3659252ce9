"""What an exercise is attacked with: a row of a table CASES, one table a notebook (tests/support/attacks)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """An exercise: its stub, its solution in three spellings, and the mistakes that come naturally.

    context: what the judge needs beside the answer, after the pipeline if it needs one; or what makes it
    """

    stub: Any
    solutions: Sequence[Any]
    mistakes: Sequence[Any]
    needs_pipe: bool = False
    context: tuple[Any, ...] | Callable[[], tuple[Any, ...]] = ()
