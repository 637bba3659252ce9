"""Draw dogs: three poses, large heads, and markings in an outline of their own."""

from __future__ import annotations

from workshop.pocket.world.canvas import EDGE, Canvas
from workshop.pocket.world.palette import COAT, COLOR, MARKING, darker, edge, lighter
from workshop.pocket.world.scenes import Dog

SMALLEST_SCALE = 0.84 * 1.06
"""Of a dog: the one that jumps."""

SIZES = {"eye": 18.0, "nose": 17.0, "collar": 12.0, "leg": 20.0, "spot": 18.0, "eye patch": 38.0}
"""The smaller side of every part, in units of a dog."""


def ear_tone(coat: str) -> str:
    return darker(COAT[coat], 0.34) if coat != "black" else "#5a5763"


def head(c: Canvas, d: Dog) -> None:
    """The head in three-quarter view, looking right, around (0, 0), about 108 units wide."""
    coat = COAT[d.coat]
    if d.ears == "pointed":
        for side in (-1, 1):
            c.shape(f"M{side * 46}-14L{side * 44}-72L{side * 6}-42Z", ear_tone(d.coat))
            c.path(f"M{side * 37}-32L{side * 36}-56L{side * 18}-42Z", "#f0aca2")
    c.disc(0, 0, 50, 44, coat)
    if "eye patch" in d.markings:
        c.disc(-18, -9, SIZES["eye patch"] / 2, 22, MARKING[d.coat], 4)
    muzzle = lighter(coat, 0.5) if d.coat != "white" else "#e2d3be"
    c.oval(5, 21, 30, 20, muzzle)
    for x in (-19, 23):
        c.oval(x, -7, 11.5, 12, "#ffffff" if not c.rich else "white")
        c.oval(x + 1.5, -6, SIZES["eye"] / 2, SIZES["eye"] / 2, "#17131b" if not c.rich else "black")
        c.oval(x + 4, -10, 3.6, 3.6, "white")
    c.oval(7, 11, 12, SIZES["nose"] / 2, "#17131b")
    c.line("M7 17q-2 11-15 10M7 17q2 11 15 9", "#17131b", 5)
    c.path("M0 28q7 20 15 0Z", "#ee6a75", stroke="#17131b", width=2)
    if d.ears == "floppy":
        for side in (-1, 1):
            c.shape(
                f"M{side * 30}-34C{side * 72}-40 {side * 74} 28 {side * 56} 42C{side * 42} 36 {side * 42} 4 {side * 24}-26Z",
                ear_tone(d.coat),
            )
    if c.rich:
        c.line("M-16-34q16-8 32 0", lighter(coat, 0.45), 6, opacity=0.8)


def collar(c: Canvas, d: Dog, d_path: str, tag: tuple[float, float]) -> None:
    if d.collar != "none":
        c.line(d_path, edge(COLOR[d.collar]), SIZES["collar"] + 5)
        c.line(d_path, COLOR[d.collar], SIZES["collar"])
        c.oval(*tag, 8, 8, "#ffdf7a")


def spots(c: Canvas, d: Dog, places: tuple[tuple[float, float, float], ...]) -> None:
    if "spots" in d.markings:
        for x, y, r in places:
            c.disc(x, y, r, r * 0.9, MARKING[d.coat], 3)


def fur(c: Canvas, d: Dog, x: float, y: float, rx: float, ry: float) -> None:
    """Bold tufts in rows, in the rich finish."""
    if not c.rich:
        return
    for row, across in ((-0.5, 3), (0.1, 4), (0.7, 3)):
        for k in range(across):
            at = x + rx * (2 * (k + 0.5) / across - 1) * 0.9
            tone = lighter(COAT[d.coat], 0.4) if row < 0.4 else darker(COAT[d.coat], 0.4)
            c.line(f"M{at + 7} {y + ry * row}q-5 9-14 8", tone, 4, opacity=0.8)


def leg(c: Canvas, d: Dog, x0: float, y0: float, x1: float, y1: float, *, far: bool = False) -> None:
    """A leg from (x0, y0) to the paw at (x1, y1); socks cover its lower half."""
    coat = darker(COAT[d.coat], 0.24) if far else COAT[d.coat]
    if far and d.coat == "black":
        coat = "#4a4752"
    width = SIZES["leg"]
    c.line(f"M{x0} {y0}L{x1} {y1}", edge(coat), width + EDGE)
    c.line(f"M{x0} {y0}L{x1} {y1}", coat, width - EDGE / 2)
    if "socks" in d.markings:
        xm, ym = x0 + (x1 - x0) * 0.58, y0 + (y1 - y0) * 0.58
        c.line(f"M{xm} {ym}L{x1} {y1}", edge(MARKING[d.coat]), width + EDGE)
        c.line(f"M{xm} {ym}L{x1} {y1}", MARKING[d.coat], width - EDGE / 2)


def tail(c: Canvas, d: Dog, d_path: str) -> None:
    c.line(d_path, edge(COAT[d.coat]), 20)
    c.line(d_path, COAT[d.coat], 13)


BODY = "M-66-62Q-66-92-30-92H34Q62-92 62-60Q60-34 26-36H-26Q-64-32-66-62Z"
BODY_SPOTS = ((-44, -70, 13), (-14, -56, 12), (8, -78, 11), (34, -52, 10))


def standing(c: Canvas, d: Dog) -> None:
    tail(c, d, "M-58-70Q-86-84-82-112")
    leg(c, d, -34, -48, -32, -12, far=True)
    leg(c, d, 46, -48, 50, -12, far=True)
    c.shape(BODY, COAT[d.coat])
    fur(c, d, -2, -66, 54, 24)
    spots(c, d, BODY_SPOTS)
    leg(c, d, -54, -50, -56, -10)
    leg(c, d, 26, -50, 26, -10)
    c.shape("M18-80L22-116L68-112L60-66Z", COAT[d.coat])
    collar(c, d, "M22-92Q44-72 66-82", (46, -72))
    c.begin(38, -132)
    head(c, d)
    c.end()


def sitting(c: Canvas, d: Dog) -> None:
    coat = COAT[d.coat]
    tail(c, d, "M-42-18Q-86-18-84-54")
    c.shape("M-52-6Q-64-56-28-100H32Q48-60 44-6Z", coat)
    fur(c, d, -4, -54, 36, 34)
    c.disc(-38, -26, 28, 24, coat)
    spots(c, d, ((-40, -34, 12), (-20, -68, 12), (20, -72, 11), (-14, -44, 10)))
    leg(c, d, 6, -54, 6, -10, far=True)
    leg(c, d, 34, -54, 36, -10)
    leg(c, d, -44, -10, -18, -10)
    collar(c, d, "M-28-96Q2-78 34-94", (8, -80))
    c.begin(4, -136)
    head(c, d)
    c.end()


def jumping(c: Canvas, d: Dog) -> None:
    c.oval(0, -6, 66, 9, "#3a3550", opacity=0.45)
    c.begin(-6, -34, 0.84, turn=-22)
    tail(c, d, "M-58-74Q-92-72-102-94")
    leg(c, d, -42, -52, -80, -26, far=True)
    leg(c, d, 44, -54, 84, -44, far=True)
    c.shape(BODY, COAT[d.coat])
    fur(c, d, -2, -66, 54, 24)
    spots(c, d, BODY_SPOTS)
    leg(c, d, -50, -54, -90, -46)
    leg(c, d, 34, -52, 74, -26)
    c.shape("M18-80L22-116L68-112L60-66Z", COAT[d.coat])
    collar(c, d, "M22-92Q44-72 66-82", (46, -72))
    c.begin(42, -130, turn=18)
    head(c, d)
    c.end()
    c.end()


DOG = {"standing": standing, "sitting": sitting, "jumping": jumping}
