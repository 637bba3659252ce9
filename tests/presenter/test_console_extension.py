"""The server extension: where it keeps the talk, and what it does not import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from presenter import journal
from presenter.console import extension
from presenter.journal import Act
from workshop.files import REPO


def test_folder_of_a_talk_is_the_one_that_goes_on(tmp_path: Path) -> None:
    new = extension.choose_folder(tmp_path, now=1000.0, new=False)
    journal.Journal(new).add(Act(1000.0, "begin", cue="01-hello"))
    assert extension.choose_folder(tmp_path, now=2000.0, new=False) == new
    assert extension.choose_folder(tmp_path, now=2000.0, new=True) != new


@pytest.mark.parametrize("heavy", ["pandas", "torch", "matplotlib"])
def test_server_starts_without_what_takes_long_to_import(heavy: str) -> None:
    program = f"import sys, presenter.console.extension; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=REPO).returncode == 0
