"""A notebook with what students must not get, and its cue sheet, to hand out."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from presenter.material import Material
from presenter.runtimes import Runtime
from tests.support.cue_sheets import cue, write_sheet
from tests.support.notebooks import PARAMETERS

REMOTE = re.compile(r"""(src|href)=["']?(https?:)?//|@import|url\(["']?http|<link|import\(""")
BODY = """**Say.** Words <script>alert(1)</script> and {fact:dit.blocks} blocks, in {runtime:draw}.

### Beginner

- A knob.

### Intermediate

- A matrix, see [below](#cell:solve).

### Advanced

- A spectrum.

### Ask

- How many? — Two.
"""
LESSON = "# 01 · A lesson\n\nWhat one learns."
SOLUTION = "<details><summary>Solution</summary>\n\nThe answer is forty-two.\n\n</details>"
MEASURED = {"01_lesson": {"draw": Runtime(4.0, None, 1)}}

Raw = dict[str, Any]


def make_notebook() -> Raw:
    """Make a notebook with what students must not get, and with what they need."""
    cells: list[tuple[str, str, str, Raw]] = [
        ("markdown", "title", LESSON, {}),
        ("code", "settings", PARAMETERS[0], {"tags": ["nbval-skip", *PARAMETERS[1]]}),
        ("markdown", "question", "## Draw\n\n$$x_\\sigma = \\sigma\\,\\mathrm{noise}$$", {}),
        (
            "code",
            "draw",
            "print('<b>drawn</b>')",
            {"tags": ["nbval-check-output"], "presenter": {"minutes": 3}},
        ),
        ("markdown", "task", "### Exercise\n\nSolve it.", {"slideshow": {"slide_type": "skip"}}),
        ("code", "solve", "check('it', None)", {}),
        ("markdown", "solution", SOLUTION, {}),
        ("markdown", "end", f"## The end\n\nThat was it.\n\n{SOLUTION}\n", {}),
    ]
    made = [make_cell(*one) for one in cells]
    made[3]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "expected: forty-two"}]
    kernel = {"name": "python3", "display_name": "Python 3"}
    metadata = {"kernelspec": kernel, "talk": 1}
    return {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def make_cell(kind: str, name: str, source: str, metadata: Raw) -> Raw:
    """Make a cell as in a notebook's file."""
    cell = {"cell_type": kind, "id": name, "metadata": metadata, "source": source.splitlines(keepends=True)}
    return cell if kind == "markdown" else cell | {"outputs": [], "execution_count": 7}


def make_material(folder: Path) -> Material:
    """Write the notebook and its cue sheet into a folder, and read them."""
    (folder / "notebooks").mkdir()
    (folder / "notebooks" / "01_lesson.ipynb").write_text(json.dumps(make_notebook()), encoding="utf-8")
    sections = ["## Before you start\n\n- [ ] Water", "## Closing\n\nThank you."]
    cues = [
        cue("settings", title="Set up", body=BODY, priority="should", if_cut="run"),
        cue("draw", title="Draw it", minutes=3, fallback="`image_face`", body=BODY),
        cue("solve", title="At home", minutes=0, least=0, priority="nice", body=BODY),
        cue("end", title="Take home", if_cut="skip", body=BODY),
    ]
    write_sheet(folder / "cues" / "01_lesson.md", sections[0], *cues, sections[1])
    found = Material.read(folder / "cues", folder / "notebooks")
    return replace(found, runtimes=MEASURED, label="pocket model")
