"""The server extension: where it keeps the talk, and what it does not import."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from presenter import journal, runtimes
from presenter.console import extension
from presenter.journal import Act
from presenter.runtimes import Runtime
from tests.support.server import PATIENCE, Server
from workshop.files import REPO


def test_folder_of_a_talk_is_the_one_that_goes_on(tmp_path: Path) -> None:
    new = extension.choose_folder(tmp_path, now=1000.0, new=False)
    journal.Journal(new).add(Act(1000.0, "begin", cue="01-hello"))
    assert extension.choose_folder(tmp_path, now=2000.0, new=False) == new
    assert extension.choose_folder(tmp_path, now=2000.0, new=True) != new


def test_two_talks_that_start_at_the_same_time_have_a_folder_each(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as starts:
        chosen = list(starts.map(lambda _: extension.choose_folder(tmp_path, now=1000.0, new=True), range(8)))
    assert len(set(chosen)) == 8 and sorted(chosen) == sorted(tmp_path.iterdir())
    assert {folder.stat().st_mode & 0o777 for folder in chosen} == {0o700}


@pytest.mark.parametrize("heavy", ["pandas", "torch", "matplotlib"])
def test_server_starts_without_what_takes_long_to_import(heavy: str) -> None:
    program = f"import sys, presenter.console.extension; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=REPO).returncode == 0


def test_talk_of_a_fraction_of_a_minute_that_is_too_short_here_starts_and_says_so(tmp_path: Path) -> None:
    server = Server(tmp_path, words=("--minutes", "12.5", "--skip", "02-base"))  # its cell runs silently
    slow = {"02_second": {"base": Runtime(600.0, None, 1)}}
    runtimes.write(runtimes.name_machine(), slow, file=tmp_path / "runtimes.json")
    server.start()
    try:
        limit = time.monotonic() + PATIENCE
        told = "The plan counts no cell's time on this machine. 12.5 minutes are "
        while told not in (log := server.log.read_text(encoding="utf-8")):
            assert time.monotonic() < limit, log[-2000:]
            time.sleep(0.1)
        assert server.act(do="begin") == (200, "")
    finally:
        server.stop()
