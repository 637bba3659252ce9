"""The talk that is going on: it takes in what kernels and presenter do, and shows where it stands."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from presenter import cues, journal, kernels, runtimes
from presenter.console import card, guide, phone, stage, students
from presenter.console.pages import Board
from presenter.console.view import View
from presenter.journal import Act, Journal
from presenter.kernels import Kernels, Run, Tail
from presenter.material import Material
from presenter.schedule import DEFAULT_MINUTES, FULL
from workshop import amounts, files, gallery
from workshop.memory import Reading

# What a page can ask for.
ACTS = (
    "begin, go, pause, resume, accept, keep, stage, screen, level, follow, dismiss, end, undo, point, next, "
    "question, fallback"
)
LONGEST = 120.0  # minutes of a break
MAKE = "./scripts/presenter rehearse --apply makes it"  # a fallback picture
POINTED = 6.0  # s; a page that points says so each second or two: without news its pointer is taken off


class Console:
    """One talk: takes in what the kernels and the presenter do, and keeps the boards up to date."""

    def __init__(
        self,
        material: Material,
        folder: Path,
        *,
        options: Mapping[str, Any],
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Go on with the talk in a folder, or begin one there.

        options: minutes, level, start, breaks, skip; empty: as the talk was planned before
        clock: returns s since 1970; None: a SteadyClock

        Raises ValueError for a plan that cannot be made.
        """
        self.journal = Journal(folder)
        last = self.journal.acts[-1].at if self.journal.acts else 0.0
        self.clock = clock or SteadyClock(earliest=last)
        self.tail = Tail(folder / journal.EVENTS)
        self.kernels = Kernels(material.list_followed(folder))
        self.pointed = 0.0  # when a page last said where it points, in s since 1970
        self.stray = ""  # the cue of a cell that ran too far ahead to move the talk unasked
        self.board, self.small = Board(), Board()  # the second screen's, and a phone's
        self.phone: phone.Phone | None = None  # the phone page's listener, if one was asked for
        self.students: students.Students | None = None  # the students' page's listener, likewise
        self.memory: tuple[str, Reading] = ("", Reading(note="not read yet"))
        self.treatments: Mapping[str, str] = {}  # the changes that the page's advice proposes, by cue name
        self.staged: dict[str, Any] = {}  # what the projector shows
        self.pictures, self.runtimes = gallery.FALLBACK, runtimes.FILE
        self.material = material
        self.sheets, self.sheets_problem = cues.stamp(material.folder), ""  # as they were read; why not again
        self.plan_problem = self.times_problem = (
            ""  # why the plan is without this machine's times; why there are none
        )
        self._plan(options)
        self.written = 0.0  # the shift of which the kernels' log knows
        for event in self.tail.read_all():  # events from before a restart of the server do not move the talk
            self.written = event.shift if event.event == "clock" else self.written
            at = event.at + self.shift
            # What would be yet to come was written before the computer's clock was set back.
            self.kernels.see(replace(event, at=event.at if at > self.clock() else at))

    def _plan(self, options: Mapping[str, Any]) -> None:
        planned = dict(options) or dict(self.journal.talk.plan) or {"minutes": DEFAULT_MINUTES}
        level = planned.pop("level", self.journal.talk.level)
        self.base, self.plan_problem = self.material.plan_anyway(planned, level=level)
        if options or not self.journal.talk.plan:
            self.journal.add(Act(self.clock(), "plan", plan=planned, level=level))

    def learn_machine(self, label: str) -> None:
        """Take in which machine this is, and so how long its cells are expected to run.

        Where they cannot be read, or the talk does not fit with them, it is planned without, and the page
        says so.
        """
        try:
            self.material = self.material.measured_on(label, file=self.runtimes)
        except ValueError as error:
            self.times_problem = f"No cell's time on this machine is known. {error}"
        self._plan({})
        self.refresh()

    def read_sheets(self) -> None:
        """Take in cue sheets that changed on disk; if they have faults, the ones before stay."""
        found = cues.stamp(self.material.folder)
        if found == self.sheets:
            return
        self.sheets, before = found, self.material
        try:
            self.material = before.read_sheets()
            self._plan({})
            self.sheets_problem = ""
        except ValueError as error:
            self.material = before
            self.sheets_problem = f"The cue sheets are shown as they were before. {error}"

    @property
    def shift(self) -> float:
        """Seconds by which this clock is ahead of the computer's, by which kernels go."""
        return self.clock.shift if isinstance(self.clock, SteadyClock) else 0.0

    @property
    def view(self) -> View:
        """The talk at this moment."""
        now, shift = self.clock(), self.shift
        return View(self.material, self.base, self.journal.talk, self.kernels, now, shift)

    def look(self) -> None:
        """Read what the kernels wrote since the last look, and let the cells that began move the talk."""
        if abs(self.shift - self.written) >= kernels.MOVED:
            self.written = self.shift
            kernels.write_shift(self.tail.log, self.written)
        events = self.tail.read()
        for event in events:
            begun = self.kernels.see(replace(event, at=event.at + self.shift))
            if event.event == "pre" and begun:
                self._move(begun)
        if events:
            self.refresh()

    def _move(self, begun: Run) -> None:
        """Let a cell that began move the talk, end a forgotten break, or ask whether it may do so."""
        view = self.view
        if not begun.queued:  # cells that follow by Run All leave the question that the first one raised
            self.stray = guide.find_stray(view, begun)
        target = guide.find_move(view, begun)
        known = not begun.queued and not self.stray and self.material.cue_of(begun.notebook, begun.cell)
        if view.talk.follows and known and (view.talk.pause == "break" or (view.talk.pause and target)):
            self.journal.add(Act(self.clock(), "resume", by=journal.KERNEL))
        if target:
            self.journal.add(Act(self.clock(), "go", cue=target, by=journal.KERNEL))

    def watch(self) -> None:
        """Notice what no event tells, from dead kernels to changed sheets; called once a second."""
        for run in self.kernels.end_lost(now=time.time() + self.shift, shift=self.shift):
            kernels.write_death(self.tail.log, run, shift=self.shift)
        if self.clock() - self.pointed > POINTED:
            self.board.show("pointer", None)
        self.memory = card.read_memory()
        self.read_sheets()
        self.refresh()

    def act(self, asked: Mapping[str, Any]) -> None:
        """Do what the presenter asks for.

        Raises ValueError, with what would be right, for anything else.
        """
        if asked.get("do") == "point":  # many a second, and no part of the talk's story
            self.board.show("pointer", parse_pointer(asked))
            self.pointed = self.clock()
            return
        if asked.get("do") == "dismiss":
            self.stray = ""
        else:
            act = parse_act(
                asked, self.view, proposed=self.treatments, now=self.clock(), acts=self.journal.acts
            )
            if act.do == "go" and act.cue == self.stray:
                act = replace(act, by=journal.JUMP)
            self.stray = "" if act.do in ("go", "begin", "end") else self.stray
            self.journal.add(act)
        self.refresh()

    def refresh(self) -> None:
        """Show every part as it is now."""
        view, show = self.view, self._show
        clock = guide.describe_clock(view)
        self.treatments = view.advice.treatments if clock["accept"] else {}
        problem = self.journal.problem or self.sheets_problem or self.times_problem or self.plan_problem
        made = self.journal.acts[0].at  # when the talk was planned first: no other talk has this
        show("talk", guide.describe_talk(view, self.journal.acts, problem=problem) | {"made": made})
        show("clock", clock)
        show("stray", guide.describe_stray(view, self.stray))
        show("now", guide.describe_now(view))
        show("time", guide.describe_time(view))
        show("cells", guide.describe_cells(view))
        show("next", guide.describe_next(view))
        show("run", guide.describe_run(view))
        show("alarm", guide.describe_alarm(view))
        show("outline", guide.describe_outline(view))
        self._show_stage(view)
        cell, need, held = guide.find_memory(view)
        show("memory", card.describe_memory(*self.memory, cell=cell, need_gib=need, held_gib=held))

    def show_phone(self) -> None:
        """Show how to get to the phone page, with the ssh commands for both pages for the room."""
        if self.phone:
            part = self.phone.describe()
            tunnels = filter(None, [part["tunnel"], self.students.tunnel if self.students else ""])
            self.board.show("phone", part | {"tunnel": "\n".join(tunnels)})

    def _show(self, name: str, part: Any) -> None:
        self.board.show(name, part)
        if name in phone.SHOWN:
            self.small.show(name, phone.select_shown(name, part))

    def _show_stage(self, view: View) -> None:
        """Show the projector's page, which stands still while it is frozen, and what F would put there."""
        frozen = view.talk.screen == "freeze"
        if not (frozen and self.staged):
            invite = self.students.describe() if self.students else None
            then = self._find_frozen(view) if frozen else view
            self.staged = self._add_words(stage.describe_stage(then, students=invite))
        self._show("stage", self.staged | {"frozen": frozen})
        self._show("preview", self._add_words(stage.describe_preview(view)))

    def _find_frozen(self, view: View) -> View:
        """Return the talk as it was when the projector was frozen, which a restart of the server forgets."""
        acts = self.journal.acts
        count = journal.count_before_freeze(acts)
        if count is None:
            return view
        return replace(view, talk=journal.fold(acts[:count]), now=acts[count].at)

    def _add_words(self, part: dict[str, Any]) -> dict[str, Any]:
        name = part["picture"]
        return part | {"picture_words": read_picture_words(self.pictures / f"{name}.png") if name else {}}


class SteadyClock:
    """Seconds since 1970 that go on evenly, whatever is done to the computer's clock meanwhile."""

    def __init__(
        self,
        *,
        earliest: float = 0.0,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] | None = None,
    ) -> None:
        """Read the computer's clock once.

        earliest: s since 1970; a clock that was set back since an earlier talk begins there
        steady: returns s since any moment; None: since this computer was started, with its sleep if it says
        """
        self.wall, self.steady = wall, steady or _find_steady()
        self.offset = max(wall(), earliest) - self.steady()

    def __call__(self) -> float:
        """Return the time, in s since 1970."""
        return self.offset + self.steady()

    @property
    def shift(self) -> float:
        """Seconds by which it is ahead of the computer's clock."""
        return self() - self.wall()


def _find_steady() -> Callable[[], float]:
    boot = getattr(time, "CLOCK_BOOTTIME", None)  # of Linux: a laptop's sleep in the break counts, too
    return time.monotonic if boot is None else partial(time.clock_gettime, boot)


def parse_act(
    asked: Mapping[str, Any],
    view: View,
    *,
    proposed: Mapping[str, str],
    now: float,
    acts: Sequence[Act] = (),
) -> Act:
    """Turn what a page sends into an act of the journal.

    proposed: the changes that the page's advice proposes, for "accept"
    now: s since 1970
    acts: of the journal, which know when the first cell ran

    Raises ValueError, with what would be right, for anything that is no act.
    """
    asked = _press(asked, view)
    do = asked.get("do")
    if do in ("resume", "end", "undo"):
        return Act(now, do)
    if do == "begin":
        return _begin(asked, view, now=now, acts=acts)
    if do == "accept":
        if not proposed:
            raise ValueError("There is no proposal to accept now.")
        return Act(now, "cut", treatments=proposed)
    if do in ("go", "keep"):
        name = _find_cue(asked.get("cue"), view)
        return Act(now, "go", cue=name) if do == "go" else Act(now, "cut", treatments={name: FULL})
    if do == "stage":
        return Act(now, "stage", cue=view.here.cue.name if _flag(asked) else "")
    if do == "screen":
        return Act(now, "screen", kind=_one_of(asked, "kind", journal.SCREENS))
    if do == "follow":
        return Act(now, "follow", on=_flag(asked))
    if do == "level":
        return Act(now, "level", level=_one_of(asked, "level", cues.LEVELS))
    if do == "pause":
        kind = _one_of(asked, "kind", journal.PAUSES)
        return Act(now, "pause", kind=kind, minutes=_minutes(asked) if kind == "break" else 0.0)
    raise ValueError(f"There is nothing to do for {do!r}. These are: {ACTS}.")


def _press(asked: Mapping[str, Any], view: View) -> Mapping[str, Any]:
    """Turn a key of JupyterLab, which does not know how the talk stands, into what the page would ask for."""
    do = asked.get("do")
    if do == "next":
        if view.following is None:
            raise ValueError("This is the last cue.")
        return {"do": "go", "cue": view.following.cue.name}
    if do == "question":
        if not view.talk.running:
            raise ValueError("The talk is not going on. Start it on the second screen.")
        return {"do": "resume"} if view.talk.pause == "question" else {"do": "pause", "kind": "question"}
    return {"do": "stage", "on": not view.talk.fallback_up} if do == "fallback" else asked


def _begin(asked: Mapping[str, Any], view: View, *, now: float, acts: Sequence[Act]) -> Act:
    """Begin the talk where it stands, at the first cell's time if that is asked for; or start it over."""
    first, shift = guide.find_first_run(view, acts), round(view.shift, 1)
    if view.talk.began is not None:
        return Act(now, "begin", cue=view.path[0].cue.name, shift=shift)
    if asked.get("since") and first is None:
        raise ValueError("No cell has run in the last half hour. Start the talk from now.")
    since = first or 0.0 if asked.get("since") else 0.0
    return Act(now, "begin", cue=view.here.cue.name, since=since, shift=shift)


def _find_cue(asked: object, view: View) -> str:
    """Return the name of a cue from that name or, as links have it, from the name of any of its cells."""
    for cue in view.material.cues:
        if asked in [f"{cue.sheet[:2]}-{cell}" for cell in cue.cells]:
            return cue.name
    raise ValueError(f"There is no cue {asked!r}. They are named as 03-after: notebook and cell.")


def _one_of(asked: Mapping[str, Any], key: str, values: Sequence[str]) -> str:
    if asked.get(key) not in values:
        raise ValueError(f"{key} is {asked.get(key)!r}. It must be one of: {', '.join(values)}.")
    return asked[key]


def _minutes(asked: Mapping[str, Any]) -> float:
    """Return a break's minutes; 0.0 if none are given."""
    minutes = asked.get("minutes", 0)
    if not amounts.is_number(minutes, least=0, most=LONGEST):
        raise ValueError(f"minutes is {minutes!r}. A break takes up to {LONGEST:g} minutes; 0: as planned.")
    return float(minutes)


def parse_pointer(asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return where the presenter points on the projector's picture; None if nowhere.

    asked: x and y, shares of the picture's width and height from its upper left corner; and spot, whether
        the rest of it gets dark

    Raises ValueError, with what would be right, for anything else.
    """
    if not {"x", "y"} <= asked.keys():
        raise ValueError(f"A point needs x and y, got {', '.join(asked)}. Both are from 0 to 1, or null.")
    x, y, spot = asked["x"], asked["y"], asked.get("spot", False)
    if not isinstance(spot, bool):
        raise ValueError(f"spot is {spot!r}. It must be true or false.")
    if x is None and y is None:
        return None
    if not all(amounts.is_number(share, least=0, most=1) for share in (x, y)):
        raise ValueError(f"x and y are {x!r} and {y!r}. Both must be from 0 to 1, or null.")
    return {"x": x, "y": y, "spot": spot}


def _flag(asked: Mapping[str, Any]) -> bool:
    if not isinstance(asked.get("on"), bool):
        raise ValueError(f"on is {asked.get('on')!r}. It must be true or false.")
    return asked["on"]


def read_picture_words(path: Path) -> dict[str, str]:
    """Read from a fallback picture, as workshop.gallery wrote it, what it shows and which model drew it.

    A file that has not changed is not read again.

    returns: alt and caption; or missing, what to do if there is no such picture
    """
    try:
        found = path.stat()
    except OSError:
        found = None
    if found is None or not stat.S_ISREG(found.st_mode):
        return {"missing": f"{files.shorten(path)} is not there: {MAKE}"}
    return dict(_read_words(path, found.st_mtime_ns, found.st_size))


@lru_cache(maxsize=256)
def _read_words(path: Path, *_: int) -> dict[str, str]:
    """Read a picture's words; what else is given tells one state of the file from another."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError, ValueError) as error:
        return {"missing": f"{files.shorten(path)} is no whole picture ({error}): {MAKE} anew"}
    facts = {key: str(image.info[key]) for key in ("alt", "prompt", "made by") if key in image.info}
    return {"alt": facts.get("alt") or facts.get("prompt") or path.stem, "caption": facts.get("made by", "")}
