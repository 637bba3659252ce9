"""Plots for a notebook: bars, curves and a heat map, shown as pictures with alt text."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from workshop import gallery

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def bars(values: Mapping[str, float], *, unit: str, alt: str, line: float | None = None) -> None:
    """Show a bar for each value, with its number.

    line: where a line across all bars stands, in the values' unit
    """
    figure, axes = _axes(height=0.5 * len(values) + 0.9)
    drawn = axes.barh(list(values), list(values.values()), color="#4c78a8")
    axes.bar_label(drawn, padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel(unit)
    if line is not None:
        axes.axvline(line, color="#e45756", linestyle="--")
    show(figure, alt=alt)


def heatmap(names: Sequence[str], values: Sequence[Sequence[float]], *, unit: str, alt: str) -> None:
    """Show a square of numbers as colours, each with its number."""
    figure, axes = _axes(height=0.75 * len(names) + 1)
    image = axes.imshow(values, cmap="viridis", vmax=1)
    middle = (min(map(min, values)) + 1) / 2
    axes.set_xticks(range(len(names)), names, rotation=20, ha="right")
    axes.set_yticks(range(len(names)), names)
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            color = "white" if value < middle else "black"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=color)
    figure.colorbar(image, label=unit)
    show(figure, alt=alt)


def lines(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    x: str,
    y: str,
    alt: str,
    logarithmic: bool = False,
) -> None:
    """Show curves, name to (xs, ys), over axes x and y that carry their units; whole xs get whole ticks.

    logarithmic: scale both axes so; all numbers must be above 0
    """
    from matplotlib.ticker import MaxNLocator

    figure, axes = _axes(height=3.2)
    for name, (across, up) in curves.items():
        axes.plot(across, up, marker=".", label=name)
    if logarithmic:
        _scale_logarithmically(axes)
    elif all(float(value).is_integer() for across, _ in curves.values() for value in across):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel=x, ylabel=y)
    axes.legend(**({"loc": "center left", "bbox_to_anchor": (1, 0.5)} if len(curves) > 4 else {}))
    show(figure, alt=alt)


def _scale_logarithmically(axes: Axes) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set(xscale="log", yscale="log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter(NullFormatter())


def show(figure: Figure, *, alt: str) -> None:
    """Show a plot as a picture with alt text that says its point."""
    from PIL import Image

    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, bbox_inches="tight")
    gallery.show(Image.open(file), alt=alt)


def _axes(*, height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure  # without pyplot nothing is shown twice

    figure = Figure(figsize=(6.5, height))
    return figure, figure.subplots()
