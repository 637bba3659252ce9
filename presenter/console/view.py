"""The talk at one moment: its material, its plan, where it stands, and what the kernels do."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, lru_cache
from itertools import takewhile

from presenter import facts, schedule
from presenter.cues import Cue
from presenter.journal import Talk
from presenter.kernels import Kernels
from presenter.material import Material
from presenter.schedule import Advice, Item, Plan
from workshop.units import MINUTE

STEP = 5.0  # s between two recomputations of the advice, so that its text does not flicker


@dataclass(frozen=True)
class View:
    """Everything that the pages depend on at one moment."""

    material: Material
    base: Plan  # before any cut of the talk
    talk: Talk
    kernels: Kernels
    now: float  # s since 1970, by the talk's clock
    shift: float = 0.0  # s by which that is ahead of the computer's, if somebody set the computer's

    def time_of_day(self, at: float) -> str:
        """Write a time of the talk's clock, in s since 1970, as the computer's clock shows it."""
        return datetime.fromtimestamp(at - self.shift).strftime("%H:%M")

    @cached_property
    def plan(self) -> Plan:
        """The plan with the talk's cuts."""
        return replace(self.base, treatments={**self.base.treatments, **self.talk.treatments})

    @cached_property
    def path(self) -> tuple[Item, ...]:
        """The cues that are presented, in order."""
        return tuple(item for item in self.plan.items if item.kept)

    @cached_property
    def here(self) -> Item:
        """The current cue; before the talk has one, the first."""
        names = {item.cue.name for item in self.plan.items}
        return self.plan.item(self.talk.cue) if self.talk.cue in names else self.path[0]

    @cached_property
    def place(self) -> int:
        """The current cue's place among all cues of the plan."""
        return self.plan.items.index(self.here)

    @cached_property
    def arrived(self) -> float:
        """When the talk came to the current cue, in s since 1970; before the start, never: infinity."""
        here = list(takewhile(lambda one: one.cue == self.here.cue.name, reversed(self.talk.stretches)))
        return here[-1].began if here else math.inf

    @property
    def following(self) -> Item | None:
        """The next cue that is presented."""
        return next((item for item in self.plan.items[self.place + 1 :] if item.kept), None)

    @property
    def preceding(self) -> Item | None:
        """The last cue before this one that is presented."""
        return next((item for item in reversed(self.plan.items[: self.place]) if item.kept), None)

    @cached_property
    def advice(self) -> Advice:
        """What to change now so that the talk ends in time."""
        spent = self.talk.spent(now=self.now).get(self.here.cue.name, 0.0) / MINUTE
        return _advise(self.plan, _step(self.elapsed), self.here.cue.name, _step(spent))

    @property
    def elapsed(self) -> float:
        """Minutes since the start as the plan counts them: every planned break before this cue is in them.

        A break that is held earlier than planned is therefore no delay; the minutes by which breaks exceed
        the planned ones are.
        """
        talk, held = self.talk.elapsed(now=self.now) / MINUTE, self.talk.breaks(now=self.now) / MINUTE
        planned = sum(one.minutes for one in self.plan.breaks)
        ahead = sum(item.pause for item in self.plan.items[self.place + 1 :])
        to_come = max(0.0, planned - held) if ahead else 0.0
        return self.late_start + talk + held + to_come - ahead

    @property
    def late_start(self) -> float:
        """Minutes by which the talk began after its start time, by the computer's clock of that moment."""
        began = self.talk.began
        return 0.0 if began is None else self.plan.late_start(began - self.talk.shift)

    def fill(self, cue: Cue, text: str) -> str:
        """Fill in the facts of a cue's text, for this machine.

        A fact that there is not stays as its name: `presenter check` reports it, and during a talk its name
        beats an error.
        """
        try:
            return facts.fill(text, notebook=cue.sheet, label=self.material.label or "unknown")
        except ValueError:
            return text

    @property
    def ends(self) -> float:
        """When the talk is expected to end, in s since 1970."""
        began = self.now if self.talk.began is None else self.talk.began
        planned_end = began + (self.plan.minutes - self.late_start) * MINUTE
        return planned_end + self.advice.late * MINUTE


def _step(minutes: float) -> float:
    """Round minutes down to a whole number of STEPs."""
    return math.floor(minutes * MINUTE / STEP) * STEP / MINUTE


@lru_cache(maxsize=4)
def _advise(plan: Plan, elapsed: float, position: str, spent: float) -> Advice:
    return schedule.replan(plan, elapsed=elapsed, position=position, spent=spent)
