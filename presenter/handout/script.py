"""The script of the talk for paper: everything that the cue sheets say to one level, as one HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from presenter import facts, render
from presenter.cues import Cue, Section, Sheet
from presenter.handout.words import PRIORITIES, CueWords, SectionWords, Writer
from presenter.material import Material
from workshop.units import clock

TEMPLATE = Path(__file__).with_name("script.html.j2")


@dataclass(frozen=True)
class CodeCell:
    """The code of a cell, and how long it is expected to run."""

    id: str
    takes: str
    code: Markup


@dataclass(frozen=True)
class SheetPart:
    """A section or a cue of a sheet, as the template shows it."""

    section: SectionWords | None = None
    words: CueWords | None = None
    time: str = ""  # the minute at which the cue begins
    kind: str = ""  # the cue's priority, or "home"
    anchors: Sequence[str] = ()
    cells: Sequence[CodeCell] = ()


def make_script(material: Material, *, level: str, sheets: Sequence[Sheet] = ()) -> str:
    """Write the script.

    sheets: those to write; none: all. The clock counts from the first of them, with nothing cut.

    Raises ValueError for a fact that there is not.
    """
    chosen = tuple(sheets) or material.sheets
    begins = _find_beginnings(chosen)
    timed = [cue for sheet in chosen for cue in sheet.cues if cue.takes_time]
    return render.fill_template(
        TEMPLATE,
        level=level,
        label=material.label,
        count=len(timed),
        minutes=sum(cue.minutes for cue in timed),
        least=sum(cue.least for cue in timed),
        must=sum(cue.minutes for cue in timed if cue.priority == "must"),
        timetable=[_list_times(sheet, begins) for sheet in chosen],
        sheets=[_write_sheet(material, sheet, begins) for sheet in chosen],
    )


def _find_beginnings(sheets: Sequence[Sheet]) -> dict[str, float]:
    """Return the minute at which each cue begins, by cue name."""
    begins, at = {}, 0.0
    for cue in (cue for sheet in sheets for cue in sheet.cues):
        begins[cue.name] = at
        at += cue.minutes
    return begins


def _list_times(sheet: Sheet, begins: dict[str, float]) -> dict[str, Any]:
    """Return a sheet's rows of the timetable."""
    rows = [
        {
            "cue": cue,
            "time": clock(begins[cue.name]),
            "priority": PRIORITIES[cue.priority],
            "minutes": f"{cue.minutes:g}",
            "least": f"{cue.least:g}" if cue.least < cue.minutes else "",
        }
        for cue in sheet.cues
        if cue.takes_time
    ]
    whole = sum(cue.minutes for cue in sheet.cues)
    return {"title": sheet.title, "minutes": f"{whole:g}", "rows": rows}


def _write_sheet(material: Material, sheet: Sheet, begins: dict[str, float]) -> dict[str, Any]:
    writer = Writer(material, sheet)
    return {
        "number": sheet.name[:2],
        "title": sheet.title,
        "lead": writer.render(sheet.lead),
        "parts": list(_write_parts(writer, begins)),
    }


def _write_parts(writer: Writer, begins: dict[str, float]) -> Iterator[SheetPart]:
    """Yield a sheet's cues and sections in the order of its file."""
    sheet = writer.sheet
    parts: list[Cue | Section] = sorted([*sheet.cues, *sheet.sections], key=lambda part: part.line)
    for part in parts:
        if isinstance(part, Section):
            yield SheetPart(section=writer.write_section(part))
        else:
            yield SheetPart(
                words=writer.write_cue(part),
                time=clock(begins[part.name]) if part.takes_time else "",
                kind=part.priority if part.takes_time else "home",
                anchors=[f"{sheet.name[:2]}-{cell}" for cell in part.cells],
                cells=[_write_cell(writer.material, part, cell) for cell in part.cells],
            )


def _write_cell(material: Material, cue: Cue, cell: str) -> CodeCell:
    expected = material.expected(cue.sheet, cell)
    takes = facts.format_seconds(expected.seconds) if expected else facts.NOT_REHEARSED
    return CodeCell(cell, takes, render.code(material.source.get((cue.sheet, cell), "")))
