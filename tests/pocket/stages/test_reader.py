"""What the reader learns from."""

from __future__ import annotations

from itertools import islice

from workshop.pocket.training.stages import reader as reader_stage


def test_the_reader_also_sees_dogs_with_more_markings_than_the_base_ever_draws():
    dogs = [scene.dog for scene in islice(reader_stage.many_markings(), 40)]
    assert {len(dog.markings) for dog in dogs} == {2, 3}
