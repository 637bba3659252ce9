"""Draw people: heads, garments, and whole figures.

Every person is drawn in the units of the face, which is about 104×112 around (0, 0), and scaled by 0.8 or
more: so 7.5 units are three pixels at 128, and no feature is smaller.
"""

from __future__ import annotations

from dataclasses import dataclass

from workshop.pocket.world.canvas import EDGE, Canvas
from workshop.pocket.world.palette import (
    BROW,
    COLOR,
    EYE_WHITE,
    FEATURES,
    HAIR,
    LEAF,
    SKIN,
    TEETH,
    TROUSERS,
    darker,
    edge,
    lighter,
)
from workshop.pocket.world.scenes import Person

PUPIL = "#241318"
SMALLEST_SCALE = 0.8
"""Of a face, in any kind of picture."""

SIZES = {"brow": 8.0, "pupil": 16.0, "eye": 20.0, "nose": 8.0, "mouth": 16.0, "teeth": 8.0, "rims": 7.5}
"""The smaller side of every feature of a face, in its units."""

CROWN, CHIN, FEET = -74, 57, 208
"""Where a figure's hair begins, its face ends and its soles are, in the units of its face."""

BARE_ARMS = ("dress", "t-shirt")


# --- heads -------------------------------------------------------------------------------------------------------


def hair_behind(c: Canvas, p: Person) -> None:
    """What of the hair lies behind the face and the shoulders."""
    tone = HAIR[p.hair]
    if p.hair_length == "long":
        c.shape("M-58-8C-66-96 66-96 58-8C60 40 72 78 72 114C40 126-40 126-72 114C-72 78-60 40-58-8Z", tone)
    elif p.hair_length == "bun":
        c.disc(0, -71, 25, 20, tone)
        if c.rich:
            c.line("M-13-78q12-8 25 1", lighter(tone, 0.45), 5, opacity=0.8)
        c.shape("M-57 8C-64-94 64-94 57 8Z", tone)
    elif p.who == "woman":
        c.shape(
            "M-60-6C-68-96 68-96 60-6C62 18 66 36 62 48C52 60 40 56 34 50H-34C-40 56-52 60-62 48C-66 36-62 18-60-6Z",
            tone,
        )
    else:
        c.shape("M-56 6C-66-92 66-92 56 6Z", tone)


def locks(c: Canvas, p: Person) -> None:
    """Long hair that falls over the shoulders in front."""
    if p.hair_length != "long":
        return
    for side in (-1, 1):
        c.shape(
            f"M{side * 51} 0Q{side * 48} 60 {side * 48} 102Q{side * 60} 116 {side * 73} 102Q{side * 66} 50 {side * 58}-4Z",
            HAIR[p.hair],
        )


def head(c: Canvas, p: Person) -> None:
    """Face, fringe, eyes, mouth and glasses, around (0, 0)."""
    skin, tone = SKIN[p.skin], HAIR[p.hair]
    for side in (-1, 1):
        c.disc(side * 52, 10, 9, 12, darker(skin, 0.08))
    if p.who == "woman":
        c.shape("M-52-4C-52-74 52-74 52-4C52 34 28 57 0 57C-28 57-52 34-52-4Z", skin)
        cheeks_and_shade(c, skin)
        c.shape(
            "M-57 6C-64-96 64-96 57 6C55-14 44-34 24-44C6-30-28-26-44-12C-51-6-54 0-57 6Z",
            tone,
        )
    else:
        c.shape("M-52-6C-52-74 52-74 52-6C52 34 38 57 15 57H-15C-38 57-52 34-52-6Z", skin)
        cheeks_and_shade(c, skin)
        c.shape(
            "M-57 2C-70-62-40-92-2-82C36-94 68-62 57 2C55-12 51-24 44-33C22-42-14-30-40-36C-50-26-54-12-57 2Z",
            tone,
        )
    if c.rich:
        shine = lighter(tone, 0.5)
        c.line("M-40-46Q-30-66-8-72", shine, 6, opacity=0.85)
    features(c, p)


def cheeks_and_shade(c: Canvas, skin: str) -> None:
    if not c.rich:
        return
    c.path("M22-60C52-50 66 34 6 57C36 57 52 34 52-4C52-40 40-56 22-60Z", darker(skin, 0.5), opacity=0.4)
    for side in (-1, 1):
        c.oval(side * 34, 25, 12, 8, "#ff5a5f", opacity=0.45)


def features(c: Canvas, p: Person) -> None:
    tones = FEATURES[p.skin]
    glasses = p.glasses == "yes"
    for side in (-1, 1):
        eye(c, side * 24, 4, tones["lid"], lashes=p.who == "woman", glasses=glasses)
        brow = BROW[p.skin][p.hair]
        if p.who == "woman":
            c.line(f"M{side * 15}-24Q{side * 25}-30 {side * 36}-22", brow, SIZES["brow"])
        else:
            c.line(f"M{side * 15}-24Q{side * 25}-29 {side * 37}-22", brow, SIZES["brow"] + 1.5)
    c.line("M-4 22Q0 24 4 22", tones["nose"], SIZES["nose"])
    mouth(c, p)
    if glasses:
        for side in (-1, 1):
            c.path(ring(side * 24, 5, 20.5), "none", stroke=tones["rims"], width=SIZES["rims"])
        if c.rich:
            for side in (-1, 1):
                c.line(f"M{side * 24 - 11} 3l8-9", "white", 4, opacity=0.8)


def eye(c: Canvas, x: float, y: float, lid: str, *, lashes: bool, glasses: bool) -> None:
    rx = 13 if glasses else 16
    side = 1 if x > 0 else -1
    almond = f"M{x - rx} {y + 1}C{x - rx * 0.6} {y - 14} {x + rx * 0.6} {y - 14} {x + rx} {y + 1}C{x + rx * 0.6} {y + 14} {x - rx * 0.6} {y + 14} {x - rx} {y + 1}Z"
    c.path(almond, EYE_WHITE if not c.rich else "white")
    c.oval(x, y + 1, SIZES["pupil"] / 2, SIZES["pupil"] / 2 + 1, PUPIL if not c.rich else "black")
    if c.rich:
        c.oval(x - 3, y - 3, 3.4, 3.4, "white")
    if not glasses:
        c.line(f"M{x - rx} {y}C{x - rx * 0.6} {y - 15} {x + rx * 0.6} {y - 15} {x + rx} {y}", lid, 5)
        if lashes:
            c.line(f"M{x + side * rx * 0.95} {y - 2}l{side * 6}-5", lid, 5)
    else:
        c.line(
            f"M{x - rx} {y - 2}C{x - rx * 0.6} {y - 13} {x + rx * 0.6} {y - 13} {x + rx} {y - 2}", lid, 3.5
        )


def mouth(c: Canvas, p: Person) -> None:
    """An open smile: lips or a dark mouth around a row of teeth."""
    tones, low = FEATURES[p.skin], 35 + SIZES["teeth"]
    if p.who == "woman":
        c.path(
            "M-19 33Q-9 30 0 33Q9 30 19 33Q13 50 0 50Q-13 50-19 33Z",
            tones["lips"],
            stroke=tones["lips"],
            width=3,
        )
        c.path(f"M-13 35H13Q9 {low} 0 {low}Q-9 {low}-13 35Z", TEETH if not c.rich else "white")
    else:
        c.path("M-19 34H19Q13 49 0 49Q-13 49-19 34Z", tones["mouth"], stroke=tones["mouth"], width=4)
        c.path(f"M-16 35H16L14 {low}H-14Z", TEETH if not c.rich else "white")


def ring(x: float, y: float, rx: float, ry: float | None = None) -> str:
    ry = ry or rx
    return f"M{x - rx} {y}a{rx} {ry} 0 1 0 {2 * rx} 0a{rx} {ry} 0 1 0 {-2 * rx} 0Z"


# --- garments ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cut:
    """How a torso is cut: half its width at the shoulders and at the hem, and where the hem is, in face units."""

    half: float
    flare: float
    hem: float


def bust_cut(p: Person) -> Cut:
    half = 78 if p.who == "woman" else 92
    return Cut(half, half + 4, 200)


def figure_cut(p: Person) -> Cut:
    half = 44 if p.who == "woman" else 52
    hem = {"suit": 144, "sweater": 142, "coat": 174, "t-shirt": 140, "dress": 172}[p.garment]
    flare = {"coat": half + 14, "dress": half + 26}.get(p.garment, half)
    return Cut(half, flare, hem)


def outline(cut: Cut) -> str:
    h, f = cut.half, cut.flare
    return f"M-18 62C-{h * 0.6} 64-{h} 68-{h} 96L-{f} {cut.hem}H{f}L{h} 96C{h} 68 {h * 0.6} 64 18 62Z"


def dress_outline(cut: Cut) -> str:
    h, f = cut.half, cut.flare
    top, waist = h * 0.62, h * 0.7
    return (
        f"M-{top} 66L-{top - 9} 66Q-{top - 12} 96 0 96Q{top - 12} 96 {top - 9} 66L{top} 66"
        f"Q{top + 2} 96 {waist + 6} 118L{f} {cut.hem}H-{f}L-{waist + 6} 118Q-{top + 2} 96-{top} 66Z"
    )


def cloth(c: Canvas, d: str, p: Person) -> None:
    """A piece of the garment; in the rich finish with the garment's own pattern."""
    tone = COLOR[p.color]
    c.shape(d, tone)
    if c.rich:
        figure = lighter(tone, 0.5) if p.color != "white" else "#b9b2c8"
        c.path(
            d,
            c.pattern(f"{p.garment}-{p.color}".replace(" ", ""), 24, PATTERN[p.garment](figure)),
            opacity=0.55,
        )
        c.line(d, edge(tone), EDGE)


PATTERN = {
    "dress": lambda t: f'<circle cx="6" cy="6" r="5" fill="{t}"/><circle cx="18" cy="18" r="5" fill="{t}"/>',
    "suit": lambda t: f'<path d="M12 0V24" stroke="{t}" stroke-width="6"/>',
    "sweater": lambda t: f'<path d="M0 14L6 6L12 14L18 6L24 14" fill="none" stroke="{t}" stroke-width="6"/>',
    "coat": lambda t: f'<path d="M12 0V24M0 12H24" stroke="{t}" stroke-width="7" opacity=".8"/>',
    "t-shirt": lambda t: f'<path d="M0 12H24" stroke="{t}" stroke-width="11"/>',
}


def torso(c: Canvas, p: Person, cut: Cut) -> None:
    """Neck, shoulders and garment."""
    skin = SKIN[p.skin]
    c.shape("M-19 44H19V74H-19Z", darker(skin, 0.2))
    if p.garment == "dress":
        c.shape(
            f"M-18 62C-{cut.half * 0.6} 64-{cut.half} 70-{cut.half} 100L-30 120H30L{cut.half} 100C{cut.half} 70 {cut.half * 0.6} 64 18 62Z",
            skin,
        )
        cloth(c, dress_outline(cut), p)
    else:
        cloth(c, outline(cut), p)
    GARMENT_FRONT[p.garment](c, p, cut)
    if c.rich:
        c.path("M-40 58Q0 92 44 58L30 50H-30Z", "#1d1030", opacity=0.28)


def front_dress(c: Canvas, p: Person, cut: Cut) -> None:
    tone, waist = COLOR[p.color], cut.half * 0.7 + 5
    c.line(f"M-{waist} 118Q0 126 {waist} 118", edge(tone), 10)
    if c.rich:
        c.line("M-20 66Q0 86 20 66", "#ffe9a8", 5)


def front_suit(c: Canvas, p: Person, cut: Cut) -> None:
    tone = COLOR[p.color]
    c.path("M-24 60L0 138L24 60Q0 70-24 60Z", "#ffffff")
    tie = "#b3202f" if p.color not in ("red", "pink") else "#27408b"
    c.path("M-10 66H10L7 82L13 112L0 132L-13 112L-7 82Z", tie)
    lapel = darker(tone, 0.35) if p.color != "dark gray" else lighter(tone, 0.3)
    for side in (-1, 1):
        c.path(f"M{side * 20} 58L{side * 46} 88L{side * 32} 97L{side * 40} 106L0 144Z", lapel)
    c.line(f"M0 140V{cut.hem}", edge(tone), EDGE)


def front_sweater(c: Canvas, p: Person, cut: Cut) -> None:
    tone = COLOR[p.color]
    band = lighter(tone, 0.5) if p.color != "white" else darker(tone, 0.22)
    inner = cut.half - 3
    c.path(f"M-{inner} 106H{inner}V120H-{inner}Z", band)
    c.shape(
        "M-33 52Q0 66 33 52L36 78Q0 92-36 78Z",
        lighter(tone, 0.22) if p.color != "white" else darker(tone, 0.08),
    )


def front_coat(c: Canvas, p: Person, cut: Cut) -> None:
    tone = COLOR[p.color]
    c.path("M-26 58L0 104L26 58Q0 72-26 58Z", "#3a2f3a")
    c.line(f"M0 104V{cut.hem}", edge(tone), EDGE)
    collar = darker(tone, 0.35) if p.color != "dark gray" else lighter(tone, 0.3)
    for side in (-1, 1):
        c.path(f"M{side * 23} 56L{side * 58} 74L{side * 46} 108L0 108Z", collar)
    for y in (126, 154):
        c.oval(0, y, 10, 10, "#ffd76a" if p.color not in ("yellow", "white") else "#8a5a2c")


def front_tshirt(c: Canvas, p: Person, cut: Cut) -> None:
    tone, skin = COLOR[p.color], SKIN[p.skin]
    c.shape("M-30 60Q0 64 30 60Q22 86 0 86Q-22 86-30 60Z", skin)
    trim = lighter(tone, 0.6) if p.color not in ("white", "yellow") else darker(tone, 0.3)
    c.line("M-32 61Q-22 90 0 90Q22 90 32 61", trim, 7.5)


GARMENT_FRONT = {
    "dress": front_dress,
    "suit": front_suit,
    "sweater": front_sweater,
    "coat": front_coat,
    "t-shirt": front_tshirt,
}


# --- whole people ------------------------------------------------------------------------------------------------


def half_length(c: Canvas, p: Person, x: float, y: float, scale: float, turn: float = 0) -> None:
    """Head, shoulders and upper arms, the face centred on (x, y)."""
    cut = bust_cut(p)
    c.begin(x, y, scale, turn=turn)
    hair_behind(c, p)
    torso(c, p, cut)
    for side in (-1, 1):
        upper_arm(c, p, side, cut)
    locks(c, p)
    head(c, p)
    c.end()


def upper_arm(c: Canvas, p: Person, side: int, cut: Cut) -> None:
    h = cut.half
    if p.garment in BARE_ARMS:
        c.shape(f"M{side * (h - 26)} 104V200H{side * (h + 6)}V104Z", SKIN[p.skin])
    if p.garment == "t-shirt":
        cloth(
            c,
            f"M{side * (h - 34)} 66C{side * h} 68 {side * (h + 8)} 84 {side * (h + 10)} 114H{side * (h - 30)}V100",
            p,
        )
    elif p.garment != "dress":
        c.line(f"M{side * (h - 24)} 112V200", edge(COLOR[p.color]), EDGE)


def hand(c: Canvas, p: Person, x: float, y: float) -> None:
    c.disc(x, y, 12, 11, SKIN[p.skin])


def figure(c: Canvas, p: Person, held: str, x: float, y: float, scale: float) -> None:
    """A whole person, standing; (x, y) is the middle of the soles."""
    cut = figure_cut(p)
    c.begin(x, y - FEET * scale, scale)
    if c.rich:
        c.oval(0, FEET, 70, 10, "#150a30", opacity=0.35)
    hair_behind(c, p)
    legs(c, p)
    if held == "nothing":
        arms_down(c, p, cut)
    torso(c, p, cut)
    if held == "nothing" and p.garment == "t-shirt":
        sleeves(c, p, cut, ((-1, 116), (1, 116)))
    locks(c, p)
    head(c, p)
    if held != "nothing":
        arms_front(c, p, cut)
        thing(c, held, 0, 116, 1.1)
        for side in (-1, 1):
            hand(c, p, side * 22, 132)
    c.end()


def legs(c: Canvas, p: Person) -> None:
    for side in (-1, 1):
        if p.garment == "dress":
            c.limb(f"M{side * 18} 160V196", SKIN[p.skin], 18)
        else:
            tone = darker(COLOR[p.color], 0.12) if p.garment == "suit" else TROUSERS
            c.shape(f"M0 128H{side * 42}L{side * 38} 198H{side * 6}L0 150Z", tone)
        c.shape(
            f"M{side * 3} {FEET}V200Q{side * 8} 190 {side * 24} 190Q{side * 42} 192 {side * 42} {FEET}Z",
            "#4a2f2a",
        )


def sleeves(c: Canvas, p: Person, cut: Cut, ends: tuple[tuple[int, float], ...]) -> None:
    for side, low in ends:
        c.limb(f"M{side * (cut.half - 6)} 84L{side * (cut.half + 7)} {low - 8}", COLOR[p.color], 28)


def arms_down(c: Canvas, p: Person, cut: Cut) -> None:
    tone = SKIN[p.skin] if p.garment in BARE_ARMS else COLOR[p.color]
    for side in (-1, 1):
        hand(c, p, side * (cut.half + 22), 144)
        c.limb(f"M{side * (cut.half - 8)} 86L{side * (cut.half + 18)} 134", tone, 24)


def arms_front(c: Canvas, p: Person, cut: Cut) -> None:
    """Both arms bent to the middle, where something is held."""
    tone = SKIN[p.skin] if p.garment in BARE_ARMS else COLOR[p.color]
    for side in (-1, 1):
        c.limb(f"M{side * (cut.half - 4)} 88Q{side * (cut.half + 18)} 126 {side * 24} 132", tone, 22)
        if p.garment == "t-shirt":
            c.limb(f"M{side * (cut.half - 4)} 86L{side * (cut.half + 4)} 102", COLOR[p.color], 27)


def thing(c: Canvas, held: str, x: float, y: float, scale: float) -> None:
    """What is held, around (x, y)."""
    c.begin(x, y, scale)
    if held.endswith("flowers"):
        c.shape("M-22-6L22-6L10 40H-10Z", "#f3e7c9" if held != "white flowers" else "#b98fd0")
        c.shape("M-34-6Q-40-32-14-36Q0-50 14-36Q40-32 34-6Q0 12-34-6Z", LEAF)
        for fx, fy in ((0, -31), (-19, -9), (19, -9)):
            flower(c, fx, fy, COLOR[held.split()[0]])
    elif held == "book":
        c.shape("M-32-24H32V24H-32Z", "#14807f")
        c.box(-30, -22, 12, 44, "#0b5556")
        c.box(-10, -11, 32, 14, "#f6e7b4", 2)
    else:
        c.line("M20-6q22-2 18 14q-4 12-20 8", edge("#f08a2c"), 10)
        c.shape("M-26-20H26L20 26Q0 33-20 26Z", "#f08a2c")
        c.oval(0, -18, 25, 9, "#6b3f22")
    c.end()


def flower(c: Canvas, x: float, y: float, tone: str) -> None:
    c.disc(x, y, 15, 15, tone)
    c.oval(x, y, 6.5, 6.5, "#fff1a8" if tone != COLOR["yellow"] else "#b8651b")
