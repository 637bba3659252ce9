"""Fallback pictures: what a demonstration would have shown, kept for the day on which it fails.

A cue's fallback is named after a picture that a notebook saves (`image_face`), or after the cell that shows
it, with the notebook's number before the cell's id (`03-strength-grid`). The file is data/fallback/NAME.png.

The file is drawn for paper, black on white. It also says where each picture lies in it and what its caption
is, so that `draw_for_projector` can draw the same pictures again, large, on a dark ground.
"""

from __future__ import annotations

import base64
import html.parser
import io
import json
import re
import shutil
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop import files, gallery, notebooks, profiles

if TYPE_CHECKING:
    from PIL import Image

SIDE = 256  # image px; a smaller picture of a grid is enlarged to about this, so that its caption can be read
GAP, LINE, FONT = 12, 16, 13  # image px beside a picture of SIDE; they grow with larger pictures
PANELS = "panels"  # the PNG text that says where each picture lies
PROJECTOR = (1920, 1080)  # image px
# On the projector: the caption's height as a share of its picture's width, and its bounds in px of PROJECTOR.
CAPTION, SMALLEST, LARGEST = 1 / 13, 26, 44
GROUND, INK = (11, 13, 15), (242, 240, 235)  # the projector page's colours, as in console/page/scene.css
WHITE, PLOT = 250, 0.6  # a picture with this share of pixels that are nearly white is a plot


@dataclass(frozen=True)
class Panel:
    """Where one picture lies on a page, in image px, and its caption."""

    left: int
    top: int
    width: int
    height: int
    caption: str

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom, as PIL crops."""
        return (self.left, self.top, self.left + self.width, self.top + self.height)


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
    return _draw_grid(found)[0]


def _draw_grid(found: Grid) -> tuple[Image.Image, list[Panel]]:
    """Draw a grid for paper; return the page, and where each picture lies on it."""
    from PIL import Image, ImageDraw, ImageFont

    pictures = [_enlarge(one) for one in found.pictures]
    width = max(picture.width for picture in pictures)
    unit = max(1.0, width / SIDE)  # a large picture gets larger words
    gap, line, size = (round(one * unit) for one in (GAP, LINE, FONT))
    font = ImageFont.truetype(str(_font()), size)
    texts = [textwrap.wrap(text, max(10, round(width / unit) // 8)) for text in found.captions]
    height = max(picture.height for picture in pictures) + line * max(map(len, texts)) + gap
    columns = min(found.columns, len(pictures))
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * (width + gap) - gap, rows * height), "white")
    draw, panels = ImageDraw.Draw(page), []
    for number, (picture, lines) in enumerate(zip(pictures, texts, strict=True)):
        left, top = number % columns * (width + gap), number // columns * height
        page.paste(picture, (left, top))
        panels.append(Panel(left, top, *picture.size, found.captions[number]))
        for row, text in enumerate(lines):
            draw.text((left, top + picture.height + row * line), text, fill="black", font=font)
    return page, panels


def read_panels(picture: Image.Image) -> list[Panel]:
    """Read where each picture lies in a fallback that `keep_pictures` drew; [] for one picture alone."""
    try:
        return [Panel(*one) for one in json.loads(picture.info.get(PANELS, "[]"))]
    except (ValueError, TypeError):
        return []


def draw_for_projector(path: Path) -> bytes:
    """Draw a fallback for the projector: as large as its screen, on its dark ground, as a PNG file.

    Captions grow with their pictures, so that the last row can read them, and plots become light on dark.
    A picture that comes without its panels is returned as it is.
    """
    return _draw_for_projector(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=40)
def _draw_for_projector(path: Path, changed: int) -> bytes:
    from PIL import Image

    with Image.open(path) as file:
        panels, whole = read_panels(file), file.convert("RGB")
        label = f" · {file.info.get('made by', '')}"
    if not panels:
        return path.read_bytes()
    buffer = io.BytesIO()
    # The page says below the picture who drew it; said again below each panel, it takes the captions' room.
    short = [replace(panel, caption=panel.caption.removesuffix(label)) for panel in panels]
    _lay_out(whole, short).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _lay_out(whole: Image.Image, panels: Sequence[Panel]) -> Image.Image:
    """Draw panels in the rows and columns that they have, as large as PROJECTOR lets them be."""
    from PIL import Image, ImageDraw, ImageFont

    rows = group_rows(panels)
    scale = min(PROJECTOR[0] / whole.width, PROJECTOR[1] / whole.height)
    narrowest = min(panel.width for panel in panels) * scale
    size = round(min(LARGEST, max(SMALLEST, CAPTION * narrowest)))
    font = ImageFont.truetype(str(_font()), size)
    gap, line = round(GAP * scale), round(1.25 * size)
    page = Image.new("RGB", (PROJECTOR[0], 10 * PROJECTOR[1]), GROUND)
    draw, top, right = ImageDraw.Draw(page), 0, 0
    for row in rows:
        deepest = 0
        for panel in row:
            width, height = round(panel.width * scale), round(panel.height * scale)
            picture = whole.crop(panel.box)
            picture = _darken(picture) if is_plot(picture) else picture
            left = round(panel.left * scale)
            page.paste(picture.resize((width, height), Image.Resampling.BICUBIC), (left, top))
            below = top + height + size // 3
            for text in wrap_to_width(panel.caption, width, measure=font.getlength):
                draw.text((left, below), text, fill=INK, font=font)
                below += line
            deepest, right = max(deepest, below), max(right, left + width)
        top = deepest + gap
    return page.crop((0, 0, min(right, page.width), min(top - gap, page.height)))


def group_rows(panels: Sequence[Panel]) -> list[list[Panel]]:
    """Sort panels into the rows in which they lie, from top to bottom."""
    rows: dict[int, list[Panel]] = {}
    for panel in panels:
        rows.setdefault(panel.top, []).append(panel)
    return [rows[top] for top in sorted(rows)]


def wrap_to_width(text: str, width: float, *, measure: Callable[[str], float]) -> list[str]:
    """Break text into lines that are at most this wide; a single word may be wider.

    measure: returns the width of a text, in the unit of `width`

    >>> wrap_to_width("two short lines", 9, measure=len)
    ['two short', 'lines']
    """
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and measure(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def is_plot(picture: Image.Image) -> bool:
    """Return whether a picture is black on white, as plots are."""
    import numpy as np

    pixels = np.asarray(picture.convert("RGB")).min(axis=2)
    corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]]
    return bool((corners >= WHITE).all() and (pixels >= WHITE).mean() > PLOT)


def _darken(picture: Image.Image) -> Image.Image:
    """Turn light into dark and keep each colour's hue: c + 255 − max(r, g, b) − min(r, g, b)."""
    import numpy as np
    from PIL import Image

    pixels = np.asarray(picture.convert("RGB")).astype(int)
    turned = pixels + 255 - pixels.max(axis=2, keepdims=True) - pixels.min(axis=2, keepdims=True)
    return Image.fromarray(np.maximum(turned, GROUND).astype("uint8"))


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
    drawn = [_draw_grid(one) for one in found]
    picture = stack_pages([page for page, _ in drawn])
    info.add_itxt(PANELS, json.dumps(_stack_panels(drawn), ensure_ascii=False))
    if not profile.is_real:  # these are in the repository, and flat drawings need no more than 256 colours
        picture = picture.quantize(256, dither=Image.Dither.NONE)
    with files.replacing(target) as file:
        picture.save(file, format="PNG", pnginfo=info, optimize=True)


def _stack_panels(drawn: Sequence[tuple[Image.Image, list[Panel]]]) -> list[tuple[Any, ...]]:
    """List the panels of pages that stand below each other, in px of the whole."""
    top, stacked = 0, []
    for page, panels in drawn:
        stacked += [astuple(replace(panel, top=top + panel.top)) for panel in panels]
        top += page.height
    return stacked


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
        self._in_caption = self._in_caption or tag == "figcaption"

    def handle_endtag(self, tag: str) -> None:
        """Notice that a caption ends."""
        self._in_caption = self._in_caption and tag != "figcaption"

    def handle_data(self, data: str) -> None:
        """Take in a caption's text."""
        if self._in_caption:
            self.found[-1].captions[-1] += data
