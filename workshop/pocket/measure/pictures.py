"""Draw held-out prompts and read the pictures: what the measures of the base and of the family share.

Pictures are made by the stock pipelines, 40 steps, default guidance, and read by
`workshop.pocket.model.reader`.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from workshop import prompts
from workshop.pocket.model import reader
from workshop.pocket.world import captions, scenes

if TYPE_CHECKING:
    import torch
    from PIL import Image


STEPS, GUIDANCE, SIZE = 40, 4.0, 128


PROMPT_SEED = 2026
"""The held-out scenes of the report start here; no training stage uses this seed."""


@dataclass(frozen=True)
class Result:
    """One generated picture, what its prompt named, and whether the picture shows it."""

    caption: prompts.Caption
    seed: int
    image: Image.Image
    shown: dict[str, str]
    followed: dict[str, bool]


def held_out_captions(language: str, count: int) -> list[prompts.Caption]:
    """Captions of held-out scenes that name something, in one language."""
    rng = random.Random(f"{PROMPT_SEED} {language}")
    said = (captions.caption(scene, language, rng) for scene in scenes.stream(PROMPT_SEED, test=True))
    return list(islice((caption for caption in said if caption.named), count))


def generate(pipe: object, said: list[prompts.Caption], *, first_seed: int = 0) -> Iterator[Result]:
    """One picture a caption, seeds counting up."""
    for seed, caption in enumerate(said, first_seed):
        image = pipe(
            prompt=caption.text,
            seed=seed,
            num_inference_steps=STEPS,
            cfg_scale=GUIDANCE,
            height=SIZE,
            width=SIZE,
            progress_bar_cmd=lambda steps: steps,
        )
        shown = reader.read(image)
        yield Result(
            caption, seed, image, shown, reader.followed(caption.named, shown, placed=caption.placed)
        )


def share(results: list[Result]) -> float:
    """Share of named attributes that the pictures show, over all prompts together."""
    hits = [hit for result in results for hit in result.followed.values()]
    return sum(hits) / len(hits)


def by_attribute(results: list[Result]) -> dict[str, float]:
    """The same share, attribute by attribute, both people of a couple together."""
    hits: dict[str, list[bool]] = defaultdict(list)
    for result in results:
        for name, hit in result.followed.items():
            hits[name.removeprefix("left ").removeprefix("right ")].append(hit)
    return {name: round(sum(found) / len(found), 3) for name, found in sorted(hits.items())}


def kept(reference: dict[str, str], shown: dict[str, str], *, side: str = "left ") -> dict[str, bool]:
    """For each attribute of scenes.IDENTITY: is that of the person on this side the reference's?"""
    return {name: shown.get(side + name) == reference["left " + name] for name in scenes.IDENTITY}


def pixels(images: list[Image.Image]) -> torch.Tensor:
    """Pictures as (B, 3, H, W) in [-1, 1]."""
    import numpy as np
    import torch

    stack = np.stack([np.asarray(image) for image in images])
    return torch.from_numpy(stack).permute(0, 3, 1, 2).float() / 127.5 - 1


def sheet(images: list[Image.Image], columns: int, scale: int = 1) -> Image.Image:
    """Pictures side by side, row by row, on white."""
    from PIL import Image

    side = SIZE * scale
    rows = -(-len(images) // columns)
    canvas = Image.new("RGB", (columns * (side + 4) - 4, rows * (side + 4) - 4), "white")
    for i, image in enumerate(images):
        place = (i % columns * (side + 4), i // columns * (side + 4))
        canvas.paste(image.resize((side, side), Image.Resampling.LANCZOS), place)
    return canvas
