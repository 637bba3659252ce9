"""What the projector shows: a cue's picture with short points, a break's countdown, black, or a quiet page.

Every function depends on its arguments alone, as in `presenter.console.guide`.
"""

from __future__ import annotations

import re
from typing import Any

from presenter import render
from presenter.console.view import View
from presenter.cues import Cue
from workshop.units import MINUTE, clock

MOST, SHORT = 3, 90  # points that an audience reads at once, and characters of each
THANKS = "Thank you"
_SENTENCE = re.compile(r"(.+?[.?!][\"”*_)]*)(?:\s|$)", re.DOTALL)
_MARKUP = re.compile(r"\]\([^)]*\)|[*`\[]")  # what is not read aloud of a link, of emphasis and of code

PagePart = dict[str, Any]


def describe_stage(view: View, *, students: PagePart | None = None) -> PagePart:
    """Return what the projector shows now.

    students: the address of their page with its QR code, which the quiet page shows
    returns: kind, one of "cue", "break", "black" and "idle"; title; and what that kind needs. The name of
        its cue is in `name` and of its picture in `picture`, "" for none
    """
    cue = {item.cue.name: item.cue for item in view.plan.items}.get(view.talk.staged)
    part: PagePart = {"name": "", "picture": "", "points": [], "left": "", "until": "", "start": ""}
    if view.talk.screen == "black":
        return part | {"kind": "black", "title": ""}
    if cue and view.talk.fallback_up:
        return part | describe_cue(view, cue)
    if view.talk.pause == "break":
        return part | {"kind": "break", "title": "Break"} | _describe_break(view)
    return part | _describe_idle(view) | {"students": students}


def describe_preview(view: View) -> PagePart:
    """Return what the current cue's fallback would show on the projector."""
    empty = {"left": "", "until": "", "start": ""}
    return empty | describe_cue(view, view.here.cue)


def describe_cue(view: View, cue: Cue) -> PagePart:
    """Return a cue's fallback picture and the few points of the talk's level that are short."""
    points = [shorten(view.fill(cue, point)) for point in cue.points.get(view.talk.level, ())]
    points = [point for point in points if point]
    return {
        "kind": "cue",
        "name": cue.name,
        "title": cue.title,
        "picture": cue.fallback,
        "points": [{"html": render.line(point, sheet=cue.sheet)} for point in points[:MOST]],
    }


def shorten(point: str) -> str:
    """Return a point's first sentence; "" if even that is more than an audience reads at a glance.

    >>> shorten("Width counts twice, depth once. Twice the width is four times the parameters.")
    'Width counts twice, depth once.'
    >>> shorten("The end of *this. And of that* is far away.")
    ''
    """
    found = _SENTENCE.match(point)
    first = found[1] if found else point
    whole = all(first.count(mark) % 2 == 0 for mark in "*`")  # a sentence may end inside an emphasis
    return first if whole and len(_MARKUP.sub("", first)) <= SHORT else ""


def find_break_minutes(view: View) -> float:
    """Return how long the break is: as the presenter said, or else as the next one is planned; 0: neither.

    The next one is counted from the cue in which the break began: the presenter may look ahead meanwhile.
    """
    if view.talk.break_minutes:
        return view.talk.break_minutes
    names = [item.cue.name for item in view.plan.items]
    began = next((one.cue for one in view.talk.pause_stretches if one.cue in names), view.here.cue.name)
    ahead = names[names.index(began) + 1 :]
    return next((one.minutes for one in view.plan.breaks if one.before in ahead), 0.0)


def _describe_break(view: View) -> PagePart:
    """Return a break's countdown; a break of unknown length has none."""
    minutes = find_break_minutes(view)
    if not minutes:
        return {}
    left = minutes - view.talk.in_pause(now=view.now) / MINUTE
    return {
        "left": clock(left) if left > 0 else "We go on",
        "until": f"back at {view.time_of_day(view.now + left * MINUTE)}" if left > 0 else "",
    }


def _describe_idle(view: View) -> PagePart:
    talk = view.talk
    title = THANKS if talk.ended is not None else view.material.sheet_of[view.here.cue.sheet].title
    start = f"{view.plan.start:%H:%M}" if view.plan.start and talk.began is None else ""
    return {"kind": "idle", "title": title, "start": f"We begin at {start}." if start else ""}
