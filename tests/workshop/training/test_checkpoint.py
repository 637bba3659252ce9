"""Checkpoints: whole or not at all, and one training a folder."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lora_runs import run
from tests.support.machines import MACHINE
from workshop.training import checkpoint, live, loop
from workshop.training.checkpoint import TrainingError
from workshop.training.flags import make_parser


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


@pytest.mark.parametrize("name", ["step-2.safetensors", "samples/step-00000.png"])
def test_a_disk_that_is_full_at_the_first_save_advises_what_will_work(name: str, tmp_path: Path) -> None:
    with (
        pytest.raises(TrainingError, match=r"kB\)\. Make room there, then begin without --resume\."),
        small_files(1000),
    ):
        checkpoint.write(tmp_path / name, bytes(5000))
    assert loop.prepare_folder(tmp_path, make_parser().parse_args([]), {}) == 0


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


def write_other_work(folder: Path) -> dict[str, str]:
    """Fill a folder as DiffSynth's own training or a photographer leaves it; give names and contents."""
    others = {"step-500.safetensors": "lora", "samples/holiday.jpg": "photo", "loss.csv": "mine"}
    others |= {"sub/.film.part": "half"}
    for name, content in others.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return others


def list_files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("flag", ["--save_steps=50", "--restart", "--resume"])
def test_a_folder_with_other_things_is_refused_and_nothing_in_it_is_touched(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = write_other_work(tmp_path)
    assert run(tmp_path, flag) == 1
    said = capsys.readouterr().err
    assert "wrote: loss.csv, samples, step-500.safetensors and 1 more. Nothing in it was touched" in said
    assert list_files(tmp_path) == others


def test_watching_a_training_writes_no_log_into_a_folder_of_other_things(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(TrainingError, match=r"wrote: notes\.txt\. Nothing"):
        live.follow_command(["false"], tmp_path, profile=MACHINE)
    assert list_files(tmp_path) == {"log.txt": "mine", "notes.txt": "mine"}


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file", encoding="utf-8")
    with pytest.raises(TrainingError, match="is a file, and a training writes a folder"):
        checkpoint.demand_own(tmp_path / "run")


def test_deleting_a_run_deletes_what_a_training_wrote_and_nothing_else(tmp_path: Path) -> None:
    with checkpoint.lock_folder(tmp_path):
        pass
    ours = ("step-5.safetensors", "checkpoint.safetensors", "loss.csv", "samples/step-00005.png")
    parts = (".checkpoint.safetensors-abc_1.part", "samples/.step-00005.png-x.part")
    theirs = ("step-best.safetensors", "notes.txt", "samples/holiday.jpg", ".film.part", "sub/.b-c.part")
    for name in (*ours, *parts, *theirs):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    checkpoint.demand_own(tmp_path)
    checkpoint.clear_parts(tmp_path)
    checkpoint.clear_run(tmp_path)
    assert list_files(tmp_path).keys() == {*theirs, checkpoint.LOCK}
    with pytest.raises(FileNotFoundError, match="Train first"):
        checkpoint.find_lora(tmp_path)


def test_a_run_of_an_earlier_version_is_known_by_its_settings(tmp_path: Path) -> None:
    import torch

    checkpoint.save(tmp_path / checkpoint.FILE, {"a": torch.zeros(1)}, {"step": "1", "settings": "{}"})
    checkpoint.demand_own(tmp_path)


def test_the_remedy_fits_what_is_in_the_folder(tmp_path: Path) -> None:
    import torch

    options = {flag: make_parser().parse_args([flag] * bool(flag)) for flag in ("", "--resume", "--restart")}
    assert checkpoint.suggest(tmp_path) == "begin without --resume"
    assert loop.prepare_folder(tmp_path, options[""], {}) == 0
    (tmp_path / "step-2.safetensors").write_bytes(b"x")  # and no checkpoint: killed between the two
    assert checkpoint.suggest(tmp_path) == "begin anew with --restart"
    with pytest.raises(TrainingError, match=r"There is a run in \S*\. Delete it: --restart\.$"):
        loop.prepare_folder(tmp_path, options[""], {})
    with pytest.raises(TrainingError, match=r"no whole checkpoint at .*\. Begin anew with --restart\.$"):
        loop.prepare_folder(tmp_path, options["--resume"], {})
    assert loop.prepare_folder(tmp_path, options["--restart"], {}) == 0
    tensors, facts = {f"{checkpoint.NETWORK}a": torch.zeros(1)}, {"step": "2", "settings": "{}"}
    checkpoint.save(tmp_path / checkpoint.FILE, tensors, facts)
    assert checkpoint.suggest(tmp_path) == "go on with --resume"
    assert loop.prepare_folder(tmp_path, options["--resume"], {}) == 2
