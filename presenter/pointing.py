"""What a cue points at must be there: names in its cells, and rows and columns in its figure or tables."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from presenter import fallbacks, spoken
from presenter.cues import Cue
from workshop import gallery
from workshop.notebooks import Cell, Notebook

PACKAGES = ("workshop", "diffsynth")  # whose code prints what a cell shows
SHOWN = ("Show", "Point at", "If it fails")  # the notes that speak of a figure's rows and columns
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
MAKES_TABLES = re.compile(r"DataFrame|_table\(|\btable")
Grid = tuple[int, int]  # rows, columns

_NAME = re.compile(r"`([^`]+)`|(?<!\*)\*([^*]+)\*(?!\*)")
_PLACE = re.compile(
    rf"\b({'|'.join(ORDINALS)}) (row|column)\b|\b({'|'.join(ORDINALS)}) from the (?:left|right)\b", re.I
)
_TWO = re.compile(r"\b(?:upper|lower) (row)\b|\b(?:left|right) (column)\b", re.I)
_COUNTED = re.compile(r" (row|column)s\b", re.I)
_ALONG = re.compile(r"\b(?:left to right|right to left|(?:left|right) half)\b", re.I)


def find_faults(cue: Cue, book: Notebook) -> Iterator[tuple[str, str]]:
    """Yield what a cue points at that is not there, each with a remedy."""
    cells = [cell for cell in book.cells if cell.id in cue.cells]
    for match in _NAME.finditer(cue.notes.get("Point at", "")):
        name = match[1] or match[2]
        if not _is_there(name, cells, book):
            yield (
                f"{name!r} is pointed at, and no cell of the cue has it or prints it",
                "Write it as it is on the screen, or name a cell or a picture that there is.",
            )
    grids = list_grids(cue, cells)
    for label in SHOWN if grids else ():
        yield from _find_places(label, cue.notes.get(label, ""), grids)


def _is_there(name: str, cells: Sequence[Cell], book: Notebook) -> bool:
    """Look for a name in a cue's cells and what they showed, among cells and pictures, and in PACKAGES."""
    wanted = re.compile(rf"(?<!\w){re.escape(_plain(name))}(?!\w)")
    shown = _plain(" ".join(f"{cell.source} {cell.outputs}" for cell in cells))
    known = {cell.id for cell in book.cells} | {path.stem for path in gallery.FALLBACK.glob("*.png")}
    return name in known or any(wanted.search(text) for text in (shown, *map(_code, PACKAGES)))


def _plain(text: str) -> str:
    """Return a text in small letters with single blanks; \\n as it is written in code is one, too."""
    return " ".join(text.lower().replace(r"\n", " ").split())


@lru_cache
def _code(package: str) -> str:
    """Return the code of a package, which is not imported for that; "" if it is not installed."""
    found = importlib.util.find_spec(package)
    folders = (found and found.submodule_search_locations) or ()
    paths = sorted(path for folder in folders for path in Path(folder).rglob("*.py"))
    return _plain(" ".join(path.read_text(encoding="utf-8", errors="replace") for path in paths))


def list_grids(cue: Cue, cells: Sequence[Cell]) -> list[Grid]:
    """List the rows and columns of a cue's figure and of its cells' stored tables; [] if one is not known."""
    if any(MAKES_TABLES.search(cell.source) and not cell.outputs for cell in cells):
        return []
    path = gallery.FALLBACK / f"{cue.fallback}.png"
    figure = _figure(path) if cue.fallback and path.is_file() else []
    html = [str(output.get("data", {}).get("text/html", "")) for cell in cells for output in cell.outputs]
    return figure + [_measure(page) for page in html if "<tbody" in page]


def _figure(path: Path) -> list[Grid]:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            rows = fallbacks.group_rows(fallbacks.read_panels(picture))
    except (OSError, SyntaxError):  # no whole picture
        rows = []
    return [(len(rows), max(map(len, rows)))] if rows else []


def _measure(table: str) -> Grid:
    rows = table.partition("<tbody")[2].split("<tr")[1:]
    return len(rows), max((row.count("<td") for row in rows), default=0)


def _find_places(label: str, note: str, grids: Sequence[Grid]) -> Iterator[tuple[str, str]]:
    note = " ".join(note.split())  # words may run over the end of a line
    rows, columns = max(one for one, _ in grids), max(one for _, one in grids)
    has = f"the figure has {rows} row{'s' * (rows > 1)} of {columns}"
    needs = [
        *(
            (ORDINALS.index((m[1] or m[3]).lower()) + 1, m[2] or "column", m[0])
            for m in _PLACE.finditer(note)
        ),
        *((2, m[1] or m[2], m[0]) for m in _TWO.finditer(note)),
        *(
            (number, unit[1], words[0] + unit[0])
            for number, words in spoken.find_numbers(note)
            if (unit := _COUNTED.match(note, words.end()))
        ),
    ]
    for least, kind, words in needs:
        if least > (rows if kind.lower() == "row" else columns):
            yield f"{label} speaks of {words!r}, and {has}", "Say where it is in the picture."
    along = _ALONG.search(note)
    if along and rows > 1 and not re.search(r"\brows?\b", note):
        yield f"{label} speaks of {along[0]!r}, and {has}", "Name the row, too."
