"""How much of one particular dog the pocket model learns when it is trained as notebook 07 trains it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from workshop import looking, lora
from workshop.looking import JUMPING_MARKINGS, JUMPING_POSE, MARKINGS, PORTRAITS
from workshop.pocket.measure.table import Row, at_least
from workshop.training import loop, losses
from workshop.training.flags import make_parser, write_words

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

SIZE = 128  # image px
SECONDS = "seconds of training the dog"


def measure(pipe: QwenImagePipeline, count: int, *, first_seed: int = 0) -> dict[str, float]:
    """Train in a folder that is then removed; return the shares before and after it by name, and seconds.

    count: pictures of each prompt of the dog, and portraits; first_seed: of each prompt's pictures
    """
    pipe.dit = pipe.enable_lora_hot_loading(pipe.dit)
    with tempfile.TemporaryDirectory() as folder:
        lesson = measure_lesson(pipe, Path(folder), count=count, portraits=count, first_seed=first_seed)
    figures: dict[str, float] = {}
    for name in lesson["before"]:
        figures |= {f"{name}, before": lesson["before"][name], f"{name}, after": lesson["after"][name]}
    figures[SECONDS] = lesson["cost"]["seconds"]
    return {name: round(value, 4) for name, value in figures.items()}


def tabulate(figures: dict[str, float]) -> dict[str, Row]:
    """Return the rows of those figures of `measure` that have a target, by name; others have none."""
    before = {name.removesuffix(", before"): value for name, value in figures.items() if ", before" in name}
    if not before:
        return {}
    rows = [
        at_least(f"{name}, after", figures[f"{name}, after"], aim)
        for name, aim in list_least_shares(before).items()
    ]
    marked, seconds = before[MARKINGS], figures[SECONDS]
    rows.append(Row(f"{MARKINGS}, before", f"{marked:.1%}", "≤ 10%", marked <= 0.1))
    rows.append(Row(SECONDS, f"{seconds:.0f}", "≤ 180", seconds <= 180))
    return {row.name: row for row in rows}


class Lesson(TypedDict):
    """Shares by name, before the training, after it, and what they should be after it at least."""

    before: dict[str, float]
    after: dict[str, float]
    targets: dict[str, float]
    cost: dict[str, float]  # "steps" and "seconds" of the training


def measure_model(
    pipe: QwenImagePipeline, *, count: int, portraits: int, first_seed: int = 0
) -> dict[str, float]:
    """Draw and read; return shares in [0, 1] by name.

    count: pictures of each of the two prompts of the dog; portraits: how many of them
    """
    drawn = looking.draw_dogs(pipe, size=SIZE, count=count, portraits=portraits, first_seed=first_seed)
    return looking.measure_dogs(drawn)


def measure_lesson(
    pipe: QwenImagePipeline, folder: Path, *, count: int, portraits: int, first_seed: int = 0
) -> Lesson:
    """Train into a folder and measure around it, with a pipeline of the pocket profile in force."""
    before = measure_model(pipe, count=count, portraits=portraits, first_seed=first_seed)
    flags = {"profile": "pocket", "output_path": folder, "restart": True, "sample_steps": 0}
    started = time.perf_counter()
    learned = loop.train(make_parser().parse_args(write_words(flags)))
    cost = {"steps": len(losses.read(folder / losses.FILE)), "seconds": time.perf_counter() - started}
    lora.load(pipe, learned)
    after = measure_model(pipe, count=count, portraits=portraits, first_seed=first_seed)
    pipe.clear_lora(verbose=0)
    return {"before": before, "after": after, "targets": list_least_shares(before), "cost": cost}


def list_least_shares(before: dict[str, float]) -> dict[str, float]:
    """Return the least shares after 250 steps of rank 32; before it, markings should be at most 0.1."""
    return {MARKINGS: 0.9, JUMPING_MARKINGS: 0.8, JUMPING_POSE: 0.8, PORTRAITS: before[PORTRAITS] - 0.02}
