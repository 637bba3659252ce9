"""The talk as it goes: a journal of acts on the disk, and the state that they add up to.

Each act of the presenter, and each move that a kernel causes, is one JSON line that is never changed. `fold`
computes the talk's state from the acts: a restart loses nothing, and an act is undone by leaving it out. The
functions here read no clock; the caller gives the time, in seconds since 1970.

    plan    how long the talk is and what it leaves out from the start
    begin   the clock starts, or started at `since`; given again, the talk starts over
    go      to a cue, by hand or because its cell was run
    pause   for a question (the plan's clock runs on) or for a break (it stands)
    resume  ends a question or a break; by the kernel, if a cell was run in a forgotten break
    cut     cues are shortened, left out or taken back in
    stage   a cue's fallback goes on the projector, over black and a break; without a cue it goes off
    screen  the projector is black, or stays as it is; without a kind it shows the talk again
    level   the talking points are those of another level
    follow  whether cells that are run move the talk
    end     the clock stops
    undo    takes back a begin, a cut, an end or a jump
"""

from __future__ import annotations

import errno
import json
import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from workshop import files
from workshop.files import REPO
from workshop.units import HOUR

TALKS = REPO / "runs" / "talks"  # a folder each
JOURNAL, EVENTS = "journal.jsonl", "events.jsonl"  # in a talk's folder: its acts, and its kernels' events
COPIES = "notebooks"  # in a talk's folder: the clean copies of its notebooks
ACTS = ("plan", "begin", "go", "pause", "resume", "cut", "stage", "screen", "level", "follow", "end", "undo")
UNDOABLE = ("begin", "cut", "end")  # moving back undoes a move, and resuming a pause
# By whom: a jump was caused by a cell, and the presenter agreed to it.
HAND, KERNEL, JUMP = "hand", "kernel", "jump"
PAUSES = ("question", "break")
SCREENS = ("", "black", "freeze")  # what the projector does: shows the talk, is black, stays as it is
FORGOTTEN = 12 * HOUR  # a talk whose last act is older than this is over, even if nobody ended it


@dataclass(frozen=True)
class Act:
    """One line of the journal."""

    at: float  # s since 1970
    do: str  # one of ACTS
    cue: str = ""  # begin, go, stage
    by: str = HAND  # go, resume: HAND, KERNEL or JUMP
    kind: str = ""  # pause: one of PAUSES; screen: one of SCREENS
    minutes: float = 0.0  # pause: how long the break is said to be; 0: as planned
    treatments: Mapping[str, str] = field(default_factory=dict, hash=False)  # cut: by cue name
    plan: Mapping[str, Any] = field(default_factory=dict, hash=False)  # plan: as Material.plan takes it
    level: str = ""
    on: bool = True  # follow
    since: float = 0.0  # begin: when the talk really began, in s since 1970; 0.0: now
    shift: float = 0.0  # begin: s by which the talk's clock was ahead of the computer's
    of: int = 0  # undo: the number of the act that is taken back, from 1


@dataclass(frozen=True)
class Stretch:
    """A time in one cue that is talk, question or break from its beginning to its end."""

    cue: str
    kind: str  # "talk" or one of PAUSES
    began: float  # s since 1970
    ended: float | None = None

    def seconds(self, *, now: float) -> float:
        """Return how long it took, or has taken until now."""
        return (now if self.ended is None else self.ended) - self.began


@dataclass(frozen=True)
class Talk:
    """Where the talk stands."""

    cue: str = ""  # the current cue's name; "" before the first
    level: str = "intermediate"
    follows: bool = True  # cells that are run move the talk on
    staged: str = ""  # the cue whose fallback is on the projector
    covered: bool = False  # by the countdown of a break that began later
    screen: str = ""  # one of SCREENS
    break_minutes: float = 0.0  # of the break that the talk is in, as the presenter said; 0: as planned
    plan: Mapping[str, Any] = field(default_factory=dict, hash=False)
    treatments: Mapping[str, str] = field(default_factory=dict, hash=False)  # the cuts, by cue name
    stretches: tuple[Stretch, ...] = ()  # in order; the last one is open while the talk goes on
    undoable: int = 0  # the number of the act that undo would take back; 0: there is none
    shift: float = 0.0  # s by which the talk's clock was ahead of the computer's when the talk began

    @property
    def began(self) -> float | None:
        """When the talk began, in s since 1970."""
        return self.stretches[0].began if self.stretches else None

    @property
    def ended(self) -> float | None:
        """When the talk ended, in s since 1970."""
        return self.stretches[-1].ended if self.stretches else None

    @property
    def running(self) -> bool:
        """Whether the talk has begun and not ended; a pause does not end it."""
        return bool(self.stretches) and self.ended is None

    @property
    def pause(self) -> str:
        """The kind of pause that the talk is in, one of PAUSES; "" if it is in none."""
        kind = self.stretches[-1].kind if self.running else ""
        return kind if kind in PAUSES else ""

    @property
    def pause_stretches(self) -> tuple[Stretch, ...]:
        """The stretches of the pause that the talk is in, one for each cue that it came to meanwhile."""
        if not self.pause:
            return ()
        return tuple(takewhile(lambda one: one.kind == self.pause, reversed(self.stretches)))[::-1]

    @property
    def fallback_up(self) -> bool:
        """Whether a fallback can be seen on the projector, if that is not frozen."""
        return bool(self.staged) and not self.covered and self.screen != "black"

    def elapsed(self, *, now: float) -> float:
        """Return the seconds that count for the plan: all but breaks."""
        return sum(one.seconds(now=now) for one in self.stretches if one.kind != "break")

    def breaks(self, *, now: float) -> float:
        """Return the seconds of all breaks."""
        return sum(one.seconds(now=now) for one in self.stretches if one.kind == "break")

    def in_pause(self, *, now: float) -> float:
        """Return the seconds of the pause that the talk is in."""
        return sum(one.seconds(now=now) for one in self.pause_stretches)

    def spent(self, *, now: float) -> dict[str, float]:
        """Return each cue's seconds of talk, without questions and breaks, by cue name."""
        seconds: dict[str, float] = {}
        for one in self.stretches:
            if one.kind == "talk":
                seconds[one.cue] = seconds.get(one.cue, 0.0) + one.seconds(now=now)
        return seconds


def fold(acts: Iterable[Act]) -> Talk:
    """Compute the talk's state from all acts of its journal.

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
            talk = apply_act(talk, replace(act, at=at), number=number)
    return talk


def apply_act(talk: Talk, act: Act, *, number: int) -> Talk:
    """Return the talk's state after one more act; an act that makes no sense there changes nothing.

    number: the act's in the journal, from 1
    """
    changed = CHANGES[act.do](talk, act)
    can_undo = act.do in UNDOABLE or act.by == JUMP
    return replace(changed, undoable=number) if can_undo and changed != talk else changed


def _plan(talk: Talk, act: Act) -> Talk:
    return replace(talk, plan=act.plan, level=act.level or talk.level)


def _begin(talk: Talk, act: Act) -> Talk:
    first = Stretch(act.cue, "talk", min(act.at, act.since) if act.since else act.at)
    return Talk(act.cue, talk.level, talk.follows, plan=talk.plan, stretches=(first,), shift=act.shift)


def _go(talk: Talk, act: Act) -> Talk:
    if act.cue == talk.cue:
        return talk
    return _turn(replace(talk, cue=act.cue, staged=""), act.at, cue=act.cue)


def _pause(talk: Talk, act: Act) -> Talk:
    if act.kind not in PAUSES or not talk.running:
        return talk
    said = replace(talk, break_minutes=float(act.minutes))
    if act.kind == talk.pause:
        return said
    return _turn(replace(said, covered=act.kind == "break"), act.at, kind=act.kind)


def _resume(talk: Talk, act: Act) -> Talk:
    return _turn(replace(talk, covered=False), act.at, kind="talk") if talk.pause else talk


def _cut(talk: Talk, act: Act) -> Talk:
    return replace(talk, treatments={**talk.treatments, **act.treatments})


def _stage(talk: Talk, act: Act) -> Talk:
    if not act.cue:
        return replace(talk, staged="")
    return replace(talk, staged=act.cue, covered=False, screen="" if talk.screen == "black" else talk.screen)


def _screen(talk: Talk, act: Act) -> Talk:
    return replace(talk, screen=act.kind) if act.kind in SCREENS else talk


def _level(talk: Talk, act: Act) -> Talk:
    return replace(talk, level=act.level)


def _follow(talk: Talk, act: Act) -> Talk:
    return replace(talk, follows=act.on)


def _end(talk: Talk, act: Act) -> Talk:
    if not talk.running:
        return talk
    return replace(
        talk, staged="", screen="", stretches=(*talk.stretches[:-1], _closed(talk.stretches[-1], act.at))
    )


def _undo(talk: Talk, act: Act) -> Talk:
    return talk  # `fold` left out the act that this one takes back


CHANGES = {
    "plan": _plan,
    "begin": _begin,
    "go": _go,
    "pause": _pause,
    "resume": _resume,
    "cut": _cut,
    "stage": _stage,
    "screen": _screen,
    "level": _level,
    "follow": _follow,
    "end": _end,
    "undo": _undo,
}


def _closed(stretch: Stretch, at: float) -> Stretch:
    return replace(stretch, ended=at)


def _turn(talk: Talk, at: float, *, cue: str = "", kind: str = "") -> Talk:
    """Close the open stretch and open one of another cue or kind; a talk that is not running stays so."""
    if not talk.running:
        return talk
    last = talk.stretches[-1]
    following = Stretch(cue or last.cue, kind or last.kind, at)
    return replace(talk, stretches=(*talk.stretches[:-1], _closed(last, at), following))


def make_folder(talk: Path) -> Path:
    """Make a talk's folder, and let nobody but its owner look into it.

    A folder in which somebody kept other things before keeps its mode.

    Raises ValueError, with what to do, for one that cannot be had.
    """
    remedy = "Take another --talk."
    files.make_folder(talk, remedy=remedy)
    try:
        if (talk / JOURNAL).exists() or not any(talk.iterdir()):
            talk.chmod(0o700)
    except OSError as error:
        raise ValueError(f"{talk} is somebody else's ({error.strerror}). {remedy}") from error
    return talk


def make_new_folder(talks: Path, *, now: float) -> Path:
    """Make the folder of a new talk, named after a time in s since 1970, that no other start has made.

    Raises ValueError, with what to do, for one that cannot be had.
    """
    stamp = time.strftime("%Y-%m-%d_%H%M%S", time.localtime(now))
    files.make_folder(talks, remedy="Take another --talk.")
    folder, number = talks / stamp, 1
    while True:
        try:
            folder.mkdir(mode=0o700)
            return folder
        except FileExistsError:
            number += 1
            folder = talks / f"{stamp}-{number}"


class Journal:
    """The acts of one talk, on the disk and in memory. Only one process may write it."""

    def __init__(self, folder: Path) -> None:
        """Read the acts in a folder; lines that are no acts, as after a power cut, are counted and kept.

        Raises ValueError, with what to do, for a folder that cannot be had.
        """
        make_folder(folder)
        self.path = folder / JOURNAL
        self.acts, self.unreadable = read(self.path)
        self.problem = ""  # why the last act could not be written; "" if it was
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self.path.stat().st_size and not self.path.read_bytes().endswith(b"\n"):
            os.write(self._file, b"\n")  # ends a torn last line, so that the next act has a line of its own

    @property
    def talk(self) -> Talk:
        """The talk's state."""
        return fold(self.acts)

    def add(self, act: Act) -> Talk:
        """Write an act to the disk, safe from a power cut, and return the talk's state after it.

        If the act cannot be written, `problem` says why, and the talk goes on in memory.

        Raises ValueError for an unknown act, and for an undo with nothing to take back.
        """
        if act.do not in ACTS:
            raise ValueError(f"There is no act {act.do!r}. These are: {', '.join(ACTS)}.")
        if act.do == "undo":
            act = replace(act, of=self.talk.undoable)
            if not act.of:
                raise ValueError("There is nothing to take back: no begin, cut, end or jump is in force.")
        self.acts.append(act)
        try:
            self._write(format_act(act))
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
            os.ftruncate(self._file, size)  # half a line would run into the next act
            raise


def format_act(act: Act) -> bytes:
    """Write an act as a line of the journal, without fields that have their default."""
    plain = Act(act.at, act.do)
    own = {name: value for name, value in vars(act).items() if value != getattr(plain, name)}
    return json.dumps({"at": act.at, "do": act.do} | own, ensure_ascii=False).encode() + b"\n"


def read(path: Path) -> tuple[list[Act], int]:
    """Read a journal; one that does not exist is empty.

    returns: its acts, and the number of lines that are no acts

    Raises ValueError, with the file and what to do, for one that cannot be read.
    """
    try:
        lines = path.read_bytes().splitlines() if path.exists() else []
    except OSError as error:
        raise ValueError(files.explain_unreadable(path, error)) from error
    acts = [act for line in lines if (act := _act(line))]
    return acts, len(lines) - len(acts)


def _act(line: bytes) -> Act | None:
    try:
        raw: dict[str, Any] = json.loads(line)
        act = Act(**raw)
    except (ValueError, TypeError, RecursionError):
        return None
    return act if _is_sound(act) and act.do in ACTS else None


def _is_sound(act: Act) -> bool:
    """Return whether the fields of an act that was read are of the kinds that they should be."""
    plain = Act(0.0, "")
    numbers = dict.fromkeys(("at", "since", "shift", "minutes"), (int, float))
    kinds: dict[str, Any] = {name: type(value) for name, value in vars(plain).items()} | numbers
    fit = all(isinstance(value, kinds[name]) for name, value in vars(act).items())
    times = (act.at, act.since, act.shift, act.minutes)
    return fit and not any(isinstance(one, bool) or not math.isfinite(one) for one in times)


def count_before_freeze(acts: Sequence[Act]) -> int | None:
    """Count the acts before the one that froze the projector as it was then; None if it is not frozen."""
    undone = {act.of for act in acts if act.do == "undo"}
    turns = [
        (number, act.do == "screen" and act.kind == "freeze")
        for number, act in enumerate(acts, start=1)
        if act.do in ("screen", "begin", "end") and number not in undone
    ]
    frozen = list(takewhile(lambda turn: turn[1], reversed(turns)))
    return frozen[-1][0] - 1 if frozen else None


def find_unfinished(talks: Path, *, now: float) -> Path | None:
    """Find the folder of the newest talk; None if that talk has ended or its last act is too old."""
    folders = list_folders(talks)
    if not folders:
        return None
    acts, _ = read(folders[-1] / JOURNAL)
    fresh = bool(acts) and now - acts[-1].at < FORGOTTEN
    return folders[-1] if fresh and fold(acts).ended is None else None


def list_folders(talks: Path) -> list[Path]:
    """List the folders of all talks; the talk whose journal was written last comes last."""
    journals = sorted(talks.glob(f"*/{JOURNAL}"), key=lambda path: path.stat().st_mtime)
    return [path.parent for path in journals]
