"""What a lab's cells define, without running what they print and draw."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workshop import notebooks


def define(path: Path, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Run a lab's imports, functions and classes, in order, and return its names.

    given: names that defaults of functions ask for
    """
    names: dict[str, Any] = {"__name__": path.stem, **(given or {})}
    for cell in notebooks.read(path).code:
        kept: list[ast.stmt] = [
            node
            for node in ast.parse(cell.source).body
            if isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)
        ]
        exec(compile(ast.Module(kept, []), f"{path.stem}:{cell.id}", "exec"), names)
    return names


def run(path: Path, *cells: str, given: dict[str, Any]) -> dict[str, Any]:
    """Run some of a lab's cells, whole and in this order, and return all names.

    given: names that earlier cells would have made
    """
    names, sources = {"__name__": path.stem, **given}, notebooks.read(path).code
    for wanted in cells:
        cell = next(cell for cell in sources if cell.id == wanted)
        exec(compile(cell.source, f"{path.stem}:{cell.id}", "exec"), names)
    return names
