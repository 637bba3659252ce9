"""What the tests share: a clean environment, tiny notebooks, and no GPU tests where there is no GPU."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import notebooks
from workshop import files, profiles


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `gpu` where no GPU driver is; the check itself must not import torch."""
    if any(Path(sign).exists() for sign in profiles.GPU_SIGNS):
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no GPU driver on this machine"))


@pytest.fixture
def repo() -> Path:
    return files.REPO


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep a developer's own settings out of the tests, and the tests' pictures out of the repository."""
    for name in ("WORKSHOP_PROFILE", "WORKSHOP_MODELS", "WORKSHOP_STACK", "WORKSHOP_INSTALLER", "PYTHON"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORKSHOP_PICTURES", str(tmp_path / "pictures"))
    monkeypatch.setenv("WORKSHOP_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.delenv("WORKSHOP_TRAINING_OF", raising=False)


@pytest.fixture(scope="module", autouse=True)
def no_pipeline_left() -> Iterator[None]:
    """Free what a test file loaded: which file comes next in this process depends on the machine's cores."""
    yield
    loading = sys.modules.get("workshop.loading")
    if loading is not None and loading.loaded():
        loading.free()


@pytest.fixture(scope="session")
def write_notebook() -> Callable[..., Path]:
    """Give the function that writes a notebook."""
    return notebooks.write
