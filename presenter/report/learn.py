"""What the next plan learns from talks that were held: the minutes of cues and the seconds of cells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from presenter import check, runtimes
from presenter.cues import Cue, Fault, Sheet
from presenter.material import Material
from presenter.report.tables import tabulate_cells
from presenter.report.talk import Row, TalkReport, count_of
from presenter.runtimes import Runtime
from presenter.schedule import FULL
from workshop import files

# A cue shown for less than HURRIED × its least minutes was skipped through, not presented. A cue shown for
# more than DRAGGED × its minutes was left open by mistake. Nothing is learned from either.
HURRIED, DRAGGED = 0.5, 3.0
STEP = 0.5  # minutes; learned minutes are rounded to multiples of it


def learn_seconds(reports: Sequence[TalkReport]) -> dict[str, dict[str, Runtime]]:
    """Take the median seconds of each cell's runs that ended well; the memory stays as it was rehearsed.

    returns: by notebook and cell
    """
    runs = tabulate_cells(*reports)
    done = runs[runs["state"] == "done"].groupby(["notebook", "cell"], sort=False)["seconds"]
    found: dict[str, dict[str, Runtime]] = defaultdict(dict)
    for cell in done.agg(median="median", runs="count").reset_index().itertuples():
        before = reports[0].material.expected(cell.notebook, cell.cell)
        peak = before.peak_gib if before else None
        found[cell.notebook][cell.cell] = Runtime(round(float(cell.median), 2), peak, int(cell.runs))
    return dict(found)


def learn_minutes(reports: Sequence[TalkReport]) -> dict[str, float]:
    """Find the cues that should have other minutes: the median of what they took, at least their least.

    A cue of a talk counts if it was presented in full and without an error, and was neither skipped through
    nor left open at the end.

    returns: the new minutes by cue name
    """
    took = [
        (row.cue, row.talked)
        for report in reports
        for row in report.presented
        if _counts(row) and (report.talk.ended or row.cue.name != report.talk.cue)
    ]
    cues = {cue.name: cue for cue, _ in took}
    table = pd.DataFrame([(cue.name, minutes) for cue, minutes in took], columns=["cue", "minutes"])
    medians = table.astype({"minutes": float}).groupby("cue", sort=False)["minutes"].median()
    learned = {str(name): _round(float(minutes), cues[str(name)]) for name, minutes in medians.items()}
    return {name: minutes for name, minutes in learned.items() if minutes != cues[name].minutes}


def _round(minutes: float, cue: Cue) -> float:
    return max(cue.least, round(minutes / STEP) * STEP)


def _counts(row: Row) -> bool:
    whole = row.item.treatment == row.treatment == FULL and not row.errors
    return whole and HURRIED * row.cue.least <= row.talked <= DRAGGED * row.cue.minutes


def write_back(reports: Sequence[TalkReport], *, label: str) -> list[str]:
    """Write what is learned into the plan.

    Minutes are not written if the whole talk would break a rule of `presenter check` with them.

    label: the machine on which the cells ran, as runtimes are filed
    returns: lines that say what was written
    """
    found, changes = learn_seconds(reports), learn_minutes(reports)
    runtimes.write(label, found)
    cells = count_of(sum(len(one) for one in found.values()), "cell")
    lines = [f"Kept the seconds of {cells} of the {label} in {files.shorten(runtimes.FILE)}."]
    if not changes:
        return [*lines, "No cue asks for other minutes than it has."]
    material = reports[0].material
    faults = find_faults(material, changes)
    if faults:
        return [*lines, "No minutes were changed, for the check would then fail:", *map(str, faults)]
    for sheet in material.sheets:
        _rewrite(sheet, changes)
    folder = files.shorten(material.sheets[0].path.parent)
    lines.append(f"Changed the minutes of {count_of(len(changes), 'cue')} in {folder}:")
    return [*lines, *(f"  {line}" for line in list_changes(material, changes))]


def list_changes(material: Material, changes: Mapping[str, float]) -> list[str]:
    """Write a line for each change of minutes: before and after."""
    before = {cue.name: cue.minutes for cue in material.cues}
    return [f"{name}: {before[name]:g} → {minutes:g} minutes" for name, minutes in changes.items()]


def find_faults(material: Material, changes: Mapping[str, float]) -> list[Fault]:
    """Find the faults that `presenter check` would report because of changed minutes.

    changes: minutes by cue name
    """
    changed = [
        replace(
            sheet,
            cues=tuple(replace(cue, minutes=changes.get(cue.name, cue.minutes)) for cue in sheet.cues),
        )
        for sheet in material.sheets
    ]
    before = check.check(material.sheets, material.books)
    return [fault for fault in check.check(changed, material.books) if fault not in before]


def _rewrite(sheet: Sheet, changes: Mapping[str, float]) -> None:
    """Put changed minutes into the tables of a sheet's file; nothing else in it changes."""
    lines = sheet.path.read_text(encoding="utf-8").splitlines(keepends=True)
    for cue in (one for one in sheet.cues if one.name in changes):
        rows = [place for place in range(cue.line, len(lines)) if lines[place].startswith("|")]
        first, _, rest = lines[rows[2]].split("|", 2)  # rows: the columns' names, a rule, the values
        lines[rows[2]] = "|".join([first, f" {changes[cue.name]:g} ", rest])
    if any(cue.name in changes for cue in sheet.cues):
        with files.replacing(sheet.path) as file:
            file.write("".join(lines).encode())
