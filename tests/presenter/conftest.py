"""What the presenter's tests share: the small lesson, and a notebook to hand out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from presenter import runtimes
from presenter.material import Material
from tests.support import handout as handouts
from tests.support.lesson import write_lesson


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Read the small lesson; nothing writes into it."""
    return Material.read(*write_lesson(tmp_path_factory.mktemp("lesson")))


@pytest.fixture
def own_material(tmp_path: Path) -> Material:
    """Read the small lesson from the test's own folder, so that the test may write into it."""
    return Material.read(*write_lesson(tmp_path))


@pytest.fixture
def raw() -> dict[str, Any]:
    """Make a notebook with what students must not get, as in its file."""
    return handouts.make_notebook()


@pytest.fixture(scope="session")
def handout(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Read that notebook and its cue sheet."""
    return handouts.make_material(tmp_path_factory.mktemp("handout"))


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the machine have measured one cell; what the workshop's own cells took changes no test."""
    monkeypatch.setattr(runtimes, "FILE", tmp_path / "runtimes.json")
    runtimes.write("pocket model", handouts.MEASURED)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what is learned out of the repository; the file of the runtimes."""
    monkeypatch.setattr(runtimes, "FILE", tmp_path / "runtimes.json")
    return runtimes.FILE
