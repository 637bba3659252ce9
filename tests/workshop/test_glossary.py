"""The glossary holds what the notebooks explain in bold, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from workshop import glossary, notebooks


@pytest.fixture
def terms(tmp_path: Path, write_notebook: Callable[..., Path]) -> Callable[..., dict[str, str]]:
    """Give a function that returns term and sentence of a notebook with these cells."""

    def find(*cells: str) -> dict[str, str]:
        book = notebooks.read(write_notebook(tmp_path / "02_book.ipynb", "# Title\n\nA **title**.", *cells))
        return {one.term: one.sentence for one in glossary.find([book])}

    return find


def test_a_definition_is_the_sentence_around_the_bold_term(terms: Callable[..., dict[str, str]]) -> None:
    found = terms(
        "# Why?\n\nFirst this. The **VAE** turns\nlatents into pixels. Then that.\n\n- **Noise** is noise."
    )
    assert found == {"VAE": "The VAE turns latents into pixels.", "Noise": "Noise is noise."}


def test_a_row_of_a_table_defines_its_first_cell(terms: Callable[..., dict[str, str]]) -> None:
    table = "| name | what you see |\n|---|---|\n| **Collapse** | one picture | fewer steps |\n| x | **y** |"
    assert terms(f"# Why?\n\nFour ways:\n\n{table}") == {"Collapse": "Collapse: one picture."}


@pytest.mark.parametrize(
    "text",
    [
        "**Predict:** what?",
        "**Predict** what?",
        "**Energy.** It costs.",
        "**The reader** reads.",
        "**28.8 B**",
        "**a claim of four words**",
        "**Here**: a list",
    ],
)
def test_labels_and_emphasis_are_no_terms(text: str, terms: Callable[..., dict[str, str]]) -> None:
    assert terms(f"# Why?\n\n{text}") == {}


def test_of_two_definitions_the_first_stays_and_the_page_links_to_it(
    tmp_path: Path, write_notebook: Callable[..., Path]
) -> None:
    paths = [
        write_notebook(tmp_path / f"0{number}_book.ipynb", "# T", f"#\n\nThe **seed** is number {number}.")
        for number in (1, 2)
    ]
    page = glossary.write(glossary.find([notebooks.read(path) for path in paths]))
    assert page.endswith("- **seed** ([01](01_book.ipynb)): The seed is number 1.\n")
    assert "number 2" not in page
