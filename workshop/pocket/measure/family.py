"""Measure what the pocket family adds to the base: finish (ArtAug), edits, identity (F2P), two people.

References are renders of held-out people; the stock pipelines draw, and `workshop.pocket.model.reader` reads.
`python -m workshop.pocket.measure` prints the figures with those of the base.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean
from typing import TYPE_CHECKING

from workshop import drawing, files, loading, looking, models, prompts
from workshop.pocket.measure.pictures import (
    CFG_SCALE,
    COUPLES,
    FINISH,
    INSTRUCTIONS,
    NUM_INFERENCE_STEPS,
    PEOPLE,
    REPORT,
    SIZE,
    Drawing,
    arrange_sheet,
    compare_identity,
    draw_captions,
    pass_through_vae,
    share_followed,
)
from workshop.pocket.measure.table import Row, at_least, even
from workshop.pocket.model import reader
from workshop.pocket.world import captions, draw, scenes
from workshop.pocket.world.scenes import IDENTITY, PERSON_ATTRIBUTES, SKINS, Scene
from workshop.prompts import Caption

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import ModelConfig, QwenImagePipeline
    from PIL import Image

KEPT_BY_F2P = "identity kept with F2P"
TARGETS = {
    "finish told apart": 0.95,
    "richer with ArtAug": 0.98,
    "en with ArtAug": 0.95,
    "same scene with ArtAug": 0.93,
    "instruction followed": 0.95,
    "instruction followed with F2P": 0.95,
    KEPT_BY_F2P: 0.93,
    "two people": 0.92,
    "two people (ko)": 0.92,
}
CHANCE_MARGIN = 0.12
"""Without F2P, identity may be kept by at most this much more often than by chance."""

SKINS_APART = 0.03
"""With F2P, the most that the identity of one skin tone may be kept less often than that of another."""

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

Figures = dict[str, float]
Job = tuple[tuple[Scene, ...], Caption]
"""An edit to draw: the scenes that are rendered as references, and the words."""


@dataclass(frozen=True)
class Edited:
    """One edited picture: what the words asked for, whom the references show, what the reader finds."""

    caption: Caption
    references: tuple[dict[str, str], ...]
    image: Image.Image
    found: dict[str, str]

    @property
    def followed(self) -> list[bool]:
        """Whether the picture shows each attribute that the words name."""
        return list(reader.compare(self.caption.named, self.found, placed=self.caption.placed).values())


def measure(
    count: int, plain: Sequence[Drawing], *, part: int = REPORT
) -> tuple[Figures, dict[str, Image.Image]]:
    """Return the figures of all models of the family that are there, and sample sheets by name.

    plain: what the base drew of English prompts, to which ArtAug's pictures are compared
    part: REPORT or VALIDATION
    """
    base = loading.load_pipeline("Qwen-Image")
    figures, sheets = {"finish told apart": separate_finishes(base, 2 * count, part=part)}, {}
    jobs: dict[str, Callable[[], tuple[Figures, list[Image.Image]]]] = {
        "ArtAug": lambda: measure_artaug(base, lora_config("ArtAug"), plain),
        "F2P": lambda: measure_edits(
            loading.load_pipeline("Qwen-Image-Edit"), lora_config("F2P"), count, part=part
        ),
        "Qwen-Image-Edit-2509": lambda: measure_couples(
            loading.load_pipeline("Qwen-Image-Edit-2509"), count, part=part
        ),
    }
    for name, job in jobs.items():
        if (files.POCKET / models.MODELS[name].repo / SHIPPED[name]).exists():
            found, images = job()
            columns = 8 if name == "ArtAug" else 9
            figures |= found
            sheets[name] = arrange_sheet(images[: 3 * columns], columns)
    return {name: round(value, 4) for name, value in figures.items()}, sheets


def lora_config(name: str) -> ModelConfig:
    """Return the weights of a shipped LoRA, as DiffSynth's `load_lora` takes them."""
    from diffsynth.pipelines.qwen_image import ModelConfig

    return ModelConfig(model_id=models.MODELS[name].repo, origin_file_pattern=SHIPPED[name])


# Finish


def separate_finishes(pipe: QwenImagePipeline, count: int, *, part: int = REPORT) -> float:
    """Return the AUC of `looking.detail` between plain and rich renders that went through the VAE."""
    found: dict[bool, list[float]] = {False: [], True: []}
    for i, scene in enumerate(islice(scenes.stream(part + FINISH, test=True), 2 * count)):
        _, decoded = pass_through_vae(pipe, draw.to_image(scene, SIZE, rich=i % 2 == 1))
        found[i % 2 == 1].append(looking.detail(pipe.vae_output_to_image(decoded)))
    return compute_auc(found[False], found[True])


def compute_auc(lower: Sequence[float], higher: Sequence[float]) -> float:
    """Return how often a random value of `higher` is above one of `lower`; ties count half.

    >>> compute_auc([1.0, 2.0], [2.0, 3.0])
    0.875
    """
    return fmean((high > low) + 0.5 * (high == low) for low in lower for high in higher)


def measure_artaug(
    pipe: QwenImagePipeline, lora: ModelConfig, plain: Sequence[Drawing]
) -> tuple[Figures, list[Image.Image]]:
    """Draw the prompts and seeds of `plain` with ArtAug; return figures, and pairs of pictures."""
    pipe.dit = pipe.enable_lora_hot_loading(pipe.dit)
    pipe.load_lora(pipe.dit, lora, hotload=True)
    rich = draw_captions(pipe, [one.caption for one in plain], first_seed=plain[0].seed, doing="with ArtAug")
    pipe.clear_lora()
    pairs = list(zip(plain, rich, strict=True))
    figures = {
        "richer with ArtAug": fmean(looking.detail(b.image) > looking.detail(a.image) for a, b in pairs),
        "en with ArtAug": share_followed(rich),
        "same scene with ArtAug": fmean(
            b.found.get(name) == value for a, b in pairs for name, value in a.found.items()
        ),
    }
    return figures, [one.image for pair in pairs for one in pair]


# Edits


def stream_people(seed: int) -> Iterator[Scene]:
    """Yield portraits and figures of held-out people, without end."""
    for scene in scenes.stream(seed, test=True):
        if scene.kind in ("portrait", "figure"):
            yield scene


def choose_instructions(count: int, *, part: int = REPORT) -> list[tuple[Scene, Caption]]:
    """Return reference scenes, each with the caption of another held-out picture of a woman or man like them.

    Of who it is, the captions say no more than woman or man.
    """
    rng, people = random.Random(part), stream_people(part + PEOPLE)
    chosen: list[tuple[Scene, Caption]] = []
    for target in scenes.stream(part + INSTRUCTIONS, test=True):
        if target.kind not in ("figure", "seated"):
            continue
        caption = captions.caption(target, rng.choice(captions.LANGUAGES), rng)
        named = set(caption.named) - {"kind", "left who"}
        if "left who" in caption.named and named and not named & {f"left {name}" for name in IDENTITY}:
            chosen.append((next(s for s in people if s.people[0].who == target.people[0].who), caption))
            if len(chosen) == count:
                return chosen
    raise AssertionError("the stream of scenes has no end")


def draw_edits(pipe: QwenImagePipeline, jobs: Sequence[Job], *, several: bool, desc: str) -> list[Edited]:
    """Draw every job, with every other one's references rendered richly. several: the model takes a list"""
    pictures = []
    for seed, (people, caption) in enumerate(jobs):
        references = [draw.to_image(scene, SIZE, rich=seed % 2 == 1) for scene in people]
        shown = references if several else references[0]
        pictures.append({"prompt": caption.text, "edit_image": shown, "seed": seed})
    images = drawing.draw_all(
        pipe,
        pictures,
        negative_prompt=prompts.NEGATIVE_PROMPT,
        edit_image_auto_resize=False,
        num_inference_steps=NUM_INFERENCE_STEPS,
        cfg_scale=CFG_SCALE,
        size=SIZE,
        doing=desc,
    )
    return [
        Edited(caption, tuple(scenes.attributes(scene) for scene in people), image, reader.read(image))
        for (people, caption), image in zip(jobs, images, strict=True)
    ]


def measure_edits(
    pipe: QwenImagePipeline, lora: ModelConfig, count: int, *, part: int = REPORT
) -> tuple[Figures, list[Image.Image]]:
    """Edit without and with F2P; return figures, and reference, without, with for every job."""
    jobs: list[Job] = [((scene,), caption) for scene, caption in choose_instructions(count, part=part)]
    without = draw_edits(pipe, jobs, several=False, desc="edit")
    pipe.dit = pipe.enable_lora_hot_loading(pipe.dit)
    pipe.load_lora(pipe.dit, lora, hotload=True)
    with_f2p = draw_edits(pipe, jobs, several=False, desc="edit with F2P")
    pipe.clear_lora()
    figures = {
        "instruction followed": fmean(hit for one in without for hit in one.followed),
        "identity kept": share_identity(without),
        "identity by chance": share_identity_by_chance(without),
        "instruction followed with F2P": fmean(hit for one in with_f2p for hit in one.followed),
        KEPT_BY_F2P: share_identity(with_f2p),
        **share_identity_by_group(with_f2p),
    }
    sheet = []
    for seed, ((people, _), a, b) in enumerate(zip(jobs, without, with_f2p, strict=True)):
        sheet += [draw.to_image(people[0], SIZE, rich=seed % 2 == 1), a.image, b.image]
    return figures, sheet


def share_identity(edits: Sequence[Edited]) -> float:
    """Return the share of `scenes.IDENTITY` that is the reference's."""
    return fmean(hit for one in edits for hit in compare_identity(one.references[0], one.found).values())


def share_identity_by_group(edits: Sequence[Edited]) -> Figures:
    """Return the same share by the reference's skin tone, and by the kind of picture that was drawn."""
    groups = {
        f"{KEPT_BY_F2P}, {skin} skin": [one for one in edits if one.references[0]["left skin"] == skin]
        for skin in SKINS
    }
    groups |= {
        f"{KEPT_BY_F2P}, {kind}": [one for one in edits if one.found["kind"] == kind] for kind in scenes.KINDS
    }
    return {name: share_identity(some) for name, some in groups.items() if some}


def share_identity_by_chance(edits: Sequence[Edited]) -> float:
    """Return the same share against the references of all other pictures of a woman, or a man, like here."""
    return fmean(
        hit
        for one in edits
        for other in edits
        if other is not one and other.references[0]["left who"] == one.references[0]["left who"]
        for hit in compare_identity(other.references[0], one.found).values()
    )


# Two people


def measure_couples(
    pipe: QwenImagePipeline, count: int, *, part: int = REPORT
) -> tuple[Figures, list[Image.Image]]:
    """Draw two references in one picture; return figures, and reference, reference, picture for every job."""
    stream, jobs = stream_people(part + COUPLES), []
    for i in range(count):
        caption = COUPLE_PROMPTS[i % len(COUPLE_PROMPTS)]
        woman = next(s for s in stream if s.people[0].who == "woman" or caption is not COUPLE)
        man = next(s for s in stream if s.people[0].who == "man" or caption is not COUPLE)
        jobs.append(((woman, man), caption))
    edits = draw_edits(pipe, jobs, several=True, desc="two people")
    korean = [one for one in edits if one.caption is COUPLE]
    figures = {
        "two people": fmean(hit for one in edits for hit in compare_people(one)),
        "two people (ko)": fmean(hit for one in korean for hit in compare_people(one)),
        "couples": fmean(hit for one in edits for hit in one.followed),
    }
    sheet = []
    for seed, ((pair, _), one) in enumerate(zip(jobs, edits, strict=True)):
        sheet += [draw.to_image(scene, SIZE, rich=seed % 2 == 1) for scene in pair] + [one.image]
    return figures, sheet


def compare_people(edited: Edited) -> list[bool]:
    """Return for each attribute of the two people whether it is their references', in the better order."""
    named = {
        f"{side} {name}": reference[f"left {name}"]
        for side, reference in zip(("left", "right"), edited.references, strict=True)
        for name in PERSON_ATTRIBUTES
    }
    return list(reader.compare(named, edited.found, placed=False).values())


# The report


def tabulate(figures: Figures, more: dict[str, Row]) -> list[Row]:
    """Return the rows of the report's table. more: rows of other measures, by the name of the figure"""
    tones = {skin: figures[name] for skin in SKINS if (name := f"{KEPT_BY_F2P}, {skin} skin") in figures}
    rows = []
    for name, value in figures.items():
        if name in more:
            rows.append(more[name])
        elif name == "identity kept" and "identity by chance" in figures:
            most = figures["identity by chance"] + CHANCE_MARGIN
            rows.append(Row(name, f"{value:.1%}", f"≤ {most:.1%}", value <= most))
        elif name in TARGETS:
            rows.append(at_least(name, value, TARGETS[name]))
        elif name == f"{KEPT_BY_F2P}, {next(iter(tones), '')} skin":
            rows.append(even(KEPT_BY_F2P, tones, SKINS_APART))  # one row for all tones
        elif not name.endswith(" skin"):
            rows.append(Row(name, f"{value:.1%}"))
    return rows
