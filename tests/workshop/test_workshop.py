"""`import workshop` is light, and `python -m workshop` finds its verbs."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib import metadata

import pytest

import workshop
from workshop.__main__ import VERBS, main

MODULES = ("profiles", "models", "preflight", "loading", "memory", "gallery")


def imported_by(statement: str) -> set[str]:
    code = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return {name.split(".")[0] for name in out.split()}


def test_import_workshop_imports_nothing_but_itself():
    assert imported_by("import workshop") == {"workshop"}


def test_the_helper_modules_import_only_the_standard_library():
    found = imported_by("import " + ", ".join(f"workshop.{name}" for name in MODULES))
    assert found - set(sys.stdlib_module_names) == {"workshop"}


def test_the_version_is_the_distributions():
    assert workshop.__version__ == metadata.version("qwen-image-workshop")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_leads_to_a_function(verb: str):
    module, function, _ = VERBS[verb]
    assert callable(getattr(importlib.import_module(module), function))


def test_a_wrong_verb_lists_the_right_ones_and_ends_with_2(capsys):
    assert main(["preflite"]) == 2
    said = capsys.readouterr().err
    assert "`preflite` is not a verb; these are:" in said
    assert all(verb in said for verb in VERBS)


def test_no_verb_at_all_ends_with_2_and_help_with_0(capsys):
    assert main([]) == 2
    assert "a verb is needed" in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert "preflight" in capsys.readouterr().out


def test_arguments_and_exit_code_pass_through(monkeypatch):
    seen = []
    monkeypatch.setattr("workshop.preflight.main", lambda argv: seen.append(argv) or 1)
    assert main(["preflight", "--json"]) == 1
    assert seen == [["--json"]]
