"""Prompts of which everything asked for is known, and what two judges say of the pictures drawn for them.

The reader says what of a prompt is there. Looks are measured without it: the distance to renders of the same
scenes, by patches (workshop.pocket.measure.looks). Both know the pocket world alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from PIL import Image

from workshop import shares
from workshop.pocket.measure import looks, pictures
from workshop.pocket.model import reader
from workshop.pocket.world import draw, scenes
from workshop.profiles import Profile

SIDE = 128
"""px, of the pictures that looks are measured on."""


@dataclass(frozen=True)
class Request:
    """A prompt, what it names (attribute to value), and the scene that it is about."""

    text: str
    named: dict[str, str]
    placed: bool  # whether it says who of a couple is left
    scene: scenes.Scene


def choose(language: str, count: int) -> list[Request]:
    """Return prompts that name nearly everything in scenes that training never saw.

    language: "en", "ko", "kn" or "zh"; each has scenes of its own
    """
    return [
        Request(caption.text, caption.named, caption.placed, scene)
        for scene, caption in pictures.choose_fullest(language, count)
    ]


def count_followed(drawn: Sequence[Image.Image], asked: Sequence[Request]) -> tuple[int, int]:
    """Return how much of what was asked for the reader finds, and how much was asked for."""
    found = zip(asked, reader.read_all(list(drawn)), strict=True)
    hits = [hit for one, seen in found for hit in reader.compare(one.named, seen, placed=one.placed).values()]
    return sum(hits), len(hits)


def write_followed(drawn: Sequence[Image.Image], asked: Sequence[Request], profile: Profile) -> str:
    """Write that share with its interval; on the real model the boxes are yours to tick."""
    if not profile.has_reader:
        return f"☐ of {sum(len(one.named) for one in asked)}"
    return shares.write(*count_followed(drawn, asked))


def measure_looks(drawn: Sequence[Image.Image], asked: Sequence[Request]) -> float:
    """Return how far pictures are from renders of the same scenes, in patches: the mean over all levels.

    Patches lie at random places, so even renders are not at 0: `measure_floor`.
    """
    shown = pictures.to_tensor([one.resize((SIDE, SIDE)) for one in drawn])
    return fmean(looks.distances(shown, pictures.to_tensor(_render(asked))).values())


def measure_floor(asked: Sequence[Request]) -> float:
    """Return how far the renders are from themselves, by the same measure."""
    return measure_looks(_render(asked), asked)


def _render(asked: Sequence[Request]) -> list[Image.Image]:
    return [draw.to_image(one.scene, SIDE, rich=False) for one in asked]
