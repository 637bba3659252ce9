"""A talk that was held, added up from its journal and its kernels' log: planned against actual, cue by cue.

Times are minutes unless a name says otherwise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from presenter import journal, schedule
from presenter.cues import Cue
from presenter.journal import Act, Stretch, Talk
from presenter.kernels import FAILURES, Kernels, Run, Tail, replay
from presenter.material import Material
from presenter.schedule import CUT, DEFAULT_MINUTES, Item, Plan, Programme
from workshop import files
from workshop.units import MINUTE, clock

NOTED = 0.5  # minutes beyond its plan from which a cue is named in the summary
UNENDED = "It was not ended by hand: it is counted up to its last act or cell."


@dataclass(frozen=True)
class Row:
    """One cue: what was planned, and what became of it."""

    item: Item  # its place in the plan that the talk began with
    treatment: str  # the last one: FULL, SHORT, CUT or HOME of presenter.schedule
    began: float | None  # s since 1970, when the talk first came to it; None if it never did
    talked: float  # minutes, without questions and breaks
    questions: float
    breaks: float
    errors: int  # of its cells
    staged: bool  # whether its fallback was on the projector

    @property
    def cue(self) -> Cue:
        """The cue itself."""
        return self.item.cue

    @property
    def planned(self) -> float:
        """The minutes that it had in the first plan; 0 if that left it out."""
        return self.item.minutes if self.item.kept else 0.0

    @property
    def spent(self) -> float:
        """The minutes that it took, without breaks, which are planned apart."""
        return self.talked + self.questions

    @property
    def beyond(self) -> float:
        """The minutes that it took more than planned; below zero: fewer."""
        return self.spent - self.planned


@dataclass(frozen=True)
class Moment:
    """Something that happened at a time in the talk."""

    at: float  # s since 1970
    kind: str  # "start", "question", "break", "cut", "error", "interrupt", "stage", "level" or "end"
    cue: str  # its name
    text: str


@dataclass(frozen=True)
class TalkReport:
    """A talk that was held."""

    name: str  # of its folder
    material: Material
    talk: Talk
    base: Plan  # as it began
    kernels: Kernels
    moments: tuple[Moment, ...]
    ended: float  # s since 1970
    note: str = ""  # what makes its numbers less certain

    @property
    def began(self) -> float:
        """When it began, in s since 1970."""
        return self.talk.stretches[0].began

    @property
    def minutes(self) -> float:
        """From beginning to end, breaks included."""
        return (self.ended - self.began) / MINUTE

    @property
    def late_start(self) -> float:
        """Minutes by which it began after its start time."""
        return self.base.late_start(self.began - self.talk.shift)

    @property
    def late(self) -> float:
        """Minutes by which it ended after its planned end; below zero: early."""
        return self.late_start + self.minutes - self.base.minutes

    @property
    def presented(self) -> list[Row]:
        """The cues that the talk came to, in the plan's order."""
        return [row for row in self.rows if row.began is not None]

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Every cue that has minutes in the talk."""
        return tuple(self._row(item) for item in self.base.items if item.cue.takes_time)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The runs of the workshop's cells that began during the talk."""
        known = self.material.source
        during = [one for one in self.kernels.runs if self.began <= one.began <= self.ended]
        return tuple(one for one in during if (one.notebook, one.cell) in known)

    @property
    def course(self) -> list[tuple[float, float]]:
        """How late the talk was: pairs of minutes since its beginning and minutes behind its first plan.

        There is a point for each cue at which the talk arrived going forwards, and one for the end.
        Breaks do not count as delay, except the minutes beyond all planned breaks together.
        """
        points, latest = [], -1.0
        for began, row in sort_by_time(self.presented):
            if row.item.begins > latest:
                latest = row.item.begins
                points.append(((began - self.began) / MINUTE, self._behind(row, began)))
        return [*points, (self.minutes, self.late)]

    def _behind(self, row: Row, began: float) -> float:
        """Return the minutes behind the plan at which the talk came to a cue."""
        held = sum(
            (one.ended - one.began) / MINUTE
            for one in self.talk.stretches
            if one.kind == "break" and one.ended is not None and one.ended <= began
        )
        planned = sum(item.pause for item in self.base.items if item.begins <= row.item.begins)
        every = sum(one.minutes for one in self.base.breaks)
        worked = (began - self.began) / MINUTE - held
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


def sort_by_time(rows: Iterable[Row]) -> list[tuple[float, Row]]:
    """Sort cues by the time, in s since 1970, at which the talk first came to them; leave out the others."""
    return sorted(((row.began, row) for row in rows if row.began is not None), key=lambda timed: timed[0])


def find_folders(names: Sequence[str], *, talks: Path = journal.TALKS) -> list[Path]:
    """Find the folders of talks by name or path; without a name, of the last talk that has begun.

    Raises ValueError, with what there is, for a name that means none.
    """
    there = journal.list_folders(talks)
    if not names:
        held = [one for one in there if _fold(one).began is not None]
        if not held:
            none = f"No talk in {files.shorten(talks)} has begun yet"
            raise ValueError(f"{none}. Hold one: ./scripts/presenter lab, then Start on its page.")
        return held[-1:]
    found = []
    for name in names:
        places = [Path(name)] if Path(name).name != name else [talks / name, Path(name)]
        folder = next((one for one in places if (one / journal.JOURNAL).is_file()), None)
        if folder is None:
            known = ", ".join(one.name for one in there) or "none"
            raise ValueError(f"There is no talk {name!r}. There are: {known}. Or name a talk's folder.")
        found.append(folder.absolute())
    return found


def _fold(folder: Path) -> Talk:
    acts, _ = journal.read(folder / journal.JOURNAL)
    return journal.fold(acts)


def read(folder: Path, material: Material) -> TalkReport:
    """Add up the talk in a folder, and compare its minutes with the cue sheets as they are now.

    Raises ValueError if it never began.
    """
    acts, torn = journal.read(folder / journal.JOURNAL)
    talk = journal.fold(acts)
    if talk.began is None:
        raise ValueError(f"The talk {folder.name} never began. Begin it with Start on the presenter's page.")
    kernels = _read_kernels(folder, material)
    ended = talk.ended or _find_last_sign(acts, kernels, since=talk.began)
    kernels.end_lost(now=ended)
    base, note = _make_first_plan(talk, material)
    notes = [note, "" if talk.ended else UNENDED]
    notes.append(f"Its journal has unreadable lines ({torn})." if torn else "")
    report = TalkReport(folder.name, material, talk, base, kernels, (), ended, " ".join(filter(None, notes)))
    moments = sorted(_find_moments(report, _drop_undone(acts)), key=lambda moment: moment.at)
    return replace(report, moments=tuple(moments))


def _drop_undone(acts: Sequence[Act]) -> list[Act]:
    """Return a journal's acts from the last beginning on, without those that were taken back."""
    undone = {act.of for act in acts if act.do == "undo"}
    valid: list[Act] = []
    for number, act in enumerate(acts, start=1):
        if number not in undone and act.do != "undo":
            valid = [] if act.do == "begin" else valid
            valid.append(act)
    return valid


def _read_kernels(folder: Path, material: Material) -> Kernels:
    """Read what the talk's own notebooks did; of a talk from another machine, what all did."""
    for kernels in (Kernels(material.list_followed(folder)), Kernels()):
        for event in replay(Tail(folder / journal.EVENTS)):
            kernels.see(event)
        if kernels.runs:
            break
    return kernels


def _find_last_sign(acts: Sequence[Act], kernels: Kernels, *, since: float) -> float:
    ran = [one.ended or one.began for one in kernels.runs]
    return max([since, *(act.at for act in acts), *ran])


def _make_first_plan(talk: Talk, material: Material) -> tuple[Plan, str]:
    """Make the plan that the talk began with; if the sheets no longer allow it, an uncut one. And a note."""
    options = dict(talk.plan) or {"minutes": DEFAULT_MINUTES}
    try:
        return material.plan_anyway(options, level=talk.level)
    except ValueError as error:
        plan = Plan(
            Programme(material.cues, material.books), options.get("minutes", DEFAULT_MINUTES), talk.level
        )
        return plan, f"The cue sheets have changed, and its plan cannot be made any more ({error})"


def _find_moments(report: TalkReport, acts: Sequence[Act]) -> Iterator[Moment]:
    yield Moment(report.began, "start", report.talk.stretches[0].cue, "The talk began")
    yield from _find_pauses(report)
    for run in report.runs:
        if run.state in (*FAILURES, "interrupted"):
            yield _make_moment(report, run)
    for act in acts:
        if act.do == "cut":
            changes = schedule.describe_changes(act.treatments)
            yield Moment(act.at, "cut", _find_cue(report, act.at), capitalize(changes))
        elif act.do == "stage" and act.cue:
            yield Moment(act.at, "stage", act.cue, "Fallback on the projector")
        elif act.do == "level" and act.at > report.began:
            yield Moment(act.at, "level", _find_cue(report, act.at), f"From here on at the {act.level} level")
    last = "The talk ended" if report.talk.ended else "Last sign of the talk"
    yield Moment(report.ended, "end", report.talk.stretches[-1].cue, last)


def _find_pauses(report: TalkReport) -> Iterator[Moment]:
    """Yield each question and break once, even if the talk moved to another cue during it."""
    before = None
    for one in report.talk.stretches:
        if one.kind != "talk" and (before is None or before.kind != one.kind):
            long = sum(more.seconds(now=report.ended) for more in _following(report, one)) / MINUTE
            yield Moment(one.began, one.kind, one.cue, f"{one.kind.capitalize()} of {clock(long)}")
        before = one


def _following(report: TalkReport, first: Stretch) -> Iterator[Stretch]:
    """Yield the stretches that belong to the same pause as the first one."""
    place = report.talk.stretches.index(first)
    for one in report.talk.stretches[place:]:
        if one.kind != first.kind:
            return
        yield one


def _make_moment(report: TalkReport, broken: Run) -> Moment:
    """Describe a run that failed or was interrupted."""
    cue = report.material.cue_of(broken.notebook, broken.cell)
    what = {**FAILURES, "interrupted": "{} was interrupted"}
    text = what[broken.state].format(broken.cell)
    detail = f": {broken.error}: {broken.message}" if broken.error and broken.state in FAILURES else ""
    kind = "interrupt" if broken.state == "interrupted" else "error"
    name = cue.name if cue else _find_cue(report, broken.began)
    return Moment(broken.ended or broken.began, kind, name, text + detail)


def _find_cue(report: TalkReport, at: float) -> str:
    """Return the name of the cue in which the talk was at a time."""
    return next((one.cue for one in reversed(report.talk.stretches) if one.began <= at), "")


def capitalize(text: str) -> str:
    """Write a text's first letter as a capital, and leave the others as they are."""
    return text[:1].upper() + text[1:]


def describe_length(report: TalkReport) -> str:
    """Write how long the talk took, such as "76:10 of 75 minutes, 1:10 late"."""
    return f"{clock(report.minutes)} of {report.base.minutes:g} minutes, {describe_end(report.late)}"


def describe_end(late: float) -> str:
    """Write how many minutes late an end is.

    >>> describe_end(1.2), describe_end(-0.5), describe_end(0.01)
    ('1:12 late', '0:30 early', 'on time')
    """
    if abs(late) < 1 / MINUTE:
        return "on time"
    return f"{clock(late)} {'late' if late > 0 else 'early'}"


def format_difference(minutes: float) -> str:
    """Write minutes more or fewer than planned.

    >>> format_difference(1.5), format_difference(-0.25), format_difference(0.0)
    ('+1:30', '−0:15', '0:00')
    """
    sign = "" if round(minutes * MINUTE) == 0 else "+" if minutes > 0 else "−"
    return sign + clock(minutes)


def summarize_report(report: TalkReport) -> list[str]:
    """Write a line of counts, and a line of the cues that took most beyond their plan, if any did."""
    counted = [f"{len(report.presented)} of {len(report.rows)} cues presented"]
    counted.append(f"{sum(row.treatment == CUT for row in report.rows)} cut")
    for kind, each in (("question", "questions"), ("break", "breaks")):
        times = sum(moment.kind == kind for moment in report.moments)
        spent = sum(getattr(row, each) for row in report.rows)
        counted.append(f"{times} {kind if times == 1 else each}{f' ({clock(spent)})' * bool(times)}")
    errors = sum(moment.kind == "error" for moment in report.moments)
    counted.append(count_of(errors, "error"))
    longest = sorted((row for row in report.presented if row.beyond > NOTED), key=lambda row: -row.beyond)[:3]
    most = ", ".join(f"{row.cue.name} {format_difference(row.beyond)}" for row in longest)
    return [", ".join(counted), *([f"Most beyond the plan: {most}"] if most else [])]


def count_of(count: int, what: str) -> str:
    """Write a count with its noun, such as "1 cell" or "2 cells"."""
    return f"{count} {what}{'s' * (count != 1)}"
