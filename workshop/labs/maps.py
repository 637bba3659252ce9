"""Maps of numbers over a picture, side by side in one figure: where in it a word is read.

Axes: H rows, W columns of tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from workshop import plots

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure
    from PIL import Image


def show(maps: Mapping[str, torch.Tensor], picture: Image.Image, *, alt: str) -> None:
    """Show a picture, and each map over a pale copy of it.

    maps: what stands above a map, to (H, W)
    """
    plots.show(draw(maps, picture), alt=alt)


def draw(maps: Mapping[str, torch.Tensor], picture: Image.Image) -> Figure:
    """Draw the figure that `show` shows.

    Raises ValueError for no map, or for what has not two axes.
    """
    from matplotlib.figure import Figure

    shapes = {name: tuple(one.shape) for name, one in maps.items()}
    if not shapes or any(len(shape) != 2 for shape in shapes.values()):
        raise ValueError(f"Every map must be (rows, columns), and there must be one; got {shapes}.")
    figure = Figure(figsize=(2.0 * (len(maps) + 1), 2.3))
    first, *others = figure.subplots(1, len(maps) + 1)
    first.imshow(picture)
    first.set_title("the picture", fontsize=8)
    for axes, (name, one) in zip(others, maps.items(), strict=True):
        axes.imshow(picture.convert("L"), cmap="gray", extent=(0, 1, 0, 1))
        axes.imshow(one.numpy(force=True), cmap="inferno", alpha=0.7, extent=(0, 1, 0, 1))
        axes.set_title(name, fontsize=8)
    for axes in (first, *others):
        axes.set_axis_off()
    return figure
