"""The names that cells take from cells above, read from their code."""

from __future__ import annotations

from pathlib import Path

import pytest

from presenter import code
from workshop import notebooks


@pytest.mark.parametrize(
    ("source", "used", "defined"),
    [
        ("a = b", "b", "a"),
        ("a = a + 1", "a", "a"),
        ("a += 1", "a", "a"),
        ("a = 1\nb = a", "", "a b"),
        ("a: int = b", "b int", "a"),
        ("a: int", "int", ""),
        ("a.b = c\na[d] = e", "a c d e", ""),
        ("a.load(b)", "a b", ""),
        ("(a, *b), c = d", "d", "a b c"),
        ("if (a := b): c = a", "b", "a c"),
        ("import a.b, c as d\nfrom e import f as g", "", "a d g"),
        ("for a in b:\n    c = a", "b", "a c"),
        ("with a(b) as c:\n    d = c", "a b", "c d"),
        ("try:\n    a\nexcept b as c:\n    d = c", "a b", "c d"),
        ("a = [b for b in c if d]", "c d", "a"),
        ("a = {b: e for b, e in c for f in b}", "c", "a"),
        ("a = lambda b, c=d: b + c + e", "d e", "a"),
        ("class A(B):\n    c = d\n    e = c", "B d", "A"),
        ("print(f'{a} {b!r:{c}}')", "a b c print", ""),
        ("del a", "a", ""),
        ("match a:\n    case [b, *c]: d = b\n    case {'x': e} as f: pass", "a", "b c d e f"),
        ("%matplotlib inline\n!ls\na = b", "b", "a"),
    ],
)
def test_names_that_code_takes_and_binds_are_read(source: str, used: str, defined: str) -> None:
    found = code.read_names(source)
    assert (" ".join(sorted(found.used)), " ".join(sorted(found.defined))) == (used, defined)


@pytest.mark.parametrize(
    ("source", "used", "later"),
    [
        ("def f(a, *b, c=d, **e) -> g:\n    h = a\n    return h + i", "d g", "i"),
        ("@a\ndef f(b: c): return [b for b in d]", "a c", "d"),
        ("async def f():\n    def g(): return a\n    return g", "", "a"),
        ("class A:\n    def f(self): return self.x + a", "", "a"),
    ],
)
def test_names_in_a_functions_body_are_taken_when_it_is_called(source: str, used: str, later: str) -> None:
    found = code.read_names(source)
    assert (" ".join(sorted(found.used)), " ".join(sorted(found.later))) == (used, later)


def test_every_code_cell_of_the_notebooks_can_be_read(repo: Path) -> None:
    read = {
        one.name: code.find_providers([code.read_names(cell.source) for cell in one.code])
        for one in notebooks.read_all()
    }
    assert read and all(read.values())
