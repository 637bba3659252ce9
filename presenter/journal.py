"""The talk as it goes: a journal of acts on the disk, and what they add up to.

Every act of the presenter, and every step that the kernel makes for them, is one JSON line that is never
changed. `fold` turns the acts into the state of the talk, so whatever restarts, nothing is lost, and to undo
an act is to fold without it. Time is handed in: seconds since 1970.

    plan    how long the talk is and what it leaves out from the start
    begin   the clock starts; given again, the talk starts over
    go      to a cue, by hand or because its cell was run
    pause   for a question (the plan's clock runs on) or for a break (it stands); resume ends either
    cut     cues shortened, left out or taken back in
    stage   a cue's fallback goes on the projector; without a cue it goes off
    level, follow, end, undo
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from workshop import profiles

TALKS = profiles.REPO / "runs" / "talks"  # a folder each
JOURNAL, EVENTS = "journal.jsonl", "events.jsonl"  # the presenter's acts, and what the kernels did
ACTS = ("plan", "begin", "go", "pause", "resume", "cut", "stage", "level", "follow", "end", "undo")
UNDOABLE = ("begin", "cut", "end")  # a move is taken back by moving, a pause by resuming
PAUSES = ("question", "break")
FORGOTTEN = 12 * 3600.0  # s; a talk that nobody touched for so long is not gone on with


@dataclass(frozen=True)
class Act:
    """One line of the journal."""

    at: float
    do: str  # one of ACTS
    cue: str = ""  # begin, go, stage
    by: str = "hand"  # go: "hand" or "kernel"
    kind: str = ""  # pause: one of PAUSES
    treatments: Mapping[str, str] = field(default_factory=dict, hash=False)  # cut: by a cue's name
    plan: Mapping[str, Any] = field(default_factory=dict, hash=False)  # plan: what presenter.schedule takes
    level: str = ""
    on: bool = True  # follow
    of: int = 0  # undo: the number of the act, from 1


@dataclass(frozen=True)
class Stretch:
    """A stretch of time in one cue, all of it talk, question or break."""

    cue: str
    kind: str  # "talk" or one of PAUSES
    began: float
    ended: float | None = None

    def seconds(self, *, now: float) -> float:
        return (now if self.ended is None else self.ended) - self.began


@dataclass(frozen=True)
class Talk:
    """Where the talk stands."""

    cue: str = ""  # the current one; "" before the first
    level: str = "intermediate"
    follows: bool = True  # cells that are run move the talk on
    staged: str = ""  # the cue whose fallback is on the projector
    plan: Mapping[str, Any] = field(default_factory=dict, hash=False)
    treatments: Mapping[str, str] = field(default_factory=dict, hash=False)  # by a cue's name
    stretches: tuple[Stretch, ...] = ()  # of this talk, in order; the last one is open while it goes
    undoable: int = 0  # the number of the act that undo would take back; 0 if there is none

    @property
    def began(self) -> float | None:
        return self.stretches[0].began if self.stretches else None

    @property
    def ended(self) -> float | None:
        return self.stretches[-1].ended if self.stretches else None

    @property
    def running(self) -> bool:
        return bool(self.stretches) and self.ended is None

    @property
    def pause(self) -> str:
        """Name the pause that the talk is in; "" if it is in none."""
        kind = self.stretches[-1].kind if self.running else ""
        return kind if kind in PAUSES else ""

    def elapsed(self, *, now: float) -> float:
        """Count the seconds that the plan's time has run: everything but breaks."""
        return sum(one.seconds(now=now) for one in self.stretches if one.kind != "break")

    def breaks(self, *, now: float) -> float:
        """Count the seconds of breaks."""
        return sum(one.seconds(now=now) for one in self.stretches if one.kind == "break")

    def in_pause(self, *, now: float) -> float:
        """Count the seconds of the present pause."""
        return self.stretches[-1].seconds(now=now) if self.pause else 0.0

    def spent(self, *, now: float) -> dict[str, float]:
        """Count each cue's seconds of talk, without questions and breaks, in the order of the talk."""
        seconds: dict[str, float] = {}
        for one in self.stretches:
            if one.kind == "talk":
                seconds[one.cue] = seconds.get(one.cue, 0.0) + one.seconds(now=now)
        return seconds


def fold(acts: Iterable[Act]) -> Talk:
    """Add up a journal.

    >>> talk = fold([Act(0.0, "begin", cue="01-a"), Act(60.0, "pause", kind="break"), Act(660.0, "resume")])
    >>> talk.elapsed(now=720), talk.breaks(now=720)
    (120.0, 600.0)
    """
    acts = list(acts)
    undone = {act.of for act in acts if act.do == "undo"}
    talk, at = Talk(), 0.0
    for number, act in enumerate(acts, start=1):
        at = max(at, act.at)  # a clock that was set back makes no negative time
        if number not in undone:
            talk = after(talk, replace(act, at=at), number=number)
    return talk


def after(talk: Talk, act: Act, *, number: int) -> Talk:
    """Say where the talk stands after one more act; an act that makes no sense there changes nothing."""
    changed = CHANGES[act.do](talk, act)
    return replace(changed, undoable=number) if act.do in UNDOABLE and changed != talk else changed


def _plan(talk: Talk, act: Act) -> Talk:
    return replace(talk, plan=act.plan, level=act.level or talk.level)


def _begin(talk: Talk, act: Act) -> Talk:
    first = Stretch(act.cue, "talk", act.at)
    return Talk(act.cue, talk.level, talk.follows, plan=talk.plan, stretches=(first,))


def _go(talk: Talk, act: Act) -> Talk:
    if act.cue == talk.cue:
        return talk
    return _turn(replace(talk, cue=act.cue, staged=""), act.at, cue=act.cue)


def _pause(talk: Talk, act: Act) -> Talk:
    return talk if act.kind == talk.pause or act.kind not in PAUSES else _turn(talk, act.at, kind=act.kind)


def _resume(talk: Talk, act: Act) -> Talk:
    return _turn(talk, act.at, kind="talk") if talk.pause else talk


def _cut(talk: Talk, act: Act) -> Talk:
    return replace(talk, treatments={**talk.treatments, **act.treatments})


def _stage(talk: Talk, act: Act) -> Talk:
    return replace(talk, staged=act.cue)


def _level(talk: Talk, act: Act) -> Talk:
    return replace(talk, level=act.level)


def _follow(talk: Talk, act: Act) -> Talk:
    return replace(talk, follows=act.on)


def _end(talk: Talk, act: Act) -> Talk:
    if not talk.running:
        return talk
    return replace(talk, staged="", stretches=(*talk.stretches[:-1], _closed(talk.stretches[-1], act.at)))


def _undo(talk: Talk, act: Act) -> Talk:
    return talk  # the act that it takes back was left out


CHANGES = {
    "plan": _plan,
    "begin": _begin,
    "go": _go,
    "pause": _pause,
    "resume": _resume,
    "cut": _cut,
    "stage": _stage,
    "level": _level,
    "follow": _follow,
    "end": _end,
    "undo": _undo,
}


def _closed(stretch: Stretch, at: float) -> Stretch:
    return replace(stretch, ended=at)


def _turn(talk: Talk, at: float, **changes: str) -> Talk:
    """Close the open stretch and open one that differs from it; before and after the talk there is none."""
    if not talk.running:
        return talk
    last = talk.stretches[-1]
    following = replace(last, began=at, **changes)
    return replace(talk, stretches=(*talk.stretches[:-1], _closed(last, at), following))


class Journal:
    """The acts of one talk, on the disk and in memory; one process writes it."""

    def __init__(self, folder: Path) -> None:
        """Read what is there; lines that are no acts, as after a power cut, are counted and left alone."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / JOURNAL
        self.acts, self.unreadable = read(self.path)
        self.problem = ""  # why the last act is not on the disk
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self.path.stat().st_size and not self.path.read_bytes().endswith(b"\n"):
            os.write(self._file, b"\n")  # the last line was torn; the next must not be joined to it

    @property
    def talk(self) -> Talk:
        return fold(self.acts)

    def add(self, act: Act) -> Talk:
        """Write an act down, safe from a power cut, and say where the talk stands then.

        If the disk does not take it, `problem` says so, and the talk goes on in memory.

        Raises ValueError for an act that there is not, or an undo with nothing to take back.
        """
        if act.do not in ACTS:
            raise ValueError(f"There is no act {act.do!r}. These are: {', '.join(ACTS)}.")
        if act.do == "undo":
            act = replace(act, of=self.talk.undoable)
            if not act.of:
                raise ValueError("There is nothing to take back: no begin, cut or end is in force.")
        self.acts.append(act)
        try:
            self._write(as_line(act))
            self.problem = ""
        except OSError as error:
            self.problem = (
                f"{self.path} cannot be written ({error.strerror}): a restart would lose the last acts"
            )
        return self.talk

    def _write(self, line: bytes) -> None:
        size = os.fstat(self._file).st_size
        try:
            if os.write(self._file, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, size)  # half a line would spoil the next one
            raise


def as_line(act: Act) -> bytes:
    """Write an act as a line of the journal, without what it leaves at its default."""
    usual = Act(act.at, act.do)
    told = {name: value for name, value in vars(act).items() if value != getattr(usual, name)}
    return json.dumps({"at": act.at, "do": act.do} | told, ensure_ascii=False).encode() + b"\n"


def read(path: Path) -> tuple[list[Act], int]:
    """Read a journal: its acts, and how many lines were none. A journal that is not there is empty."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    acts = [act for line in lines if (act := _act(line))]
    return acts, len(lines) - len(acts)


def _act(line: bytes) -> Act | None:
    try:
        raw: dict[str, Any] = json.loads(line)
        act = Act(**raw)
    except (ValueError, TypeError):
        return None
    return act if act.do in ACTS else None


def newest(talks: Path, *, now: float) -> Path | None:
    """Find the talk to go on with: the last one touched, unless it has ended or lies too long ago."""
    there = folders(talks)
    if not there:
        return None
    acts, _ = read(there[-1] / JOURNAL)
    fresh = bool(acts) and now - acts[-1].at < FORGOTTEN
    return there[-1] if fresh and fold(acts).ended is None else None


def folders(talks: Path) -> list[Path]:
    """List the talks that are kept, the last one touched at the end."""
    journals = sorted(talks.glob(f"*/{JOURNAL}"), key=lambda path: path.stat().st_mtime)
    return [path.parent for path in journals]
