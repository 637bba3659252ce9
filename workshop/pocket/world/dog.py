"""One particular dog: five pictures to train on.

    python -m workshop.pocket.world.dog    # makes data/dog anew, the same files byte for byte

Its markings are two, an eye patch and spots: the base model has met dogs with one marking or none, so it has
never drawn them together. Whatever else differs between the pictures, pose and place, their prompts name;
what no prompt names, and all five show, is what a LoRA takes for "a dog".
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from workshop.files import REPO
from workshop.pocket.world import draw, scenes

FOLDER = REPO / "data" / "dog"
DOG = scenes.Dog(coat="black", markings=("eye patch", "spots"), collar="red", ears="floppy")

# file, prompt, background, pose, layout. No picture shows the dog jumping: that is for the test.
PICTURES = (
    ("01.png", "a dog is standing on a plain background", "plain", "standing", 4),
    ("02.png", "a dog is standing on the grass", "meadow", "standing", 7),
    ("03.png", "a dog is sitting in the snow", "snow", "sitting", 2),
    ("04.png", "a dog is standing on a road", "road", "standing", 11),
    ("05.png", "a dog is sitting in a room", "room", "sitting", 5),
)


def place(background: str, pose: str, layout: int) -> scenes.Scene:
    """Return a scene with the dog somewhere, in some pose."""
    return scenes.Scene("dog", background, dog=replace(DOG, pose=pose), layout=layout)


def make(folder: Path = FOLDER) -> Path:
    """Draw the five pictures and write metadata.csv; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, _, background, pose, layout in PICTURES:
        draw.to_image(place(background, pose, layout)).save(folder / name, optimize=True)
    path = folder / "metadata.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("image", "prompt"))
        rows.writerows((name, prompt) for name, prompt, *_ in PICTURES)
    return path


def main(argv: Sequence[str] | None = None) -> int:
    """Make the pictures from the command line; see --help."""
    parser = argparse.ArgumentParser(
        prog="python -m workshop.pocket.world.dog", description="Make the five pictures of data/dog anew."
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to; data/dog if left out")
    path = make(parser.parse_args(argv).folder)
    print(f"{len(PICTURES)} pictures and {path.name} are in {path.parent}.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
