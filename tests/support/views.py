"""The talk of the small lesson at one moment, as the console's pages see it."""

from __future__ import annotations

from presenter.console.view import View
from presenter.journal import Act, fold
from presenter.kernels import Event, Kernels, Run
from presenter.material import Material

BEGUN = Act(0.0, "begin", cue="01-hello")


def at(cue: str, *, now: float = 0.0) -> Act:
    """Go to a cue by hand."""
    return Act(now, "go", cue=cue)


def view(material: Material, *acts: Act, now: float = 0.0, minutes: float = 30, **options: object) -> View:
    """Look at a talk after these acts."""
    base = material.plan({"minutes": minutes} | options, level="intermediate")
    return View(material, base, fold(acts), Kernels(), now)


def ran(seen: View, cell: str, state: str = "done", *, book: str = "01_first", began: float = 0.0) -> View:
    """Let a cell have run, or be running, in this view's kernels."""
    path = f"notebooks/{book}.ipynb"
    if book not in seen.kernels.kernel_of:
        seen.kernels.see(Event(began, "start", 7, path))
    seen.kernels.see(Event(began, "pre", 7, path, cell))
    if state != "running":
        error = "" if state == "done" else "ValueError"
        end = Event(began + 1, "post", 7, path, cell, error, "bad <b>", state == "out of memory")
        seen.kernels.see(end)
    return seen


def run(cell: str, *, book: str = "01_first", queued: bool = False) -> Run:
    """Make a run of a cell that has just begun."""
    return Run(book, cell, 7, 0.0, queued)
