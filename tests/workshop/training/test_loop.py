"""A training: refused before anything loads, and a run that was stopped ends as one that was not."""

from __future__ import annotations

import json
import math
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.lora_runs import SMALL, STEPS, demand_equal, run, write_data
from workshop import files, loading, lora, profiles
from workshop.training import checkpoint, dataset, live, loop, losses
from workshop.training.checkpoint import TrainingError
from workshop.training.flags import make_parser


def test_faulty_data_end_the_command_before_torch_is_imported(tmp_path: Path) -> None:
    write_data(tmp_path / "data", "gone.png,a dog", "good.png,")
    code = (
        "import sys; from workshop.training import loop; "
        "print(loop.main(sys.argv[1:]), 'torch' in sys.modules)"
    )
    arguments = [
        *SMALL,
        "--dataset_base_path",
        str(tmp_path / "data"),
        "--output_path",
        str(tmp_path / "run"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=files.REPO
    )
    assert done.stdout.endswith("1 False\n"), done.stderr
    assert "the data set has 2 faults:" in done.stderr
    assert "row 1, gone.png" in done.stderr and "row 2, good.png: the prompt is empty" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_in_the_way_is_neither_deleted_nor_mixed_with_a_new_one(tmp_path: Path) -> None:
    facts = {"step": "3", "settings": json.dumps({"lora_rank": 32})}
    checkpoint.save(tmp_path / checkpoint.FILE, {f"{checkpoint.NETWORK}a": torch.zeros(1)}, facts)
    (tmp_path / "step-3.safetensors").write_bytes(b"x")
    plain, resume, restart = (make_parser().parse_args(one) for one in ([], ["--resume"], ["--restart"]))
    with pytest.raises(TrainingError, match=r"Go on with it: --resume. Delete it: --restart"):
        loop.prepare_folder(tmp_path, plain, {})
    with pytest.raises(TrainingError, match="lora_rank: 32 before, 16 now"):
        loop.prepare_folder(tmp_path, resume, {"lora_rank": 16})
    assert (tmp_path / "step-3.safetensors").exists()
    assert loop.prepare_folder(tmp_path, restart, {}) == 0
    assert [one.name for one in tmp_path.iterdir()] == []
    with pytest.raises(TrainingError, match=r"no whole checkpoint at .* Begin without --resume"):
        loop.prepare_folder(tmp_path, resume, {})


def test_a_checkpoint_with_the_names_of_an_earlier_version_is_refused_before_anything_is_done(
    tmp_path: Path,
) -> None:
    facts = {"step": "3", "settings": "{}"}
    checkpoint.save(tmp_path / checkpoint.FILE, {"weight.a": torch.zeros(1)}, facts)
    with pytest.raises(TrainingError, match=r"of an earlier version .* into another --output_path"):
        loop.prepare_folder(tmp_path, make_parser().parse_args(["--resume"]), {})


def test_what_a_killed_process_had_begun_to_write_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".checkpoint.safetensors-abc.part").write_bytes(b"half")
    loop.prepare_folder(tmp_path, make_parser().parse_args([]), {})
    assert list(tmp_path.iterdir()) == []


def test_a_run_leaves_lora_losses_curve_samples_and_settings(unstopped: Path) -> None:
    names = {path.name for path in unstopped.iterdir()}
    assert {"step-2.safetensors", "step-4.safetensors", "step-5.safetensors"} <= names
    assert {checkpoint.FILE, dataset.ENCODED, "loss.csv", "loss.png", "training_args.json"} <= names
    assert len(losses.read(unstopped / "loss.csv")) == STEPS
    assert list(live.open_samples(unstopped)) == [0, STEPS]
    assert json.loads((unstopped / "training_args.json").read_text())["lora_rank"] == 4


# Stops a run after three steps, once by each signal: by two that ask, and by one that no process survives.
# Each run is a process of its own, forked from one that has imported everything, because that takes longest.
STOP = """
import os, sys
from pathlib import Path
import accelerate, diffsynth.diffusion, diffsynth.pipelines.qwen_image
from workshop.training import checkpoint, losses, loop

for number in map(int, sys.argv[2].split()):
    folder = Path(sys.argv[1]) / str(number)
    log = folder / losses.FILE
    child = os.fork()
    if not child:
        stop = lambda: len(losses.read(log)) == 3 and os.kill(os.getpid(), number)
        checkpoint.is_orphaned = stop
        os._exit(loop.main([*sys.argv[3:], "--output_path", str(folder)]))
    print("ended", number, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
SIGNALS = {
    signal.SIGTERM: (128 + signal.SIGTERM, "3"),  # exit code, and the step that its checkpoint goes on from
    signal.SIGINT: (128 + signal.SIGINT, "3"),
    signal.SIGKILL: (-signal.SIGKILL, "2"),
}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Stop a run by each signal; give the folder of their folders, and what was printed."""
    folder = tmp_path_factory.mktemp("stopped")
    numbers = " ".join(str(int(number)) for number in SIGNALS)
    arguments = [str(folder), numbers, *SMALL, "--dataset_repeat", "1", "--save_steps", "2"]
    done = subprocess.run(
        [sys.executable, "-c", STOP, *arguments], capture_output=True, text=True, cwd=files.REPO, timeout=900
    )
    return folder, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_a_run_that_was_stopped_or_killed_goes_on_to_the_same_bits(
    number: signal.Signals, stopped: tuple[Path, str], unstopped: Path
) -> None:
    code, saved = SIGNALS[number]
    folder = stopped[0] / str(int(number))
    assert f"ended {int(number)} {code}\n" in stopped[1]
    assert checkpoint.read_facts(folder / checkpoint.FILE)["step"] == saved
    assert run(folder, "--save_steps", "2", "--resume") == 0
    demand_equal(folder, unstopped)


def test_a_run_that_goes_on_twice_in_two_epochs_ends_as_one_that_did_not(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(whole, "--num_epochs", "2") == 0
    assert run(parts, "--num_epochs", "1") == 0  # then one epoch more, which begins at its first picture
    assert run(parts, "--num_epochs", "2", "--resume") == 0
    demand_equal(parts, whole, steps=2 * STEPS)


def test_another_seed_gives_another_run(unstopped: Path, tmp_path: Path) -> None:
    assert run(tmp_path, "--seed", "1") == 0
    assert losses.read(tmp_path / "loss.csv") != losses.read(unstopped / "loss.csv")


def test_a_disk_that_fills_up_ends_the_run_and_keeps_what_it_has(
    unstopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    writing = checkpoint.write

    def full(path: Path, content: bytes) -> None:
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        if path.name == "step-4.safetensors":
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
        try:
            writing(path, content)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)

    monkeypatch.setattr(checkpoint, "write", full)
    assert run(tmp_path, "--save_steps", "2") == 1
    assert "step-4.safetensors could not be written" in capsys.readouterr().err
    assert checkpoint.read_facts(tmp_path / checkpoint.FILE)["step"] == "2"
    assert not list(tmp_path.glob(".*.part"))
    monkeypatch.undo()
    assert run(tmp_path, "--save_steps", "2", "--resume", "--profile", "pocket") == 0
    demand_equal(tmp_path, unstopped)


def test_a_loss_that_is_no_number_stops_the_run_and_saves_nothing_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--learning_rate", "1e30", "--save_steps", "1", "--dataset_repeat", "2") == 1
    said = capsys.readouterr()
    assert "at a rate of 1e+30: steps were too long" in said.err and "At step 2" in said.err
    assert "The LoRA is in" not in said.out
    saved = sorted(tmp_path.glob("step-*.safetensors"))
    assert [path.name for path in saved] == ["step-1.safetensors"]
    assert all(tensor.isfinite().all() for path in saved for tensor in load_file(path).values())
    assert len(losses.read(tmp_path / losses.FILE)) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_number_is_told_with_step_rate_and_remedy(value: float) -> None:
    loop.demand_number(0.5, step=3, rate=0.1)
    words = rf"At step 3 a weight became {value}, at a rate of 0.1: .*--learning_rate below 0.1"
    with pytest.raises(TrainingError, match=words):
        loop.demand_number(value, step=3, rate=0.1, what="a weight")


def test_room_is_asked_for_before_the_first_step_and_the_remedy_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loop.shutil, "disk_usage", lambda _: SimpleNamespace(free=3_000_000))
    assert run(tmp_path, "--save_steps", "2") == 1
    said = capsys.readouterr().err
    assert "has 3.0 MB free, and the run needs" in said and ": 3 LoRAs of " in said
    assert "No step was made. Make room there, " in said and "then begin without --resume." in said
    assert not losses.read(tmp_path / losses.FILE) and not list(tmp_path.glob("step-*"))
    monkeypatch.undo()
    before = count_bytes(tmp_path)
    assert run(tmp_path, "--save_steps", "2", "--profile", "pocket") == 0  # what the message says
    needed = re.search(r"needs (\d+\.\d) MB", said)
    assert needed and count_bytes(tmp_path) - before < 1e6 * float(needed[1])


def count_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def test_a_training_that_saved_nothing_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import diffsynth.diffusion

    monkeypatch.setattr(diffsynth.diffusion, "launch_training_task", lambda *_, **__: None)
    assert run(tmp_path) == 1
    assert "0 steps were made, and" in capsys.readouterr().err


def write_lora(path: Path, layers: dict[str, tuple[int, int]], *, rank: int, value: float = 0.0) -> Path:
    """Write a LoRA for layers of these rows and columns."""
    tensors = {}
    for name, (rows, columns) in layers.items():
        tensors[f"{name}.lora_A.default.weight"] = torch.full((rank, columns), value)
        tensors[f"{name}.lora_B.default.weight"] = torch.zeros(rows, rank)
    save_file(tensors, path)
    return path


QUERY = ".to_q"  # the layers that the LoRAs below are for
STARTS = {
    "a foreign model": (QUERY, 4, 0.0, (), "is a LoRA for another model: 0 of its 1 layers fit"),
    "another rank": (QUERY, 2, 0.0, (), "has rank 2, and --lora_rank is 4. Give --lora_rank 2."),
    "other layers": (QUERY, 4, 0.0, ("--lora_target_modules", "to_k"), "layers that would not be trained"),
    "no number": (QUERY, 4, math.nan, (), "holds a weight that is no number"),
}


@pytest.mark.parametrize("kind", STARTS)
def test_a_lora_to_start_from_is_checked_before_anything_is_encoded(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ending, rank, value, more, said = STARTS[kind]
    here = lora.read_linears("Qwen-Image", profiles.choose("pocket").models)
    layers = {name: size for name, size in here.items() if name.endswith(ending)}
    if kind == "a foreign model":
        layers = {"single_transformer_blocks.0.attn.to_q": (64, 64)}
    path = write_lora(tmp_path / "start.safetensors", layers, rank=rank, value=value)
    monkeypatch.setattr(dataset, "encode_once", lambda *_, **__: pytest.fail("it was encoded"))
    assert run(tmp_path / "run", "--lora_checkpoint", str(path), *more) == 1
    assert said in capsys.readouterr().err


def test_a_start_that_is_not_there_is_refused(tmp_path: Path) -> None:
    options = make_parser().parse_args(["--lora_checkpoint", str(tmp_path / "none.safetensors")])
    with pytest.raises(TrainingError, match=r"--lora_checkpoint cannot be used\. There is no LoRA file"):
        loop.check_start(options, profiles.choose("pocket"))


def test_the_layers_in_the_files_are_those_of_the_model() -> None:
    profile = profiles.choose("pocket")
    pipe = loading.read_parts("Qwen-Image", ("dit",), profile=profile)
    here = lora.read_linears("Qwen-Image", profile.models)
    assert lora.list_targets(pipe.dit).items() <= here.items()
