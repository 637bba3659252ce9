"""What became of a talk, added up from its journal: planned against actual, cue by cue.

    presenter report                       the last talk: report.html and two tables, beside its journal
    presenter report 2026-11-22_093000     another one, by its folder's name in runs/talks or by its path
    presenter report --apply               what was measured goes into the plan; of several talks the medians

`--apply` writes the minutes that a cue took into its cue sheet, and the seconds that a cell ran into
presenter/runtimes.json. Times are minutes unless a name says otherwise.
"""

from __future__ import annotations

import argparse
import csv
import io
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

from presenter import check, cues, runtimes
from presenter import journal as state
from presenter import kernels as follow
from presenter.console import guide
from presenter.console.guide import MINUTE, Material, View
from presenter.cues import Cue
from presenter.journal import Act, Talk
from presenter.kernels import Kernels, Run
from presenter.runtimes import Runtime
from presenter.schedule import CUT, FULL, Item, Plan
from presenter.schedule import Talk as Matter
from workshop import files, notebooks, profiles
from workshop.runner import run
from workshop.units import clock

FAILED = ("failed", "out of memory", "died")
HURRIED = 0.5  # of its least: below, a cue was clicked through
DRAGGED = 3.0  # of its plan: above, the clock was forgotten
STEP = 0.5  # minutes; plans are made in halves
UNENDED = "It was not ended by hand: it is counted up to its last act or cell."
PAGE, TABLE, CELLS = "report.html", "report.csv", "cells.csv"
COLUMNS = (
    *("talk", "cue", "notebook", "title", "priority", "in_the_end", "planned_min", "took_min"),
    *("beyond_min", "question_min", "break_min", "began", "errors", "fallback_shown"),
)
CELL_COLUMNS = ("talk", "notebook", "cell", "cue", "began", "seconds", "expected_seconds", "state", "error")


@dataclass(frozen=True)
class Row:
    """One cue: what was planned, and what became of it."""

    item: Item  # its place in the plan that the talk began with
    treatment: str  # in the end, as presenter.schedule names them
    began: float | None  # s since 1970, when the talk came to it first; None if it never did
    talk: float  # minutes, without questions and breaks
    questions: float
    breaks: float
    errors: int  # of its cells
    staged: bool  # its fallback was on the projector

    @property
    def cue(self) -> Cue:
        return self.item.cue

    @property
    def planned(self) -> float:
        """The minutes that it had at the start; 0 if it was left out."""
        return self.item.minutes if self.item.kept else 0.0

    @property
    def took(self) -> float:
        """The minutes it took from the talk: breaks have minutes of their own."""
        return self.talk + self.questions

    @property
    def beyond(self) -> float:
        """The minutes more than planned; below zero if fewer."""
        return self.took - self.planned


@dataclass(frozen=True)
class Moment:
    """Something that happened at a time in the talk."""

    at: float  # s since 1970
    kind: str  # "start", "question", "break", "cut", "error", "interrupt", "stage", "level" or "end"
    cue: str  # its name
    text: str


@dataclass(frozen=True)
class Report:
    """A talk that was held."""

    name: str  # of its folder
    material: Material
    talk: Talk
    base: Plan  # as it began
    kernels: Kernels
    moments: tuple[Moment, ...]
    ended: float  # s since 1970
    note: str = ""  # why a number is not what it could be

    @property
    def began(self) -> float:
        return self.talk.stretches[0].began

    @property
    def minutes(self) -> float:
        """From beginning to end, breaks included."""
        return (self.ended - self.began) / MINUTE

    @property
    def late_start(self) -> float:
        return View(self.material, self.base, self.talk, self.kernels, self.ended).late_start

    @property
    def late(self) -> float:
        """Minutes after the planned end; below zero: early."""
        return self.late_start + self.minutes - self.base.minutes

    @property
    def presented(self) -> list[Row]:
        """The cues that the talk came to, in its plan's order."""
        return [row for row in self.rows if row.began is not None]

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Every cue that has a place in the talk."""
        return tuple(self._row(item) for item in self.base.items if item.cue.takes_time)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The runs of the workshop's cells that began during the talk."""
        known = self.material.source
        during = [one for one in self.kernels.runs if self.began <= one.began <= self.ended]
        return tuple(one for one in during if (one.notebook, one.cell) in known)

    @property
    def course(self) -> list[tuple[float, float]]:
        """How late the talk was when: minutes since its beginning, and minutes behind its first plan.

        A point for each cue at which the talk arrived going forwards, and one for the end. A break, early or
        late, is no delay; what it takes more than all planned breaks is.
        """
        points, latest = [], -1.0
        for row in sorted(self.presented, key=lambda row: row.began):
            if row.item.begins > latest:
                latest = row.item.begins
                points.append(((row.began - self.began) / MINUTE, self._behind(row)))
        return [*points, (self.minutes, self.late)]

    def _behind(self, row: Row) -> float:
        """Say how many minutes behind the plan the talk came to a cue."""
        held = sum(
            (one.ended - one.began) / MINUTE
            for one in self.talk.stretches
            if one.kind == "break" and one.ended is not None and one.ended <= row.began
        )
        planned = sum(item.pause for item in self.base.items if item.begins <= row.item.begins)
        every = sum(one.minutes for one in self.base.breaks)
        worked = (row.began - self.began) / MINUTE - held
        return self.late_start + worked + max(0.0, held - every) - (row.item.begins - planned)

    def _row(self, item: Item) -> Row:
        name = item.cue.name
        mine = [one for one in self.talk.stretches if one.cue == name]
        took: dict[str, float] = defaultdict(float)
        for one in mine:
            took[one.kind] += one.seconds(now=self.ended) / MINUTE
        return Row(
            item,
            self.talk.treatments.get(name, item.treatment),
            mine[0].began if mine else None,
            took["talk"],
            took["question"],
            took["break"],
            errors=sum(moment.kind == "error" and moment.cue == name for moment in self.moments),
            staged=any(moment.kind == "stage" and moment.cue == name for moment in self.moments),
        )


def find(names: Sequence[str], *, talks: Path = state.TALKS) -> list[Path]:
    """Find the folders of talks: by name, by path, or the last one that has begun.

    Raises ValueError, with what there is, for a name that means none.
    """
    there = state.folders(talks)
    if not names:
        held = [one for one in there if state.fold(state.read(one / state.JOURNAL)[0]).began is not None]
        if not held:
            none = f"No talk in {profiles.shown(talks)} has begun yet"
            raise ValueError(f"{none}. Hold one: presenter lab, then Start on its page.")
        return held[-1:]
    found = []
    for name in names:
        folder = next((one for one in (talks / name, Path(name)) if (one / state.JOURNAL).is_file()), None)
        if folder is None:
            known = ", ".join(one.name for one in there) or "none"
            raise ValueError(f"There is no talk {name!r}. There are: {known}. Or name a talk's folder.")
        found.append(folder.absolute())
    return found


def read(folder: Path, material: Material) -> Report:
    """Add up the talk in a folder. Its minutes are compared with the cue sheets as they are now.

    Raises ValueError if it never began.
    """
    acts, torn = state.read(folder / state.JOURNAL)
    talk = state.fold(acts)
    if talk.began is None:
        raise ValueError(f"The talk {folder.name} never began. Begin it with Start on the presenter's page.")
    kernels = _kernels(folder / state.EVENTS)
    ended = talk.ended or _last_sign(acts, kernels, since=talk.began)
    kernels.lost(now=ended)
    base, note = _plan(talk, material)
    notes = [note, "" if talk.ended else UNENDED]
    notes.append(f"Its journal has unreadable lines ({torn})." if torn else "")
    report = Report(folder.name, material, talk, base, kernels, (), ended, " ".join(filter(None, notes)))
    moments = sorted(_moments(report, in_force(acts)), key=lambda moment: moment.at)
    return replace(report, moments=tuple(moments))


def in_force(acts: Iterable[Act]) -> list[Act]:
    """Give a journal's acts from the last beginning on, without what was taken back."""
    acts = list(acts)
    undone = {act.of for act in acts if act.do == "undo"}
    told: list[Act] = []
    for number, act in enumerate(acts, start=1):
        if number not in undone and act.do != "undo":
            told = [] if act.do == "begin" else told
            told.append(act)
    return told


def _kernels(log: Path) -> Kernels:
    tail, kernels = follow.Tail(log), Kernels()
    while events := tail.read():
        for event in events:
            kernels.see(event)
    return kernels


def _last_sign(acts: Sequence[Act], kernels: Kernels, *, since: float) -> float:
    ran = [one.ended or one.began for one in kernels.runs]
    return max([since, *(act.at for act in acts), *ran])


def _plan(talk: Talk, material: Material) -> tuple[Plan, str]:
    """Make the plan that the talk began with; where the sheets have no such plan any more, an uncut one."""
    options = dict(talk.plan) or {"minutes": guide.MINUTES}
    try:
        return material.plan(options, level=talk.level), ""
    except ValueError as error:
        plan = Plan(Matter(material.cues, material.books), options.get("minutes", guide.MINUTES), talk.level)
        return plan, f"The cue sheets have changed, and its plan cannot be made any more ({error})"


def _moments(report: Report, acts: Sequence[Act]) -> Iterator[Moment]:
    yield Moment(report.began, "start", report.talk.stretches[0].cue, "The talk began")
    yield from _pauses(report)
    for run_ in report.runs:
        if run_.state in (*FAILED, "interrupted"):
            yield _broken(report, run_)
    for act in acts:
        if act.do == "cut":
            yield Moment(act.at, "cut", _at(report, act.at), sentence(guide.words(act.treatments)))
        elif act.do == "stage" and act.cue:
            yield Moment(act.at, "stage", act.cue, "Fallback on the projector")
        elif act.do == "level" and act.at > report.began:
            yield Moment(act.at, "level", _at(report, act.at), f"From here on at the {act.level} level")
    last = "The talk ended" if report.talk.ended else "Last sign of the talk"
    yield Moment(report.ended, "end", report.talk.stretches[-1].cue, last)


def _pauses(report: Report) -> Iterator[Moment]:
    """Tell each question and break once, also when the talk moved on during it."""
    before = None
    for one in report.talk.stretches:
        if one.kind != "talk" and (before is None or before.kind != one.kind):
            long = sum(more.seconds(now=report.ended) for more in _following(report, one)) / MINUTE
            yield Moment(one.began, one.kind, one.cue, f"{one.kind.capitalize()} of {clock(long)}")
        before = one


def _following(report: Report, first: state.Stretch) -> Iterator[state.Stretch]:
    place = report.talk.stretches.index(first)
    for one in report.talk.stretches[place:]:
        if one.kind != first.kind:
            return
        yield one


def _broken(report: Report, broken: Run) -> Moment:
    cue = report.material.cue_of(broken.notebook, broken.cell)
    what = {**guide.ALARMS, "interrupted": "{} was interrupted"}
    said = what[broken.state].format(broken.cell)
    detail = f": {broken.error}: {broken.message}" if broken.error and broken.state in FAILED else ""
    kind = "interrupt" if broken.state == "interrupted" else "error"
    name = cue.name if cue else _at(report, broken.began)
    return Moment(broken.ended or broken.began, kind, name, said + detail)


def _at(report: Report, at: float) -> str:
    """Name the cue in which the talk was at a time."""
    return next((one.cue for one in reversed(report.talk.stretches) if one.began <= at), "")


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def verdict(report: Report) -> str:
    """Say in a few words when the talk ended.

    returns: such as "76:10 of 75 minutes, 1:10 late"
    """
    return f"{clock(report.minutes)} of {report.base.minutes:g} minutes, {finish(report.late)}"


def finish(late: float) -> str:
    """Say how late an end is.

    >>> finish(1.2), finish(-0.5), finish(0.01)
    ('1:12 late', '0:30 early', 'on time')
    """
    if abs(late) < 1 / MINUTE:
        return "on time"
    return f"{clock(late)} {'late' if late > 0 else 'early'}"


def beyond(minutes: float) -> str:
    """Write minutes more or fewer than planned.

    >>> beyond(1.5), beyond(-0.25), beyond(0.0)
    ('+1:30', '−0:15', '0:00')
    """
    sign = "" if round(minutes * MINUTE) == 0 else "+" if minutes > 0 else "−"
    return sign + clock(minutes)


def summary(report: Report) -> list[str]:
    """Say what the talk came to, and which cues took most beyond their plan."""
    counted = [f"{len(report.presented)} of {len(report.rows)} cues presented"]
    counted.append(f"{sum(row.treatment == CUT for row in report.rows)} cut")
    for kind, each in (("question", "questions"), ("break", "breaks")):
        times = sum(moment.kind == kind for moment in report.moments)
        spent = sum(getattr(row, each) for row in report.rows)
        counted.append(f"{times} {kind if times == 1 else each}{f' ({clock(spent)})' * bool(times)}")
    errors = sum(moment.kind == "error" for moment in report.moments)
    counted.append(_many(errors, "error"))
    longest = sorted((row for row in report.presented if row.beyond > STEP), key=lambda row: -row.beyond)[:3]
    most = ", ".join(f"{row.cue.name} {beyond(row.beyond)}" for row in longest)
    return [", ".join(counted), *([f"Most beyond the plan: {most}"] if most else [])]


def table(report: Report) -> str:
    """Write one line of CSV for each cue, minutes with two decimals."""
    lines: list[Sequence[object]] = [COLUMNS]
    for row in report.rows:
        reached = row.began is not None
        numbers = (row.planned, row.took, row.beyond, row.questions, row.breaks)
        times = [f"{number:.2f}" if reached or number is numbers[0] else "" for number in numbers]
        cue, stamp = row.cue, _stamp(row.began) if reached else ""
        whose = [report.name, cue.name, cue.sheet, cue.title, cue.priority, guide.WORDS[row.treatment]]
        lines.append([*whose, *times, stamp, row.errors, "yes" if row.staged else "no"])
    return _csv(lines)


def cells(report: Report) -> str:
    """Write one line of CSV for each run of a cell."""
    lines: list[Sequence[object]] = [CELL_COLUMNS]
    for one in report.runs:
        expected = report.material.expected(one.notebook, one.cell)
        cue = report.material.cue_of(one.notebook, one.cell)
        took = "" if one.ended is None else f"{one.ended - one.began:.2f}"
        times = [_stamp(one.began), took, f"{expected.seconds:.2f}" if expected else ""]
        whose = [report.name, one.notebook, one.cell, cue.name if cue else ""]
        lines.append([*whose, *times, one.state, one.error])
    return _csv(lines)


def _csv(lines: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().isoformat(timespec="seconds")


def write(report: Report, *, into: Path) -> Path:
    """Write page and tables into a folder and return the page's path."""
    from presenter.report import page as report_page

    page = report_page.page(report)
    for name, text in {PAGE: page, TABLE: table(report), CELLS: cells(report)}.items():
        with files.replacing(into / name) as file:
            file.write(text.encode())
    return into / PAGE


def seconds(reports: Sequence[Report]) -> dict[str, dict[str, Runtime]]:
    """Take the median of each cell's runs that ended well; its memory stays as it was rehearsed."""
    every: dict[tuple[str, str], list[float]] = defaultdict(list)
    for report in reports:
        for one in report.runs:
            if one.state == "done":
                every[one.notebook, one.cell].append(one.ended - one.began)
    found: dict[str, dict[str, Runtime]] = defaultdict(dict)
    for (name, cell), took in every.items():
        before = reports[0].material.expected(name, cell)
        peak = before.peak_gib if before else None
        found[name][cell] = Runtime(round(statistics.median(took), 2), peak, len(took))
    return dict(found)


def measured(reports: Sequence[Report]) -> dict[str, float]:
    """Say how many minutes cues should have: the medians of what they took, in halves, where that is new.

    A cue counts that was presented in full and without an error, neither clicked through nor left open at the
    end. No cue gets less than its least.
    """
    took: dict[Cue, list[float]] = defaultdict(list)
    for report in reports:
        for row in report.presented:
            if _counts(row) and (report.talk.ended or row.cue.name != report.talk.cue):
                took[row.cue].append(row.talk)
    halves = {cue: max(cue.least, round(statistics.median(each) / STEP) * STEP) for cue, each in took.items()}
    return {cue.name: minutes for cue, minutes in halves.items() if minutes != cue.minutes}


def _counts(row: Row) -> bool:
    whole = row.item.treatment == row.treatment == FULL and not row.errors
    return whole and HURRIED * row.cue.least <= row.talk <= DRAGGED * row.cue.minutes


def apply(reports: Sequence[Report], *, label: str) -> list[str]:
    """Write what was measured back into the plan, and say what was written.

    label: the machine that the cells ran on, as runtimes are filed

    Minutes are not written if the whole talk would break a rule of `presenter check` by them.
    """
    found, changes = seconds(reports), measured(reports)
    runtimes.write(label, found)
    count = sum(len(one) for one in found.values())
    said = [f"Kept the seconds of {_many(count, 'cell')} of the {label} in {profiles.shown(runtimes.FILE)}."]
    if not changes:
        return [*said, "No cue asks for other minutes than it has."]
    material = reports[0].material
    against = broken(material, changes)
    if against:
        return [*said, "No minutes were changed, for the check would then fail:", *map(str, against)]
    for sheet in material.sheets:
        _rewrite(sheet, changes)
    told = [f"  {line}" for line in told_changes(material, changes)]
    return [*said, f"Changed the minutes of {_many(len(changes), 'cue')} in {_folder(material)}:", *told]


def _folder(material: Material) -> str:
    return profiles.shown(material.sheets[0].path.parent)


def told_changes(material: Material, changes: Mapping[str, float]) -> list[str]:
    """Say for each change what it was and what it is then."""
    now = {cue.name: cue.minutes for cue in material.cues}
    return [f"{name}: {now[name]:g} → {minutes:g} minutes" for name, minutes in changes.items()]


def broken(material: Material, changes: Mapping[str, float]) -> list[cues.Fault]:
    """List the faults that `presenter check` would find with other minutes and does not find now."""
    changed = [
        replace(
            sheet,
            cues=tuple(replace(cue, minutes=changes.get(cue.name, cue.minutes)) for cue in sheet.cues),
        )
        for sheet in material.sheets
    ]
    before = check.check(material.sheets, material.books)
    return [fault for fault in check.check(changed, material.books) if fault not in before]


def _rewrite(sheet: cues.Sheet, changes: Mapping[str, float]) -> None:
    """Put other minutes into the tables of a sheet; nothing else in it changes."""
    lines = sheet.path.read_text(encoding="utf-8").splitlines(keepends=True)
    for cue in (one for one in sheet.cues if one.name in changes):
        rows = [place for place in range(cue.line, len(lines)) if lines[place].startswith("|")]
        first, minutes, rest = lines[rows[2]].split("|", 2)  # after the heading: columns, rule, values
        lines[rows[2]] = "|".join([first, f" {changes[cue.name]:g} ", rest])
    if any(cue.name in changes for cue in sheet.cues):
        with files.replacing(sheet.path) as file:
            file.write("".join(lines).encode())


def main(argv: list[str]) -> int:
    """Report from the command line; ends with 2 if there is no such talk."""
    parser = argparse.ArgumentParser(
        prog="presenter report", description="Tell what became of a talk: planned against actual."
    )
    parser.add_argument("talks", nargs="*", help="as 2026-11-22_093000, or a folder; none: the last one")
    parser.add_argument("--apply", action="store_true", help="write what was measured into the plan")
    parser.add_argument("--profile", default="auto", help="of the talk's machine: mi300x, pocket or auto")
    folder = {"type": Path, "metavar": "FOLDER"}
    parser.add_argument("--cues", default=cues.CUES, help="its cue sheets", **folder)
    parser.add_argument("--notebooks", default=notebooks.FOLDER, help="its notebooks", **folder)
    options = parser.parse_args(argv)
    try:
        label = profiles.choose(options.profile).label
        material = Material.read(options.cues, options.notebooks).measured_on(label)
        folders = find(options.talks)
        reports = [read(folder, material) for folder in folders]
        for folder, report in zip(folders, reports, strict=True):
            print(told(report, write(report, into=folder)))
        print("\n".join(apply(reports, label=label) if options.apply else _would(reports)))
    except OSError as error:
        print(
            f"presenter report: {error}. Free some space or make the talk's folder readable and writable.",
            file=sys.stderr,
        )
        return 2
    except ValueError as error:
        print(f"presenter report: {error}", file=sys.stderr)
        return 2
    return 0


def told(report: Report, page: Path) -> str:
    """Tell a talk in a few lines, for the terminal."""
    when = datetime.fromtimestamp(report.began).strftime("%d %B %Y, %H:%M")
    lines = [f"Talk of {when}: {verdict(report)}", *(f"  {line}" for line in summary(report))]
    lines += [f"  {report.note}"] if report.note else []
    return "\n".join([*lines, f"  Report: {run.shown(page)}, with {TABLE} and {CELLS} beside it\n"])


def _would(reports: Sequence[Report]) -> list[str]:
    changes, ran = measured(reports), sum(map(len, seconds(reports).values()))
    what = f"change the minutes of {_many(len(changes), 'cue')} and keep the seconds of {_many(ran, 'cell')}"
    return [f"--apply would {what}."]


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
