"""Clouds of points in the plane, side by side in one figure.

Axes: N points of 2 numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from workshop import plots

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

REACH = 1.6
"""The plots show the plane from -REACH to REACH; the circle of the modes has the radius 1."""


def show(clouds: Mapping[str, torch.Tensor], *, alt: str, columns: int = 5) -> None:
    """Show a small plot for each cloud, all of one scale.

    clouds: what stands above a plot, to points (N, 2)
    """
    plots.show(draw(clouds, columns=columns), alt=alt)


def draw(clouds: Mapping[str, torch.Tensor], *, columns: int = 5) -> Figure:
    """Draw the figure that `show` shows.

    Raises ValueError for no cloud, or for what are no points of the plane.
    """
    from matplotlib.figure import Figure

    shapes = {name: tuple(points.shape) for name, points in clouds.items()}
    if not shapes or any(len(shape) != 2 or shape[1] != 2 for shape in shapes.values()):
        raise ValueError(
            f"Every cloud must be points of two numbers, (N, 2), and there must be one; got {shapes}."
        )
    across = min(columns, len(clouds))
    down = -(-len(clouds) // across)
    figure = Figure(figsize=(2.0 * across, 2.2 * down))
    places = figure.subplots(down, across, squeeze=False).flatten()
    for axes, (name, points) in zip(places, clouds.items(), strict=False):
        x, y = points.detach().T.numpy(force=True)
        axes.scatter(x, y, s=1, alpha=0.4, color="#4c78a8", linewidths=0)
        axes.set_title(name, fontsize=8)
        axes.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), xticks=[-1, 1], yticks=[-1, 1], aspect="equal")
        axes.tick_params(labelsize=6)
    for axes in places[len(clouds) :]:
        axes.set_axis_off()
    return figure
