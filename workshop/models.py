"""The catalogue: every repository, file, size and licence the workshop needs, and how to tell a good file.

Sizes are in bytes; GB is 10**9, as the hubs count. Parameters are counted from the classes, and the key
hashes are those that DiffSynth 2.1.12 registers (tests/workshop/test_models.py does both on the meta device).
Shard counts are those of the public file lists. "about" marks what nobody could count: LoRA files and folders
of small files.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workshop import lists, units

# Beside the weights, for a picture of 1328×1328 px with two references: an estimate, unmeasured on an MI300X.
WORKING_BYTES = 16 * units.GIB
LARGEST_HEADER = 100_000_000  # bytes; the safetensors format allows no more


@dataclass(frozen=True)
class Part:
    """Files that are loaded together; `role` is the pipeline's attribute that they become."""

    role: str
    pattern: str  # below the repository, as ModelConfig(origin_file_pattern=…) takes it
    shards: int  # files the pattern matches in the published repository
    bytes: int  # all of them together, in bf16
    parameters: int = 0
    key_hash: str = ""  # md5 of the sorted keys and shapes; empty where DiffSynth recognises nothing by it
    exact: bool = True
    needs: tuple[tuple[str, ...], ...] = ()  # for a folder: of each group, one file must be there

    @property
    def size(self) -> str:
        """Write the size for reading, with "about" where it was not counted."""
        return f"{'' if self.exact else 'about '}{units.gb(self.bytes)}"


@dataclass(frozen=True)
class Model:
    """A repository of the hub: its parts, its licence, and the notebooks that need it."""

    name: str
    repo: str
    files: tuple[Part, ...]
    licence: str
    notebooks: tuple[str, ...]  # their numbers

    @property
    def parameters(self) -> int:
        """Count the parameters of all parts."""
        return sum(part.parameters for part in self.files)

    @property
    def bytes(self) -> int:
        """Add up the bytes of all parts."""
        return sum(part.bytes for part in self.files)

    def part(self, role: str) -> Part:
        """Return the part of that role."""
        return next(part for part in self.files if part.role == role)


@dataclass(frozen=True)
class DiTShape:
    """The numbers that decide a Qwen-Image DiT's size."""

    blocks: int
    width: int  # D of an image token
    head: int  # D of one attention head
    text: int  # D of the text encoder


# Source of the first: diffsynth 2.1.12, models/qwen_image_dit.py, QwenImageDiT.
DIT_SHAPES = {
    "Qwen-Image": DiTShape(blocks=60, width=3072, head=128, text=3584),
    "pocket": DiTShape(blocks=6, width=192, head=32, text=192),
}


@dataclass(frozen=True)
class Problem:
    """A file that DiffSynth could not use, and why."""

    path: Path
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


def _weights(role: str, pattern: str, *, shards: int, parameters: int, key_hash: str) -> Part:
    return Part(role, pattern, shards, 2 * parameters, parameters, key_hash)  # bf16 is 2 bytes a parameter


def _dit(shards: int) -> Part:
    return _weights(
        "dit",
        "transformer/diffusion_pytorch_model*.safetensors",
        shards=shards,
        parameters=20_430_401_088,
        key_hash="0319a1cb19835fb510907dd3367c95ff",
    )


TEXT_ENCODER = _weights(
    "text_encoder",
    "text_encoder/model*.safetensors",
    shards=4,
    parameters=8_292_166_656,
    key_hash="8004730443f55db63092006dd9f7110e",
)
VAE = _weights(
    "vae",
    "vae/diffusion_pytorch_model.safetensors",
    shards=1,
    parameters=126_892_531,
    key_hash="ed4ea5824d55ec3107b09815e318123a",
)
_VOCABULARY = (("tokenizer_config.json",), ("tokenizer.json", "vocab.json"))
TOKENIZER = Part("tokenizer", "tokenizer/", 6, 5_060_000, exact=False, needs=_VOCABULARY)
PROCESSOR = Part(
    "processor",
    "processor/",
    9,
    15_900_000,
    exact=False,
    needs=(*_VOCABULARY, ("preprocessor_config.json", "processor_config.json")),
)
# Rank 32 on the 12 targets is 235,929,600 parameters; the published files are of that order.
LORA = Part("lora", "model.safetensors", 1, 471_859_200, exact=False)

APACHE = "Apache-2.0"
MODELS = {
    model.name: model
    for model in (
        Model(
            "Qwen-Image",
            "Qwen/Qwen-Image",
            (_dit(9), TEXT_ENCODER, VAE, TOKENIZER),
            APACHE,
            ("02", "03", "04", "05", "06", "07"),
        ),
        Model("Qwen-Image-Edit", "Qwen/Qwen-Image-Edit", (_dit(9), PROCESSOR), APACHE, ("05", "06")),
        Model("Qwen-Image-Edit-2509", "Qwen/Qwen-Image-Edit-2509", (_dit(5),), APACHE, ("06",)),
        Model("ArtAug", "DiffSynth-Studio/Qwen-Image-LoRA-ArtAug-v1", (LORA,), "see its model card", ("03",)),
        Model("F2P", "DiffSynth-Studio/Qwen-Image-Edit-F2P", (LORA,), APACHE, ("05",)),
    )
}
OPTIONS = {
    "Lightning": Model(
        "Lightning",
        "lightx2v/Qwen-Image-Lightning",
        # Rank 64 on attention and MLPs of both streams is 424,673,280 parameters; the hub says 850 MB.
        (Part("lora", "Qwen-Image-Lightning-4steps-V2.0-bf16.safetensors", 1, 850_000_000, exact=False),),
        APACHE,
        (),
    )
}
"""What no notebook needs: it is fetched when it is named, and gives another result (lightning)."""

_SHARED = {"text_encoder": "Qwen-Image", "vae": "Qwen-Image", "tokenizer": "Qwen-Image"}
# Which model each pipeline takes each part from; text encoder and VAE are the same in all three repositories.
PIPELINES = {
    "Qwen-Image": {"dit": "Qwen-Image", **_SHARED},
    "Qwen-Image-Edit": {"dit": "Qwen-Image-Edit", **_SHARED, "processor": "Qwen-Image-Edit"},
    "Qwen-Image-Edit-2509": {"dit": "Qwen-Image-Edit-2509", **_SHARED, "processor": "Qwen-Image-Edit"},
}


def pipeline_parts(name: str) -> dict[str, tuple[Model, Part]]:
    """Return the model and the part that fill each role of a pipeline."""
    if name not in PIPELINES:
        raise ValueError(f"There is no pipeline named {name!r}. These are: {', '.join(PIPELINES)}.")
    return {role: (MODELS[model], MODELS[model].part(role)) for role, model in PIPELINES[name].items()}


def pipeline_bytes(names: Sequence[str]) -> int:
    """Count the bytes of these pipelines in bf16, shared parts once, without activations.

    Raises TypeError for a single name without a list, ValueError for a name that is no pipeline.
    """
    lists.demand("names", names)
    parts = {(m.repo, p.role): p for name in names for m, p in pipeline_parts(name).values()}
    return sum(2 * part.parameters for part in parts.values())


def dit_parameters(*, blocks: int, width: int, head: int, text: int) -> int:
    """Predict the DiT's parameters from its shape.

    width: D of an image token; head: D of one attention head; text: D of the text encoder

    >>> dit_parameters(blocks=60, width=3072, head=128, text=3584)
    20430401088
    """
    # Two streams a block, image and text: modulation 6 D² + 6 D, attention 4 D² + 4 D, MLP 8 D² + 5 D each.
    block = 36 * width**2 + 30 * width + 4 * head  # + four norms of the heads
    entrance = (64 + 1) * width + text + (text + 1) * width  # a token is 2×2 latent px of 16 channels
    time = (256 + 1) * width + (width + 1) * width
    leaving = (width + 1) * 2 * width + (width + 1) * 64
    return blocks * block + entrance + time + leaving


def dit_operations(*, blocks: int, width: int, tokens: int) -> int:
    """Count the operations of one run of a DiT over so many tokens, those of prompt and pictures together.

        blocks · (24 D² tokens + 4 D tokens²)        D = width

    Attention's four matrices and the MLP's two hold 12 D² numbers, and each is multiplied and added once a
    token. Attention multiplies and adds D numbers a pair of tokens, for the scores and for their sum. Norms,
    modulation, and what enters and leaves the blocks are left out.

    >>> f"{dit_operations(blocks=60, width=3072, tokens=(1328 // 16) ** 2):.3g}"
    '1.29e+14'
    """
    return blocks * (24 * width**2 * tokens + 4 * width * tokens**2)


def bill(names: Sequence[str] = tuple(PIPELINES)) -> list[tuple[str, int, int]]:
    """Add up pipelines: one line each, all lines summed, and what is left if shared parts count once.

    returns: (what, parameters, bytes in bf16)

    Raises TypeError for a single name without a list, ValueError for a name that is no pipeline.
    """
    lists.demand("names", names)
    parts = {name: pipeline_parts(name).values() for name in names}
    counts = {name: sum(part.parameters for _, part in parts[name]) for name in names}
    once = pipeline_bytes(names) // 2  # bf16: two bytes a parameter
    lines = [*counts.items(), ("sum of the lines", sum(counts.values())), ("shared parts once", once)]
    return [(name, count, 2 * count) for name, count in lines]


def find_files(model: Model, part: Part, folder: Path) -> list[Path]:
    """List the files that DiffSynth would read for this part, sorted; a folder's files for a tokenizer."""
    pattern = part.pattern + "*" if part.pattern.endswith("/") else part.pattern
    return sorted((folder / model.repo).glob(pattern))


def name_files(part: Part) -> list[str]:
    """Name the files of a part, below its repository, as the published repository does.

    Of a folder, one file of each group that must be there is named.
    """
    if part.needs:
        return [part.pattern + names[0] for names in part.needs]
    if part.shards == 1:
        return [part.pattern.replace("*", "")]
    return [part.pattern.replace("*", f"-{n:05d}-of-{part.shards:05d}") for n in range(1, part.shards + 1)]


def find_problems(model: Model, part: Part, folder: Path, *, published: bool = True) -> list[Problem]:
    """Find what keeps a part from being read: files missing, cut short, unreadable or another model's.

    published: whether keys and shapes must be those of the real checkpoint; the pocket's are smaller
    """
    if part.needs:
        return list(_folder_problems(folder / model.repo / part.pattern, part))
    files = find_files(model, part, folder)
    if not files:
        return [Problem(folder / model.repo / part.pattern, "missing")]
    found = [*_missing_shards(files), *find_broken(files)]
    if not found and published and part.key_hash and key_hash(files) != part.key_hash:
        what = (
            f"another model: its keys and shapes hash to {key_hash(files)}, {part.role} needs {part.key_hash}"
        )
        found.append(Problem(files[0], what))
    return found


def read_header(path: Path) -> dict[str, Any]:
    """Read a safetensors file's table of contents, and no weights: name to dtype, shape and data_offsets.

    Format: an 8-byte little-endian length, that many bytes of JSON, then the data (safetensors 0.8, README).

    Raises ValueError if the file is not one, or is shorter or longer than its own header says.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if start.startswith(b"version "):
            raise ValueError("a Git LFS pointer, not the weights")
        if length > LARGEST_HEADER or (size >= 10 and length < 2):
            raise ValueError(f"not a safetensors file, it starts with {start!r}")
        if size < 8 + max(length, 2):
            raise ValueError(f"cut short: {units.gb(size)}, not even the header is whole")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    whole = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    if size != whole:
        what = "cut short" if size < whole else "too long"
        raise ValueError(f"{what}: {size:,} bytes, its header says {whole:,}")
    return header


def key_hash(files: Sequence[Path]) -> str:
    """Hash keys and shapes as DiffSynth does to recognise a model (core/loader/file.py, hash_model_file).

    >>> key_hash([])
    'd41d8cd98f00b204e9800998ecf8427e'
    """
    return hash_shapes({key: entry["shape"] for file in files for key, entry in read_header(file).items()})


def hash_shapes(shapes: Mapping[str, Sequence[int]]) -> str:
    """Hash keys and shapes as DiffSynth does; see `key_hash`."""
    keys = [key + ":" + "_".join(map(str, shape)) for key, shape in shapes.items()] + list(shapes)
    return hashlib.md5(",".join(sorted(keys)).encode(), usedforsecurity=False).hexdigest()


def _missing_shards(files: Sequence[Path]) -> Iterator[Problem]:
    # A shard's name says how many there are: …-00001-of-00009.safetensors
    numbered = [(file, re.search(r"-(\d+)-of-(\d+)\.safetensors$", file.name)) for file in files]
    counts = {int(match[2]) if match else 1 for _, match in numbered}
    if len(counts) > 1:
        sets = " and ".join(str(count) for count in sorted(counts))
        yield Problem(files[0].parent, f"files of different sets lie together (of {sets}); keep one set")
        return
    here = {int(match[1]) for _, match in numbered if match}
    for number in sorted(set(range(1, counts.pop() + 1)) - here) if here else ():
        name = re.sub(r"-\d+-of-", f"-{number:05d}-of-", files[0].name)
        yield Problem(files[0].with_name(name), "missing")


def find_broken(files: Sequence[Path]) -> Iterator[Problem]:
    """Yield the files that are cut short, damaged or unreadable; no weights are read."""
    for file in files:
        try:
            read_header(file)
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
        ) as error:  # damaged JSON is any of these
            what = (
                str(error) if type(error) is ValueError else f"unreadable ({type(error).__name__}: {error})"
            )
            yield Problem(file, what)


def _folder_problems(folder: Path, part: Part) -> Iterator[Problem]:
    for names in part.needs:
        here = [folder / name for name in names if (folder / name).is_file()]
        if not here:
            yield Problem(folder / names[0], "missing")
        for file in here:
            try:
                json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                yield Problem(file, f"unreadable as JSON, perhaps cut short ({error})")
