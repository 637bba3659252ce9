"""The pocket world: scenes, their pictures, and the split into training and held-out combinations."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from workshop.pocket.measure import faces
from workshop.pocket.world import dog, draw, palette, scenes
from workshop.pocket.world.palette import LEAST_CONTRAST, contrast


def pixels(scene: scenes.Scene, *, rich: bool = False) -> np.ndarray:
    return np.asarray(draw.to_image(scene, 128, rich=rich)).astype(int)


def test_a_fifth_of_the_combinations_is_held_out():
    rng = random.Random(0)
    held = [scenes.held_out(scenes.random_scene(rng)) for _ in range(4000)]
    assert 0.17 < sum(held) / len(held) < 0.23


def test_training_and_held_out_scenes_never_share_a_combination():
    assert not any(scenes.held_out(scene) for scene in islice(scenes.stream(1), 500))
    assert all(scenes.held_out(scene) for scene in islice(scenes.stream(1, test=True), 500))


def test_training_sees_every_value_of_every_attribute():
    seen: dict[str, set[str]] = {name: set() for name in scenes.ATTRIBUTES}
    for scene in islice(scenes.stream(1), 4000):
        for name, value in scenes.attributes(scene).items():
            seen[name].add(value)
    assert {name: set(values) for name, values in scenes.ATTRIBUTES.items()} == seen


def test_the_base_model_never_meets_two_markings_on_one_dog():
    dogs = [scene.dog for scene in islice(scenes.stream(1, kind="dog"), 1000)]
    assert max(len(dog.markings) for dog in dogs) == 1


def test_the_same_seed_gives_the_same_scenes():
    assert list(islice(scenes.stream(8), 50)) == list(islice(scenes.stream(8), 50))


@pytest.mark.parametrize("kind", scenes.KINDS)
def test_the_same_scene_is_the_same_picture(kind: str):
    scene = next(scenes.stream(3, kind=kind))
    assert draw.to_image(scene).tobytes() == draw.to_image(scene).tobytes()


@pytest.mark.parametrize("kind", scenes.KINDS)
def test_rich_keeps_the_composition_and_adds_detail(kind: str):
    def detail(picture: np.ndarray) -> float:
        return float(np.abs(np.diff(picture, 2, axis=0)).mean() + np.abs(np.diff(picture, 2, axis=1)).mean())

    chosen = list(islice(scenes.stream(4, kind=kind), 12))
    plain, rich = ([pixels(scene, rich=finish) for scene in chosen] for finish in (False, True))
    assert np.mean([detail(p) for p in rich]) > np.mean([detail(p) for p in plain])
    for one, two in zip(plain, rich, strict=True):
        assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.7  # light and shade take the rest


@pytest.mark.parametrize("background", scenes.BACKGROUNDS)
def test_every_background_looks_unlike_the_others(background: str):
    def corner(name: str) -> np.ndarray:
        scene = scenes.Scene("portrait", name, (scenes.Person(),), layout=5)
        return pixels(scene)[:60]

    nearest = min(
        np.abs(corner(background) - corner(other)).mean()
        for other in scenes.BACKGROUNDS
        if other != background
    )
    assert nearest > 8  # of 255


@pytest.mark.parametrize(
    ("attribute", "one", "two"),
    [("hair", "red", "gray"), ("skin", "light", "dark"), ("glasses", "no", "yes"), ("color", "blue", "pink"),
     ("garment", "suit", "t-shirt"), ("hair_length", "short", "long"), ("who", "woman", "man")],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["portrait", "figure", "seated"])
def test_every_attribute_of_a_person_is_visible(kind: str, attribute: str, one: str, two: str):
    first, second = (
        scenes.Scene(kind, "plain", (scenes.Person(**{attribute: value}),), layout=7) for value in (one, two)
    )
    assert (np.abs(pixels(first) - pixels(second)).max(axis=2) > 40).sum() > 20  # pixels that change clearly


@pytest.mark.parametrize("marking", scenes.MARKINGS)
@pytest.mark.parametrize("pose", scenes.DOG_POSES)
@pytest.mark.parametrize("coat", scenes.COATS)
def test_every_marking_is_visible_on_every_coat(marking: str, pose: str, coat: str):
    bare, marked = (
        scenes.Scene("dog", "plain", dog=scenes.Dog(coat=coat, markings=marks, pose=pose), layout=7)
        for marks in ((), (marking,))
    )
    assert (np.abs(pixels(bare) - pixels(marked)).max(axis=2) > 40).sum() > 60


def test_nothing_is_drawn_by_a_name_that_scenes_do_not_know():
    assert set(draw.BACKGROUND) == set(scenes.BACKGROUNDS)
    assert set(draw.DRAW) == set(scenes.KINDS)
    assert set(draw.DOG) == set(scenes.DOG_POSES)
    assert set(draw.GARMENT_FRONT) == set(scenes.GARMENTS)


def test_the_dog_is_drawn_again_byte_for_byte(tmp_path: Path) -> None:
    dog.make(tmp_path)
    assert len(list(tmp_path.iterdir())) == 6
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (dog.FOLDER / path.name).read_bytes(), path.name


def test_the_dog_wears_markings_that_no_dog_of_the_base_model_has_together() -> None:
    rng = random.Random(0)
    worn = [scenes.random_dog(rng).markings for _ in range(500)]
    assert len(dog.DOG.markings) == 2 and not any(set(dog.DOG.markings) <= set(one) for one in worn)
    assert all(pose != "jumping" for _, _, _, pose, _ in dog.PICTURES)


def test_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # WCAG's own borderline grey


@pytest.mark.parametrize("skin", scenes.SKINS)
def test_every_feature_of_a_face_is_told_from_every_skin_by_lightness(skin: str):
    drawn = palette.FEATURES[skin] | {f"{hair} brow": tone for hair, tone in palette.BROW[skin].items()}
    drawn |= {"pupil": palette.INK}
    faint = {
        name: round(contrast(tone, palette.SKIN[skin]), 2)
        for name, tone in drawn.items()
        if contrast(tone, palette.SKIN[skin]) < LEAST_CONTRAST
    }
    assert not faint


@pytest.mark.parametrize("skin", scenes.SKINS)
def test_the_white_of_an_eye_is_bounded_on_every_skin(skin: str):
    bounds = [palette.FEATURES[skin]["lid"], palette.INK]
    assert all(contrast(palette.EYE_WHITE, tone) >= LEAST_CONTRAST for tone in bounds)


@pytest.mark.parametrize("kind", ["portrait", "figure", "seated", "couple"])
def test_faces_of_every_skin_have_like_contrast(kind: str):
    shown = faces.render_faces(kind, 8, seed=5)
    grey = shown.pictures @ np.array([0.299, 0.587, 0.114])
    spread = [
        np.mean([picture[tone][mask].std() for picture, mask in zip(grey, shown.masks, strict=True)])
        for tone in range(len(scenes.SKINS))
    ]
    assert min(spread) / max(spread) > 0.7  # 0.4 for dark portraits before eyes had whites


@pytest.mark.parametrize("kind", scenes.KINDS)
def test_a_child_can_tell_the_rich_finish_from_the_plain_one(kind: str):
    for scene in islice(scenes.stream(9, kind=kind), 12):
        apart = np.abs(pixels(scene) - pixels(scene, rich=True)).max(axis=2)
        assert (apart > 24).mean() > 0.2  # a fifth of all pixels differ by a tenth of the range
