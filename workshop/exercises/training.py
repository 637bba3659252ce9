"""Notebook 07: flags, the loss and the faults of a data set."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from workshop import files
from workshop.exercises.verdict import Verdict, exercise
from workshop.training import dataset
from workshop.training.flags import make_parser


@exercise("three hundred steps")
def _three_hundred_steps(flags: Sequence[str], pictures: int) -> Verdict:
    told, plain = vars(make_parser().parse_args(list(flags))), vars(make_parser().parse_args([]))
    steps = pictures * told["dataset_repeat"] * told["num_epochs"]
    counted = {"dataset_repeat", "num_epochs", "output_path", "restart", "profile"}
    other = [name for name in plain if told[name] != plain[name] and name not in counted]
    yours = f"{steps} steps" + (f", and another {', '.join(other)}" if other else "")
    hint = "steps are pictures × repeats × epochs"
    return Verdict(steps == 300 and not other, yours, "300 steps, all else as before", hint)


@exercise("the loss")
def _the_loss(loss: Callable[..., Any]) -> Verdict:
    import torch
    from diffsynth.diffusion import FlowMatchScheduler

    generator, scheduler = torch.Generator().manual_seed(0), FlowMatchScheduler("Qwen-Image")
    apart, target = 0.0, "the mean squared error to DiffSynth's own target, to within 0.00001"
    for side in (2, 4, 8):
        velocity, clean, noise = (torch.randn(1, 16, side, side, generator=generator) for _ in range(3))
        yours = loss(velocity, clean, noise)
        if yours is None:
            return Verdict(False, "None", target, "one line: return (… - …).square().mean()")
        wanted = scheduler.training_target(clean, noise, None)
        expected = torch.nn.functional.mse_loss(velocity, wanted)
        apart = max(apart, abs(float(yours) - float(expected)))
    hint = "02 has the equation: from which end of the line to which does the velocity point?"
    return Verdict(apart < 1e-5, f"at most {apart:.5f} from it", target, hint)


@exercise("three faults")
def _three_faults(table: str) -> Verdict:
    with tempfile.TemporaryDirectory(prefix="workshop-") as made:
        for picture in (files.REPO / "data" / "dog").glob("*.png"):
            shutil.copy(picture, made)
        data = dataset.DataSet(Path(made), Path(made) / "metadata.csv")
        data.table.write_text(table, encoding="utf-8")
        told = [line.partition(" row ")[2].partition(": ") for line in dataset.find_problems(data)]
    rows = {where.partition(",")[0] for where, _, _ in told}
    kinds = {" ".join(what.split()[:3]) for _, _, what in told}
    yours = f"{len(kinds)} kinds of fault, in {len(rows)} rows" + "".join(f"; {what}" for _, _, what in told)
    hint = "a name that is not there, a prompt of spaces, a comma that is not in quotation marks"
    return Verdict(len(kinds) == 3 == len(rows), yours, "3 kinds of fault, in 3 rows", hint)
