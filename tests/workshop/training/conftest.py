"""A training that the tests of this folder look at, each from its side."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.lora_runs import run


@pytest.fixture(scope="session")
def unstopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of STEPS steps in one go, with sample pictures."""
    folder = tmp_path_factory.mktemp("unstopped")
    assert run(folder, "--save_steps", "2", "--sample_steps", "5") == 0
    return folder
