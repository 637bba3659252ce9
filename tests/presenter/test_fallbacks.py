"""Fallback pictures: grids found in a cell's outputs, and drawn as one picture."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from presenter import fallbacks
from tests.support.lesson import write_book
from workshop import gallery, profiles


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


def test_a_caption_in_two_languages_is_read_to_its_end() -> None:
    picture = Image.new("RGB", (8, 8))
    page = gallery.figures([picture], ["Korean: 그는 앉아 · pocket model"], alts=["x"])
    (grid,) = fallbacks.find_grids([{"data": {"text/html": page}}])
    assert grid.captions == ["Korean: 그는 앉아 · pocket model"]


def kept(folder: Path, monkeypatch: pytest.MonkeyPatch, *grids: tuple[list[Image.Image], list[str]]) -> Path:
    """Keep a cell's pictures as a rehearsal does; return the file."""
    monkeypatch.setattr(gallery, "FALLBACK", folder / "kept")
    page = "".join(gallery.figures(pictures, texts, alts=texts) for pictures, texts in grids)
    output = {"output_type": "display_data", "metadata": {}, "data": {"text/html": page}}
    write_book(folder / "01_first.ipynb", cell="1")
    book = json.loads((folder / "01_first.ipynb").read_text())
    book["cells"][0]["outputs"] = [output]
    (folder / "01_first.ipynb").write_text(json.dumps(book))
    written, missing = fallbacks.keep_pictures(["01-cell"], folder, profile=profiles.choose("pocket"))
    assert not missing
    return written[0]


def drawn(path: Path) -> np.ndarray:
    """Draw a fallback for the projector; (H, W, 3)."""
    with Image.open(io.BytesIO(fallbacks.draw_for_projector(path))) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_projector_gets_large_pictures_and_captions_on_a_dark_ground(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    red = Image.new("RGB", (128, 128), (200, 30, 30))
    path = kept(tmp_path, monkeypatch, ([red] * 4, ["guidance 1 · pocket model"] * 4))
    with Image.open(path) as paper:
        assert paper.convert("RGB").getpixel((paper.width // 2, paper.height - 1)) == (255, 255, 255)
        panels = fallbacks.read_panels(paper)
    assert [(one.left, one.top, one.caption) for one in panels[:2]] == [
        *((0, 0, "guidance 1 · pocket model"), (268, 0, "guidance 1 · pocket model"))
    ]
    page = drawn(path)
    assert page.shape[1] == 1920
    side = int(256 * 1920 / 1060)
    assert (abs(page[10:-90:50, 10] - (200, 30, 30)) < 12).all()  # a panel, as large as the width allows
    caption = page[side + 2 :, :side]
    rows = (caption.min(axis=2) > 200).any(axis=1)
    assert 20 <= rows.sum() <= 44  # one line of letters: the model's name is said once, below them all
    assert (page[side + 2 :].min(axis=2) < 250).all() and (page[-1] == fallbacks.GROUND).all()


def test_plot_becomes_light_on_dark_and_keeps_its_colors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plot = Image.new("RGB", (400, 200), "white")
    plot.paste((0, 0, 0), (50, 20, 54, 180))
    plot.paste((200, 60, 30), (100, 90, 380, 96))
    page = drawn(kept(tmp_path, monkeypatch, ([plot], ["falls"])))
    scale = page.shape[1] / 400
    at = {
        where: tuple(page[int(where[1] * scale), int(where[0] * scale)]) for where in ((52, 100), (240, 93))
    }
    assert tuple(page[5, 5]) == fallbacks.GROUND and min(at[52, 100]) > 240
    red, green, blue = at[240, 93]
    assert red > green > blue


def test_photograph_on_white_is_no_plot() -> None:
    picture = Image.new("RGB", (100, 100), "white")
    picture.paste((120, 80, 60), (10, 10, 90, 90))
    assert not fallbacks.is_plot(picture)


def test_picture_without_panels_is_shown_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "portrait.png"
    Image.new("RGB", (64, 64), "white").save(path)
    assert fallbacks.draw_for_projector(path) == path.read_bytes()
