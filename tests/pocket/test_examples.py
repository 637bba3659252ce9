"""Which scenes and captions the stages meet, and how often."""

from __future__ import annotations

import random
from itertools import islice

import pytest

from workshop import prompts
from workshop.pocket.training import examples, recipes
from workshop.pocket.world import scenes
from workshop.pocket.world.scenes import Dog, Person, Scene


@pytest.fixture(scope="module")
def met() -> examples.CaptionExamples:
    """300 random scenes, and behind them those that match a prompt of the workshop."""
    workshop = examples.choose_workshop_scenes()
    return examples.CaptionExamples([*islice(scenes.stream(1), 300), *workshop], workshop=len(workshop))


@pytest.mark.parametrize(
    ("scene", "small"),
    [
        (Scene("portrait", people=(Person(),)), False),
        (Scene("portrait", people=(Person(glasses="yes"),)), True),
        (Scene("couple", people=(Person(), Person(glasses="yes"))), True),
        (Scene("seated", people=(Person(),), held="cup"), True),
        (Scene("dog", dog=Dog()), False),
        (Scene("dog", dog=Dog(collar="red")), True),
        (Scene("dog", dog=Dog(markings=("spots",))), True),
    ],
)
def test_small_objects_are_what_covers_little_of_a_picture(scene, small):
    assert examples.has_small_objects(scene) is small


def test_the_workshops_own_prompts_are_met_with_pictures_that_show_them(met):
    assert len(met.workshop) > 1000
    assert not any(scenes.held_out(met.scenes[i]) for i in met.workshop)
    alone = {p.text for name, p in prompts.WORKSHOP_PROMPTS.items() if name[:3] in ("man", "wom", "por")}
    drawn = met.draw(random.Random(0), 3000)
    asked = [(i, caption) for i, caption in drawn if caption.text in alone]
    assert {caption.text for _, caption in asked} == alone
    assert 0.03 < len(asked) / len(drawn) < 0.09
    for i, caption in asked:
        assert caption.named.items() <= scenes.attributes(met.scenes[i]).items()


def test_a_tenth_of_the_prompts_is_empty_so_that_guidance_has_something_to_leave(met):
    texts = [example.caption.text for example in met.draw(random.Random(0), 3000)]
    assert 0.07 < sum(text == "" for text in texts) / len(texts) < 0.13


def test_small_objects_are_met_more_often_than_by_chance():
    alone = examples.CaptionExamples(list(islice(scenes.stream(1), 300)))
    targets = [example.target for example in alone.draw(random.Random(0), 1500)]
    chance = len(alone.small) / len(alone.scenes)
    assert sum(target in set(alone.small) for target in targets) / len(targets) > chance + 0.05


def test_the_reader_also_meets_dogs_with_more_markings_than_the_base_ever_draws():
    dogs = [scene.dog for scene in islice(examples.stream_marked_dogs(), 40)]
    assert {len(dog.markings) for dog in dogs} == {2, 3}


def test_the_edit_model_is_not_taught_to_keep_a_face():
    kept = recipes.RECIPES["edit"].keeps
    assert not set(scenes.IDENTITY) & set(kept)
    assert set(scenes.IDENTITY) <= set(recipes.RECIPES["f2p"].keeps)
