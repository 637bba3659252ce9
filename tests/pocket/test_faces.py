"""Fidelity of faces by skin tone: where a face is, and how much of it a copy keeps."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from workshop.pocket.measure import faces
from workshop.pocket.world import draw, scenes


@pytest.fixture(scope="module")
def portraits() -> faces.Faces:
    return faces.render_faces("portrait", 2, seed=5)


def test_a_scene_is_drawn_in_every_skin_and_nothing_else_changes(portraits: faces.Faces):
    assert portraits.pictures.shape == (2, len(scenes.SKINS), 128, 128, 3)
    corner = portraits.pictures[:, :, :8, :8].astype(int)
    assert np.array_equal(corner.min(axis=1), corner.max(axis=1))


def test_the_mask_covers_the_eyes_but_not_the_background(portraits: faces.Faces):
    for mask in portraits.masks:
        assert 0.05 < mask.mean() < 0.5
        assert not mask[:8].any()
        _, columns = np.nonzero(mask[40:80])
        across = slice(columns.min() + 10, columns.max() - 9)
        assert mask[52:60, across].mean() > 0.9  # between the temples, at the height of the eyes


def test_a_perfect_copy_keeps_everything(portraits: faces.Faces):
    for figures in portraits.copy(np.copy).values():
        assert figures.kept == pytest.approx(1)
        assert figures.unexplained == pytest.approx(0, abs=1e-9)


def test_half_the_contrast_is_kept_as_a_half_and_leaves_nothing_unexplained():
    picture = np.random.default_rng(0).uniform(0, 255, (16, 16, 3))
    found = faces.compute_fidelity(picture, picture * 0.5 + 60, np.ones((16, 16), bool))
    assert found.kept == pytest.approx(0.5)
    assert found.unexplained == pytest.approx(0, abs=1e-9)


def test_noise_is_unexplained():
    rng = np.random.default_rng(0)
    picture = np.repeat(rng.normal(0, 20, (64, 64, 1)), 3, axis=2)
    noisy = picture + np.repeat(rng.normal(0, 20, (64, 64, 1)), 3, axis=2)
    found = faces.compute_fidelity(picture, noisy, np.ones((64, 64), bool))
    assert found.kept == pytest.approx(1, abs=0.05)
    assert found.unexplained == pytest.approx(0.5, abs=0.05)  # half of the copy's variance is noise


def test_one_tone_made_flat_lowers_that_tone_alone(portraits: faces.Faces):
    copies = portraits.pictures.astype(float).copy()
    copies[:, 2] = copies[:, 2].mean(axis=(1, 2), keepdims=True) * 0.5 + copies[:, 2] * 0.5
    figures = portraits.compare(copies)
    assert figures["light"].kept == pytest.approx(1)
    assert figures["dark"].kept == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("kind", faces.KINDS)
def test_faces_are_drawn_where_the_table_says(kind: str):
    for scene in islice(scenes.stream(7, test=True, kind=kind), 3):
        mask = faces.find_faces(faces.draw_in_every_skin(scene))
        for x, y in draw.FACES_AT[kind]:
            assert mask[y - 6 : y + 7, x - 6 : x + 7].mean() > 0.6


@pytest.mark.parametrize("kind", scenes.KINDS)
def test_bodies_are_drawn_where_the_table_says(kind: str):
    for scene in islice(scenes.stream(8, test=True, kind=kind), 3):
        one, two = (np.asarray(draw.to_image(dress(scene, i))).astype(int) for i in (0, 1))
        changed = np.abs(one - two).max(axis=2) > 40
        for x, y in draw.BODIES_AT[kind]:
            assert changed[y - 20 : y + 21, x - 20 : x + 21].mean() > 0.25


def dress(scene: scenes.Scene, which: int) -> scenes.Scene:
    """Return the scene with everyone in red or blue, a dog white or black."""
    people = tuple(replace(one, color=("red", "blue")[which], garment="coat") for one in scene.people)
    dog = scene.dog and replace(scene.dog, coat=("white", "black")[which])
    return replace(scene, people=people, dog=dog)
