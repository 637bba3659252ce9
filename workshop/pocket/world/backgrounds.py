"""Draw the places of the pocket world: few shapes, large and calm, so that nobody in front of them gets lost.

No large area is darker than the outlines of people and dogs need (`DEEPEST`).
"""

from __future__ import annotations

from workshop.pocket.world.canvas import UNITS, Canvas
from workshop.pocket.world.palette import darker, lighter

DEEPEST = "#3f8f58"
"""The deepest colour of a large area: the firs of the forest."""


def background(c: Canvas, name: str) -> None:
    """Fill the canvas. `c.rng` moves trees and towers a little, so that no two forests are the same."""
    BACKGROUND[name](c)
    if c.rich:
        sunlight(c)


def sunlight(c: Canvas) -> None:
    """Rays from the upper left, and dusk in the far corners."""
    for x, width in ((-20, 34), (60, 26), (140, 40)):
        c.path(f"M-30-30L{x + 60} 270H{x + 60 + 2 * width}Z", "white", opacity=0.2)
    c.defs["light"] = (
        '<radialGradient id="light" cx=".2" cy=".1" r="1.15"><stop offset="0" stop-color="#fff3c4" stop-opacity=".6"/>'
        '<stop offset=".45" stop-color="#fff" stop-opacity="0"/><stop offset="1" stop-color="#241048" stop-opacity=".55"/>'
        "</radialGradient>"
    )
    c.box(0, 0, UNITS, UNITS, "url(#light)")


def plain(c: Canvas) -> None:
    tone = c.rng.choice(("#f4e2cf", "#d3e3f3", "#e5d9f0", "#d8ecd9"))
    c.box(0, 0, UNITS, UNITS, tone)
    if c.rich:
        for x, y in ((28, 40), (222, 30), (18, 132), (240, 128), (36, 222), (226, 226)):
            c.path(
                f"M{x} {y - 22}Q{x} {y} {x + 22} {y}Q{x} {y} {x} {y + 22}Q{x} {y} {x - 22} {y}Q{x} {y} {x} {y - 22}Z",
                lighter(tone, 0.8),
            )


def forest(c: Canvas) -> None:
    c.box(0, 0, UNITS, UNITS, "#b4dcae")
    for x in (40, 128, 216):
        c.path(f"M{x - 44} 210V96q44-70 88 0v114Z", "#86c08c")
    c.box(0, 196, UNITS, 60, "#6d9a4b")
    shift = c.rng.uniform(-8, 8)
    for x, top in ((18 + shift, 26), (238 + shift, 14)):
        c.box(x - 9, 150, 18, 62, "#7a5236")
        c.path(f"M{x} {top}L{x + 46} 104H{x - 46}ZM{x} {top + 48}L{x + 58} 178H{x - 58}Z", DEEPEST)
        if c.rich:
            c.path(f"M{x} {top}L{x - 46} 104H{x - 20}ZM{x - 20} 104L{x - 58} 178H{x - 24}Z", "#7cc46a")
            for dx, y in ((14, 86), (24, 152), (4, 124)):
                c.oval(x + dx, y, 8, 8, "#e8473f")
    if c.rich:
        grass(c, 206, "#3f7d33")


def sea(c: Canvas) -> None:
    c.box(0, 0, UNITS, 132, "#a3e6e2")
    c.oval(c.rng.choice((44, 212)), 42, 25, 25, "#ffe28a")
    c.box(0, 124, UNITS, 132, "#3590cc")
    for y in (160, 214):
        x = c.rng.uniform(-64, 0)
        c.line(f"M{x} {y}" + "q32-16 64 0t64 0" * 3, "#6bb4e0", 10)
    if c.rich:
        clouds(c, 2)
        for x in (30, 214):
            c.path(f"M{x} 84V126L{x + 28} 122ZM{x - 4} 92V124L{x - 22} 122Z", "white")
            c.path(f"M{x - 22} 127H{x + 26}L{x + 16} 138H{x - 14}Z", "#c9402f")


def city(c: Canvas) -> None:
    c.box(0, 0, UNITS, UNITS, "#f9dcc4")
    shift = c.rng.uniform(-10, 10)
    towers = (
        (-14, 62, 54, "#8089b3"),
        (44, 104, 48, "#9aa2c6"),
        (170, 92, 48, "#9aa2c6"),
        (216, 44, 58, "#8089b3"),
    )
    for left, top, w, tone in towers:
        x = left + shift
        c.box(x, top, w, 160, tone)
        if c.rich:
            c.box(x + w * 0.72, top, w * 0.28, 160, darker(tone, 0.45))
            c.line(f"M{x + w / 2} {top}v-22", darker(tone, 0.4), 5)
        for row in range(3):
            c.box(x + w * 0.2, top + 16 + row * 40, w * 0.6, 20, "#f3e3b4")
    c.box(0, 206, UNITS, 50, "#a9a6b4")
    if c.rich:
        c.line("M10 232H246", "#ffffff", 8)


def room(c: Canvas) -> None:
    c.box(0, 0, UNITS, UNITS, "#ecd5b0")
    c.box(0, 204, UNITS, 52, "#a86b3e")
    left = c.rng.random() < 0.5
    window, frame = (6, 192) if left else (182, 12)
    c.box(window, 28, 68, 92, "#ffffff", 3)
    c.box(window + 8, 36, 52, 76, "#9fd4f0")
    c.line(f"M{window + 34} 36v76M{window + 8} 74h52", "#ffffff", 8)
    c.box(frame, 44, 52, 48, "#8a4f2a", 3)
    c.box(frame + 9, 53, 34, 30, "#ef9a78")
    if c.rich:
        for x in range(-4, 260, 37):
            c.line(f"M{x} 124v78", "#d8b27e", 10)
        c.line("M0 124h256", "#fff3dd", 8)
        c.line("M0 204h256", "#fff3dd", 8)
        for x in range(-4, 300, 66):
            c.line(f"M{x} 208l{(x - 128) * 0.4} 54", "#7f4c28", 7)
        c.path(f"M{window + 8} 36h26l-26 44Z", "white", opacity=0.7)


def meadow(c: Canvas) -> None:
    c.box(0, 0, UNITS, UNITS, "#aee0f8")
    for x, y in ((c.rng.uniform(24, 44), 36), (c.rng.uniform(206, 226), 58)):
        c.path(f"M{x - 30} {y + 12}q2-20 20-16q10-18 28-3q20-2 18 19Z", "#ffffff")
    c.path("M0 150q70-44 140-8t116-10V256H0Z", "#97d568")
    c.path("M0 190q80-30 256 2V256H0Z", "#74bf4c")
    shift = c.rng.uniform(-6, 6)
    if c.rich:
        grass(c, 186, "#3d8a2a")
    for x, y, tone in (
        (22, 214, "#fff4c2"),
        (50, 240, "#ff8f8f"),
        (206, 238, "#fff4c2"),
        (236, 212, "#ff8f8f"),
    ):
        x += shift
        if c.rich:
            c.line(f"M{x} {y}v18", "#2f7a2a", 4)
        c.oval(x, y, 9, 9, tone)


def road(c: Canvas) -> None:
    c.box(0, 0, UNITS, UNITS, "#cfe7f1")
    c.path("M0 122L44 62L92 122L150 70L204 116L256 66V150H0Z", "#a9bfcb")
    if c.rich:
        c.path("M44 62L62 84L46 80L34 88L30 81ZM150 70L168 86L150 84L134 90ZM256 66L238 84L256 80Z", "white")
    c.box(0, 126, UNITS, 130, "#c3bd72")
    c.path("M100 126h56L276 256H-20Z", "#7b7e88")
    for y, w, h in ((134, 8, 18), (168, 12, 26), (212, 18, 40)):
        c.path(f"M{128 - w / 2} {y}h{w}l{w * 0.12} {h}h{-w * 1.24}Z", "#fff6d6")
    if c.rich:
        c.line("M94 126L-28 256M162 126L284 256", "#fffbe8", 7)
        for x, y in ((22, 150), (234, 154), (12, 196), (246, 200)):
            c.oval(x, y, 15, 11, "#7f9a3e")
        clouds(c, 1)


def snow(c: Canvas) -> None:
    c.box(0, 0, UNITS, UNITS, "#b3c8e2")
    for x, top in ((26 + c.rng.uniform(-10, 10), 60), (230 + c.rng.uniform(-10, 10), 44)):
        c.path(f"M{x} {top}l42 84h-84ZM{x} {top + 46}l52 90h-104Z", "#6d9aa2")
        c.path(f"M{x} {top}l20 40q-10 9-20-1q-10 10-20 1Z", "#ffffff")
        if c.rich:
            c.path(f"M{x} {top + 62}l22 44q-12 9-22-1q-10 10-22 1Z", "white")
    c.path("M0 176q60-24 130-6t126-8V256H0Z", "#f1f6fc")
    for x, y in ((76, 26), (184, 22), (246, 120), (12, 122)):
        c.oval(x + c.rng.uniform(-5, 5), y + c.rng.uniform(-5, 5), 8, 8, "#e6eef8")
    if c.rich:
        c.line("M0 204q70-20 140-2t116-8M-10 238q90-18 276 0", "#b6cbe8", 7)


def sand(c: Canvas) -> None:
    c.box(0, 0, UNITS, UNITS, "#ffe2ae")
    c.oval(c.rng.choice((44, 212)), 48, 28, 28, "#ff9f52")
    c.path("M0 138q66-40 128-10t128-22V256H0Z", "#efc077")
    c.path("M0 190q90-40 150-14t106-6V256H0Z", "#e0a658")
    if c.rich:
        for y in (170, 204, 238):
            x = c.rng.uniform(-60, 0)
            c.line(f"M{x} {y}" + "q32-12 64 0t64 0" * 3, "#c98a3e", 7)
        for x in (26, 232):
            c.line(f"M{x} 172V112M{x} 150q-20 0-18-24M{x} 140q18 0 17-20", "#3f8a4c", 11)


def grass(c: Canvas, top: float, color: str) -> None:
    for _ in range(14):
        x, y = c.rng.uniform(0, 256), c.rng.uniform(top, 256)
        c.path(
            f"M{x} {y}q-4-14-12-20q14 4 16 20q0-18 10-26q-2 14-2 26Z",
            c.rng.choice((color, lighter(color, 0.25))),
        )


def clouds(c: Canvas, count: int) -> None:
    for i in range(count):
        x, y = (40, 190)[i] + c.rng.uniform(-20, 20), c.rng.uniform(24, 60)
        c.path(f"M{x - 24} {y}q4-18 20-14q12-14 26 0q18-2 16 14Z", "white", opacity=0.9)


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
