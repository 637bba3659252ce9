"""What is handed out: the script for paper, notebooks for students, slides with the speaker's words."""

from __future__ import annotations

import base64
import json
import re
import stat
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

from presenter import cues, runtimes
from presenter.console.guide import Material
from presenter.handout import deck, export, script
from presenter.runtimes import Runtime
from tests.support.cue_sheets import cue, write_sheet
from tests.support.lesson import write_lesson
from tests.support.notebooks import PARAMETERS
from workshop import notebooks
from workshop.runner import run

NOTEBOOKS = notebooks.select([])
REMOTE = re.compile(r"""(src|href)=["']?(https?:)?//|@import|url\(["']?http|<link|import\(""")
BODY = """**Say.** Words <script>alert(1)</script> and {fact:dit.blocks} blocks, in {runtime:draw}.

### Beginner

- A knob.

### Intermediate

- A matrix, see [below](#cell:solve).

### Advanced

- A spectrum.

### Ask

- How many? — Two.
"""
LESSON = "# 01 · A lesson\n\nWhat one learns."
SOLUTION = "<details><summary>Solution</summary>\n\nThe answer is forty-two.\n\n</details>"


@pytest.fixture(scope="module")
def raw() -> dict:
    """A notebook with what students must not get, and what they need."""
    cells = [
        ("markdown", "title", LESSON, {}),
        ("code", "settings", PARAMETERS[0], {"tags": ["nbval-skip", *PARAMETERS[1]]}),
        ("markdown", "question", "## Draw\n\n$$x_\\sigma = \\sigma\\,\\mathrm{noise}$$", {}),
        (
            "code",
            "draw",
            "print('<b>drawn</b>')",
            {"tags": ["nbval-check-output"], "presenter": {"minutes": 3}},
        ),
        ("markdown", "task", "### Exercise\n\nSolve it.", {"slideshow": {"slide_type": "skip"}}),
        ("code", "solve", "check('it', None)", {}),
        ("markdown", "solution", SOLUTION, {}),
        ("markdown", "end", f"## The end\n\nThat was it.\n\n{SOLUTION}\n", {}),
    ]
    made = [_cell(*one) for one in cells]
    made[3]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "expected: forty-two"}]
    return {
        "cells": made,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "talk": 1},
    } | {
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cell(kind: str, name: str, source: str, metadata: dict) -> dict:
    cell = {"cell_type": kind, "id": name, "metadata": metadata, "source": source.splitlines(keepends=True)}
    return cell if kind == "markdown" else cell | {"outputs": [], "execution_count": 7}


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory, raw: dict) -> Material:
    folder = tmp_path_factory.mktemp("lesson")
    (folder / "notebooks").mkdir()
    (folder / "notebooks" / "01_lesson.ipynb").write_text(json.dumps(raw), encoding="utf-8")
    sections = ["## Before you start\n\n- [ ] Water", "## Closing\n\nThank you."]
    cues_ = [
        cue("settings", title="Set up", body=BODY, priority="should", if_cut="run"),
        cue("draw", title="Draw it", minutes=3, fallback="`image_face`", body=BODY),
        cue("solve", title="At home", minutes=0, least=0, priority="nice", body=BODY),
        cue("end", title="Take home", if_cut="skip", body=BODY),
    ]
    write_sheet(folder / "cues" / "01_lesson.md", sections[0], *cues_, sections[1])
    found = Material.read(folder / "cues", folder / "notebooks")
    return replace(found, runtimes={"01_lesson": {"draw": Runtime(4.0, None, 1)}}, label="pocket model")


@pytest.fixture(autouse=True)
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the machine have measured one cell; what the workshop's own cells took changes no test."""
    monkeypatch.setattr(runtimes, "FILE", tmp_path / "runtimes.json")
    runtimes.write("pocket model", {"01_lesson": {"draw": Runtime(4.0, None, 1)}})


@pytest.fixture
def deck_of(material: Material, raw: dict) -> str:
    return deck.page(export.student(raw), material.sheets[0], material)


def test_student_has_the_same_cells_without_solutions_and_without_marks(raw: dict) -> None:
    made = export.student(raw)
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
    (written,) = export.students([path], into=tmp_path / "students")
    made = nbformat.read(written, as_version=4)
    nbformat.validate(made)
    run.demand_parameter(written)  # it would run as every notebook runs

    def code(cells: list) -> list[tuple[str, str]]:
        return [(cell["id"], "".join(cell["source"])) for cell in cells if cell["cell_type"] == "code"]

    assert code(made.cells) == code(before["cells"])
    folded = {cell["id"] for cell in before["cells"] if "<details>" in "".join(cell["source"])}
    assert folded and {cell["id"] for cell in before["cells"]} - {cell.id for cell in made.cells} == folded
    assert "<details>" not in written.read_text(encoding="utf-8")


def test_what_papermill_added_is_not_handed_out(raw: dict) -> None:
    injected = _cell("code", "injected", "profile = 'pocket'", {"tags": ["injected-parameters"]})
    wrong = _cell("markdown", "wrong", "An error", {"tags": ["papermill-error-cell-tag"]})
    added = {**raw, "cells": [*raw["cells"], injected, wrong]}
    assert export.student(added) == export.student(raw)


def test_notebook_that_is_not_valid_is_named(tmp_path: Path, raw: dict) -> None:
    broken = {**raw, "cells": [{**raw["cells"][0], "id": "no id at all"}]}
    path = tmp_path / "01_broken.ipynb"
    path.write_text(json.dumps(broken), encoding="utf-8")
    with pytest.raises(ValueError, match=r"01_broken\.ipynb is no valid notebook .* Open it in JupyterLab"):
        export.students([path], into=tmp_path / "students")


@pytest.mark.parametrize("level", cues.LEVELS)
def test_script_speaks_to_one_level_only(level: str, material: Material) -> None:
    page = script.page(material, level=level)
    words = {"beginner": "A knob.", "intermediate": "A matrix", "advanced": "A spectrum."}
    assert [one for one, text in words.items() if text in page] == [level]


def test_script_has_every_part_of_a_cue_with_its_numbers_filled_in(material: Material) -> None:
    page = script.page(material, level="beginner")
    assert "60 blocks, in 4.0 s" in page  # a fact, and a runtime of this machine
    for text in (
        "Before you start",
        "Thank you.",
        "Draw it",
        "How many?",
        "Two.",
        "3 min (least 1)",
        "At home",
    ):
        assert text in page
    assert "should · its cells run even if it is cut" in page
    assert "print" in page and "<code>draw</code> <span>4.0 s</span>" in page
    assert "Fallback, pocket model" in page and "data:image/png;base64," in page
    assert "Runtimes: as measured with the pocket model." in page


def test_script_counts_the_clock_from_its_first_cue(material: Material) -> None:
    times = re.findall(r'<span class="time">([^<]*)</span>', script.page(material, level="beginner"))
    assert times == ["0:00", "2:00", "", "5:00"]  # the third one is for home


def test_script_in_a_cue_stays_text_and_nothing_is_remote(material: Material) -> None:
    page = script.page(material, level="advanced")
    assert "<script" not in page and "&lt;script&gt;" in page
    assert not REMOTE.search(page)


def test_unknown_fact_stops_the_export(material: Material) -> None:
    sheet = replace(material.sheets[0], lead="{fact:nonsense}")
    with pytest.raises(ValueError, match="There is no fact named 'nonsense'"):
        script.page(replace(material, sheets=(sheet,)), level="beginner")


def test_script_of_the_workshop_has_every_cue_and_its_links_lead_somewhere() -> None:
    material = Material.read(cues.CUES, notebooks.FOLDER)
    page = script.page(material, level="intermediate")
    there = set(re.findall(r"id='([^']+)'", page))
    assert {f"{one.sheet[:2]}-{cell}" for one in material.cues for cell in one.cells} <= there
    links = set(re.findall(r"""href=["']#([^"']+)""", page))
    missing = {link for link in links - there if link[:2] in {sheet.name[:2] for sheet in material.sheets}}
    assert links and not missing
    assert "{fact:" not in page and "{runtime:" not in page


def test_slides_have_the_words_of_the_cue_as_notes(deck_of: str) -> None:
    slides = deck_of.split('<section class="slide">')[1:]
    assert len(slides) == 5  # title and settings, question and code, its picture, the task, the end
    assert "What people take home." in slides[0] and "Water" in slides[0]
    assert '<aside class="notes"><h2>Draw it</h2>' in slides[1] and "60 blocks, in 4.0 s" in slides[1]
    assert [level for level in cues.LEVELS if f'data-level="{level}"' in slides[1]] == list(cues.LEVELS)
    assert "data:image/png;base64," in slides[2]
    assert '<aside class="notes"><h2>Take home</h2>' in slides[-1] and "Thank you." in slides[-1]


def test_slides_are_one_file_and_what_stands_in_a_cue_stays_text(deck_of: str) -> None:
    assert not REMOTE.search(deck_of)
    assert deck_of.count("<script") == 1 == deck_of.count("</script>")  # the deck's own
    assert "&lt;b&gt;drawn&lt;/b&gt;" in deck_of


def test_formula_is_drawn_and_code_is_left_alone(deck_of: str) -> None:
    assert "MathJax" not in deck_of and 'class="formula"' in deck_of
    image = deck.drawn("It is $$x_\\sigma = 1$$")
    assert image.startswith('It is <img class="formula"') and 'alt="x_\\sigma = 1"' in image
    data = re.search(r"base64,([^\"]+)", image)[1]
    assert b"<svg" in base64.b64decode(data)
    assert deck.drawn("a `$x$` and $5 and $6") == "a `$x$` and $5 and $6"
    assert deck.drawn("$\\nonsense{x}$") == "<code>\\nonsense{x}</code>"


def test_outputs_of_a_rehearsal_take_the_place_of_the_fallback(
    material: Material, raw: dict, tmp_path: Path
) -> None:
    cells = [
        {**cell, "metadata": {**cell["metadata"], "papermill": {"duration": 1}}} for cell in raw["cells"]
    ]
    for name, book in {"plain": raw, "ran": {**raw, "cells": cells}}.items():
        (tmp_path / name).mkdir()
        path = tmp_path / name / "01_lesson.ipynb"
        path.write_text(json.dumps(book), encoding="utf-8")
        (written,) = export.slides(material, [path], into=tmp_path / name / "slides")
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
        export.pdf(tmp_path / "page.html", program=None)


def test_pdf_from_a_browser_that_fails_says_what_it_said(tmp_path: Path) -> None:
    program = stand_in(tmp_path, "echo cannot open display >&2; exit 1")
    with pytest.raises(export.NoPdf, match=r"did not print \(cannot open display\)\. Open "):
        export.pdf(tmp_path / "page.html", program=program)


def test_pdf_from_before_does_not_pass_for_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "page.pdf").write_bytes(b"%PDF of yesterday")
    with pytest.raises(export.NoPdf, match="did not print"):
        export.pdf(tmp_path / "page.html", program=stand_in(tmp_path, "exit 0"))


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
    assert re.search(r"presenter export: .*taken.*choose another with --output", capsys.readouterr().err)


@pytest.mark.slow
@pytest.mark.skipif(export.browser() is None, reason="no Chromium here: apt-get install chromium")
def test_pdf_is_printed_by_the_browser_that_is_here(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<h1>On paper</h1>", encoding="utf-8")
    assert export.pdf(page, program=export.browser()).read_bytes().startswith(b"%PDF")


def test_command_writes_everything_though_nothing_can_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sheets, books = write_lesson(tmp_path)
    monkeypatch.setattr(export, "browser", lambda: None)
    where = ["--cues", str(sheets), "--notebooks", str(books), "--output", str(tmp_path / "out")]
    assert export.main(["01", *where]) == 0
    printed = capsys.readouterr().out
    assert "✓ notebooks for students: 01_first.ipynb" in printed
    assert "– no PDF: No Chromium, Chrome or Edge was found" in printed
    made = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    pages = [f"script-{level}.html" for level in sorted(cues.LEVELS)]
    assert made == [*pages, "slides/01_first.html", "students/01_first.ipynb"]


def test_command_ends_with_2_for_a_name_that_is_no_notebook(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export.main(["nonsense", "--output", str(tmp_path / "out")]) == 2
    assert "presenter export: 'nonsense' is no notebook" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
