"""Where the VAE stage cuts its crops: around faces of every skin tone, around bodies and hands, and anywhere.

Axes: B batch, H height, W width; pictures are uint8 (N, H, W, 3).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from workshop.pocket.world import draw, scenes

FACES, BODIES = 0.4, 0.3
"""Shares of crops around a face, and around a body with its arms and hands; the rest are anywhere."""

JITTER = 16
"""px, the most that the middle of a crop is away from the middle of the face or body."""


class Crops:
    """Square crops of rendered scenes, in which every skin tone's faces come equally often.

    chosen: N scenes; pictures: of these scenes, uint8 (N, H, W, 3), H = W
    """

    def __init__(self, chosen: Sequence[scenes.Scene], pictures: np.ndarray) -> None:
        self.scenes, self.pictures = chosen, pictures
        self.by_skin: dict[str, list[tuple[int, int]]] = {skin: [] for skin in scenes.SKINS}
        for i, scene in enumerate(chosen):
            for person, shown in enumerate(scene.people):
                self.by_skin[shown.skin].append((i, person))

    def choose_face(self, rng: random.Random) -> tuple[int, int]:
        """Return the index of a scene, and of a person in it."""
        return rng.choice(self.by_skin[rng.choice(scenes.SKINS)])

    def cut(self, side: int, rng: random.Random) -> np.ndarray:
        """Cut one crop, at times mirrored: uint8 (side, side, 3). side: px"""
        index, x, y = self.choose_place(side, rng)
        piece = self.pictures[index, y : y + side, x : x + side]
        return piece[:, ::-1] if rng.random() < 0.5 else piece

    def choose_place(self, side: int, rng: random.Random) -> tuple[int, int, int]:
        """Return the number of a picture and the upper left corner of a crop in it, x and y in px."""
        most = self.pictures.shape[1] - side
        where = rng.random()
        if where < FACES:
            index, person = self.choose_face(rng)
            middle = draw.FACES_AT[self.scenes[index].kind][person]
        else:
            index = rng.randrange(len(self.pictures))
            middle = rng.choice(draw.BODIES_AT[self.scenes[index].kind])
        if where < FACES + BODIES:
            x, y = (min(max(at - side // 2 + rng.randint(-JITTER, JITTER), 0), most) for at in middle)
        else:
            x, y = rng.randint(0, most), rng.randint(0, most)
        return index, x, y
