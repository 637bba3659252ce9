"""A user's picture, as it is seen: turned by its EXIF tag, and brought to RGB with 8 bits a channel.

Everything that takes a picture of the user's goes through `to_rgb`: training, gallery, references.

Source: Pillow 13, whose `convert("RGB")` cuts 16-bit and float values off at 255 and paints what is
transparent in the colour that lies below, often black; Exif 2.32, tag 274.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

ORIENTATION = 274  # the EXIF tag that says how the camera was held; 1 is upright
PLAIN = ("RGB", "L", "P", "1")  # modes that RGB holds without loss, and without a word
GUESSED = {"CMYK": "its print colours (CMYK) were computed as RGB and may differ", "YCbCr": "", "HSV": ""}
REMEDY = "Save it as PNG or JPEG in RGB with 8 bits a channel."
# The first bytes of files that people take for pictures, and what to do.
NO_PICTURES = (
    (b"version https://git-lfs", "a Git LFS pointer; fetch the picture itself: git lfs pull"),
    (b"<!doctype html", "a web page; save the picture itself, by a right click on it"),
    (b"<html", "a web page; save the picture itself, by a right click on it"),
    (b"<svg", "an SVG drawing; export it as PNG"),
    (b"<?xml", "an XML file, perhaps an SVG drawing; export it as PNG"),
    (b"%pdf", "a PDF; export the picture as PNG"),
)
HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")  # brands of a phone's photos


def read(path: Path, *, tell: Callable[[str], object] = print) -> Image.Image:
    """Open a file's picture as it is seen, in RGB; `tell` hears what had to be done to it, if anything.

    Raises OSError for a file that is no whole picture, saying what it is, and what `to_rgb` raises.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            picture.load()  # all of it: a picture that is cut short opens well
            return to_rgb(picture, tell=tell)
    except Image.UnidentifiedImageError as error:
        raise OSError(describe_file(path)) from error
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise OSError(f"no whole picture ({error})") from error


def to_rgb(picture: Image.Image, *, tell: Callable[[str], object] = print) -> Image.Image:
    """Return a picture as it is seen, in RGB; `tell` hears what had to be done to it, if anything.

    What is transparent becomes white; 16 bits become 8; values from 0 to 1 become 0 to 255; `info` stays.

    Raises ValueError for a picture that cannot be converted without guessing, and says what to do.

    >>> from PIL import Image
    >>> to_rgb(Image.new("RGBA", (1, 1), (0, 0, 0, 0))).getpixel((0, 0))
    what was transparent is white
    (255, 255, 255)
    """
    from PIL import ImageOps

    done: list[str] = []
    if not is_upright(picture):
        picture = ImageOps.exif_transpose(picture)
        done.append("it was turned upright, as its EXIF tag says")
    made = _convert(picture, done)
    made.info = dict(picture.info)
    made.info.pop("transparency", None)
    for one in done:
        tell(one)
    return made


def is_upright(picture: Image.Image) -> bool:
    """Return whether the picture is stored as it is seen, by its EXIF tag; a damaged tag turns nothing."""
    try:
        return picture.getexif().get(ORIENTATION, 1) not in range(2, 9)
    except (SyntaxError, ValueError, struct.error):
        return True


def describe_file(path: Path) -> str:
    """Return what a file is that is no picture, and what to do."""
    with path.open("rb") as file:
        head = file.read(512)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not head:
        return "no picture: the file is empty; copy it again"
    if head[4:8] == b"ftyp" and head[8:12] in HEIC:
        return "no picture that can be read here: a HEIC photo, as phones take them; export it as JPEG"
    for sign, what in NO_PICTURES:
        if start.startswith(sign):
            return f"no picture: {what}"
    return "no whole picture, or of a kind that cannot be read here; save it as PNG or JPEG"


def _convert(picture: Image.Image, done: list[str]) -> Image.Image:
    if picture.mode.startswith("I"):
        return _from_integers(picture, done)
    if picture.mode == "F":
        return _from_floats(picture, done)
    if picture.has_transparency_data:
        return _on_white(picture, done)
    if picture.mode in GUESSED:
        if GUESSED[picture.mode]:
            done.append(GUESSED[picture.mode])
    elif picture.mode not in PLAIN:
        raise ValueError(f"its colours are stored as {picture.mode}, which is not read here. {REMEDY}")
    return picture.convert("RGB")


def _from_integers(picture: Image.Image, done: list[str]) -> Image.Image:
    import numpy as np

    values = np.asarray(picture)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise ValueError(f"its values go from {low} to {high}, more than 16 bits hold. {REMEDY}")
    if picture.mode == "I" and high <= 255:  # 32 bits, of which 8 are used
        return _from_grey(values)
    done.append("its 16 bits a pixel were made 8: 65,535 is white")
    return _from_grey(values / 257)


def _from_floats(picture: Image.Image, done: list[str]) -> Image.Image:
    import numpy as np

    values = np.asarray(picture)
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        low, high = values.min(), values.max()
        raise ValueError(f"its values are decimals from {low:g} to {high:g}; 0 to 1 are read here. {REMEDY}")
    done.append("its decimals were made 8 bits: 1 is white")
    return _from_grey(values * 255)


def _from_grey(values: object) -> Image.Image:
    """values: (H, W), from 0 to 255"""
    import numpy as np
    from PIL import Image

    return Image.fromarray(np.round(np.asarray(values)).astype(np.uint8)).convert("RGB")


def _on_white(picture: Image.Image, done: list[str]) -> Image.Image:
    from PIL import Image

    plain = picture.convert("LA") if picture.mode == "La" else picture  # Pillow has no direct way from La
    clear = plain.convert("RGBA")
    if clear.getchannel("A").getextrema() == (255, 255):
        return clear.convert("RGB")
    done.append("what was transparent is white")
    white = Image.new("RGBA", clear.size, "white")
    return Image.alpha_composite(white, clear).convert("RGB")
