"""Who imports whom in this repository, read from the code without running it, and the walls that must hold.

An import counts wherever it stands, in a function, too, but not below `if TYPE_CHECKING:`. Each wall is a
function that lists what breaks it, as "workshop/loading.py:12 imports workshop.pocket.world".
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from workshop import notebooks

FOLDERS = ("workshop", "presenter", "tests/support")
OURS = ("workshop", "presenter", "tests")
GROUND_FLOOR = {"workshop.verbs", "workshop.files", "workshop.units"}
POCKET, WORLD, TRAINING = "workshop.pocket", "workshop.pocket.world", "workshop.pocket.training"
DOORS = ("workshop.profiles", "workshop.looking", "workshop.labs")
BELOW_THE_WORLD = {"workshop.prompts", "workshop.files", "workshop.units"}
CONSOLE = "presenter.console"
KERNEL_HOOK = {"presenter.hook", "presenter.startup"}
MAGIC = re.compile(r"^\s*[%!].*$", re.MULTILINE)


@dataclass(frozen=True)
class Import:
    """A file imports a module."""

    file: str  # from the repository, as workshop/loading.py
    line: int  # in the file; in a notebook the line of the cell
    importer: str  # as workshop.loading; of a notebook its file
    module: str  # as workshop.pocket.world, or torch

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def read_imports(root: Path) -> list[Import]:
    """Read every import of our own code and of the notebooks in a repository."""
    paths = [path for folder in FOLDERS for path in sorted((root / folder).rglob("*.py"))]
    modules = {_module_name(path, root) for path in paths}
    found: list[Import] = []
    for path in paths:
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        found += _imports(tree, path.relative_to(root).as_posix(), _module_name(path, root), modules)
    for path in sorted((root / "notebooks").rglob("*.ipynb")):
        name = path.relative_to(root).as_posix()
        for cell in notebooks.read(path).code:
            found += _imports(ast.parse(MAGIC.sub("", cell.source)), name, name, modules)
    return found


def _module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(tree: ast.Module, file: str, importer: str, modules: set[str]) -> Iterator[Import]:
    package = importer if file.endswith("/__init__.py") else importer.rpartition(".")[0]
    for node in _run(tree):
        for name in dict.fromkeys(_names(node, package, modules)):
            yield Import(file, node.lineno, importer, name)


def _run(tree: ast.AST) -> Iterator[ast.stmt | ast.expr]:
    """Walk through all that may run, and so not below `if TYPE_CHECKING:`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.stmt | ast.expr):
            yield node
        if isinstance(node, ast.If) and ast.unparse(node.test).split(".")[-1] == "TYPE_CHECKING":
            yield from _run(ast.Module(node.orelse, []))
        else:
            yield from _run(node)


def _names(node: ast.stmt | ast.expr, package: str, modules: set[str]) -> list[str]:
    """Name the modules that a statement or a call imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        parts = package.split(".")
        above = parts[: len(parts) + 1 - node.level] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        return [_imported(base, alias.name, modules) for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
        return [str(word.value) for word in node.args[:1] if isinstance(word, ast.Constant)]
    return []


def _imported(base: str, name: str, modules: set[str]) -> str:
    """Return what `from base import name` reaches: base.name if that is a module or a folder of ours."""
    inside = f"{base}.{name}"
    return inside if any(_within(module, inside) for module in modules) else base


def _within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


# The walls


def find_other_doors(imports: Iterable[Import]) -> list[str]:
    """List what in `workshop` imports the pocket, beside the pocket itself and its three doors."""
    return [
        str(one)
        for one in imports
        if _within(one.module, POCKET)
        and _within(one.importer, "workshop")
        and not _within(one.importer, POCKET, *DOORS)
    ]


def find_climbs_of_the_world(imports: Iterable[Import]) -> list[str]:
    """List what the pocket's world imports of ours, beside itself and the three modules below it."""
    return [
        str(one)
        for one in imports
        if _within(one.importer, WORLD)
        and _within(one.module, *OURS)
        and not _within(one.module, WORLD)
        and one.module not in BELOW_THE_WORLD
    ]


def find_users_of_the_presenter(imports: Iterable[Import]) -> list[str]:
    """List what imports the presenter from outside; its tests may."""
    return [
        str(one)
        for one in imports
        if _within(one.module, "presenter") and not _within(one.importer, "presenter", "tests")
    ]


def find_users_of_the_console(imports: Iterable[Import]) -> list[str]:
    """List what imports the console from outside; its tests may."""
    return [
        str(one)
        for one in imports
        if _within(one.module, CONSOLE) and not _within(one.importer, CONSOLE, "tests")
    ]


def find_packages_in_the_hook(imports: Iterable[Import]) -> list[str]:
    """List what the kernel hook imports that is not of the standard library."""
    return [
        str(one)
        for one in imports
        if one.importer in KERNEL_HOOK and one.module.partition(".")[0] not in sys.stdlib_module_names
    ]


def find_trainers_in_notebooks(imports: Iterable[Import]) -> list[str]:
    """List the notebooks' imports of the code that trains the pocket model."""
    return [str(one) for one in imports if one.file.endswith(".ipynb") and _within(one.module, TRAINING)]


def find_climbs_of_the_ground_floor(imports: Iterable[Import]) -> list[str]:
    """List what the ground floor imports of ours, beside itself."""
    return [
        str(one)
        for one in imports
        if one.importer in GROUND_FLOOR and _within(one.module, *OURS) and one.module not in GROUND_FLOOR
    ]


def find_circles(imports: Iterable[Import]) -> list[str]:
    """List the groups of files that import each other, directly or by way of others, as "a ↔ b ↔ c"."""
    graph: dict[str, set[str]] = {}
    for one in imports:
        if _within(one.importer, *OURS) and _within(one.module, *OURS):
            graph.setdefault(one.importer, set()).add(one.module)
    reached = {module: _reach(module, graph) for module in graph}
    groups = {
        tuple(sorted(other for other in there if module in reached.get(other, set())))
        for module, there in reached.items()
        if module in there
    }
    return [" ↔ ".join(group) for group in sorted(groups)]


def _reach(module: str, graph: dict[str, set[str]]) -> set[str]:
    todo, found = [*graph.get(module, set())], set[str]()
    while todo:
        here = todo.pop()
        if here not in found:
            found.add(here)
            todo += graph.get(here, set())
    return found
