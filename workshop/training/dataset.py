"""The pictures a LoRA is trained on: checked before anything heavy loads, then encoded once.

Axes: B batch (1), C channels (16), H height, W width (latent px: 8 image px), S tokens, D width of a token.
Source: diffsynth 2.1.12, core/data/unified_dataset.py and pipelines/qwen_image.py.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop import files, loading, memory, models, profiles, units
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
INPUTS = ("input_latents", "prompt_emb", "prompt_emb_mask")  # what the loss takes of a picture and its prompt


@dataclass(frozen=True)
class DataSet:
    """Where pictures and prompts are, and how large the pictures are taken."""

    folder: Path
    table: Path
    max_pixels: int = 1024 * 1024  # larger pictures are made smaller
    height: int | None = None  # image px; with width, every picture is cropped to this size
    width: int | None = None

    def read(self) -> pandas.DataFrame:
        """Read the table: a row for each picture, a column for each name in the first line.

        It is all text: no type is guessed, and a word such as NA or null stays a word. An absent field is "".

        Raises ValueError for a file that is no table or not in UTF-8.
        """
        return _read_table(self.table).drop(columns=BEYOND)

    def rows(self) -> list[dict[str, str]]:
        """Read the table: one dict a picture."""
        return self.read().to_dict("records")

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


def find_problems(data: DataSet, *, smallest: int = 32) -> list[str]:
    """List everything that is wrong with a data set, each with its file and row; an empty list is good.

    smallest: image px that a picture's shorter side must have

    Row 1 is the first picture, below the line of names.
    """
    table = files.shorten(data.table)
    form = "the first line must be image,prompt, and each other line one picture"
    if not data.table.is_file():
        return [f"{table} is missing; {form}"]
    try:
        rows = _read_table(data.table)
    except ValueError as error:
        return [f"{table} is no table in UTF-8 ({error}); {form}"]
    if rows.empty:
        return [f"{table} has no rows; {form}"]
    absent = [name for name in COLUMNS if name not in rows.columns]
    if absent:
        return [f"{table} has no column {name}; {form}" for name in absent]
    return [
        f"{table} row {number}, {row['image'].strip() or 'no file named'}: {what}"
        for number, row in enumerate(rows.to_dict("records"), 1)
        for what in _row_problems(row, data.folder, smallest=smallest)
    ]


def _read_table(path: Path) -> pandas.DataFrame:
    """Read a table as text; BEYOND is True for a row that has more fields than the first line has names."""
    import pandas

    options: dict[str, Any] = {"header": None, "dtype": str, "keep_default_na": False}
    options |= {"encoding": "utf-8-sig", "engine": "python"}  # this engine tells an absent field from ""
    try:
        names = list(pandas.read_csv(path, nrows=1, **options).iloc[0])
    except pandas.errors.EmptyDataError:
        return pandas.DataFrame(columns=[*COLUMNS, BEYOND])
    if len(set(names)) < len(names):
        raise ValueError(f"two columns have one name: {', '.join(names)}")
    width = len(names) + 1
    table = pandas.read_csv(path, names=range(width), on_bad_lines=lambda row: row[:width], **options)
    table.columns = pandas.Index([*names, BEYOND])
    table[BEYOND] = table[BEYOND].notna()
    return table.iloc[1:].fillna("").reset_index(drop=True)


def _row_problems(row: Mapping[str, Any], folder: Path, *, smallest: int) -> Iterator[str]:
    if row[BEYOND]:
        yield "more fields than columns; a prompt with a comma needs quotation marks around it"
    if not row["prompt"].strip():
        yield "the prompt is empty"
    name = row["image"].strip()
    if not name:
        yield "the column image is empty"
    elif not (folder / name).is_file():
        yield f"there is no such file in {files.shorten(folder)}"
    else:
        yield from _picture_problems(folder / name, smallest=smallest)


def _picture_problems(path: Path, *, smallest: int) -> Iterator[str]:
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()  # all of it: a picture that is cut short opens well
            width, height = image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        yield f"no whole picture ({error})"
        return
    if min(width, height) < smallest:
        yield f"{width}×{height} px is too small, the shorter side needs {smallest} px"


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
    from diffsynth.core import UnifiedDataset
    from tqdm import tqdm

    # DiffSynth opens and crops the pictures; it does not read the table, because it would guess types there.
    open_picture = UnifiedDataset.default_image_operator(
        str(data.folder), max_pixels=data.max_pixels, height=data.height, width=data.width
    )
    parts = {}
    pipe.scheduler.set_timesteps(1000, training=True)  # else the units would mix noise into the latents
    for number, row in enumerate(tqdm(data.rows(), desc="encode", unit="picture")):
        parts[str(number)] = encode(pipe, open_picture(row["image"].strip()), row["prompt"].strip())
    parts |= {"sample": encode_words(pipe, sample_prompt), "nothing": encode_words(pipe, "")}
    return {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}


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
    parts: list[object] = [profile.name, profile.dtype_name, sample_prompt, data.content()]
    parts += [data.max_pixels, data.height, data.width]
    sources = models.pipeline_parts("Qwen-Image")
    for role in ENCODERS:
        for path in models.find_files(*sources[role], profile.models):
            parts += [path.name, path.stat().st_size, path.stat().st_mtime_ns]
    return hashlib.sha256(repr(parts).encode()).hexdigest()
