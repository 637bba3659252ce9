"""What the console tells its presenter: where they are, what comes, how late they are, what to do about it.

Every function depends on its arguments alone. A `describe_…` returns one part of the page as plain data:
texts whose names end in `html` are rendered and cleaned, all others are shown as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from presenter import code, facts, render, schedule
from presenter.console.view import View
from presenter.cues import CLOSING, LABELS, OPENING, Cue, Sheet
from presenter.journal import HAND, KERNEL, PAUSES, Act, Talk
from presenter.kernels import FAILURES, Run
from presenter.runtimes import Runtime
from presenter.schedule import LATEST_START, ON_TIME, TREATMENTS, CellKey
from workshop.units import MINUTE, clock

OVERRUN, SLACK = 1.5, 10.0  # a cell is overdue after OVERRUN × expected + SLACK seconds
NEAR = 3  # cues; a cell further ahead asks before it moves the talk
TOLD = 60.0  # s for which the page says what a cell did to the talk by itself
WAIT = 3.0  # s; a cell that has run for this long leaves time to talk

PagePart = dict[str, Any]


def find_move(view: View, run: Run) -> str:
    """Return the name of the cue to which a cell that has just begun moves the talk; "" if it stays.

    A cell that is run by hand moves the talk forwards, to a cue that is presented and at most NEAR cues
    ahead. Cells that run because of Run All, or again to repair something, do not move it.
    """
    ahead, name = _find_ahead(view, run)
    return name if 0 < ahead <= NEAR else ""


def find_stray(view: View, run: Run) -> str:
    """Return the name of the cue of a cell that has begun too far ahead to move the talk unasked; else ""."""
    ahead, name = _find_ahead(view, run)
    return name if ahead > NEAR else ""


def _find_ahead(view: View, run: Run) -> tuple[int, str]:
    """Return how many cues ahead a cell's cue is, and its name; (0, "") if the cell moves nothing."""
    cue = view.material.cue_of(run.notebook, run.cell)
    if cue is None or run.queued or not view.talk.follows:
        return 0, ""
    item = view.plan.item(cue.name)
    if not item.kept:
        return 0, ""
    between = view.plan.items[view.place + 1 : view.plan.items.index(item) + 1]
    if not view.talk.cue and item is view.here:  # the first cue of all
        return 1, cue.name
    return sum(one.kept for one in between), cue.name


def describe_talk(view: View, acts: Sequence[Act], *, problem: str = "") -> PagePart:
    """Return the talk's state and what its keys would do.

    problem: of the journal, the cue sheets or the plan, if there is one
    """
    talk = view.talk
    return {
        "state": _state(talk),
        "pause": talk.pause,
        "level": talk.level,
        "follows": talk.follows,
        "staged": talk.fallback_up,
        "screen": talk.screen,
        "undo": describe_undo(talk, acts),
        "undo_resets": bool(talk.undoable) and acts[talk.undoable - 1].do == "begin",
        "problem": problem,
        "notice": describe_notice(view, acts),
        "ran_since": describe_ran_since(view, acts),
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
    return {"begin": "Undo the start", "end": "Undo the end", "go": "Undo the jump"}[act.do]


def describe_notice(view: View, acts: Sequence[Act]) -> str:
    """Write what a cell did to the talk by itself a moment ago; "" if it did nothing that needs a word."""
    moves = ("go", KERNEL)  # the cell that ended a pause may have moved the talk as well
    last = next((act for act in reversed(acts) if (act.do, act.by) != moves), None)
    if last is None or (last.do, last.by) != ("resume", KERNEL) or view.now - last.at >= TOLD:
        return ""
    if next(one.kind for one in reversed(view.talk.stretches) if one.kind in PAUSES) == "question":
        return "A cell was run, so the question is over."
    return "A cell was run, so the break is over: the clock goes on."


def find_first_run(view: View, acts: Sequence[Act]) -> float | None:
    """Return when a cell first moved a talk that has not begun, in s since 1970; None: none, or long ago.

    Cells before the presenter went back to the first cue by hand were a warm-up.
    """
    home = view.path[0].cue.name
    back = [place for place, act in enumerate(acts) if (act.do, act.by, act.cue) == ("go", HAND, home)]
    since = acts[back[-1] + 1 :] if back else acts
    moved = [act.at for act in since if (act.do, act.by) == ("go", KERNEL)]
    return moved[0] if moved and view.now - moved[0] < LATEST_START * MINUTE else None


def describe_ran_since(view: View, acts: Sequence[Act]) -> str:
    """Write how long ago the first cell ran, while nobody has started the talk; "" otherwise."""
    first = find_first_run(view, acts) if view.talk.began is None else None
    return "" if first is None else f"{clock((view.now - first) / MINUTE)} ago"


def describe_stray(view: View, stray: str) -> PagePart | None:
    """Return the question whether the talk goes to the cue of a cell that ran far ahead of it.

    stray: the cue's name; "": there is none
    """
    if not stray:
        return None
    cue = view.plan.item(stray).cue
    sheet = view.material.sheet_of[cue.sheet].title
    return {"cue": stray, "text": f"A cell of “{cue.title}” ({sheet}) was run. The talk stays here."}


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
        "ends": view.time_of_day(view.ends),
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
        return {"sentence": minutes + _warm_up(view) + _far_start(view), "accept": False}
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


def _warm_up(view: View) -> str:
    """Write that the talk would begin in the middle; "" if it begins with its first cue."""
    if view.here == view.path[0]:
        return ""
    begins = f" The talk would begin at “{view.here.cue.title}”, where you are."
    return f"{begins} After a warm-up, go back to the first cue before you start: O, and its name."


def _far_start(view: View) -> str:
    """Write that a start time is too far away to be kept; "" if it is near, or there is none."""
    if view.plan.start is None or not view.plan.is_far(view.now - view.shift):
        return ""
    return f" It is {view.time_of_day(view.now)}: the start time is too far away, and does not count."


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


def _html(view: View, cue: Cue, text: str) -> str:
    return render.markdown(view.fill(cue, text), sheet=cue.sheet)


def _line(view: View, cue: Cue, text: str) -> str:
    return render.line(view.fill(cue, text), sheet=cue.sheet)


def describe_time(view: View) -> PagePart:
    """Return how long the current cue has taken and is planned to take."""
    spent = view.talk.spent(now=view.now).get(view.here.cue.name, 0.0)
    planned = view.here.minutes if view.here.kept else 0.0
    text = f"{clock(spent / MINUTE)} of {clock(planned)}" if planned else clock(spent / MINUTE)
    return {"text": text, "exceeded": bool(planned) and spent > planned * MINUTE}


def describe_cells(view: View) -> PagePart:
    """Return the current cue's code cells with their states, and the cell to run next with its code.

    returns: also again: the cells that the next one and those after it need, in order, while the kernel does
        not have their names; the first of them is the next one

    A failed cell stays next until you show its fallback. No cell is next that has run in its kernel.
    """
    states = find_states(view)
    here = _code(view, view.here.cue)
    cells = [{"id": cell, "state": states.get(key, "")} for key in here for cell in [key[1]]]
    ahead = find_ahead(view)
    again = find_again(view)
    first = again[0] if again else ahead
    return {
        "cells": cells,
        "next": _cell(view, *first) if first else None,
        "again": [_cell(view, *key) | {"code_html": ""} for key in again],
        "again_takes": describe_again_time(view, again),
    }


def find_states(view: View) -> dict[CellKey, str]:
    """Return how each cell ended in its notebook's present kernel, by notebook and cell id."""
    return {(run.notebook, run.cell): run.state for run in view.kernels.runs if _present(view, run)}


def find_ahead(view: View) -> CellKey | None:
    """Find the first cell, from the current cue on, that has not run in its kernel.

    A cue without code ends the search: the presenter goes there by hand.
    """
    states = find_states(view)
    settled = set(states.values()) if view.talk.staged == view.here.cue.name else {"done", "running"}
    todo = [key for key in _code(view, view.here.cue) if states.get(key) not in settled]
    for item in view.plan.items[view.place + 1 :]:
        code = _code(view, item.cue)
        if todo or (item.kept and not code):
            break
        todo = [key for key in code if item.kept and states.get(key) not in ("done", "running")]
    return todo[0] if todo else None


def find_again(view: View) -> list[CellKey]:
    """Find the cells above the next one whose names it or a later cell needs, and the kernel does not have.

    Cells whose cue says `if cut: run` are among them if an earlier kernel had run them. A cell that failed
    in this kernel is not: the presenter has gone on without it.
    """
    ahead = find_ahead(view)
    if ahead is None or ahead[0] not in view.plan.programme.needs:
        return []
    book = ahead[0]
    ids, provided = view.plan.programme.needs[book]
    place = ids.index(ahead[1])
    kept = {
        cell for item in view.plan.items if item.kept for cell in item.cue.cells if item.cue.sheet == book
    }
    needed = code.find_needed(provided, [place, *(one for one in range(place, len(ids)) if ids[one] in kept)])
    lost = view.kernels.lost(book)
    wanted = {ids[one] for one in needed if one < place}
    wanted |= {cell for cell in ids[:place] if cell in lost and _leaves_state(view, book, cell)}
    tried = {cell for (name, cell) in find_states(view) if name == book}
    return [(book, cell) for cell in ids[:place] if cell in wanted - tried]


def _leaves_state(view: View, book: str, cell: str) -> bool:
    cue = view.material.cue_of(book, cell)
    return cue is not None and cue.if_cut == "run"


def describe_again_time(view: View, again: Sequence[CellKey]) -> str:
    """Write how long cells take together as they were rehearsed; "" for none."""
    known = [expected.seconds for key in again if (expected := view.material.expected(*key))]
    if not again:
        return ""
    return f"{facts.format_seconds(sum(known))} in all" if len(known) == len(again) else facts.NOT_REHEARSED


def _code(view: View, cue: Cue) -> list[CellKey]:
    """List a cue's code cells: notebook and id of each."""
    return [key for cell in cue.cells if (key := (cue.sheet, cell)) in view.material.source]


def find_memory(view: View) -> tuple[str, float | None, float]:
    """Find the cell that needs most memory among the next one and those to be run before it.

    returns: its id, "" for none; the most GiB in use at rehearsal while it ran, None if not known; and the
        GiB at rehearsal after the cell that was last run in its kernel
    """
    ahead = find_ahead(view)
    if ahead is None:
        return "", None, 0.0
    ran = [run for run in view.kernels.runs if run.notebook == ahead[0] and _present(view, run)]
    held = view.material.expected(ran[-1].notebook, ran[-1].cell) if ran else None
    needs = {key: _peak(view, key) for key in [*find_again(view), ahead]}
    most = max(needs, key=lambda key: needs[key] or 0.0)
    return most[1], needs[most], (held.peak_gib or 0.0) if held else 0.0


def _peak(view: View, key: CellKey) -> float | None:
    expected = view.material.expected(*key)
    return expected.peak_gib if expected else None


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

    returns: among others by_hand: none of its cells runs, so the presenter moves the talk there by a key; and
        silent: without the cells that `describe_cells` lists as the first to run
    """
    if view.following is None:
        return None
    cue = view.following.cue
    first = next((cue.notes[label] for label in ("Say", "Show", "Do") if label in cue.notes), "")
    between = view.plan.items[view.place + 1 : view.plan.items.index(view.following)]
    again = find_again(view)
    silent = [key for item in between for cell in item.silent if (key := (item.cue.sheet, cell)) not in again]
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
        "expected": facts.format_seconds(expected.seconds) if expected and expected.seconds >= 1 else "",
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
    """Return what went wrong and what to do about it; None if nothing did.

    A cell of another cue raises the alarm if it was run at this point of the talk: a silent cell, as a rule.
    """
    run = _latest(view)
    cue = view.material.cue_of(run.notebook, run.cell) if run else None
    if run is None or cue is None:
        return describe_lost(view)
    if run.state in FAILURES and _present(view, run) and (cue == view.here.cue or run.began > view.arrived):
        title = FAILURES[run.state].format(run.cell)
        if cue != view.here.cue:
            title += f", a cell of “{cue.title}”"
    elif lost := describe_lost(view):
        return lost
    elif cue == view.here.cue and run.state == "running" and _is_late(view, run):
        title = f"{run.cell} takes longer than expected"
    else:
        return None
    message = f"{run.error}: {run.message}" if run.error else ""
    return {"title": title, "message": message, "html": _html(view, cue, cue.notes.get("If it fails", ""))}


def _is_late(view: View, run: Run) -> bool:
    return is_overdue(run, view.material.expected(run.notebook, run.cell), now=view.now)


def describe_lost(view: View) -> PagePart | None:
    """Return the alarm about a kernel that started anew without names that are needed; None if it has all."""
    again, ahead = find_again(view), find_ahead(view)
    if ahead and ahead[1] in view.kernels.lost(ahead[0]):  # of the current cue, which has run before
        again = [*again, ahead]
    if not again or not {cell for _, cell in again} & view.kernels.lost(again[0][0]):
        return None
    book = again[0][0]
    cells = ", ".join(f"`{cell}`" for _, cell in again)
    words = (
        f"Its names are gone. Run again first, in this order: {cells} ({describe_again_time(view, again)})."
    )
    return {
        "title": f"The kernel of {book} started anew",
        "message": "",
        "html": render.markdown(words, sheet=book),
    }


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
