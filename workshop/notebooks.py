"""The notebooks: where they are, and what is in their cells. The only reader of .ipynb.

nbformat is imported when a notebook is read, because it takes more than a second; finding them is quick.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop.files import REPO

if TYPE_CHECKING:
    from nbformat import NotebookNode

FOLDER = REPO / "notebooks"
ADDED = {"injected-parameters", "papermill-error-cell-tag"}  # papermill's tags on the cells that it adds


@dataclass(frozen=True)
class Track:
    """Notebooks that belong together; their names give their order."""

    name: str
    folder: Path
    pattern: str  # of their files' names


TALK = Track("talk", FOLDER, "[0-9]*.ipynb")
LABS = Track("labs", FOLDER / "labs", "L[0-9]*.ipynb")


@dataclass(frozen=True)
class Cell:
    """A cell as it is in the file."""

    id: str  # "" where the file gives none
    kind: str  # "code", "markdown" or "raw"
    source: str
    tags: frozenset[str] = frozenset()
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    outputs: tuple[Mapping[str, Any], ...] = field(default=(), repr=False, compare=False)
    execution_count: int | None = None  # None: it did not run, or is no code

    @property
    def added(self) -> bool:
        """Whether papermill put the cell in, when it executed the notebook."""
        return bool(self.tags & ADDED)


@dataclass(frozen=True)
class Notebook:
    """A notebook's cells, in order."""

    name: str  # the file's, without .ipynb
    path: Path
    version: tuple[int, int]  # of the format; cells have ids from 4.5 on
    cells: tuple[Cell, ...]

    @property
    def code(self) -> tuple[Cell, ...]:
        """The cells that a kernel runs; blank ones never reach it."""
        return tuple(cell for cell in self.cells if cell.kind == "code" and cell.source.strip())


def find(track: Track = TALK, *, folder: Path | None = None) -> list[Path]:
    """List a track's notebooks, in order.

    folder: another one that holds them, such as a rehearsal's
    """
    return sorted((folder or track.folder).glob(track.pattern))


def select(names: Sequence[str], *, folder: Path | None = None) -> list[Path]:
    """Find the notebooks that names mean, in order and each once; no names mean the whole talk.

    names: stems, beginnings of stems, or paths
    folder: another one that holds the notebooks

    >>> [path.name for path in select(["01"])]
    ['01_setup.ipynb']

    Raises ValueError, with the right names, for a name that means none or several.
    """
    there = find(TALK, folder=folder) + (find(LABS, folder=folder) if names else [])
    if not there:
        raise ValueError(f"There is no notebook in {folder or FOLDER}. Their names begin with a number.")
    wanted = {_match(name, there) for name in names}
    return [path for path in there if path in wanted or not names]


def _match(name: str, there: Sequence[Path]) -> Path:
    stem = Path(name).name.removesuffix(".ipynb")
    exact = [path for path in there if path.stem == stem]
    matches = exact or [path for path in there if stem and path.stem.startswith(stem)]
    if len(matches) != 1:
        means = f"means {len(matches)} notebooks" if matches else "is no notebook"
        raise ValueError(f"{name!r} {means}. These are: {', '.join(path.stem for path in there)}.")
    return matches[0]


def read(path: Path) -> Notebook:
    """Read a notebook's cells.

    Raises ValueError for a file that is no notebook.
    """
    raw = load(path)
    cells = tuple(
        Cell(
            id=cell.get("id", ""),
            kind=cell["cell_type"],
            source=cell["source"],
            tags=frozenset(cell["metadata"].get("tags", [])),
            metadata=cell["metadata"],
            outputs=tuple(cell.get("outputs", [])),
            execution_count=cell.get("execution_count"),
        )
        for cell in raw["cells"]
    )
    return Notebook(path.stem, path, (raw["nbformat"], raw["nbformat_minor"]), cells)


def read_all(folder: Path = FOLDER) -> list[Notebook]:
    """Read the talk's notebooks, in order.

    folder: where they are

    Raises ValueError if one is no notebook.
    """
    return [read(path) for path in find(folder=folder)]


def load(path: Path) -> NotebookNode:
    """Read a notebook's file for a program that writes another one: nothing is converted or repaired.

    Raises ValueError for a file that is no notebook of format 4.
    """
    from nbformat import ValidationError, reader

    try:
        raw = reader.reads(path.read_text(encoding="utf-8"))
    except (ValueError, AttributeError, ValidationError) as error:
        raise ValueError(f"{path.name} is no notebook ({error}). Take one that JupyterLab opens.") from error
    if raw.get("nbformat") != 4:
        raise ValueError(f"{path.name} has an old format. Open it in JupyterLab and save it.")
    return raw
