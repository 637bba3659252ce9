"""One diagram of the pipeline with its shapes; a later notebook shows it with what it adds, in red.

diagram.show(machine)                    # 02: from a prompt to a picture
diagram.show(machine, change="LoRA")     # 03, with what it adds

Other changes are "tokenizer" in 04, "reference" in 05, "two references" in 06 and "loss" in 07.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workshop import models, plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from workshop.profiles import Profile

NETWORK, DATA, ADDED = "#dbe7f5", "#ffffff", "#fbe3dc"  # what fills a box
INK, RED = "#22303c", "#c0391b"
SCALE, CHANNELS = 8, 16  # image px of a latent px; latent channels


@dataclass(frozen=True)
class Box:
    """A network or a piece of data; x and y are its middle."""

    x: float
    y: float
    text: str
    fill: str = DATA
    width: float = 1.45
    height: float = 0.8


@dataclass(frozen=True)
class Arrow:
    """From one box to another, each by name; `bend` is how far the arrow leaves the straight line."""

    begin: str
    end: str
    text: str = ""
    bend: float = 0.0


@dataclass(frozen=True)
class Change:
    """What a notebook adds to the pipeline, and the sentence that says it."""

    boxes: dict[str, Box]
    arrows: tuple[Arrow, ...]
    alt: str
    instead_of: tuple[str, str] = ("", "")  # begin and end of the arrow whose way is told in more detail


CHANGES = {
    "LoRA": Change(
        {"LoRA": Box(5.4, 0.4, "LoRA\nB·A beside W", ADDED)},
        (Arrow("LoRA", "DiT"),),
        "A LoRA adds to the DiT's matrices; nothing else changes.",
    ),
    "tokenizer": Change(
        {"tokenizer": Box(1.0, 1.9, "tokenizer\ntext to tokens", ADDED)},
        (Arrow("prompt", "tokenizer"), Arrow("tokenizer", "text encoder")),
        "Between prompt and text encoder the tokenizer cuts the text into tokens; no part is told in which "
        "language it is.",
        instead_of=("prompt", "text encoder"),
    ),
    "reference": Change(
        {
            "reference": Box(1.0, 0.4, "reference\npicture", ADDED),
            "encoder": Box(3.2, 0.4, "VAE\nencoder", NETWORK),
        },
        (Arrow("reference", "text encoder"), Arrow("reference", "encoder"), Arrow("encoder", "DiT")),
        "A reference picture enters twice: the text encoder looks at it, and its latents stand beside the "
        "noise in the DiT.",
    ),
    "two references": Change(
        {
            "reference": Box(0.6, 1.35, "Picture 1", ADDED, width=1.0, height=0.5),
            "second": Box(0.7, 0.25, "Picture 2", ADDED, width=1.0, height=0.5),
            "encoder": Box(3.2, 0.4, "VAE\nencoder", NETWORK),
        },
        (
            Arrow("reference", "text encoder"),
            Arrow("second", "text encoder"),
            Arrow("reference", "encoder"),
            Arrow("second", "encoder"),
            Arrow("encoder", "DiT"),
        ),
        "Two reference pictures enter, in order, and each enters twice: through the text encoder and, as "
        "latents, into the DiT.",
    ),
    "loss": Change(
        {
            "LoRA": Box(5.4, 0.4, "LoRA\nB·A beside W", ADDED),
            "loss": Box(7.9, 0.4, "loss: velocity\nagainst noise − x₀", ADDED, width=2.1),
        },
        (Arrow("LoRA", "DiT"), Arrow("DiT", "loss"), Arrow("loss", "LoRA", "gradient")),
        "In training the DiT runs once, the loss compares its velocity with noise minus picture, and the "
        "gradient changes the LoRA only.",
    ),
}
"""What the later notebooks add, by name."""


def show(profile: Profile, *, change: str | None = None) -> None:
    """Show the pipeline with the shapes that this profile has, and a change in red.

    change: a name in CHANGES; None for the pipeline as it is

    Raises ValueError for another name.
    """
    plots.show(draw(profile, change=change), alt=describe(profile, change=change))


def draw(profile: Profile, *, change: str | None = None) -> Figure:
    """Draw the figure that `show` shows."""
    from matplotlib.figure import Figure

    added = _find(change)
    figure = Figure(figsize=(11.3, 3.6 if added else 2.7))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0.1, 13.25), ylim=(-0.25 if added else 1.1, 4.1))
    axes.set_aspect("equal")
    axes.axis("off")
    boxes = _boxes(profile) | (added.boxes if added else {})
    for box in boxes.values():
        _draw_box(axes, box)
    for arrow in ARROWS:
        if not added or (arrow.begin, arrow.end) != added.instead_of:
            _draw_arrow(axes, arrow, boxes, INK)
    for arrow in added.arrows if added else ():
        _draw_arrow(axes, arrow, boxes, RED)
    return figure


def describe(profile: Profile, *, change: str | None = None) -> str:
    """Describe the diagram for those who do not see it."""
    shape, side = _shape(profile), profile.size // SCALE
    added = _find(change)
    text = (
        f"The text encoder turns the prompt into vectors of {shape.text:,} numbers. The DiT starts from "
        f"noise of {CHANNELS}×{side}×{side} numbers and, reading the vectors, answers with a velocity; the "
        "scheduler goes a step with it, again and again. "
        f"The VAE decodes the latents that are left into a picture of 3×{profile.size}×{profile.size}."
    )
    return f"{text} {added.alt}" if added else text


def _find(change: str | None) -> Change | None:
    if change is not None and change not in CHANGES:
        raise ValueError(f"The diagram knows no change {change!r}. Take one of: {', '.join(CHANGES)}.")
    return CHANGES[change] if change else None


def _shape(profile: Profile) -> models.DiTShape:
    return models.DIT_SHAPES["Qwen-Image" if profile.is_real else "pocket"]


ARROWS = (
    Arrow("prompt", "text encoder"),
    Arrow("text encoder", "vectors"),
    Arrow("vectors", "DiT"),
    Arrow("noise", "DiT"),
    Arrow("DiT", "scheduler", "velocity"),
    Arrow("scheduler", "latents"),
    Arrow("latents", "DiT", "one step at a time", bend=0.25),
    Arrow("latents", "VAE"),
    Arrow("VAE", "picture"),
)


def _boxes(profile: Profile) -> dict[str, Box]:
    side = profile.size // SCALE
    small = f"{CHANNELS}×{side}×{side}"
    return {
        "prompt": Box(1.0, 3.5, "prompt"),
        "text encoder": Box(3.2, 3.5, "text encoder", NETWORK),
        "vectors": Box(5.4, 3.5, f"vectors\ntokens × {_shape(profile).text:,}"),
        "noise": Box(3.2, 1.9, f"noise\n{small}"),
        "DiT": Box(5.4, 1.9, "DiT", NETWORK),
        "scheduler": Box(7.65, 1.9, "scheduler\ngoes a step", width=1.25),
        "latents": Box(9.35, 1.9, f"latents\n{small}", width=1.3),
        "VAE": Box(10.85, 1.9, "VAE\ndecoder", NETWORK, width=1.0),
        "picture": Box(12.35, 1.9, f"picture\n3×{profile.size}×{profile.size}", width=1.3),
    }


def _draw_box(axes: Axes, box: Box) -> None:
    from matplotlib.patches import FancyBboxPatch

    corner = (box.x - box.width / 2, box.y - box.height / 2)
    edge = RED if box.fill == ADDED else INK
    style = "round,pad=0,rounding_size=0.12"
    axes.add_patch(
        FancyBboxPatch(corner, box.width, box.height, boxstyle=style, facecolor=box.fill, edgecolor=edge)
    )
    axes.text(box.x, box.y, box.text, ha="center", va="center", fontsize=9, color=INK)


def _draw_arrow(axes: Axes, arrow: Arrow, boxes: dict[str, Box], color: str) -> None:
    begin, end = boxes[arrow.begin], boxes[arrow.end]
    start, stop = _edge(begin, end, arrow.bend), _edge(end, begin, arrow.bend)
    line = {"arrowstyle": "-|>", "color": color, "linewidth": 1.4, "shrinkA": 1, "shrinkB": 1}
    axes.annotate("", stop, start, arrowprops=line | {"connectionstyle": f"arc3,rad={arrow.bend}"})
    if arrow.text:
        rise = 0.08 + abs(arrow.bend * (stop[0] - start[0])) / 2  # a bent arrow's middle is so high
        middle = ((start[0] + stop[0]) / 2, (start[1] + stop[1]) / 2 + rise)
        axes.text(*middle, arrow.text, ha="center", va="bottom", fontsize=8.5, color=color)


def _edge(box: Box, other: Box, bend: float) -> tuple[float, float]:
    """Return where an arrow between two boxes touches the first; a bent one leaves from the top."""
    across, up = other.x - box.x, other.y - box.y
    if bend > 0:
        return box.x, box.y + box.height / 2
    if abs(across) * box.height >= abs(up) * box.width:  # it leaves through a side
        return box.x + box.width / 2 * (1 if across > 0 else -1), box.y
    return box.x, box.y + box.height / 2 * (1 if up > 0 else -1)
