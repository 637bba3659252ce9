"""Rendered scenes on disk: made once with every core, then read as a memory map."""

from __future__ import annotations

import multiprocessing
from itertools import islice
from pathlib import Path

import numpy as np

from workshop import files
from workshop.pocket.world import draw, scenes

SIZE = 128
"""Side of every picture of the pocket world, in pixels."""

PLAIN, RICH = (60_000, 1), (12_000, 2)
"""Count and seed of the renders that training sees."""


def _pixels(job: tuple[scenes.Scene, bool]) -> np.ndarray:
    scene, rich = job
    return np.asarray(draw.to_image(scene, SIZE, rich=rich))


def load_training(folder: Path, *, rich: bool = False) -> tuple[list[scenes.Scene], np.ndarray]:
    """Return all N scenes of one finish that training sees, and their pictures, uint8 (N, 128, 128, 3)."""
    count, seed = RICH if rich else PLAIN
    return rendered(folder, count, seed=seed, rich=rich)


def load_held_out(folder: Path) -> tuple[list[scenes.Scene], np.ndarray]:
    """Return the 200 held-out scenes that the stages report on, and their plain pictures.

    returns: the scenes, and uint8 (200, 128, 128, 3), a read-only memory map
    """
    return rendered(folder, 200, seed=3, test=True)


def rendered(
    folder: Path, count: int, *, seed: int, test: bool = False, rich: bool = False
) -> tuple[list[scenes.Scene], np.ndarray]:
    """Return the first `count` scenes of `scenes.stream(seed, test=test)` and their pictures.

    returns: the scenes, and a read-only memory map of uint8 pictures, (count, 128, 128, 3)

    Pictures are drawn on the first call and kept in `folder`; later calls only read them.
    """
    chosen = list(islice(scenes.stream(seed, test=test), count))
    finish = "rich" if rich else "plain"
    path = Path(folder) / f"renders-{finish}-{'test' if test else 'train'}-{seed}-{count}.npy"
    return chosen, drawn(path, chosen, rich=rich)


def drawn(path: Path, chosen: list[scenes.Scene], *, rich: bool = False) -> np.ndarray:
    """Return pictures of these scenes; they are drawn on the first call and kept in the file at `path`.

    returns: uint8 (N, 128, 128, 3), a read-only memory map
    """
    from tqdm.auto import tqdm

    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing_path(path) as part, multiprocessing.Pool() as pool:
            pictures = np.lib.format.open_memmap(part, "w+", np.uint8, (len(chosen), SIZE, SIZE, 3))
            made = pool.imap(_pixels, ((scene, rich) for scene in chosen), chunksize=64)
            for i, picture in enumerate(tqdm(made, total=len(chosen), desc=path.stem, unit="picture")):
                pictures[i] = picture
            pictures.flush()
    return np.load(path, mmap_mode="r")
