"""What is handed out: notebooks for students, slides of a rehearsal, pages as PDF; and the command."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import nbformat
import pytest

from presenter import cues
from presenter.handout import export
from presenter.material import Material
from tests.support.handout import make_cell
from tests.support.lesson import write_lesson
from workshop import notebooks
from workshop.runner import run

pytestmark = pytest.mark.usefixtures("measured")


NOTEBOOKS = [*notebooks.select([]), *notebooks.find(notebooks.LABS)]


def test_student_has_the_same_cells_without_solutions_and_without_marks(raw: dict) -> None:
    made = export.strip_notebook(raw)
    assert [cell["id"] for cell in made["cells"]] == [
        "title",
        "settings",
        "question",
        "draw",
        "task",
        "solve",
        "end",
    ]
    assert [cell["metadata"] for cell in made["cells"]] == [{}, {"tags": ["parameters"]}, {}, {}, {}, {}, {}]
    assert "forty-two" not in json.dumps(made)
    assert "".join(made["cells"][-1]["source"]).strip() == "## The end\n\nThat was it."
    assert made["metadata"] == {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    code = [cell for cell in made["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_workshop_notebook_for_students_is_valid_and_keeps_its_code_and_checks(
    path: Path, tmp_path: Path
) -> None:
    before = json.loads(path.read_text(encoding="utf-8"))
    (written,) = export.write_student_notebooks([path], into=tmp_path / "students")
    made = nbformat.read(written, as_version=4)
    nbformat.validate(made)
    run.demand_parameter(written)  # it would run as every notebook runs

    def code(cells: list) -> list[tuple[str, str]]:
        return [(cell["id"], "".join(cell["source"])) for cell in cells if cell["cell_type"] == "code"]

    head = "".join(before["cells"][0]["source"])
    assert (
        re.search(r"^\*\*\d+ minutes · ", head, re.MULTILINE) and made.cells[0].source == head
    )  # for one alone
    assert code(made.cells) == code(before["cells"])
    folded = {cell["id"] for cell in before["cells"] if "<details>" in "".join(cell["source"])}
    assert folded and {cell["id"] for cell in before["cells"]} - {cell.id for cell in made.cells} == folded
    assert "<details>" not in written.read_text(encoding="utf-8")
    assert written.parent == tmp_path / "students" / ("labs" if notebooks.is_lab(path) else "")
    assert (tmp_path / "students/GLOSSARY.md").read_text(encoding="utf-8").startswith("# Glossary")


def test_what_papermill_added_is_not_handed_out(raw: dict) -> None:
    injected = make_cell("code", "injected", "profile = 'pocket'", {"tags": ["injected-parameters"]})
    wrong = make_cell("markdown", "wrong", "An error", {"tags": ["papermill-error-cell-tag"]})
    added = {**raw, "cells": [*raw["cells"], injected, wrong]}
    assert export.strip_notebook(added) == export.strip_notebook(raw)


def test_notebook_that_is_not_valid_is_named(tmp_path: Path, raw: dict) -> None:
    broken = {**raw, "cells": [{**raw["cells"][0], "id": "no id at all"}]}
    path = tmp_path / "01_broken.ipynb"
    path.write_text(json.dumps(broken), encoding="utf-8")
    with pytest.raises(ValueError, match=r"01_broken\.ipynb is no valid notebook .* Open it in JupyterLab"):
        export.write_student_notebooks([path], into=tmp_path / "students")


def test_outputs_of_a_rehearsal_take_the_place_of_the_fallback(
    handout: Material, raw: dict, tmp_path: Path
) -> None:
    cells = [
        {**cell, "metadata": {**cell["metadata"], "papermill": {"duration": 1}}} for cell in raw["cells"]
    ]
    for name, book in {"plain": raw, "ran": {**raw, "cells": cells}}.items():
        (tmp_path / name).mkdir()
        path = tmp_path / name / "01_lesson.ipynb"
        path.write_text(json.dumps(book), encoding="utf-8")
        (written,) = export.write_slides(handout, [path], into=tmp_path / name / "slides")
        page = written.read_text(encoding="utf-8")
        assert ("expected: forty-two" in page, "data:image/png" in page) == (name == "ran", name == "plain")
        assert "The answer is forty-two." not in page


def stand_in(folder: Path, script: str) -> str:
    path = folder / "browser"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_pdf_without_a_browser_says_how_to_print(tmp_path: Path) -> None:
    with pytest.raises(
        export.NoPdf, match=r"No Chromium, Chrome or Edge was found .* Open .*page\.html in a bro"
    ):
        export.print_pdf(tmp_path / "page.html", program=None)


def test_pdf_from_a_browser_that_fails_says_what_it_said(tmp_path: Path) -> None:
    program = stand_in(tmp_path, "echo cannot open display >&2; exit 1")
    with pytest.raises(export.NoPdf, match=r"did not print \(cannot open display\)\. Open "):
        export.print_pdf(tmp_path / "page.html", program=program)


def test_pdf_from_before_does_not_pass_for_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "page.pdf").write_bytes(b"%PDF of yesterday")
    with pytest.raises(export.NoPdf, match="did not print"):
        export.print_pdf(tmp_path / "page.html", program=stand_in(tmp_path, "exit 0"))


def test_folder_without_cue_sheets_is_an_error_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export.main(["--cues", str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    assert f"There is no cue sheet (01_name.md) in {tmp_path}." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_folder_that_cannot_be_written_is_an_error_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheets, books = write_lesson(tmp_path)
    (tmp_path / "taken").write_text("a file")
    where = ["--cues", str(sheets), "--notebooks", str(books), "--output", str(tmp_path / "taken" / "out")]
    assert export.main(where) == 2
    assert re.search(r"presenter export: .*taken is a file. Take another --output", capsys.readouterr().err)


@pytest.mark.slow
@pytest.mark.skipif(export.find_browser() is None, reason="no Chromium here: apt-get install chromium")
def test_pdf_is_printed_by_the_browser_that_is_here(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<h1>On paper</h1>", encoding="utf-8")
    assert export.print_pdf(page, program=export.find_browser()).read_bytes().startswith(b"%PDF")


def test_command_writes_everything_though_nothing_can_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sheets, books = write_lesson(tmp_path)
    monkeypatch.setattr(export, "find_browser", lambda: None)
    where = ["--cues", str(sheets), "--notebooks", str(books), "--output", str(tmp_path / "out")]
    assert export.main(["01", *where]) == 0
    printed = capsys.readouterr().out
    assert "✓ notebooks for students: 01_first.ipynb" in printed
    assert "– no PDF: No Chromium, Chrome or Edge was found" in printed
    made = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    pages = [f"script-{level}.html" for level in sorted(cues.LEVELS)]
    assert made == [*pages, "slides/01_first.html", "students/01_first.ipynb", "students/GLOSSARY.md"]


def test_command_ends_with_2_for_a_name_that_is_no_notebook(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export.main(["nonsense", "--output", str(tmp_path / "out")]) == 2
    assert "presenter export: 'nonsense' is no notebook" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
