"""Where training crops lie: faces of every skin tone equally often, bodies, and anywhere."""

from __future__ import annotations

import random
from itertools import islice

import numpy as np

from workshop.pocket.training.crops import Crops
from workshop.pocket.world import draw, scenes


def make_crops(count: int) -> Crops:
    """Return crops of pictures whose pixels say where they are: (scene, y, x)."""
    pictures = np.zeros((count, 128, 128, 3), np.uint8)
    pictures[..., 0] = np.arange(count)[:, None, None] % 256
    pictures[..., 1] = np.arange(128)[:, None]
    pictures[..., 2] = np.arange(128)
    return Crops(list(islice(scenes.stream(1), count)), pictures)


def test_faces_of_every_skin_come_equally_often():
    crops, rng = make_crops(400), random.Random(0)
    drawn = [crops.choose_face(rng) for _ in range(600)]
    skins = [crops.scenes[i].people[person].skin for i, person in drawn]
    shares = [skins.count(skin) / len(skins) for skin in scenes.SKINS]
    assert all(0.27 < share < 0.4 for share in shares)


def test_most_crops_hold_the_middle_of_a_face_or_of_a_body():
    crops, rng = make_crops(200), random.Random(0)
    cut = [crops.cut(64, rng) for _ in range(300)]
    assert {piece.shape for piece in cut} == {(64, 64, 3)}
    hits = 0
    for piece in cut:
        kind = crops.scenes[int(piece[0, 0, 0])].kind
        places = (*draw.FACES_AT.get(kind, ()), *draw.BODIES_AT[kind])
        low, high = piece.reshape(-1, 3).min(axis=0)[1:], piece.reshape(-1, 3).max(axis=0)[1:]
        hits += any(low[0] <= y <= high[0] and low[1] <= x <= high[1] for x, y in places)
    assert hits / len(cut) > 0.7
    mirrored = [piece[0, 0, 2] > piece[0, -1, 2] for piece in cut]
    assert 0.4 < np.mean(mirrored) < 0.6


def test_the_same_random_state_cuts_the_same_crop():
    crops = make_crops(50)
    one, two = (crops.cut(64, random.Random(3)) for _ in range(2))
    assert np.array_equal(one, two)
