"""A talk's report as one HTML page that stands alone: its course, its cues, its moments, its cells."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from html import escape
from itertools import groupby
from pathlib import Path

from presenter import facts
from presenter.console import guide
from presenter.console.guide import MINUTE
from presenter.kernels import Run
from presenter.report import talk as report
from presenter.report.talk import Moment, Report, Row
from presenter.schedule import CUT, FULL
from workshop.units import clock

TEMPLATE = Path(__file__).with_name("page.html")
WIDTH, HEIGHT = 1000, 250  # of the course, in its own units
LEFT, RIGHT, TOP, BOTTOM = 108, 18, 30, 28
TICKS = (1, 2, 5, 10, 15, 30, 60)  # minutes between two lines of an axis
MARKS = {"cut": "✂", "error": "✗", "interrupt": "■", "stage": "▣", "level": "≡"}  # kinds of moments
SPANS = ("question", "break")  # kinds of stretches
SLOW, NOTED = 1.5, 2.0  # times its expected seconds from which a cell is slow; s below which none is
MOST = 12  # slow cells that are listed; the table of cells has all


def page(told: Report) -> str:
    """Write the page."""
    body = [_head(told), _course(told), _cues(told), _moments(told), _cells(told), _next(told)]
    text = TEMPLATE.read_text(encoding="utf-8")
    return text.replace("<!-- body -->", "\n".join(filter(None, body)))


def _head(told: Report) -> str:
    late = told.late
    mood = "bad" if late > guide.ON_TIME else "good"
    when = datetime.fromtimestamp(told.began).strftime("%d %B %Y, %H:%M")
    title = "On time" if abs(late) <= guide.ON_TIME else report.sentence(report.finish(late))
    level = " · ".join(filter(None, [f"{told.talk.level} level", escape(told.material.label)]))
    said = "".join(f"<p>{escape(line)}.</p>" for line in report.summary(told))
    note = f"<p class='note'>{escape(told.note)}</p>" if told.note else ""
    return f"""<header class="{mood}">
<p class="over">Qwen-Image Workshop · talk of {when} · {level}</p>
<h1>{escape(title)}</h1>
<p class="took"><strong>{clock(told.minutes)}</strong> of {told.base.minutes:g} minutes</p>
{said}{note}
</header>"""


class _Axes:
    """Where times and delays lie in the drawing of the course."""

    def __init__(self, told: Report) -> None:
        self.long = max(told.minutes, 1 / MINUTE)
        late = [behind for _, behind in told.course]
        self.high, self.low = max(1.0, *late) * 1.12, min(-1.0, *late) * 1.12

    def x(self, minutes: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * min(max(0.0, minutes), self.long) / self.long

    def y(self, behind: float) -> float:
        """Behind is up: it is what one has to work off."""
        return TOP + (HEIGHT - TOP - BOTTOM) * (self.high - behind) / (self.high - self.low)


def _course(told: Report) -> str:
    """Draw how late the talk was over its time."""
    axes = _Axes(told)
    points = [(axes.x(at), axes.y(behind)) for at, behind in told.course]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    zero = axes.y(0)
    area = f"{points[0][0]:.1f},{zero:.1f} {line} {points[-1][0]:.1f},{zero:.1f}"
    worst = max(behind for _, behind in told.course)
    alt = f"At most {clock(worst)} behind the plan" if worst > 0 else "Never behind the plan"
    alt += f"; at the end {report.finish(told.late)}."
    drawn = [*_pauses(told, axes), *_grid(told, axes), *_clips(zero)]
    for side in ("late", "early"):
        drawn.append(f'<polygon class="{side}" points="{area}" clip-path="url(#{side})"/>')
    drawn += [f'<polyline class="line" points="{line}"/>', *_marks(told, axes)]
    return f"""<section><h2>Behind or ahead</h2>
<p class="note">Against the plan that the talk began with. What was cut brings the line back down.</p>
<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(alt)}">{"".join(drawn)}</svg>
{_legend(told)}</section>"""


def _clips(zero: float) -> Iterator[str]:
    yield f'<clipPath id="late"><rect x="0" y="0" width="{WIDTH}" height="{zero:.1f}"/></clipPath>'
    yield f'<clipPath id="early"><rect x="0" y="{zero:.1f}" width="{WIDTH}" height="{HEIGHT}"/></clipPath>'


def _grid(told: Report, axes: _Axes) -> Iterator[str]:
    """Lines of the clock and of the delay, and a mark where a notebook begins."""
    for at, time in _times(told, axes):
        x = axes.x(at)
        yield f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        yield f'<text x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{time}</text>'
    step = _step(axes.high - axes.low, lines=4)
    for number in range(-int(-axes.low // step), int(axes.high // step) + 1):
        behind = number * step
        word = "on plan" if not number else f"{abs(behind)} min {'behind' if number > 0 else 'ahead'}"
        y, kind = axes.y(behind), "tick" if number else "zero"
        yield f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{word}</text>'
    for sheet, rows in groupby(sorted(told.presented, key=lambda row: row.began), lambda row: row.cue.sheet):
        x = axes.x((next(rows).began - told.began) / MINUTE)
        yield f'<line class="sheet" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{HEIGHT - BOTTOM}"/>'
        yield f'<text class="sheet" x="{x + 4:.1f}" y="{TOP - 10}">{sheet[:2]}</text>'


def _times(told: Report, axes: _Axes) -> Iterator[tuple[float, str]]:
    """Give round times of the clock, each with its minutes since the beginning."""
    step, began = _step(axes.long, lines=8), datetime.fromtimestamp(told.began)
    at = -(began.minute + began.second / MINUTE) % step
    while at <= axes.long:
        yield at, datetime.fromtimestamp(round(told.began + at * MINUTE)).strftime("%H:%M")
        at += step


def _step(span: float, *, lines: int) -> int:
    return next((step for step in TICKS if span / step <= lines), TICKS[-1])


def _pauses(told: Report, axes: _Axes) -> Iterator[str]:
    for one in told.talk.stretches:
        if one.kind in SPANS:
            begin = (one.began - told.began) / MINUTE
            x, end = axes.x(begin), axes.x(begin + one.seconds(now=told.ended) / MINUTE)
            title = f"<title>{one.kind} of {clock(one.seconds(now=told.ended) / MINUTE)}</title>"
            box = f'x="{x:.1f}" width="{max(1.5, end - x):.1f}" y="{TOP}" height="{HEIGHT - TOP - BOTTOM}"'
            yield f'<rect class="{one.kind}" {box}>{title}</rect>'


def _marks(told: Report, axes: _Axes) -> Iterator[str]:
    for moment in told.moments:
        if moment.kind in MARKS:
            at = (moment.at - told.began) / MINUTE
            x, y = axes.x(at), axes.y(_behind(told, at))
            title, mark = f"<title>{escape(moment.text)}</title>", MARKS[moment.kind]
            yield f'<circle class="{moment.kind}" cx="{x:.1f}" cy="{y:.1f}" r="9">{title}</circle>'
            yield f'<text class="mark" x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle">{mark}</text>'


def _behind(told: Report, at: float) -> float:
    """Read the course between two of its points."""
    course = told.course
    for (x, y), (later, then) in zip(course, course[1:], strict=False):
        if x <= at <= later:
            return y + (then - y) * (at - x) / max(later - x, 1e-9)
    return course[0][1] if at < course[0][0] else course[-1][1]


LEGEND = {"question": "question", "break": "break", "cut": "cut or taken back in", "error": "error"}
LEGEND |= {"interrupt": "interrupted", "stage": "fallback on the projector", "level": "other level"}


def _legend(told: Report) -> str:
    kinds = {moment.kind for moment in told.moments}
    shown = [
        f"<li><i class='{kind}'>{MARKS.get(kind, '')}</i>{words}</li>"
        for kind, words in LEGEND.items()
        if kind in kinds
    ]
    return f"<ul class='legend'>{''.join(shown)}</ul>" if shown else ""


def _cues(told: Report) -> str:
    """The table of the cues: planned against actual."""
    longest = max([1.0, *(max(row.planned, row.took) for row in told.rows)])
    rows, sheet = [], ""
    for row in told.rows:
        if row.cue.sheet != sheet:
            sheet = row.cue.sheet
            rows.append(_sheet(told, sheet))
        rows.append(_cue(row, longest=longest))
    planned, took = sum(row.planned for row in told.rows), sum(row.took for row in told.rows)
    rows.append(f"""<tr class="sum"><th scope="row">Together, without breaks</th><td></td>
<td>{clock(planned)}</td><td>{clock(took)}</td><td>{report.beyond(took - planned)}</td><td></td></tr>""")
    return f"""<section><h2>Planned and actual</h2>
<p class="note"><i class="talk"></i> talk <i class="question"></i> questions
<i class="plan"></i> planned. Minutes and seconds; a break is not counted to its cue.</p>
<div class="scroll"><table class="cues">
<thead><tr><th>cue</th><th></th><th>planned</th><th>took</th><th>beyond</th><th></th></tr></thead>
<tbody>{"".join(rows)}</tbody></table></div></section>"""


def _sheet(told: Report, sheet: str) -> str:
    mine = [row for row in told.rows if row.cue.sheet == sheet]
    title = escape(told.material.sheet_of[sheet].title)
    planned, took = sum(row.planned for row in mine), sum(row.took for row in mine)
    more = report.beyond(took - planned) if took else ""
    return f"""<tr class="sheet"><th colspan="2" scope="rowgroup">{title}</th><td>{clock(planned)}</td>
<td>{clock(took) if took else ""}</td><td>{more}</td><td></td></tr>"""


def _cue(row: Row, *, longest: float) -> str:
    reached = row.began is not None
    took = clock(row.took) if reached else "–"
    beyond = report.beyond(row.beyond) if reached and row.treatment != CUT else ""
    mood = " late" if row.beyond > guide.ON_TIME else " early" if row.beyond < -guide.ON_TIME else ""
    return f"""<tr class="{"reached" if reached else "missed"}"><th scope="row">{escape(row.cue.title)}
<small>{escape(row.cue.name)}</small></th><td>{_signs(row)}</td>
<td>{clock(row.planned) if row.planned else "–"}</td><td>{took}</td>
<td class="{mood if reached else ""}">{beyond}</td><td class="bar">{_bar(row, longest=longest)}</td></tr>"""


def _signs(row: Row) -> str:
    """Say in words what was particular about a cue."""
    signs = [] if row.treatment == FULL else [("cut", guide.WORDS[row.treatment])]
    signs += [("missed", "not reached")] if row.began is None and row.treatment != CUT else []
    signs += [("error", f"{row.errors} error{'s' * (row.errors > 1)}")] if row.errors else []
    signs += [("stage", "fallback")] if row.staged else []
    return "".join(f"<span class='sign {kind}'>{escape(text)}</span> " for kind, text in signs)


def _bar(row: Row, *, longest: float) -> str:
    def wide(minutes: float) -> str:
        return f"{100 * minutes / longest:.1f}%"

    plan = f"<i class='plan' style='left:{wide(row.planned)}'></i>" if row.planned else ""
    said = [("talk", row.talk), ("question", row.questions)]
    return "".join(f"<i class='{kind}' style='width:{wide(long)}'></i>" for kind, long in said if long) + plan


def _moments(told: Report) -> str:
    titles = {row.cue.name: row.cue.title for row in told.rows}
    rows = [_moment(moment, told, titles.get(moment.cue, moment.cue)) for moment in told.moments]
    return f"""<section><h2>What happened</h2>
<div class="scroll"><table class="moments"><tbody>{"".join(rows)}</tbody></table></div></section>"""


def _moment(moment: Moment, told: Report, title: str) -> str:
    time = datetime.fromtimestamp(moment.at).strftime("%H:%M")
    since = clock((moment.at - told.began) / MINUTE)
    return f"""<tr class="{moment.kind}"><td>{time}</td><td class="soft">{since}</td>
<td>{escape(moment.text)}</td><td class="soft">{escape(title)}</td></tr>"""


def _cells(told: Report) -> str:
    """The cells that took far longer than expected, those that cost most first."""
    slow: list[tuple[Run, float, float]] = []
    for one in told.runs:
        expected = told.material.expected(one.notebook, one.cell)
        took = (told.ended if one.ended is None else one.ended) - one.began
        if expected and took > NOTED and took > SLOW * expected.seconds:
            slow.append((one, took, expected.seconds))
    if not slow:
        return ""
    rows = "".join(
        f"<tr><th scope='row'><code>{escape(one.cell)}</code> <small>{escape(one.notebook)}</small></th>"
        f"<td>{escape(facts.seconds(expected))}</td><td>{escape(facts.seconds(took))}</td>"
        f"<td>{escape(one.state)}</td></tr>"
        for one, took, expected in sorted(slow, key=lambda each: each[2] - each[1])[:MOST]
    )
    return f"""<section><h2>Cells that kept people waiting</h2><div class="scroll"><table class="slow">
<thead><tr><th>cell</th><th>expected</th><th>took</th><th>ended</th></tr></thead>
<tbody>{rows}</tbody></table></div></section>"""


def _next(told: Report) -> str:
    """What the plan would learn from this talk."""
    changes = report.measured([told])
    ran = sum(map(len, report.seconds([told]).values()))
    lines = [f"<li>{escape(line)}</li>" for line in report.told_changes(told.material, changes)]
    said = "cues would have other minutes:" if lines else "no cue asks for other minutes than it has."
    return f"""<section><h2>For the next time</h2>
<p>By this talk, {said}</p><ul class="changes">{"".join(lines)}</ul>
<p>{ran} cells would be expected to take the seconds that they took.</p>
<p><code>./scripts/presenter report {escape(told.name)} --apply</code> writes both into the plan. A cue counts
if it was presented in full and without an error, neither clicked through nor forgotten. With several talks
the medians are taken.</p>
<p class="note">For a spreadsheet: {report.TABLE} has the cues, {report.CELLS} each cell's runs.</p>
</section>"""
