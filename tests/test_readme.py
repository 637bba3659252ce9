"""The README: its commands run, what it names is there, and what is there it names."""

from __future__ import annotations

import ast
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
RUNBOOK = (REPO / "docs" / "RUNBOOK.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    """Take every command out of README and runbook: lines of shell blocks, and ./scripts/… in the text."""
    blocks = re.findall(r"^```bash\n(.*?)^```", README + RUNBOOK, flags=re.DOTALL | re.MULTILINE)
    typed = [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]
    mentioned = re.findall(r"`(\./scripts/[^`]+)`", README + RUNBOOK)
    return sorted({*filter(None, typed), *mentioned})


def test_the_talk_has_the_same_minutes_in_every_command_that_plans_it() -> None:
    sheet = (REPO / "presenter" / "cues" / "01_setup.md").read_text(encoding="utf-8")
    lines = re.findall(r"presenter (plan|lab)\b([^\n`]*--start[^\n`]*)", RUNBOOK + sheet)
    assert sorted(verb for verb, _ in lines) == ["lab", "lab", "plan", "plan"]
    assert {re.findall("--minutes (\\d+) .*--start (\\d+:\\d+)", words)[0] for _, words in lines} == {
        ("75", "10:00")
    }
    assert "lab --minutes 75 " in README


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


# Commands that fail as they stand: the system's Python has none of the packages, and a .venv that uv made has
# no pip.
UNRUNNABLE = re.compile(r"(?<!bin/)python -m (workshop|presenter)|pip install")
VERB = re.compile(r"(?<!/scripts/)(?<!^)\bpresenter (check|plan|lab|rehearse|report|export)\b")
NO_REMEDIES = {
    "workshop/__main__.py",  # the name of a program in its own help
    "workshop/pocket/training/__main__.py",
    "workshop/pocket/measure/__main__.py",
    "workshop/pocket/world/dog.py",
}


def texts_of(path: Path) -> list[str]:
    """Take out of a module the texts that it can print: not its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings
    ]


def test_every_command_that_is_printed_runs_as_printed() -> None:
    wrong = []
    for path in [*REPO.glob("workshop/**/*.py"), *REPO.glob("presenter/**/*.py")]:
        name = path.relative_to(REPO).as_posix()
        for text in [] if name in NO_REMEDIES else texts_of(path):
            wrong += [f"{name}: {text}"] * bool(UNRUNNABLE.search(text) or VERB.search(text))
    for path in [*REPO.glob("presenter/cues/*.md"), *REPO.glob("notebooks/**/[0-9L]*.ipynb")]:
        found = UNRUNNABLE.search(path.read_text(encoding="utf-8"))
        wrong += [f"{path.name}: {found[0]}"] if found else []
    assert wrong == []


def test_scripts_that_are_printed_are_there() -> None:
    texts = [
        text
        for folder in ("workshop", "presenter")
        for path in REPO.glob(f"{folder}/**/*.py")
        for text in texts_of(path)
    ]
    named = {name for text in texts for name in re.findall(r"\./scripts/(\w+)", text)}
    assert {"setup", "download", "preflight", "presenter"} <= named
    assert [name for name in named if not os.access(REPO / "scripts" / name, os.X_OK)] == []
