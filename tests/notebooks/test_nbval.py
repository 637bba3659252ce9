"""What nbval compares: code that is run again, and nothing that draws or trains, which papermill has run."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from presenter import code
from workshop import notebooks
from workshop.files import REPO
from workshop.notebooks import Cell

COMPARED, NEEDED, SKIPPED = "nbval-check-output", "nbval-ignore-output", "nbval-skip"
COSTLY = (
    r"\bpipe\b|\bload_pipeline\(|\bfrom_pretrained\(|\bdrawing\.|\bfollow\("  # draws, trains or loads weights
)
BOTH_TRACKS = [*notebooks.find(), *notebooks.find(notebooks.LABS)]
each_notebook = pytest.mark.parametrize("path", BOTH_TRACKS, ids=lambda path: path.stem)


def tagged(path: Path, *tags: str) -> list[Cell]:
    return [cell for cell in notebooks.read(path).code if cell.tags & set(tags)]


@each_notebook
def test_every_cell_says_what_nbval_does_with_it(path: Path) -> None:
    for cell in notebooks.read(path).code:
        assert len(cell.tags & {COMPARED, NEEDED, SKIPPED}) == 1, cell.id
        assert cell.tags <= {COMPARED, NEEDED, SKIPPED, "parameters"}, cell.id


@each_notebook
def test_outputs_are_kept_where_they_are_compared_and_nowhere_else(path: Path) -> None:
    assert tagged(path, COMPARED), "nbval would have nothing to compare"
    for cell in tagged(path, COMPARED):  # of a cell without a number, nbval compares nothing
        assert cell.outputs and cell.execution_count is not None, cell.id
        assert all("text" in output or "text/plain" in output["data"] for output in cell.outputs), cell.id
    assert not any(cell.outputs for cell in tagged(path, NEEDED, SKIPPED))


@each_notebook
def test_nbval_runs_what_it_compares_and_what_that_needs_and_no_other_cell(path: Path) -> None:
    cells = notebooks.read(path).code
    compared = [place for place, cell in enumerate(cells) if COMPARED in cell.tags]
    needed = code.find_needed(code.find_providers([code.read_names(cell.source) for cell in cells]), compared)
    run = {place for place, cell in enumerate(cells) if SKIPPED not in cell.tags}
    assert [cells[place].id for place in sorted(run)] == [cells[place].id for place in sorted(needed)]


@each_notebook
def test_nbval_draws_nothing_trains_nothing_and_loads_no_pipeline(path: Path) -> None:
    for cell in tagged(path, COMPARED, NEEDED):
        assert not re.search(COSTLY, cell.source), cell.id


def compare(path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run nbval on a notebook as ./scripts/test does."""
    words = ["-p", "tests.support.nbval_watch", "--nbval-lax", "--nbval-current-env", "-W", "default", "-rN"]
    command = [sys.executable, "-m", "pytest", *words, "-p", "no:cacheprovider", *more, str(path)]
    return subprocess.run(command, capture_output=True, text=True, cwd=REPO, timeout=300)


def test_scripts_test_runs_nbval_like_this() -> None:
    text = (REPO / "scripts" / "test").read_text(encoding="utf-8")
    assert "-p tests.support.nbval_watch --nbval-lax --nbval-current-env" in text


def test_a_dead_kernel_is_noticed_within_seconds(tmp_path: Path, write_notebook: Callable[..., Path]) -> None:
    path = write_notebook(tmp_path / "01_dies.ipynb", "1 + 1", "import os\nos._exit(1)", "2 + 2")
    done = compare(path, "--nbval-cell-timeout", "1000")  # longer than `compare` waits for all of it
    assert "Cell 1: The kernel died while it ran this cell." in done.stdout and "os._exit(1)" in done.stdout
    assert "Kernel dead on test start" in done.stdout
    assert "2 failed, 1 passed" in done.stdout


def test_a_cell_that_takes_its_time_is_waited_for_and_one_that_never_ends_is_not(
    tmp_path: Path, write_notebook: Callable[..., Path]
) -> None:
    path = write_notebook(tmp_path / "01_sleeps.ipynb", "import time\ntime.sleep(2.5)", "time.sleep(600)")
    done = compare(path, "--nbval-cell-timeout", "10")
    assert "Cell 1: Timeout of 10 seconds exceeded" in done.stdout
    assert "1 failed, 1 passed" in done.stdout
