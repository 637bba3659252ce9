"""Measure what the pocket family adds to the base: finish (ArtAug), edits, identity (F2P), two people in one
picture.

References are renders of held-out people; the pictures are drawn by the stock pipelines and read by `reader`.
`python -m workshop.pocket.measure` prints the figures with those of the base.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from workshop import looking, prompts
from workshop.pocket.measure import pictures
from workshop.pocket.model import reader
from workshop.pocket.world import captions, draw, scenes
from workshop.pocket.world.scenes import IDENTITY, PERSON_ATTRIBUTES, Scene
from workshop.prompts import Caption

if TYPE_CHECKING:
    from PIL import Image

TARGETS = {
    "finish told apart": 0.95,
    "richer with ArtAug": 0.95,
    "en with ArtAug": 0.95,
    "instruction followed": 0.90,
    "instruction followed with F2P": 0.90,
    "identity kept with F2P": 0.90,
    "two people": 0.80,
    "two people (ko)": 0.80,
}
CHANCE_MARGIN = 0.15
"""Without F2P, identity may be kept by at most this much more often than by chance."""

SHIPPED = {
    "ArtAug": "model.safetensors",
    "F2P": "model.safetensors",
    "Qwen-Image-Edit-2509": "transformer/diffusion_pytorch_model.safetensors",
}
"""What must be there for a model to be measured; F2P is measured on Qwen-Image-Edit."""

COUPLE = prompts.WORKSHOP_PROMPTS["couple (ko)"]
COUPLE_PROMPTS = (
    COUPLE,
    Caption("A photo of the two people hugging.", "en", {"kind": "couple", "couple pose": "embracing"}),
    Caption("The two people stand side by side.", "en", {"kind": "couple", "couple pose": "side by side"}),
)


@dataclass(frozen=True)
class Edited:
    """One edited picture: what the words asked for, whom the references show, what came out."""

    caption: Caption
    references: tuple[dict[str, str], ...]
    image: Image.Image
    shown: dict[str, str]

    @property
    def followed(self) -> list[bool]:
        return list(reader.followed(self.caption.named, self.shown, placed=self.caption.placed).values())


def auc(lower: list[float], higher: list[float]) -> float:
    """How often a random value of `higher` is above one of `lower`; ties count half."""
    wins = [(h > low) + 0.5 * (h == low) for low in lower for h in higher]
    return sum(wins) / len(wins)


def told_apart(pipe: Any, count: int) -> float:
    """AUC of `detail` between plain and rich renders that went through the VAE."""
    import torch

    found: dict[bool, list[float]] = {False: [], True: []}
    for i, scene in enumerate(islice(scenes.stream(pictures.PROMPT_SEED + 2, test=True), 2 * count)):
        x = pictures.pixels([draw.to_image(scene, pictures.SIZE, rich=i % 2 == 1)]).to(pipe.device)
        with torch.no_grad():
            y = pipe.vae.decode(pipe.vae.encode(x.to(pipe.torch_dtype))).float().clamp(-1, 1)
        found[i % 2 == 1].append(looking.detail(pipe.vae_output_to_image(y)))
    return auc(found[False], found[True])


def finish(pipe: Any, lora: Any, count: int) -> tuple[dict[str, float], list[Image.Image]]:
    """The same prompts and seeds without and with ArtAug; pairs of pictures."""
    from tqdm.auto import tqdm

    said = pictures.held_out_captions("en", count)
    plain = list(tqdm(pictures.generate(pipe, said), total=count, desc="without ArtAug", unit="picture"))
    pipe.dit = pipe.enable_lora_hot_loading(pipe.dit)
    pipe.load_lora(pipe.dit, lora, hotload=True)
    rich = list(tqdm(pictures.generate(pipe, said), total=count, desc="with ArtAug", unit="picture"))
    pipe.clear_lora()
    richer = [looking.detail(b.image) > looking.detail(a.image) for a, b in zip(plain, rich, strict=True)]
    same = [
        b.shown.get(name) == value
        for a, b in zip(plain, rich, strict=True)
        for name, value in a.shown.items()
    ]
    found = {
        "richer with ArtAug": sum(richer) / count,
        "en with ArtAug": pictures.share(rich),
        "same scene with ArtAug": sum(same) / len(same),
    }
    return found, [result.image for pair in zip(plain, rich, strict=True) for result in pair]


def references(seed: int) -> Iterator[Scene]:
    """Portraits and figures of held-out people."""
    for scene in scenes.stream(seed, test=True):
        if scene.kind in ("portrait", "figure"):
            yield scene


def instructions(count: int) -> list[tuple[Scene, Caption]]:
    """Reference scenes, and captions of other held-out pictures of a woman or man like the one there, that
    say nothing of who it is beyond that."""
    rng, people = random.Random(pictures.PROMPT_SEED), references(pictures.PROMPT_SEED + 3)
    found: list[tuple[Scene, Caption]] = []
    for target in scenes.stream(pictures.PROMPT_SEED + 4, test=True):
        if target.kind not in ("figure", "seated"):
            continue
        caption = captions.caption(target, rng.choice(captions.LANGUAGES), rng)
        named = set(caption.named) - {"kind", "left who"}
        if "left who" in caption.named and named and not named & {f"left {name}" for name in IDENTITY}:
            found.append((next(s for s in people if s.people[0].who == target.people[0].who), caption))
            if len(found) == count:
                return found
    raise AssertionError("the stream of scenes has no end")


def edited(
    pipe: Any, jobs: list[tuple[tuple[Scene, ...], Caption]], *, several: bool, what: str
) -> list[Edited]:
    """Draw every job: scenes that are rendered as references, every other one richly, and the words."""
    from tqdm.auto import tqdm

    found = []
    for seed, (people, caption) in enumerate(tqdm(jobs, desc=what, unit="picture")):
        shown = [draw.to_image(scene, pictures.SIZE, rich=seed % 2 == 1) for scene in people]
        image = pipe(
            prompt=caption.text,
            negative_prompt=prompts.NEGATIVE_PROMPT,
            edit_image=shown if several else shown[0],
            edit_image_auto_resize=False,
            seed=seed,
            num_inference_steps=pictures.STEPS,
            cfg_scale=pictures.GUIDANCE,
            height=pictures.SIZE,
            width=pictures.SIZE,
            progress_bar_cmd=lambda steps: steps,
        )
        shows = tuple(scenes.attributes(scene) for scene in people)
        found.append(Edited(caption, shows, image, reader.read(image)))
    return found


def mean(hits: list[bool]) -> float:
    return sum(hits) / len(hits)


def identity(results: list[Edited]) -> float:
    """Share of IDENTITY that is the reference's."""
    return mean([hit for r in results for hit in pictures.kept(r.references[0], r.shown).values()])


def by_chance(results: list[Edited]) -> float:
    """The same share against the references of all other pictures of a woman or a man like this one."""
    return mean(
        [
            hit
            for r in results
            for other in results
            if other is not r and other.references[0]["left who"] == r.references[0]["left who"]
            for hit in pictures.kept(other.references[0], r.shown).values()
        ]
    )


def edits(pipe: Any, lora: Any, count: int) -> tuple[dict[str, float], list[Image.Image]]:
    """The edit model without and with F2P; reference, without, with, for every job."""
    jobs = [((scene,), caption) for scene, caption in instructions(count)]
    without = edited(pipe, jobs, several=False, what="edit")
    pipe.dit = pipe.enable_lora_hot_loading(pipe.dit)
    pipe.load_lora(pipe.dit, lora, hotload=True)
    with_f2p = edited(pipe, jobs, several=False, what="edit with F2P")
    pipe.clear_lora()
    found = {
        "instruction followed": mean([hit for r in without for hit in r.followed]),
        "identity kept": identity(without),
        "identity by chance": by_chance(without),
        "instruction followed with F2P": mean([hit for r in with_f2p for hit in r.followed]),
        "identity kept with F2P": identity(with_f2p),
    }
    sheet = []
    for seed, ((people, _), a, b) in enumerate(zip(jobs, without, with_f2p, strict=True)):
        sheet += [draw.to_image(people[0], pictures.SIZE, rich=seed % 2 == 1), a.image, b.image]
    return found, sheet


def both(result: Edited) -> list[bool]:
    """Whether each attribute of the two people is that of their references, in the better order."""
    named = {
        f"{side} {name}": reference[f"left {name}"]
        for side, reference in zip(("left", "right"), result.references, strict=True)
        for name in PERSON_ATTRIBUTES
    }
    return list(reader.followed(named, result.shown, placed=False).values())


def people(pipe: Any, count: int) -> tuple[dict[str, float], list[Image.Image]]:
    """Two references in one picture; reference, reference, picture, for every job."""
    stream, jobs = references(pictures.PROMPT_SEED + 5), []
    for i in range(count):
        caption = COUPLE_PROMPTS[i % len(COUPLE_PROMPTS)]
        woman = next(s for s in stream if s.people[0].who == "woman" or caption is not COUPLE)
        man = next(s for s in stream if s.people[0].who == "man" or caption is not COUPLE)
        jobs.append(((woman, man), caption))
    results = edited(pipe, jobs, several=True, what="two people")
    korean = [result for result in results if result.caption is COUPLE]
    found = {
        "two people": mean([hit for r in results for hit in both(r)]),
        "two people (ko)": mean([hit for r in korean for hit in both(r)]),
        "couples": mean([hit for r in results for hit in r.followed]),
    }
    sheet = []
    for seed, ((pair, _), result) in enumerate(zip(jobs, results, strict=True)):
        sheet += [draw.to_image(s, pictures.SIZE, rich=seed % 2 == 1) for s in pair] + [result.image]
    return found, sheet


def lora_file(name: str) -> Any:
    """The weights of a shipped LoRA, as `load_lora` takes them."""
    from diffsynth.pipelines.qwen_image import ModelConfig

    from workshop import models

    return ModelConfig(model_id=models.MODELS[name].repo, origin_file_pattern=SHIPPED[name])


def measure(count: int) -> tuple[dict[str, float], dict[str, Image.Image]]:
    """The figures of all models of the family that are there, and sample sheets by name."""
    from workshop import loading, models, profiles

    def shipped(name: str) -> bool:
        return (profiles.POCKET / models.MODELS[name].repo).joinpath(SHIPPED[name]).exists()

    base, figures, sheets = loading.load_pipeline("Qwen-Image"), {}, {}
    figures["finish told apart"] = told_apart(base, 2 * count)
    jobs = {
        "ArtAug": lambda: finish(base, lora_file("ArtAug"), count),
        "F2P": lambda: edits(loading.load_pipeline("Qwen-Image-Edit"), lora_file("F2P"), count),
        "Qwen-Image-Edit-2509": lambda: people(loading.load_pipeline("Qwen-Image-Edit-2509"), count),
    }
    for name, job in jobs.items():
        if shipped(name):
            found, images = job()
            columns = 8 if name == "ArtAug" else 9
            figures |= found
            sheets[name] = pictures.sheet(images[: 3 * columns], columns, 1)
    return {name: round(value, 4) for name, value in figures.items()}, sheets


def rows(figures: dict[str, float], more: dict[str, str] | None = None) -> list[tuple[str, str, str]]:
    """Name, figure and target of each measure, for the report's table."""
    targets = {name: f"≥ {target:.0%}" for name, target in TARGETS.items()} | (more or {})
    if "identity by chance" in figures:
        targets["identity kept"] = f"≤ {figures['identity by chance'] + CHANCE_MARGIN:.1%}"
    return [(name, said(name, value), targets.get(name, "")) for name, value in figures.items()]


def said(name: str, value: float) -> str:
    if name.startswith("seconds"):
        return f"{value:.0f}"
    return f"{value:.3f}" if "told" in name else f"{value:.1%}"
