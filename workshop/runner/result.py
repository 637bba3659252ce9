"""What became of a notebook: read from the file that papermill executed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from workshop import notebooks
from workshop.notebooks import Cell

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
RAN, FAILED, NOT_RUN = "ran", "failed", "not run"


@dataclass(frozen=True)
class CellRun:
    """A code cell after the run."""

    number: int  # among the notebook's code cells, from 1
    id: str
    heading: str  # the nearest one above
    source: str
    state: str  # RAN, FAILED or NOT_RUN
    seconds: float
    error: str = ""  # traceback, without colours; empty if the kernel died
    outputs: Sequence[Mapping[str, Any]] = field(default=(), repr=False)  # as in the notebook's file


@dataclass(frozen=True)
class NotebookRun:
    """A notebook after the run."""

    name: str
    cells: list[CellRun]
    seconds: float
    problem: str = ""  # why it does not count as run
    peak_bytes: int = 0  # resident memory of the kernel and its children
    card_bytes: int | None = None  # used on the GPU by anybody; None where the driver does not say

    @property
    def failed_cell(self) -> CellRun | None:
        """The cell that stopped the notebook; None if no cell did."""
        return next((cell for cell in self.cells if cell.state == FAILED), None)


def read_cells(executed: Path, *, problem: str = "") -> list[CellRun]:
    """Read from an executed notebook what each code cell did; blank cells and papermill's own are left out.

    problem: why the run stopped; where no cell shows an error, the last one that had begun is the failed one
    """
    cells: list[CellRun] = []
    begun: list[bool] = []
    heading = ""
    for cell in notebooks.read(executed).cells:
        if cell.added:
            continue
        if cell.kind == "markdown":
            heading = _last_heading(cell.source) or heading
        elif cell.kind == "code" and cell.source.strip():
            cells.append(_run_of(cell, number=len(cells) + 1, heading=heading))
            begun.append(cell.metadata.get("papermill", {}).get("start_time") is not None)
    if problem and True in begun and all(cell.state != FAILED for cell in cells):
        last = len(begun) - 1 - begun[::-1].index(True)
        cells[last] = replace(cells[last], state=FAILED)
    return cells


def _last_heading(text: str) -> str:
    return "".join(re.findall(r"^#{1,6} +(.+)$", text, re.MULTILINE)[-1:])


def _run_of(cell: Cell, *, number: int, heading: str) -> CellRun:
    errors = [output for output in cell.outputs if output["output_type"] == "error"]
    error = "\n".join(ANSI.sub("", text) for output in errors for text in output["traceback"])
    state = FAILED if errors else NOT_RUN if cell.execution_count is None else RAN
    seconds = cell.metadata.get("papermill", {}).get("duration") or 0.0
    return CellRun(number, cell.id, heading, cell.source, state, seconds, error, cell.outputs)
