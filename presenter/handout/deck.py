"""Slides of a notebook with the cue sheet's words as the speaker's notes, made by nbconvert.

nbconvert's own template loads reveal.js, jQuery, RequireJS and MathJax from the network. Ours, in slides/,
has its style and its code inside, and matplotlib draws the formulas. So a deck is one file that needs no
other.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from presenter import render
from presenter.cues import LEVELS, Cue, Section, Sheet
from presenter.handout.words import Writer
from presenter.material import Material

TEMPLATE = Path(__file__).with_name("slides")
PARTS = Path(__file__).with_name("parts.html.j2")
FORMULA = re.compile(
    r"(?P<code>```.*?```|`[^`]*`)|\$\$(?P<block>.+?)\$\$|\$(?=\S)(?P<inline>[^$\n]+?)(?<=\S)\$(?!\d)",
    re.DOTALL,
)
POINTS = 10  # of a formula's font when it is drawn; in the page it has the size of the text around it
LINES = 14  # of a log that are shown, the last ones
WIDGET = "application/vnd.jupyter.widget-view+json"

Raw = dict[str, Any]  # a notebook or one of its cells, as in the notebook's file


def make_deck(book: Mapping[str, Any], sheet: Sheet, material: Material) -> str:
    """Turn a notebook, as in its file, into slides.

    A cell that has outputs shows them; the cell of a cue that has none shows the cue's fallback picture.

    Raises ValueError for a fact that there is not.
    """
    from nbconvert.exporters import SlidesExporter

    cells = list(_Slides(Writer(material, sheet)).cut(book["cells"]))
    for number, cell in enumerate(cells):
        cell["id"] = f"slide-{number}"  # a cell and its outputs, now apart, would have the same id
    metadata = {**book["metadata"], "title": f"Slides: {sheet.title}"}
    metadata.pop("widgets", None)
    made = json.dumps({**book, "cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})
    exporter = SlidesExporter(template_name=TEMPLATE.name, extra_template_basedirs=[str(TEMPLATE.parent)])
    return exporter.from_file(io.StringIO(made))[0]


class _Slides:
    """Cuts a notebook's cells into slides and gives each its notes."""

    def __init__(self, writer: Writer) -> None:
        self.writer, self.sheet = writer, writer.sheet

    def cut(self, cells: Sequence[Raw]) -> Iterator[Raw]:
        """Yield the cells of the slides, each followed by its notes and the cue's picture."""
        before, title = "", ""
        for number, cell in enumerate(cells):
            text = "".join(cell["source"])
            if not text.strip():
                continue
            cue, kind = self.sheet.cue_of(cell["id"]), cell["cell_type"]
            heading = re.search(r"^#{1,2} +(.+)$", text, re.MULTILINE) if kind == "markdown" else None
            title = heading[1] if heading else title
            goes_on = before == "markdown" and not heading
            if not heading and not goes_on:
                yield _heading(title)
            if kind == "markdown":
                yield _cell("markdown", draw_formulas(text), "slide" if heading else "-")
                yield from [self._notes(cue, cell["id"])] if cue else []
            elif kind == "code":
                yield from self._code(cell, cue, title=title)
            if number == 0:
                yield self._section_notes(self.sheet.opening, lead=self.sheet.lead)
            if number == len(cells) - 1:
                yield self._section_notes(self.sheet.after_opening)
            before = kind

    def _code(self, cell: Raw, cue: Cue | None, *, title: str) -> Iterator[Raw]:
        source, outputs = "".join(cell["source"]), _fit(cell.get("outputs", []))
        yield _cell("code", source, "-", outputs=[])
        if cue:
            yield self._notes(cue, cell["id"])
        if outputs:
            unseen = {"transient": {"remove_source": True}}
            yield _heading(title)
            yield _cell("code", source, "-", outputs=outputs, **unseen)
            yield from [self._notes(cue, cell["id"])] if cue else []
        elif cue and cue.fallback and cell["id"] == _find_drawing_cell(cue):
            yield _cell("raw", _part("picture", self.writer.write_cue(cue)), "subslide")
            yield self._notes(cue, cell["id"])

    def _notes(self, cue: Cue, cell: str) -> Raw:
        """Write what the speaker reads at a cell: the cue, with the points of every level."""
        part = f" ({cue.cells.index(cell) + 1} of {len(cue.cells)})" if len(cue.cells) > 1 else ""
        return _cell("raw", _part("cue", self.writer.write_cue(cue), part, LEVELS), "notes")

    def _section_notes(self, sections: Sequence[Section], *, lead: str = "") -> Raw:
        words = [self.writer.write_section(one) for one in sections]
        return _cell("raw", _part("sections", self.writer.render(lead), words), "notes")


def _part(name: str, *values: object) -> str:
    return render.call_macro(PARTS, name, *values)


def _heading(title: str) -> Raw:
    """Begin a slide that goes on under an earlier heading."""
    return _cell("raw", _part("heading", title), "subslide")


def _find_drawing_cell(cue: Cue) -> str:
    """Return the cell that draws a cue's fallback: the one after which it is named, else the last."""
    return next((cell for cell in cue.cells if cue.fallback == f"{cue.sheet[:2]}-{cell}"), cue.cells[-1])


def _fit(outputs: Sequence[Raw]) -> list[Raw]:
    """Return what fits on a slide: a log's last lines, and no widgets: they need a kernel and remote code."""
    return [_shorten(one) for one in outputs if WIDGET not in one.get("data", {})]


def _shorten(output: Raw) -> Raw:
    lines = "".join(output.get("text", "")).splitlines(keepends=True)
    return {**output, "text": ["…\n", *lines[-LINES:]]} if len(lines) > LINES else output


def _cell(
    kind: str, source: str, slide: str, *, outputs: Sequence[Raw] | None = None, **metadata: object
) -> Raw:
    every: Raw = {"slideshow": {"slide_type": slide}, **metadata}
    if kind == "raw":
        every["raw_mimetype"] = "text/html"
    made: Raw = {"cell_type": kind, "source": source, "metadata": every}
    return made if outputs is None else made | {"outputs": list(outputs), "execution_count": None}


def draw_formulas(text: str) -> str:
    """Put drawings in place of a Markdown text's formulas; code is left alone.

    >>> draw_formulas("`$HOME` costs $5")
    '`$HOME` costs $5'
    """

    def draw(match: re.Match[str]) -> str:
        if match["code"]:
            return match[0]
        return draw_formula(match["block"] or match["inline"], inline=match["block"] is None)

    return FORMULA.sub(draw, text)


def draw_formula(tex: str, *, inline: bool = False) -> str:
    """Draw a formula as a picture inside the page; one that matplotlib cannot draw stays as it was typed."""
    from matplotlib import mathtext
    from matplotlib.font_manager import FontProperties

    picture, simple = io.BytesIO(), " ".join(tex.split())
    try:
        depth = mathtext.math_to_image(f"${simple}$", picture, prop=FontProperties(size=POINTS), format="svg")
    except ValueError:  # a TeX command that matplotlib does not know
        return _part("unreadable", simple)
    high = float(re.findall(rb'height="([\d.]+)pt"', picture.getvalue())[0])
    style = f"height: {high / POINTS:.2f}em"
    style += f"; vertical-align: {-depth / POINTS:.2f}em" if inline else ""
    data = base64.b64encode(picture.getvalue()).decode()
    return _part("formula", "formula inline" if inline else "formula", style, simple, data)
