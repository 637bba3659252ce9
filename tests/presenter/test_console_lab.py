"""The command `presenter lab`: what it plans, and what it hands to JupyterLab."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from presenter.console import lab
from tests.support.lesson import write_lesson

ADDRESS = "10.11.12.13"


def test_impossible_plan_ends_the_command_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheets, books = write_lesson(tmp_path)
    assert lab.main(["--minutes", "3", "--cues", str(sheets), "--notebooks", str(books)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("presenter lab: 3 minutes are ") and "too few" in said


def test_root_is_told_about_allow_root_unless_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("jupyterlab.labapp.LabApp.launch_instance", started.append)
    monkeypatch.setattr(lab, "add_settings", lambda *_: None)
    sheets, books = write_lesson(tmp_path)
    words = ["--cues", str(sheets), "--notebooks", str(books)]
    for user, more, told in ((0, [], True), (0, ["--allow-root"], False), (1000, [], False)):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        assert lab.main([*words, *more]) == 0
        assert ("add --allow-root in a container" in capsys.readouterr().err) == told
    assert len(started) == 3


def test_command_line_says_nothing_about_a_plan_that_goes_on() -> None:
    assert lab.collect_options(lab.make_parser().parse_args([])) == {}
    asked = lab.make_parser().parse_args(["--level", "advanced", "--break", "5", "--break", "7"])
    assert lab.collect_options(asked) == {"minutes": 90.0, "level": "advanced", "breaks": [5.0, 7.0]}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], {}),
        (["--phone"], {"phone": "look"}),
        (["--phone-next"], {"phone": "drive"}),
        (["--phone-address", ADDRESS], {"phone": "look", "phone_address": ADDRESS}),
        (["--phone-next", "--phone-port", "8899"], {"phone": "drive", "phone_port": 8899}),
    ],
)
def test_command_line_opens_the_page_for_looking_unless_more_is_said(words: list[str], told: dict) -> None:
    assert lab.collect_phone_settings(lab.make_parser().parse_args(words)) == told


def test_command_line_refuses_an_address_that_is_not_local(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        lab.make_parser().parse_args(["--phone-address", "8.8.8.8"])
    assert "8.8.8.8 is in no local network" in capsys.readouterr().err


def test_clicker_keys_are_opt_in_and_come_after_what_was_set_before() -> None:
    assert not lab.make_parser().parse_args([]).keys
    environment = {"JUPYTER_CONFIG_PATH": "mine"}
    lab.add_settings(environment, [lab.QUIET, lab.KEYS])
    assert environment["JUPYTER_CONFIG_PATH"].split(os.pathsep) == ["mine", str(lab.QUIET), str(lab.KEYS)]
    assert lab.QUIET.is_dir() and lab.KEYS.is_dir()
