"""Cut a talk to the time there is: a timetable before the talk, and advice while it runs.

    presenter plan --minutes 75 --level intermediate --start 10:00 --break 10 --skip 04-mixing

To save time, `nice` cues are cut first; then `should` cues are shortened to their least minutes; then
`should` cues are cut; and last, `must` cues are shortened. A `must` cue is never cut. A cell whose cue is cut
still runs, silently, if a kept cell needs a name that it defines (presenter.code), or if its cue says so.

All data is immutable: `accept` returns a new plan, and `undo` the plan before. Times are minutes.
"""

from __future__ import annotations

import argparse
import difflib
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise

from presenter import code, cues, runtimes
from presenter.cues import Cue
from workshop import amounts, notebooks
from workshop.notebooks import Notebook
from workshop.units import MINUTE, clock

FULL, SHORT, CUT, HOME = "full", "short", "cut", "at home"
# The treatments of a cue, as people call them; HOME is for cues without minutes, for after the talk.
TREATMENTS = {FULL: "as planned", SHORT: "shortened", CUT: "cut", HOME: "at home"}
# What is done to save time, in this order and as far as needed.
STAGES = (("nice", CUT), ("should", SHORT), ("should", CUT), ("must", SHORT))
TINY = 1e-6  # minutes; sums of decimals are not exact
GRACE = 5 / 60  # minutes by which a plan may be too long: a silent cell of 0.2 s is worth no cut
ROOM = 10.0  # minutes of a talk without material that are worth a word
LATEST_START = 30.0  # minutes; a larger gap to the start time is taken for another day, not for a late start
DAY = 24 * 60  # minutes, which is more than any talk
DEFAULT_MINUTES = 90.0  # of a talk whose length nobody gave
ON_TIME = 0.5  # minutes late or early that count as on time; a running talk is cut only if it is later

CellKey = tuple[str, str]  # notebook, cell id


class TooLong(ValueError):
    """A talk that cannot be made as short as it must be; `by` are the minutes it is too long."""

    def __init__(self, message: str, *, by: float) -> None:
        super().__init__(message)
        self.by = by


@dataclass(frozen=True)
class Programme:
    """What can be presented: the cues in order, which cells need which, and how long cells run."""

    cues: tuple[Cue, ...]
    books: tuple[Notebook, ...] = ()  # cells of notebooks left out are taken to need nothing
    seconds: Mapping[CellKey, float] = field(
        default_factory=dict, hash=False
    )  # how long each cell is expected to run

    @cached_property
    def needs(self) -> dict[str, tuple[list[str], list[set[int]]]]:
        """By notebook: its code cells' ids, and for each cell the positions of the cells that it needs."""
        return {
            book.name: (
                [cell.id for cell in book.code],
                code.find_providers([code.read_names(cell.source) for cell in book.code]),
            )
            for book in self.books
        }

    def find_silent(self, kept: Set[str]) -> set[CellKey]:
        """Find the cells that must run although their cues are not presented.

        kept: the names of the cues that are presented
        """
        spoken = {(cue.sheet, cell) for cue in self.cues if cue.name in kept for cell in cue.cells}
        wanted = spoken.union(self._run_if_cut(kept))
        for name, (ids, provided) in self.needs.items():
            places = [place for place, cell in enumerate(ids) if (name, cell) in wanted]
            wanted |= {(name, ids[place]) for place in code.find_needed(provided, places)}
        return wanted - spoken

    def _run_if_cut(self, kept: Set[str]) -> Iterator[CellKey]:
        """Yield the cells of cut cues that say `if cut: run`, if a later cue of the notebook is presented."""
        later: set[str] = set()
        for cue in reversed(self.cues):
            if cue.name in kept:
                later.add(cue.sheet)
            elif cue.if_cut == "run" and cue.sheet in later:
                yield from ((cue.sheet, cell) for cell in cue.cells)


@dataclass(frozen=True)
class Break:
    """A pause in the talk."""

    minutes: float
    before: str  # the name of the cue that follows


@dataclass(frozen=True)
class Item:
    """A cue's place in the plan."""

    cue: Cue
    treatment: str  # FULL, SHORT, CUT or HOME
    begins: float  # minutes after the start
    minutes: float  # how long it takes; if it is not presented, how long its silent cells take
    silent: tuple[str, ...]  # ids of its cells that run although it is not presented
    pause: float = 0.0  # minutes of a break just before it

    @property
    def kept(self) -> bool:
        """Whether it is presented."""
        return self.treatment in (FULL, SHORT)


@dataclass(frozen=True)
class Plan:
    """A talk cut to a number of minutes."""

    programme: Programme
    minutes: float  # how long the talk may take, breaks included
    level: str = "intermediate"
    start: datetime | None = None
    breaks: tuple[Break, ...] = ()
    treatments: Mapping[str, str] = field(default_factory=dict, hash=False)  # by cue name; others are FULL
    before: Plan | None = field(default=None, compare=False, repr=False)  # what `undo` returns

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """Every cue with its place, in the talk's order."""
        return tuple(self._items())

    @property
    def total(self) -> float:
        """Minutes from start to end, breaks included."""
        return self.items[-1].begins + self.items[-1].minutes if self.items else 0.0

    @property
    def excess(self) -> float:
        """Minutes by which it is too long; below zero: there is room."""
        return self.total - self.minutes

    def late_start(self, began: float) -> float:
        """Return the minutes that the talk began after its start time; the room's clock does not wait.

        began: s since 1970, by the computer's clock
        """
        if self.start is None:
            return 0.0
        return 0.0 if self.is_far(began) else (began - self.start.timestamp()) / MINUTE

    def is_far(self, now: float) -> bool:
        """Return whether the start time is so far away that it must mean another day.

        now: s since 1970, by the computer's clock
        """
        return self.start is not None and abs(now - self.start.timestamp()) > LATEST_START * MINUTE

    def treatment(self, cue: Cue) -> str:
        """Return a cue's treatment."""
        return self.treatments.get(cue.name, FULL) if cue.takes_time else HOME

    def item(self, name: str) -> Item:
        """Find a cue's place by the cue's name; raises ValueError if there is no such cue."""
        found = {item.cue.name: item for item in self.items}
        if name not in found:
            raise ValueError(f"There is no cue {name!r} in this plan. There are: {', '.join(found)}.")
        return found[name]

    def accept(self, advice: Advice) -> Plan:
        """Return the plan with an advice's changes."""
        return replace(self, treatments={**self.treatments, **advice.treatments}, before=self)

    def undo(self) -> Plan:
        """Return the plan before the last `accept`; the first plan returns itself."""
        return self.before or self

    def _items(self) -> Iterator[Item]:
        kept = {cue.name for cue in self.programme.cues if self.treatment(cue) in (FULL, SHORT)}
        silent = self.programme.find_silent(kept)
        pauses = {one.before: one.minutes for one in self.breaks}
        begins = 0.0
        for cue in self.programme.cues:
            treatment, pause = self.treatment(cue), pauses.get(cue.name, 0.0)
            cells = tuple(cell for cell in cue.cells if (cue.sheet, cell) in silent)
            unseen = sum(self.programme.seconds.get((cue.sheet, cell), 0.0) for cell in cells) / MINUTE
            minutes = {FULL: cue.minutes, SHORT: cue.least}.get(treatment, unseen)
            yield Item(cue, treatment, begins + pause, minutes, cells, pause)
            begins += pause + minutes


@dataclass(frozen=True)
class Advice:
    """What to do now so that the talk ends in time."""

    treatments: Mapping[str, str]  # the changes, by cue name; empty: go on as planned
    late: float  # minutes by which the talk would end late without the changes; below zero: early
    late_if_accepted: float  # the same with the changes
    behind_now: float  # minutes behind the plan at this point; below zero: ahead

    def __str__(self) -> str:
        """Write the advice as one sentence."""
        if not self.treatments:
            rest = "go on as planned" if self.late <= ON_TIME else "nothing is left to cut"
            return f"{_lead(self.late)}: {rest}, finish {_finish(self.late)}."
        done = [_listed(verb, self.treatments, what) for verb, what in (("skip", CUT), ("shorten", SHORT))]
        return (
            f"{_lead(self.late)}: {', '.join(filter(None, done))}, finish {_finish(self.late_if_accepted)}."
        )


def make_plan(
    cues: Sequence[Cue],
    *,
    minutes: float,
    level: str = "intermediate",
    start: datetime | None = None,
    breaks: Sequence[float] = (),
    skip: Sequence[str] = (),
    books: Sequence[Notebook] = (),
    seconds: Mapping[CellKey, float] | None = None,
) -> Plan:
    """Cut a talk to fit.

    minutes: from start to end, breaks included
    breaks: minutes of each; they are spread evenly, between two notebooks where there are enough of them
    skip: names of cues (03-zoom, by any of its cells) or of notebooks (03, 03_lora) to leave out in any case
    books: the notebooks, which show which cells need which
    seconds: that each cell is expected to run; the cells that run silently take that time

    Raises TooLong if the must cues do not fit even shortened, ValueError for an unknown name or level.
    """
    programme = Programme(tuple(cues), tuple(books), seconds or {})
    _check_settings(minutes, level, breaks=breaks)
    treatments = dict.fromkeys(_find_skipped(programme, skip), CUT)
    first = Plan(programme, minutes, level, start, treatments=treatments)
    if skip and not any(item.kept for item in first.items):
        raise ValueError("--skip leaves nothing to present. Skip fewer cues or notebooks.")
    fitted = _fit(first, excess=lambda one: one.excess + sum(breaks) - GRACE)
    needed = fitted.total + sum(breaks)
    if needed > minutes + GRACE + TINY:
        raise TooLong(_explain_too_long(minutes, needed, skip=skip), by=needed - minutes)
    return replace(fitted, breaks=_spread_breaks(fitted, breaks))


def replan(plan: Plan, *, elapsed: float, position: str, spent: float | None = None) -> Advice:
    """Find what to change at a point of the talk so that it ends in time.

    Only cues that are still to come are changed, and a cut cue stays cut.

    elapsed: minutes since the start, with the breaks that were held
    position: the name of the cue that is being presented
    spent: minutes that this cue has taken so far; None: `elapsed` less the minute at which the cue begins
    """
    here = plan.item(position)
    place = plan.items.index(here)
    spent = min(max(0.0, elapsed - here.begins), here.minutes) if spent is None else spent

    def cue_end(plan: Plan) -> float:
        """Return the minutes after the start at which this cue ends, or its silent cells if it was cut."""
        minutes = here.minutes if here.kept else plan.items[place].minutes
        return elapsed + max(0.0, minutes - spent)

    def late(plan: Plan) -> float:
        """Return the minutes by which the talk ends late; earlier cues can no longer be shortened."""
        rest = sum(item.pause + item.minutes for item in plan.items[place + 1 :])
        return cue_end(plan) + rest - plan.minutes

    to_come = [item.cue.name for item in plan.items[place + 1 :]]
    shorter = _fit(plan, excess=late) if late(plan) > ON_TIME else plan
    changed = {name: shorter.treatments[name] for name in to_come if _differ(plan, shorter, name)}
    return Advice(changed, late(plan), late(shorter), behind_now=cue_end(plan) - here.begins - here.minutes)


def _differ(one: Plan, other: Plan, name: str) -> bool:
    return one.treatments.get(name) != other.treatments.get(name)


def _fit(plan: Plan, *, excess: Callable[[Plan], float]) -> Plan:
    """Shorten a plan until it fits its time or nothing is left to shorten.

    Try the stages in order and start again after each change: cutting a cue can make another's cells
    needless.

    excess: returns the minutes by which a plan is too long
    """
    while excess(plan) > TINY:
        changed = (_shorten_one(plan, priority, how, excess=excess) for priority, how in STAGES)
        shorter = next(filter(None, changed), None)
        if shorter is None:
            break
        plan = shorter
    return plan


def _shorten_one(plan: Plan, priority: str, how: str, *, excess: Callable[[Plan], float]) -> Plan | None:
    """Change one cue of a priority; None if no change saves anything.

    Make the smallest change that suffices; if none does, the largest.
    Of two that save the same, the later cue is changed.
    """
    tried = [
        replace(plan, treatments={**plan.treatments, item.cue.name: how})
        for item in reversed(plan.items)
        if item.cue.priority == priority and item.kept
    ]
    saving = [one for one in tried if excess(one) < excess(plan) - TINY]
    enough = [one for one in saving if excess(one) <= TINY]
    if enough:
        return max(enough, key=excess)
    return min(saving, key=excess, default=None)


def _find_skipped(programme: Programme, words: Sequence[str]) -> set[str]:
    """Return the names of the cues that words mean; raises ValueError for a word that means none."""
    found = set()
    for word in words:
        meant = {
            cue.name
            for cue in programme.cues
            if word in (cue.sheet, cue.sheet[:2]) or word in {f"{cue.sheet[:2]}-{cell}" for cell in cue.cells}
        }
        if not meant:
            raise ValueError(_explain_unknown(word, programme))
        found |= meant
    return found


def _explain_unknown(word: str, programme: Programme) -> str:
    """Write that a word means no cue, with the three names that come nearest."""
    names = [f"{cue.sheet[:2]}-{cell}" for cue in programme.cues if cue.takes_time for cell in cue.cells]
    here = [name for name in names if name[:3] == word[:3]] or names
    near = difflib.get_close_matches(word, here, n=3, cutoff=0.0)
    return f"There is no cue {word!r} to skip. The nearest are: {', '.join(near)}; or name a notebook, as 03."


def _check_settings(minutes: float, level: str, *, breaks: Sequence[float]) -> None:
    if not all(amounts.is_number(one, least=0, most=DAY, above=True) for one in (minutes, *breaks)):
        most = f"at most {DAY:,}"
        raise ValueError(f"Minutes must be above 0, {most}, got {minutes!r} and breaks of {list(breaks)}.")
    if level not in cues.LEVELS:
        raise ValueError(f"There is no level {level!r}. These are: {', '.join(cues.LEVELS)}.")


def _explain_too_long(minutes: float, needed: float, *, skip: Sequence[str]) -> str:
    needed = math.ceil(needed - TINY)  # minutes that are enough, and can be said
    more = needed - minutes
    also = "Skip a must cue by name" if not skip else "Skip more must cues by name"
    return (
        f"{minutes:g} minutes are {more:g} too few: the must cues at their shortest, the cells that run "
        f"silently and the breaks take {needed:g}. {also} (--skip), or take {needed:g} minutes."
    )


def _spread_breaks(plan: Plan, breaks: Sequence[float]) -> tuple[Break, ...]:
    """Put breaks at even distances, each before a notebook, or before a cue if notebooks are too few."""
    items = plan.items
    between = [one for above, one in pairwise(items) if above.cue.sheet != one.cue.sheet]
    doors = between if len(between) >= len(breaks) else [item for item in items if item.kept][1:]
    if len(doors) < len(breaks):
        raise ValueError(
            f"There is no place for {len(breaks)} breaks between {len(doors) + 1} cues. Take fewer."
        )
    placed: list[Break] = []
    for number, minutes in enumerate(breaks, start=1):
        time = plan.total * number / (len(breaks) + 1)
        door = _find_nearest(doors, time)
        doors.remove(door)
        placed.append(Break(minutes, door.cue.name))
    return tuple(placed)


def _find_nearest(items: Sequence[Item], time: float) -> Item:
    return min(items, key=lambda item: abs(item.begins - time))


def describe_changes(treatments: Mapping[str, str], *, few: bool = False) -> str:
    """Write in a few words what is done to cues; with `few`, of many cues only the first are named.

    >>> describe_changes({"03-zoom": "cut", "04-mix": "cut"}), describe_changes({"03-zoom": "full"})
    ('skip 03-zoom and 04-mix', 'take 03-zoom back in')
    """
    parts = [
        _list_names(verb, [name for name, how in treatments.items() if how == what], end, few=few)
        for verb, what, end in (("skip", CUT, ""), ("shorten", SHORT, ""), ("take", FULL, " back in"))
    ]
    return ", ".join(filter(None, parts))


def _list_names(verb: str, names: list[str], end: str, *, few: bool) -> str:
    names = limit_names(names) if few else names
    return f"{verb} {' and '.join(names) if len(names) < 3 else ', '.join(names)}{end}" if names else ""


def limit_names(names: list[str]) -> list[str]:
    """Return up to four names as they are; of more, the first three and how many more there are."""
    return names if len(names) < 5 else [*names[:3], f"{len(names) - 3} more"]


def _listed(verb: str, treatments: Mapping[str, str], what: str) -> str:
    names = limit_names([name for name, how in treatments.items() if how == what])
    return f"{verb} {', '.join(names[:-1])}{' and ' * (len(names) > 1)}{names[-1]}" if names else ""


def _lead(late: float) -> str:
    return f"{clock(late)} behind" if late > TINY else f"{clock(late)} in hand"


def _finish(late: float) -> str:
    if round(late * 60) == 0:
        return "on time"
    return f"{clock(late)} {'late' if late > 0 else 'early'}"


def format_timetable(plan: Plan, *, titles: Mapping[str, str] | None = None) -> str:
    """Write a plan for the terminal: a line for each cue that is presented, with its time.

    titles: of the sheets, by name
    """
    lines, sheet = [_headline(plan)], ""
    for item in plan.items:
        if item.pause:
            lines.append(f"\n{_time(plan, item.begins - item.pause)}  {item.pause:4g}  Break")
        if not (item.kept or item.silent):
            continue
        if item.cue.sheet != sheet:
            sheet = item.cue.sheet
            lines.append(f"\n{(titles or {}).get(sheet, sheet)}")
        lines.append(_row(plan, item))
    rest = f"{_time(plan, plan.total)}        End, {_finish(plan.excess)}"
    return "\n".join([*lines, "", rest, *_left_out(plan)])


def _headline(plan: Plan) -> str:
    kept = sum(item.kept for item in plan.items)
    return f"{plan.minutes:g} minutes, {plan.level} level: {kept} cues"


def _row(plan: Plan, item: Item) -> str:
    if not item.kept:
        return f"{'':5}        run silently: {', '.join(item.silent)}"
    short = f", shortened from {item.cue.minutes:g}" if item.treatment == SHORT else ""
    note = f"  ({item.cue.priority}{short})"
    return f"{_time(plan, item.begins)}  {item.minutes:4g}  {item.cue.name:<24} {item.cue.title}{note}"


def _time(plan: Plan, minutes: float) -> str:
    if plan.start is None:
        return f"{clock(minutes):>5}"
    return (plan.start + timedelta(minutes=minutes)).strftime("%H:%M")


def _left_out(plan: Plan) -> list[str]:
    """Write what is not presented, which of it must be, and how much of the time has no material."""
    cut = [item.cue for item in plan.items if item.treatment == CUT]
    must = [cue.name for cue in cut if cue.priority == "must"]
    words = [f"Left out: {', '.join(cue.name for cue in cut)}"] if cut else []
    if must:
        words.append(f"Left out by you, though they are must cues: {', '.join(must)}")
    if -plan.excess > ROOM:
        material = sum(item.minutes for item in plan.items if item.kept)
        rest = "The rest is room for questions, exercises and playgrounds."
        words.append(f"The material takes {material:g} minutes. {rest}")
    return words


def main(argv: list[str]) -> int:
    """Plan from the command line; ends with 1 if the time is too short."""
    parser = argparse.ArgumentParser(prog="presenter plan", description="Cut the talk to fit and print it.")
    parser.add_argument(
        "--minutes",
        type=amounts.decimal(above=True, most=DAY),
        default=DEFAULT_MINUTES,
        help="from start to end; default %(default)g",
    )
    parser.add_argument("--level", choices=cues.LEVELS, default="intermediate")
    parser.add_argument("--start", type=parse_time, help="as 10:00; if left out, times count from 0:00")
    parser.add_argument(
        "--break",
        type=amounts.decimal(above=True, most=DAY),
        action="append",
        default=[],
        dest="breaks",
        metavar="MINUTES",
    )
    parser.add_argument("--skip", action="append", default=[], metavar="CUE", help="as 04-mixing, or 04")
    options = parser.parse_args(argv)
    try:
        sheets = cues.read_all()
        plan = make_plan(
            [cue for sheet in sheets for cue in sheet.cues],
            minutes=options.minutes,
            level=options.level,
            start=options.start,
            breaks=options.breaks,
            skip=options.skip,
            books=notebooks.read_all(),
            seconds=read_expected_seconds(),
        )
    except ValueError as error:
        print(f"presenter plan: {error}", file=sys.stderr)
        return 1
    print(format_timetable(plan, titles={sheet.name: sheet.title for sheet in sheets}))
    return 0


def read_expected_seconds() -> dict[CellKey, float]:
    """Read how many seconds each cell that was rehearsed is expected to run on this machine."""
    books = runtimes.read().get(runtimes.name_machine(), {})
    return {(name, cell): one.seconds for name, cells in books.items() for cell, one in cells.items()}


def parse_time(text: str) -> datetime:
    """Parse a time of today, such as 10:00, for argparse."""
    try:
        time = datetime.strptime(text, "%H:%M").time()
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time of day; write it as 10:00") from error
    return datetime.combine(datetime.now().date(), time)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
