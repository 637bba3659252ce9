"""A growing SVG of 256×256 units, at one of two finishes: `plain`, flat colour in an outline, and `rich`, the
same shapes in light and shadow."""

from __future__ import annotations

import random

from workshop.pocket.world.palette import darker, edge, lighter

UNITS = 256
EDGE = 5
"""Width of an outline, in the units of the group that it is drawn in."""


class Canvas:
    """`fill` is where the two finishes part: a flat colour, or a gradient of it."""

    def __init__(self, *, rich: bool, rng: random.Random) -> None:
        self.rich, self.rng = rich, rng
        self.parts: list[str] = []
        self.defs: dict[str, str] = {}

    def fill(self, color: str) -> str:
        if not self.rich or not color.startswith("#"):
            return color
        name = "g" + color[1:]
        stops = ((0, lighter(color, 0.3)), (0.45, color), (1, darker(color, 0.34)))
        self.defs[name] = (
            f'<linearGradient id="{name}" x1=".1" y1="0" x2=".8" y2="1">'
            + "".join(f'<stop offset="{at}" stop-color="{tone}"/>' for at, tone in stops)
            + "</linearGradient>"
        )
        return f"url(#{name})"

    def path(self, d: str, color: str, *, stroke: str = "none", width: float = 0, opacity: float = 1) -> None:
        line = f' stroke="{stroke}" stroke-width="{width}" stroke-linecap="round" stroke-linejoin="round"'
        veil = f' opacity="{opacity}"' if opacity < 1 else ""
        self.parts.append(f'<path d="{d}" fill="{self.fill(color)}"{line if width else ""}{veil}/>')

    def shape(self, d: str, color: str, width: float = EDGE) -> None:
        """A filled path in an outline of its own colour, deepened."""
        self.path(d, color, stroke=edge(color), width=width)

    def line(self, d: str, color: str, width: float, *, opacity: float = 1) -> None:
        self.path(d, "none", stroke=color, width=width, opacity=opacity)

    def limb(self, d: str, color: str, width: float) -> None:
        """A thick line in an outline; in the rich finish with a streak of light."""
        self.line(d, edge(color), width + EDGE)
        self.line(d, color, width - EDGE / 2)
        if self.rich:
            self.line(d, lighter(color, 0.4), width * 0.3, opacity=0.7)

    def oval(self, x: float, y: float, rx: float, ry: float, color: str, *, opacity: float = 1) -> None:
        veil = f' opacity="{opacity}"' if opacity < 1 else ""
        self.parts.append(f'<ellipse cx="{x}" cy="{y}" rx="{rx}" ry="{ry}" fill="{self.fill(color)}"{veil}/>')

    def disc(self, x: float, y: float, rx: float, ry: float, color: str, width: float = EDGE) -> None:
        """An ellipse in an outline."""
        self.shape(f"M{x - rx} {y}a{rx} {ry} 0 1 0 {2 * rx} 0a{rx} {ry} 0 1 0 {-2 * rx} 0Z", color, width)

    def box(self, x: float, y: float, w: float, h: float, color: str, radius: float = 0) -> None:
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="{radius}" fill="{self.fill(color)}"/>'
        )

    def pattern(self, name: str, side: float, tile: str) -> str:
        """Register a square tile of SVG, `side` units wide; returns the fill that repeats it."""
        self.defs[name] = (
            f'<pattern id="{name}" width="{side}" height="{side}" patternUnits="userSpaceOnUse">{tile}</pattern>'
        )
        return f"url(#{name})"

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
