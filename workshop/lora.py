"""LoRA: how large one is, which model a file was made for, and loading it with a check.

    W' = W + alpha · B A        W: (rows, columns), B: (rows, rank), A: (rank, columns)

DiffSynth loads, stacks and clears; notebook 03 calls it directly. DiffSynth does not check: of a file for
another model it patches what fits by name, prints "0 tensors are patched" and goes on. `check` checks first.

Source: Hu et al. 2021, arXiv 2106.09685; diffsynth 2.1.12, diffusion/base_pipeline.py (load_lora,
clear_lora), utils/lora/general.py (names), core/vram/layers.py (hot-loading).
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from workshop import models

if TYPE_CHECKING:
    import torch
    from diffsynth.pipelines.qwen_image import ModelConfig, QwenImagePipeline

Sizes: TypeAlias = dict[str, tuple[int, int]]  # a linear layer's name to its rows and columns

TARGETS = (
    *("to_q", "to_k", "to_v", "to_out.0"),  # attention, image stream
    *("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),  # attention, text stream
    *("img_mlp.net.2", "txt_mlp.net.2"),  # the MLP's way back from 4 D to D
    *("img_mod.1", "txt_mod.1"),  # modulation by the noise level, from D to 6 D
)
"""The layers of each block that the workshop's LoRAs change."""

# What the names of layers tell about a LoRA of another family. By their form, not by a list of models.
FAMILIES = (
    (r"single_transformer_blocks|double_blocks|single_blocks", "FLUX"),
    (r"lora_unet_|down_blocks|up_blocks|input_blocks", "a U-Net, as in Stable Diffusion"),
    (r"(^|\.)blocks\.\d+\.(self|cross)_attn", "Wan, a video model"),
    (r"lora_te|text_model|text_encoder|language_model", "a text encoder"),
)

WHOSE = {"Qwen-Image": "the real Qwen-Image's", "pocket": "the pocket model's"}  # as a message names it


@dataclass(frozen=True)
class File:
    """What a LoRA file holds: for each layer the size of the matrix it is for, and the rank."""

    path: Path
    sizes: Sizes
    ranks: dict[str, int]

    @property
    def parameters(self) -> int:
        """Count the numbers in all of its A and B."""
        return sum(count_pair(*size, rank=self.ranks[name]) for name, size in self.sizes.items())

    @property
    def rank(self) -> int:
        """Return the largest rank of any layer; most files have the same everywhere."""
        return max(self.ranks.values())


def count_pair(rows: int, columns: int, *, rank: int) -> int:
    """Count the numbers in A and B for one matrix.

    >>> count_pair(4096, 4096, rank=32)
    262144
    """
    return rank * (rows + columns)


def predict(*, blocks: int, width: int, rank: int) -> int:
    """Predict the parameters of a LoRA on the 12 targets from the DiT's shape.

    >>> predict(blocks=60, width=3072, rank=32)
    235929600
    """
    # Eight matrices D×D: 16 D. Two from 4 D to D: 10 D. Two from D to 6 D: 14 D.
    return blocks * 40 * width * rank


def list_targets(dit: torch.nn.Module) -> Sizes:
    """List the layers of a DiT that are among the 12 targets; a DiT on the meta device will do."""
    endings = tuple("." + target for target in TARGETS)
    return {name: size for name, size in _linears(dit).items() if name.endswith(endings)}


def count(sizes: Mapping[str, tuple[int, int]], *, rank: int) -> int:
    """Count the parameters of a LoRA of this rank on these layers."""
    return sum(count_pair(*size, rank=rank) for size in sizes.values())


def read(source: str | Path | ModelConfig) -> File:
    """Read names and shapes of a LoRA file, and no weights.

    Raises FileNotFoundError if it is missing, ValueError if it is cut short, damaged or no LoRA.
    """
    path = _path(source)
    for problem in models.find_broken([path]):
        raise ValueError(f"{problem}. A LoRA file must be whole: fetch it again.")
    header = models.read_header(path)
    pairs = _pairs(header)
    if not pairs:
        raise ValueError(f"{path} is no LoRA: {_whole(path, header)}. Give a file with lora_A and lora_B.")
    shapes = {name: [header.get(key, {}).get("shape", ()) for key in keys] for name, keys in pairs.items()}
    for name, (down, up) in shapes.items():
        if len(down) != 2 or len(up) != 2 or down[0] != up[1]:
            raise ValueError(
                f"{path} cannot be used: for {name}, A is {_by(down)} and B is {_by(up)}. "
                "B must have as many columns as A has rows. Fetch the file again."
            )
    sizes = {name: (up[0], down[1]) for name, (down, up) in shapes.items()}
    return File(path, sizes, {name: down[0] for name, (down, _) in shapes.items()})


def read_linears(name: str, folder: Path) -> Sizes:
    """Read from the headers of a pipeline's DiT the sizes of its linear layers, and no weights.

    folder: where the models are
    """
    paths = models.find_files(*models.pipeline_parts(name)["dit"], folder)
    shapes = {key: entry["shape"] for path in paths for key, entry in models.read_header(path).items()}
    return {
        key.removesuffix(".weight"): (shape[0], shape[1])
        for key, shape in shapes.items()
        if key.endswith(".weight") and len(shape) == 2
    }


def demand_numbers(file: File) -> None:
    """Read a LoRA file's weights and raise ValueError if one is no number: pictures would be black."""
    from safetensors import safe_open

    with safe_open(file.path, framework="pt") as tensors:
        for name in tensors.keys():  # noqa: SIM118 - it is no dictionary
            if not tensors.get_tensor(name).isfinite().all():
                raise ValueError(
                    f"{file.path} holds a weight that is no number, in {name}; every picture would be black. "
                    "Take the LoRA of an earlier step, or train it anew with a smaller rate."
                )


def check(source: str | Path | ModelConfig, dit: torch.nn.Module | Sizes) -> File:
    """Make sure that this DiT has a layer for every part of a LoRA file; returns what the file holds.

    dit: the model, or its linear layers as `read_linears` reads them

    A file for a model of the same layers and sizes passes: no name and no shape tells whether it was trained
    for Qwen-Image or for Qwen-Image-Edit.

    Raises what `read` raises, and ValueError for a LoRA of another model: what it is for, what was needed.
    """
    file, here = read(source), dit if isinstance(dit, dict) else _linears(dit)
    fitting = sum(here.get(name) == size for name, size in file.sizes.items())
    if fitting == len(file.sizes):
        return file
    first = next(name for name, size in file.sizes.items() if here.get(name) != size)
    needs = f"{_by(here[first])} here" if first in here else "not in this model"
    raise ValueError(
        f"{file.path} is a LoRA for another model: {fitting} of its {len(file.sizes)} layers fit.\n"
        f"  it is for:  {_owner(file.sizes, here)}; first {first} ({_by(file.sizes[first])}), {needs}\n"
        f"  needed:     {_shape(here)}\n"
        f"  to do:      {_remedy(file.sizes, here)}"
    )


def load(pipe: QwenImagePipeline, source: str | Path | ModelConfig, *, alpha: float = 1.0) -> File:
    """Check a LoRA and load it hot into the pipeline's DiT; `pipe.clear_lora()` takes it out, bit for bit.

        y = W x + alpha · B (A x)

    alpha: 0.5 is half of the change, a number below 0 its opposite

    LoRAs add up, also one with itself.

    Raises what `check` raises, and ValueError if alpha or a weight is no finite number; then nothing has been
    loaded.
    """
    if not math.isfinite(alpha):
        raise ValueError(f"alpha must be a finite number, got {alpha}; every picture would be black.")
    file = check(source, pipe.dit)
    demand_numbers(file)
    pipe.dit = pipe.enable_lora_hot_loading(pipe.dit)  # the second time, it hands the DiT back as it is
    pipe.load_lora(pipe.dit, str(file.path), alpha=alpha, hotload=True)
    return file


def count_patched(keys: Iterable[str], dit: torch.nn.Module) -> tuple[int, int]:
    """Count the layers that DiffSynth would patch, and all layers that these keys of a LoRA are for."""
    names, here = list(_pairs(dict.fromkeys(keys))), _linears(dit)
    return sum(name in here for name in names), len(names)


def _owner(sizes: Sizes, here: Sizes) -> str:
    """Name the model that a LoRA is for, as far as names and sizes tell.

    here: the layers of a Qwen-Image DiT of any size, to know the names by
    """
    if _forms(sizes) <= _forms(here):
        return _shape(sizes)
    for pattern, family in FAMILIES:
        if any(re.search(pattern, name) for name in sizes):
            return f"{family}, by its names"
    return f"a model that its names do not tell ({len(sizes)} layers)"


def _linears(dit: torch.nn.Module) -> Sizes:
    import torch

    layers = dit.named_modules()
    return {name: (m.out_features, m.in_features) for name, m in layers if isinstance(m, torch.nn.Linear)}


def _path(source: str | Path | ModelConfig) -> Path:
    if isinstance(source, str | Path):
        if Path(source).is_file():
            return Path(source)
        raise FileNotFoundError(f"There is no LoRA file {source}. Give the path of a .safetensors file.")
    config = copy.copy(source)  # it would remember that it found nothing
    config.download_if_necessary()
    paths = [config.path] if isinstance(config.path, str) else config.path
    found = [Path(path) for path in paths if Path(path).is_file()]
    if len(found) == 1:
        return found[0]
    asked = f"{config.model_id} {config.origin_file_pattern}" if config.model_id else config.path
    raise FileNotFoundError(
        f"A LoRA is one file; for {asked}, {len(found)} are in {config.local_model_path}. "
        "What is missing here, and how to get it: ./scripts/preflight"
    )


def _pairs(header: Mapping[str, object]) -> dict[str, tuple[str, str]]:
    """Find layers and the keys of their A and B, named as DiffSynth's own loader names them."""
    from diffsynth.utils.lora import GeneralLoRALoader

    named = GeneralLoRALoader().get_name_dict([key for key in header if re.search(r"\.lora_(B|up)\.", key)])
    return {name: (a, b) for name, (b, a, _) in named.items()}


def _whole(path: Path, header: Mapping[str, object]) -> str:
    published = {part.key_hash: part.role for model in models.MODELS.values() for part in model.files}
    role = published.get(models.key_hash([path]))
    return (
        f"a whole {role} of Qwen-Image" if role else f"{len(header)} tensors, first {next(iter(header), '')}"
    )


def _forms(sizes: Sizes) -> set[str]:
    return {re.sub(r"\.\d+\.", ".N.", name, count=1) for name in sizes}


def _shape(sizes: Sizes) -> str:
    """Name a Qwen-Image DiT by its blocks and its width, the smallest side of any layer in them."""
    numbers = [re.match(r"transformer_blocks\.(\d+)\.", name) for name in sizes]
    blocks = 1 + max((int(number[1]) for number in numbers if number), default=-1)
    inside = [min(size) for size, number in zip(sizes.values(), numbers, strict=True) if number]
    width = min(inside, default=0)
    known = {(shape.blocks, shape.width): WHOSE[name] for name, shape in models.DIT_SHAPES.items()}
    whose = known.get((blocks, width), "none of this workshop's")
    return f"a Qwen-Image DiT of {blocks} blocks, width {width}: {whose}"


def _remedy(sizes: Sizes, here: Sizes) -> str:
    name = next(iter(sizes))
    ending = next((one for one in here if name.endswith("." + one)), None)
    if ending:
        prefix = name.removesuffix(ending)
        return f"take {prefix!r} off the names in the file, a prefix that DiffSynth does not know"
    return "load it into the model it is for, or take a LoRA made for this one"


def _by(shape: Iterable[int]) -> str:
    return "×".join(map(str, shape))
