"""Pictures: saved with how they were made, shown with alt text and caption, loaded again by name."""

from __future__ import annotations

import base64
import contextlib
import html
import io
import os
import re
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from workshop import files, profiles

if TYPE_CHECKING:
    from PIL import Image

FALLBACK = files.REPO / "data" / "fallback"
# CSS px; a small picture is enlarged to them, so that 128 image px can be seen from the back of the room.
SHOWN = 384
WIDEST = 768  # image px; a larger picture is embedded smaller, the file keeps every pixel
PACKAGES = ("torch", "diffsynth", "transformers")


def folder(profile: profiles.Profile | None = None) -> Path:
    """Return where pictures of a profile go: pictures/<profile>, or below WORKSHOP_PICTURES."""
    root = Path(os.environ.get("WORKSHOP_PICTURES") or files.REPO / "pictures")
    return root.expanduser().absolute() / (profile or profiles.current()).name


def save(
    image: Image.Image,
    name: str,
    *,
    prompt: str,
    seed: int,
    num_inference_steps: int,
    cfg_scale: float,
    model: str = "Qwen-Image",
    profile: profiles.Profile | None = None,
    alt: str = "",
    **more: object,
) -> Path:
    """Save a picture as <name>.png with all of this in its metadata; returns the path.

    alt: what is to be seen; the prompt if left out
    more: anything else worth keeping, as lora="ArtAug"

    The file appears whole or not at all: a failure leaves an earlier picture of that name as it was.

    Raises OSError if the disk is full or the folder cannot be written, saying where and what to do.
    """
    from PIL.PngImagePlugin import PngInfo

    profile = profile or profiles.current()
    facts = {
        "prompt": prompt,
        "seed": seed,
        "num_inference_steps": num_inference_steps,
        "cfg_scale": cfg_scale,
        "model": model,
        "profile": profile.name,
        "made by": profile.label,
        "alt": alt or prompt,
        "versions": _versions(),
    }
    info = PngInfo()
    for key, value in (facts | more).items():
        info.add_itxt(key, str(value))
    path = folder(profile) / f"{_checked(name)}.png"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as file:
            image.save(file, format="PNG", pnginfo=info)
    except OSError as error:  # a full disk, a folder that may not be written
        raise OSError(
            f"{path} could not be saved ({error}). A picture of that name from before is as it was. "
            "Make room, or set WORKSHOP_PICTURES to another folder; then run the cell again."
        ) from error
    return path


def load(name: str, *, profile: profiles.Profile | None = None) -> Image.Image:
    """Open the picture of that name from your own run, else the shipped one, and print which.

    `image.info` holds how it was made.

    Raises FileNotFoundError if there is neither, OSError if the file is no whole picture.
    """
    own = folder(profile) / f"{_checked(name)}.png"
    shipped = FALLBACK / own.name
    own_place, shipped_place = files.shorten(own), files.shorten(shipped)
    if own.is_file():
        print(f"{name}: your own picture, {own_place}")
        return _open(own)
    if shipped.is_file():
        image = _open(shipped)
        by = image.info.get("made by", "an unknown model")
        print(f"{name}: the shipped picture {shipped_place}, made by {by}, because {own_place} is not there.")
        return image
    raise FileNotFoundError(
        f"There is no picture named {name!r}: neither {own_place} nor {shipped_place}. "
        "Run the notebook that makes it first."
    )


def show(
    images: Image.Image | Sequence[Image.Image],
    captions: str | Sequence[str] | None = None,
    *,
    columns: int | None = None,
    alt: str | Sequence[str] | None = None,
    crisp: bool = False,
    width: int = SHOWN,
) -> None:
    """Show one picture or a grid in the notebook, each with caption and alt text; elsewhere print those.

    columns: at most four if left out
    width: CSS px of each picture in a grid
    alt: what each picture shows; else the saved alt text, else the caption
    crisp: keep the pixels' edges when a small picture is enlarged; else it is smoothed
    """
    pictures = list(images) if isinstance(images, Sequence) else [images]
    texts = _one_each("captions", captions, len(pictures))
    alts = [
        given or picture.info.get("alt") or text or "a picture without a description"
        for given, picture, text in zip(_one_each("alt", alt, len(pictures)), pictures, texts, strict=True)
    ]
    if not in_notebook():
        for picture, text, said in zip(pictures, texts, alts, strict=True):
            print(f"[picture {picture.width}×{picture.height} px] {text or said}")
        return
    from IPython.display import HTML, display

    display(HTML(figures(pictures, texts, alts=alts, columns=columns, crisp=crisp, width=width)))


def caption(profile: profiles.Profile, *facts: object) -> str:
    """Write a picture's caption: the facts, and whose picture it is."""
    return " · ".join([*map(str, facts), profile.label])


def in_notebook() -> bool:
    """Return whether this runs in a kernel, where pictures can be shown."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and shell.__class__.__name__ == "ZMQInteractiveShell"


def figures(
    pictures: Sequence[Image.Image],
    captions: Sequence[str],
    *,
    alts: Sequence[str],
    columns: int | None = None,
    crisp: bool = False,
    width: int = SHOWN,
) -> str:
    """Return the HTML of a grid of figures; the pictures are inside, so the output stands alone."""
    columns = max(1, min(columns or 4, len(pictures)))
    cells = [
        _figure(picture, caption, alt=alt, crisp=crisp, width=width if columns > 1 else None)
        for picture, caption, alt in zip(pictures, captions, alts, strict=True)
    ]
    style = f"display:grid;grid-template-columns:repeat({columns},minmax(0,max-content));gap:12px"
    return f'<div style="{style}">{"".join(cells)}</div>'


def _figure(picture: Image.Image, caption: str, *, alt: str, crisp: bool, width: int | None) -> str:
    width = width or min(max(picture.width, SHOWN), WIDEST)
    scaling = "pixelated" if crisp else "auto"
    words = f'<figcaption style="max-width:{width}px">{html.escape(caption)}</figcaption>' if caption else ""
    return (
        f'<figure style="margin:0"><img src="{_data_uri(picture)}" alt="{html.escape(alt)}" '
        f'style="width:{width}px;max-width:100%;height:auto;image-rendering:{scaling}">{words}</figure>'
    )


def _data_uri(picture: Image.Image) -> str:
    small = picture.copy()
    small.thumbnail((WIDEST, WIDEST))
    file = io.BytesIO()
    # PNG keeps the pocket's pixels exactly; JPEG keeps a notebook of large photographs small.
    kind = "png" if small.size == picture.size else "jpeg"
    (small if kind == "png" else small.convert("RGB")).save(file, format=kind, quality=92)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def _open(path: Path) -> Image.Image:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.copy()  # reads all of it
    except (OSError, SyntaxError, ValueError) as error:
        raise OSError(f"{path} is not a whole picture ({error}). Delete it, or make it again.") from error


def _checked(name: str) -> str:
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(
            f"A picture's name is letters, digits, - _ and . only, without a folder; got {name!r}."
        )
    return name


def _one_each(what: str, value: str | Sequence[str] | None, count: int) -> list[str]:
    texts = [value] if isinstance(value, str) else list(value or [""] * count)
    if len(texts) != count:
        raise ValueError(f"{what}: got {len(texts)} for {count} pictures. Give one for each.")
    return texts


def _versions() -> str:
    found = []
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append(f"{package} {metadata.version(package)}")
    return ", ".join(found)
