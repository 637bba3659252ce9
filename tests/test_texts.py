"""Texts, in notebooks and cue sheets, are set alike: “words” in prose, "words" in code."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from workshop import notebooks
from workshop.files import REPO

# What is set as code, as a formula or as a tag keeps its straight marks.
SET_APART = re.compile(r"^```.*?^```|`[^`\n]*`|\$\$.*?\$\$|<[^>\n]*>", re.DOTALL | re.MULTILINE)


def find_texts() -> Iterator[tuple[str, str]]:
    """Yield each cue sheet and each cell of text, with its name."""
    for path in sorted((REPO / "presenter" / "cues").glob("*.md")):
        yield path.name, path.read_text(encoding="utf-8")
    for path in [*notebooks.find(), *notebooks.find(notebooks.LABS)]:
        for cell in notebooks.read(path).cells:
            if cell.kind == "markdown":
                yield f"{path.stem} {cell.id}", cell.source


def find_odd_marks(text: str) -> list[str]:
    """List the places at which a text is quoted in another way than the house does."""
    prose = SET_APART.sub("", text)
    odd = [prose[max(0, mark.start() - 20) : mark.end() + 20] for mark in re.finditer('["„«»‘’‚]', prose)]
    for paragraph in prose.split("\n\n"):
        if not re.fullmatch("[^“”]*(“[^“”]*”[^“”]*)*", paragraph):
            odd.append(paragraph)
    return odd


@pytest.mark.parametrize(("name", "text"), [pytest.param(*one, id=one[0]) for one in find_texts()])
def test_quotation_marks_are_alike_in_all_texts(name: str, text: str) -> None:
    assert find_odd_marks(text) == [], f'in {name} write “…”, in code "…", and \' in words'


@pytest.mark.parametrize("text", ['say "so"', "say “so", "say ”so“", "it’s so", "say «so»"])
def test_another_way_to_quote_would_be_found(text: str) -> None:
    assert find_odd_marks(f"{text} here")
    assert not find_odd_marks(f"`{text}` here, the model's “word”, and ```\n")
