"""What the console tells its presenter: where they are, what comes, how late they are, what to do about it.

Pure functions of the plan, the talk's state, the kernels and the time. Each returns a part of the page, as
plain data; texts whose names end in `html` are rendered and cleaned, all others are shown as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from presenter import cues, facts, render, runtimes, schedule
from presenter.cues import LABELS, Cue, Sheet
from presenter.journal import Act, Talk
from presenter.kernels import Kernels, Run
from presenter.runtimes import Runtime
from presenter.schedule import CUT, FULL, SHORT, Advice, Item, Plan
from workshop import notebooks
from workshop.notebooks import Notebook
from workshop.units import clock

MINUTE = 60.0
MINUTES = 90.0  # of a talk that nobody gave a length
STEP = 5.0  # s; the advice is thought over that often, and a sentence that changes each second cannot be read
LATE_START = 30.0  # minutes; a talk that begins further from its start time has another start
ON_TIME = 0.5  # minutes behind or ahead that nobody has to think about
OVERRUN, SLACK = 1.5, 10.0  # a cell takes too long from so many times its expected time and so many s more
WAIT = 3.0  # s; from then on, there is time to talk while the cell runs
OPENING = ("Before you start", "Opening")
CLOSING = ("Closing", "Questions you will get (Q&A)", "Questions you will get")
WORDS = {FULL: "as planned", SHORT: "shortened", CUT: "cut", schedule.HOME: "at home"}

Part = dict[str, Any]


@dataclass(frozen=True)
class Material:
    """What there is to present, and what is known about this machine."""

    sheets: tuple[Sheet, ...]
    books: tuple[Notebook, ...] = ()
    runtimes: Mapping[str, Mapping[str, Runtime]] = field(default_factory=dict, hash=False)
    label: str = ""  # the machine, as runtimes are filed; "" until it is known

    @cached_property
    def cues(self) -> tuple[Cue, ...]:
        return tuple(cue for sheet in self.sheets for cue in sheet.cues)

    @cached_property
    def sheet_of(self) -> dict[str, Sheet]:
        return {sheet.name: sheet for sheet in self.sheets}

    @cached_property
    def source(self) -> dict[tuple[str, str], str]:
        return {(book.name, cell.id): cell.source for book in self.books for cell in book.code}

    def cue_of(self, notebook: str, cell: str) -> Cue | None:
        sheet = self.sheet_of.get(notebook)
        return sheet.cue_of(cell) if sheet else None

    def expected(self, notebook: str, cell: str) -> Runtime | None:
        return self.runtimes.get(notebook, {}).get(cell)

    @classmethod
    def read(cls, sheets: Path, books: Path) -> Material:
        """Read all cue sheets and notebooks.

        Raises ValueError if there is no sheet, and what `cues.read_all` raises.
        """
        found = tuple(cues.read_all(sheets))
        if not found:
            raise ValueError(
                f"There is no cue sheet (01_name.md) in {sheets}. Name another folder with --cues."
            )
        return cls(found, tuple(notebooks.read_all(books)))

    def measured_on(self, label: str, *, file: Path | None = None) -> Material:
        """Take in what the cells took on a machine; raises what `runtimes.read` raises."""
        return replace(self, runtimes=runtimes.read(file).get(label, {}), label=label)

    def plan(self, options: Mapping[str, Any], *, level: str) -> Plan:
        """Cut the talk to fit, as `presenter plan` does; what `schedule.plan` raises goes on."""
        start = options.get("start")
        return schedule.plan(
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


@dataclass(frozen=True)
class View:
    """Everything that the page depends on at one moment."""

    material: Material
    base: Plan  # before any cut of the talk
    talk: Talk
    kernels: Kernels
    now: float  # s since 1970

    @cached_property
    def plan(self) -> Plan:
        return replace(self.base, treatments={**self.base.treatments, **self.talk.treatments})

    @cached_property
    def path(self) -> tuple[Item, ...]:
        """The cues that are presented, in order."""
        return tuple(item for item in self.plan.items if item.kept)

    @cached_property
    def here(self) -> Item:
        """The current cue; the first one until the talk is somewhere."""
        names = {item.cue.name for item in self.plan.items}
        return self.plan.item(self.talk.cue) if self.talk.cue in names else self.path[0]

    @cached_property
    def place(self) -> int:
        return self.plan.items.index(self.here)

    @property
    def following(self) -> Item | None:
        return next((item for item in self.plan.items[self.place + 1 :] if item.kept), None)

    @property
    def preceding(self) -> Item | None:
        return next((item for item in reversed(self.plan.items[: self.place]) if item.kept), None)

    @cached_property
    def advice(self) -> Advice:
        spent = self.talk.spent(now=self.now).get(self.here.cue.name, 0.0) / MINUTE
        return _advice(self.plan, _stepped(self.elapsed), self.here.cue.name, _stepped(spent))

    @property
    def elapsed(self) -> float:
        """Minutes since the start as the plan counts them: with its breaks, held or still to come.

        A break that is held early is no delay; one that is longer than planned, or not planned, is.
        """
        talk, held = self.talk.elapsed(now=self.now) / MINUTE, self.talk.breaks(now=self.now) / MINUTE
        planned = sum(one.minutes for one in self.plan.breaks)
        ahead = sum(item.pause for item in self.plan.items[self.place + 1 :])
        to_come = max(0.0, planned - held) if ahead else 0.0
        return self.late_start + talk + held + to_come - ahead

    @property
    def late_start(self) -> float:
        """Minutes that the talk began after its start time; the room's clock does not wait."""
        if self.plan.start is None or self.talk.began is None:
            return 0.0
        late = (self.talk.began - self.plan.start.timestamp()) / MINUTE
        return late if abs(late) <= LATE_START else 0.0

    @property
    def ends(self) -> float:
        """When the talk is expected to end, in s since 1970."""
        began = self.now if self.talk.began is None else self.talk.began
        planned_end = began + (self.plan.minutes - self.late_start) * MINUTE
        return planned_end + self.advice.late * MINUTE


def _stepped(minutes: float) -> float:
    return math.floor(minutes * MINUTE / STEP) * STEP / MINUTE


@lru_cache(maxsize=4)
def _advice(plan: Plan, elapsed: float, position: str, spent: float) -> Advice:
    return schedule.replan(plan, elapsed=elapsed, position=position, spent=spent)


def moved(view: View, run: Run) -> str:
    """Name the cue that a cell which has just begun moves the talk to; "" if it moves it nowhere.

    The talk follows what is run by hand, forwards, to a cue that is presented. Run All and a cell that is run
    again to repair something move nothing.
    """
    cue = view.material.cue_of(run.notebook, run.cell)
    if cue is None or run.queued or not view.talk.follows or not view.plan.item(cue.name).kept:
        return ""
    return (
        cue.name if view.plan.items.index(view.plan.item(cue.name)) > view.place or not view.talk.cue else ""
    )


def talk_part(view: View, acts: Sequence[Act], *, problem: str = "") -> Part:
    """The talk's switches."""
    talk = view.talk
    return {
        "state": "pause"
        if talk.pause
        else "running"
        if talk.running
        else "ended"
        if talk.ended is not None
        else "ready",
        "pause": talk.pause,
        "level": talk.level,
        "follows": talk.follows,
        "staged": bool(talk.staged),
        "undo": undo_words(talk, acts),
        "undo_resets": bool(talk.undoable) and acts[talk.undoable - 1].do == "begin",
        "problem": problem,
        "here": view.here.cue.name,
        "next": view.following.cue.name if view.following else "",
        "back": view.preceding.cue.name if view.preceding else "",
        "first": view.path[0].cue.name,
    }


def undo_words(talk: Talk, acts: Sequence[Act]) -> str:
    """Say what undo would take back; "" if nothing."""
    if not talk.undoable:
        return ""
    act = acts[talk.undoable - 1]
    if act.do == "cut":
        return f"Undo: {words(act.treatments, few=True)}"
    return {"begin": "Undo the start", "end": "Undo the end"}[act.do]


def words(treatments: Mapping[str, str], *, few: bool = False) -> str:
    """Say in a few words what is done to cues; with `few`, of many cues name the first only.

    >>> words({"03-zoom": "cut", "04-mix": "cut"}), words({"03-zoom": "full"})
    ('skip 03-zoom and 04-mix', 'take 03-zoom back in')
    """
    said = [
        _listed(verb, [name for name, how in treatments.items() if how == what], end, few=few)
        for verb, what, end in (("skip", CUT, ""), ("shorten", SHORT, ""), ("take", FULL, " back in"))
    ]
    return ", ".join(filter(None, said))


def _listed(verb: str, names: list[str], end: str, *, few: bool) -> str:
    names = schedule.few(names) if few else names
    return f"{verb} {' and '.join(names) if len(names) < 3 else ', '.join(names)}{end}" if names else ""


def clock_part(view: View) -> Part:
    """The clock: all of it as text, to be shown as it is."""
    talk = view.talk
    if not talk.running:
        over = clock(talk.elapsed(now=view.now) / MINUTE) if talk.began is not None else clock(0)
        return {
            "elapsed": over,
            "left": clock(view.plan.minutes),
            "ends": "",
            "pace": "",
            "late": 0,
        } | _sentence(view)
    left = view.plan.minutes - view.elapsed
    return {
        "elapsed": clock(talk.elapsed(now=view.now) / MINUTE),
        "left": clock(left) if left >= 0 else f"−{clock(left)}",
        "ends": datetime.fromtimestamp(view.ends).strftime("%H:%M"),
        "pace": pace(view.advice.late),
        "late": round(view.advice.late, 1) if abs(view.advice.late) >= ON_TIME else 0,
    } | _sentence(view)


def pace(late: float) -> str:
    """Say how late the talk would end.

    >>> pace(1.34), pace(-2.0), pace(0.2)
    ('1:20 behind', '2:00 ahead', 'on time')
    """
    if abs(late) < ON_TIME:
        return "on time"
    return f"{clock(late)} {'behind' if late > 0 else 'ahead'}"


def _sentence(view: View) -> Part:
    talk = view.talk
    if talk.began is None:
        start = f", planned for {view.plan.start:%H:%M}" if view.plan.start else ""
        minutes = (
            f"{view.plan.minutes:g} minutes, {len(view.path)} cues{start}. The clock starts when you do."
        )
        return {"sentence": minutes, "accept": False}
    if not talk.running:
        took = clock((talk.ended - talk.began) / MINUTE)
        return {"sentence": f"The talk has ended after {took}.", "accept": False}
    if talk.pause:
        word = {"question": "Question", "break": "Break"}[talk.pause]
        stands = "the clock goes on" if talk.pause == "question" else "the clock stands"
        since = clock(talk.in_pause(now=view.now) / MINUTE)
        return {"sentence": f"{word}, {since} so far: {stands}.", "accept": False}
    if not view.advice.treatments and view.advice.late < ON_TIME:
        return {"sentence": _on_course(view), "accept": False}
    return {"sentence": str(view.advice), "accept": bool(view.advice.treatments)}


def _on_course(view: View) -> str:
    late = view.advice.late
    if view.following is None:
        return "The last cue."
    if late > -ON_TIME:
        return "On time: go on as planned."
    return f"{clock(late)} in hand: go on as planned."


def now_part(view: View) -> Part:
    """The current cue, except what its cells are doing."""
    cue, sheet = view.here.cue, view.material.sheet_of[view.here.cue.sheet]
    return {
        "name": cue.name,
        "title": cue.title,
        "where": f"{sheet.title} · {_position(view)}",
        "treatment": WORDS[view.here.treatment],
        "notes": [
            {"label": label, "html": _html(view, cue, cue.notes[label])}
            for label in LABELS
            if label in cue.notes
        ],
        "points": [{"html": _line(view, cue, point)} for point in cue.points.get(view.talk.level, ())],
        "questions": [
            {"html": _line(view, cue, one.question), "answer_html": _line(view, cue, one.answer)}
            for one in cue.questions
        ],
        "fallback": bool(cue.fallback),
        "practice_html": _html(view, cue, cue.practice),
        "before": _sections(view, sheet, OPENING, at=0),
        "after": _sections(view, sheet, CLOSING, at=-1),
    }


def _position(view: View) -> str:
    if view.here in view.path:
        return f"cue {view.path.index(view.here) + 1} of {len(view.path)}"
    return "not in the plan"


def _sections(view: View, sheet: Sheet, titles: tuple[str, ...], *, at: int) -> list[Part]:
    """The sheet's own sections of these titles, if this is its first cue (at 0) or its last (at -1)."""
    mine = [item for item in view.path if item.cue.sheet == sheet.name] or [view.here]
    if view.here != mine[at]:
        return []
    return [
        {"title": section.title, "html": _html(view, view.here.cue, section.text)}
        for section in sheet.sections
        if section.title in titles
    ]


def _filled(view: View, cue: Cue, text: str) -> str:
    try:
        return facts.fill(text, notebook=cue.sheet, label=view.material.label or "unknown")
    except ValueError:  # `presenter check` reports it; in a talk the name of the fact is better than nothing
        return text


def _html(view: View, cue: Cue, text: str) -> str:
    return render.markdown(_filled(view, cue, text), sheet=cue.sheet)


def _line(view: View, cue: Cue, text: str) -> str:
    return render.line(_filled(view, cue, text), sheet=cue.sheet)


def time_part(view: View) -> Part:
    """How long the current cue has taken, and may."""
    spent = view.talk.spent(now=view.now).get(view.here.cue.name, 0.0)
    planned = view.here.minutes if view.here.kept else 0.0
    text = f"{clock(spent / MINUTE)} of {clock(planned)}" if planned else clock(spent / MINUTE)
    return {"text": text, "over": bool(planned) and spent > planned * MINUTE}


def cells_part(view: View) -> Part:
    """The code cells of the current cue and what became of them, and the code of the cell to run next.

    A cell that failed is the next one, to be repaired, until its cue's fallback is on the projector. Cells of
    Markdown do not run.
    """
    states = {(run.notebook, run.cell): run.state for run in view.kernels.runs if _present(view, run)}
    here = _code(view, view.here.cue)
    cells = [{"id": cell, "state": states.get((sheet, cell), "")} for sheet, cell in here]
    over = set(states.values()) if view.talk.staged == view.here.cue.name else {"done", "running"}
    todo = [key for key in here if states.get(key) not in over]
    if not todo and view.following:
        todo = _code(view, view.following.cue)
    return {"cells": cells, "next": _cell(view, *todo[0]) if todo else None}


def _code(view: View, cue: Cue) -> list[tuple[str, str]]:
    """Notebook and id of a cue's code cells."""
    return [key for cell in cue.cells if (key := (cue.sheet, cell)) in view.material.source]


def needs(view: View) -> tuple[float | None, float]:
    """Say what the next cell needs and what its kernel holds by now, in GiB, both as rehearsed."""
    cell = cells_part(view)["next"]
    if cell is None:
        return None, 0.0
    ran = [run for run in view.kernels.runs if run.notebook == cell["notebook"] and _present(view, run)]
    held = view.material.expected(ran[-1].notebook, ran[-1].cell) if ran else None
    need = view.material.expected(cell["notebook"], cell["id"])
    return need.peak_gib if need else None, (held.peak_gib or 0.0) if held else 0.0


def _present(view: View, run: Run) -> bool:
    return run.pid == view.kernels.kernel_of.get(run.notebook, run.pid)


def _cell(view: View, notebook: str, cell: str) -> Part:
    expected = view.material.expected(notebook, cell)
    return {
        "id": cell,
        "notebook": notebook,
        "elsewhere": notebook != view.here.cue.sheet,
        "code_html": render.code(view.material.source.get((notebook, cell), "")),
        "expected": f"expected {facts.seconds(expected.seconds)}" if expected else facts.NOT_REHEARSED,
    }


def next_part(view: View) -> Part | None:
    """The cue after this one, and the cells to run silently before it.

    by_hand: no cell of it runs, which would tell that it has begun.
    """
    if view.following is None:
        return None
    cue = view.following.cue
    first = next((cue.notes[label] for label in ("Say", "Show", "Do") if label in cue.notes), "")
    between = view.plan.items[view.place + 1 : view.plan.items.index(view.following)]
    silent = [(item.cue.sheet, cell) for item in between for cell in item.silent]
    return {
        "name": cue.name,
        "title": cue.title,
        "sheet": view.material.sheet_of[cue.sheet].title if cue.sheet != view.here.cue.sheet else "",
        "minutes": f"{clock(view.following.minutes)} min",
        "pause": f"before it, a break of {view.following.pause:g} minutes" if view.following.pause else "",
        "first_html": _html(view, cue, first.split("\n\n")[0]),
        "by_hand": not _code(view, cue),
        "silent": [
            {"id": cell, "notebook": sheet, "done": cell in view.kernels.ran(sheet)} for sheet, cell in silent
        ],
    }


def run_part(view: View) -> Part | None:
    """The cell that runs, or else the last one that ran: how long, how long was expected, what it came to."""
    run = _latest(view)
    if run is None:
        return None
    expected = view.material.expected(run.notebook, run.cell)
    seconds = (view.now if run.ended is None else run.ended) - run.began
    cue = view.material.cue_of(run.notebook, run.cell)
    return {
        "cell": run.cell,
        "notebook": run.notebook,
        "state": run.state,
        "seconds": took(seconds, running=run.ended is None),
        "expected": facts.seconds(expected.seconds) if expected else "",
        "share": min(100, round(100 * seconds / expected.seconds)) if expected and expected.seconds else None,
        "waiting": run.state == "running" and seconds >= WAIT and cue == view.here.cue,
    }


def took(seconds: float, *, running: bool) -> str:
    """Say how long a cell has taken; while it runs, in whole seconds.

    >>> took(1.44, running=True), took(1.44, running=False), took(75.2, running=True)
    ('1 s', '1.4 s', '1 min 15 s')
    """
    if seconds < 59.5:
        return f"{seconds:.0f} s" if running or seconds >= 9.95 else f"{seconds:.1f} s"
    return facts.seconds(seconds)


def _latest(view: View) -> Run | None:
    running = view.kernels.running
    return running[-1] if running else view.kernels.runs[-1] if view.kernels.runs else None


ALARMS = {"failed": "An error in {}", "out of memory": "Out of memory in {}", "died": "The kernel died in {}"}


def alarm_part(view: View) -> Part | None:
    """What went wrong in the current cue, and what its sheet says about it; None if nothing did."""
    run = _latest(view)
    if run is None or view.material.cue_of(run.notebook, run.cell) != view.here.cue:
        return None
    if run.state == "running" and too_long(run, view.material.expected(run.notebook, run.cell), now=view.now):
        title = f"{run.cell} takes longer than expected"
    elif run.state in ALARMS:
        title = ALARMS[run.state].format(run.cell)
    else:
        return None
    message = f"{run.error}: {run.message}" if run.error else ""
    notes = view.here.cue.notes.get("If it fails", "")
    return {"title": title, "message": message, "html": _html(view, view.here.cue, notes)}


def too_long(run: Run, expected: Runtime | None, *, now: float) -> bool:
    """Say whether a running cell has overrun what was measured."""
    return expected is not None and now - run.began > OVERRUN * expected.seconds + SLACK


def outline_part(view: View) -> list[Part]:
    """Every cue: where it stands, and what the plan does with it."""
    return [
        {
            "name": item.cue.name,
            "title": item.cue.title,
            "sheet": view.material.sheet_of[item.cue.sheet].title,
            "treatment": item.treatment,
            "words": WORDS[item.treatment],
            "minutes": clock(item.minutes) if item.kept else "",
            "here": item is view.here,
            "silent": list(item.silent),
        }
        for item in view.plan.items
    ]


def stage_part(view: View) -> Part:
    """The projector: the fallback of a cue, or a quiet page with the title of the sheet."""
    names = {item.cue.name: item.cue for item in view.plan.items}
    cue = names.get(view.talk.staged)
    sheet = view.material.sheet_of[view.here.cue.sheet]
    if cue is None:
        return {"on": False, "title": sheet.title}
    points = [{"html": _line(view, cue, point)} for point in cue.points.get(view.talk.level, ())]
    return {"on": True, "title": cue.title, "picture": cue.fallback, "points": points}
