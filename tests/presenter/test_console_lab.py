"""The command `presenter lab`: what it plans, and what it hands to JupyterLab."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from presenter import journal
from presenter.console import lab
from presenter.console.copies import write_copies
from tests.support.lesson import write_lesson
from workshop import notebooks

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
    words = ["--cues", str(sheets), "--notebooks", str(books), "--talk", str(tmp_path / "talk")]
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


def test_lab_opens_clean_copies_in_the_talks_folder_and_keeps_them_when_the_talk_goes_on(
    tmp_path: Path,
) -> None:
    _, books = write_lesson(tmp_path)
    file = books / "01_first.ipynb"
    before = json.loads(file.read_text())
    before["cells"][0] |= {"execution_count": 3, "outputs": [text("the answer to the bet")]}
    file.write_text(json.dumps(before))
    talk = tmp_path / "talk"
    ours = lab.make_parser().parse_args(["--notebooks", str(books), "--talk", str(talk)])
    arguments = lab.make_arguments(ours, {}, now=0.0)
    copy = talk / journal.COPIES / "01_first.ipynb"
    assert arguments[-1] == str(copy) and f"--ServerApp.root_dir={copy.parent}" in arguments
    assert f"--PresenterConsole.notebooks={books}" in arguments  # the sheets belong to these
    made = json.loads(copy.read_text())
    assert "the answer" not in copy.read_text() and "the answer" in file.read_text()
    assert [cell["id"] for cell in made["cells"]] == [cell["id"] for cell in before["cells"]]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in made["cells"])
    assert talk.stat().st_mode & 0o777 == 0o700
    copy.write_text(copy.read_text().replace("print('hello')", "print('typed on stage')"))
    lab.make_arguments(ours, {}, now=0.0)
    assert "typed on stage" in copy.read_text()
    ours.originals = True
    assert lab.make_arguments(ours, {}, now=0.0)[-1] == str(file)


def test_the_head_of_a_copy_promises_no_minutes(tmp_path: Path) -> None:
    copies = write_copies(notebooks.find(), tmp_path / "talk")
    for path, copy in zip(notebooks.find(), copies, strict=True):
        head, ours = (notebooks.read(one).cells[0].source for one in (path, copy))
        assert re.search(r"^\*\*\d+ minutes · ", head, re.MULTILINE)
        assert "minutes" not in ours and len(ours) > len(head) - 20


def text(line: str) -> dict[str, object]:
    return {"output_type": "stream", "name": "stdout", "text": [line]}


def test_new_talk_has_a_folder_that_the_server_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab.journal, "TALKS", tmp_path / "talks")
    _, books = write_lesson(tmp_path)
    ours = lab.make_parser().parse_args(["--notebooks", str(books), "--new"])
    told = [
        one for one in lab.make_arguments(ours, {}, now=0.0) if one.startswith("--PresenterConsole.talk=")
    ]
    (folder,) = (tmp_path / "talks").iterdir()
    assert told == [f"--PresenterConsole.talk={folder}"]


def test_folder_with_dots_in_it_is_the_one_that_the_server_gets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jupyter serves no file whose path has `..` in it, and such a path only seems to be in a repository."""
    write_lesson(tmp_path)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(lab, "REPO", here)
    named = [f"--{name}=../{name}" for name in ("talk", "cues", "notebooks")]
    words = lab.make_arguments(lab.make_parser().parse_args(named), {}, now=0.0)
    assert not [word for word in words if ".." in word]
    assert f"--ServerApp.root_dir={tmp_path / 'talk' / journal.COPIES}" in words
    assert f"--PresenterConsole.talk={tmp_path / 'talk'}" in words


@pytest.mark.parametrize("more", [[], ["--originals"], ["--students"]])
def test_talk_that_may_not_be_kept_where_it_was_asked_for_says_what_to_do(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
) -> None:
    sheets, books = write_lesson(tmp_path)
    make = Path.mkdir

    def refuse(folder: Path, *arguments: Any, **options: Any) -> None:
        if "closed" in folder.parts:
            raise PermissionError(13, "Permission denied")
        make(folder, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", refuse)
    words = ["--cues", str(sheets), "--notebooks", str(books), "--talk", str(tmp_path / "closed" / "talk")]
    assert lab.main([*words, *more]) == 1
    said = capsys.readouterr().err
    assert "closed/talk cannot be used as a folder: Permission denied. Take another --talk." in said


@pytest.mark.parametrize("more", [[], ["--originals", "--students"]])
def test_full_disk_ends_the_command_with_what_to_do(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
) -> None:
    def refuse(path: Path) -> Any:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("workshop.files.replacing", refuse)
    sheets, books = write_lesson(tmp_path)
    words = ["--cues", str(sheets), "--notebooks", str(books), "--talk", str(tmp_path / "talk")]
    assert lab.main([*words, *more]) == 1
    said = capsys.readouterr().err
    assert said.startswith("presenter lab: [Errno 28] No space left on device: ") and "/talk/" in said
    assert "Free some space or make the folder writable, or take another --talk." in said


def test_extension_of_jupyterlab_is_where_its_description_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab.journal, "TALKS", tmp_path / "talks")
    (package,) = lab.DESK.glob("*/package.json")
    said = json.loads(package.read_text())
    assert said["name"] == package.parent.name
    assert (package.parent / said["jupyterlab"]["_build"]["load"]).is_file()
    ours = lab.make_parser().parse_args(["--originals"])
    assert f"--LabApp.extra_labextensions_path={lab.DESK}" in lab.make_arguments(ours, {}, now=0.0)
