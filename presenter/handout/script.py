"""The script of the talk for paper: everything that the cue sheets say to one level, as one HTML page."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from presenter import facts, render
from presenter.console import guide
from presenter.console.guide import Material
from presenter.cues import LABELS, Cue, Section, Sheet
from workshop import gallery
from workshop.units import clock

TEMPLATE = Path(__file__).with_name("script.html")
WORDS = {"must": "must", "should": "should", "nice": "nice to have"}


def page(material: Material, *, level: str, sheets: Sequence[Sheet] = ()) -> str:
    """Write the script.

    sheets: those to write; all if none is given. The clock counts from the first of them, nothing cut.

    Raises ValueError for a fact that is none.
    """
    chosen = tuple(sheets) or material.sheets
    begins = _begins(chosen)
    body = [_cover(material, chosen, level), _timetable(chosen, begins)]
    body += [_sheet(material, sheet, level=level, begins=begins) for sheet in chosen]
    title = f"Qwen-Image Workshop: script, {level}"
    text = TEMPLATE.read_text(encoding="utf-8").replace("<!-- title -->", escape(title))
    return text.replace("<!-- body -->", "\n".join(body))


def _begins(sheets: Sequence[Sheet]) -> dict[str, float]:
    """Say at which minute each cue begins."""
    begins, at = {}, 0.0
    for cue in (cue for sheet in sheets for cue in sheet.cues):
        begins[cue.name] = at
        at += cue.minutes
    return begins


def _cover(material: Material, sheets: Sequence[Sheet], level: str) -> str:
    every = [cue for sheet in sheets for cue in sheet.cues if cue.takes_time]
    minutes, least = (sum(getattr(cue, each) for cue in every) for each in ("minutes", "least"))
    must = sum(cue.minutes for cue in every if cue.priority == "must")
    machine = f"Runtimes: as measured with the {material.label}." if material.label else ""
    return f"""<header class="cover">
<p class="over">Qwen-Image Workshop · presenter's script</p>
<h1>{level.capitalize()} level</h1>
<p class="sum">{len(every)} cues, {minutes:g} minutes; at their shortest {least:g}, must cues {must:g}.</p>
<p>{escape(machine)} Numbers are computed, not typed. What stands
<span class="say">beside an orange line</span> can be said as it is. The time beside a title is the minute
at which it begins if nothing is cut.</p>
<p class="blanks"><span>Date</span><span>Room</span><span>Start</span><span>End</span></p>
</header>"""


def _timetable(sheets: Sequence[Sheet], begins: dict[str, float]) -> str:
    rows = []
    for sheet in sheets:
        whole = sum(cue.minutes for cue in sheet.cues)
        rows.append(
            f"<tr class='sheet'><th colspan='3'>{escape(sheet.title)}</th><td>{whole:g}</td><td></td></tr>"
        )
        for cue in (one for one in sheet.cues if one.takes_time):
            least = f"{cue.least:g}" if cue.least < cue.minutes else ""
            rows.append(
                f"<tr class='{cue.priority}'><td>{clock(begins[cue.name])}</td>"
                f"<td><a href='#{cue.name}'>{escape(cue.title)}</a></td><td>{WORDS[cue.priority]}</td>"
                f"<td>{cue.minutes:g}</td><td>{least}</td></tr>"
            )
    return f"""<section class="timetable"><h2>The talk at a glance</h2><table>
<thead><tr><th>from</th><th>cue</th><th></th><th>min</th><th>least</th></tr></thead>
<tbody>{"".join(rows)}</tbody></table></section>"""


def _sheet(material: Material, sheet: Sheet, *, level: str, begins: dict[str, float]) -> str:
    parts: list[Cue | Section] = sorted([*sheet.cues, *sheet.sections], key=lambda part: part.line)
    body = [
        _section(material, sheet, part)
        if isinstance(part, Section)
        else _cue(material, sheet, part, level=level, begins=begins[part.name])
        for part in parts
    ]
    lead = html(material, sheet, sheet.lead)
    return f"""<section class="sheet" id="{sheet.name[:2]}"><h2>{escape(sheet.title)}</h2>
<div class="lead">{lead}</div>{"".join(body)}</section>"""


def _section(material: Material, sheet: Sheet, section: Section) -> str:
    text = html(material, sheet, section.text)
    return f"<section class='own'><h3>{escape(section.title)}</h3>{text}</section>"


def _cue(material: Material, sheet: Sheet, cue: Cue, *, level: str, begins: float) -> str:
    anchors = "".join(f"<a id='{sheet.name[:2]}-{cell}'></a>" for cell in cue.cells)
    time, kind = (clock(begins), cue.priority) if cue.takes_time else ("", "home")
    return f"""<article class="cue {kind}">{anchors}<header>
<span class="time">{time}</span><h3>{escape(cue.title)}</h3><p class="meta">{facts_of(cue)}</p></header>
{picture(cue)}{notes(material, sheet, cue)}{points(material, sheet, cue, level=level)}
{questions(material, sheet, cue)}{_practice(material, sheet, cue)}{_code(material, cue)}</article>"""


def facts_of(cue: Cue) -> str:
    """Say in one line how long a cue is and what may be done to it, as HTML."""
    if not cue.takes_time:
        return "for home"
    least = f" (least {cue.least:g})" if cue.least < cue.minutes else ""
    run = " · its cells run even if it is cut" if cue.if_cut == "run" and cue.priority != "must" else ""
    return f"{cue.minutes:g} min{least} · {WORDS[cue.priority]}{run}"


def picture(cue: Cue) -> str:
    """Show a cue's fallback picture with what drew it, inside the page; nothing if it has none."""
    file = gallery.FALLBACK / f"{cue.fallback}.png"
    if not cue.fallback or not file.is_file():
        return ""
    from PIL import Image

    with Image.open(file) as image:
        image.load()
    made, alt = image.info.get("made by", ""), image.info.get("alt") or image.info.get("prompt") or cue.title
    source = f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}"
    shape = "tall" if image.height > image.width else "wide" if image.width > 2 * image.height else ""
    return f"""<figure class="{shape}"><img src="{source}" alt="{escape(str(alt))}">
<figcaption>Fallback, {escape(str(made))}</figcaption></figure>"""


def notes(material: Material, sheet: Sheet, cue: Cue) -> str:
    """Write what stands below a cue's labels."""
    given = [(label, cue.notes[label]) for label in LABELS if label in cue.notes]
    return "".join(
        f"<div class='note {label.lower().replace(' ', '-')}'><h4>{label}</h4>"
        f"<div>{html(material, sheet, text)}</div></div>"
        for label, text in given
    )


def points(material: Material, sheet: Sheet, cue: Cue, *, level: str) -> str:
    """Write the talking points of a level."""
    items = "".join(f"<li>{line(material, sheet, point)}</li>" for point in cue.points.get(level, ()))
    return f"<div class='points'><h4>{level.capitalize()}</h4><ul>{items}</ul></div>" if items else ""


def questions(material: Material, sheet: Sheet, cue: Cue) -> str:
    """Write the questions to the audience, each with the answer to expect."""
    pairs = [
        (line(material, sheet, each.question), line(material, sheet, each.answer)) for each in cue.questions
    ]
    items = "".join(f"<li>{asked} <span class='answer'>{answer}</span></li>" for asked, answer in pairs)
    return f"<div class='ask'><h4>Ask</h4><ul>{items}</ul></div>" if items else ""


def _practice(material: Material, sheet: Sheet, cue: Cue) -> str:
    text = html(material, sheet, cue.practice)
    return f"<div class='note practice'><h4>In practice</h4><div>{text}</div></div>" if text else ""


def _code(material: Material, cue: Cue) -> str:
    """Print the code of a cue's cells, each with its expected runtime."""
    return "".join(_cell(material, cue, cell) for cell in cue.cells)


def _cell(material: Material, cue: Cue, cell: str) -> str:
    found = material.expected(cue.sheet, cell)
    takes = facts.seconds(found.seconds) if found else facts.NOT_REHEARSED
    source = render.code(material.source.get((cue.sheet, cell), ""))
    return f"""<div class="code"><p><code>{escape(cell)}</code> <span>{escape(takes)}</span></p>
<pre>{source}</pre></div>"""


def html(material: Material, sheet: Sheet, text: str) -> str:
    """Fill facts in and render Markdown."""
    return render.markdown(_filled(material, sheet, text), sheet=sheet.name)


def line(material: Material, sheet: Sheet, text: str) -> str:
    """Do so for a text that stands in a list."""
    return render.line(_filled(material, sheet, text), sheet=sheet.name)


def _filled(material: Material, sheet: Sheet, text: str) -> str:
    return facts.fill(text, notebook=sheet.name, label=material.label or "unknown")


def opening(sheet: Sheet) -> Iterator[Section]:
    """Give the sections that stand before the first cue."""
    yield from (one for one in sheet.sections if one.title in guide.OPENING)


def closing(sheet: Sheet) -> Iterator[Section]:
    """Give the sections that stand after the last cue."""
    yield from (one for one in sheet.sections if one.title not in guide.OPENING)
