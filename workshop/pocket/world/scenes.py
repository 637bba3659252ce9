"""What a picture of the pocket world shows: a scene has attributes, and each is a word of a fixed list.

The renderer (`draw`) turns a scene into a picture, the grammar (`captions`) turns it into words in four
languages, and the reader (`workshop.pocket.model.reader`) turns a picture back into attributes. So "did the
picture follow the prompt?" has an exact answer.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

KINDS = ("portrait", "figure", "seated", "couple", "dog")
BACKGROUNDS = ("plain", "forest", "sea", "city", "room", "meadow", "road", "snow", "sand")
WHO = ("woman", "man")
SKINS = ("light", "tan", "dark")
HAIRS = ("black", "brown", "blond", "red", "gray")
HAIR_LENGTHS = ("short", "long", "bun")
YES_NO = ("no", "yes")
GARMENTS = ("dress", "suit", "sweater", "coat", "t-shirt")
COLORS = ("red", "yellow", "green", "blue", "purple", "pink", "white", "dark gray")
HELD = ("nothing", "red flowers", "yellow flowers", "white flowers", "purple flowers", "book", "cup")
COUPLE_POSES = ("embracing", "side by side")
COATS = ("black", "brown", "golden", "white", "gray")
COLLARS = ("none", "red", "blue", "green", "yellow")
EARS = ("floppy", "pointed")
DOG_POSES = ("standing", "sitting", "jumping")
MARKINGS = ("eye patch", "socks", "spots")

PERSON_ATTRIBUTES = {
    "who": WHO,
    "skin": SKINS,
    "hair": HAIRS,
    "hair length": HAIR_LENGTHS,
    "glasses": YES_NO,
    "garment": GARMENTS,
    "color": COLORS,
}
IDENTITY = ("skin", "hair", "hair length", "glasses")
"""What makes a person the same person in another picture."""

DOG_ATTRIBUTES = {
    "coat": COATS,
    "eye patch": YES_NO,
    "socks": YES_NO,
    "spots": YES_NO,
    "collar": COLLARS,
    "ears": EARS,
    "dog pose": DOG_POSES,
}
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "kind": KINDS,
    "background": BACKGROUNDS,
    **{f"left {name}": values for name, values in PERSON_ATTRIBUTES.items()},
    **{f"right {name}": values for name, values in PERSON_ATTRIBUTES.items()},
    "held": HELD,
    "couple pose": COUPLE_POSES,
    **DOG_ATTRIBUTES,
}
"""Every attribute a picture can have, and its values. A person alone is the `left` one."""


@dataclass(frozen=True)
class Person:
    """One person. `color` is the garment's. A dress is worn by women, and never seen in a portrait."""

    who: str = "woman"
    skin: str = "tan"
    hair: str = "black"
    hair_length: str = "long"
    glasses: str = "no"
    garment: str = "sweater"
    color: str = "blue"


@dataclass(frozen=True)
class Dog:
    """One dog. The base model never meets a dog with more than one of the three markings."""

    coat: str = "brown"
    markings: tuple[str, ...] = ()
    collar: str = "none"
    ears: str = "floppy"
    pose: str = "standing"


@dataclass(frozen=True)
class Scene:
    """One picture: its kind, who or what is in it, and where.

    layout: the seed of everything that has no name
    people: one Person for portrait, figure and seated; two, from left to right, for couple; none for dog.
    """

    kind: str
    background: str = "plain"
    people: tuple[Person, ...] = ()
    dog: Dog | None = None
    held: str = "nothing"
    couple_pose: str = "embracing"
    layout: int = 0


def attributes(scene: Scene) -> dict[str, str]:
    """Return the attributes that this picture has, by the names of `ATTRIBUTES`.

    Attributes of other kinds of picture are left out.

    >>> attributes(Scene("dog", "snow", dog=Dog(markings=("socks",))))["socks"]
    'yes'
    """
    found = {"kind": scene.kind, "background": scene.background}
    for side, person in zip(("left", "right"), scene.people, strict=False):
        found |= {f"{side} {name}": getattr(person, name.replace(" ", "_")) for name in PERSON_ATTRIBUTES}
    if scene.kind in ("figure", "seated"):
        found["held"] = scene.held
    if scene.kind == "couple":
        found["couple pose"] = scene.couple_pose
    if scene.dog is not None:
        found |= {"coat": scene.dog.coat, "collar": scene.dog.collar, "ears": scene.dog.ears}
        found |= {marking: YES_NO[marking in scene.dog.markings] for marking in MARKINGS}
        found["dog pose"] = scene.dog.pose
    return found


def held_out(scene: Scene) -> bool:
    """Return whether this combination of attributes is kept from training.

    A hash keeps a fifth of all combinations.

    The combination is (kind, background, hair, garment, color) of the first person, or (background, coat,
    collar, pose) of a dog: every single value is seen in training, these combinations of them never are.
    """
    if scene.dog is not None:
        key = ("dog", scene.background, scene.dog.coat, scene.dog.collar, scene.dog.pose)
    else:
        person = scene.people[0]
        key = (scene.kind, scene.background, person.hair, person.garment, person.color)
    return hashlib.sha256("|".join(key).encode()).digest()[0] % 5 == 0


def random_person(rng: random.Random, kind: str) -> Person:
    """Return a person who may be in a picture of this kind."""
    who = rng.choice(WHO)
    garments = [g for g in GARMENTS if g != "dress" or (who == "woman" and kind != "portrait")]
    lengths = HAIR_LENGTHS if who == "woman" else ("short", "short", "long", "bun")
    return Person(
        who=who,
        skin=rng.choice(SKINS),
        hair=rng.choice(HAIRS),
        hair_length=rng.choice(lengths),
        glasses="yes" if rng.random() < 0.3 else "no",
        garment=rng.choice(garments),
        color=rng.choice(COLORS),
    )


def random_dog(rng: random.Random) -> Dog:
    """Return a dog with at most one marking."""
    marking = rng.choice((*MARKINGS, None, None))
    return Dog(
        coat=rng.choice(COATS),
        markings=(marking,) if marking else (),
        collar=rng.choice(COLLARS),
        ears=rng.choice(EARS),
        pose=rng.choice(DOG_POSES),
    )


def random_scene(rng: random.Random, kind: str | None = None) -> Scene:
    """Return any scene of the pocket world, held out or not; `kind` is one of KINDS, or any."""
    kind = kind or rng.choices(KINDS, weights=(25, 22, 15, 16, 22))[0]
    background = "plain" if rng.random() < 0.2 else rng.choice(BACKGROUNDS[1:])
    layout = rng.randrange(2**31)
    if kind == "dog":
        return Scene(kind, background, dog=random_dog(rng), layout=layout)
    people = tuple(random_person(rng, kind) for _ in range(2 if kind == "couple" else 1))
    held = "nothing"
    if (kind == "seated" and rng.random() < 0.85) or (kind == "figure" and rng.random() < 0.4):
        held = rng.choice(HELD[1:])
    return Scene(kind, background, people, held=held, couple_pose=rng.choice(COUPLE_POSES), layout=layout)


def change(scene: Scene, named: Mapping[str, str]) -> Scene:
    """Return a scene of one person changed to show these attributes, named as in `ATTRIBUTES`.

    >>> change(Scene("portrait", people=(Person(),)), {"left hair": "red", "background": "snow"}).background
    'snow'
    """
    fields: dict[str, Any] = {
        name.removeprefix("left ").replace(" ", "_"): value for name, value in named.items()
    }
    own = {name: fields.pop(name) for name in Person.__dataclass_fields__ if name in fields}
    return replace(scene, people=(replace(scene.people[0], **own),), **fields)


def stream(seed: int, *, test: bool = False, kind: str | None = None) -> Iterator[Scene]:
    """Yield scenes without end: those that training may see, or with `test` the held-out combinations.

    The same seed gives the same scenes everywhere.
    """
    rng = random.Random(seed)
    while True:
        scene = random_scene(rng, kind)
        if held_out(scene) == test:
            yield scene
