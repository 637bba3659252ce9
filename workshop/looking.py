"""What a picture shows: who is in it, what of a prompt it follows, how far it is from another.

On the pocket profile a trained reader answers; this module is the notebooks' only way to it. Nobody reads
photographs for us: on the real model every answer is an empty box (☐) that you tick.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from workshop import drawing, progress, prompts, shares
from workshop.pocket.world import captions, dog, scenes, vocabulary
from workshop.pocket.world.scenes import IDENTITY, PERSON_ATTRIBUTES

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline
    from pandas import DataFrame
    from PIL import Image

    from workshop.profiles import Profile

CHANCE = sum(1 / len(PERSON_ATTRIBUTES[name]) for name in IDENTITY) / len(IDENTITY)
"""Identity score of guessing."""

MARKINGS = "a dog: all its markings"
JUMPING_MARKINGS, JUMPING_POSE = "a dog is jumping: all its markings", "a dog is jumping: it jumps"
PORTRAITS = "portraits: what was asked for"
PORTRAIT_SEED = 707
"""Seed of the portraits that show what training forgot; no training stage uses it."""


def look(picture: Image.Image, asked: Mapping[str, str], profile: Profile) -> dict[str, str]:
    """Return for each attribute a mark and a value: the wanted value after ✓ and ☐, the found value after ✗.

    asked: attribute to the wanted value
    """
    if not profile.has_reader:
        return {name: f"☐ {wanted}" for name, wanted in asked.items()}
    (found,) = read_all([picture])
    return {
        name: f"✓ {wanted}" if found.get(name) == wanted else f"✗ {found.get(name, 'none')}"
        for name, wanted in asked.items()
    }


def identity(people: Sequence[Image.Image], profile: Profile) -> dict[str, str]:
    """List attributes that an edit of these people must keep: first person left, second right."""
    sides = tuple(zip(("left", "right"), people, strict=False))
    if not profile.has_reader:
        return {f"{side} {name}": "as in the reference" for side, _ in sides for name in IDENTITY}
    found = {side: read_all([picture])[0] for side, picture in sides}
    return {f"{side} {name}": found[side].get(f"left {name}", "none") for side in found for name in IDENTITY}


def describe(picture: Image.Image, profile: Profile) -> dict[str, str]:
    """Name the kind of picture, and who is left and right in it, in a few words each."""
    if not profile.has_reader:
        return dict.fromkeys(("kind", "left", "right"), "☐")
    (found,) = read_all([picture])
    people = {side: found.get(f"{side} who") for side in ("left", "right")}
    words = {
        side: f"{who}, {found.get(f'{side} hair', 'no')} hair" if who else "nobody"
        for side, who in people.items()
    }
    return {"kind": found.get("kind", "none"), **words}


def find_unknown_words(prompt: str, profile: Profile) -> list[str]:
    """List the English words of a prompt that the pocket model never met in training.

    Words of other letters are not judged, and the real model has met them all, as far as anybody knows.

    >>> from workshop import profiles
    >>> find_unknown_words("a purple elephant on the moon", profiles.choose("pocket"))
    ['elephant', 'moon']
    """
    if profile.is_real:
        return []
    met = vocabulary.list_words("en").union(*(vocabulary.split_words(one) for one in _english_prompts()))
    asked = dict.fromkeys(vocabulary.split_words(prompt))
    return [word for word in asked if word.isascii() and word not in met]


def _english_prompts() -> list[str]:
    return [one.text for one in prompts.WORKSHOP_PROMPTS.values() if one.language == "en"]


def tally(answers: Iterable[Mapping[str, str]]) -> str:
    """Count the ticks that `look` set, with the 95 % interval of their share; empty boxes are yours to count.

    >>> tally([{"left hair": "✓ black", "left skin": "✗ dark"}])
    '1 of 2, 9–91 %'
    """
    marks = [answer[0] for answered in answers for answer in answered.values()]
    if "☐" in marks:
        return f"{len(marks)} boxes for you to tick"
    return shares.write(marks.count("✓"), len(marks))


def count_gains(before: Sequence[Mapping[str, str]], after: Sequence[Mapping[str, str]]) -> list[int]:
    """Count for each pair of looks how many ticks more the second has; an empty box is no tick.

    >>> count_gains([{"hair": "✗ red"}], [{"hair": "✓ black"}])
    [1]
    """
    return [_count_ticks(new) - _count_ticks(old) for old, new in zip(before, after, strict=True)]


def tabulate(columns: Mapping[str, Mapping[str, str]]) -> DataFrame:
    """Return looks at people alone as a table, a row an attribute; the reader calls who is alone "left".

    columns: heading to attribute and mark, as `look` returns them
    """
    import pandas as pd

    return pd.DataFrame(columns).rename(index=lambda name: name.removeprefix("left "))


def difference(one: Image.Image, other: Image.Image) -> float:
    """Return how far two pictures of equal size are apart: the mean over all pixels, in levels of 255."""
    import numpy as np

    apart = np.asarray(one, dtype=np.float32) - np.asarray(other, dtype=np.float32)
    return float(np.abs(apart).mean())


def detail(picture: Image.Image) -> float:
    """Return how rough the flattest fifth of a picture is, in levels of 255.

    That is the 20th percentile of the standard deviation of grey in all windows of 3×3 pixels. Flat colours
    give about 0; shading and texture give more.
    """
    import numpy as np

    grey = np.asarray(picture.convert("L"), dtype=np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(grey, (3, 3))
    return float(np.percentile(windows.std(axis=(2, 3)), 20))


@dataclass(frozen=True)
class DogPictures:
    """What a model draws of the dog of notebook 07, and of portraits, which have nothing to do with it."""

    dogs: list[Image.Image]
    jumping: list[Image.Image]
    portraits: list[Image.Image]
    first_seed: int = 0


def draw_dogs(
    pipe: QwenImagePipeline, *, size: int, count: int, portraits: int, first_seed: int = 0
) -> DogPictures:
    """Draw the dog, the jumping dog and portraits with the pipeline as it is, with or without a LoRA.

    size: image px; count: pictures of each of the two prompts of the dog
    portraits: how many of them

    The seeds of each prompt start at `first_seed`; each portrait has a prompt of its own.
    """
    portrait_prompts = [caption.text for caption in portrait_captions(portraits, first_seed)]
    jobs = [
        (text, seed)
        for texts in ([prompts.DOG] * count, [prompts.JUMPING] * count, portrait_prompts)
        for seed, text in enumerate(texts, first_seed)
    ]
    drawn = [drawing.draw(pipe, text, size=size, seed=seed) for text, seed in progress.show(jobs, "draw")]
    return DogPictures(drawn[:count], drawn[count : 2 * count], drawn[2 * count :], first_seed)


def portrait_captions(count: int, first_seed: int = 0) -> list[prompts.Caption]:
    """Return the first captions of held-out portraits; another first seed gives other portraits."""
    rng = random.Random(PORTRAIT_SEED + first_seed)
    stream = scenes.stream(PORTRAIT_SEED + first_seed, test=True, kind="portrait")
    written = (captions.caption(scene, "en", rng) for scene in stream)
    return list(islice((caption for caption in written if caption.named), count))


def measure_dogs(drawn: DogPictures) -> dict[str, float]:
    """Read pictures of the pocket model; returns shares in [0, 1] by name."""
    return {name: hits / count for name, (hits, count) in count_dogs(drawn).items()}


def count_dogs(drawn: DogPictures) -> dict[str, tuple[int, int]]:
    """Read pictures of the pocket model; returns hits and answers, by name.

    An answer is a picture; of the portraits, each thing that a prompt names is one.
    """
    from workshop.pocket.model import reader  # imports torch

    dogs, jumping, portraits = map(read_all, (drawn.dogs, drawn.jumping, drawn.portraits))
    asked = zip(portrait_captions(len(portraits), drawn.first_seed), portraits, strict=True)
    followed = [hit for caption, found in asked for hit in reader.compare(caption.named, found).values()]
    return {
        MARKINGS: _count([has_markings(found) for found in dogs]),
        JUMPING_MARKINGS: _count([has_markings(found) for found in jumping]),
        JUMPING_POSE: _count([found.get("dog pose") == "jumping" for found in jumping]),
        PORTRAITS: _count(followed),
    }


def tabulate_dogs(drawn: DogPictures, profile: Profile) -> dict[str, str]:
    """Return the counts of `count_dogs` with their 95 % intervals, written for a table."""
    if not profile.has_reader:
        return dict.fromkeys((MARKINGS, JUMPING_MARKINGS, JUMPING_POSE, PORTRAITS), "☐")
    return {name: shares.write(*counted) for name, counted in count_dogs(drawn).items()}


def count_markings(pictures: Sequence[Image.Image], profile: Profile) -> str:
    """Count the pictures that show every marking: "2 of 3, 21–94 %", or "☐ of 3" on the real model."""
    if not profile.has_reader:
        return f"☐ of {len(pictures)}"
    return shares.write(sum(map(has_markings, read_all(pictures))), len(pictures))


def count_any_marking(pictures: Sequence[Image.Image], profile: Profile) -> str:
    """Count the pictures that show a marking of the dog, one or more; written as by `count_markings`."""
    if not profile.has_reader:
        return f"☐ of {len(pictures)}"
    marked = [any(found.get(one) == "yes" for one in dog.DOG.markings) for found in read_all(pictures)]
    return shares.write(sum(marked), len(pictures))


def has_markings(found: Mapping[str, str]) -> bool:
    """Return whether a picture shows every marking of the dog.

    found: attribute to value, as `read_all` returns it
    """
    return all(found.get(marking) == "yes" for marking in dog.DOG.markings)


def read_all(pictures: Sequence[Image.Image]) -> list[dict[str, str]]:
    """Read pictures of the pocket world: attribute to value, for what pictures of that kind can show.

    Raises FileNotFoundError if the reader's weights are not there.
    """
    from workshop.pocket.model import reader  # imports torch

    return reader.read_all(list(pictures))


def _count_ticks(answers: Mapping[str, str]) -> int:
    return sum(mark.startswith("✓") for mark in answers.values())


def _count(hits: Sequence[bool]) -> tuple[int, int]:
    return sum(hits), len(hits)
