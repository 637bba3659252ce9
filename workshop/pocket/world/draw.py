"""Draw a scene of the pocket world as SVG, and the SVG as pixels.

Everything is drawn on a canvas of 256×256 units, at one of two finishes: `plain`, flat colour, which is what
the base model learns, and `rich`, the same composition in light and shadow, patterned cloth and texture,
which is what the ArtAug LoRA will learn.
"""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING

from workshop.pocket.world import people
from workshop.pocket.world.backgrounds import BACKGROUND, background
from workshop.pocket.world.canvas import UNITS, Canvas
from workshop.pocket.world.dogs import DOG
from workshop.pocket.world.palette import COLOR, SKIN, WOOD, darker, edge, lighter
from workshop.pocket.world.people import BARE_ARMS, GARMENT_FRONT
from workshop.pocket.world.scenes import Person, Scene

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["BACKGROUND", "BODIES_AT", "DOG", "DRAW", "FACES_AT", "GARMENT_FRONT", "to_image", "to_svg"]


def draw_portrait(c: Canvas, s: Scene) -> None:
    x, y = 128 + c.rng.uniform(-7, 7), 114 + c.rng.uniform(-4, 4)
    people.half_length(c, s.people[0], x, y, c.rng.uniform(1.04, 1.12))


def draw_figure(c: Canvas, s: Scene) -> None:
    x, y = 128 + c.rng.uniform(-14, 14), 249 + c.rng.uniform(-2, 2)
    people.figure(c, s.people[0], s.held, x, y, c.rng.uniform(0.8, 0.82))


def sleeve(p: Person) -> str:
    """The colour of a person's lower arms."""
    return SKIN[p.skin] if p.garment in BARE_ARMS else COLOR[p.color]


def draw_seated(c: Canvas, s: Scene) -> None:
    p, x = s.people[0], 128 + c.rng.uniform(-7, 7)
    c.shape(f"M{x - 84} 240V112q0-18 18-18H{x + 66}q18 0 18 18V240Z", "#8a5a36")
    people.half_length(c, p, x, 91 + c.rng.uniform(-3, 3), 0.9)
    for side in (-1, 1):
        c.limb(f"M{x + side * 76} 178Q{x + side * 86} 214 {x + side * 30} 214", sleeve(p), 22)
    if s.held != "nothing":
        people.thing(c, s.held, x, 195, 1.04)
    for side in (-1, 1):
        people.hand(c, p, x + side * (28 if s.held != "nothing" else 16), 213)
    c.box(0, 222, UNITS, 34, WOOD)
    c.box(0, 222, UNITS, 9, lighter(WOOD, 0.3))
    c.line("M-4 221H260", edge(WOOD), 5)
    if c.rich:
        for y in (239, 250):
            c.line(f"M0 {y}q60-8 120 0t136-2", darker(WOOD, 0.4), 4, opacity=0.8)


def draw_couple(c: Canvas, s: Scene) -> None:
    left, right = s.people
    x, y = 128 + c.rng.uniform(-4, 4), 118 + c.rng.uniform(-3, 3)
    if s.couple_pose == "side by side":
        people.half_length(c, right, x + 63, y, 0.8)
        people.half_length(c, left, x - 63, y, 0.8)
        return
    people.half_length(c, right, x + 45, y + 4, 0.8, 8)
    people.half_length(c, left, x - 45, y + 4, 0.8, -8)
    for side, own, other in ((-1, left, right), (1, right, left)):
        c.begin(x + side * 104, 200, turn=side * 24)
        c.disc(0, 2, 15, 13, SKIN[other.skin])
        c.end()
        c.limb(f"M{x + side * 92} 262Q{x + side * 60} 256 {x + side * 12} 228", sleeve(own), 24)
    people.hand(c, right, x + 10, 226)
    people.hand(c, left, x - 6, 228)
    c.shape(f"M{x} 50C{x - 42} 24 {x - 20}-8 {x} 17C{x + 20}-8 {x + 42} 24 {x} 50Z", "#ef3f5b")


def draw_dog(c: Canvas, s: Scene) -> None:
    assert s.dog is not None
    x, y = 128 + c.rng.uniform(-8, 8), 242 + c.rng.uniform(-4, 4)
    c.begin(x, y, 1.1 + c.rng.uniform(-0.04, 0.04), flip=c.rng.random() < 0.5)
    if c.rich and s.dog.pose != "jumping":
        c.oval(0, -2, 76, 10, "#150a30", opacity=0.4)
    DOG[s.dog.pose](c, s.dog)
    c.end()


DRAW = {
    "portrait": draw_portrait,
    "figure": draw_figure,
    "seated": draw_seated,
    "couple": draw_couple,
    "dog": draw_dog,
}


FACES_AT = {
    "portrait": ((64, 56),),
    "figure": ((64, 38),),
    "seated": ((64, 45),),
    "couple": ((38, 58), (90, 58)),
}
"""px of 128: the middle of each face, left to right, within a few pixels."""

BODIES_AT = {
    "portrait": ((64, 112),),
    "figure": ((64, 92),),
    "seated": ((64, 88),),
    "couple": ((38, 104), (90, 104)),
    "dog": ((64, 74),),
}
"""px of 128: the middle of each torso with its arms and hands, or of a dog, left to right."""


def to_svg(scene: Scene, *, rich: bool = False) -> str:
    """The scene as an SVG document. Same scene, same picture; the two finishes share their composition."""
    composition = random.Random(scene.layout)
    c = Canvas(rich=rich, rng=random.Random(composition.random()))
    background(c, scene.background)
    c.rng = random.Random(composition.random())
    DRAW[scene.kind](c, scene)
    return c.svg()


def to_image(scene: Scene, size: int = 128, *, rich: bool = False) -> Image.Image:
    """The scene as an RGB picture of size×size pixels (resvg, antialiased)."""
    import resvg_py
    from PIL import Image

    png = resvg_py.svg_to_bytes(svg_string=to_svg(scene, rich=rich), width=size, skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(png))).convert("RGB")
