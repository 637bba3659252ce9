"""What a cue points at must be there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from presenter import fallbacks, pointing
from presenter.cues import Cue
from workshop import gallery
from workshop.notebooks import Cell, Notebook

ROW = "<tr><th>name</th><td>1</td><td>2</td></tr>"
TABLE = f"<table><tbody>{ROW}{ROW}</tbody></table>"


@pytest.fixture(autouse=True)
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the only fallback have two rows, of three pictures and of two."""
    info = PngInfo()
    panels = [(left, top, 10, 10, "") for left, top in ((0, 0), (20, 0), (40, 0), (0, 20), (20, 20))]
    info.add_itxt(fallbacks.PANELS, json.dumps(panels))
    Image.new("RGB", (60, 40)).save(tmp_path / "six.png", pnginfo=info)
    monkeypatch.setattr(gallery, "FALLBACK", tmp_path)


def find(
    note: str, *, label: str = "Point at", source: str = "share = 1", html: str = "", fallback: str = "six"
) -> list[str]:
    outputs = ({"data": {"text/html": html, "text/plain": "2\nKept in  memory"}},) if html else ()
    book = Notebook(
        "01_one",
        Path("01_one.ipynb"),
        (4, 5),
        (Cell("one", "code", source, outputs=outputs), Cell("two", "code", "")),
    )
    cue = Cue("01_one", ("one",), "A title", 1, 1, 1, "must", "run", fallback, notes={label: note})
    return [what for what, _ in pointing.find_faults(cue, book)]


@pytest.mark.parametrize(
    "note",
    [
        "The column *share*, then `two` and `six`.",
        "The word after *kept in\nmemory*.",
        "*Not ready* lists what to do.",  # workshop prints it
        "**Not** a name.",
    ],
)
def test_name_that_is_there_is_no_fault(note: str) -> None:
    assert find(note, html="<p>") == []


@pytest.mark.parametrize("name", ["`tow`", "*shard of the work*"])
def test_name_that_nothing_prints_is_a_fault(name: str) -> None:
    (fault,) = find(f"Look at {name}.")
    assert name[1:-1] in fault and "is pointed at" in fault


@pytest.mark.parametrize(
    ("note", "words"),
    [
        ("Then the third row.", "third row"),
        ("Then the third\nrow.", "third row"),
        ("Five\ncolumns.", "Five columns"),
        ("Go from right\nto left.", "right to left"),
        ("The fourth column.", "fourth column"),
        ("Fourth from the left is ours.", "Fourth from the left"),
        ("Three rows: first the latents.", "Three rows"),
        ("Five columns.", "Five columns"),
        ("Go from right to left.", "right to left"),
        ("Cover the right half.", "right half"),
    ],
)
@pytest.mark.parametrize("label", pointing.SHOWN)
def test_row_or_column_that_the_figure_does_not_have_is_a_fault(label: str, note: str, words: str) -> None:
    (fault,) = find(note, label=label)
    assert fault == f"{label} speaks of {words!r}, and the figure has 2 rows of 3"


@pytest.mark.parametrize(
    "note",
    [
        "The second row, third from the left.",
        "The lower row, from left to right.",
        "Two rows of three columns.",
        "One row of the table.",
    ],
)
def test_row_or_column_that_the_figure_has_is_no_fault(note: str) -> None:
    assert find(note) == []


def test_stored_table_is_measured_and_one_that_nobody_stored_is_not_judged() -> None:
    assert find("The second row.", html=TABLE, fallback="") == []
    (fault,) = find("The third row.", html=TABLE, fallback="")
    assert "2 rows of 2" in fault
    assert find("The third row.", source="pandas.DataFrame(rows)") == []
