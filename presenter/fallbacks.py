"""Fallback pictures: what a demonstration would have shown, kept for the day on which it fails.

A cue's fallback is named after a picture that a notebook saves (`image_face`), or after the cell that shows
it, with the notebook's number before the cell's id (`03-strength-grid`). The file is data/fallback/NAME.png.
"""

from __future__ import annotations

import base64
import html.parser
import io
import re
import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop import files, gallery, notebooks, profiles

if TYPE_CHECKING:
    from PIL import Image

SIDE = 256  # image px; a smaller picture of a grid is enlarged to about this, so that its caption can be read
GAP, LINE, FONT = 12, 16, 13  # image px


@dataclass
class Grid:
    """Pictures that a cell shows side by side, each with its caption and alt text."""

    pictures: list[bytes] = field(default_factory=list)  # as PNG files
    captions: list[str] = field(default_factory=list)
    alts: list[str] = field(default_factory=list)
    columns: int = 1


def keep_pictures(
    names: Iterable[str], rehearsed: Path, *, profile: profiles.Profile
) -> tuple[list[Path], list[str]]:
    """Keep the pictures of these names from a rehearsal's folder in data/fallback.

    returns: the files written, and the names that this rehearsal has no picture for
    """
    written, missing = [], []
    gallery.FALLBACK.mkdir(parents=True, exist_ok=True)
    for name in sorted(set(names)):
        saved = rehearsed / "pictures" / profile.name / f"{name}.png"
        target = gallery.FALLBACK / f"{name}.png"
        if saved.is_file():
            shutil.copyfile(saved, target)
        else:
            found = _find_output(name, rehearsed)
            if not found:
                missing.append(name)
                continue
            _save(found, target, profile=profile)
        written.append(target)
    return written, missing


def find_grids(outputs: Sequence[Mapping[str, Any]]) -> list[Grid]:
    """Find the pictures in an executed cell's outputs, as workshop.gallery wrote them."""
    pages = [output.get("data", {}).get("text/html", "") for output in outputs]
    return [grid for page in pages if "<figure" in page for grid in _Figures(page).found]


def stack_pages(pages: Sequence[Image.Image]) -> Image.Image:
    """Put pages below each other on one."""
    from PIL import Image

    whole = Image.new("RGB", (max(page.width for page in pages), sum(page.height for page in pages)), "white")
    top = 0
    for page in pages:
        whole.paste(page, (0, top))
        top += page.height
    return whole


def draw_grid(found: Grid) -> Image.Image:
    """Draw pictures on a page as they were shown, each above its caption."""
    from PIL import Image, ImageDraw, ImageFont

    pictures = [_enlarge(one) for one in found.pictures]
    width = max(picture.width for picture in pictures)
    font = ImageFont.truetype(str(_font()), FONT)
    texts = [textwrap.wrap(text, max(10, width // 8)) for text in found.captions]  # 8 px a letter
    height = max(picture.height for picture in pictures) + LINE * max(map(len, texts)) + GAP
    columns = min(found.columns, len(pictures))
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * (width + GAP) - GAP, rows * height), "white")
    draw = ImageDraw.Draw(page)
    for number, (picture, lines) in enumerate(zip(pictures, texts, strict=True)):
        left, top = number % columns * (width + GAP), number // columns * height
        page.paste(picture, (left, top))
        for line, text in enumerate(lines):
            draw.text((left, top + picture.height + line * LINE), text, fill="black", font=font)
    return page


def _find_output(name: str, rehearsed: Path) -> list[Grid]:
    number, _, cell_id = name.partition("-")
    for path in rehearsed.glob(f"{number}_*.ipynb"):
        for cell in notebooks.read(path).cells:
            if cell.id == cell_id:
                return find_grids(cell.outputs)
    return []


def _save(found: Sequence[Grid], target: Path, *, profile: profiles.Profile) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    alt = "; ".join(text for one in found for text in one.alts)
    for key, text in {"made by": profile.label, "profile": profile.name, "alt": alt}.items():
        info.add_itxt(key, text)
    picture = stack_pages([draw_grid(one) for one in found])
    if not profile.is_real:  # these are in the repository, and flat drawings need no more than 256 colours
        picture = picture.quantize(256, dither=Image.Dither.NONE)
    with files.replacing(target) as file:
        picture.save(file, format="PNG", pnginfo=info, optimize=True)


def _enlarge(data: bytes) -> Image.Image:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        picture = image.convert("RGB")
    times = max(1, SIDE // picture.width)
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.BICUBIC)


def _font() -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")


class _Figures(html.parser.HTMLParser):
    """Parses the figures that workshop.gallery.figures wrote."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[Grid] = []
        self._in_caption = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in a grid's columns, or a picture with its alt text."""
        given = {key: value or "" for key, value in attrs}
        side_by_side = re.search(r"repeat\((\d+)", given.get("style", ""))
        if side_by_side:
            self.found.append(Grid(columns=int(side_by_side[1])))
        if tag == "img":
            self.found[-1].pictures.append(base64.b64decode(given["src"].partition(",")[2]))
            self.found[-1].alts.append(given.get("alt", ""))
            self.found[-1].captions.append("")
        self._in_caption = tag == "figcaption"

    def handle_endtag(self, tag: str) -> None:
        """Notice that a caption ends."""
        self._in_caption = self._in_caption and tag != "figcaption"

    def handle_data(self, data: str) -> None:
        """Take in a caption's text."""
        if self._in_caption:
            self.found[-1].captions[-1] += data
