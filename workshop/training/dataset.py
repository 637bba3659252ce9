"""The pictures a LoRA is trained on: checked before anything heavy loads, then encoded once.

Axes: B batch (1), C channels (16), H height, W width (latent px: 8 image px), S tokens, D width of a token.
Source: diffsynth 2.1.12, core/data/unified_dataset.py and pipelines/qwen_image.py.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop import files, loading, memory, models, pictures, profiles, units
from workshop.training import checkpoint

if TYPE_CHECKING:
    import pandas
    import torch
    from diffsynth.pipelines.qwen_image import QwenImagePipeline
    from PIL import Image

DOG = "dog"  # the name that stands for the profile's own five pictures of one dog
DOG_REPO = "Artiprocher/dataset_dog"  # photographs, on ModelScope, for the real model
ENCODED = "encoded.safetensors"
COLUMNS = ("image", "prompt")
BEYOND = "beyond the columns"  # the column of a row's surplus fields
ENCODERS = ("text_encoder", "vae", "tokenizer")
SIDE = 16  # image px: DiffSynth cuts both sides to a multiple, because a token is 16×16
LARGEST = 2**28  # pixels of a picture that is enlarged before it is cropped: 0.8 GB in memory
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".avif")
INPUTS = ("input_latents", "prompt_emb", "prompt_emb_mask")  # what the loss takes of a picture and its prompt


@dataclass(frozen=True)
class DataSet:
    """Where pictures and prompts are, and how large the pictures are taken."""

    folder: Path
    table: Path
    max_pixels: int = 1024 * 1024  # larger pictures are made smaller
    height: int | None = None  # image px; with width, every picture is cropped to this size
    width: int | None = None
    kept: tuple[dict[str, str], ...] | None = field(default=None, repr=False, compare=False)
    """The rows as `inspect` checked them; with them the table is not read again."""

    def read(self) -> pandas.DataFrame:
        """Read the table: a row for each picture, a column for each name in the first line.

        It is all text: no type is guessed, and a word such as NA or null stays a word. An absent field is "".

        Raises ValueError for a file that is no table or not in UTF-8.
        """
        return _read_table(self.table).drop(columns=BEYOND)

    def rows(self) -> list[dict[str, str]]:
        """Read the table: one dict a picture; or return the kept rows."""
        return list(self.kept) if self.kept is not None else self.read().to_dict("records")

    def trained_size(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height, image px, at which a picture of this size is trained.

        Source: diffsynth 2.1.12, ImageCropAndResize.get_height_width

        >>> DataSet(Path(), Path()).trained_size(2048, 1030)
        (1440, 720)
        """
        if self.height is not None and self.width is not None:
            return self.width, self.height
        if width * height > self.max_pixels:
            scale = (width * height / self.max_pixels) ** 0.5
            height, width = int(height / scale), int(width / scale)
        return width // SIDE * SIDE, height // SIDE * SIDE

    def content(self) -> str:
        """Name the data set by its pictures' bytes and its prompts."""
        digest = hashlib.sha256()
        for row in self.rows():
            digest.update((self.folder / row["image"].strip()).read_bytes() + row["prompt"].strip().encode())
        return digest.hexdigest()[:16]


def find_folder(name: str, profile: profiles.Profile) -> Path:
    """Return a data set's folder: for `dog` data/dog, or for the real model the downloaded photographs."""
    if name != DOG:
        return Path(name).expanduser()
    return profile.models / DOG_REPO if profile.is_real else files.REPO / "data" / "dog"


# Checked


@dataclass(frozen=True)
class Findings:
    """What a look at every row and picture of a data set found."""

    problems: list[str]
    """What keeps it from being trained, each with its file and row."""
    notes: list[str]
    """What may not have been meant, and what is done to pictures."""
    rows: tuple[dict[str, str], ...] = ()


def find_problems(data: DataSet, *, smallest: int = 32) -> list[str]:
    """List everything that is wrong with a data set, each with its file and row; an empty list is good.

    smallest: image px that a picture's shorter side must have

    Row 1 is the first picture, below the line of names.
    """
    return inspect(data, smallest=smallest).problems


def inspect(data: DataSet, *, smallest: int = 32) -> Findings:
    """Look at every row and picture once, as `find_problems` does; return the notes and the rows, too."""
    table = files.shorten(data.table)
    form = "the first line must be image,prompt, and each other line one picture"
    if not data.table.is_file():
        return Findings([f"{table} is missing; {form}"], [])
    try:
        rows = _read_table(data.table)
    except UnicodeError as error:
        return Findings([f"{table} is no table in UTF-8 ({error}); {form}"], [])
    except ValueError as error:
        return Findings([f"{table} is no table ({error}); {form}"], [])
    absent = [name for name in COLUMNS if name not in rows.columns]
    if absent:
        came = [name for name in rows.columns if name != BEYOND]
        why = f"it has {', '.join(map(repr, came))}{_explain_columns(came)}; {form}"
        return Findings([f"{table} has no column {name}, {why}" for name in absent], [])
    if rows.empty:
        return Findings([f"{table} has no rows; {form}"], [])
    problems: list[str] = []
    done: dict[str, list[str]] = {}
    places: dict[str, list[int]] = {}
    for number, row in enumerate(rows.to_dict("records"), 1):
        name = row["image"].strip()
        changes: list[str] = []
        for what in _row_problems(row, data, smallest=smallest, tell=changes.append):
            problems.append(f"{table} row {number}, {name or 'no file named'}: {what}")
        for what in changes:
            done.setdefault(what, []).append(name)
        places.setdefault(name, []).append(number)
    notes = [f"{_list_some(names)}: {what}" for what, names in done.items()]
    notes += _table_notes(data.folder, places)
    return Findings(problems, notes, tuple(rows.drop(columns=BEYOND).to_dict("records")))


def _explain_columns(names: list[str]) -> str:
    """Return why names that look right are not, if that can be seen."""
    line = ",".join(names)
    if line.lstrip().startswith(("{", "[")):
        return " (this is JSON; a table has commas)"
    for sign, called in ((";", "a semicolon"), ("\t", "a tab"), ("|", "a bar")):
        if sign in line:
            return f" (between columns stands {called}, a comma is needed: save it anew, with commas)"
    if any(name != name.strip() and name.strip() in COLUMNS for name in names):
        return " (a blank stands beside a name: take it away)"
    if any(name.lower() in COLUMNS and name not in COLUMNS for name in names):
        return " (the names must be in small letters)"
    return " (give the columns these names)"


def _list_some(names: Sequence[str], most: int = 3) -> str:
    """List a few names, and how many more there are.

    >>> _list_some(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def _table_notes(folder: Path, places: Mapping[str, list[int]]) -> list[str]:
    """List pictures that several rows name, equal pictures, and pictures in the folder that no row names."""
    notes = [
        f"{name} is in rows {', '.join(map(str, rows))}: it is trained {len(rows)} times as often"
        for name, rows in places.items()
        if name and len(rows) > 1
    ]
    equal: dict[bytes, list[str]] = {}
    for name in places:
        if name and (folder / name).is_file():
            equal.setdefault(hashlib.sha256((folder / name).read_bytes()).digest(), []).append(name)
    notes += [
        f"{_list_some(names)} are one and the same picture" for names in equal.values() if len(names) > 1
    ]
    named = {(folder / name).resolve() for name in places}
    pictures_here = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
    unnamed = [path.name for path in pictures_here if path.resolve() not in named]
    if unnamed:
        notes.append(f"no row names {_list_some(unnamed)} in {files.shorten(folder)}: not trained")
    return notes


def _read_table(path: Path) -> pandas.DataFrame:
    """Read a table as text; BEYOND is True for a row that has more fields than the first line has names."""
    import pandas

    options: dict[str, Any] = {"header": None, "dtype": str, "keep_default_na": False}
    options |= {"encoding": "utf-8-sig", "engine": "python"}  # this engine tells an absent field from ""
    try:
        names = list(pandas.read_csv(path, nrows=1, **options).iloc[0])
        if len(set(names)) < len(names):
            raise ValueError(f"two columns have one name: {', '.join(names)}")
        width = len(names) + 1
        table = pandas.read_csv(path, names=range(width), on_bad_lines=lambda row: row[:width], **options)
    except pandas.errors.EmptyDataError:
        return pandas.DataFrame(columns=[*COLUMNS, BEYOND])
    except pandas.errors.ParserError as error:
        if "unexpected end of data" not in str(error):
            raise
        raise ValueError("a quotation mark is opened and never closed: unexpected end of data") from error
    table.columns = pandas.Index([*names, BEYOND])
    table[BEYOND] = table[BEYOND].notna()
    return table.iloc[1:].fillna("").reset_index(drop=True)


def _row_problems(
    row: Mapping[str, Any], data: DataSet, *, smallest: int, tell: Callable[[str], object]
) -> Iterator[str]:
    if not any(str(value).strip() for name, value in row.items() if name != BEYOND):
        yield "the row is empty, as spreadsheets leave them; delete the line"
        return
    if row[BEYOND]:
        yield "more fields than columns; a prompt with a comma needs quotation marks around it"
    if not row["prompt"].strip():
        yield "the prompt is empty"
    melted = [name for name in _line_starts(row["prompt"]) if (data.folder / name).is_file()]
    if melted:
        yield f"its prompt has swallowed the row of {_list_some(melted)}; a quotation mark is not closed"
    name = row["image"].strip()
    if not name:
        yield "the column image is empty"
    elif not (data.folder / name).is_file():
        yield f"there is no such file in {files.shorten(data.folder)}"
    else:
        yield from _picture_problems(data.folder / name, data, smallest=smallest, tell=tell)


def _line_starts(prompt: str) -> list[str]:
    """Return what stands before the first comma of each line of a prompt but the first line."""
    starts = (line.partition(",")[0].strip(' "') for line in prompt.splitlines()[1:])
    return [start for start in starts if start and len(start) < 256]


def _picture_problems(
    path: Path, data: DataSet, *, smallest: int, tell: Callable[[str], object]
) -> Iterator[str]:
    try:
        width, height = pictures.read(path, tell=tell).size
    except (OSError, ValueError) as error:
        yield str(error)
        return
    if min(width, height) < smallest:
        yield f"{width}×{height} px is too small, the shorter side needs {smallest} px"
        return
    wide, high = data.trained_size(width, height)
    if min(wide, high) < SIDE:
        yield (
            f"{width}×{height} px would be trained at {wide}×{high} px, because larger pictures are made "
            f"smaller, to {data.max_pixels:,} pixels; each side needs {SIDE} px. Crop it"
        )
    scale = max(wide / width, high / height)
    if width * height * scale**2 > LARGEST:
        yield (
            f"{width}×{height} px would be enlarged to {width * scale:.0f}×{height * scale:.0f} px before it "
            f"is cropped to {wide}×{high}. Crop it yourself"
        )


# Encoded


def encode(pipe: QwenImagePipeline, picture: Image.Image, prompt: str) -> dict[str, torch.Tensor]:
    """Run the pipeline's own units on a picture and its prompt, and keep what the loss takes of them.

    returns: input_latents (1, C, H, W), prompt_emb (1, S, D), prompt_emb_mask (1, S)
    """
    import torch

    size = {"height": picture.height, "width": picture.width}
    shared: dict[str, Any] = {"input_image": picture, **size, "cfg_scale": 1}
    shared |= {"rand_device": "cpu", "tiled": False}
    positive: dict[str, Any] = {"prompt": prompt}
    negative: dict[str, Any] = {}
    with torch.no_grad():
        for unit in pipe.units:
            shared, positive, negative = pipe.unit_runner(unit, pipe, shared, positive, negative)
    return {name: {**shared, **positive}[name] for name in INPUTS}


def encode_words(pipe: QwenImagePipeline, prompt: str) -> dict[str, torch.Tensor]:
    """Run the text encoder alone.

    returns: prompt_emb (1, S, D), prompt_emb_mask (1, S)
    """
    import torch
    from diffsynth.pipelines.qwen_image import QwenImageUnit_PromptEmbedder

    with torch.no_grad():
        return QwenImageUnit_PromptEmbedder().process(pipe, prompt)


def encode_all(pipe: QwenImagePipeline, data: DataSet, *, sample_prompt: str) -> dict[str, torch.Tensor]:
    """Encode every row of the table, and the prompt of the sample pictures.

    returns: for row N `N.input_latents` (1, C, H, W), `N.prompt_emb` (1, S, D) and
    `N.prompt_emb_mask` (1, S); for the sample pictures' prompt and the empty one the last two, as `sample.…`
    and `nothing.…`
    """
    from diffsynth.core.data.operators import ImageCropAndResize
    from tqdm import tqdm

    # DiffSynth crops the pictures. It neither reads the table, because it would guess types there, nor opens
    # the files, because it would leave photos lying and cut off what RGB cannot hold.
    fit = ImageCropAndResize(data.height, data.width, data.max_pixels, SIDE, SIDE)
    parts = {}
    pipe.scheduler.set_timesteps(1000, training=True)  # else the units would mix noise into the latents
    for number, row in enumerate(tqdm(data.rows(), desc="encode", unit="picture")):
        picture = pictures.read(data.folder / row["image"].strip(), tell=_ignore)
        parts[str(number)] = encode(pipe, fit(picture), row["prompt"].strip())
    parts |= {"sample": encode_words(pipe, sample_prompt), "nothing": encode_words(pipe, "")}
    return {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}


def _ignore(_: str) -> None:
    """Ignore what was done to a picture: the check has told it."""


class Encoded:
    """Encoded pictures as a data set for DiffSynth's loop: an item holds what the loss takes of a picture.

    words: "sample" and "nothing", what the sample pictures are drawn from
    """

    load_from_cache = True  # so the loop calls model({}, inputs=item)

    def __init__(self, path: Path, *, repeat: int = 1) -> None:
        from safetensors.torch import load_file

        parts: dict[str, dict[str, torch.Tensor]] = {}
        for key, tensor in load_file(path).items():
            part, name = key.split(".", 1)
            parts.setdefault(part, {})[name] = tensor
        self.words = {name: parts.pop(name) for name in ("sample", "nothing")}
        self.rows = [parts[str(number)] for number in range(len(parts))]
        self.repeat = repeat

    def __len__(self) -> int:
        return len(self.rows) * self.repeat

    def __getitem__(self, number: int) -> dict[str, Any]:
        row = self.rows[number % len(self.rows)]
        height, width = (8 * side for side in row["input_latents"].shape[-2:])
        return {**row, "height": height, "width": width}


def encode_once(
    path: Path, data: DataSet, *, profile: profiles.Profile, sample_prompt: str
) -> dict[str, str]:
    """Encode into a file, unless an earlier run encoded the same into it, and return what it cost.

    Text encoder and VAE are loaded for it and freed again, so the DiT need not be in memory beside them.

    returns: "seconds" that it took, and "weights", the bytes of the text encoder
    """
    key = _key(data, profile=profile, sample_prompt=sample_prompt)
    facts = checkpoint.read_facts(path)
    if facts.get("key") == key:
        return facts
    pipe = loading.read_parts("Qwen-Image", ENCODERS, profile=profile)
    started = time.perf_counter()
    tensors = encode_all(pipe, data, sample_prompt=sample_prompt)
    seconds = time.perf_counter() - started
    weights = sum(parameter.nbytes for parameter in pipe.text_encoder.parameters())
    facts = {"key": key, "seconds": repr(seconds), "weights": str(weights)}
    checkpoint.save(path, tensors, facts)
    del pipe
    memory.give_back()
    return facts


def describe_saving(facts: Mapping[str, str], *, pictures: int, steps: int) -> str:
    """Write what encoding once saves: its seconds were measured, the rest is computed from them."""
    seconds, weights = float(facts["seconds"]), int(facts["weights"])
    anew = seconds / pictures * steps
    return (
        f"Encoded once: {pictures} pictures and prompts in {seconds:.1f} s (measured). Encoded anew at "
        f"each of {steps} steps it would be {anew:.1f} s: {anew - seconds:.1f} s are saved (computed), and "
        f"the text encoder's {units.gib(weights)} need not be in memory."
    )


def _key(data: DataSet, *, profile: profiles.Profile, sample_prompt: str) -> str:
    """Name what encoded data depend on: pictures, prompts, sizes, and the two networks' files."""
    parts: list[object] = [
        "pictures as they are seen",
        profile.name,
        profile.dtype_name,
        sample_prompt,
        data.content(),
    ]
    parts += [data.max_pixels, data.height, data.width]
    sources = models.pipeline_parts("Qwen-Image")
    for role in ENCODERS:
        for path in models.find_files(*sources[role], profile.models):
            parts += [path.name, path.stat().st_size, path.stat().st_mtime_ns]
    return hashlib.sha256(repr(parts).encode()).hexdigest()
