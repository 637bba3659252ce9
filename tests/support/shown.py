"""Which code cells show DiffSynth or torch, the code that the notebooks teach.

The rule, held by the syntax tree: a cell shows it if it

1. imports torch, diffsynth or diffusers, or names something that an earlier cell imported from them;
2. calls a pipeline or reads an attribute of one: `pipe(…)`, `pipe.scheduler`, `edit_pipe.dit`;
3. multiplies matrices: `b @ a`.

Handing a pipeline to a helper, as `drawing.draw(pipe, …)`, does not count.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

TAUGHT = {"torch", "diffsynth", "diffusers"}
PIPELINE = re.compile(r"pipe|pipe_\w+|\w+_pipe")


def find_shown(sources: Sequence[str]) -> list[bool]:
    """Return for each code cell, in order, whether it shows DiffSynth or torch."""
    known: set[str] = set()
    found = []
    for source in sources:
        tree = ast.parse(source)
        imported = set(_read_imports(tree))
        known |= imported
        found.append(bool(imported) or any(_shows(node, known) for node in ast.walk(tree)))
    return found


def _read_imports(tree: ast.AST) -> Iterator[str]:
    """Yield the names that a cell imports from a library that is taught."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in TAUGHT:
                    yield alias.asname or alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in TAUGHT:
            yield from (alias.asname or alias.name for alias in node.names)


def _shows(node: ast.AST, known: set[str]) -> bool:
    if isinstance(node, ast.Name):
        return node.id in known
    if isinstance(node, ast.Call | ast.Attribute):
        root = node.func if isinstance(node, ast.Call) else node.value
        return isinstance(root, ast.Name) and bool(PIPELINE.fullmatch(root.id))
    return isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.MatMult)
