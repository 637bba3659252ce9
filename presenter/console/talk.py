"""The talk that is going on: it takes in what kernels and presenter do, and shows where it stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from presenter import cues, journal, runtimes
from presenter.console import card, guide, phone
from presenter.console.pages import Board
from presenter.console.view import View
from presenter.journal import Act, Journal
from presenter.kernels import Kernels, Run, Tail
from presenter.material import Material
from presenter.schedule import DEFAULT_MINUTES, FULL
from workshop import files, gallery
from workshop.memory import Reading

ACTS = "begin, go, pause, resume, accept, keep, stage, level, follow, end, undo"  # what a page can ask for


class Console:
    """One talk: takes in what the kernels and the presenter do, and keeps the boards up to date."""

    def __init__(
        self,
        material: Material,
        folder: Path,
        *,
        options: Mapping[str, Any],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Go on with the talk in a folder, or begin one there.

        options: minutes, level, start, breaks, skip; empty: as the talk was planned before
        clock: returns s since 1970

        Raises ValueError for a plan that cannot be made.
        """
        self.clock = clock
        self.journal = Journal(folder)
        self.tail = Tail(folder / journal.EVENTS)
        self.kernels = Kernels()
        self.board, self.small = Board(), Board()  # the second screen's, and a phone's
        self.phone: phone.Phone | None = None  # the phone page's listener, if one was asked for
        self.memory: tuple[str, Reading] = ("", Reading(note="not read yet"))
        self.treatments: Mapping[str, str] = {}  # the changes that the page's advice proposes, by cue name
        self.pictures, self.runtimes = gallery.FALLBACK, runtimes.FILE
        self.material = material
        self._plan(options)
        for event in self.tail.read():  # events from before a restart of the server do not move the talk
            self.kernels.see(event)

    def _plan(self, options: Mapping[str, Any]) -> None:
        planned = dict(options) or dict(self.journal.talk.plan) or {"minutes": DEFAULT_MINUTES}
        level = planned.pop("level", self.journal.talk.level)
        self.base = self.material.plan(planned, level=level)
        if options or not self.journal.talk.plan:
            self.journal.add(Act(self.clock(), "plan", plan=planned, level=level))

    def learn_machine(self, label: str) -> None:
        """Take in which machine this is, and so how long its cells are expected to run."""
        self.material = self.material.measured_on(label, file=self.runtimes)
        self._plan({})
        self.refresh()

    @property
    def view(self) -> View:
        """The talk at this moment."""
        return View(self.material, self.base, self.journal.talk, self.kernels, self.clock())

    def look(self) -> None:
        """Read what the kernels wrote since the last look, and let the cells that began move the talk."""
        events = self.tail.read()
        for event in events:
            begun = self.kernels.see(event)
            if event.event == "pre" and begun:
                self._move(begun)
        if events:
            self.refresh()

    def _move(self, begun: Run) -> None:
        target = guide.find_move(self.view, begun)
        if target:
            self.journal.add(Act(self.clock(), "go", cue=target, by="kernel"))

    def watch(self) -> None:
        """Notice kernels that died, read the memory, and let the clocks go on; called once a second."""
        self.kernels.end_lost(now=time.time())
        self.memory = card.read_memory()
        self.refresh()

    def act(self, asked: Mapping[str, Any]) -> None:
        """Do what the presenter asks for.

        Raises ValueError, with what would be right, for anything else.
        """
        self.journal.add(parse_act(asked, self.view, proposed=self.treatments, now=self.clock()))
        self.refresh()

    def refresh(self) -> None:
        """Show every part as it is now."""
        view, show = self.view, self._show
        clock = guide.describe_clock(view)
        self.treatments = view.advice.treatments if clock["accept"] else {}
        show("talk", guide.describe_talk(view, self.journal.acts, problem=self.journal.problem))
        show("clock", clock)
        show("now", guide.describe_now(view))
        show("time", guide.describe_time(view))
        show("cells", guide.describe_cells(view))
        show("next", guide.describe_next(view))
        show("run", guide.describe_run(view))
        show("alarm", guide.describe_alarm(view))
        show("outline", guide.describe_outline(view))
        show("stage", guide.describe_stage(view) | {"picture_words": self._picture_words(view)})
        need, held = guide.find_memory(view)
        show("memory", card.describe_memory(*self.memory, need_gib=need, held_gib=held))

    def _show(self, name: str, part: Any) -> None:
        self.board.show(name, part)
        if name in phone.SHOWN:
            self.small.show(name, phone.select_shown(name, part))

    def _picture_words(self, view: View) -> dict[str, str]:
        cue = next((cue for cue in self.material.cues if cue.name == view.talk.staged), None)
        return read_picture_words(self.pictures / f"{cue.fallback}.png") if cue and cue.fallback else {}


def parse_act(asked: Mapping[str, Any], view: View, *, proposed: Mapping[str, str], now: float) -> Act:
    """Turn what a page sends into an act of the journal.

    proposed: the changes that the page's advice proposes, for "accept"
    now: s since 1970

    Raises ValueError, with what would be right, for anything that is no act.
    """
    do = asked.get("do")
    if do in ("resume", "end", "undo"):
        return Act(now, do)
    if do == "begin":
        return Act(now, "begin", cue=view.path[0].cue.name)
    if do == "accept":
        if not proposed:
            raise ValueError("There is no proposal to accept now.")
        return Act(now, "cut", treatments=proposed)
    if do in ("go", "keep"):
        name = _find_cue(asked.get("cue"), view)
        return Act(now, "go", cue=name) if do == "go" else Act(now, "cut", treatments={name: FULL})
    if do == "stage":
        return Act(now, "stage", cue=view.here.cue.name if _flag(asked) else "")
    if do == "follow":
        return Act(now, "follow", on=_flag(asked))
    if do == "level":
        return Act(now, "level", level=_one_of(asked, "level", cues.LEVELS))
    if do == "pause":
        return Act(now, "pause", kind=_one_of(asked, "kind", journal.PAUSES))
    raise ValueError(f"There is nothing to do for {do!r}. These are: {ACTS}.")


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


def _flag(asked: Mapping[str, Any]) -> bool:
    if not isinstance(asked.get("on"), bool):
        raise ValueError(f"on is {asked.get('on')!r}. It must be true or false.")
    return asked["on"]


def read_picture_words(path: Path) -> dict[str, str]:
    """Read from a fallback picture, as workshop.gallery wrote it, what it shows and which model drew it.

    returns: alt and caption; or missing, what to do if there is no such picture
    """
    make = "./scripts/presenter rehearse --apply makes it"
    if not path.is_file():
        return {"missing": f"{files.shorten(path)} is not there: {make}"}
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError, ValueError) as error:
        return {"missing": f"{files.shorten(path)} is no whole picture ({error}): {make} anew"}
    facts = {key: str(image.info[key]) for key in ("alt", "prompt", "made by") if key in image.info}
    return {"alt": facts.get("alt") or facts.get("prompt") or path.stem, "caption": facts.get("made by", "")}
