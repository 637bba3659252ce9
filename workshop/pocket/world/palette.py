"""The colours of the pocket world, and how far apart they are.

A picture's smallest part that matters is three pixels wide, and the VAE sees it through an 8×8 block. So what
must be seen is told from its neighbour by lightness, and `contrast` says by how much: the ratio of WCAG 2.2,
https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio, from 1 (alike) to 21 (black on white).
"""

from __future__ import annotations

from functools import cache

LEAST_CONTRAST = 3.0
"""Of every feature of a face to the skin that it is drawn on."""

EDGE_CONTRAST = 2.0
"""Of an outline to one of its two sides, where these are of like colour. A stronger one costs the VAE more
than it shows: the error of a line goes with the square of its contrast."""

SKIN = {"light": "#f8d5bb", "tan": "#dba273", "dark": "#925f3f"}
HAIR = {"black": "#25222c", "brown": "#734625", "blond": "#edc655", "red": "#cc4f1c", "gray": "#b9bcc6"}
COLOR = {
    "red": "#d93038",
    "yellow": "#f6c52c",
    "green": "#3a9c52",
    "blue": "#2c6cd6",
    "purple": "#7f46b8",
    "pink": "#f58fb8",
    "white": "#f8f6f0",
    "dark gray": "#4b4e57",
}
COAT = {"black": "#2e2c33", "brown": "#7d4a29", "golden": "#e3a646", "white": "#f5f1e8", "gray": "#9b9fa9"}
MARKING = {"black": "#f5f1e8", "brown": "#f5f1e8", "golden": "#fffaf0", "white": "#7d4a29", "gray": "#36373f"}
INK = "#1c121c"
EYE_WHITE = TEETH = "#ffffff"
TROUSERS = "#38456b"
WOOD = "#a86f3f"
LEAF = "#3f8f4f"


def luminance(color: str) -> float:
    """Return the relative luminance of #rrggbb, 0 to 1 (WCAG 2.2)."""
    channels = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return (lighter + 0.05) / (darker + 0.05) of two luminances.

    >>> contrast("#000000", "#ffffff")
    21.0
    """
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def mix(color: str, other: str, share: float) -> str:
    """Return the colour `share` of the way from one #rrggbb to the other."""
    pairs = [(int(color[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def lighter(color: str, share: float = 0.3) -> str:
    """Return the colour `share` of the way to white."""
    return mix(color, "#ffffff", share)


def darker(color: str, share: float = 0.3) -> str:
    """Go towards a deep violet rather than black: shadows in an illustration have a colour."""
    return mix(color, "#1d1030", share)


@cache
def legible(color: str, skin: str) -> str:
    """Return the nearest mixture of this colour whose contrast to the skin is LEAST_CONTRAST.

    White is mixed in if the colour is much lighter than the skin, else ink.

    >>> legible("#ffffff", SKIN["dark"])
    '#ffffff'
    """
    toward = "#ffffff" if luminance(color) > 2 * luminance(skin) else INK
    mixtures = (mix(color, toward, share / 50) for share in range(51))
    return next(mixed for mixed in mixtures if contrast(mixed, skin) >= LEAST_CONTRAST)


@cache
def edge(color: str) -> str:
    """Return the outline of a shape of this colour: 35 to 50 % darker, as much as EDGE_CONTRAST takes.

    >>> edge("#ffffff")
    '#a6a6a6'
    """
    shades = (mix(color, "#000000", share / 100) for share in range(35, 51))
    return next(
        (tone for tone in shades if contrast(tone, color) >= EDGE_CONTRAST), mix(color, "#000000", 0.5)
    )


FEATURES = {
    "light": {"nose": "#b0573a", "mouth": "#8e1f33", "lips": "#c2263f", "rims": "#3b2622", "lid": "#3b2622"},
    "tan": {"nose": "#7a3a1c", "mouth": "#5e1422", "lips": "#8c1230", "rims": INK, "lid": INK},
    "dark": {"nose": "#f6c39a", "mouth": "#22070e", "lips": "#ffb3b7", "rims": "#ffd166", "lid": INK},
}
"""By skin: the parts of a face, each told from that skin by lightness. Light lines do on dark skin what dark
lines do on light skin."""

BROW = {skin: {hair: legible(tone, SKIN[skin]) for hair, tone in HAIR.items()} for skin in SKIN}
"""By skin and hair: the hair's own colour, deepened until the skin sets it off."""
