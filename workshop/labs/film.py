"""Rows of small grey pictures in one figure: film strips and sheets.

Axes: N pictures of 1×H×W image px in [-1, 1]; -1 is shown white, as paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from workshop import plots

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure


def show(rows: Mapping[str, torch.Tensor], *, alt: str, columns: Sequence[str] = ()) -> None:
    """Show one row of pictures for each name.

    rows: (N, 1, H, W) each, of one N
    columns: what stands above each picture of the first row; none for nothing
    """
    plots.show(draw(rows, columns=columns), alt=alt)


def draw(rows: Mapping[str, torch.Tensor], *, columns: Sequence[str] = ()) -> Figure:
    """Draw the figure that `show` shows.

    Raises ValueError if the rows differ in length, or the columns' names in number.
    """
    from matplotlib.figure import Figure

    lengths = {name: len(pictures) for name, pictures in rows.items()}
    count = next(iter(lengths.values()), 0)
    if set(lengths.values()) != {count} or count == 0 or (columns and len(columns) != count):
        raise ValueError(
            f"Every row must have as many pictures as the others and a name for each column, got rows "
            f"{lengths} and {len(columns)} names. Cut them to one length."
        )
    figure = Figure(figsize=(min(10, 0.8 * count + 1.2), 0.85 * len(rows) + 0.2))
    grid = figure.subplots(len(rows), count, squeeze=False, gridspec_kw={"wspace": 0.06, "hspace": 0.06})
    for axes_row, (name, pictures) in zip(grid, rows.items(), strict=True):
        for axes, picture in zip(axes_row, pictures, strict=True):
            axes.imshow(picture[0].clamp(-1, 1).numpy(force=True), cmap="gray_r", vmin=-1, vmax=1)
            axes.set(xticks=[], yticks=[])
        axes_row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    for axes, name in zip(grid[0], columns, strict=False):
        axes.set_title(name, fontsize=8)
    return figure
