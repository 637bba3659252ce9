"""The glossary: every word that a notebook sets in bold where it explains it, on one page.

    python -m workshop.glossary    # writes notebooks/GLOSSARY.md anew; ./scripts/fix does it, too

A definition is a sentence of a Markdown cell with a term in **bold**: up to three words without an article. A
row of a table that begins with one is a definition as well: its second cell explains the first.
Titles, exercises and solutions define nothing, and a bold word with a colon, as **Predict:**, is a label.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from workshop import files, notebooks, verbs

PAGE = notebooks.FOLDER / "GLOSSARY.md"
LABELS = {"predict", "verify", "generate", "train", "one", "left and right"}  # bold, and no terms
BOLD = re.compile(r"\*\*([^*]+)\*\*")
TERM = re.compile(r"(?!(?:The|An?|Two|One) )[^\W\d][\w-]*(?: [\w-]+){0,2}")
END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9*`\[(])|(?<=[.!?])\n")  # of a sentence
ITEM = re.compile(r"\n\s*(?:- |\d+\. |\n|(?=\|))")  # what begins a paragraph, an item or a row
ROW = re.compile(r"\|\s*\*\*([^*|]+)\*\*\s*\|\s*([^|]+?)\s*\|.*")
HEAD = """# Glossary

The words that the notebooks explain, each in the sentence that explains it. Made from the notebooks by
`./scripts/fix`; change it there.
"""


@dataclass(frozen=True)
class Definition:
    """A term, the sentence that explains it, and the notebook in which the sentence stands."""

    term: str
    sentence: str
    notebook: str


def find(books: Sequence[notebooks.Notebook]) -> list[Definition]:
    """Find the definitions of notebooks, in order of their terms; of several for one term the first."""
    found: dict[str, Definition] = {}
    for book in books:
        for cell in book.cells[1:]:
            if cell.kind == "markdown" and not cell.source.startswith(("### Exercise", "<details>")):
                for one in _read(cell.source, book.name):
                    found.setdefault(one.term.casefold(), one)
    return [found[term] for term in sorted(found)]


def write(definitions: Sequence[Definition]) -> str:
    """Write the page."""
    lines = [
        f"- **{one.term}** ([{one.notebook[:2]}]({one.notebook}.ipynb)): {one.sentence}"
        for one in definitions
    ]
    return "\n".join([HEAD, *lines]) + "\n"


def _read(source: str, notebook: str) -> Iterator[Definition]:
    """Yield the definitions of a cell."""
    for paragraph in ITEM.split("\n" + source):
        if paragraph.startswith("|"):
            if row := ROW.fullmatch(paragraph):
                yield Definition(row[1], f"{row[1]}: {row[2]}.", notebook)
            continue
        for sentence in END.split(paragraph):
            plain = _finish(BOLD.sub(r"\1", " ".join(sentence.split())).removeprefix("- "))
            for match in BOLD.finditer(sentence):
                term, after = match[1], sentence[match.end() :]
                if TERM.fullmatch(term) and term.casefold() not in LABELS and not after.startswith(":"):
                    yield Definition(term, plain, notebook)


def _finish(sentence: str) -> str:
    """End a sentence that led to a formula with a full stop, and drop a bracket that lacks its other half.

    >>> _finish("(1 GB is 10⁹ bytes."), _finish("The loss is one number:")
    ('1 GB is 10⁹ bytes.', 'The loss is one number.')
    """
    if sentence.count("(") != sentence.count(")"):
        sentence = sentence.removeprefix("(").removesuffix(")")
    return f"{sentence[:-1]}." if sentence.endswith(":") else sentence


def main(page: Path = PAGE) -> int:
    """Write the page from the notebooks as they are, and print where it is."""
    with files.replacing(page) as file:
        file.write(write(find(notebooks.read_all())).encode())
    print(f"Wrote {files.shorten(page)}.")
    return 0


if __name__ == "__main__":
    verbs.write_utf8()
    sys.exit(main())
