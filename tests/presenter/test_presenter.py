"""The command `presenter`: its verbs."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from presenter import __main__ as command

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.mark.parametrize("verb", command.VERBS)
def test_verb_has_a_function_that_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main([verb, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: presenter {verb} ")


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert [verb for verb in command.VERBS if f"  {verb} " not in printed] == []


def test_word_that_is_no_verb_ends_with_2_and_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["present"]) == 2
    assert "`present` is not a verb; these are:\n  check " in capsys.readouterr().err


def test_console_script_starts_the_command(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads((repo / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, function = project["scripts"]["presenter"].partition(":")
    monkeypatch.setattr(sys, "argv", ["presenter", "--help"])
    assert getattr(importlib.import_module(module), function)() == 0
