"""The command `presenter report`."""

from __future__ import annotations

from pathlib import Path

import pytest

from presenter.material import Material
from presenter.report import __main__ as command
from presenter.report.page import CELLS_FILE, CUES_FILE
from tests.support.talks import as_planned, hold


def test_command_writes_the_report_beside_the_journal_and_changes_no_plan(
    tmp_path: Path, own_material: Material, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = hold(tmp_path / "talk", *as_planned(slow=5))
    where = ["--cues", str(tmp_path / "cues"), "--notebooks", str(tmp_path / "notebooks")]
    assert command.main([str(folder), *where]) == 0
    printed = capsys.readouterr().out
    assert "Talk of 22 November 2026, 10:00: 20:00 of 18 minutes, 2:00 late" in printed
    assert "--apply would change the minutes of 1 cue and keep the seconds of 0 cells." in printed
    assert all((folder / name).is_file() for name in (command.PAGE_FILE, CUES_FILE, CELLS_FILE))
    assert not kept.exists()


def test_command_ends_with_2_for_a_talk_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["nonsense"]) == 2
    assert "presenter report: There is no talk 'nonsense'." in capsys.readouterr().err
