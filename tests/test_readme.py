"""The README: its commands run, what it names is there, and what is there it names."""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from workshop import notebooks
from workshop.files import REPO

README = (REPO / "README.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    """Take every command out of the README: the lines of its shell blocks, and ./scripts/… in the text."""
    blocks = re.findall(r"^```bash\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
    typed = [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]
    mentioned = re.findall(r"`(\./scripts/[^`]+)`", README)
    return sorted({*filter(None, typed), *mentioned})


def run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"}
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=300, env=environment)


@functools.cache
def help_of(*program: str) -> str:
    done = run(*program, "--help")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_readme_has_the_two_commands_of_each_machine() -> None:
    assert {"./scripts/run", "./scripts/lab", "./scripts/run --profile mi300x"} <= set(commands())


# Asking a program for its help starts it for real (set-up check, Python, imports, argument parser) without
# its minutes of work. lint, fix and lock take no arguments and have no help but their first comment.
@pytest.mark.parametrize("command", commands())
def test_readme_command_starts_and_knows_its_options(command: str) -> None:
    program, *arguments = shlex.split(command)
    assert program.startswith("./scripts/"), "the README names a command that this test cannot judge"
    script = (REPO / program).read_text(encoding="utf-8")
    if program.rpartition("/")[2] in {"lint", "fix", "lock"}:
        assert not arguments and script.splitlines()[1].startswith("# ")
        return
    verb = arguments[:1] if program == "./scripts/presenter" else []
    text = help_of(program, *verb)
    assert text
    for option in (argument for argument in arguments if argument.startswith("--")):
        assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text), f"{program} has no {option}"


def test_readme_run_commands_name_notebooks_and_profiles_that_are_there(tmp_path: Path) -> None:
    for command in (one for one in commands() if one.startswith("./scripts/run")):
        # mi300x would end with what is missing here, which test_profiles looks at
        words = [word for word in shlex.split(command) if word not in ("--profile", "mi300x")]
        done = run(*words, "--profile", "pocket", "--output", str(tmp_path / "out"), "--dry-run")
        assert done.returncode == 0, done.stderr
        assert "Would run" in done.stdout


def test_readme_names_every_script_and_every_notebook() -> None:
    scripts = {f"./scripts/{path.name}" for path in (REPO / "scripts").iterdir()}
    assert scripts == {command.split()[0] for command in commands()}
    here = {path.stem for path in notebooks.find()}
    assert here == set(re.findall(r"^\| `(\d\d_\w+)` \|", README, flags=re.MULTILINE))


def test_every_file_and_folder_that_the_readme_names_is_there() -> None:
    linked = re.findall(r"\]\((?!https?://)([^)#]+)\)", README)
    folders = re.findall(r"^\| `(\w+(?:/\w+)*/)` \|", README, flags=re.MULTILINE)
    assert linked and folders
    assert [name for name in linked + folders if not (REPO / name).exists()] == []


def test_pictures_in_the_readme_have_alt_text() -> None:
    pictures = re.findall(r"!\[([^\]]*)\]\(", README)
    assert pictures and all(len(alt) > 20 for alt in pictures)


def test_changelog_is_dated_newest_first() -> None:
    dates = re.findall(r"^## (.+)$", (REPO / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert dates and all(re.fullmatch(r"\d{4}-\d\d-\d\d", date) for date in dates)
    assert dates == sorted(dates, reverse=True)


def test_readme_names_every_setting_that_the_code_reads() -> None:
    files = [*REPO.glob("workshop/**/*.py"), *REPO.glob("scripts/*")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in files if path.is_file())
    read = set(
        re.findall(
            r"""(?:environ(?:\.get\(|\[)|read_folder\()["'](WORKSHOP_\w+)|\$\{(WORKSHOP_\w+):-""", code
        )
    )
    settings = {one or other for one, other in read} - {"WORKSHOP_TRAINING_OF"}  # set by the code itself
    assert len(settings) == 6
    assert settings == set(re.findall(r"`(WORKSHOP_\w+)`", README))
