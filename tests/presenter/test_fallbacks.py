"""Fallback pictures: grids found in a cell's outputs, and drawn as one picture."""

from __future__ import annotations

import io

from PIL import Image

from presenter import fallbacks
from workshop import gallery


def test_grid_has_the_columns_that_were_shown_and_room_for_captions() -> None:
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, format="PNG")
    pictures, captions = (
        [file.getvalue()] * 5,
        ["a caption that is too long for one line of it", "", "", "", ""],
    )
    page = fallbacks.draw_grid(fallbacks.Grid(pictures, captions, columns=3))
    rows, columns = 2, 3
    assert page.width == columns * 256 + (columns - 1) * fallbacks.GAP
    assert page.height == rows * (256 + 2 * fallbacks.LINE + fallbacks.GAP)


def test_grids_of_one_output_are_told_apart() -> None:
    red, blue = (Image.new("RGB", (8, 8), color) for color in ("red", "blue"))
    page = gallery.figures([red], ["a plot"], alts=["falls"]) + gallery.figures(
        [red, blue], ["one", "two"], alts=["1", "2"]
    )
    first, second = fallbacks.find_grids([{"data": {"text/html": page}}, {"text": "other"}])
    assert (first.columns, first.captions, first.alts) == (1, ["a plot"], ["falls"])
    assert (second.columns, second.captions, len(second.pictures)) == (2, ["one", "two"], 2)


def test_outputs_of_a_cell_stand_below_each_other() -> None:
    page = fallbacks.stack_pages([Image.new("RGB", (40, 10), "red"), Image.new("RGB", (60, 20), "blue")])
    assert page.size == (60, 30)
    assert [page.getpixel(at) for at in ((0, 0), (50, 0), (59, 29))] == [
        *((255, 0, 0), (255, 255, 255), (0, 0, 255))
    ]
