"""Slides of a notebook with the cue sheet's words as the speaker's notes, made by nbconvert.

nbconvert's own template loads reveal.js, jQuery, RequireJS and MathJax from the network. Ours, in slides/,
has its style and its code inside; formulas are drawn by matplotlib. So a deck is one file and needs no other.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from presenter.console.guide import Material
from presenter.cues import LEVELS, Cue, Section, Sheet
from presenter.handout import script

TEMPLATE = Path(__file__).with_name("slides")
FORMULA = re.compile(
    r"(?P<code>```.*?```|`[^`]*`)|\$\$(?P<block>.+?)\$\$|\$(?=\S)(?P<inline>[^$\n]+?)(?<=\S)\$(?!\d)",
    re.DOTALL,
)
POINTS = 10  # that a formula is drawn at; in the page it has the size of the text around it
LINES = 14  # of a log that are shown, the last ones
WIDGET = "application/vnd.jupyter.widget-view+json"

Raw = dict[str, Any]  # a cell as in the notebook's file


def page(book: Raw, sheet: Sheet, material: Material) -> str:
    """Turn a notebook, as in its file, into slides.

    Outputs are shown where the notebook has some; where it has none, a cue's fallback picture is.
    """
    from nbconvert.exporters import SlidesExporter

    cells = list(_typed(book["cells"], sheet, material))
    for number, cell in enumerate(cells):
        cell["id"] = f"slide-{number}"  # an output split from its cell would have the same one
    metadata = {**book["metadata"], "title": f"Slides: {sheet.title}"}
    metadata.pop("widgets", None)
    made = json.dumps({**book, "cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})
    exporter = SlidesExporter(template_name=TEMPLATE.name, extra_template_basedirs=[str(TEMPLATE.parent)])
    return exporter.from_file(io.StringIO(made))[0]


def _typed(cells: list[Raw], sheet: Sheet, material: Material) -> Iterator[Raw]:
    """Cut cells into slides, each followed by its words and the cue's picture."""
    before, title = "", ""
    for number, cell in enumerate(cells):
        text = "".join(cell["source"])
        if not text.strip():
            continue
        cue, kind = sheet.cue_of(cell["id"]), cell["cell_type"]
        heading = re.search(r"^#{1,2} +(.+)$", text, re.MULTILINE) if kind == "markdown" else None
        title = heading[1] if heading else title
        goes_on = before == "markdown" and not heading
        if not heading and not goes_on:
            yield _over(title)
        if kind == "markdown":
            yield _cell("markdown", drawn(text), "slide" if heading else "-")
            yield from [_notes(_words(material, sheet, cue, cell["id"]))] if cue else []
        elif kind == "code":
            yield from _code(cell, material, sheet, cue, title=title)
        if number == 0:
            yield _notes(_sections(material, sheet, [*script.opening(sheet)], lead=sheet.lead))
        if number == len(cells) - 1:
            yield _notes(_sections(material, sheet, [*script.closing(sheet)]))
        before = kind


def _over(title: str) -> Raw:
    """Begin a slide that goes on under an earlier heading."""
    return _cell("raw", f"<p class='over'>{escape(title)}</p>", "subslide")


def _code(cell: Raw, material: Material, sheet: Sheet, cue: Cue | None, *, title: str) -> Iterator[Raw]:
    source, outputs = "".join(cell["source"]), _shown(cell.get("outputs", []))
    yield _cell("code", source, "-", outputs=[])
    if cue:
        yield _notes(_words(material, sheet, cue, cell["id"]))
    if outputs:
        unseen = {"transient": {"remove_source": True}}
        yield _over(title)
        yield _cell("code", source, "-", outputs=outputs, **unseen)
        yield from [_notes(_words(material, sheet, cue, cell["id"]))] if cue else []
    elif cue and cue.fallback and cell["id"] == _shows(cue):
        yield _cell("raw", _picture(cue), "subslide")
        yield _notes(_words(material, sheet, cue, cell["id"]))


def _shows(cue: Cue) -> str:
    """Name the cell that draws a cue's fallback: the one it is named after, else the last."""
    return next((cell for cell in cue.cells if cue.fallback == f"{cue.sheet[:2]}-{cell}"), cue.cells[-1])


def _shown(outputs: list[Raw]) -> list[Raw]:
    """Take what fits on a slide: no widgets, which need a kernel and remote code, and few lines of a log."""
    return [_short(one) for one in outputs if WIDGET not in one.get("data", {})]


def _short(output: Raw) -> Raw:
    lines = "".join(output.get("text", "")).splitlines(keepends=True)
    return {**output, "text": ["…\n", *lines[-LINES:]]} if len(lines) > LINES else output


def _cell(kind: str, source: str, slide: str, *, outputs: list[Raw] | None = None, **metadata: Any) -> Raw:
    made = {"cell_type": kind, "source": source, "metadata": {"slideshow": {"slide_type": slide}, **metadata}}
    if kind == "raw":
        made["metadata"]["raw_mimetype"] = "text/html"
    return made if outputs is None else made | {"outputs": outputs, "execution_count": None}


def _notes(words: str) -> Raw:
    return _cell("raw", words, "notes")


def _words(material: Material, sheet: Sheet, cue: Cue, cell: str) -> str:
    """Write what the speaker reads at a cell: the cue, with the points of every level."""
    part = f" ({cue.cells.index(cell) + 1} of {len(cue.cells)})" if len(cue.cells) > 1 else ""
    levels = "".join(
        f"<div data-level='{level}'>{script.points(material, sheet, cue, level=level)}</div>"
        for level in LEVELS
    )
    head = f"<h2>{escape(cue.title)}{part}</h2><p class='meta'>{script.facts_of(cue)}</p>"
    return head + script.notes(material, sheet, cue) + levels + script.questions(material, sheet, cue)


def _sections(material: Material, sheet: Sheet, sections: list[Section], *, lead: str = "") -> str:
    told = [f"<h2>{escape(one.title)}</h2>{script.html(material, sheet, one.text)}" for one in sections]
    return script.html(material, sheet, lead) + "".join(told)


def _picture(cue: Cue) -> str:
    return f"<div class='shown'><h2>{escape(cue.title)}</h2>{script.picture(cue)}</div>"


def drawn(text: str) -> str:
    """Put drawings in place of a Markdown text's formulas; code is left alone.

    >>> drawn("`$HOME` costs $5")
    '`$HOME` costs $5'
    """

    def found(match: re.Match[str]) -> str:
        if match["code"]:
            return match[0]
        return formula(match["block"] or match["inline"], inline=match["block"] is None)

    return FORMULA.sub(found, text)


def formula(tex: str, *, inline: bool = False) -> str:
    """Draw a formula as a picture inside the page; what matplotlib cannot draw stays as it was typed."""
    from matplotlib import mathtext
    from matplotlib.font_manager import FontProperties

    picture, simple = io.BytesIO(), " ".join(tex.split())
    try:
        depth = mathtext.math_to_image(f"${simple}$", picture, prop=FontProperties(size=POINTS), format="svg")
    except ValueError:  # a TeX command that it does not know
        return f"<code>{escape(simple)}</code>"
    high = float(re.search(rb'height="([\d.]+)pt"', picture.getvalue())[1])
    style = f"height: {high / POINTS:.2f}em" + (
        f"; vertical-align: {-depth / POINTS:.2f}em" if inline else ""
    )
    data = base64.b64encode(picture.getvalue()).decode()
    kind = "formula inline" if inline else "formula"
    alt = escape(simple)
    return f'<img class="{kind}" style="{style}" alt="{alt}" src="data:image/svg+xml;base64,{data}">'
