"""How much of one particular dog the pocket model learns when it is trained as notebook 07 trains it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from workshop import looking, lora
from workshop.looking import JUMPING_MARKINGS, JUMPING_POSE, MARKINGS, PORTRAITS
from workshop.training import loop, losses
from workshop.training.flags import make_parser, write_words

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

SIZE = 128  # image px


class Lesson(TypedDict):
    """Shares by name, before the training, after it, and what they should be after it at least."""

    before: dict[str, float]
    after: dict[str, float]
    targets: dict[str, float]
    cost: dict[str, float]  # "steps" and "seconds" of the training


def measure_model(pipe: QwenImagePipeline, *, count: int, others: int) -> dict[str, float]:
    """Draw and read; returns shares in [0, 1] by name.

    count: pictures of each of the two prompts of the dog; others: portraits
    """
    return looking.measure_dogs(looking.draw_dogs(pipe, size=SIZE, count=count, others=others))


def measure_lesson(pipe: QwenImagePipeline, folder: Path, *, count: int, others: int) -> Lesson:
    """Train into a folder and measure around it, with a pipeline of the pocket profile in force."""
    before = measure_model(pipe, count=count, others=others)
    flags = {"profile": "pocket", "output_path": folder, "restart": True, "sample_steps": 0}
    started = time.perf_counter()
    learned = loop.train(make_parser().parse_args(write_words(flags)))
    cost = {"steps": len(losses.read(folder / losses.FILE)), "seconds": time.perf_counter() - started}
    lora.load(pipe, learned)
    after = measure_model(pipe, count=count, others=others)
    pipe.clear_lora(verbose=0)
    return {"before": before, "after": after, "targets": targets(before), "cost": cost}


def targets(before: dict[str, float]) -> dict[str, float]:
    """Return the least shares after 250 steps of rank 32; before it, markings should be at most 0.1."""
    return {MARKINGS: 0.8, JUMPING_MARKINGS: 0.7, JUMPING_POSE: 0.8, PORTRAITS: before[PORTRAITS] - 0.03}
