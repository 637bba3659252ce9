"""What the console tells its presenter: where they are, what comes, how late they are, what to do about it.

Every function depends on its arguments alone. A `describe_…` returns one part of the page as plain data:
texts whose names end in `html` are rendered and cleaned, all others are shown as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from presenter import facts, render, schedule
from presenter.console.view import View
from presenter.cues import CLOSING, LABELS, OPENING, Cue, Sheet
from presenter.journal import Act, Talk
from presenter.kernels import FAILURES, Run
from presenter.runtimes import Runtime
from presenter.schedule import ON_TIME, TREATMENTS
from workshop.units import MINUTE, clock

OVERRUN, SLACK = 1.5, 10.0  # a cell is overdue after OVERRUN × expected + SLACK seconds
WAIT = 3.0  # s; a cell that has run for this long leaves time to talk

PagePart = dict[str, Any]


def find_move(view: View, run: Run) -> str:
    """Return the name of the cue to which a cell that has just begun moves the talk; "" if it stays.

    A cell that is run by hand moves the talk forwards, to a cue that is presented. Cells that run because of
    Run All, or again to repair something, do not move it.
    """
    cue = view.material.cue_of(run.notebook, run.cell)
    if cue is None or run.queued or not view.talk.follows:
        return ""
    item = view.plan.item(cue.name)
    ahead = view.plan.items.index(item) > view.place or not view.talk.cue
    return cue.name if item.kept and ahead else ""


def describe_talk(view: View, acts: Sequence[Act], *, problem: str = "") -> PagePart:
    """Return the talk's state and what its keys would do.

    problem: of the journal, if it has one
    """
    talk = view.talk
    return {
        "state": _state(talk),
        "pause": talk.pause,
        "level": talk.level,
        "follows": talk.follows,
        "staged": bool(talk.staged),
        "undo": describe_undo(talk, acts),
        "undo_resets": bool(talk.undoable) and acts[talk.undoable - 1].do == "begin",
        "problem": problem,
        "here": view.here.cue.name,
        "next": view.following.cue.name if view.following else "",
        "back": view.preceding.cue.name if view.preceding else "",
        "first": view.path[0].cue.name,
    }


def _state(talk: Talk) -> str:
    if talk.running:
        return "pause" if talk.pause else "running"
    return "ready" if talk.ended is None else "ended"


def describe_undo(talk: Talk, acts: Sequence[Act]) -> str:
    """Write what undo would take back; "" if there is nothing to take back."""
    if not talk.undoable:
        return ""
    act = acts[talk.undoable - 1]
    if act.do == "cut":
        return f"Undo: {schedule.describe_changes(act.treatments, few=True)}"
    return {"begin": "Undo the start", "end": "Undo the end"}[act.do]


def describe_clock(view: View) -> PagePart:
    """Return the clocks, the expected end and the advice, as text."""
    talk = view.talk
    if not talk.running:
        elapsed = clock(talk.elapsed(now=view.now) / MINUTE) if talk.began is not None else clock(0)
        return {
            "elapsed": elapsed,
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
        "pace": describe_pace(view.advice.late),
        "late": round(view.advice.late, 1) if abs(view.advice.late) >= ON_TIME else 0,
    } | _sentence(view)


def describe_pace(late: float) -> str:
    """Write how late the talk would end.

    late: minutes; below zero: early

    >>> describe_pace(1.34), describe_pace(-2.0), describe_pace(0.2)
    ('1:20 behind', '2:00 ahead', 'on time')
    """
    if abs(late) < ON_TIME:
        return "on time"
    return f"{clock(late)} {'behind' if late > 0 else 'ahead'}"


def _sentence(view: View) -> PagePart:
    talk = view.talk
    if talk.began is None:
        start = f", planned for {view.plan.start:%H:%M}" if view.plan.start else ""
        minutes = (
            f"{view.plan.minutes:g} minutes, {len(view.path)} cues{start}. The clock starts when you do."
        )
        return {"sentence": minutes, "accept": False}
    if talk.ended is not None:
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


def describe_now(view: View) -> PagePart:
    """Return the current cue; `describe_cells` has its cells."""
    cue, sheet = view.here.cue, view.material.sheet_of[view.here.cue.sheet]
    return {
        "name": cue.name,
        "title": cue.title,
        "where": f"{sheet.title} · {_position(view)}",
        "treatment": TREATMENTS[view.here.treatment],
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


def _sections(view: View, sheet: Sheet, titles: tuple[str, ...], *, at: int) -> list[PagePart]:
    """Return the sheet's sections of these titles if the current cue is its first (at=0) or last (at=-1)."""
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
    except ValueError:  # `presenter check` reports it; during a talk, showing the fact's name beats an error
        return text


def _html(view: View, cue: Cue, text: str) -> str:
    return render.markdown(_filled(view, cue, text), sheet=cue.sheet)


def _line(view: View, cue: Cue, text: str) -> str:
    return render.line(_filled(view, cue, text), sheet=cue.sheet)


def describe_time(view: View) -> PagePart:
    """Return how long the current cue has taken and is planned to take."""
    spent = view.talk.spent(now=view.now).get(view.here.cue.name, 0.0)
    planned = view.here.minutes if view.here.kept else 0.0
    text = f"{clock(spent / MINUTE)} of {clock(planned)}" if planned else clock(spent / MINUTE)
    return {"text": text, "exceeded": bool(planned) and spent > planned * MINUTE}


def describe_cells(view: View) -> PagePart:
    """Return the current cue's code cells with their states, and the cell to run next with its code.

    A failed cell stays next until you show its fallback.
    """
    states = {(run.notebook, run.cell): run.state for run in view.kernels.runs if _present(view, run)}
    here = _code(view, view.here.cue)
    cells = [{"id": cell, "state": states.get((sheet, cell), "")} for sheet, cell in here]
    settled = set(states.values()) if view.talk.staged == view.here.cue.name else {"done", "running"}
    todo = [key for key in here if states.get(key) not in settled]
    if not todo and view.following:
        todo = _code(view, view.following.cue)
    return {"cells": cells, "next": _cell(view, *todo[0]) if todo else None}


def _code(view: View, cue: Cue) -> list[tuple[str, str]]:
    """List a cue's code cells: notebook and id of each."""
    return [key for cell in cue.cells if (key := (cue.sheet, cell)) in view.material.source]


def find_memory(view: View) -> tuple[float | None, float]:
    """Return GiB at rehearsal: of the next cell, of the cell last run in its kernel."""
    cell = describe_cells(view)["next"]
    if cell is None:
        return None, 0.0
    ran = [run for run in view.kernels.runs if run.notebook == cell["notebook"] and _present(view, run)]
    held = view.material.expected(ran[-1].notebook, ran[-1].cell) if ran else None
    need = view.material.expected(cell["notebook"], cell["id"])
    return need.peak_gib if need else None, (held.peak_gib or 0.0) if held else 0.0


def _present(view: View, run: Run) -> bool:
    return run.pid == view.kernels.kernel_of.get(run.notebook, run.pid)


def _cell(view: View, notebook: str, cell: str) -> PagePart:
    expected = view.material.expected(notebook, cell)
    return {
        "id": cell,
        "notebook": notebook,
        "elsewhere": notebook != view.here.cue.sheet,
        "code_html": render.code(view.material.source.get((notebook, cell), "")),
        "expected": f"expected {facts.format_seconds(expected.seconds)}" if expected else facts.NOT_REHEARSED,
    }


def describe_next(view: View) -> PagePart | None:
    """Return the next cue and the cells to run silently before it; None after the last cue.

    returns: among others by_hand: none of its cells runs, so the presenter moves the talk there by a key
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


def describe_run(view: View) -> PagePart | None:
    """Return the cell that runs, or else the last one that ran: its times, and how it ended."""
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
        "seconds": format_run_time(seconds, running=run.ended is None),
        "expected": facts.format_seconds(expected.seconds) if expected else "",
        "share": min(100, round(100 * seconds / expected.seconds)) if expected and expected.seconds else None,
        "waiting": run.state == "running" and seconds >= WAIT and cue == view.here.cue,
    }


def format_run_time(seconds: float, *, running: bool) -> str:
    """Write how long a cell has run; while it runs, in whole seconds.

    >>> [format_run_time(1.44, running=running) for running in (True, False)]
    ['1 s', '1.4 s']
    >>> format_run_time(75.2, running=True)
    '1 min 15 s'
    """
    if seconds < 59.5:
        return f"{seconds:.0f} s" if running or seconds >= 9.95 else f"{seconds:.1f} s"
    return facts.format_seconds(seconds)


def _latest(view: View) -> Run | None:
    running = view.kernels.running
    return running[-1] if running else view.kernels.runs[-1] if view.kernels.runs else None


def describe_alarm(view: View) -> PagePart | None:
    """Return what went wrong in the current cue and what its sheet says about that; None if nothing did."""
    run = _latest(view)
    if run is None or view.material.cue_of(run.notebook, run.cell) != view.here.cue:
        return None
    if run.state == "running" and is_overdue(
        run, view.material.expected(run.notebook, run.cell), now=view.now
    ):
        title = f"{run.cell} takes longer than expected"
    elif run.state in FAILURES:
        title = FAILURES[run.state].format(run.cell)
    else:
        return None
    message = f"{run.error}: {run.message}" if run.error else ""
    notes = view.here.cue.notes.get("If it fails", "")
    return {"title": title, "message": message, "html": _html(view, view.here.cue, notes)}


def is_overdue(run: Run, expected: Runtime | None, *, now: float) -> bool:
    """Return whether a running cell has taken far longer than it was measured to take."""
    return expected is not None and now - run.began > OVERRUN * expected.seconds + SLACK


def describe_outline(view: View) -> list[PagePart]:
    """Return every cue of the plan and what the plan does with it."""
    return [
        {
            "name": item.cue.name,
            "title": item.cue.title,
            "sheet": view.material.sheet_of[item.cue.sheet].title,
            "treatment": item.treatment,
            "words": TREATMENTS[item.treatment],
            "minutes": clock(item.minutes) if item.kept else "",
            "here": item is view.here,
            "silent": list(item.silent),
        }
        for item in view.plan.items
    ]


def describe_stage(view: View) -> PagePart:
    """Return what the projector shows: a cue's fallback, or a quiet page with the sheet's title."""
    names = {item.cue.name: item.cue for item in view.plan.items}
    cue = names.get(view.talk.staged)
    sheet = view.material.sheet_of[view.here.cue.sheet]
    if cue is None:
        return {"on": False, "title": sheet.title}
    points = [{"html": _line(view, cue, point)} for point in cue.points.get(view.talk.level, ())]
    return {"on": True, "title": cue.title, "picture": cue.fallback, "points": points}
