"""What the tests share: a clean environment, tiny notebooks, and no GPU tests where there is no GPU."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from workshop import profiles

PARAMETERS = ('profile = "auto"', ["parameters"])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `gpu` where no GPU driver is; the check itself must not import torch."""
    if any(Path(sign).exists() for sign in profiles.GPU_SIGNS):
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no GPU driver on this machine"))


@pytest.fixture
def repo() -> Path:
    return profiles.REPO


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep a developer's own settings out of the tests, and the tests' pictures out of the repository."""
    for name in ("WORKSHOP_PROFILE", "WORKSHOP_MODELS", "WORKSHOP_STACK", "WORKSHOP_INSTALLER", "PYTHON"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORKSHOP_PICTURES", str(tmp_path / "pictures"))
    monkeypatch.setenv("WORKSHOP_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.delenv("WORKSHOP_TRAINING_OF", raising=False)


@pytest.fixture(scope="session")
def write_notebook() -> Callable[..., Path]:
    """Give a function that writes a notebook: a text that begins with # is Markdown, any other is code.

    A pair is a cell's text and its tags.
    """

    def write(path: Path, *cells: str | tuple[str, list[str]]) -> Path:
        written = []
        for number, cell in enumerate(cells):
            source, tags = cell if isinstance(cell, tuple) else (cell, [])
            kind = "markdown" if source.startswith("#") else "code"
            base = {"cell_type": kind, "id": f"cell-{number}", "metadata": {"tags": tags}, "source": source}
            written.append(base if kind == "markdown" else base | {"execution_count": None, "outputs": []})
        path.parent.mkdir(parents=True, exist_ok=True)
        notebook = {"cells": written, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        path.write_text(json.dumps(notebook), encoding="utf-8")
        return path

    return write
