"""The notebooks: where they are, and what is in their cells. This is the packages' only reader of .ipynb.

nbformat is imported when a notebook is read, because it takes more than a second; finding them is quick.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop import files, lists
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
    pattern: str  # what their file names match


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

    names: stems, beginnings of stems, paths, or `labs`, which means every lab; a path means only what lies in
        its folder, which is sought from the current folder on, and then from the repository on
    folder: another one that holds the notebooks, and the labs beside them or in its folder labs

    >>> [path.name for path in select(["01", "L01"])]
    ['01_setup.ipynb', 'L01_noise_to_digits.ipynb']

    Raises TypeError for a single text, and ValueError, with the right names, for a name that means none or
    several.
    """
    lists.demand("names", names)
    labs = find_labs(folder or FOLDER) if names else []
    there = find(TALK, folder=folder) + labs
    if not there:
        raise ValueError(f"There is no notebook in {folder or FOLDER}. Their names begin with a number.")
    all_labs = set(labs) if LABS.name in names else set()
    if LABS.name in names and not labs:
        raise ValueError(f"There is no lab in {folder or FOLDER}. Their names begin with an L and a number.")
    wanted = all_labs | {_match(name, there) for name in names if name != LABS.name}
    return [path for path in there if path in wanted or not names]


def is_lab(path: Path) -> bool:
    """Return whether a notebook belongs to the labs, by its name."""
    return path.match(LABS.pattern)


def find_labs(folder: Path) -> list[Path]:
    """Find the labs that lie in a folder or in its folder labs, in order."""
    return find(LABS, folder=folder) + find(LABS, folder=folder / LABS.name)


def _match(name: str, there: Sequence[Path]) -> Path:
    stem = Path(name).name.removesuffix(".ipynb")
    beside = there if Path(name).name == name else _find_beside(Path(name).parent, there)
    if not beside:
        where = " or ".join(dict.fromkeys(f"{files.shorten(path.parent)}/" for path in there))
        raise ValueError(
            f"{name!r} is not in {where}. Name one that is there, without a folder: "
            f"{', '.join(path.stem for path in there)}."
        )
    exact = [path for path in beside if path.stem == stem]
    matches = exact or [path for path in beside if stem and path.stem.startswith(stem)]
    if len(matches) != 1:
        means = f"means {len(matches)} notebooks" if matches else "is no notebook"
        raise ValueError(f"{name!r} {means}. These are: {', '.join(path.stem for path in there)}.")
    return matches[0]


def _find_beside(folder: Path, there: Sequence[Path]) -> list[Path]:
    """Find the notebooks that lie in a folder: the current folder's if it has one of that name."""
    places = [root / folder for root in (Path.cwd(), REPO) if (root / folder).is_dir()]
    return [path for path in there for place in places[:1] if path.parent.resolve() == place.resolve()]


def read(path: Path) -> Notebook:
    """Read a notebook's cells.

    Raises ValueError, with the file and what to do, for one that cannot be read or is no notebook.
    """
    raw = load_raw(path)
    try:
        return _parse(path, raw)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(_explain_broken(path, f"{type(error).__name__}: {error}")) from error


def _parse(path: Path, raw: NotebookNode) -> Notebook:
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

    Raises ValueError, with the file and what to do, if one cannot be read or is no notebook.
    """
    return [read(path) for path in find(folder=folder)]


def load_raw(path: Path) -> NotebookNode:
    """Return the JSON unchanged, for programs that write a copy; nbformat only joins the lines of a text.

    Raises ValueError, with the file and what to do, for one that cannot be read or has another format than 4.
    """
    from nbformat import ValidationError, reader

    try:
        raw = reader.reads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(files.explain_unreadable(path, error)) from error
    except (ValueError, AttributeError, ValidationError) as error:
        raise ValueError(_explain_broken(path, error)) from error
    if raw.get("nbformat") != 4:
        raise ValueError(f"{files.shorten(path)} has an old format. Open it in JupyterLab and save it.")
    return raw


def _explain_broken(path: Path, error: object) -> str:
    why = " ".join(str(error).split())  # nbformat quotes the file, line by line
    short = why if len(why) < 200 else f"{why[:200]}…"
    remedy = "Take one that JupyterLab opens."
    if path.resolve().is_relative_to(REPO):
        remedy += f" git checkout -- {files.shorten(path.resolve())} brings the shipped one back."
    return f"{files.shorten(path)} is no notebook ({short}). {remedy}"
