"""Draw held-out prompts and read the pictures: what the measures of the base and of the family share.

The stock pipelines draw, with 40 steps and the default guidance; `workshop.pocket.model.reader` reads.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
import torch

from workshop import drawing
from workshop.pocket.model import reader
from workshop.pocket.world import captions, scenes
from workshop.prompts import Caption

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline
    from PIL import Image

NUM_INFERENCE_STEPS, CFG_SCALE = 40, 4.0
SIZE = 128  # image px
PROMPT_SEED = 2026
"""The held-out scenes of the report start here; no training stage uses this seed."""


@dataclass(frozen=True)
class Drawing:
    """One drawn picture, and what became of its prompt.

    found: attribute to value, as the reader returns it
    followed: attribute that the caption names to whether the picture shows it
    """

    caption: Caption
    seed: int
    image: Image.Image
    found: dict[str, str]
    followed: dict[str, bool]


def choose_captions(language: str, count: int) -> list[Caption]:
    """Return the first captions of held-out scenes that name something, in one language."""
    rng = random.Random(f"{PROMPT_SEED} {language}")
    written = (captions.caption(scene, language, rng) for scene in scenes.stream(PROMPT_SEED, test=True))
    return list(islice((caption for caption in written if caption.named), count))


def draw_captions(
    pipe: QwenImagePipeline, chosen: Iterable[Caption], *, first_seed: int = 0
) -> Iterator[Drawing]:
    """Yield one drawing for each caption, with seeds that count up."""
    for seed, caption in enumerate(chosen, first_seed):
        image = drawing.draw(
            pipe,
            caption.text,
            size=SIZE,
            seed=seed,
            num_inference_steps=NUM_INFERENCE_STEPS,
            cfg_scale=CFG_SCALE,
        )
        found = reader.read(image)
        followed = reader.compare(caption.named, found, placed=caption.placed)
        yield Drawing(caption, seed, image, found, followed)


def share_followed(drawings: Iterable[Drawing]) -> float:
    """Return the share of named attributes that the pictures show, over all prompts together."""
    return fmean(hit for one in drawings for hit in one.followed.values())


def share_by_attribute(drawings: Iterable[Drawing]) -> dict[str, float]:
    """Return the same share attribute by attribute, both people of a couple together."""
    hits: dict[str, list[bool]] = defaultdict(list)
    for one in drawings:
        for name, hit in one.followed.items():
            hits[name.removeprefix("left ").removeprefix("right ")].append(hit)
    return {name: round(fmean(found), 3) for name, found in sorted(hits.items())}


def compare_identity(
    reference: Mapping[str, str], found: Mapping[str, str], *, side: str = "left "
) -> dict[str, bool]:
    """Return for each attribute of `scenes.IDENTITY` whether the person on this side has the reference's."""
    return {name: found.get(side + name) == reference["left " + name] for name in scenes.IDENTITY}


def to_tensor(images: Sequence[Image.Image]) -> torch.Tensor:
    """Return pictures of one size as floats, (B, 3, H, W) in [-1, 1]."""
    stack = np.stack([np.asarray(image) for image in images])
    return torch.from_numpy(stack).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def pass_through_vae(pipe: QwenImagePipeline, image: Image.Image) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a picture and what the VAE makes of it, both float32, (1, 3, H, W) in [-1, 1]."""
    before = to_tensor([image]).to(pipe.device, pipe.torch_dtype)
    after = pipe.vae.decode(pipe.vae.encode(before)).float().clamp(-1, 1)
    return before.float(), after


def arrange_sheet(images: Sequence[Image.Image], columns: int, scale: int = 1) -> Image.Image:
    """Put pictures side by side, row by row, on white."""
    from PIL import Image

    side = SIZE * scale
    rows = -(-len(images) // columns)
    canvas = Image.new("RGB", (columns * (side + 4) - 4, rows * (side + 4) - 4), "white")
    for i, image in enumerate(images):
        place = (i % columns * (side + 4), i // columns * (side + 4))
        canvas.paste(image.resize((side, side), Image.Resampling.LANCZOS), place)
    return canvas
