"""What there is to present: the cue sheets, their notebooks, and what the cells take on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from presenter import cues, journal, runtimes, schedule
from presenter.cues import Cue, Sheet
from presenter.runtimes import Runtime
from presenter.schedule import Plan
from workshop import notebooks
from workshop.notebooks import Notebook


@dataclass(frozen=True)
class Material:
    """The cue sheets, their notebooks, and what the cells take on one machine."""

    sheets: tuple[Sheet, ...]
    books: tuple[Notebook, ...] = ()
    runtimes: Mapping[str, Mapping[str, Runtime]] = field(default_factory=dict, hash=False)
    label: str = ""  # the machine's, under which runtimes are filed; "" until it is known

    @cached_property
    def cues(self) -> tuple[Cue, ...]:
        """All cues, in the order of the talk."""
        return tuple(cue for sheet in self.sheets for cue in sheet.cues)

    @cached_property
    def sheet_of(self) -> dict[str, Sheet]:
        """The sheets by their notebooks' names."""
        return {sheet.name: sheet for sheet in self.sheets}

    @cached_property
    def source(self) -> dict[tuple[str, str], str]:
        """The code of every code cell, by notebook and cell id."""
        return {(book.name, cell.id): cell.source for book in self.books for cell in book.code}

    def cue_of(self, notebook: str, cell: str) -> Cue | None:
        """Find the cue that a cell belongs to."""
        sheet = self.sheet_of.get(notebook)
        return sheet.cue_of(cell) if sheet else None

    def expected(self, notebook: str, cell: str) -> Runtime | None:
        """Return what a cell takes on this machine; None if nobody has measured it."""
        return self.runtimes.get(notebook, {}).get(cell)

    @classmethod
    def read(cls, sheets: Path, books: Path) -> Material:
        """Read all cue sheets and notebooks.

        sheets, books: their folders

        Raises ValueError if there is no sheet or no notebook, and whatever `cues.read_all` raises.
        """
        found = tuple(cues.read_all(sheets))
        if not found:
            raise ValueError(
                f"There is no cue sheet (01_name.md) in {sheets}. Name another folder with --cues."
            )
        lessons = tuple(notebooks.read_all(books))
        if not lessons:
            raise ValueError(
                f"There is no notebook (01_name.ipynb) in {books}. Name another folder with --notebooks."
            )
        return cls(found, lessons)

    @property
    def folder(self) -> Path:
        """The folder of the cue sheets."""
        return self.sheets[0].path.parent

    def list_followed(self, talk: Path) -> set[Path]:
        """List the folders whose notebooks make a talk: its own clean copies and the notebooks themselves."""
        return {talk / journal.COPIES, *(book.path.parent for book in self.books)}

    def read_sheets(self) -> Material:
        """Return the same with the cue sheets as they are on disk now.

        Raises whatever `cues.read_all` raises, and ValueError if cues came, went or changed their names or
        order: a talk's cuts and its place in the plan go by them.
        """
        made = replace(self, sheets=tuple(cues.read_all(self.folder)))
        before, after = ([cue.name for cue in one.cues] for one in (self, made))
        if before != after:
            moved = sorted(set(before) ^ set(after)) or ["their order"]
            raise ValueError(
                f"The cues themselves changed ({', '.join(moved)}), and a talk needs the ones it began with. "
                "Put them back, or start the server again."
            )
        return made

    def measured_on(self, label: str, *, file: Path | None = None) -> Material:
        """Return the same with the runtimes of a machine; raises whatever `runtimes.read` raises."""
        return replace(self, runtimes=runtimes.read(file).get(label, {}), label=label)

    def plan(self, options: Mapping[str, Any], *, level: str) -> Plan:
        """Cut the talk to fit, as `presenter plan` does.

        options: minutes, and if wanted start (as in ISO 8601), breaks and skip

        Raises whatever `schedule.make_plan` raises.
        """
        start = options.get("start")
        return schedule.make_plan(
            self.cues,
            minutes=options["minutes"],
            level=level,
            start=datetime.fromisoformat(start) if start else None,
            breaks=options.get("breaks", ()),
            skip=options.get("skip", ()),
            books=self.books,
            seconds={
                (name, cell): one.seconds
                for name, cells in self.runtimes.items()
                for cell, one in cells.items()
            },
        )

    def plan_anyway(self, options: Mapping[str, Any], *, level: str) -> tuple[Plan, str]:
        """Cut the talk to fit; if it cannot with the times of this machine's cells, then without them.

        options: as for `plan`
        returns: the plan, and why it is without times, "" if it has them

        Raises whatever `plan` raises if the talk does not fit without them, either.
        """
        try:
            return self.plan(options, level=level), ""
        except ValueError as error:
            plan = replace(self, runtimes={}).plan(options, level=level)
            return plan, f"The plan counts no cell's time on this machine. {error}"
