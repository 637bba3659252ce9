"""The loss of a training: read from its log, smoothed, and put into words.

A step's loss is that of one picture at one noise level, weighted by DiffSynth's schedule, so single values
jump between easy and hard levels: the mean of many says more.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workshop.training import checkpoint

FILE = "loss.csv"  # written by diffsynth 2.1.12, diffusion/logger.py, CSVLogger: step,key,value
WINDOW = 25  # steps in a mean


def read(path: Path) -> list[float]:
    """Read the losses of step 1, 2, …; a last line that is cut short is left out."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    found: list[float] = []
    for line in lines[1:]:
        step, _, value = line.partition(",loss,")
        if not line.endswith("\n") or step != str(len(found) + 1):
            break
        found.append(float(value))
    return found


def cut(path: Path, steps: int) -> None:
    """Cut a log off after so many steps."""
    lines = [f"{step},loss,{loss!r}" for step, loss in enumerate(read(path)[:steps], 1)]
    checkpoint.write(path, "\n".join(["step,key,value", *lines, ""]).encode())


def smooth(losses: Sequence[float], *, window: int = WINDOW) -> list[float]:
    """Return for each loss the mean of it and of those before it, `window` together.

    >>> smooth([1.0, 3.0, 5.0], window=2)
    [1.0, 2.0, 4.0]
    """
    parts = (losses[max(0, end - window) : end] for end in range(1, len(losses) + 1))
    return [sum(part) / len(part) for part in parts]


def describe(losses: Sequence[float]) -> str:
    """Write in one sentence what the losses show."""
    if len(losses) < 2:
        return "There are no losses yet."
    smoothed = smooth(losses)
    first = smoothed[min(WINDOW, len(losses)) - 1]
    return (
        f"Smoothed over {WINDOW} steps, the loss goes from {first:.4f} to {smoothed[-1]:.4f} "
        f"in {len(losses)} steps; single steps lie between {min(losses):.4f} and {max(losses):.4f}."
    )
