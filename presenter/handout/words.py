"""What the cue sheets say, with facts filled in and Markdown rendered, for the script and the slides."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from presenter import facts, render
from presenter.cues import LABELS, LEVELS, Cue, Section, Sheet
from presenter.material import Material
from workshop import gallery

PRIORITIES = {"must": "must", "should": "should", "nice": "nice to have"}


@dataclass(frozen=True)
class Note:
    """What stands below one of a cue's labels."""

    label: str
    kind: str  # the label as a CSS class
    html: Markup


@dataclass(frozen=True)
class FallbackPicture:
    """A fallback picture that stands inside the page."""

    source: str  # a data URL
    alt: str
    made_by: str
    shape: str  # "tall", "wide" or ""


@dataclass(frozen=True)
class CueWords:
    """Everything that a sheet says at a cue."""

    title: str
    facts: str  # its minutes and what may be done to it
    notes: list[Note]
    points: Mapping[str, list[Markup]]  # by level
    questions: list[tuple[Markup, Markup]]  # each with its answer
    practice: Markup
    picture: FallbackPicture | None


@dataclass(frozen=True)
class SectionWords:
    """A section of a sheet that belongs to no cell."""

    title: str
    html: Markup


class Writer:
    """Fills facts into the words of a sheet and renders them.

    Its methods raise ValueError for a fact that there is not.
    """

    def __init__(self, material: Material, sheet: Sheet) -> None:
        self.material, self.sheet = material, sheet

    def render(self, text: str) -> Markup:
        """Render Markdown."""
        return render.markdown(self._fill(text), sheet=self.sheet.name)

    def render_line(self, text: str) -> Markup:
        """Render Markdown that stands in a list."""
        return render.line(self._fill(text), sheet=self.sheet.name)

    def _fill(self, text: str) -> str:
        return facts.fill(text, notebook=self.sheet.name, label=self.material.label or "unknown")

    def write_cue(self, cue: Cue) -> CueWords:
        """Render everything that the sheet says at a cue."""
        return CueWords(
            cue.title,
            describe_cue(cue),
            [
                Note(label, label.lower().replace(" ", "-"), self.render(cue.notes[label]))
                for label in LABELS
                if label in cue.notes
            ],
            {level: [self.render_line(point) for point in cue.points.get(level, ())] for level in LEVELS},
            [(self.render_line(one.question), self.render_line(one.answer)) for one in cue.questions],
            self.render(cue.practice),
            read_picture(cue),
        )

    def write_section(self, section: Section) -> SectionWords:
        """Render a section."""
        return SectionWords(section.title, self.render(section.text))


def describe_cue(cue: Cue) -> str:
    """Write in one line how long a cue is and what may be done to it."""
    if not cue.takes_time:
        return "for home"
    least = f" (least {cue.least:g})" if cue.least < cue.minutes else ""
    run = " · its cells run even if it is cut" if cue.if_cut == "run" and cue.priority != "must" else ""
    return f"{cue.minutes:g} min{least} · {PRIORITIES[cue.priority]}{run}"


def read_picture(cue: Cue) -> FallbackPicture | None:
    """Read a cue's fallback picture, with what it shows and which model drew it; None if there is none."""
    file = gallery.FALLBACK / f"{cue.fallback}.png"
    if not cue.fallback or not file.is_file():
        return None
    from PIL import Image

    with Image.open(file) as image:
        image.load()
    shape = "tall" if image.height > image.width else "wide" if image.width > 2 * image.height else ""
    return FallbackPicture(
        source=f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}",
        alt=str(image.info.get("alt") or image.info.get("prompt") or cue.title),
        made_by=str(image.info.get("made by", "")),
        shape=shape,
    )
