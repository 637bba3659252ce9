"""A training followed from a notebook: what it shows, and what it says when it fails."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from workshop import profiles
from workshop.training import live
from workshop.training.checkpoint import TrainingError


def test_a_followed_run_that_fails_says_why(tmp_path: Path) -> None:
    code = "import sys; print('one'); sys.exit('the disk is on fire')"
    with pytest.raises(TrainingError, match="It ended with 1:\none\nthe disk is on fire"):
        live.follow_command([sys.executable, "-c", code], tmp_path, profile=profiles.choose("pocket"))


def test_a_followed_run_shows_its_last_line_curve_and_samples(
    unstopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = profiles.choose("pocket")
    live.follow_command([sys.executable, "-c", "print('done')"], tmp_path, profile=profile)
    assert "done" in capsys.readouterr().out
    page = live._page("train 5/5", unstopped, profile)
    assert page.count("<figure") == 3 and "train 5/5" in page
    assert page.count("pocket model</figcaption>") == 2 and "Smoothed over 25 steps" in page


def test_of_a_bar_that_writes_over_itself_only_the_last_state_is_shown(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_bytes(b"begin\n\r 1/3\r 2/3\r 3/3\r\nend\n")
    assert live._last_lines(tmp_path / "log.txt", 3) == "begin\n 3/3\nend"
    (tmp_path / "log.txt").write_bytes(b"begin\n\r 1/3\r 2/3")
    assert live._last_lines(tmp_path / "log.txt", 1) == " 2/3"
