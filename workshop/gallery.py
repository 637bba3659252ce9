"""Pictures: saved with how they were made, shown with alt text and caption, loaded again by name."""

from __future__ import annotations

import base64
import contextlib
import errno
import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from workshop import files, languages, pictures, profiles

if TYPE_CHECKING:
    from PIL import Image

FALLBACK = files.REPO / "data" / "fallback"
# CSS px; a small picture is enlarged to them, so that 128 image px can be seen from the back of the room.
SHOWN = 384
WIDEST = 768  # image px; a larger picture is embedded smaller, the file keeps every pixel
OPEN = "Open a file: PIL.Image.open(path)"
PACKAGES = ("torch", "diffsynth", "transformers")


def folder(profile: profiles.Profile | None = None) -> Path:
    """Return where pictures of a profile go: pictures/<profile>, or below WORKSHOP_PICTURES."""
    root = files.read_folder("WORKSHOP_PICTURES", files.REPO / "pictures")
    return root / (profile or profiles.current()).name


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

    The picture is saved as it is seen, in RGB; what that changed is printed. The file appears whole or not at
    all: a failure leaves an earlier picture of that name as it was.

    Raises OSError if the file cannot be written, saying where, why and what to do, and ValueError for a
    picture that cannot be brought to RGB.
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
    plain = pictures.to_rgb(image)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as file:
            plain.save(file, format="PNG", pnginfo=info)
    except OSError as error:
        raise OSError(
            f"{path} could not be saved ({error}). A picture of that name from before is as it was. "
            f"{_remedy(error)}; then run the cell again."
        ) from error
    return path


def _remedy(error: OSError) -> str:
    """Return what to do about a picture that could not be written, by the reason."""
    elsewhere = "set WORKSHOP_PICTURES to another folder"
    return {
        errno.ENAMETOOLONG: "Take a shorter name",
        errno.EISDIR: "Take another name: a folder has this one",
        errno.EACCES: f"Let this user write there, or {elsewhere}",
        errno.EROFS: f"That disk cannot be written: {elsewhere}",
        errno.ENOTDIR: f"A file is where the folder should be: {elsewhere}",
        errno.EEXIST: f"A file is where the folder should be: {elsewhere}",
    }.get(error.errno or 0, f"Make room, or {elsewhere}")


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
    images: Image.Image | Iterable[Image.Image],
    captions: str | Iterable[object] | Mapping[str, object] | None = None,
    *,
    columns: int | None = None,
    alt: str | Iterable[object] | None = None,
    crisp: bool = False,
    width: int = SHOWN,
) -> None:
    """Show one picture or a grid in the notebook, each with caption and alt text; elsewhere print those.

    captions: a text for each picture; or facts, name to a value for each picture or to one for all, of which
        captions and alt texts are made: {"seed": [0, 1]} gives "seed 0" and "seed 1", and whose model it is.
        A name with braces is a pattern, as "{:.1f} levels from seed 4"; an empty name adds the value alone,
        and None leaves a picture's fact out. A picture from a file keeps the name of the model that made it.
    columns: at most four if left out
    width: CSS px of each picture in a grid
    alt: what each picture shows, else the saved alt text, else the caption; with facts, which follow it, one
        text may do for all that have none of their own
    crisp: keep the pixels' edges when a small picture is enlarged; else it is smoothed

    Pictures are shown as they are seen, in RGB; what that changed is printed.

    Raises TypeError for what is no picture, ValueError for one that cannot be brought to RGB.
    """
    shown = [pictures.to_rgb(one) for one in _as_list(images)]
    if isinstance(captions, Mapping):
        texts, alts = _write_words(shown, captions, alt)
    else:
        texts = _one_each("captions", captions, len(shown))
        alts = [
            written or picture.info.get("alt") or text or "a picture without a description"
            for written, picture, text in zip(_one_each("alt", alt, len(shown)), shown, texts, strict=True)
        ]
    if not in_notebook():
        for picture, text, said in zip(shown, texts, alts, strict=True):
            print(f"[picture {picture.width}×{picture.height} px] {text or said}")
        return
    from IPython.display import HTML, display

    display(HTML(figures(shown, texts, alts=alts, columns=columns, crisp=crisp, width=width)))


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
    for name, value in (("columns", columns), ("width", width)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be 1 or more, got {value}.")
    columns = max(1, min(4 if columns is None else columns, len(pictures)))
    cells = [
        _figure(picture, caption, alt=alt, crisp=crisp, width=width if columns > 1 else None)
        for picture, caption, alt in zip(pictures, captions, alts, strict=True)
    ]
    style = f"display:grid;grid-template-columns:repeat({columns},minmax(0,max-content));gap:12px"
    return f'<div style="{style}">{"".join(cells)}</div>'


def _figure(picture: Image.Image, caption: str, *, alt: str, crisp: bool, width: int | None) -> str:
    width = width if width is not None else min(max(picture.width, SHOWN), WIDEST)
    scaling = "pixelated" if crisp else "auto"
    words = (
        f'<figcaption style="max-width:{width}px">{languages.mark(caption)}</figcaption>' if caption else ""
    )
    language = languages.find(alt)
    spoken = f' lang="{language}"' if language else ""
    return (
        f'<figure style="margin:0"><img src="{_data_uri(picture)}" alt="{html.escape(alt)}"{spoken} '
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
            image.load()  # all of it: a picture that is cut short opens well
            return pictures.to_rgb(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise OSError(f"{path} is not a whole picture ({error}). Delete it, or make it again.") from error


def _checked(name: str) -> str:
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(
            f"A picture's name is letters, digits, - _ and . only, without a folder; got {name!r}."
        )
    return name


def _as_list(images: Any) -> list[Image.Image]:
    from PIL import Image

    if isinstance(images, Mapping):
        raise TypeError("Pictures are wanted, got a dict. Show its .values(), with its keys as captions.")
    is_list = isinstance(images, Iterable) and not isinstance(images, Image.Image | str | Path)
    found = [images] if not is_list or hasattr(images, "shape") else list(images)
    for one in found:
        if not isinstance(one, Image.Image):
            got = f"a {type(one).__name__}" if hasattr(one, "shape") else repr(one)
            how = "Make one: PIL.Image.fromarray(array)" if hasattr(one, "shape") else OPEN
            raise TypeError(f"Pictures are wanted, got {got}. {how}.")
    return found


def _one_each(what: str, value: str | Iterable[object] | None, count: int) -> list[str]:
    if not isinstance(value, Iterable | None):
        raise TypeError(f"{what} must be a text for each picture, got {value!r}. Put them into a list.")
    given = [value] if isinstance(value, str) else [""] * count if value is None else list(value)
    texts = ["" if one is None else str(one) for one in given]
    if len(texts) != count:
        raise ValueError(f"{what}: got {len(texts)} for {count} pictures. Give one for each.")
    return texts


def _write_words(
    shown: Sequence[Image.Image], facts: Mapping[str, object], alt: str | Iterable[object] | None
) -> tuple[list[str], list[str]]:
    """Return captions and alt texts that are made of facts."""
    phrases = _write_facts(facts, len(shown))
    own = [picture.info.get("alt", "") for picture in shown]
    if isinstance(alt, str):
        given = [said or alt for said in own]
    else:
        given = [text or said for text, said in zip(_one_each("alt", alt, len(shown)), own, strict=True)]
    alts = ["; ".join(filter(None, [text, *said])) for text, said in zip(given, phrases, strict=True)]
    label = profiles.current().label
    makers = [picture.info.get("made by", label) for picture in shown]
    captions = [" · ".join([*said, maker]) for said, maker in zip(phrases, makers, strict=True)]
    return captions, alts


def _write_facts(facts: Mapping[str, object], count: int) -> list[list[str]]:
    """Return for each picture what its facts say, one phrase a fact."""
    columns = []
    for name, value in facts.items():
        one_each = isinstance(value, Iterable) and not isinstance(value, str)
        values = list(cast("Iterable[object]", value)) if one_each else [value] * count
        if len(values) != count:
            raise ValueError(f"{name!r}: got {len(values)} values for {count} pictures. Give one for each.")
        columns.append([_write_fact(name, one) for one in values])
    return [list(filter(None, phrases)) for phrases in zip(*columns, strict=True)] or [
        [] for _ in range(count)
    ]


def _write_fact(name: str, value: object) -> str:
    if value is None:
        return ""
    if "{" in name:
        return name.format(value)
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{name} {text}".strip()


def _versions() -> str:
    found = []
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append(f"{package} {metadata.version(package)}")
    return ", ".join(found)
