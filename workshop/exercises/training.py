"""Notebook 07: flags, the loss, a training by hand and a fault that no check of a table finds."""

from __future__ import annotations

import contextlib
import io
import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop import files
from workshop.exercises.verdict import Verdict, Waiting, Wrong, compare, describe, exercise
from workshop.training import dataset
from workshop.training.flags import make_parser

if TYPE_CHECKING:
    import torch

UNSPOILT = [
    "image,prompt",
    "01.png,a dog is standing",
    "02.png,a dog is standing on the grass",
    "03.png,a dog is sitting in the snow",
]


@exercise("three hundred steps", hint="steps are pictures × repeats × epochs")
def _three_hundred_steps(flags: Sequence[str], pictures: int) -> Verdict:
    if isinstance(flags, str) or not isinstance(flags, Sequence):
        raise Wrong(f"a list of flags is wanted, got {describe(flags)}")
    given, plain = _parse(flags), _parse([])
    steps = pictures * int(given["dataset_repeat"]) * int(given["num_epochs"])
    counted = {"dataset_repeat", "num_epochs", "output_path", "restart", "profile"}
    other = [name for name in plain if given[name] != plain[name] and name not in counted]
    if given == plain | {"dataset_base_path": given["dataset_base_path"]}:
        raise Waiting
    yours = f"{steps} steps" + (f", and another {', '.join(other)}" if other else "")
    return Verdict(steps == 300 and pictures == 5 and not other, yours, "300 steps, all else as before")


def _parse(flags: Sequence[str]) -> dict[str, Any]:
    """Read flags as the command does.

    Raises Wrong, with what the command would print in its last line.
    """
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            return vars(make_parser().parse_args([str(flag) for flag in flags]))
    except SystemExit:
        raise Wrong(printed.getvalue().strip().rpartition("error: ")[2]) from None


@exercise(
    "the loss", hint="02 has the equation: from which end of the line to which does the velocity point?"
)
def _the_loss(loss: Callable[..., Any]) -> Verdict:
    import torch
    from diffsynth.diffusion import FlowMatchScheduler

    scheduler = FlowMatchScheduler("Qwen-Image")

    def expected(velocity: torch.Tensor, clean: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.mse_loss(velocity, scheduler.training_target(clean, noise, None))

    cases = [tuple(torch.randn(1, 16, side, side) for _ in range(3)) for side in (2, 4, 8)]
    return compare(loss, expected, cases)


@exercise("train by hand", hint="mix as in 02, then (latents @ weight - (noise - clean)).square().mean()")
def _train_by_hand(train: Callable[..., Any]) -> Verdict:
    import torch

    cases = []
    for _ in range(4):
        count, wide = random.randint(2, 5), random.randint(2, 4)
        pictures, noises = ([torch.randn(6, wide) for _ in range(count)] for _ in range(2))
        sigmas = [random.uniform(0.1, 0.9) for _ in range(count)]
        cases.append((torch.randn(wide, wide), pictures, noises, sigmas, random.uniform(0.2, 0.8)))
    return compare(train, _train, cases)


def _train(
    weight: torch.Tensor,
    pictures: Sequence[torch.Tensor],
    noises: Sequence[torch.Tensor],
    sigmas: Sequence[float],
    rate: float,
) -> torch.Tensor:
    """Descend once for each picture; the gradient of mean((x W − t)²) is 2 xᵀ (x W − t) / n."""
    for clean, noise, sigma in zip(pictures, noises, sigmas, strict=True):
        latents, target = (1 - sigma) * clean + sigma * noise, noise - clean
        weight = weight - rate * 2 / target.numel() * latents.T @ (latents @ weight - target)
    return weight


@exercise(
    "a silent fault",
    hint="sort the prompts and leave the pictures: which prompt stands at which picture then?",
)
def _silent_fault(table: str) -> Verdict:
    if not isinstance(table, str):
        raise Wrong(f"the table as one text is wanted, got {describe(table)}")
    if table.split("\n") == UNSPOILT:
        raise Waiting
    expected = "no fault found, the same pictures and prompts, and some that do not belong together"
    with tempfile.TemporaryDirectory(prefix="workshop-") as made:
        for picture in (files.REPO / "data" / "dog").glob("*.png"):
            shutil.copy(picture, made)
        data = dataset.DataSet(Path(made), Path(made) / "metadata.csv")
        data.table.write_text(table, encoding="utf-8")
        found = dataset.inspect(data)
    if found.problems:
        return Verdict(False, f"found out: {_drop_place(found.problems[0], data)}", expected)
    right = [tuple(line.split(",")) for line in UNSPOILT[1:]]
    pairs = [(row["image"].strip(), row["prompt"].strip()) for row in found.rows]
    wrong = sum(pair not in right for pair in pairs)
    same = all(
        sorted(pair[side] for pair in pairs) == sorted(pair[side] for pair in right) for side in (0, 1)
    )
    yours = f"no fault found, {wrong} of {len(pairs)} prompts at another picture"
    return Verdict(same and wrong > 0, yours + ("" if same else ", but other words or files"), expected)


def _drop_place(problem: str, data: dataset.DataSet) -> str:
    """Return a problem without the name of the folder for temporary files, which tells a student nothing."""
    told = problem.replace(f"{files.shorten(data.table)} ", "", 1)
    return told.replace(f" in {files.shorten(data.folder)}", "")
