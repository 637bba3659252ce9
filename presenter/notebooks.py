"""The notebooks as the presenter sees them: cells with their ids and code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from workshop.runner import run


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook; `id` is "" where the file gives none."""

    id: str
    kind: str  # "code", "markdown" or "raw"
    source: str


@dataclass(frozen=True)
class Notebook:
    """A notebook without its outputs."""

    name: str  # the file's, without .ipynb
    path: Path
    version: tuple[int, int]  # of the format; cells have ids from 4.5 on
    cells: tuple[Cell, ...]

    @property
    def code(self) -> tuple[Cell, ...]:
        """The cells that a kernel runs; blank ones never reach it."""
        return tuple(cell for cell in self.cells if cell.kind == "code" and cell.source.strip())


def read(path: Path) -> Notebook:
    """Read a notebook's cells."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    cells = [Cell(cell.get("id", ""), cell["cell_type"], "".join(cell["source"])) for cell in raw["cells"]]
    return Notebook(path.stem, path, (raw["nbformat"], raw["nbformat_minor"]), tuple(cells))


def read_all(folder: Path = run.NOTEBOOKS) -> list[Notebook]:
    """Read every notebook of a folder, in order; their names begin with a number."""
    return [read(path) for path in sorted(folder.glob("[0-9]*.ipynb"))]
