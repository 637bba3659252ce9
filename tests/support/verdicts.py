"""What an exercise's check prints."""

from __future__ import annotations

import pytest

from workshop import exercises


def verdict(name: str, answer: object, *context: object, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the check of that exercise prints for an answer."""
    exercises.check(name, answer, *context)
    return capsys.readouterr().out
