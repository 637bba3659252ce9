"""The loss of a training: read from its log, smoothed, drawn, and followed live in a notebook.

A step's loss is that of one picture at one noise level, weighted by DiffSynth's schedule, so single values
jump between easy and hard levels: the mean of many says more.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workshop import gallery, profiles
from workshop.training import checkpoint

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

FILE = "loss.csv"  # written by diffsynth 2.1.12, diffusion/logger.py, CSVLogger: step,key,value
WINDOW = 25  # steps in a mean
EVERY = 2.0  # s between two looks at a running training


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
    """Forget what was logged after a step."""
    lines = [f"{step},loss,{loss!r}" for step, loss in enumerate(read(path)[:steps], 1)]
    checkpoint.write(path, "\n".join(["step,key,value", *lines, ""]).encode())


def smooth(losses: Sequence[float], *, window: int = WINDOW) -> list[float]:
    """Return for each loss the mean of it and of those before it, `window` together.

    >>> smooth([1.0, 3.0, 5.0], window=2)
    [1.0, 2.0, 4.0]
    """
    parts = (losses[max(0, end - window) : end] for end in range(1, len(losses) + 1))
    return [sum(part) / len(part) for part in parts]


def drawing(losses: Sequence[float]) -> Figure:
    """Draw the losses, raw and smoothed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 3))
    axes = figure.subplots()
    steps = range(1, len(losses) + 1)
    axes.plot(steps, losses, color="#c9d3e0", linewidth=1, label="each step")
    axes.plot(steps, smooth(losses), color="#d0481f", linewidth=2, label=f"mean of {WINDOW} steps")
    axes.set(xlabel="step", ylabel="weighted squared error")
    axes.legend()
    return figure


def png(figure: Figure) -> bytes:
    """Turn a plot into a PNG's bytes."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, bbox_inches="tight")
    return file.getvalue()


def told(losses: Sequence[float]) -> str:
    """Say in one sentence what the curve shows."""
    if len(losses) < 2:
        return "There are no losses yet."
    smoothed = smooth(losses)
    first = smoothed[min(WINDOW, len(losses)) - 1]
    return (
        f"Smoothed over {WINDOW} steps, the loss goes from {first:.4f} to {smoothed[-1]:.4f} "
        f"in {len(losses)} steps; single steps lie between {min(losses):.4f} and {max(losses):.4f}."
    )


def follow(command: Sequence[str], folder: Path, *, profile: profiles.Profile) -> None:
    """Run a training and show it live: its progress, its loss, its sample pictures.

    command: the program and its arguments; folder: where the training writes

    Raises TrainingError with its last words if it fails. Interrupting stops it, with everything saved.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log, screen = folder / "log.txt", _Screen()
    environment = os.environ | {"WORKSHOP_TRAINING_OF": str(os.getpid()), "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as file:
        running = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, cwd=profiles.REPO, env=environment
        )
    try:
        while running.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(EVERY)
            screen.show(_last_lines(log, 1), folder, profile)
    except KeyboardInterrupt:
        running.terminate()
        running.wait()
        print(_last_lines(log, 1))
        raise
    if running.returncode:
        raise checkpoint.TrainingError(f"It ended with {running.returncode}:\n{_last_lines(log, 12)}")
    screen.show(_last_lines(log, 6), folder, profile)


def samples(folder: Path) -> dict[int, Image.Image]:
    """Open the sample pictures of a run: step to picture."""
    from PIL import Image

    found = {}
    for path in sorted((folder / "samples").glob("step-*.png")):
        with Image.open(path) as image:
            found[int(path.stem.removeprefix("step-"))] = image.copy()
    return found


def newest(folder: Path) -> Path:
    """Return the LoRA of a run's last checkpoint; raises FileNotFoundError if there is none."""
    found = {int(path.stem.removeprefix("step-")): path for path in folder.glob("step-*.safetensors")}
    if not found:
        raise FileNotFoundError(f"There is no step-N.safetensors in {profiles.shown(folder)}. Train first.")
    return found[max(found)]


class _Screen:
    """One output in the notebook that is shown again and again; elsewhere, lines of text."""

    def __init__(self) -> None:
        self.handle = None
        self.said = ""

    def show(self, text: str, folder: Path, profile: profiles.Profile) -> None:
        if not gallery.in_notebook():
            if text != self.said:
                print(text)
            self.said = text
            return
        from IPython.display import HTML, display

        page = HTML(_page(text, folder, profile))
        if self.handle is None:
            self.handle = display(page, display_id=True)
        else:
            self.handle.update(page)


def _page(text: str, folder: Path, profile: profiles.Profile) -> str:
    import html

    from PIL import Image

    found = read(folder / FILE)
    parts = [f"<pre>{html.escape(text)}</pre>"]
    if found:
        plot = Image.open(io.BytesIO(png(drawing(found))))
        parts.append(gallery.figures([plot], [""], alts=[told(found)]))
    drawn = samples(folder)
    words = [f"step {step} · {profile.label}" for step in drawn]
    alts = [f"drawn for the sample prompt after {step} steps of training" for step in drawn]
    parts.append(gallery.figures(list(drawn.values()), words, alts=alts) if drawn else "")
    return "".join(parts)


def _last_lines(log: Path, count: int) -> str:
    # A progress bar writes over its own line: of what \r separates, only the last part is to be seen. Bytes,
    # because reading as text would make a line of each.
    text = log.read_bytes().decode("utf-8", errors="replace")
    lines = [line.rstrip("\r").split("\r")[-1].rstrip() for line in text.split("\n")]
    return "\n".join([line for line in lines if line][-count:])
