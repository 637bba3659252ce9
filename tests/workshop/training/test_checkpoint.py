"""Checkpoints: whole or not at all, and one training a folder."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from workshop.training import checkpoint
from workshop.training.checkpoint import TrainingError


@contextlib.contextmanager
def small_files(most: int) -> Iterator[None]:
    """Let this process write no file beyond so many bytes, as on a full disk. Never around a whole test:
    pytest's own report may be such a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_keeps_the_checkpoint_from_before_and_says_so(
    tmp_path: Path,
) -> None:
    import torch

    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, {"a": torch.zeros(10)}, {"step": "1"})
    before = path.read_bytes()
    said = "could not be written: .* The one from before is still whole.*--resume"
    with pytest.raises(TrainingError, match=said), small_files(1000):
        checkpoint.save(path, {"a": torch.ones(1000)}, {"step": "2"})
    assert path.read_bytes() == before and checkpoint.read_facts(path) == {"step": "1"}
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_facts_of_a_file_that_is_cut_short_are_none(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, {"a": torch.zeros(10)}, {"step": "1"})
    path.write_bytes(path.read_bytes()[:-4])
    assert checkpoint.read_facts(path) == {} == checkpoint.read_facts(tmp_path / "none")


def test_two_trainings_cannot_write_to_one_folder(tmp_path: Path) -> None:
    with (
        checkpoint.lock_folder(tmp_path),
        pytest.raises(TrainingError, match="Another training is writing to"),
        checkpoint.lock_folder(tmp_path),
    ):
        pass
    with checkpoint.lock_folder(tmp_path):
        pass


def test_a_run_without_a_lora_has_no_newest(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Train first"):
        checkpoint.find_lora(tmp_path)


def test_a_run_stops_when_the_notebook_that_watches_it_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKSHOP_TRAINING_OF", raising=False)
    assert not checkpoint.is_orphaned()
    monkeypatch.setenv("WORKSHOP_TRAINING_OF", str(os.getppid()))
    assert not checkpoint.is_orphaned()
    monkeypatch.setenv("WORKSHOP_TRAINING_OF", "1" if os.getppid() != 1 else "2")
    assert checkpoint.is_orphaned()
