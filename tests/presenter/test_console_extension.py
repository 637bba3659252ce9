"""The server extension: where it keeps the talk."""

from __future__ import annotations

from pathlib import Path

from presenter import journal
from presenter.console import extension
from presenter.journal import Act


def test_folder_of_a_talk_is_the_one_that_goes_on(tmp_path: Path) -> None:
    new = extension.choose_folder(tmp_path, now=1000.0, new=False)
    journal.Journal(new).add(Act(1000.0, "begin", cue="01-hello"))
    assert extension.choose_folder(tmp_path, now=2000.0, new=False) == new
    assert extension.choose_folder(tmp_path, now=2000.0, new=True) != new
