"""A lesson of two small notebooks with their cue sheets, to present, follow and report on."""

from __future__ import annotations

import json
from pathlib import Path

CUE = """## `{cells}` · {title}

| minutes | least | priority | if cut | fallback |
|---|---|---|---|---|
| {minutes} | {least} | {priority} | {if_cut} | {fallback} |

**Say.** Words about *{title}* <b>plain</b>.

**While it runs.** Tell a story.

**If it fails.** Say what it would have shown, `{title}`.

### Beginner
- An easy point.

### Intermediate
- A point with a fact: {{fact:dit.blocks}} blocks.

### Advanced
- A point with a [link](#cell:{first}).

### Ask
- How many? — Three.

"""
GO_ON = "go-on"  # a file beside the notebooks; until it is there, the cell `slow` runs
SLOW = f"import os, time\nwhile not os.path.exists({GO_ON!r}): time.sleep(0.05)"
OPENING = "## Before you start\n\n- [ ] Water\n\n## Opening\n\nHello.\n\n"
CLOSING = "## Closing\n\nThank you.\n"


def cue(cells: str, title: str, *, minutes: float = 2, priority: str = "must", **more: str) -> str:
    """Write a cue of a sheet; `cells` are ids with backticks and commas between them."""
    least = minutes / 2
    values = {"if_cut": "skip", "fallback": "–"} | more
    first = cells.partition("`")[0]
    return CUE.format(
        cells=cells, title=title, minutes=minutes, least=least, priority=priority, first=first, **values
    )


def write_lesson(folder: Path, *, scale: float = 1.0) -> tuple[Path, Path]:
    """Write two sheets and their notebooks; `scale` makes the minutes of the talk shorter or longer."""
    sheets, books = folder / "cues", folder / "notebooks"
    sheets.mkdir()
    books.mkdir()
    first = "# 01 · First\n\nA lesson.\n\n" + OPENING
    first += cue("hello", "Hello", minutes=2 * scale, fallback="`dog`")
    first += cue("slow`, `names", "Slow", minutes=3 * scale)
    first += cue("breaks", "It breaks", minutes=3 * scale, fallback="`dog`")
    first += cue("extra", "Extra", minutes=4 * scale, priority="nice")
    (sheets / "01_first.md").write_text(first, encoding="utf-8")
    second = "# 02 · Second\n\nMore.\n\n"
    second += cue("base", "Base", minutes=2 * scale, priority="should", if_cut="run")
    second += cue("last", "Last", minutes=4 * scale) + CLOSING
    (sheets / "02_second.md").write_text(second, encoding="utf-8")
    write_book(
        books / "01_first.ipynb",
        hello="print('hello')",
        slow=SLOW,
        names="name = '<img src=x onerror=alert(1)>'",
        breaks="1 / 0",
        extra="print('extra')",
    )
    write_book(books / "02_second.ipynb", base="base = 1", last="print(base)")
    return sheets, books


def write_book(path: Path, **sources: str) -> None:
    """Write a notebook of code cells, given as ids and sources."""
    cells: list[dict[str, object]] = [
        {
            "cell_type": "code",
            "id": name,
            "metadata": {},
            "source": source,
            "execution_count": None,
            "outputs": [],
        }
        for name, source in sources.items()
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    book = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(book), encoding="utf-8")
