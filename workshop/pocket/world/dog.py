"""One particular dog: five pictures to train on, and how much of it a model draws.

    python -m workshop.pocket.world.dog    # makes data/dog anew, the same files byte for byte

Its markings are two, an eye patch and spots: the base model has met dogs with one marking or none, so it has
never drawn them together. Whatever else differs between the pictures, pose and place, their prompts name;
what no prompt names, and all five show, is what a LoRA takes for "a dog".
"""

from __future__ import annotations

import argparse
import csv
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from workshop.files import REPO
from workshop.pocket.world import captions, draw, scenes
from workshop.prompts import Caption

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline
    from PIL import Image

    from workshop.profiles import Profile

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
PROMPT, JUMPING = "a dog", "a dog is jumping"
MARKINGS = "a dog: all its markings"
JUMPING_MARKINGS, JUMPING_POSE = "a dog is jumping: all its markings", "a dog is jumping: it jumps"
PORTRAITS = "portraits: what was asked for"
PORTRAIT_SEED = 707
"""The portraits that show what was forgotten start here; no training stage uses this seed."""


def scene(background: str, pose: str, layout: int) -> scenes.Scene:
    """The dog somewhere, in some pose."""
    return scenes.Scene("dog", background, dog=replace(DOG, pose=pose), layout=layout)


def make(folder: Path = FOLDER) -> Path:
    """Draw the five pictures and write metadata.csv; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, _, *where in PICTURES:
        draw.to_image(scene(*where)).save(folder / name, optimize=True)
    path = folder / "metadata.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("image", "prompt"))
        rows.writerows((name, prompt) for name, prompt, *_ in PICTURES)
    return path


@dataclass(frozen=True)
class Drawn:
    """What a model draws of the dog, and of portraits, which have nothing to do with it; seeds from 0."""

    dogs: list[Image.Image]
    jumping: list[Image.Image]
    portraits: list[Image.Image]


def portraits(count: int) -> list[Caption]:
    """Prompts of held-out portraits."""
    rng = random.Random(PORTRAIT_SEED)
    stream = scenes.stream(PORTRAIT_SEED, test=True, kind="portrait")
    said = (captions.caption(scene, "en", rng) for scene in stream)
    return list(islice((caption for caption in said if caption.named), count))


def draw_all(pipe: QwenImagePipeline, *, size: int, count: int, others: int) -> Drawn:
    """Draw with the pipeline as it is, with or without a LoRA.

    size: image px; count: pictures of each of the two prompts; others: portraits
    """
    from tqdm import tqdm

    from workshop import lessons

    texts = [caption.text for caption in portraits(others)]
    jobs = [
        (text, seed)
        for said in ([PROMPT] * count, [JUMPING] * count, texts)
        for seed, text in enumerate(said)
    ]
    drawn = [
        lessons.draw(pipe, text, size=size, seed=seed)
        for text, seed in tqdm(jobs, unit="picture", desc="draw")
    ]
    return Drawn(drawn[:count], drawn[count : 2 * count], drawn[2 * count :])


def shares(drawn: Drawn) -> dict[str, float]:
    """Read pictures of the pocket model: shares in [0, 1]."""
    from workshop.pocket.model import reader

    dogs, jumping, others = map(reader.read_all, (drawn.dogs, drawn.jumping, drawn.portraits))
    asked = zip(portraits(len(others)), others, strict=True)
    followed = [hit for said, shown in asked for hit in reader.followed(said.named, shown).values()]
    return {
        MARKINGS: _share([has_markings(shown) for shown in dogs]),
        JUMPING_MARKINGS: _share([has_markings(shown) for shown in jumping]),
        JUMPING_POSE: _share([shown.get("dog pose") == "jumping" for shown in jumping]),
        PORTRAITS: _share(followed),
    }


def seen(pictures: Sequence[Image.Image], profile: Profile) -> str:
    """Say how many pictures show all markings: read in the pocket world, an empty box elsewhere."""
    if profile.name != "pocket":
        return f"☐ of {len(pictures)}"
    from workshop.pocket.model import reader

    return f"{sum(map(has_markings, reader.read_all(list(pictures))))} of {len(pictures)}"


def told(drawn: Drawn, profile: Profile) -> dict[str, str]:
    """Write the shares for a table; on the real model they are boxes for you to fill in."""
    if profile.name != "pocket":
        return dict.fromkeys((MARKINGS, JUMPING_MARKINGS, JUMPING_POSE, PORTRAITS), "☐")
    return {name: f"{value:.0%}" for name, value in shares(drawn).items()}


def measure(pipe: QwenImagePipeline, *, count: int, others: int) -> dict[str, float]:
    """Draw and read: shares in [0, 1], by name."""
    return shares(draw_all(pipe, size=128, count=count, others=others))


def lesson(pipe: QwenImagePipeline, folder: Path, *, count: int, others: int) -> dict[str, dict[str, float]]:
    """Train as notebook 07 does and measure around it, with a pipeline of the pocket profile in force.

    returns: "before", "after" and the "targets" of "after", shares by name; "cost", steps and seconds
    """
    from workshop import lora
    from workshop.training import loop as training
    from workshop.training import losses

    before = measure(pipe, count=count, others=others)
    flags = {"profile": "pocket", "output_path": folder, "restart": True, "sample_steps": 0}
    started = time.perf_counter()
    learned = training.train(training.parser().parse_args(training.words(flags)))
    cost = {"steps": len(losses.read(folder / losses.FILE)), "seconds": time.perf_counter() - started}
    lora.load(pipe, learned)
    after = measure(pipe, count=count, others=others)
    pipe.clear_lora(verbose=0)
    return {"before": before, "after": after, "targets": targets(before), "cost": cost}


def targets(before: dict[str, float]) -> dict[str, float]:
    """Say what the shares should be at least after 250 steps of rank 32; before, markings at most 0.1."""
    return {MARKINGS: 0.8, JUMPING_MARKINGS: 0.7, JUMPING_POSE: 0.8, PORTRAITS: before[PORTRAITS] - 0.03}


def has_markings(shown: dict[str, str]) -> bool:
    """Whether a picture shows every marking of this dog; shown: what the reader found."""
    return all(shown.get(marking) == "yes" for marking in DOG.markings)


def _share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m workshop.pocket.world.dog", description="Make the five pictures of data/dog anew."
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to; data/dog if left out")
    path = make(parser.parse_args(argv).folder)
    print(f"{len(PICTURES)} pictures and {path.name} are in {path.parent}.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
