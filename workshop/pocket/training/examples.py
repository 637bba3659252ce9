"""Which scenes, captions and references the stages meet: everything about a batch but its tensors."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple, TypeVar

from workshop import prompts
from workshop.pocket.training.recipes import (
    COUPLES_SHARE,
    DOG_IDENTITY,
    EMPTY_SHARE,
    RICH_SHARE,
    SMALL_SHARE,
    WORKSHOP_SHARE,
    Recipe,
)
from workshop.pocket.world import captions, scenes
from workshop.pocket.world.scenes import Scene
from workshop.prompts import Caption

E = TypeVar("E")
EMPTY = Caption("", "en", {})
"""The prompt that names nothing."""


def random_caption(scene: Scene, rng: random.Random) -> Caption:
    """Return a caption of the scene in any of the languages."""
    return captions.caption(scene, rng.choice(captions.LANGUAGES), rng)


def has_small_objects(scene: Scene) -> bool:
    """Return whether something covers little of the picture: glasses, a thing held, a collar, a marking."""
    dog = scene.dog
    return (
        scene.held != "nothing"
        or any(person.glasses == "yes" for person in scene.people)
        or (dog is not None and (dog.collar != "none" or bool(dog.markings)))
    )


def choose_workshop_scenes() -> list[Scene]:
    """Return scenes of one person that show what a prompt of the workshop names, without the held-out ones.

    There are 400 for each prompt, less those that are held out.
    """
    chosen = []
    for text, named in {prompt.text: prompt.named for prompt in prompts.WORKSHOP_PROMPTS.values()}.items():
        if "left who" in named and "right who" not in named:
            stream = islice(scenes.stream(len(text), kind=named["kind"]), 400)
            changed = (scenes.change(scene, named) for scene in stream)
            chosen += [scene for scene in changed if not scenes.held_out(scene)]
    return chosen


def stream_marked_dogs() -> Iterator[Scene]:
    """Yield dogs with two or three markings, without end; the same everywhere."""
    rng = random.Random(6)
    for scene in scenes.stream(6, kind="dog"):
        chosen = tuple(name for name in scenes.MARKINGS if rng.random() < 0.75)
        if scene.dog is not None and len(chosen) > 1:
            yield replace(scene, dog=replace(scene.dog, markings=chosen))


def cut_by_length(examples: Sequence[E], lengths: Sequence[int], batch: int) -> list[list[E]]:
    """Cut examples into batches of similar length, so that little is padding. lengths: tokens of each prompt

    >>> cut_by_length(["a", "abc", "b", "abd"], [1, 3, 1, 3], 2)
    [['a', 'b'], ['abc', 'abd']]
    """
    order = sorted(range(len(examples)), key=lambda k: lengths[k])
    return [[examples[k] for k in order[start : start + batch]] for start in range(0, len(examples), batch)]


# The base


class Example(NamedTuple):
    """One picture to draw: the number of its scene, and its caption."""

    target: int
    caption: Caption


class CaptionExamples:
    """Scenes with captions, where those that are hard to draw come more often than by chance.

    targets: all scenes, of which the last `workshop` match a prompt of the workshop
    """

    def __init__(self, targets: Sequence[Scene], *, workshop: int = 0) -> None:
        self.scenes = targets
        self.others = range(len(targets) - workshop)
        self.workshop = range(len(targets) - workshop, len(targets))
        self.couples = [i for i in self.others if targets[i].kind == "couple"]
        self.small = [i for i in self.others if has_small_objects(targets[i])]

    def draw(self, rng: random.Random, count: int) -> list[Example]:
        """Draw examples; EMPTY_SHARE of them have an empty prompt."""
        pools = (self.workshop, self.couples, self.small, self.others)
        workshop = WORKSHOP_SHARE if self.workshop else 0.0
        shares = (workshop, COUPLES_SHARE, SMALL_SHARE, 1 - workshop - COUPLES_SHARE - SMALL_SHARE)
        examples = []
        for pool in rng.choices(pools, shares, k=count):
            target = rng.choice(pool)
            if pool is self.workshop:
                caption = rng.choice(captions.workshop_prompts(self.scenes[target]))
            else:
                caption = random_caption(self.scenes[target], rng)
            examples.append(Example(target, EMPTY if rng.random() < EMPTY_SHARE else caption))
        return examples


# The edit models

Key = tuple[str, ...]


class Reference(NamedTuple):
    """One reference picture: its finish, and its number among the renders of that finish."""

    rich: bool
    number: int


@dataclass(frozen=True)
class EditExample:
    """One picture to draw from references.

    target: number of its scene among the plain renders
    asked: attribute to value, for everything that words and references decide together
    """

    target: int
    references: tuple[Reference, ...]
    caption: Caption
    asked: dict[str, str]


class ReferencePool:
    """Scenes of one finish that may be references, one person or dog each, found by what they show."""

    def __init__(self, scenes_of_finish: Sequence[Scene]) -> None:
        self.scenes = scenes_of_finish
        self.by_key: dict[Key, list[int]] = defaultdict(list)
        for i, scene in enumerate(scenes_of_finish):
            if scene.kind != "couple":
                self.by_key[identity_key(scenes.attributes(scene))].append(i)

    def find(self, key: Key, rng: random.Random, *, other_than: int = -1) -> int | None:
        """Return a random picture of this person or dog, or None if there is no other."""
        found = [i for i in self.by_key.get(key, ()) if i != other_than]
        return rng.choice(found) if found else None


def identity_key(attributes: dict[str, str], side: str = "left ") -> Key:
    """Return what a reference must agree on: all attributes of a person, or those that mark a dog."""
    if attributes["kind"] == "dog":
        return tuple(attributes[name] for name in DOG_IDENTITY)
    return tuple(attributes[side + name] for name in scenes.PERSON_ATTRIBUTES)


class EditExamples:
    """Pictures to draw from references that agree with them on what the recipe keeps.

    targets: scenes of the plain renders; pools: references of the plain and of the rich finish
    """

    def __init__(
        self, recipe: Recipe, targets: Sequence[Scene], pools: tuple[ReferencePool, ReferencePool]
    ) -> None:
        self.recipe, self.scenes, self.pools = recipe, targets, pools
        self.singles = [i for i, scene in enumerate(targets) if scene.kind != "couple"]
        self.couples = [i for i, scene in enumerate(targets) if scene.kind == "couple"]

    def make(self, target: int, rng: random.Random) -> EditExample:
        """Return an example with a new caption and new references.

        Without an instruction nothing is kept: guidance leads away from what an empty prompt draws, and would
        lead away from the person, too.
        """
        scene = self.scenes[target]
        sides = ("left ", "right ") if scene.kind == "couple" else ("left ",)
        if rng.random() < EMPTY_SHARE:
            words = Caption(rng.choice(("", prompts.NEGATIVE_PROMPT)), "en", {})
            return EditExample(target, tuple(self._random_reference(rng) for _ in sides), words, {})
        caption = random_caption(scene, rng)
        references = tuple(self._find_reference(target, side, caption, rng) for side in sides)
        return EditExample(target, references, caption, self.list_decided(scene, caption))

    def list_decided(self, scene: Scene, caption: Caption) -> dict[str, str]:
        """Return the attributes that are decided: those that the words name, and those that are kept."""
        named = caption.named if caption.placed else {}
        return {
            name: value
            for name, value in scenes.attributes(scene).items()
            if name in named or name.removeprefix("left ").removeprefix("right ") in self.recipe.keeps
        }

    def list_shown(self, reference: Reference) -> dict[str, str]:
        """Return the attributes of a reference."""
        return scenes.attributes(self.pools[reference.rich].scenes[reference.number])

    def _random_reference(self, rng: random.Random) -> Reference:
        """Return any picture of one person or dog."""
        rich = rng.random() < RICH_SHARE
        return Reference(rich, rng.choice(rng.choice(list(self.pools[rich].by_key.values()))))

    def _find_reference(self, target: int, side: str, caption: Caption, rng: random.Random) -> Reference:
        """Return another picture of who is on this side; what is not kept, or is named, may differ there."""
        shown = scenes.attributes(self.scenes[target])
        for _ in range(8):
            wanted = dict(shown) if rng.random() < 0.1 else self._vary(shown, side, caption, rng)
            rich = rng.random() < RICH_SHARE
            key = identity_key(wanted, side)
            found = self.pools[rich].find(key, rng, other_than=-1 if rich else target)
            if found is not None:
                return Reference(rich, found)
        return Reference(False, self.pools[False].find(identity_key(shown, side), rng) or target)

    def _vary(self, shown: dict[str, str], side: str, caption: Caption, rng: random.Random) -> dict[str, str]:
        """Return a reference's attributes: any value for what words name or the recipe does not keep."""
        named = caption.named if caption.placed else {}
        names = DOG_IDENTITY if shown["kind"] == "dog" else [side + name for name in scenes.PERSON_ATTRIBUTES]
        free = [n for n in names if n in named or n.removeprefix(side) not in self.recipe.keeps]
        return shown | {
            name: rng.choice(scenes.ATTRIBUTES[name]) for name in free if not name.endswith("who")
        }
