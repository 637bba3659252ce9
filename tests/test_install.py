"""The set-up: what is pinned, that the files agree, and what ./scripts/setup does."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from workshop import notebooks

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYTHONS = ("3.10.13", "3.11.7", "3.12.1", "3.13.0")
# The distribution an import comes from, where the names differ; the last three are what ipykernel is made of.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "resvg_py": "resvg-py",
    "huggingface_hub": "huggingface-hub",
    "IPython": "ipykernel",
    "traitlets": "ipykernel",
    "jupyter_client": "ipykernel",
}
# What the labs' packages bring; ./scripts/setup --labs installs them, at the versions of constraints.txt.
ONLY_LABS = {
    "cloudpickle",
    "diffusers",
    "importlib-metadata",
    "joblib",
    "lazy-importer",
    "mlxtend",
    "narwhals",
    "scikit-learn",
    "scipy",
    "threadpoolctl",
    "zipp",
}
NOT_ON_THE_INDEX = {"amdsmi"}  # ROCm brings it
ONLY_CUDA = re.compile(r"triton|cuda-[a-z]+|nvidia-[a-z0-9-]+")


def environment(python: str) -> dict[str, str]:
    """Describe the kind of machine the workshop is for: 64-bit Linux, and this Python."""
    return {
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
        "implementation_name": "cpython",
    }


def lines(path: Path) -> list[str]:
    return [
        text for text in path.read_text(encoding="utf-8").splitlines() if text and not text.startswith("#")
    ]


def requirements(path: Path) -> list[Requirement]:
    return [Requirement(text) for text in lines(path) if not text.startswith("--")]


def versions(wanted: list[Requirement], *, python: str) -> dict[str, str]:
    """Say what one Python gets of these, as name: version; fails if a name would get two versions."""
    found: dict[str, str] = {}
    for one in wanted:
        if one.marker is None or one.marker.evaluate(environment(python)):
            name = canonicalize_name(one.name)
            assert name not in found, f"{name} has two versions for Python {python}"
            found[name] = str(one.specifier).removeprefix("==")
    return found


@pytest.fixture(scope="module")
def direct() -> list[Requirement]:
    from workshop.files import REPO

    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(text) for group in groups for text in group]


@pytest.fixture
def constraints(repo: Path) -> list[Requirement]:
    return requirements(repo / "constraints.txt")


@pytest.fixture
def rocm(repo: Path) -> list[Requirement]:
    return requirements(repo / "requirements-rocm.txt")


def test_every_requirement_names_one_version_and_no_address(
    direct: list[Requirement], constraints: list[Requirement], rocm: list[Requirement]
) -> None:
    for one in [*direct, *constraints, *rocm]:
        assert re.fullmatch(r"==[0-9][0-9a-z.+]*", str(one.specifier)), one
        assert one.url is None, one


@pytest.mark.parametrize("python", PYTHONS)
def test_constraints_hold_what_pyproject_asks_for(
    python: str, direct: list[Requirement], constraints: list[Requirement]
) -> None:
    asked, held = versions(direct, python=python), versions(constraints, python=python)
    assert asked == {name: held.get(name) for name in asked}


def test_two_torch_releases_serve_all_pythons_each_with_its_torchvision(direct: list[Requirement]) -> None:
    pairs = {(found["torch"], found["torchvision"]) for found in _all(direct)}
    assert pairs == {("2.9.1", "0.24.1"), ("2.15.0", "0.29.2")}


def _all(wanted: list[Requirement]) -> Iterator[dict[str, str]]:
    return (versions(wanted, python=python) for python in PYTHONS)


def test_rocm_builds_are_pinned_by_local_version_from_the_index_that_has_them(
    repo: Path, rocm: list[Requirement]
) -> None:
    options = [text for text in lines(repo / "requirements-rocm.txt") if text.startswith("--")]
    assert len(options) == 1
    flag, index = options[0].split()
    assert flag == "--extra-index-url"
    build = index.rpartition("/")[2]
    for found in _all(rocm):
        assert re.fullmatch(r"rocm\d+\.\d+", build)
        assert Version(found["torch"]).local == Version(found["torchvision"]).local == build


@pytest.mark.parametrize("python", PYTHONS)
def test_rocm_stack_is_the_tested_one_but_for_torch_and_cuda(
    python: str, constraints: list[Requirement], rocm: list[Requirement]
) -> None:
    ours, theirs = versions(constraints, python=python), versions(rocm, python=python)
    for name in ("torch", "torchvision"):
        del ours[name], theirs[name]
    assert theirs.pop("pytorch-triton-rocm")
    same = {name: version for name, version in ours.items() if not ONLY_CUDA.fullmatch(name)}
    assert theirs == {name: version for name, version in same.items() if name not in ONLY_LABS}
    assert set(same) - set(theirs) <= ONLY_LABS


def test_python_3_10_runs_the_torch_release_of_the_rocm_stack(
    direct: list[Requirement], rocm: list[Requirement]
) -> None:
    ours, theirs = versions(direct, python="3.10.13"), versions(rocm, python="3.10.13")
    for name in ("torch", "torchvision"):
        assert Version(theirs[name]).public == ours[name]


def test_amdsmi_is_not_taken_from_the_package_index(
    direct: list[Requirement], constraints: list[Requirement], rocm: list[Requirement]
) -> None:
    assert "amdsmi" not in {one.name for one in [*direct, *constraints, *rocm]}


def test_these_tests_run_on_the_pinned_versions(
    constraints: list[Requirement], rocm: list[Requirement]
) -> None:
    stack = rocm if "rocm" in metadata.version("torch") else constraints
    pinned = versions(stack, python=sys.version.split()[0])
    here = {canonicalize_name(one.metadata["Name"]): one.version for one in metadata.distributions()}
    differ = {
        name: f"{here[name]}, pinned {pinned[name]}"
        for name in pinned.keys() & here.keys()
        # a build from another index adds a local label, such as 2.15.0+cpu
        if Version(here[name]) != Version(pinned[name]) and Version(here[name]).public != pinned[name]
    }
    assert not differ


def test_everything_our_code_imports_is_a_direct_dependency(repo: Path, direct: list[Requirement]) -> None:
    declared = {canonicalize_name(one.name) for one in direct}
    undeclared = {
        f"{name} ({path.relative_to(repo)})"
        for path in [*sources(repo), *notebooks.find(), *notebooks.find(notebooks.LABS)]
        for name in imported(path)
        if name not in sys.stdlib_module_names
        and name not in {"workshop", "presenter", "tests", "tomli"} | NOT_ON_THE_INDEX
        and canonicalize_name(DISTRIBUTIONS.get(name, name)) not in declared
    }
    assert not undeclared


def sources(repo: Path) -> list[Path]:
    return sorted(
        path for folder in ("workshop", "presenter", "tests") for path in repo.glob(f"{folder}/**/*.py")
    )


def imported(path: Path) -> set[str]:
    """List the top-level names that a module's or a notebook's code imports."""
    if path.suffix == ".ipynb":
        code = "\n".join(cell.source for cell in notebooks.read(path).code)
        text = re.sub(r"^\s*[%!].*$", "", code, flags=re.MULTILINE)
    else:
        text = path.read_text(encoding="utf-8")
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_every_script_is_executable_and_parses(repo: Path) -> None:
    scripts = [*sorted((repo / "scripts").iterdir()), repo / ".ci" / "run"]
    assert len(scripts) > 5
    for script in scripts:
        assert os.access(script, os.X_OK), f"chmod +x {script}"
        assert subprocess.run(["bash", "-n", str(script)]).returncode == 0


def run_script(folder: Path, name: str, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", f"scripts/{name}", *words],
        cwd=folder,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=120,
    )


SCRIPTS = sorted(path.name for path in (Path(__file__).parents[1] / "scripts").iterdir())


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("word", ["--help", "-h"])
def test_script_asked_for_help_says_what_it_does_and_touches_nothing(
    name: str, word: str, repo: Path, tmp_path: Path
) -> None:
    shutil.copytree(repo / "scripts", tmp_path / "scripts")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks/01_setup.ipynb").write_text("not even JSON")
    before = sorted(tmp_path.rglob("*"))
    done = run_script(tmp_path, name, word)
    assert (done.returncode, done.stderr) == (0, "")
    comment = (repo / "scripts" / name).read_text(encoding="utf-8").splitlines()[1]
    assert comment.removeprefix("# ") in done.stdout
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "name", [one for one in SCRIPTS if one not in ("test", "lab", "rehearse_full_size")]
)  # pytest's, JupyterLab's, and a folder's name
def test_script_ends_with_2_for_a_word_that_it_does_not_know(name: str, repo: Path) -> None:
    done = run_script(repo, name, "nonsense")
    assert done.returncode == 2, done.stdout
    assert "nonsense" in done.stderr or name == "setup"


def test_lab_tells_root_why_it_does_not_start(repo: Path, tmp_path: Path) -> None:
    shutil.copytree(repo / "scripts", tmp_path / "scripts")
    (tmp_path / "bin").mkdir()
    for path, code in (
        (tmp_path / "scripts/setup", ""),
        (tmp_path / ".venv/bin/python", 'echo "started $*"'),
        (tmp_path / "bin/id", "echo $USER_ID"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/bash\n{code}\n")
        path.chmod(0o755)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    for user, words, told in (("0", (), True), ("0", ("--allow-root",), False), ("1000", (), False)):
        done = run_script(tmp_path, "lab", *words, PATH=path, USER_ID=user)
        assert done.returncode == 0 and "started -m jupyterlab" in done.stdout
        assert ("As root, in a container, JupyterLab starts only with --allow-root" in done.stderr) == told


class Machine:
    """A copy of the set-up files, with stand-ins for uv and Python that write down how they are called."""

    def __init__(self, repo: Path, folder: Path) -> None:
        self.folder, self.bin, self.log = folder / "copy", folder / "bin", folder / "log"
        (self.folder / "scripts").mkdir(parents=True)
        self.bin.mkdir()
        for name in ("scripts/setup", "pyproject.toml", "constraints.txt", "requirements-rocm.txt"):
            shutil.copy(repo / name, self.folder / name)
        self.stand_in("python3.12", venv="venv --clear")
        self.env = {"PATH": f"{self.bin}:/usr/bin:/bin", "PYTHON": "python3.12", "WORKSHOP_STACK": "default"}

    def stand_in(self, name: str, *, venv: str, fails: str = "nothing") -> None:
        """Make a program that logs its arguments, makes .venv when told to, and fails on one word."""
        self.program(
            self.bin / name,
            'case "$*" in\n'
            f'  -c*) exec {sys.executable} "$@" ;;\n'
            f'  *"{venv}"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python; cp "$0" .venv/bin/pip ;;\n'
            f'  *"{fails}"*) exit 1 ;;\n'
            "esac",
            logged=name,
        )

    def program(self, path: Path, code: str, *, logged: str) -> None:
        path.write_text(f'#!/bin/bash\necho "{logged} $*" >>{self.log}\n{code}\n')
        path.chmod(0o755)

    def setup(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "scripts/setup", *arguments],
            cwd=self.folder,
            env=self.env | env,
            capture_output=True,
            text=True,
            timeout=30,
        )

    def calls(self, *words: str) -> list[str]:
        """Give the logged calls that hold one of these words, and start the log anew."""
        logged = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.write_text("")
        return [call for call in logged if any(word in call for word in words)]


@pytest.fixture
def machine(repo: Path, tmp_path: Path) -> Machine:
    return Machine(repo, tmp_path)


def test_setup_uses_uv_where_it_is(machine: Machine) -> None:
    machine.stand_in("uv", venv="venv")
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    assert [call.split()[:3] for call in machine.calls("uv venv", "uv pip")] == [
        ["uv", "venv", "--quiet"],
        ["uv", "pip", "install"],
    ]


def test_second_setup_does_nothing_until_a_pinned_version_changes(machine: Machine) -> None:
    machine.stand_in("uv", venv="venv")
    machine.setup()
    assert machine.calls("install")
    again = machine.setup()
    assert (again.returncode, again.stderr) == (0, "")
    assert not machine.calls("venv", "pip")
    with (machine.folder / "constraints.txt").open("a") as file:
        file.write("another==1.0\n")
    machine.setup()
    assert machine.calls("install")


def test_setup_refuses_an_installer_that_it_does_not_know(machine: Machine) -> None:
    done = machine.setup(WORKSHOP_INSTALLER="conda")
    assert (done.returncode, done.stderr) == (2, "WORKSHOP_INSTALLER must be uv or pip, got 'conda'.\n")


def test_setup_that_failed_is_not_taken_for_done(machine: Machine) -> None:
    machine.stand_in("python3.12", venv="venv --clear", fails="pip install")
    failed = machine.setup(WORKSHOP_INSTALLER="pip")
    assert failed.returncode == 1
    assert "The set-up failed; the lines above say why." in failed.stderr
    machine.calls("")
    machine.setup(WORKSHOP_INSTALLER="pip")
    assert machine.calls("pip install")


def test_setup_falls_back_to_venv_and_pip_where_uv_cannot_be_installed(machine: Machine) -> None:
    machine.stand_in("python3.12", venv="venv --clear", fails="--target .uv")
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    calls = machine.calls("pip install", "venv")
    assert "--target .uv" in calls[0]
    assert "-m venv --clear .venv" in calls[1]
    assert calls[2].endswith("-m pip install -c constraints.txt -e .[test]")


def test_setup_tries_pip_when_uv_fails(machine: Machine) -> None:
    machine.stand_in("uv", venv="no such word", fails="venv --quiet")
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    assert "uv could not do it; trying again with pip." in done.stderr
    assert machine.calls("-m pip install -c constraints.txt")


def test_setup_installs_the_labs_packages_only_when_it_is_asked_to_and_once(machine: Machine) -> None:
    machine.stand_in("uv", venv="venv")
    assert machine.setup().returncode == 0
    assert not [call for call in machine.calls("uv pip") if "labs-wanted" in call]
    done = machine.setup("--labs")
    assert done.returncode == 0, done.stderr
    (call,) = machine.calls("uv pip")
    assert call.endswith("-r .venv/labs-wanted.txt -c .venv/labs-pinned.txt")
    wanted = (machine.folder / ".venv/labs-wanted.txt").read_text(encoding="utf-8")
    assert re.fullmatch(r"diffusers==.+\nmlxtend==.+\n", wanted)
    pinned = (machine.folder / ".venv/labs-pinned.txt").read_text(encoding="utf-8")
    assert "scipy==" in pinned and not re.search(r"^torch(vision)?==", pinned, re.MULTILINE)
    for words in ((), ("--labs",)):
        assert machine.setup(*words).returncode == 0
        assert machine.calls("uv pip") == []


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_rocm_machine_gets_the_rocm_stack_and_not_the_constraints(machine: Machine, installer: str) -> None:
    machine.stand_in("uv", venv="venv")
    plan = machine.setup("--dry-run", WORKSHOP_STACK="rocm", WORKSHOP_INSTALLER=installer).stdout
    assert "-r requirements-rocm.txt" in plan and "--no-deps -e ." in plan
    assert "constraints.txt" not in plan
    assert ("--index-strategy unsafe-best-match" in plan) == (installer == "uv")
    assert not (machine.folder / ".venv").exists()


@pytest.mark.parametrize("python", ["python3.9", "nonsense"])
def test_setup_takes_no_other_python_than_the_one_that_was_named(machine: Machine, python: str) -> None:
    machine.program(machine.bin / "python3.9", "exit 1", logged="python3.9")
    machine.stand_in("uv", venv="venv")
    for done_before in (False, True):
        done = machine.setup(PYTHON=python)
        assert done.returncode == 1
        assert f"needs Python 3.10, 3.11, 3.12 or 3.13; {python} is not one of them" in done.stderr
        assert "PYTHON=/path/to/python3.12" in done.stderr
        if not done_before:
            machine.setup()


def test_setup_refuses_an_unknown_stack(machine: Machine) -> None:
    done = machine.setup(WORKSHOP_STACK="cuda")
    assert done.returncode == 2
    assert "WORKSHOP_STACK must be rocm or default, got 'cuda'." in done.stderr


class Checks(Machine):
    """A copy of ./scripts/test among stand-ins: nothing of the machine's own but the tools that it needs."""

    TOOLS = ("bash", "cp", "dirname", "env", "grep", "mkdir", "mktemp", "rm", "sed", "true")

    def __init__(self, repo: Path, folder: Path) -> None:
        super().__init__(repo, folder)
        shutil.copy(repo / "scripts/test", self.folder / "scripts")
        (self.folder / ".venv/bin").mkdir(parents=True)
        (self.folder / "notebooks").mkdir()
        (self.folder / "notebooks/01_setup.ipynb").write_text("nbval-check-output")
        self.program(self.folder / "scripts/lint", "", logged="lint")
        self.program(self.folder / "scripts/setup", "", logged="setup")
        self.program(self.folder / ".venv/bin/python", "", logged="python")
        for tool in self.TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.program(self.bin / "timeout", 'shift; exec "$@"', logged="timeout")
        self.user(0)
        self.env = {"PATH": str(self.bin)}

    def user(self, number: int) -> None:
        self.program(self.bin / "id", f"echo {number}", logged="id")

    def test(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [shutil.which("bash"), "scripts/test", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, done.stderr
        assert "python -m pytest" in self.log.read_text()  # whatever became of the browser
        return done


@pytest.fixture
def checks(repo: Path, tmp_path: Path) -> Checks:
    return Checks(repo, tmp_path)


@pytest.mark.parametrize("number", [0, 1000])
def test_tests_install_chromium_where_nobody_is_asked_for_a_password(checks: Checks, number: int) -> None:
    checks.user(number)
    checks.program(checks.bin / "apt-get", '[ "$DEBIAN_FRONTEND" = noninteractive ]', logged="apt-get")
    checks.program(checks.bin / "sudo", 'shift; exec "$@"', logged="sudo")
    done = checks.test()
    assert done.stderr == "Installing Chromium for the browser tests.\n"
    update, install = (call.split() for call in checks.calls("apt-get -qq") if call.startswith("apt-get"))
    assert "update" in update and install[-4:] == ["install", "--yes", "--no-install-recommends", "chromium"]


def test_tests_ask_apt_for_nothing_where_a_browser_is_or_only_some_tests_run(checks: Checks) -> None:
    checks.program(checks.bin / "apt-get", "", logged="apt-get")
    checks.test("-k", "run")
    checks.program(checks.bin / "chromium", "", logged="chromium")
    checks.test()
    assert checks.calls("apt-get") == []


@pytest.mark.parametrize(
    ("number", "programs", "said"),
    [
        (0, {}, ""),
        (
            0,
            {"apt-get": "exit 100"},
            "could not be installed: the browser tests will skip. What is wrong says:",
        ),
        (1000, {"apt-get": "", "sudo": "exit 1"}, "would ask for a password: the browser tests will skip."),
        (1000, {"apt-get": ""}, "would ask for a password: the browser tests will skip."),
    ],
)
def test_tests_run_where_chromium_cannot_be_installed(
    checks: Checks, number: int, programs: dict[str, str], said: str
) -> None:
    checks.user(number)
    for name, code in programs.items():
        checks.program(checks.bin / name, code, logged=name)
    done = checks.test()
    assert said in done.stderr and bool(done.stderr) == bool(said)
