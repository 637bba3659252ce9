"""Random weights of the true shapes, in the true layout: DiffSynth recognises every file by its own hash.

A picture drawn with them is noise. Time, memory and every line of code on the way are the real model's. Keys
and shapes come from DiffSynth's classes on the meta device (2.1.12), shards and names from the catalogue.

Scale: matrices are normal with variance 1 / fan-in, biases 0, the scales of norms 1, so that no activation
overflows bfloat16 in 60 blocks.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
import shutil
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffsynth.configs import MODEL_CONFIGS
from diffsynth.models.qwen_image_dit import QwenImageDiT
from diffsynth.models.qwen_image_text_encoder import QwenImageTextEncoder
from diffsynth.models.qwen_image_vae import QwenImageVAE

from workshop import files, lora, units
from workshop import models as catalogue
from workshop.training import dataset

if TYPE_CHECKING:
    from transformers import Qwen2Tokenizer

NUMBERS = 16_777_213
"""So many normal numbers are drawn; every tensor reads them from a place of its own, around if it is larger.
A prime, so that the rows of no matrix fall onto each other."""

RANK = 32
"""Of the LoRAs that stand for ArtAug and F2P."""

SPECIAL_IDS = {
    "<|endoftext|>": 151643,
    "<|im_start|>": 151644,
    "<|im_end|>": 151645,
    "<|vision_start|>": 151652,
    "<|vision_end|>": 151653,
    "<|image_pad|>": 151655,
    "<|video_pad|>": 151656,
}
"""Where the real vocabulary has them; the text encoder looks for pictures by the id of `<|image_pad|>`."""

PHOTOGRAPH = 1024
"""image px a side of the pictures that stand for the dog's photographs."""


@dataclass(frozen=True)
class Depth:
    """How many layers each network has; widths are always the true ones."""

    blocks: int = 60  # of the DiT
    layers: int = 28  # of the text encoder's language model
    vision_layers: int = 32  # of its vision tower


TRUE = Depth()


class ShortTextEncoder(QwenImageTextEncoder):
    """The text encoder at its true width, with fewer layers and without the head, which nobody asks."""

    def __init__(self, layers: int, vision_layers: int) -> None:
        torch.nn.Module.__init__(self)
        from transformers import Qwen2_5_VLModel

        with torch.device("meta"):
            self.config = copy.deepcopy(QwenImageTextEncoder().config)
        words, vision = self.config.text_config, self.config.vision_config
        words.num_hidden_layers, words.layer_types = layers, words.layer_types[:layers]
        vision.depth = vision_layers
        vision.fullatt_block_indexes = [i for i in vision.fullatt_block_indexes if i < vision_layers]
        self.model = Qwen2_5_VLModel(self.config)


# Keys and shapes


def make_network(role: str, depth: Depth = TRUE) -> torch.nn.Module:
    """Return the network of a role on the meta device: every key and shape, and no memory."""
    with torch.device("meta"):
        if role == "dit":
            return QwenImageDiT(num_layers=depth.blocks)
        if role == "vae":
            return QwenImageVAE()
        if depth == TRUE:
            return QwenImageTextEncoder()
        return ShortTextEncoder(depth.layers, depth.vision_layers)


def list_shapes(role: str, depth: Depth = TRUE) -> dict[str, list[int]]:
    """Return the shape of every tensor of a part's files, by its key there.

    role: dit, text_encoder, vae or lora
    """
    if role == "lora":
        return _list_lora_shapes(make_network("dit", depth))
    found = make_network(role, depth).state_dict()
    return {_name_in_file(role, key): list(value.shape) for key, value in found.items()}


def _name_in_file(role: str, key: str) -> str:
    # The reverse of DiffSynth's QwenImageTextEncoderStateDictConverter.
    if role != "text_encoder":
        return key
    return key.replace("model.language_model.", "model.", 1).replace("model.visual.", "visual.", 1)


def _list_lora_shapes(dit: torch.nn.Module) -> dict[str, list[int]]:
    shapes = {}
    for name, layer in dit.named_modules():
        if isinstance(layer, torch.nn.Linear) and name.endswith(lora.TARGETS):
            shapes[f"{name}.lora_A.default.weight"] = [RANK, layer.in_features]
            shapes[f"{name}.lora_B.default.weight"] = [layer.out_features, RANK]
    return shapes


def register(depth: Depth) -> dict[str, str]:
    """Make DiffSynth recognise networks of this depth; return the hash of each by its role.

    At the true depth nothing is registered: DiffSynth's own entries must do.
    """
    makers: dict[str, dict[str, Any]] = {
        "dit": {
            "model_name": "qwen_image_dit",
            "model_class": f"{QwenImageDiT.__module__}.{QwenImageDiT.__qualname__}",
            "extra_kwargs": {"num_layers": depth.blocks},
        },
        "text_encoder": {
            "model_name": "qwen_image_text_encoder",
            "model_class": f"{ShortTextEncoder.__module__}.{ShortTextEncoder.__qualname__}",
            "extra_kwargs": {"layers": depth.layers, "vision_layers": depth.vision_layers},
            "state_dict_converter": "diffsynth.utils.state_dict_converters.qwen_image_text_encoder."
            "QwenImageTextEncoderStateDictConverter",
        },
        "vae": {},
    }
    hashes = {role: catalogue.hash_shapes(list_shapes(role, depth)) for role in makers}
    known = {config["model_hash"] for config in MODEL_CONFIGS}
    MODEL_CONFIGS.extend(
        {"model_hash": hashes[role], **maker} for role, maker in makers.items() if hashes[role] not in known
    )
    return hashes


# Written


@dataclass(frozen=True)
class Plan:
    """One part to be written: its files, and the tensors in each."""

    model: catalogue.Model
    part: catalogue.Part
    shards: dict[Path, dict[str, list[int]]]

    @property
    def bytes(self) -> int:
        """Count the bytes of all its tensors in bf16."""
        return sum(count_bytes(shape) for shapes in self.shards.values() for shape in shapes.values())


def count_bytes(shape: Sequence[int]) -> int:
    """Count the bytes of a tensor in bf16."""
    return torch.bfloat16.itemsize * math.prod(shape)


def plan(folder: Path, names: Sequence[str], depth: Depth = TRUE) -> tuple[list[Plan], dict[Path, Path]]:
    """Decide which files to write for these models, and which are equal to another: link to original.

    Raises ValueError for a name that is not in the catalogue.
    """
    unknown = [name for name in names if name not in catalogue.MODELS]
    if unknown:
        raise ValueError(f"There is no model {unknown[0]!r}. These are: {', '.join(catalogue.MODELS)}.")
    plans: list[Plan] = []
    links: dict[Path, Path] = {}
    for model in (catalogue.MODELS[name] for name in names):
        for part in (part for part in model.files if not part.needs):
            paths = [folder / model.repo / name for name in catalogue.name_files(part)]
            shards = split(list_shapes(part.role, depth), paths)
            same = next((one for one in plans if list(one.shards.values()) == list(shards.values())), None)
            if same:
                links |= dict(zip(paths, same.shards, strict=True))
            else:
                plans.append(Plan(model, part, shards))
    return plans, links


def split(shapes: Mapping[str, list[int]], paths: Sequence[Path]) -> dict[Path, dict[str, list[int]]]:
    """Share tensors out among files, in their order, so that each file has about as many bytes."""
    total, done = sum(map(count_bytes, shapes.values())), 0
    shards: dict[Path, dict[str, list[int]]] = {path: {} for path in paths}
    for key, shape in shapes.items():
        middle = done + count_bytes(shape) / 2
        shards[paths[min(len(paths) - 1, int(middle * len(paths) / total))]][key] = shape
        done += count_bytes(shape)
    return shards


def write(folder: Path, names: Sequence[str] = tuple(catalogue.MODELS), depth: Depth = TRUE) -> int:
    """Write these models' files below a folder, and the dog's pictures; return the bytes that were written.

    What is there and whole stays. A transformer that equals another is a hard link to it.

    Raises ValueError for an unknown name, OSError, before anything is written, if the room is not there.
    """
    plans, links = plan(folder, names, depth)
    missing = [one for one in plans if not _is_there(one)]
    demand_room(folder, sum(one.bytes for one in missing))
    numbers = Numbers()
    with _bar(sum(one.bytes for one in missing)) as bar:
        for one in missing:
            for path, shapes in one.shards.items():
                write_tensors(path, shapes, numbers, bar)
    for link, original in links.items():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        os.link(original, link)
    write_words(folder)
    write_dog(folder / dataset.DOG_REPO)
    return sum(one.bytes for one in missing)


def demand_room(folder: Path, needed: int) -> None:
    """Raise OSError if a folder's disk, or memory behind it, has not so many bytes free."""
    where = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(where).free
    if needed > free:
        raise OSError(
            f"{units.gb(needed)} of weights do not fit: {files.shorten(where)} has {units.gb(free)} free. "
            "Name another folder, one in memory too (/dev/shm), or fewer models: --models Qwen-Image"
        )


def _is_there(one: Plan) -> bool:
    return all(path.is_file() for path in one.shards) and not list(catalogue.find_broken(list(one.shards)))


class Numbers:
    """Normal numbers, drawn once from a seed, of which every tensor takes its own."""

    def __init__(self, seed: int = 0, count: int = NUMBERS) -> None:
        self.values = torch.randn(count, generator=torch.Generator().manual_seed(seed))

    def fill(self, key: str, shape: Sequence[int]) -> Iterator[torch.Tensor]:
        """Yield a tensor's numbers in pieces, each bfloat16 of one dimension."""
        left = math.prod(shape)
        fan_in = math.prod(shape[1:])
        if key.endswith("bias") or fan_in == 1:
            value = 0.0 if key.endswith("bias") else 1.0
            yield torch.full((left,), value, dtype=torch.bfloat16)
            return
        digest = hashlib.sha256(key.encode()).digest()
        place = int.from_bytes(digest[:8], "little") % len(self.values)
        while left:
            piece = self.values[place : place + left] * fan_in**-0.5
            yield piece.to(torch.bfloat16)
            left, place = left - len(piece), 0


def write_tensors(path: Path, shapes: Mapping[str, list[int]], numbers: Numbers, bar: Any) -> None:
    """Write one safetensors file piece by piece: never more than 64 MB are in memory at once."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for key, shape in shapes.items():
        start, end = end, end + count_bytes(shape)
        header[key] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # safetensors aligns the data to 8 bytes
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for key, shape in shapes.items():
            for piece in numbers.fill(key, shape):
                file.write(piece.view(torch.int16).numpy().tobytes())
                bar.update(piece.nbytes)


def _bar(total: int) -> Any:
    from tqdm.auto import tqdm

    return tqdm(total=total, desc="random weights", unit="B", unit_scale=True, disable=not total)


# Words and pictures


def write_words(folder: Path) -> None:
    """Write tokenizer and processor: the pocket's pieces of words, with special tokens at their true ids."""
    from transformers import Qwen2VLImageProcessor, Qwen2VLProcessor
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    tokenizer = make_tokenizer()
    target = folder / "Qwen" / "Qwen-Image" / "tokenizer"
    tokenizer.save_pretrained(target)
    processor = Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(),
    )
    processor.save_pretrained(folder / "Qwen" / "Qwen-Image-Edit" / "processor")


def make_tokenizer() -> Qwen2Tokenizer:
    """Return the pocket's tokenizer with special tokens at the ids of the real one."""
    from transformers import Qwen2Tokenizer

    pocket = files.POCKET / "Qwen" / "Qwen-Image" / "tokenizer"
    vocabulary = json.loads((pocket / "vocab.json").read_text(encoding="utf8"))
    merges = (pocket / "merges.txt").read_text(encoding="utf8").splitlines()[1:]
    return Qwen2Tokenizer(
        vocab=vocabulary | SPECIAL_IDS,
        merges=[tuple(merge.split(" ")) for merge in merges],  # type: ignore[misc]  # pairs, as BPE takes them
        extra_special_tokens=list(SPECIAL_IDS)[1:],
        model_max_length=2048,
    )


def write_dog(folder: Path) -> None:
    """Write the repository's five pictures of a dog, enlarged to a photograph's size, with their prompts."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    drawn = files.REPO / "data" / "dog"
    shutil.copyfile(drawn / "metadata.csv", folder / "metadata.csv")
    for path in sorted(drawn.glob("*.png")):
        with Image.open(path) as picture:
            picture.resize((PHOTOGRAPH, PHOTOGRAPH)).save(folder / path.name)
