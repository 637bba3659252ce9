"""Small notebooks to run, check and present."""

from __future__ import annotations

import json
from pathlib import Path

PARAMETERS = ('profile = "auto"', ["parameters"])


def write(path: Path, *cells: str | tuple[str, list[str]]) -> Path:
    """Write a notebook: a text that begins with # is Markdown, any other is code.

    A pair is a cell's text and its tags.
    """
    written: list[dict[str, object]] = []
    for number, cell in enumerate(cells):
        source, tags = cell if isinstance(cell, tuple) else (cell, [])
        kind = "markdown" if source.startswith("#") else "code"
        base: dict[str, object] = {"cell_type": kind, "id": f"cell-{number}", "source": source}
        base["metadata"] = {"tags": tags}
        written.append(base if kind == "markdown" else base | {"execution_count": None, "outputs": []})
    path.parent.mkdir(parents=True, exist_ok=True)
    notebook = {"cells": written, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path
