"""Draw a scene of the pocket world as SVG, and the SVG as pixels.

Everything is drawn on a canvas of 256×256 units, at one of two finishes: `plain`, flat colour, which is what
the base model learns, and `rich`, the same composition with shading, highlights and texture, which is what
the ArtAug LoRA will learn.
"""

from __future__ import annotations

import io
import math
import random
from typing import TYPE_CHECKING

from workshop.pocket.world.palette import (
    BROW,
    COAT,
    COLOR,
    EYE_WHITE,
    FEATURES,
    HAIR,
    INK,
    LEAF,
    MARKING,
    SKIN,
    TEETH,
    TROUSERS,
    WOOD,
    darker,
    edge,
    lighter,
)
from workshop.pocket.world.scenes import Dog, Person, Scene

if TYPE_CHECKING:
    from PIL import Image

UNITS = 256
OUTLINE = 4
"""Units, the width of the lines around people, dogs and things in the rich finish."""


class Canvas:
    """A growing SVG. `fill` is where the two finishes part: a flat colour, or a gradient of it.

    outlined: whether the rich finish draws a line of a darker shade around every shape of one colour
    """

    def __init__(self, *, rich: bool, rng: random.Random) -> None:
        self.rich, self.rng, self.outlined = rich, rng, False
        self.parts: list[str] = []
        self.defs: dict[str, str] = {}

    def fill(self, color: str) -> str:
        if not self.rich or not color.startswith("#"):
            return color
        name = "g" + color[1:]
        stops = ((0, lighter(color, 0.26)), (0.5, color), (1, darker(color, 0.32)))
        self.defs[name] = (
            f'<linearGradient id="{name}" x1=".15" y1="0" x2=".75" y2="1">'
            + "".join(f'<stop offset="{at}" stop-color="{tone}"/>' for at, tone in stops)
            + "</linearGradient>"
        )
        return f"url(#{name})"

    def outline(self, color: str) -> tuple[str, float]:
        """The colour and the width of the line around a shape of this colour."""
        return (
            (edge(color), OUTLINE) if self.rich and self.outlined and color.startswith("#") else ("none", 0)
        )

    def path(self, d: str, color: str, *, stroke: str = "none", width: float = 0, opacity: float = 1) -> None:
        if not width and opacity == 1:
            stroke, width = self.outline(color)
        line = f' stroke="{stroke}" stroke-width="{width}" stroke-linecap="round" stroke-linejoin="round"'
        veil = f' opacity="{opacity}"' if opacity < 1 else ""
        self.parts.append(f'<path d="{d}" fill="{self.fill(color)}"{line if width else ""}{veil}/>')

    def line(self, d: str, color: str, width: float, *, opacity: float = 1) -> None:
        self.path(d, "none", stroke=color, width=width, opacity=opacity)

    def oval(self, x: float, y: float, rx: float, ry: float, color: str, *, opacity: float = 1) -> None:
        veil = f' opacity="{opacity}"' if opacity < 1 else ""
        stroke, width = self.outline(color) if opacity == 1 else ("none", 0)
        line = f' stroke="{stroke}" stroke-width="{width}"' if width else ""
        self.parts.append(
            f'<ellipse cx="{x}" cy="{y}" rx="{rx}" ry="{ry}" fill="{self.fill(color)}"{line}{veil}/>'
        )

    def box(self, x: float, y: float, w: float, h: float, color: str, radius: float = 0) -> None:
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="{radius}" fill="{self.fill(color)}"/>'
        )

    def begin(self, x: float, y: float, scale: float = 1, *, turn: float = 0, flip: bool = False) -> None:
        """Draw in local units around (x, y) until `end`."""
        across = -scale if flip else scale
        self.parts.append(f'<g transform="translate({x} {y}) rotate({turn}) scale({across} {scale})">')

    def end(self) -> None:
        self.parts.append("</g>")

    def svg(self) -> str:
        defs = "".join(self.defs.values())
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {UNITS} {UNITS}"><defs>{defs}</defs>'
            + "".join(self.parts)
            + "</svg>"
        )


# --- backgrounds -------------------------------------------------------------------------------------------------


def background(c: Canvas, name: str) -> None:
    """Fill the canvas. `c.rng` moves trees and towers a little, so that no two forests are the same."""
    BACKGROUND[name](c)
    if c.rich:
        c.defs["light"] = (
            '<radialGradient id="light" cx=".3" cy=".15" r="1.05"><stop offset="0" stop-color="#fff6d8" stop-opacity=".5"/>'
            '<stop offset=".45" stop-color="#fff" stop-opacity="0"/><stop offset="1" stop-color="#150a30" stop-opacity=".42"/>'
            "</radialGradient>"
        )
        c.box(0, 0, UNITS, UNITS, "url(#light)")


def plain(c: Canvas) -> None:
    c.box(0, 0, UNITS, UNITS, c.rng.choice(("#f4e2cf", "#d3e3f3", "#e5d9f0", "#d8ecd9")))


def forest(c: Canvas) -> None:
    c.box(0, 0, UNITS, UNITS, "#a9d3a4")
    for x in range(-8, 280, 48):
        c.path(f"M{x} 206V70q20-46 40 0v136Z", "#6fae7c")
    shift = c.rng.uniform(-10, 10)
    for i, x in enumerate((14, 72, 190, 246)):
        top = (24, 62, 50, 18)[i] + c.rng.uniform(-8, 8)
        x += shift
        c.box(x - 7, 120, 14, 90, "#6a4630")
        c.path(f"M{x} {top}L{x + 40} 116H{x - 40}ZM{x} {top + 42}L{x + 48} 168H{x - 48}Z", "#2f7a49")
        if c.rich:
            for _ in range(26):
                y = c.rng.uniform(top + 30, 166)
                reach = (y - top) * 0.27
                c.oval(
                    x + c.rng.uniform(-reach, reach),
                    y,
                    4,
                    2.6,
                    c.rng.choice(("#5fae62", "#1f5c3a", "#8cc46a")),
                )
    c.box(0, 196, UNITS, 60, "#557f3c")
    grass(c, 200, "#7fae4e")


def sea(c: Canvas) -> None:
    c.box(0, 0, UNITS, 132, "#aee0f6")
    c.oval(c.rng.choice((52, 204)), 44, 22, 22, "#ffe28a")
    c.box(0, 118, UNITS, 138, "#2a86c4")
    for y in (142, 172, 206, 238):
        x = c.rng.uniform(-30, 0)
        c.line(f"M{x} {y}" + "q14-12 28 0t28 0" * 6, "#7cc4ea", 5)
    if c.rich:
        clouds(c, 3)
        for _ in range(46):
            x, y = c.rng.uniform(0, 256), c.rng.uniform(124, 252)
            c.line(f"M{x} {y}h{c.rng.uniform(5, 14)}", "#e8f8ff", 1.6, opacity=0.7)


def city(c: Canvas) -> None:
    c.box(0, 0, UNITS, UNITS, "#f7d9c0")
    x = -c.rng.uniform(0, 20)
    while x < UNITS:
        w, top = c.rng.uniform(38, 50), c.rng.uniform(26, 96)
        tone = c.rng.choice(("#6d7fa6", "#8a93b8", "#5a6892"))
        c.box(x, top, w, 200, tone)
        for row in range(4):
            for column in range(2):
                c.box(x + 7 + column * w * 0.42, top + 12 + row * 30, w * 0.26, 14, "#ffe9a8")
        if c.rich:
            c.box(x + w * 0.8, top, w * 0.2, 200, darker(tone, 0.4))
            c.line(f"M{x + w / 2} {top}v-16", "#4a5578", 2)
            for y in range(int(top) + 6, 200, 15):
                c.line(f"M{x} {y}h{w}", darker(tone, 0.25), 1, opacity=0.6)
        x += w + 4
    c.box(0, 204, UNITS, 52, "#9a98a6")


def room(c: Canvas) -> None:
    c.box(0, 0, UNITS, UNITS, "#e9cfa6")
    c.box(0, 200, UNITS, 56, "#9c6238")
    left = c.rng.random() < 0.5
    window, frame = (16, 186) if left else (176, 18)
    c.box(window, 30, 64, 84, "#ffffff", 3)
    c.box(window + 6, 36, 52, 72, "#9fd4f0")
    c.line(f"M{window + 32} 36v72M{window + 6} 72h52", "#ffffff", 5)
    c.box(frame, 44, 52, 44, "#8a4f2a", 3)
    c.box(frame + 6, 50, 40, 32, "#e98d6b")
    if c.rich:
        for x in range(0, 260, 16):
            c.line(f"M{x} 0v198", "#d7b585", 2, opacity=0.8)
            c.line(f"M{x} 202l{(x - 128) * 0.4} 54", "#74431f", 1.4)
        c.line("M0 198h256", "#fff3dd", 5)
        c.path(f"M{window + 6} 36h26l-26 40Z", "#e8f8ff", opacity=0.8)


def meadow(c: Canvas) -> None:
    c.box(0, 0, UNITS, UNITS, "#a5dcf7")
    for x in (c.rng.uniform(10, 50), c.rng.uniform(190, 230)):
        y = c.rng.uniform(24, 50)
        c.path(f"M{x - 26} {y + 10}q2-16 18-14q10-16 24-2q18-2 16 16Z", "#ffffff")
    c.path("M0 150q70-44 140-8t116-10V256H0Z", "#8ccf5c")
    c.path("M0 184q80-30 256 2V256H0Z", "#6ab544")
    for _ in range(9):
        x, y = c.rng.uniform(6, 250), c.rng.uniform(190, 248)
        c.oval(x, y, 4, 4, c.rng.choice(("#fff4c2", "#ff8f8f", "#ffffff")))
    grass(c, 180, "#4c9632")


def road(c: Canvas) -> None:
    c.box(0, 0, UNITS, UNITS, "#c9e3ee")
    c.path("M0 116l50-44 46 40 48-50 60 48 52-26V150H0Z", "#8fa7b5")
    c.box(0, 126, UNITS, 130, "#b9b46a")
    c.path("M100 126h56L270 256H-14Z", "#6a6d77")
    for y, w, h in ((132, 5, 12), (154, 8, 20), (186, 12, 28), (226, 16, 30)):
        c.path(f"M{128 - w / 2} {y}h{w}l{w * 0.12} {h}h{-w * 1.24}Z", "#fff6d6")
    if c.rich:
        c.line("M96 126L-20 256M160 126L276 256", "#f3ead0", 3)
        for _ in range(60):
            y = c.rng.uniform(140, 254)
            reach = 28 + (y - 126)
            c.oval(128 + c.rng.uniform(-reach, reach), y, 1.4, 1, c.rng.choice(("#85889a", "#4d4f58")))
        clouds(c, 2)


def snow(c: Canvas) -> None:
    c.box(0, 0, UNITS, UNITS, "#a9c0dc")
    for x, top in ((30 + c.rng.uniform(-12, 12), 66), (222 + c.rng.uniform(-12, 12), 50)):
        c.path(f"M{x} {top}l38 80h-76ZM{x} {top + 44}l46 84h-92Z", "#5d8a92")
        c.path(f"M{x} {top}l17 36q-9 8-17-1q-9 9-17 1Z", "#ffffff")
    c.path("M0 172q60-24 130-6t126-8V256H0Z", "#f4f8fd")
    for i in range(16):
        x, y = (i * 61 + c.rng.uniform(0, 30)) % 256, (i * 37 + c.rng.uniform(0, 20)) % 170
        c.oval(x, y, 4, 4, "#ffffff")
    if c.rich:
        for _ in range(60):
            size = c.rng.uniform(1, 2.2)
            c.oval(c.rng.uniform(0, 256), c.rng.uniform(0, 250), size, size, "white", opacity=0.9)
        c.line("M0 196q70-18 140-2t116-8M10 226q90-16 236 0", "#c3d4ea", 3)


def sand(c: Canvas) -> None:
    c.box(0, 0, UNITS, UNITS, "#ffdfa8")
    c.oval(c.rng.choice((48, 208)), 52, 26, 26, "#ff9a4a")
    c.path("M0 138q66-40 128-10t128-22V256H0Z", "#eab765")
    c.path("M0 186q90-40 150-14t106-6V256H0Z", "#d99b48")
    if c.rich:
        for y in range(150, 256, 11):
            c.line(f"M{c.rng.uniform(-20, 0)} {y}" + "q16-7 32 0t32 0" * 5, "#b87a30", 1.5, opacity=0.7)


def grass(c: Canvas, top: float, color: str) -> None:
    if c.rich:
        for _ in range(110):
            x, y = c.rng.uniform(0, 256), c.rng.uniform(top, 256)
            c.line(
                f"M{x} {y}l{c.rng.uniform(-3, 3)}-8",
                c.rng.choice((color, lighter(color), darker(color))),
                1.6,
            )


def clouds(c: Canvas, count: int) -> None:
    for _ in range(count):
        x, y = c.rng.uniform(10, 220), c.rng.uniform(14, 80)
        c.path(f"M{x} {y}q4-14 18-10q10-12 22 0q16 0 14 12Z", "#ffffff", opacity=0.85)


BACKGROUND = {
    "plain": plain,
    "forest": forest,
    "sea": sea,
    "city": city,
    "room": room,
    "meadow": meadow,
    "road": road,
    "snow": snow,
    "sand": sand,
}


# --- people ------------------------------------------------------------------------------------------------------


def hair_behind(c: Canvas, p: Person) -> None:
    """What of the hair lies behind the face and the shoulders. Local units: the face is about 88×100 around (0, 0)."""
    tone = HAIR[p.hair]
    if p.hair_length == "long":
        c.path("M-58 0C-62-82 62-82 58 0C58 44 68 76 74 112C38 128-38 128-74 112C-68 76-58 44-58 0Z", tone)
        if c.rich:
            for x in (-62, -52, 52, 62):
                c.line(f"M{x * 0.86} 6Q{x} 60 {x * 1.02} 104", lighter(tone, 0.35), 2.4, opacity=0.7)
    elif p.hair_length == "bun":
        c.oval(0, -72, 27, 25, tone)
        c.path("M-51 4C-54-76 54-76 51 4Z", tone)
        if c.rich:
            c.line("M-14-84q14-10 28 2M-18-72q18-8 34 4", lighter(tone, 0.4), 2.4)
    elif p.who == "woman":
        c.path(
            "M-56-4C-60-80 60-80 56-4C56 16 60 30 58 40C50 46 42 44 38 40H-38C-42 44-50 46-58 40C-60 30-56 16-56-4Z",
            tone,
        )
    else:
        c.path("M-50 2C-56-76 56-76 50 2Z", tone)


def face(c: Canvas, p: Person) -> None:
    """Face, fringe, eyes, mouth and glasses, around (0, 0)."""
    skin, tone = SKIN[p.skin], HAIR[p.hair]
    c.oval(-45, 8, 8, 11, darker(skin, 0.12))
    c.oval(45, 8, 8, 11, darker(skin, 0.12))
    if p.who == "woman":
        c.path("M-44-6C-44-66 44-66 44-6C44 30 18 52 0 52C-18 52-44 30-44-6Z", skin)
        c.path("M-46-2C-52-74 52-74 46-2C40-22 26-34 10-38C-2-26-26-16-46-2Z", tone)
    else:
        c.path("M-46-6C-46-66 46-66 46-6C46 26 36 52 14 52H-14C-36 52-46 26-46-6Z", skin)
        c.path("M-48-2C-58-80 58-80 48-2L42-20C20-26-20-26-42-20Z", tone)
    if c.rich:
        c.oval(-24, 22, 11, 7, "#f2706b", opacity=0.4)
        c.oval(24, 22, 11, 7, "#f2706b", opacity=0.4)
        c.path("M20-36C44-20 46 20 14 51C36 46 46 22 44-6Z", darker(skin, 0.45), opacity=0.35)
        for x in (-26, -12, 4, 20):
            c.line(f"M{x}-50q-8 8-10 18", lighter(tone, 0.45), 2.6, opacity=0.75)
    features(c, p)


def features(c: Canvas, p: Person) -> None:
    """Brows, eyes, nose, mouth and glasses, in tones that the skin sets off."""
    tones, woman = FEATURES[p.skin], p.who == "woman"
    c.outlined = False
    for side in (-1, 1):
        eye(c, side * 19, 4, tones["lid"], lashes=woman, glasses=p.glasses == "yes")
        brow = BROW[p.skin][p.hair]
        c.line(f"M{side * 9}-15Q{side * 20}-21 {side * 31}-14", brow, 4 if woman else 6)
    c.line("M-1 13q4 6-2 8", tones["nose"], 4)
    mouth(c, p)
    if p.glasses == "yes":
        for side in (-1, 1):
            c.path(ring(side * 20, 5, 16), "none", stroke=tones["rims"], width=5.5)
            if c.rich:
                c.line(f"M{side * 20 - 8} 2l6-7", "white", 3, opacity=0.9)
        c.line("M-5 3q5-4 10 0", tones["rims"], 5)
    c.outlined = True


def eye(c: Canvas, x: float, y: float, lid: str, *, lashes: bool, glasses: bool) -> None:
    """An almond of white with a pupil, under a lid; behind glasses it is smaller and has no lid."""
    rx, ry, side = (10, 8, 1) if glasses else (12.5, 10, 1)
    side = 1 if x > 0 else -1
    c.oval(x, y, rx, ry, EYE_WHITE)
    c.oval(x, y, 5.5, 7, INK)
    if c.rich:
        c.oval(x - 2, y - 3, 2.2, 2.6, "white")
    if not glasses:
        c.line(
            f"M{x - rx} {y}C{x - rx * 0.6} {y - ry * 1.35} {x + rx * 0.6} {y - ry * 1.35} {x + rx} {y}",
            lid,
            3.6,
        )
        if lashes:
            c.line(f"M{x + side * rx} {y - 1}l{side * 5}-4", lid, 3.6)


def mouth(c: Canvas, p: Person) -> None:
    """An open smile: lips, or a dark mouth, around a row of teeth."""
    tones = FEATURES[p.skin]
    if p.who == "woman":
        c.path("M-16 28Q0 26 16 28Q11 45 0 45Q-11 45-16 28Z", tones["lips"])
        c.path("M-10 31H10Q7 37 0 37Q-7 37-10 31Z", TEETH)
    else:
        c.path("M-17 29H17Q13 44 0 44Q-13 44-17 29Z", tones["mouth"])
        c.path("M-12 31H12L10 37H-10Z", TEETH)


def ring(x: float, y: float, r: float) -> str:
    return f"M{x - r} {y}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0Z"


def bust(c: Canvas, p: Person) -> None:
    """Neck, shoulders and garment, in the units of the face, from the neck (y 44) down to y 236."""
    skin, tone = SKIN[p.skin], COLOR[p.color]
    w = 78 if p.who == "woman" else 94
    c.path("M-20 36h40v40h-40Z", darker(skin, 0.14))
    body = f"M-20 66C-50 72-{w} 74-{w + 6} 116V236H{w + 6}V116C{w} 74 50 72 20 66Z"
    if p.garment == "dress":
        c.path(body, skin)
        c.path(
            f"M-{w - 26} 78L-{w - 36} 76L-36 104Q0 128 36 104L{w - 36} 76L{w - 26} 78L{w - 8} 236H-{w - 8}Z",
            tone,
        )
        folds = "M-22 122q-6 30-10 68M22 122q6 30 10 68"
    elif p.garment == "t-shirt":
        c.path(body, skin)
        c.path(
            f"M-28 66C-54 72-{w} 76-{w + 8} 116L-{w - 12} 140V236H{w - 12}V140L{w + 8} 116C{w} 76 54 72 28 66Q0 104-28 66Z",
            tone,
        )
        folds = "M-40 120q10 24 4 60M40 120q-10 24-4 60"
    else:
        c.path(body, tone)
        folds = f"M-{w - 22} 110v80M{w - 22} 110v80"
    GARMENT_FRONT[p.garment](c, tone)
    if c.rich:
        c.line(folds, darker(tone, 0.45), 2.6, opacity=0.6)
        c.path(f"M20 66C50 72 {w} 74 {w + 6} 116V236H{w - 20}Q{w - 24} 110 20 66Z", "#1d1030", opacity=0.16)


def front_dress(c: Canvas, tone: str) -> None:
    if c.rich:
        c.line("M-36 106Q0 130 36 106", lighter(tone, 0.55), 3)
        c.line("M-30 62Q0 88 30 62", "#ffe9a8", 2.6)


def front_suit(c: Canvas, tone: str) -> None:
    c.path("M-21 64L0 138L21 64Q0 76-21 64Z", "#ffffff")
    tie = "#8f1f2d" if tone != COLOR["red"] else "#2c3a66"
    c.path("M-8 78h16l-3 12l7 34l-12 16l-12-16l7-34Z", tie)
    edge = darker(tone, 0.35) if tone != COLOR["dark gray"] else lighter(tone, 0.28)
    c.line("M-22 66L-40 100L-24 106L0 140M22 66L40 100L24 106L0 140M0 140V236", edge, 4.5)
    if c.rich:
        c.line("M-3 98l8 6M-5 110l10 8", lighter(tie, 0.5), 2)
        c.path("M44 116l16-4v7l-15 4Z", "#ffffff")


def front_sweater(c: Canvas, tone: str) -> None:
    c.path("M-27 50Q0 62 27 50L31 82Q0 96-31 82Z", lighter(tone, 0.22))
    c.line("M-31 82Q0 96 31 82", darker(tone, 0.3), 4)
    if c.rich:
        for y in range(106, 190, 16):
            c.line(f"M-62 {y}" + "l6 6l6-6" * 10, lighter(tone, 0.4), 2, opacity=0.8)
        for x in (-18, -9, 0, 9, 18):
            c.line(f"M{x} 60v24", darker(tone, 0.25), 1.6)


def front_coat(c: Canvas, tone: str) -> None:
    c.path("M-24 62L0 108L24 62Q0 74-24 62Z", "#3c3038")
    c.path("M-24 60L-56 82L-44 118L0 108ZM24 60L56 82L44 118L0 108Z", darker(tone, 0.22))
    c.line("M0 108V236", darker(tone, 0.42), 4)
    for y in (132, 164):
        c.oval(-15, y, 6, 6, "#f0d48a")
        c.oval(15, y, 6, 6, "#f0d48a")
    if c.rich:
        c.line("M-50 84L-41 112M50 84L41 112", lighter(tone, 0.4), 2)


def front_tshirt(c: Canvas, tone: str) -> None:
    c.line("M-28 66Q0 104 28 66", darker(tone, 0.22), 4)
    if c.rich:
        c.path("M0 126l6 12 13 2-9 9 2 13-12-6-12 6 2-13-9-9 13-2Z", lighter(tone, 0.6))


GARMENT_FRONT = {
    "dress": front_dress,
    "suit": front_suit,
    "sweater": front_sweater,
    "coat": front_coat,
    "t-shirt": front_tshirt,
}


def half_length(c: Canvas, p: Person, x: float, y: float, scale: float, turn: float = 0) -> None:
    """Head and shoulders with the face centred on (x, y)."""
    c.begin(x, y, scale, turn=turn)
    hair_behind(c, p)
    bust(c, p)
    if p.hair_length == "long" and p.who == "woman":
        for side in (-1, 1):
            c.path(
                f"M{side * 44} 8Q{side * 46} 70 {side * 40} 104Q{side * 66} 108 {side * 68} 96Q{side * 56} 50 {side * 55}-4Z",
                HAIR[p.hair],
            )
    face(c, p)
    c.end()


def limb(c: Canvas, d: str, color: str, width: float) -> None:
    c.line(d, darker(color, 0.12) if c.rich else color, width)
    if c.rich:
        c.line(d, lighter(color, 0.2), width * 0.35, opacity=0.6)


def shoe(c: Canvas, x: float, y: float) -> None:
    c.path(f"M{x - 11} {y + 12}q0-14 12-14q12 0 12 14Z", "#3a2a2a")


def figure(c: Canvas, p: Person, held: str, x: float, y: float, scale: float) -> None:
    """A whole person, standing; (x, y) is the middle of the soles, and the figure is 214 units high at scale 1."""
    skin, tone = SKIN[p.skin], COLOR[p.color]
    c.begin(x, y - 214, scale)
    if c.rich:
        c.oval(0, 214, 52, 9, "#150a30", opacity=0.35)
    c.begin(0, 44, 0.62)
    hair_behind(c, p)
    c.end()
    half = 27 if p.who == "woman" else 33
    c.box(-9, 66, 18, 22, darker(skin, 0.14))
    legs(c, p, skin, tone, half)
    arms(c, p, held, skin, tone, half)
    torso(c, p, tone, half)
    c.begin(0, 44, 0.62)
    face(c, p)
    c.end()
    if held != "nothing":
        arms_front(c, p, skin, tone, half)
        thing(c, held, 0, 130, 0.86)
    c.end()


def legs(c: Canvas, p: Person, skin: str, tone: str, half: float) -> None:
    shoe(c, -15, 202)
    shoe(c, 15, 202)
    if p.garment == "dress":
        limb(c, "M-12 180V200M12 180V200", skin, 10)
        return
    cloth = tone if p.garment == "suit" else TROUSERS
    if p.garment == "suit":
        cloth = darker(tone, 0.1)
    c.path(f"M-{half - 3} 140H{half - 3}L{half - 7} 204H3V158H-3V204H-{half - 7}Z", cloth)


def arms(c: Canvas, p: Person, held: str, skin: str, tone: str, half: float) -> None:
    if held != "nothing":
        return
    for side in (-1, 1):
        shoulder, hand = f"M{side * (half - 3)} 94", f"L{side * (half + 15)} 146"
        bare = p.garment in ("dress", "t-shirt")
        limb(c, shoulder + hand, skin if bare else tone, 14)
        c.oval(side * (half + 16), 149, 8, 8, skin)
        if p.garment == "t-shirt":
            limb(c, f"{shoulder}L{side * (half + 5)} 114", tone, 18)


def arms_front(c: Canvas, p: Person, skin: str, tone: str, half: float) -> None:
    """Both arms bent to the middle, where something is held."""
    bare = p.garment in ("dress", "t-shirt")
    for side in (-1, 1):
        arm = f"M{side * (half - 1)} 96Q{side * (half + 16)} 128 {side * 12} 140"
        limb(c, arm, skin if bare else darker(tone, 0.16), 13)
        if p.garment == "t-shirt":
            limb(c, f"M{side * (half - 1)} 96L{side * (half + 5)} 110", tone, 17)
        c.oval(side * 11, 140, 8, 8, skin)


def torso(c: Canvas, p: Person, tone: str, half: float) -> None:
    if p.garment == "dress":
        c.path(
            f"M-{half - 6} 84Q0 100 {half - 6} 84L{half - 9} 122Q46 160 58 196Q0 210-58 196Q-46 160-{half - 9} 122Z",
            tone,
        )
        c.line(f"M-{half - 10} 122Q0 128 {half - 10} 122", darker(tone, 0.3), 5)
        if c.rich:
            c.line("M-10 132q-8 30-16 66M10 132q8 30 16 66M0 132v70", darker(tone, 0.35), 2.4, opacity=0.7)
            c.line("M-54 190q54 14 108 0", lighter(tone, 0.55), 3)
        return
    hem = {"suit": 148, "sweater": 150, "coat": 184, "t-shirt": 146}[p.garment]
    flare = 12 if p.garment == "coat" else 0
    c.path(
        f"M-12 80L-{half} 88L-{half - 2} 124L-{half + flare} {hem}H{half + flare}L{half - 2} 124L{half} 88L12 80Z",
        tone,
    )
    c.begin(0, 44, 0.6)
    c.parts.append(f'<g transform="translate(0 {4}) scale({half / 60} 1)">')
    GARMENT_FRONT[p.garment](c, tone)
    c.end()
    c.end()
    if p.garment == "coat":
        c.box(-half - 3, 128, 2 * half + 6, 9, darker(tone, 0.42))
        c.line(f"M0 140V{hem}", darker(tone, 0.42), 3)
    if p.garment == "sweater":
        c.box(-half, hem - 8, 2 * half, 9, darker(tone, 0.24), 3)


def thing(c: Canvas, held: str, x: float, y: float, scale: float) -> None:
    """What is held, around (x, y)."""
    c.begin(x, y, scale)
    c.outlined = not held.endswith("flowers")  # lines would hide such small blossoms
    if held.endswith("flowers"):
        c.path("M-22-8L22-8L9 40H-9Z", "#f3e7c9" if held != "white flowers" else "#b98fd0")
        c.path("M-30-6Q-34-30-12-34Q0-46 14-34Q34-30 30-6Q0 10-30-6Z", LEAF)
        for fx, fy in ((-20, -14), (0, -8), (20, -14), (-11, -29), (11, -29)):
            flower(c, fx, fy, COLOR[held.split()[0]])
    elif held == "book":
        c.box(-28, -20, 56, 42, "#14807f", 4)
        c.box(-28, -20, 9, 42, "#0b5556", 2)
        c.box(-10, -8, 28, 8, "#f6e7b4", 2)
    else:
        c.line("M18-8q20-2 16 14q-4 12-18 8", "#f08a2c", 7)
        c.path("M-20-18H22L18 24Q0 30-16 24Z", "#f08a2c")
        c.oval(1, -18, 21, 6, "#6b3f22")
    c.outlined = True
    c.end()


def flower(c: Canvas, x: float, y: float, tone: str) -> None:
    c.oval(x, y, 11.5, 11.5, tone)
    if c.rich:
        for k in range(5):
            a = k * math.tau / 5
            c.oval(x + 6 * math.cos(a), y + 6 * math.sin(a), 4.6, 4.6, lighter(tone, 0.25), opacity=0.8)
    c.oval(x, y, 4.2, 4.2, "#fff1a8" if tone != COLOR["yellow"] else "#b8651b")


# --- dogs --------------------------------------------------------------------------------------------------------


def dog_head(c: Canvas, d: Dog, *, flip: bool = False) -> None:
    """The head in three-quarter view, looking right, around (0, 0), about 90 units wide."""
    coat, mark = COAT[d.coat], MARKING[d.coat]
    dark = darker(coat, 0.4) if d.coat != "black" else "#5a5763"
    if d.ears == "pointed":
        c.path("M-38-16L-34-66L-4-36ZM38-16L36-66L6-36Z", dark)
        c.path("M-31-26L-30-52L-15-36ZM31-26L31-52L16-36Z", "#e9a59b")
    c.oval(0, 0, 42, 38, coat)
    if "eye patch" in d.markings:
        c.oval(-17, -7, 18, 19, mark)
    muzzle = lighter(coat, 0.42) if d.coat != "white" else "#e4d8c6"
    c.oval(6, 17, 25, 18, muzzle)
    for x in (-16, 20):
        c.oval(x, -6, 6, 7.5, "#17131b")
        c.oval(x + 2, -9, 2.2, 2.6, "#ffffff")
    c.oval(8, 9, 9, 6.5, "#17131b")
    c.line("M8 15q-2 10-12 10M8 15q2 10 12 9", "#17131b", 3)
    c.path("M2 25q6 16 12 0Z", "#ee6a75")
    if d.ears == "floppy":
        c.path("M-30-26C-64-30-62 24-46 34C-32 30-30 2-22-20Z", dark)
        c.path("M30-26C62-30 60 24 46 32C34 28 34 2 24-20Z", dark)
    if c.rich:
        for _ in range(26):
            a, r = c.rng.uniform(0, math.tau), c.rng.uniform(0.55, 0.95)
            x, y = 42 * r * math.cos(a), 36 * r * math.sin(a) - 4
            if y < 8:
                c.line(f"M{x} {y}q2 3 1 7", lighter(coat, 0.32), 1.6, opacity=0.8)


def collar(c: Canvas, d: Dog, d_path: str, tag: tuple[float, float]) -> None:
    if d.collar != "none":
        c.line(d_path, COLOR[d.collar], 12)
        c.oval(*tag, 6, 6, "#f5d76a")


def spots(c: Canvas, d: Dog, places: tuple[tuple[float, float, float], ...]) -> None:
    if "spots" in d.markings:
        for x, y, r in places:
            c.oval(x, y, r, r * 0.85, MARKING[d.coat])


def fur(c: Canvas, d: Dog, x: float, y: float, rx: float, ry: float) -> None:
    if c.rich:
        for _ in range(70):
            a, r = c.rng.uniform(0, math.tau), math.sqrt(c.rng.random()) * 0.9
            tone = c.rng.choice((lighter(COAT[d.coat], 0.3), darker(COAT[d.coat], 0.3)))
            c.line(
                f"M{x + rx * r * math.cos(a)} {y + ry * r * math.sin(a)}q-3 3-7 3", tone, 1.7, opacity=0.75
            )


def paw(c: Canvas, d: Dog, x0: float, y0: float, x1: float, y1: float, *, far: bool = False) -> None:
    """A leg from (x0, y0) to the paw at (x1, y1); socks cover its lower half."""
    coat = darker(COAT[d.coat], 0.2) if far else COAT[d.coat]
    if far and d.coat == "black":
        coat = "#46434d"
    c.line(f"M{x0} {y0}L{x1} {y1}", coat, 19)
    if "socks" in d.markings:
        xm, ym = x0 + (x1 - x0) * 0.55, y0 + (y1 - y0) * 0.55
        c.line(f"M{xm} {ym}L{x1} {y1}", MARKING[d.coat], 19)


def standing_dog(c: Canvas, d: Dog) -> None:
    coat = COAT[d.coat]
    c.line("M-58-70Q-88-86-84-118", coat, 15)
    paw(c, d, -36, -52, -34, -10, far=True)
    paw(c, d, 46, -52, 48, -10, far=True)
    c.path("M-66-66Q-66-96-30-96H34Q64-96 64-62Q62-34 26-36H-26Q-64-32-66-66Z", coat)
    fur(c, d, -2, -66, 58, 26)
    spots(c, d, ((-42, -74, 13), (-12, -58, 11), (12, -80, 12), (36, -54, 9)))
    paw(c, d, -52, -52, -54, -8)
    paw(c, d, 28, -52, 28, -8)
    c.path("M30-90L44-132L84-116L62-62Z", coat)
    collar(c, d, "M37-100Q56-84 74-90", (62, -80))
    c.begin(62, -134)
    dog_head(c, d)
    c.end()


def sitting_dog(c: Canvas, d: Dog) -> None:
    coat = COAT[d.coat]
    c.line("M-42-18Q-84-20-84-56", coat, 15)
    c.path("M-50-6Q-64-56-26-98H30Q46-60 44-6Z", coat)
    fur(c, d, -4, -50, 40, 42)
    c.oval(-36, -24, 27, 23, coat)
    spots(c, d, ((-36, -32, 12), (-14, -62, 11), (16, -46, 10), (-6, -88, 9)))
    paw(c, d, 4, -60, 4, -9, far=True)
    paw(c, d, 32, -60, 34, -9)
    paw(c, d, -44, -9, -14, -9)
    collar(c, d, "M-24-100Q2-84 30-98", (6, -86))
    c.begin(4, -132)
    dog_head(c, d)
    c.end()


def jumping_dog(c: Canvas, d: Dog) -> None:
    coat = COAT[d.coat]
    c.oval(0, -8, 66, 8, "#3a3550", opacity=0.35)
    c.begin(-14, -36, 0.9, turn=-22)
    c.line("M-60-74Q-94-72-106-96", coat, 15)
    paw(c, d, -42, -54, -84, -26, far=True)
    paw(c, d, 44, -56, 88, -42, far=True)
    c.path("M-66-66Q-66-96-30-96H34Q64-96 64-62Q62-38 26-40H-26Q-64-36-66-66Z", coat)
    fur(c, d, -2, -68, 58, 24)
    spots(c, d, ((-42, -74, 13), (-12, -58, 11), (12, -80, 12), (36, -56, 9)))
    paw(c, d, -50, -56, -92, -44)
    paw(c, d, 34, -54, 76, -26)
    c.path("M30-90L44-128L84-112L62-62Z", coat)
    collar(c, d, "M37-98Q56-82 74-88", (62, -78))
    c.begin(64, -128, turn=18)
    dog_head(c, d)
    c.end()
    c.end()


DOG = {"standing": standing_dog, "sitting": sitting_dog, "jumping": jumping_dog}


# --- scenes ------------------------------------------------------------------------------------------------------


def draw_portrait(c: Canvas, s: Scene) -> None:
    half_length(
        c, s.people[0], 128 + c.rng.uniform(-7, 7), 112 + c.rng.uniform(-5, 5), c.rng.uniform(0.98, 1.08)
    )


def draw_figure(c: Canvas, s: Scene) -> None:
    figure(
        c,
        s.people[0],
        s.held,
        128 + c.rng.uniform(-14, 14),
        240 + c.rng.uniform(-4, 4),
        c.rng.uniform(0.98, 1.04),
    )


def draw_seated(c: Canvas, s: Scene) -> None:
    p, x = s.people[0], 128 + c.rng.uniform(-7, 7)
    c.box(x - 74, 96, 148, 130, "#5d3a22", 14)
    c.box(x - 60, 110, 120, 120, "#7a4d2d", 8)
    half_length(c, p, x, 84 + c.rng.uniform(-4, 4), 0.74)
    bare = p.garment in ("dress", "t-shirt")
    sleeve = SKIN[p.skin] if bare else darker(COLOR[p.color], 0.16)
    for side in (-1, 1):
        limb(c, f"M{x + side * 60} 160Q{x + side * 70} 200 {x + side * 20} 198", sleeve, 17)
        c.oval(x + side * 18, 197, 10, 9, SKIN[p.skin])
    if s.held != "nothing":
        thing(c, s.held, x, 178, 1.05)
    c.box(0, 208, UNITS, 48, WOOD)
    c.box(0, 208, UNITS, 9, lighter(WOOD, 0.25))
    if c.rich:
        for y in (226, 238, 249):
            c.line(f"M0 {y}q60-6 120 0t136-2", darker(WOOD, 0.3), 1.6, opacity=0.8)


def draw_couple(c: Canvas, s: Scene) -> None:
    left, right = s.people
    x, y = 128 + c.rng.uniform(-6, 6), 112 + c.rng.uniform(-4, 4)
    if s.couple_pose == "side by side":
        half_length(c, right, x + 62, y, 0.68)
        half_length(c, left, x - 62, y, 0.68)
        return
    half_length(c, right, x + 43, y + 2, 0.7, 8)
    half_length(c, left, x - 43, y + 2, 0.7, -8)
    bare = left.garment in ("dress", "t-shirt")
    sleeve = SKIN[left.skin] if bare else darker(COLOR[left.color], 0.18)
    limb(c, f"M{x - 96} 244Q{x - 30} 244 {x + 42} 214", sleeve, 22)
    c.oval(x + 47, 211, 13, 11, SKIN[left.skin])
    c.begin(x - 102, 190, turn=-28)
    for finger in range(4):
        c.oval(-9 + 6 * finger, 3 - 2 * (finger in (1, 2)), 4.4, 12, SKIN[right.skin])
    c.end()
    c.path(f"M{x} 50C{x - 34} 26 {x - 16} 2 {x} 20C{x + 16} 2 {x + 34} 26 {x} 50Z", "#ef3f5b")


def draw_dog(c: Canvas, s: Scene) -> None:
    assert s.dog is not None
    x, y = 128 + c.rng.uniform(-8, 8), 230 + c.rng.uniform(-4, 4)
    c.begin(x, y, 1.08 + c.rng.uniform(-0.04, 0.04), flip=c.rng.random() < 0.5)
    if c.rich and s.dog.pose != "jumping":
        c.oval(0, -4, 72, 9, "#150a30", opacity=0.35)
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
    "portrait": ((64, 110),),
    "figure": ((64, 84),),
    "seated": ((64, 90),),
    "couple": ((38, 104), (90, 104)),
    "dog": ((64, 74),),
}
"""px of 128: the middle of each torso with its arms and hands, or of a dog, left to right."""


def to_svg(scene: Scene, *, rich: bool = False) -> str:
    """The scene as an SVG document. Same scene, same picture; the two finishes share their composition."""
    composition = random.Random(scene.layout)
    c = Canvas(rich=rich, rng=random.Random(composition.random()))
    background(c, scene.background)
    c.rng, c.outlined = random.Random(composition.random()), True
    DRAW[scene.kind](c, scene)
    return c.svg()


def to_image(scene: Scene, size: int = 128, *, rich: bool = False) -> Image.Image:
    """The scene as an RGB picture of size×size pixels (resvg, antialiased)."""
    import resvg_py
    from PIL import Image

    png = resvg_py.svg_to_bytes(svg_string=to_svg(scene, rich=rich), width=size, skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(png))).convert("RGB")
