"""The command line of a training: DiffSynth's flags and ours, each explained in one line.

DiffSynth (2.1.12, diffsynth/diffusion/parsers.py) brings its flags with their types. Defaults and
explanations are ours; a flag that is in neither table is refused.
"""

from __future__ import annotations

import argparse
import importlib.util
import runpy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workshop import amounts, lora
from workshop.training.checkpoint import TrainingError
from workshop.training.dataset import SIDE

TARGETS = ",".join(lora.TARGETS)  # DiffSynth's own default names another model's layers
RATES = {"mi300x": 1e-4, "pocket": 2.5e-3}  # a DiT 16 times narrower takes larger steps


@dataclass(frozen=True)
class Flag:
    """What a flag is for, in one line, and what it is if left out."""

    why: str
    default: Any = None


DIFFSYNTHS = {
    "dataset_base_path": Flag("folder with the pictures and metadata.csv; `dog` is the profile's own", "dog"),
    "dataset_metadata_path": Flag("table with columns image,prompt; if left out, metadata.csv in the folder"),
    "dataset_repeat": Flag("times each picture is seen in an epoch: 5 pictures × 50 are 250 steps", 50),
    "dataset_num_workers": Flag("processes that read ahead; 0, because what is encoded is in memory", 0),
    "height": Flag("picture height in px; if left out, each picture's own"),
    "width": Flag("picture width in px; if left out, each picture's own"),
    "max_pixels": Flag("larger pictures are made smaller, to this many pixels, 1024 × 1024", 1024 * 1024),
    "learning_rate": Flag("how far a step goes; if left out, 1e-4, or 2.5e-3 for the pocket model"),
    "weight_decay": Flag("how strongly weights are drawn to zero, as a share of the rate", 0.01),
    "num_epochs": Flag("times the repeated data set is gone through", 1),
    "find_unused_parameters": Flag("for several GPUs: the last block's text half gets no gradient", False),
    "output_path": Flag("the run's folder; if left out, checkpoints/<profile>/<data set>"),
    "save_steps": Flag("steps from one checkpoint to the next: the most that a kill can cost", 50),
    "lora_base_model": Flag("what gets the LoRA: the DiT draws, the others only translate", "dit"),
    "lora_target_modules": Flag("layers that get one: attention, each MLP's way out, modulation", TARGETS),
    "lora_rank": Flag("columns of A and B: more of them can hold more, and forget more", 32),
    "lora_checkpoint": Flag("a LoRA file to start from; if left out, from nothing"),
    "use_gradient_checkpointing": Flag("compute again, do not keep: slower, smaller; if left out, as needed"),
}  # fmt: skip
OURS = {
    "profile": Flag("mi300x, pocket or auto, as everywhere in the workshop", "auto"),
    "seed": Flag("decides the LoRA's start, the order of the pictures and all noise", 0),
    "resume": Flag("go on from the checkpoint in the run's folder", False),
    "restart": Flag("delete the run in the folder and begin anew", False),
    "sample_steps": Flag("steps from one sample picture to the next; 0 for none", 50),
    "sample_prompt": Flag("what the sample pictures are drawn for", "a dog"),
    "sample_seed": Flag("the noise that they start from", 3),
}
FLAGS = DIFFSYNTHS | OURS
# The numbers that a flag takes; one that is out of range is refused before anything is loaded.
NUMBERS: dict[str, Callable[[str], float]] = {
    **dict.fromkeys(("dataset_repeat", "num_epochs", "save_steps"), amounts.whole(least=1)),
    **dict.fromkeys(("height", "width", "max_pixels"), amounts.whole(least=1)),
    **dict.fromkeys(("dataset_num_workers", "sample_steps"), amounts.whole(least=0)),
    **dict.fromkeys(("seed", "sample_seed"), amounts.whole(least=0, most=2**63 - 1)),  # as torch takes them
    "lora_rank": amounts.whole(least=1, most=4096),  # the real DiT is 3,072 wide
    "learning_rate": amounts.decimal(above=True),
    "weight_decay": amounts.decimal(),
}
# These may change when a run goes on; everything else must be what it was.
FREE = {"dataset_base_path", "dataset_metadata_path", "dataset_num_workers", "num_epochs", "output_path"}
FREE |= {"save_steps", "use_gradient_checkpointing", "find_unused_parameters", "profile", *OURS} - {"seed"}


class Parser(argparse.ArgumentParser):
    """Takes flags with our defaults and explanations, and passes over those that are in neither table."""

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action:
        """Add a flag if it is in a table, with what stands there; DiffSynth's parsers call this for each."""
        name = names[-1].removeprefix("--")
        if name == "help":
            return super().add_argument(*names, **settings)
        if name not in FLAGS:
            return argparse.Action(names, name)  # which belongs to no parser
        flag = FLAGS[name]
        settings |= {"default": flag.default, "help": flag.why, "required": False}
        if name in NUMBERS:
            settings["type"] = NUMBERS[name]
        if name == "use_gradient_checkpointing":
            settings["action"] = argparse.BooleanOptionalAction
        elif "action" not in settings and flag.default is not None:
            settings["help"] += " [%(default)s]"
        return super().add_argument(*names, **settings)


def make_parser() -> Parser:
    """Put the command line together from DiffSynth's parsers and ours, without importing torch.

    Raises TrainingError if DiffSynth is not installed.
    """
    made = Parser(
        prog="./scripts/train_lora",
        description="Teach Qwen-Image something new from a few pictures: train a LoRA.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=44, width=180),
    )
    theirs = _diffsynth_parsers()
    for group in ("dataset_base", "image_size", "training", "output", "lora", "gradient"):
        theirs[f"add_{group}_config"](made)
    for name, flag in OURS.items():
        switch = isinstance(flag.default, bool)
        made.add_argument(f"--{name}", **{"action": "store_true"} if switch else {"type": type(flag.default)})
    return made


def find_faults(options: argparse.Namespace) -> list[str]:
    """List what is wrong with flags that are right each by itself: what DiffSynth would ignore or mend."""
    faults = []
    sides = {"height": options.height, "width": options.width}
    given = {name: value for name, value in sides.items() if value is not None}
    if len(given) == 1:
        (only,) = given
        other = "width" if only == "height" else "height"
        faults.append(f"--{only} alone would be ignored. Give --{other}, too, or neither")
    for name, value in given.items():
        if value % SIDE:
            below, above = max(1, value // SIDE) * SIDE, (value // SIDE + 1) * SIDE
            near = f"{below} or {above}" if below < above and below < value else f"{above}"
            faults.append(f"--{name} must be a multiple of {SIDE} px, got {value}. The nearest: {near}")
    if len(given) == 2 and options.max_pixels != FLAGS["max_pixels"].default:
        faults.append("--max_pixels would be ignored beside --height and --width. Leave it out")
    if options.lora_base_model != "dit":
        faults.append(f"--lora_base_model must be dit, got {options.lora_base_model!r}: only it is in memory")
    if not all(options.lora_target_modules.split(",")):
        faults.append("--lora_target_modules holds an empty name. Give names with one comma between them")
    faults += [
        f"--{name} is empty. Give a path, or leave it out"
        for name in ("dataset_base_path", "dataset_metadata_path", "output_path", "lora_checkpoint")
        if getattr(options, name) == ""
    ]
    if options.resume and options.restart:
        faults.append("--resume goes on and --restart deletes. Give one of them")
    return faults


def write_words(flags: Mapping[str, object]) -> list[str]:
    """Write flags as the words of a command; a switch is its name alone, or nothing; None is left out.

    >>> write_words({"lora_rank": 8, "resume": True, "restart": False})
    ['--lora_rank', '8', '--resume']
    """
    given = (
        (f"--{name}", value) for name, value in flags.items() if value is not False and value is not None
    )
    return [word for name, value in given for word in ([name] if value is True else [name, str(value)])]


def explain_flags(flags: Mapping[str, object]) -> list[tuple[str, str, str]]:
    """List every flag: its name, its value in the command with these flags, and what it is for."""
    values = vars(make_parser().parse_args(write_words(flags)))
    shown = {name: "left out" if value is None else str(value) for name, value in values.items()}
    shown |= {name: text.replace(",", ", ") for name, text in shown.items() if "," in text}
    return [(name, shown[name], flag.why) for name, flag in FLAGS.items()]


def _diffsynth_parsers() -> dict[str, Any]:
    # The file needs argparse alone; imported from its package it would bring torch along, which takes 15 s.
    package = importlib.util.find_spec("diffsynth")
    if package is None or not package.submodule_search_locations:
        raise TrainingError("diffsynth is not installed. Set everything up: ./scripts/setup")
    return runpy.run_path(str(Path(package.submodule_search_locations[0]) / "diffusion" / "parsers.py"))
