"""Write what an instructor hands out: the script for paper, notebooks for students, slides.

    presenter export                                      everything, into runs/export-<time>
    presenter export 02 03 --only script --level advanced
    presenter export --notebooks runs/rehearsal-…/1       slides with the pictures of a rehearsal

Every file stands alone: its pictures are inside, and it fetches nothing. A PDF needs Chromium, Chrome or Edge
on this machine; without it the pages are written all the same, and any browser can print them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from presenter import cues
from presenter.cues import Sheet
from presenter.handout import deck, script
from presenter.handout.deck import Raw
from presenter.material import Material
from workshop import files, glossary, notebooks, profiles
from workshop.files import REPO

KINDS = ("script", "students", "slides")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
MAC_BROWSERS = ("Google Chrome", "Chromium", "Microsoft Edge")
PATIENCE = 300.0  # s that a browser may take to print
NEEDED = (
    "parameters",
    "raises-exception",
)  # tags without which a notebook runs otherwise; others are the tests'
SOLUTION = re.compile(
    r"<details>\s*<summary>\s*(?:Solutions?|Answers|A model answer)\b.*?</details>\s*",
    re.DOTALL | re.IGNORECASE,
)


class NoPdf(RuntimeError):
    """A page that could not be printed, with what to do instead."""


def write_scripts(
    material: Material, sheets: Sequence[Sheet], levels: Sequence[str], *, into: Path
) -> list[Path]:
    """Write the script of each level as a page into a folder, and return the files.

    Raises ValueError for a fact that there is not.
    """
    pages = []
    for level in levels:
        pages.append(into / f"script-{level}.html")
        _write(pages[-1], script.make_script(material, level=level, sheets=sheets))
    return pages


def write_student_notebooks(books: Sequence[Path], *, into: Path) -> list[Path]:
    """Write the notebooks as students get them into a folder, with their glossary, and return the notebooks.

    The labs go into its folder labs, as in the repository.

    Raises ValueError for a notebook that would not be valid.
    """
    import nbformat

    into.mkdir(exist_ok=True)
    written = []
    for path in books:
        made = strip_notebook(notebooks.load_raw(path))
        try:
            nbformat.validate(made)
        except nbformat.ValidationError as error:
            what = f"{path.name} is no valid notebook ({error.message})"
            raise ValueError(f"{what}. Open it in JupyterLab and save it.") from error
        folder = into / notebooks.LABS.name if notebooks.is_lab(path) else into
        folder.mkdir(exist_ok=True)
        written.append(folder / path.name)
        _write(written[-1], json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    page = glossary.write(
        glossary.find([notebooks.read(path) for path in written if not notebooks.is_lab(path)])
    )
    _write(into / glossary.PAGE.name, page)
    return written


def strip_notebook(book: Mapping[str, Any]) -> Raw:
    """Make the students' notebook: the same cells with the same ids, without solutions and outputs.

    The tests' tags, the presenter's marks and the cells that papermill added are left out as well.
    """
    cells = [_bare(cell) for cell in book["cells"] if not _added(cell)]
    metadata = {
        key: book["metadata"][key] for key in ("kernelspec", "language_info") if key in book["metadata"]
    }
    return {**book, "cells": [cell for cell in cells if cell["source"]], "metadata": metadata}


def _added(cell: Raw) -> bool:
    """Return whether papermill put a cell in."""
    return not notebooks.ADDED.isdisjoint(cell["metadata"].get("tags", []))


def _bare(cell: Raw) -> Raw:
    tags = [tag for tag in cell["metadata"].get("tags", []) if tag in NEEDED]
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        source = SOLUTION.sub("", source)
    bare = {**cell, "source": source.splitlines(keepends=True), "metadata": {"tags": tags} if tags else {}}
    return bare | {"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else bare


def write_slides(material: Material, books: Sequence[Path], *, into: Path) -> list[Path]:
    """Write a deck for each notebook that has a cue sheet into a folder, and return the files.

    An executed notebook's deck shows its outputs.
    """
    into.mkdir(exist_ok=True)
    written = []
    for path in (one for one in books if one.stem in material.sheet_of):
        book = notebooks.load_raw(path)
        cells = [_slide(cell) for cell in book["cells"] if not _added(cell)]
        written.append(into / f"{path.stem}.html")
        _write(written[-1], deck.make_deck({**book, "cells": cells}, material.sheet_of[path.stem], material))
    return written


def _slide(cell: Raw) -> Raw:
    """Leave out the solution, and outputs unless papermill made them: stored ones are there for the tests."""
    outputs = cell.get("outputs", []) if "papermill" in cell["metadata"] else []
    return {**_bare(cell), "outputs": outputs}


def find_browser() -> str | None:
    """Find the program of a browser that can print without a window; None if there is none."""
    mac = [f"/Applications/{name}.app/Contents/MacOS/{name}" for name in MAC_BROWSERS]
    return next(filter(None, map(shutil.which, [*BROWSERS, *mac])), None)


def print_pdf(page: Path, *, program: str | None) -> Path:
    """Print a page as PDF, and return the file, which lies beside it.

    program: the browser's, as from `find_browser`

    Raises NoPdf, with what to do, if there is no browser or it does not print.
    """
    where = files.from_here(page)
    by_hand = f"Open {where} in a browser, and print it: A4, no headers, background graphics on."
    if program is None:
        raise NoPdf(f"No Chromium, Chrome or Edge was found to print with. {by_hand}")
    target = page.with_suffix(".pdf").absolute()
    target.unlink(missing_ok=True)  # an old file must not be taken for a new one
    with tempfile.TemporaryDirectory(prefix="presenter-", ignore_cleanup_errors=True) as profile:
        command = [program, "--headless", "--disable-gpu", "--no-first-run", "--no-pdf-header-footer"]
        command += [f"--user-data-dir={profile}", f"--print-to-pdf={target}"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--no-sandbox")  # Chromium gives root no sandbox
        try:
            done = subprocess.run(
                [*command, page.absolute().as_uri()], capture_output=True, text=True, timeout=PATIENCE
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise NoPdf(f"{program} did not print ({error}). {by_hand}") from error
    if done.returncode or not target.is_file():
        why = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        raise NoPdf(f"{program} did not print ({why}). {by_hand}")
    return target


def _write(path: Path, text: str) -> None:
    with files.replacing(path) as file:
        file.write(text.encode())


def export(material: Material, books: Sequence[Path], options: argparse.Namespace, *, into: Path) -> None:
    """Write what was asked for into a folder, and print what was written."""
    sheets = [material.sheet_of[path.stem] for path in books if path.stem in material.sheet_of]
    kinds, levels = options.only or KINDS, options.level or cues.LEVELS
    if "script" in kinds:
        pages = write_scripts(material, sheets, levels, into=into)
        _say("the script to print", pages)
        if not options.no_pdf:
            _print(pages)
    if "students" in kinds:
        _say("notebooks for students", write_student_notebooks(books, into=into / "students"))
    if "slides" in kinds:
        _say("slides; S opens the speaker's window", write_slides(material, books, into=into / "slides"))


def _print(pages: Sequence[Path]) -> None:
    program = find_browser()
    try:
        _say("the same as PDF", [print_pdf(page, program=program) for page in pages])
    except NoPdf as error:
        print(f"  – no PDF: {error}")


def _say(what: str, written: Sequence[Path]) -> None:
    names = ", ".join(path.name for path in written)
    print(f"  ✓ {what}: {names}", flush=True)


def main(argv: list[str]) -> int:
    """Export from the command line; return 2 for an unknown name. A PDF that is not printed is no failure."""
    parser = argparse.ArgumentParser(
        prog="presenter export", description="Write the script for paper, student notebooks and slides."
    )
    parser.add_argument("names", nargs="*", help="as 01 or 02_inference; none: all")
    parser.add_argument("--only", choices=KINDS, action="append", help="one of them; may be given again")
    parser.add_argument("--level", choices=cues.LEVELS, action="append", help="of the script; otherwise all")
    parser.add_argument("--no-pdf", action="store_true", help="write the script as HTML only")
    parser.add_argument("--output", type=Path, help="folder for the files; otherwise runs/export-<time>")
    parser.add_argument("--profile", default="auto", help="whose runtimes are told: mi300x, pocket or auto")
    parser.add_argument("--cues", type=Path, default=cues.CUES, metavar="FOLDER", help="other cue sheets")
    parser.add_argument(
        "--notebooks", type=Path, default=notebooks.FOLDER, metavar="FOLDER", help="such as a rehearsal's"
    )
    options = parser.parse_args(argv)
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    output = options.output or REPO / "runs" / f"export-{stamp}"
    try:
        label = profiles.choose(options.profile).label
        material = Material.read(options.cues, options.notebooks).measured_on(label)
        books = notebooks.select(options.names, folder=options.notebooks)
        if not options.names:
            books += notebooks.find_labs(options.notebooks)
        files.make_folder(output, remedy="Take another --output.")
        print(f"Writing into {files.from_here(output)}")
        export(material, books, options, into=output)
    except OSError as error:
        print(
            f"presenter export: {error}. Free some space or make the folder writable, or choose another with "
            "--output.",
            file=sys.stderr,
        )
        return 2
    except ValueError as error:
        print(f"presenter export: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
