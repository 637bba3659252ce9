"""A training seen live in a notebook: its progress, the curve of its losses, its sample pictures."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workshop import files, gallery, profiles
from workshop.training import checkpoint, flags, losses

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

LOG = "log.txt"  # in the run's folder: what its process prints
EVERY = 2.0  # s between two looks at a running training


def draw_curve(found: Sequence[float]) -> Figure:
    """Draw losses, each and smoothed, over their steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 3))
    axes = figure.subplots()
    steps = range(1, len(found) + 1)
    axes.plot(steps, found, color="#c9d3e0", linewidth=1, label="each step")
    mean = f"mean of {losses.WINDOW} steps"
    axes.plot(steps, losses.smooth(found), color="#d0481f", linewidth=2, label=mean)
    axes.set(xlabel="step", ylabel="weighted squared error")
    axes.legend()
    return figure


def as_png(figure: Figure) -> bytes:
    """Turn a plot into a PNG's bytes."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, bbox_inches="tight")
    return file.getvalue()


def follow(given: Mapping[str, object], folder: Path, *, profile: profiles.Profile) -> None:
    """Train in a process of its own and show it live in the notebook: progress, losses, sample pictures.

    given: flags of ./scripts/train_lora, by name
    folder: the run's

    Raises TrainingError with the last lines that were printed, if it fails. Interrupting the cell stops the
    training, with everything saved.
    """
    more = {"profile": profile.name, "output_path": folder}
    command = [sys.executable, "-m", "workshop", "train_lora", *flags.write_words({**given, **more})]
    follow_command(command, folder, profile=profile)


def follow_command(command: Sequence[str], folder: Path, *, profile: profiles.Profile) -> None:
    """Run a command that trains into a folder, and show it live, as `follow` does."""
    checkpoint.demand_own(folder, besides=(LOG,))
    folder.mkdir(parents=True, exist_ok=True)
    log, screen = folder / LOG, _Screen()
    environment = os.environ | {"WORKSHOP_TRAINING_OF": str(os.getpid()), "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as file:
        running = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, cwd=files.REPO, env=environment
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


def open_samples(folder: Path) -> dict[int, Image.Image]:
    """Open the sample pictures of a run: step to picture."""
    from PIL import Image

    found = {}
    for path in sorted((folder / checkpoint.SAMPLES).glob("step-*.png")):
        name = checkpoint.STEP.fullmatch(path.name)
        if name:
            with Image.open(path) as image:
                found[int(name[1])] = image.copy()
    return found


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

    found = losses.read(folder / losses.FILE)
    parts = [f"<pre>{html.escape(text)}</pre>"]
    if found:
        plot = Image.open(io.BytesIO(as_png(draw_curve(found))))
        parts.append(gallery.figures([plot], [""], alts=[losses.describe(found)]))
    drawn = open_samples(folder)
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
