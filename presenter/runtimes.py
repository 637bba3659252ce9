"""What each cell takes on each machine, in seconds and memory: presenter/runtimes.json, read and written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from workshop import files, profiles

FILE = Path(__file__).with_name("runtimes.json")


@dataclass(frozen=True)
class Runtime:
    """What a cell took: medians over several runs on one machine."""

    seconds: float
    peak_gib: float | None  # on the GPU if there is one, else of the kernel and its children; None: unknown
    runs: int


Table = Mapping[str, Mapping[str, Mapping[str, Runtime]]]  # profile label, notebook, cell id


def read(file: Path | None = None) -> Table:
    """Read what was measured; a file that is not there holds nothing.

    Raises ValueError, naming the file, if it is damaged.
    """
    file = file or FILE
    if not file.exists():
        return {}
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        return {
            label: {
                name: {cell: Runtime(**one) for cell, one in cells.items()} for name, cells in books.items()
            }
            for label, books in raw.items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        what = f"{profiles.shown(file)} is damaged ({error})"
        raise ValueError(f"{what}. Fetch it again, or delete it and rehearse.") from error


def write(label: str, measured: Mapping[str, Mapping[str, Runtime]], *, file: Path | None = None) -> None:
    """Take the runtimes of one machine into the file; what was not measured now stays as it is."""
    table = {one: dict(books) for one, books in read(file).items()}
    mine = table.setdefault(label, {})
    for name, cells in measured.items():
        mine[name] = {**mine.get(name, {}), **cells}
    raw = {
        one: {name: {cell: asdict(found) for cell, found in cells.items()} for name, cells in books.items()}
        for one, books in table.items()
    }
    text = json.dumps(raw, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    with files.replacing(file or FILE) as part:
        part.write(text.encode())


@cache
def here() -> str:
    """Name the machine at hand as runtimes are filed; asks for a GPU, which may import torch."""
    return profiles.choose().label


def expected(
    notebook: str, cell: str, *, label: str | None = None, table: Table | None = None
) -> Runtime | None:
    """Say what a cell is expected to take on a machine, the one at hand if none is named; None: unknown."""
    books = (read() if table is None else table).get(here() if label is None else label, {})
    return books.get(notebook, {}).get(cell)
