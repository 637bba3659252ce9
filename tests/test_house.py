"""The walls of the house: who may import whom. Each is tried here, and on a house that breaks it."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import house
from workshop.files import REPO

# A house in which every wall stands: each import in it is one that a wall lets through.
SOUND = {
    "workshop/__init__.py": "",
    "workshop/verbs.py": "import sys",
    "workshop/files.py": "from workshop import units",
    "workshop/units.py": "",
    "workshop/prompts.py": "",
    "workshop/models.py": "from workshop.units import GB\nimport torch",
    "workshop/profiles.py": "def register():\n    from workshop.pocket.model import reader",
    "workshop/looking.py": "from workshop.pocket import world",
    "workshop/labs/noise.py": "import workshop.pocket.training.loop",
    "workshop/pocket/__init__.py": "",
    "workshop/pocket/world/draw.py": "from workshop import files, prompts, units\nimport resvg_py",
    "workshop/pocket/world/dog.py": "from workshop.pocket.world.draw import fur",
    "workshop/pocket/model/reader.py": "from workshop import models",
    "workshop/pocket/training/loop.py": "from . import latents\nfrom .. import model",
    "workshop/pocket/training/latents.py": """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from workshop.pocket.training.loop import Loop
""",
    "presenter/__init__.py": "",
    "presenter/hook.py": "import json\nfrom pathlib import Path",
    "presenter/startup.py": "import importlib.util",
    "presenter/schedule.py": "from workshop import units",
    "presenter/console/__init__.py": "",
    "presenter/console/talk.py": "from presenter import schedule\nfrom presenter.console import pages",
    "presenter/console/pages.py": "",
    "tests/support/room.py": "from presenter.console import talk",
    "notebooks/01_setup.ipynb": "%matplotlib inline\nfrom workshop.pocket.world import dog",
}
Wall = Callable[[list[house.Import]], list[str]]
WALLS: list[Wall] = [getattr(house, name) for name in dir(house) if name.startswith("find_")]


def build(root: Path, write_notebook: Callable[..., Path], **changed: str) -> Path:
    for name, text in {**SOUND, **changed}.items():
        if name.endswith(".ipynb"):
            write_notebook(root / name, text)
        else:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def imports() -> list[house.Import]:
    """Every import of this repository."""
    return house.read_imports(REPO)


def test_only_profiles_looking_and_labs_lead_into_the_pocket(imports: list[house.Import]) -> None:
    assert house.find_other_doors(imports) == []


def test_the_pockets_world_stands_on_prompts_files_and_units_alone(imports: list[house.Import]) -> None:
    assert house.find_climbs_of_the_world(imports) == []


def test_nothing_needs_the_presenter_but_the_presenter(imports: list[house.Import]) -> None:
    assert house.find_users_of_the_presenter(imports) == []


def test_nothing_needs_the_console_but_the_console(imports: list[house.Import]) -> None:
    assert house.find_users_of_the_console(imports) == []


def test_the_kernel_hook_runs_in_any_python(imports: list[house.Import]) -> None:
    assert house.find_packages_in_the_hook(imports) == []
    assert {one.importer for one in imports} >= house.KERNEL_HOOK


def test_no_notebook_imports_the_training_of_the_pocket(imports: list[house.Import]) -> None:
    assert house.find_trainers_in_notebooks(imports) == []


def test_the_ground_floor_stands_on_itself(imports: list[house.Import]) -> None:
    assert house.find_climbs_of_the_ground_floor(imports) == []
    assert all((REPO / f"{name.replace('.', '/')}.py").is_file() for name in house.GROUND_FLOOR)


def test_no_two_files_import_each_other(imports: list[house.Import]) -> None:
    assert house.find_circles(imports) == []


def test_all_of_the_house_is_read(imports: list[house.Import]) -> None:
    files = {one.file for one in imports}
    assert {"workshop/profiles.py", "presenter/console/talk.py", "tests/support/house.py"} <= files
    assert {f"notebooks/{path.name}" for path in (REPO / "notebooks").glob("*.ipynb")} <= files
    labs = (REPO / "notebooks" / "labs").glob("*.ipynb")
    assert {f"notebooks/labs/{path.name}" for path in labs} <= files


# A wall that lets everything through would be green as well: so each is broken in a house of its own.


@pytest.mark.parametrize("wall", WALLS, ids=lambda wall: wall.__name__)
def test_a_sound_house_has_no_fault(wall: Wall, tmp_path: Path, write_notebook: Callable[..., Path]) -> None:
    assert wall(house.read_imports(build(tmp_path, write_notebook))) == []


@pytest.mark.parametrize(
    ("wall", "file", "text", "fault"),
    [
        (
            house.find_other_doors,
            "workshop/models.py",
            "\ndef draw():\n    from workshop.pocket.world.draw import fur",
            "workshop/models.py:3 imports workshop.pocket.world.draw",
        ),
        (
            house.find_other_doors,
            "workshop/training/loop.py",
            "from workshop import pocket",
            "workshop/training/loop.py:1 imports workshop.pocket",
        ),
        (
            house.find_other_doors,
            "workshop/lookings.py",
            "import importlib\nimportlib.import_module('workshop.pocket.world.draw')",
            "workshop/lookings.py:2 imports workshop.pocket.world.draw",
        ),
        (
            house.find_climbs_of_the_world,
            "workshop/pocket/world/draw.py",
            "from workshop import models, units",
            "workshop/pocket/world/draw.py:1 imports workshop.models",
        ),
        (
            house.find_climbs_of_the_world,
            "workshop/pocket/world/draw.py",
            "from ..model import reader",
            "workshop/pocket/world/draw.py:1 imports workshop.pocket.model.reader",
        ),
        (
            house.find_users_of_the_presenter,
            "workshop/models.py",
            "import presenter.schedule",
            "workshop/models.py:1 imports presenter.schedule",
        ),
        (
            house.find_users_of_the_presenter,
            "notebooks/01_setup.ipynb",
            "!ls\nfrom presenter import schedule",
            "notebooks/01_setup.ipynb:2 imports presenter.schedule",
        ),
        (
            house.find_users_of_the_console,
            "presenter/schedule.py",
            "try:\n    from presenter.console.talk import Talk\nexcept ImportError:\n    pass",
            "presenter/schedule.py:2 imports presenter.console.talk",
        ),
        (
            house.find_packages_in_the_hook,
            "presenter/hook.py",
            "def before():\n    import psutil",
            "presenter/hook.py:2 imports psutil",
        ),
        (
            house.find_packages_in_the_hook,
            "presenter/startup.py",
            "from workshop import units",
            "presenter/startup.py:1 imports workshop.units",
        ),
        (
            house.find_trainers_in_notebooks,
            "notebooks/labs/L01_noise.ipynb",
            "from workshop.pocket.training import loop",
            "notebooks/labs/L01_noise.ipynb:1 imports workshop.pocket.training.loop",
        ),
        (
            house.find_climbs_of_the_ground_floor,
            "workshop/units.py",
            "from workshop import models",
            "workshop/units.py:1 imports workshop.models",
        ),
        (
            house.find_circles,
            "workshop/units.py",
            "def late():\n    from workshop.files import REPO",
            "workshop.files ↔ workshop.units",
        ),
        (
            house.find_circles,
            "presenter/console/pages.py",
            "from presenter.schedule import plan\nfrom presenter import console\nfrom . import talk",
            "presenter.console.pages ↔ presenter.console.talk",
        ),
        (
            house.find_circles,
            "workshop/prompts.py",
            "from workshop.pocket.world import dog",
            "workshop.pocket.world.dog ↔ workshop.pocket.world.draw ↔ workshop.prompts",
        ),
        (
            house.find_circles,
            "workshop/pocket/training/latents.py",
            "from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n    from . import loop",
            "workshop.pocket.training.latents ↔ workshop.pocket.training.loop",
        ),
    ],
)
def test_a_broken_wall_is_reported(
    wall: Wall, file: str, text: str, fault: str, tmp_path: Path, write_notebook: Callable[..., Path]
) -> None:
    assert wall(house.read_imports(build(tmp_path, write_notebook, **{file: text}))) == [fault]


def test_every_wall_was_broken() -> None:
    (mark,) = test_a_broken_wall_is_reported.pytestmark
    assert {case[0] for case in mark.args[1]} == set(WALLS)


def find_noun_docstrings(source: str) -> list[str]:
    """List functions, properties aside, whose docstring begins with no verb of what they do."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            is_property = any("property" in ast.unparse(one) for one in node.decorator_list)
            words = (ast.get_docstring(node) or "").split()
            if words and words[0] in ("Say", "Says", "Whether", "The") and not is_property:
                found.append(node.name)
    return found


def test_a_functions_docstring_begins_with_what_it_does() -> None:
    broken = 'def f():\n    """Say it."""\n\n@property\ndef g():\n    """The name."""\n'
    assert find_noun_docstrings(broken) == ["f"]
    later = {"workshop/pocket/world/draw.py"}  # the renderer for the next weights replaces it
    paths = [path for room in ("workshop", "presenter") for path in sorted((REPO / room).rglob("*.py"))]
    texts = {path.relative_to(REPO).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    found = {name: find_noun_docstrings(text) for name, text in texts.items() if name not in later}
    assert {name: ones for name, ones in found.items() if ones} == {}
