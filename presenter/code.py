"""Which cells a cell needs: the names that its code takes from cells above, read and never run.

Only names are followed. A call that changes an object (`pipe.load_lora(…)`) and an assignment to an attribute
(`pipe.dit = …`) need the object and define nothing: where a lesson hangs on such a state, its cue says
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
    """What a cell's code binds, what it takes from above at once, and what its functions take when called."""

    defined: frozenset[str]
    used: frozenset[str]
    later: frozenset[str]


def names(source: str) -> Names:
    """Read the names of a cell's code.

    >>> found = names("total = sum(side**2 for side in sides)\\ndef show(): print(total, unit)")
    >>> sorted(found.defined), sorted(found.used - {"sum"}), sorted(found.later - {"print"})
    (['show', 'total'], ['sides'], ['total', 'unit'])

    Raises SyntaxError if it is not Python, but for lines that begin with % or !
    """
    reader = _Reader()
    reader.visit(ast.parse(MAGIC.sub("", source)))
    return Names(frozenset(reader.defined), frozenset(reader.used), frozenset(reader.later))


def providers(cells: Sequence[Names]) -> list[set[int]]:
    """Say for each cell, by position, which cells above it last bound what it and its functions use.

    >>> providers([names("a = 1"), names("def f(): return a"), names("a = 2"), names("f()")])
    [set(), {0}, set(), {1, 2}]
    """
    return [set(_providers(cells, place)) for place in range(len(cells))]


def needed(provided: Sequence[set[int]], kept: Iterable[int]) -> set[int]:
    """Say which cells must run so that the kept ones find every name; they are among them.

    provided: as `providers` gives it

    >>> sorted(needed([set(), {0}, set(), {1}], [3]))
    [0, 1, 3]
    """
    todo, found = list(kept), set()
    while todo:
        place = todo.pop()
        if place not in found:
            found.add(place)
            todo += provided[place]
    return found


def _providers(cells: Sequence[Names], place: int) -> Iterator[int]:
    own = cells[place]
    todo, seen = set(own.used | (own.later - own.defined)), set()
    while todo:
        name = todo.pop()
        seen.add(name)
        above = next((one for one in range(place - 1, -1, -1) if name in cells[one].defined), None)
        if above is not None:  # else it is Python's own
            yield above
            todo |= cells[above].later - seen  # a function looks its names up when it is called


class _Reader(ast.NodeVisitor):
    """Goes through code in the order in which it runs; a scope of its own gets a reader of its own."""

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
        """Read a function's body: what it takes from outside. A name it binds anywhere is its own."""
        inner = _Reader()
        inner._visit(*body)
        return (inner.used | inner.later) - inner.defined - arguments


def _arguments(given: ast.arguments) -> set[str]:
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return {one.arg for one in every if one is not None}


def _arguments_now(given: ast.arguments) -> list[ast.AST | None]:
    """List what runs when a function is defined: its defaults and its annotations."""
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return [*given.defaults, *given.kw_defaults, *(one.annotation for one in every if one is not None)]
