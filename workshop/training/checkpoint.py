"""Checkpoints of a training: written whole or not at all, and restored to the last bit.

A checkpoint is one safetensors file. Its tensors are the trained weights and the optimiser's state; its
metadata are step, schedule and settings, as JSON. There is no pickle in it, so opening one runs no code.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop import files, models, profiles, units

if TYPE_CHECKING:
    import torch


FILE = "checkpoint.safetensors"
LOCK, SAMPLES = ".lock", "samples"
MARK = "A training of the Qwen-Image Workshop writes to this folder.\n"  # the content of LOCK
STEP = re.compile(r"step-(\d+)\.(safetensors|png)")
# What a training writes to its folder, by name; whatever else is there is never touched.
OWN = re.compile(
    r"step-\d+\.safetensors|(checkpoint|encoded)\.safetensors|loss\.(csv|png)|training_args\.json"
)
NETWORK, AVERAGE, OPTIMIZER = "net.", "ema.", "opt."  # how the names begin: weights, moving averages, AdamW


class TrainingError(RuntimeError):
    """A training that cannot go on: the message says why, and what to do."""


class Interrupted(Exception):
    """A training that a signal stopped, with everything saved."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {signal.Signals(number).name}")
        self.number = number


# Files


def save(path: Path, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, str] | None = None) -> None:
    """Write tensors and facts to a safetensors file, whole or not at all."""
    write(path, serialise(tensors, facts))


def serialise(tensors: Mapping[str, torch.Tensor], facts: Mapping[str, str] | None = None) -> bytes:
    """Return the content of a safetensors file: tensors of any shape and dtype, and facts beside them."""
    from safetensors.torch import save as to_bytes

    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return to_bytes(on_cpu, dict(facts or {}))


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: what was there before stays until the new one is complete.

    Raises TrainingError if the disk does not take it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as file:
            file.write(content)
    except OSError as error:
        before = "The one from before is still whole. " if path.exists() else ""
        raise TrainingError(
            f"{files.shorten(path)} could not be written: {error.strerror or error} "
            f"(it has {units.gb(len(content))}). {before}Make room there, then {suggest(_run_of(path))}."
        ) from error


def read_facts(path: Path) -> dict[str, str]:
    """Read a safetensors file's facts, without torch; there are none if the file is missing or cut short."""
    try:
        models.read_header(path)
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            return json.loads(file.read(length)).get("__metadata__", {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # damaged JSON is any of these
        return {}


def clear_parts(folder: Path) -> None:
    """Delete the unfinished files of a training that was killed while it wrote."""
    for path in (*folder.glob(f".*{files.PART}"), *(folder / SAMPLES).glob(f".*{files.PART}")):
        name, _, _ = path.name.removeprefix(".").rpartition("-")  # as `files.replacing` makes it
        if (OWN if path.parent == folder else STEP).fullmatch(name):
            path.unlink()


def clear_run(folder: Path) -> None:
    """Delete what a training wrote to its folder, and nothing else; the encoded pictures stay."""
    for path in list(folder.iterdir()):
        if OWN.fullmatch(path.name) and path.name != "encoded.safetensors":
            path.unlink()
    for path in list((folder / SAMPLES).glob("step-*.png")):
        if STEP.fullmatch(path.name):
            path.unlink()
    with contextlib.suppress(OSError):  # something else is in it, or it is not there
        (folder / SAMPLES).rmdir()


def demand_own(folder: Path, *, besides: tuple[str, ...] = ()) -> None:
    """Make sure that a folder is a training's of ours, or new, before anything is written to it.

    besides: names that may be in a new folder, too

    Raises TrainingError if it is a file, or holds other things, with the first of them.
    """
    where = files.shorten(folder)
    if folder.exists() and not folder.is_dir():
        raise TrainingError(f"{where} is a file, and a training writes a folder. Take another --output_path.")
    if not folder.exists() or _is_own(folder):
        return
    others = sorted(
        path.name
        for path in folder.iterdir()
        if path.name not in besides and not (path.name == LOCK and not path.stat().st_size)
    )
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise TrainingError(
            f"{where} holds things that no training of this workshop wrote: {', '.join(others[:3])}{more}. "
            "Nothing in it was touched. Take another --output_path, or an empty folder."
        )


def suggest(folder: Path) -> str:
    """Return how the command goes on in a run's folder, as it stands: a remedy that works."""
    if "step" in read_facts(folder / FILE):
        return "go on with --resume"
    begun = (folder / FILE).exists() or any(STEP.fullmatch(path.name) for path in folder.glob("step-*"))
    return "begin anew with --restart" if begun else "begin without --resume"


def _run_of(path: Path) -> Path:
    return path.parents[1] if path.parent.name == SAMPLES else path.parent


def _is_own(folder: Path) -> bool:
    """Return whether a training of ours wrote to this folder; earlier versions left no mark, but settings."""
    try:
        marked = (folder / LOCK).read_text(encoding="utf-8") == MARK
    except (OSError, UnicodeError):
        marked = False
    return marked or "settings" in read_facts(folder / FILE)


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Lock a run's folder against other trainings.

    The operating system releases the lock when this process ends, even if it is killed.

    Raises TrainingError if another training holds the lock.
    """
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            where = files.shorten(folder)
            raise TrainingError(
                f"Another training is writing to {where}. Wait for it, or take another --output_path."
            ) from error
        if not file.tell():
            file.write(MARK)
            file.flush()
        yield


# Where runs are


def home(profile: profiles.Profile) -> Path:
    """Return the folder of a profile's runs: checkpoints/<profile>, or WORKSHOP_CHECKPOINTS/<profile>."""
    root = Path(os.environ.get("WORKSHOP_CHECKPOINTS") or files.REPO / "checkpoints")
    return root.expanduser().absolute() / profile.name


def find_lora(folder: Path) -> Path:
    """Return the LoRA file of a run's last checkpoint.

    Raises FileNotFoundError if there is none.
    """
    names = ((path, STEP.fullmatch(path.name)) for path in folder.glob("step-*.safetensors"))
    found = {int(match[1]): path for path, match in names if match}
    if not found:
        raise FileNotFoundError(f"There is no step-N.safetensors in {files.shorten(folder)}. Train first.")
    return found[max(found)]


# The state of a training


def pack_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Name what an optimiser remembers: of each parameter AdamW has opt.0.step, .exp_avg and .exp_avg_sq.

    returns: tensors of the parameters' shapes, and () for the steps
    """
    import torch

    state = optimizer.state_dict()["state"]
    return {
        f"{OPTIMIZER}{number}.{name}": torch.as_tensor(value)
        for number, values in state.items()
        for name, value in values.items()
    }


def unpack_optimizer(tensors: Mapping[str, torch.Tensor]) -> dict[int, dict[str, torch.Tensor]]:
    """Return what `pack_optimizer` named, by number and name, as a state dict of the optimiser has it."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith(OPTIMIZER):
            _, number, name = key.split(".")
            state.setdefault(int(number), {})[name] = tensor
    return state


def save_training(
    path: Path, module: torch.nn.Module, optimizer: Any, scheduler: Any, *, settings: Mapping[str, Any]
) -> None:
    """Write the checkpoint of a training.

    module: its `step` is the number of the next step
    settings: what must be the same when the training goes on
    """
    tensors = {f"{NETWORK}{name}": value for name, value in list_trained(module)} | pack_optimizer(optimizer)
    plain = {"optimizer": optimizer.state_dict()["param_groups"], "scheduler": scheduler.state_dict()}
    plain |= {"settings": settings, "step": module.step}
    save(path, tensors, {name: json.dumps(value) for name, value in plain.items()})


def restore_training(path: Path, module: torch.nn.Module, optimizer: Any, scheduler: Any) -> int:
    """Restore weights, optimiser and schedule as `save_training` wrote them.

    returns: the number of the next step
    """
    import torch
    from safetensors.torch import load_file

    tensors, plain = load_file(path), {name: json.loads(text) for name, text in read_facts(path).items()}
    with torch.no_grad():
        for name, parameter in list_trained(module):
            parameter.copy_(tensors[f"{NETWORK}{name}"])
    optimizer.load_state_dict({"state": unpack_optimizer(tensors), "param_groups": plain["optimizer"]})
    scheduler.load_state_dict(plain["scheduler"])
    return plain["step"]


def list_trained(module: torch.nn.Module) -> list[tuple[str, torch.nn.Parameter]]:
    """List the names and parameters that learn."""
    return [(name, one) for name, one in module.named_parameters() if one.requires_grad]


def demand_same(path: Path, settings: Mapping[str, Any]) -> int:
    """Return the number of a checkpoint's next step.

    Raises TrainingError if there is no whole checkpoint, or if its settings differ, with each that does.
    """
    found = read_facts(path)
    if "step" not in found:
        remedy = suggest(path.parent).capitalize()
        raise TrainingError(f"There is no whole checkpoint at {files.shorten(path)}. {remedy}.")
    if not any(name.startswith(NETWORK) for name in models.read_header(path)):
        raise TrainingError(
            f"{files.shorten(path)} is of an earlier version of the workshop, which named its tensors "
            "otherwise. Train anew into another --output_path. "
            "The LoRAs of this run, step-N.safetensors, still work."
        )
    before = json.loads(found["settings"])
    differ = [
        f"  {name}: {before.get(name)!r} before, {value!r} now"
        for name, value in settings.items()
        if before.get(name) != value
    ]
    if differ:
        head = f"{files.shorten(path.parent)} holds another training:"
        raise TrainingError(
            "\n".join([head, *differ, "Go on with what it had, or take another --output_path."])
        )
    return json.loads(found["step"])


# Being stopped


@contextlib.contextmanager
def catch_signals() -> Iterator[list[int]]:
    """Collect the signals that ask to stop, so that all is saved first; a second Ctrl-C stops at once."""
    came: list[int] = []

    def note(number: int, frame: object) -> None:
        came.append(number)
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def is_orphaned() -> bool:
    """Return whether the notebook that started this training is gone."""
    parent = os.environ.get("WORKSHOP_TRAINING_OF")
    return parent is not None and os.getppid() != int(parent)
