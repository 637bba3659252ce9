"""The attribute reader: a small convolutional network that names what a picture of the pocket world shows.

It makes "did the picture follow the prompt?" a number. It knows the pocket world alone. How well it reads
held-out renders that went through the VAE is measured by `python -m workshop.pocket.measure` and printed
with every result.

Axes: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from workshop.files import POCKET
from workshop.pocket.world import scenes

if TYPE_CHECKING:
    from PIL import Image

CLASSES = {name: ("absent", *values) for name, values in scenes.ATTRIBUTES.items()}
"""The classes of every attribute: its values, and "absent" for kinds of picture that do not have it."""

WEIGHTS = POCKET / "reader.safetensors"


class Residual(torch.nn.Module):
    """x + conv(silu(conv(silu(norm(x))))), (B, width, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = torch.nn.GroupNorm(8, width)
        self.first = torch.nn.Conv2d(width, width, 3, padding=1)
        self.second = torch.nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the two convolutions' result: (B, width, H, W) → (B, width, H, W)."""
        return x + self.second(F.silu(self.first(F.silu(self.norm(x)))))


class Reader(torch.nn.Module):
    """(B, 3, 128, 128) in [-1, 1] → logits of every class of every attribute, (B, classes)."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 64, 96, 128)
        self.stages = torch.nn.Sequential(
            *(
                torch.nn.Sequential(torch.nn.Conv2d(a, b, 3, stride=2, padding=1), Residual(b))
                for a, b in pairwise(widths)
            )
        )
        self.squeeze = torch.nn.Conv2d(128, 32, 1)
        self.hidden = torch.nn.Linear(32 * 8 * 8, 320)
        self.heads = torch.nn.Linear(320, sum(len(values) for values in CLASSES.values()))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return logits of every class: (B, 3, 128, 128) in [-1, 1] → (B, classes)."""
        x = F.silu(self.squeeze(self.stages(pictures)))
        return self.heads(F.silu(self.hidden(x.flatten(1))))


def label_scene(scene: scenes.Scene) -> list[int]:
    """Return the class of every attribute of a scene, in the order of CLASSES."""
    shown = scenes.attributes(scene)
    return [classes.index(shown.get(name, "absent")) for name, classes in CLASSES.items()]


def split_by_attribute(logits: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Split logits (B, classes) into one part per attribute, (B, classes of the attribute)."""
    return logits.split([len(values) for values in CLASSES.values()], dim=1)


@cache
def load(path: Path = WEIGHTS) -> Reader:
    """Return the trained reader in float32. Raises FileNotFoundError if its weights are not there."""
    from safetensors.torch import load_file

    if not path.exists():
        raise FileNotFoundError(
            f"no reader weights at {path}. Restore data/pocket from git, or train: see data/pocket/README.md."
        )
    reader = Reader()
    reader.load_state_dict({k: v.float() for k, v in load_file(path).items()})
    return reader.eval().requires_grad_(False)


def read(image: Image.Image) -> dict[str, str]:
    """Return what a picture shows: attribute to value, without attributes that its kind does not have."""
    return read_all([image])[0]


def read_all(images: list[Image.Image]) -> list[dict[str, str]]:
    """Do `read` for several pictures at once. Pictures of another size are resized to 128×128 px."""
    pixels = np.stack([np.asarray(image.convert("RGB").resize((128, 128))) for image in images])
    pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    best = torch.stack([part.argmax(1) for part in split_by_attribute(load()(pictures))], dim=1)
    found = [
        {name: values[i] for (name, values), i in zip(CLASSES.items(), row, strict=True)}
        for row in best.tolist()
    ]
    return [{name: value for name, value in row.items() if value != "absent"} for row in found]


def compare(named: Mapping[str, str], found: Mapping[str, str], *, placed: bool = True) -> dict[str, bool]:
    """Return for each attribute that a prompt names whether the picture shows it.

    named: what the caption states, attribute to value; found: what `read` returned
    placed: whether the caption says who is left; if not, the people may stand either way round, and the
    better way counts

    >>> compare({"kind": "dog", "coat": "black"}, {"kind": "dog", "coat": "brown"})
    {'kind': True, 'coat': False}
    """
    as_named = {name: found.get(name) == value for name, value in named.items()}
    if placed:
        return as_named
    mirrored = {name: found.get(mirror(name)) == value for name, value in named.items()}
    return max(as_named, mirrored, key=lambda hits: sum(hits.values()))


def mirror(name: str) -> str:
    """Return the same attribute of the other person; attributes of the whole picture stay as they are.

    >>> mirror("left hair"), mirror("background")
    ('right hair', 'background')
    """
    side, _, rest = name.partition(" ")
    return {"left": f"right {rest}", "right": f"left {rest}"}.get(side, name)
