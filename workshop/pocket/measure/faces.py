"""How much of a face survives, by skin tone: contrast kept and variation unexplained, inside skin.

A mean error over whole pictures hides what happens to a dark face: it covers a tenth of the picture, and its
contrasts are small numbers. So these figures are taken inside faces alone, and each tone against itself.

Axes: N pictures, T skin tones (3, in the order of `scenes.SKINS`), H height, W width, C the three colours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F

from workshop.pocket.world import draw, scenes

SIZE = 128  # image px
CHANGED = 12
"""Of 255: a pixel that differs by more between two skin tones is decided by the skin."""

CLOSING = 4
"""px. Outlines and glasses do not change with the skin; a closing by this radius takes them in."""

KINDS = tuple(kind for kind in scenes.KINDS if kind != "dog")
"""The kinds of picture that show faces."""

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in the luminance of a pixel."""


@dataclass(frozen=True)
class Fidelity:
    """How much of a face's luminance a copy keeps.

    kept: slope of the regression of the copy on the original, 1 if every contrast is as strong as it was
    unexplained: 1 − r², the share of the variation that no straight line through the original gives
    """

    kept: float
    unexplained: float


@dataclass(frozen=True)
class Faces:
    """Held-out scenes of one kind in every skin tone, and where their faces are.

    pictures: uint8 (N, T, H, W, C); masks: bool (N, H, W)
    """

    kind: str
    pictures: np.ndarray
    masks: np.ndarray

    def compare(self, copies: np.ndarray) -> dict[str, Fidelity]:
        """Return the mean fidelity of each skin tone. copies: uint8 (N, T, H, W, C)"""
        return {skin: self._compare_tone(copies, tone) for tone, skin in enumerate(scenes.SKINS)}

    def copy(self, through: Callable[[np.ndarray], np.ndarray]) -> dict[str, Fidelity]:
        """Return the same of what a function makes of the pictures.

        through: uint8 (B, H, W, C) → uint8 (B, H, W, C)
        """
        flat = self.pictures.reshape(-1, *self.pictures.shape[2:])
        return self.compare(through(flat).reshape(self.pictures.shape))

    def _compare_tone(self, copies: np.ndarray, tone: int) -> Fidelity:
        """Return the mean fidelity of one tone, by its number. copies: uint8 (N, T, H, W, C)"""
        each = [
            compute_fidelity(original[tone], copy[tone], mask)
            for original, copy, mask in zip(self.pictures, copies, self.masks, strict=True)
        ]
        kept, unexplained = ([f.kept for f in each], [f.unexplained for f in each])
        return Fidelity(float(np.mean(kept)), float(np.mean(unexplained)))


def compute_fidelity(original: np.ndarray, copy: np.ndarray, mask: np.ndarray) -> Fidelity:
    """Compare the luminance of two pictures inside a mask.

    original, copy: (H, W, C), any numeric type, the same range; mask: bool (H, W)

    With x the original, y the copy and c = cov(x, y): kept = c / var(x) and
    unexplained = 1 − c² / (var(x)·var(y)).
    """
    x, y = (picture[mask].astype(np.float64) @ LUMA for picture in (original, copy))
    covariance, floor = np.mean((x - x.mean()) * (y - y.mean())), 1e-12
    unexplained = 1 - covariance**2 / max(x.var() * y.var(), floor)
    return Fidelity(float(covariance / max(x.var(), floor)), float(unexplained))


def render_faces(kind: str, count: int, *, seed: int, rich: bool = False) -> Faces:
    """Draw the first `count` held-out scenes of this kind in every skin tone, and find their faces."""
    chosen = islice(scenes.stream(seed, test=True, kind=kind), count)
    pictures = np.stack([draw_in_every_skin(scene, rich=rich) for scene in chosen])
    return Faces(kind, pictures, np.stack([find_faces(toned) for toned in pictures]))


def draw_in_every_skin(scene: scenes.Scene, *, rich: bool = False) -> np.ndarray:
    """Draw the scene in every tone of `scenes.SKINS`: uint8 (T, H, W, C)."""
    toned = [draw.to_image(change_skin(scene, skin), SIZE, rich=rich) for skin in scenes.SKINS]
    return np.stack([np.asarray(picture) for picture in toned])


def change_skin(scene: scenes.Scene, skin: str) -> scenes.Scene:
    """Return the same scene, everyone in it with this skin."""
    return replace(scene, people=tuple(replace(person, skin=skin) for person in scene.people))


def find_faces(toned: np.ndarray) -> np.ndarray:
    """Find where the skin tone decides, eyes and mouth included.

    toned: uint8 (T, H, W, C), one scene in every skin tone
    returns: bool (H, W)
    """
    spread = toned.max(axis=0).astype(int) - toned.min(axis=0)
    decided = torch.from_numpy((spread.max(axis=2) > CHANGED).astype(np.float32))[None, None]
    window = 2 * CLOSING + 1
    grown = F.max_pool2d(decided, window, 1, CLOSING)
    shrunk = -F.max_pool2d(-F.pad(grown, (CLOSING,) * 4, value=1.0), window, 1)
    return ~_reach_from_border(shrunk[0, 0] > 0.5).numpy()


def _reach_from_border(mask: torch.Tensor) -> torch.Tensor:
    """Find all that can be reached from the picture's border without crossing the mask.

    mask: bool (H, W); returns: bool (H, W)

    So an eye, which is wider than the closing, counts as part of the face around it.
    """
    free = F.pad(~mask, (1, 1, 1, 1), value=True)[None, None].float()
    reached = torch.zeros_like(free)
    reached[..., 0, 0] = 1
    while True:
        wider = F.max_pool2d(reached, 3, 1, 1) * free
        if torch.equal(wider, reached):
            return reached[0, 0, 1:-1, 1:-1] > 0.5
        reached = wider
