"""Draw held-out prompts and read the pictures: what the measures of the base and of the family share.

The stock pipelines draw, with 40 steps and the default guidance; `workshop.pocket.model.reader` reads.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
import torch

from workshop import drawing
from workshop.pocket.model import reader
from workshop.pocket.world import captions, scenes
from workshop.pocket.world.scenes import Scene
from workshop.prompts import Caption

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline
    from PIL import Image

NUM_INFERENCE_STEPS, CFG_SCALE = 40, 4.0
SIZE = 128  # image px
SEEDS_OF_A_PART = 100
REPORT, VALIDATION = 2026, 3026
"""The first of the 100 seeds from which each part of the held-out scenes is drawn.

Whatever is chosen by looking at figures (strengths, rates, steps) is chosen on VALIDATION; the report is
measured on REPORT. No training stage uses a seed of either part.
"""

PROMPTS, VAE, FINISH, PEOPLE, INSTRUCTIONS, COUPLES, FACES, OTHERS, FULLEST = range(9)
"""What each seed of a part is for: it is added to the first one."""

PHRASINGS = 12
"""How often a scene is put into words, of which the fullest are taken."""


@dataclass(frozen=True)
class Drawing:
    """One drawn picture, and what became of its prompt.

    found: attribute to value, as the reader returns it
    followed: attribute that the caption names to whether the picture shows it
    scene: what the caption was written about; None for the workshop's own prompts
    """

    caption: Caption
    seed: int
    image: Image.Image
    found: dict[str, str]
    followed: dict[str, bool]
    scene: Scene | None = None


def choose_prompts(language: str, count: int, *, part: int = REPORT) -> list[tuple[Scene, Caption]]:
    """Return the first held-out scenes whose captions name something, with these, in one language.

    part: REPORT or VALIDATION
    """
    rng = random.Random(f"{part} {language}")
    written = (
        (scene, captions.caption(scene, language, rng)) for scene in scenes.stream(part + PROMPTS, test=True)
    )
    return list(islice((pair for pair in written if pair[1].named), count))


def choose_fullest(language: str, count: int, *, part: int = REPORT) -> list[tuple[Scene, Caption]]:
    """Return held-out scenes with captions that name nearly everything in them, in one language.

    Of 12 phrasings of a scene the one that names most is taken. Skin tones come equally often.

    part: REPORT or VALIDATION
    """
    rng, tones = random.Random(f"{part} {language} fullest"), cycle(scenes.SKINS)
    stream = scenes.stream(part + FULLEST, test=True)
    first = captions.LANGUAGES.index(language) * count  # so that each language has scenes of its own
    chosen = []
    for scene in islice(stream, first, first + count):
        toned = replace(scene, people=tuple(replace(one, skin=next(tones)) for one in scene.people))
        written = [captions.caption(toned, language, rng) for _ in range(PHRASINGS)]
        chosen.append((toned, max(written, key=lambda caption: len(caption.named))))
    return chosen


def draw_prompts(
    pipe: QwenImagePipeline,
    chosen: Iterable[tuple[Scene, Caption]],
    *,
    first_seed: int = 0,
    doing: str = "draw",
) -> list[Drawing]:
    """Draw one picture for each caption, with the scene that it is about and seeds that count up."""
    about, written = zip(*chosen, strict=True)
    drawn = draw_captions(pipe, written, first_seed=first_seed, doing=doing)
    return [replace(one, scene=scene) for scene, one in zip(about, drawn, strict=True)]


def draw_captions(
    pipe: QwenImagePipeline, chosen: Iterable[Caption], *, first_seed: int = 0, doing: str = "draw"
) -> list[Drawing]:
    """Draw one picture for each caption, with seeds that count up; several in one call of the DiT.

    doing: what stands before the progress bar
    """
    asked = list(enumerate(chosen, first_seed))
    images = drawing.draw_all(
        pipe,
        [{"prompt": caption.text, "seed": seed} for seed, caption in asked],
        size=SIZE,
        num_inference_steps=NUM_INFERENCE_STEPS,
        cfg_scale=CFG_SCALE,
        doing=doing,
    )
    drawn = []
    for (seed, caption), image in zip(asked, images, strict=True):
        found = reader.read(image)
        followed = reader.compare(caption.named, found, placed=caption.placed)
        drawn.append(Drawing(caption, seed, image, found, followed))
    return drawn


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


def share_by_kind(drawings: Iterable[Drawing]) -> dict[str, float]:
    """Return the same share by the kind of the scene that a caption is about."""
    hits: dict[str, list[bool]] = {kind: [] for kind in scenes.KINDS}
    for one in drawings:
        if one.scene is not None:
            hits[one.scene.kind] += one.followed.values()
    return {kind: round(fmean(found), 4) for kind, found in hits.items() if found}


def share_by_skin(drawings: Iterable[Drawing]) -> dict[str, float]:
    """Return the same share by the skin tone that a caption names.

    Of a couple, each person's attributes count for this person's tone, and those of the whole picture for
    both.
    """
    hits: dict[str, list[bool]] = {skin: [] for skin in scenes.SKINS}
    for one in drawings:
        for side, other in (("left ", "right "), ("right ", "left ")):
            if skin := one.caption.named.get(f"{side}skin"):
                hits[skin] += [hit for name, hit in one.followed.items() if not name.startswith(other)]
    return {skin: round(fmean(found), 4) for skin, found in hits.items() if found}


def compare_identity(
    reference: Mapping[str, str], found: Mapping[str, str], *, side: str = "left "
) -> dict[str, bool]:
    """Return for each attribute of `scenes.IDENTITY` whether the person on this side has the reference's."""
    return {name: found.get(side + name) == reference["left " + name] for name in scenes.IDENTITY}


def to_tensor(images: Sequence[Image.Image] | np.ndarray) -> torch.Tensor:
    """Return pictures of one size, or uint8 (B, H, W, 3), as floats, (B, 3, H, W) in [-1, 1]."""
    stack = np.stack([np.asarray(image) for image in images])
    return torch.from_numpy(stack).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def pass_through_vae(pipe: QwenImagePipeline, image: Image.Image) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a picture and what the VAE makes of it, both float32, (1, 3, H, W) in [-1, 1]."""
    before = to_tensor([image]).to(pipe.device, pipe.torch_dtype)
    return before.float(), _copy(pipe, before)


@torch.no_grad()
def copy_through_vae(pipe: QwenImagePipeline, pictures: torch.Tensor) -> torch.Tensor:
    """Return what the VAE makes of pictures, float32, (B, 3, H, W) in [-1, 1] → (B, 3, H, W), on the CPU."""
    parts = pictures.to(pipe.device, pipe.torch_dtype).split(8)
    return torch.cat([_copy(pipe, part).cpu() for part in parts])


def _copy(pipe: QwenImagePipeline, pictures: torch.Tensor) -> torch.Tensor:
    return pipe.vae.decode(pipe.vae.encode(pictures)).float().clamp(-1, 1)


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
