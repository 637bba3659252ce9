"""A talk's report as one HTML page that stands alone: its course, its cues, its moments, its cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import groupby, pairwise
from pathlib import Path

from presenter import facts, render
from presenter.kernels import Run
from presenter.report import learn
from presenter.report.tables import sum_by_notebook
from presenter.report.talk import (
    Row,
    TalkReport,
    capitalize,
    describe_end,
    format_difference,
    sort_by_time,
    summarize_report,
)
from presenter.schedule import CUT, FULL, ON_TIME, TREATMENTS
from workshop.units import MINUTE, clock

TEMPLATE = Path(__file__).with_name("page.html.j2")
CUES_FILE, CELLS_FILE = "report.csv", "cells.csv"  # the tables beside the page
TICKS = (1, 2, 5, 10, 15, 30, 60)  # minutes between two lines of an axis
# The kinds of moments and stretches that the drawing shows: their signs, and what the legend says.
SIGNS = {"cut": "✂", "error": "✗", "interrupt": "■", "stage": "▣", "level": "≡"}
LEGEND = {
    "question": "question",
    "break": "break",
    "cut": "cut or taken back in",
    "error": "error",
    "interrupt": "interrupted",
    "stage": "fallback on the projector",
    "level": "other level",
}
PAUSES = ("question", "break")
# A cell is slow if it took more than SLOW times its expected seconds, and more than NOTED seconds.
SLOW, NOTED = 1.5, 2.0
MOST = 12  # slow cells that are listed; the table of cells has all


def make_page(report: TalkReport) -> str:
    """Write the page."""
    longest = max([1.0, *(max(row.planned, row.spent) for row in report.rows)])
    changes = learn.list_changes(report.material, learn.learn_minutes([report]))
    kinds = {moment.kind for moment in report.moments}
    return render.fill_template(
        TEMPLATE,
        report=report,
        title="On time" if abs(report.late) <= ON_TIME else capitalize(describe_end(report.late)),
        level=" · ".join(filter(None, [f"{report.talk.level} level", report.material.label])),
        lines=summarize_report(report),
        course=Course(report),
        legend=[
            {"kind": kind, "sign": SIGNS.get(kind, ""), "text": text}
            for kind, text in LEGEND.items()
            if kind in kinds
        ],
        sheets=list(_list_sheets(report)),
        planned=sum(row.planned for row in report.rows),
        took=sum(row.spent for row in report.rows),
        titles={row.cue.name: row.cue.title for row in report.rows},
        slow=find_slow(report)[:MOST],
        changes=changes,
        learned_cells=sum(map(len, learn.learn_seconds([report]).values())),
        clock=clock,
        write_date=lambda at: datetime.fromtimestamp(at).strftime("%d %B %Y, %H:%M"),
        write_time=_write_time,
        write_share=lambda minutes: f"{100 * minutes / longest:.1f}%",
        format_difference=format_difference,
        format_seconds=facts.format_seconds,
        list_signs=_list_signs,
        find_mood=_find_mood,
        **{"CUT": CUT, "MINUTE": MINUTE, "ON_TIME": ON_TIME},
        **{"CUES_FILE": CUES_FILE, "CELLS_FILE": CELLS_FILE},
    )


def _write_time(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%H:%M")


class Course:
    """How late the talk was over its time, as a drawing; every place is in the drawing's own units."""

    width, height = 1000, 250
    left, right, top, bottom = 108, 982, 30, 222  # of the field with the line

    def __init__(self, report: TalkReport) -> None:
        self.report = report
        self.long = max(report.minutes, 1 / MINUTE)
        late = [behind for _, behind in report.course]
        self.high, self.low = max(1.0, *late) * 1.12, min(-1.0, *late) * 1.12

    def x(self, minutes: float) -> float:
        """Return the place of a time, in minutes since the talk's beginning."""
        return self.left + (self.right - self.left) * min(max(0.0, minutes), self.long) / self.long

    def y(self, behind: float) -> float:
        """Return the place of a delay in minutes; behind is up: it is what one has to work off."""
        return self.top + (self.bottom - self.top) * (self.high - behind) / (self.high - self.low)

    def x_at(self, at: float) -> float:
        """Return the place of a time in s since 1970."""
        return self.x((at - self.report.began) / MINUTE)

    @cached_property
    def points(self) -> list[tuple[float, float]]:
        """The line's points."""
        return [(self.x(at), self.y(behind)) for at, behind in self.report.course]

    @property
    def line(self) -> str:
        """The line, as SVG writes points."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)

    @property
    def zero(self) -> str:
        """Where a talk on time is."""
        return f"{self.y(0):.1f}"

    @property
    def area(self) -> str:
        """The area between the line and a talk on time, as SVG writes points."""
        return f"{self.points[0][0]:.1f},{self.zero} {self.line} {self.points[-1][0]:.1f},{self.zero}"

    @property
    def alt(self) -> str:
        """The drawing's point in words."""
        worst = max(behind for _, behind in self.report.course)
        most = f"At most {clock(worst)} behind the plan" if worst > 0 else "Never behind the plan"
        return f"{most}; at the end {describe_end(self.report.late)}."

    @property
    def pauses(self) -> Iterator[dict[str, str]]:
        """The questions and breaks."""
        for one in self.report.talk.stretches:
            if one.kind in PAUSES:
                minutes = one.seconds(now=self.report.ended) / MINUTE
                x = self.x_at(one.began)
                end = self.x((one.began - self.report.began) / MINUTE + minutes)
                yield {
                    "kind": one.kind,
                    "x": f"{x:.1f}",
                    "width": f"{max(1.5, end - x):.1f}",
                    "title": f"{one.kind} of {clock(minutes)}",
                }

    @property
    def times(self) -> Iterator[tuple[str, str]]:
        """Round times of the clock: the place of each, and how it is written."""
        step, began = _choose_step(self.long, lines=8), datetime.fromtimestamp(self.report.began)
        at = -(began.minute + began.second / MINUTE) % step
        while at <= self.long:
            yield f"{self.x(at):.1f}", _write_time(round(self.report.began + at * MINUTE))
            at += step

    @property
    def delays(self) -> Iterator[dict[str, str]]:
        """Round delays, with the plan itself among them."""
        step = _choose_step(self.high - self.low, lines=4)
        for number in range(-int(-self.low // step), int(self.high // step) + 1):
            minutes, y = abs(number * step), self.y(number * step)
            yield {
                "kind": "tick" if number else "zero",
                "y": f"{y:.1f}",
                "text_y": f"{y + 4:.1f}",
                "text": f"{minutes} min {'behind' if number > 0 else 'ahead'}" if number else "on plan",
            }

    @property
    def sheets(self) -> Iterator[dict[str, str]]:
        """Where each notebook begins."""
        timed = sort_by_time(self.report.presented)
        for sheet, rows in groupby(timed, lambda one: one[1].cue.sheet):
            x = self.x_at(next(rows)[0])
            yield {"x": f"{x:.1f}", "text_x": f"{x + 4:.1f}", "number": sheet[:2]}

    @property
    def marks(self) -> Iterator[dict[str, str]]:
        """The moments that have a sign, on the line."""
        for moment in self.report.moments:
            if moment.kind in SIGNS:
                y = self.y(self._behind((moment.at - self.report.began) / MINUTE))
                yield {
                    "kind": moment.kind,
                    "x": f"{self.x_at(moment.at):.1f}",
                    "y": f"{y:.1f}",
                    "text_y": f"{y + 4:.1f}",
                    "title": moment.text,
                    "sign": SIGNS[moment.kind],
                }

    def _behind(self, at: float) -> float:
        """Read the delay off the line between two of its points."""
        course = self.report.course
        for (x, y), (later, then) in pairwise(course):
            if x <= at <= later:
                return y + (then - y) * (at - x) / max(later - x, 1e-9)
        return course[0][1] if at < course[0][0] else course[-1][1]


def _choose_step(span: float, *, lines: int) -> int:
    return next((step for step in TICKS if span / step <= lines), TICKS[-1])


def _list_sheets(report: TalkReport) -> Iterator[dict[str, object]]:
    """Yield each notebook with its cues and the sums of their minutes."""
    sums = sum_by_notebook(report)
    for sheet, rows in groupby(report.rows, lambda row: row.cue.sheet):
        yield {
            "title": report.material.sheet_of[sheet].title,
            "planned": float(sums["planned_min"][sheet]),
            "took": float(sums["took_min"][sheet]),
            "rows": list(rows),
        }


def _list_signs(row: Row) -> Iterator[tuple[str, str]]:
    """Yield what was particular about a cue, each with its kind."""
    if row.treatment != FULL:
        yield "cut", TREATMENTS[row.treatment]
    if row.began is None and row.treatment != CUT:
        yield "missed", "not reached"
    if row.errors:
        yield "error", f"{row.errors} error{'s' * (row.errors > 1)}"
    if row.staged:
        yield "stage", "fallback"


def _find_mood(beyond: float) -> str:
    return "late" if beyond > ON_TIME else "early" if beyond < -ON_TIME else ""


@dataclass(frozen=True)
class SlowRun:
    """A run of a cell that took far longer than expected."""

    run: Run
    took: float  # s
    expected: float  # s


def find_slow(report: TalkReport) -> list[SlowRun]:
    """Find the runs that took far longer than expected, the one that cost most time first."""
    slow = []
    for run in report.runs:
        expected = report.material.expected(run.notebook, run.cell)
        took = (report.ended if run.ended is None else run.ended) - run.began
        if expected and took > NOTED and took > SLOW * expected.seconds:
            slow.append(SlowRun(run, took, expected.seconds))
    return sorted(slow, key=lambda one: one.expected - one.took)
