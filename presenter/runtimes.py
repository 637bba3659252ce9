"""The time and memory that each cell takes on each machine: presenter/runtimes.json, read and written."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from workshop import files, profiles

FILE = Path(__file__).with_name("runtimes.json")


@dataclass(frozen=True)
class Runtime:
    """What a cell took on one machine: medians of several runs."""

    seconds: float
    peak_gib: float | None  # of the GPU if there is one, else of the kernel and its children; None: unknown
    runs: int  # that the medians are taken of


Table = Mapping[str, Mapping[str, Mapping[str, Runtime]]]  # profile label, notebook, cell id


def read(file: Path | None = None) -> Table:
    """Read the runtimes of all machines; a file that does not exist has none.

    Raises ValueError, naming the file, if it is damaged.
    """
    file = file or FILE
    if not file.exists():
        return {}
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        return {
            label: {
                name: {cell: _make_runtime(one) for cell, one in cells.items()}
                for name, cells in books.items()
            }
            for label, books in raw.items()
        }
    except OSError as error:
        raise ValueError(files.explain_unreadable(file, error)) from error
    except (ValueError, TypeError, AttributeError) as error:
        what = f"{files.shorten(file)} is damaged ({error})"
        raise ValueError(f"{what}. Fetch it again, or delete it and rehearse.") from error


def _make_runtime(raw: Mapping[str, Any]) -> Runtime:
    made = Runtime(**raw)
    numbers = (made.seconds, made.runs, 0 if made.peak_gib is None else made.peak_gib)
    if not all(math.isfinite(one) and one >= 0 for one in numbers):  # TypeError for a text
        raise ValueError(f"{dict(raw)} is no runtime")
    return made


def write(label: str, measured: Mapping[str, Mapping[str, Runtime]], *, file: Path | None = None) -> None:
    """Put runtimes of one machine into the file; those of other machines and cells stay as they are."""
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
def name_machine() -> str:
    """Name this machine as runtimes are filed. Where there is a GPU driver, this imports torch."""
    return profiles.choose().label


def find_expected(
    notebook: str, cell: str, *, label: str | None = None, table: Table | None = None
) -> Runtime | None:
    """Find what a cell is expected to take; None if nobody has measured it.

    label: the machine's; None: this machine's
    table: as from `read`; None: read it
    """
    books = (read() if table is None else table).get(name_machine() if label is None else label, {})
    return books.get(notebook, {}).get(cell)
