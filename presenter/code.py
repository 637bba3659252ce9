"""Which cells a cell needs: the names that its code takes from cells above. The code is read and never run.

Only names are followed. A call that changes an object (`pipe.load_lora(…)`) and an assignment to an attribute
(`pipe.dit = …`) need the object and define nothing: where a lesson depends on such a state, the cue says
`if cut: run`. A name that is bound in a branch or a loop counts as bound.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

MAGIC = re.compile(r"^\s*[%!].*$", re.MULTILINE)


@dataclass(frozen=True)
class Names:
    """The names in a cell's code."""

    defined: frozenset[str]  # that it binds
    used: frozenset[str]  # that it takes from above when it runs
    later: frozenset[str]  # that its functions take when they are called


def read_names(source: str) -> Names:
    """Read the names of a cell's code.

    >>> found = read_names("total = sum(side**2 for side in sides)\\ndef show(): print(total, unit)")
    >>> sorted(found.defined), sorted(found.used - {"sum"}), sorted(found.later - {"print"})
    (['show', 'total'], ['sides'], ['total', 'unit'])

    Raises SyntaxError if it is not Python; lines that begin with % or ! are left out.
    """
    reader = _Reader()
    reader.visit(ast.parse(MAGIC.sub("", source)))
    return Names(frozenset(reader.defined), frozenset(reader.used), frozenset(reader.later))


def find_providers(cells: Sequence[Names]) -> list[set[int]]:
    """Find for each cell the positions of the cells above it that last bound what it and its functions use.

    >>> code = ["a = 1", "def f(): return a", "a = 2", "f()"]
    >>> find_providers([read_names(source) for source in code])
    [set(), {0}, set(), {1, 2}]
    """
    return [set(_providers(cells, place)) for place in range(len(cells))]


def find_needed(provided: Sequence[set[int]], kept: Iterable[int]) -> set[int]:
    """Find the cells, by position, that must run so that the kept ones, among them, find all names.

    provided: as from `find_providers`

    >>> sorted(find_needed([set(), {0}, set(), {1}], [3]))
    [0, 1, 3]
    """
    todo: list[int] = list(kept)
    found: set[int] = set()
    while todo:
        place = todo.pop()
        if place not in found:
            found.add(place)
            todo += provided[place]
    return found


def _providers(cells: Sequence[Names], place: int) -> Iterator[int]:
    own = cells[place]
    todo: set[str] = set(own.used | (own.later - own.defined))
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        seen.add(name)
        above = next((one for one in range(place - 1, -1, -1) if name in cells[one].defined), None)
        if above is not None:  # a name that no cell binds is Python's own
            yield above
            todo |= cells[above].later - seen  # a function looks its names up when it is called


class _Reader(ast.NodeVisitor):
    """Goes through code in the order in which it runs. Each inner scope is read by a reader of its own."""

    def __init__(self) -> None:
        self.defined: set[str] = set()
        self.used: set[str] = set()
        self.later: set[str] = set()

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self.defined.add(node.id)
        elif node.id not in self.defined:
            self.used.add(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._visit(node.value, *node.targets)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._visit(node.annotation, node.value, node.target if node.value else None)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.visit_Name(ast.Name(node.target.id, ast.Load()))
        self._visit(node.value, node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self._visit(node.value, node.target)

    def visit_For(self, node: ast.For) -> None:
        self._visit(node.iter, node.target, *node.body, *node.orelse)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        self.defined |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}

    visit_ImportFrom = visit_Import

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self._visit(node.type)
        self.defined |= {node.name} if node.name else set()
        self._visit(*node.body)

    def visit_MatchAs(self, node: ast.MatchAs | ast.MatchStar) -> None:
        self.generic_visit(node)
        self.defined |= {node.name} if node.name else set()

    visit_MatchStar = visit_MatchAs

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._visit(*node.decorator_list, *_arguments_now(node.args), node.returns)
        self.later |= self._inner(_arguments(node.args), *node.body)
        self.defined.add(node.name)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._visit(*_arguments_now(node.args))
        self._use(self._inner(_arguments(node.args), node.body))  # mostly called where it is written

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit(*node.decorator_list, *node.bases, *node.keywords)
        body = _Reader()
        body._visit(*node.body)
        self._use(body.used)
        self.later |= body.later
        self.defined.add(node.name)

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        inner = _Reader()
        for part in node.generators:
            inner._visit(part.iter, part.target, *part.ifs)
        inner._visit(*([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]))
        self._use(inner.used)

    visit_SetComp = visit_GeneratorExp = visit_DictComp = visit_ListComp

    def _visit(self, *nodes: ast.AST | None) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    def _use(self, used: set[str]) -> None:
        self.used |= used - self.defined

    def _inner(self, arguments: set[str], *body: ast.AST) -> set[str]:
        """Return the names that a function's body takes from outside: those that it binds are its own."""
        inner = _Reader()
        inner._visit(*body)
        return (inner.used | inner.later) - inner.defined - arguments


def _arguments(given: ast.arguments) -> set[str]:
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return {one.arg for one in every if one is not None}


def _arguments_now(given: ast.arguments) -> list[ast.AST | None]:
    """List the expressions that run when a function is defined: its defaults and its annotations."""
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return [*given.defaults, *given.kw_defaults, *(one.annotation for one in every if one is not None)]
