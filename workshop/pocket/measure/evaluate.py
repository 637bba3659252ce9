"""Measure the pocket model on combinations of attributes that training never saw.

    python -m workshop.pocket.measure               # the full report: about ten minutes on two cores
    python -m workshop.pocket.measure --prompts 8   # a quick look; changes nothing in data/pocket

Pictures are made by the stock QwenImagePipeline, 40 steps, default guidance, and read by
`workshop.pocket.model.reader`.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from workshop import prompts
from workshop.pocket.model import reader
from workshop.pocket.world import captions, draw, scenes

if TYPE_CHECKING:
    import torch
    from PIL import Image

STEPS, GUIDANCE, SIZE = 40, 4.0, 128
TARGETS = {"vae dB": 30.0, "reader": 0.99, "en": 0.95, "ko": 0.90, "kn": 0.90, "zh": 0.90}
PROMPT_SEED = 2026
"""The held-out scenes of the report start here; no training stage uses this seed."""


HERO = (
    prompts.WORKSHOP_PROMPTS["portrait"].text,
    prompts.WORKSHOP_PROMPTS["woman in the forest"].text,
    "A handsome Asian man in a dark gray suit, seated at a table, holding a bouquet of red flowers.",
    prompts.WORKSHOP_PROMPTS["dog jumping"].text,
    "A loving couple hugging by the sea.",
    "A portrait of a man with gray hair and glasses in a green sweater. The background is a city.",
    "A black dog with a red collar, sitting in the snow.",
    "A woman with red hair in a yellow coat stands in a meadow.",
)
"""The prompts of the picture in the README."""

FIGURES = ("<!-- figures: written by evaluate -->", "<!-- end of figures -->")


@dataclass(frozen=True)
class Result:
    """One generated picture, what its prompt named, and whether the picture shows it."""

    caption: prompts.Caption
    seed: int
    image: Image.Image
    shown: dict[str, str]
    followed: dict[str, bool]


def held_out_captions(language: str, count: int) -> list[prompts.Caption]:
    """Captions of held-out scenes that name something, in one language."""
    rng = random.Random(f"{PROMPT_SEED} {language}")
    said = (captions.caption(scene, language, rng) for scene in scenes.stream(PROMPT_SEED, test=True))
    return list(islice((caption for caption in said if caption.named), count))


def generate(pipe: object, said: list[prompts.Caption], *, first_seed: int = 0) -> Iterator[Result]:
    """One picture a caption, seeds counting up."""
    for seed, caption in enumerate(said, first_seed):
        image = pipe(
            prompt=caption.text,
            seed=seed,
            num_inference_steps=STEPS,
            cfg_scale=GUIDANCE,
            height=SIZE,
            width=SIZE,
            progress_bar_cmd=lambda steps: steps,
        )
        shown = reader.read(image)
        yield Result(
            caption, seed, image, shown, reader.followed(caption.named, shown, placed=caption.placed)
        )


def share(results: list[Result]) -> float:
    """Share of named attributes that the pictures show, over all prompts together."""
    hits = [hit for result in results for hit in result.followed.values()]
    return sum(hits) / len(hits)


def by_attribute(results: list[Result]) -> dict[str, float]:
    """The same share, attribute by attribute, both people of a couple together."""
    hits: dict[str, list[bool]] = defaultdict(list)
    for result in results:
        for name, hit in result.followed.items():
            hits[name.removeprefix("left ").removeprefix("right ")].append(hit)
    return {name: round(sum(found) / len(found), 3) for name, found in sorted(hits.items())}


def detail(image: Image.Image) -> float:
    """How rough the flattest fifth of a picture is: the 20th percentile of the standard deviation of grey in
    3×3 pixels, of 255. Flat colours give about 0; shading and texture give more."""
    import numpy as np

    grey = np.asarray(image.convert("L"), dtype=np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(grey, (3, 3))
    return float(np.percentile(windows.std(axis=(2, 3)), 20))


def kept(reference: dict[str, str], shown: dict[str, str], *, side: str = "left ") -> dict[str, bool]:
    """For each attribute of scenes.IDENTITY: is that of the person on this side the reference's?"""
    return {name: shown.get(side + name) == reference["left " + name] for name in scenes.IDENTITY}


def pixels(images: list[Image.Image]) -> torch.Tensor:
    """Pictures as (B, 3, H, W) in [-1, 1]."""
    import numpy as np
    import torch

    stack = np.stack([np.asarray(image) for image in images])
    return torch.from_numpy(stack).permute(0, 3, 1, 2).float() / 127.5 - 1


def vae_quality(pipe: object, count: int) -> tuple[dict[str, float], list[Image.Image]]:
    """PSNR in dB of held-out renders after the VAE, and how much of them the reader still reads; and the
    decoded pictures."""
    import torch

    chosen = list(islice(scenes.stream(PROMPT_SEED + 1, test=True), count))
    found, kept = {}, []
    for finish in ("plain", "rich"):
        originals = [draw.to_image(scene, SIZE, rich=finish == "rich") for scene in chosen]
        error, decoded = [], []
        for image in originals:
            x = pixels([image]).to(pipe.device, pipe.torch_dtype)
            with torch.no_grad():
                y = pipe.vae.decode(pipe.vae.encode(x)).float().clamp(-1, 1)
            error.append(float(10 * torch.log10(4 / (y - x.float()).square().mean())))
            decoded.append(pipe.vae_output_to_image(y))
        found[f"vae dB {finish}"] = round(sum(error) / count, 2)
        if finish == "plain":
            hits = [
                shown.get(name) == value
                for scene, shown in zip(chosen, reader.read_all(decoded), strict=True)
                for name, value in scenes.attributes(scene).items()
            ]
            found["reader"] = round(sum(hits) / len(hits), 4)
            kept = [picture for pair in zip(originals[:8], decoded[:8], strict=True) for picture in pair]
    return found, kept


def repeatable(pipe: object) -> bool:
    """Whether the same seed gives the same picture, bit for bit."""
    said = [prompts.WORKSHOP_PROMPTS["dog"]] * 2
    first, second = (next(generate(pipe, [caption], first_seed=3)).image for caption in said)
    return first.tobytes() == second.tobytes()


def sheet(images: list[Image.Image], columns: int, scale: int = 1) -> Image.Image:
    """Pictures side by side, row by row, on white."""
    from PIL import Image

    side = SIZE * scale
    rows = -(-len(images) // columns)
    canvas = Image.new("RGB", (columns * (side + 4) - 4, rows * (side + 4) - 4), "white")
    for i, image in enumerate(images):
        place = (i % columns * (side + 4), i // columns * (side + 4))
        canvas.paste(image.resize((side, side), Image.Resampling.LANCZOS), place)
    return canvas


FULL_COLOUR = ("hero", "workshop", "vae", "ArtAug")
"""Sheets whose finish is looked at; the others are kept in 256 colours: data/ may have 80 MB in all."""


def hero(pipe: object) -> Image.Image:
    """Eight pictures in two rows, each above the prompt that it was made from."""
    import textwrap

    from PIL import Image, ImageDraw, ImageFont

    side, gap, words = 2 * SIZE, 12, 64
    canvas = Image.new("RGB", (4 * (side + gap) + gap, 2 * (side + words + gap) + gap), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=15)
    drawn = generate(pipe, [prompts.Caption(text, "en", {}) for text in HERO])
    for i, result in enumerate(drawn):
        x, y = gap + i % 4 * (side + gap), gap + i // 4 * (side + words + gap)
        canvas.paste(result.image.resize((side, side), Image.Resampling.LANCZOS), (x, y))
        lines = textwrap.wrap(result.caption.text, 36)
        shown = "\n".join(lines if len(lines) <= 3 else [*lines[:2], lines[2][:33] + " …"])
        pen.multiline_text((x, y + side + 4), shown, fill="#333333", font=font)
    return canvas


def evaluate(pipe: object, count: int) -> tuple[dict, dict[str, Image.Image]]:
    """Everything the report says, and the sample sheets by name."""
    from tqdm.auto import tqdm

    quality, decoded = vae_quality(pipe, max(8, 2 * count))
    report: dict = {**quality, "prompts per language": count, "steps": STEPS, "guidance": GUIDANCE}
    sheets = {"vae": sheet(decoded, 8, 2)}
    started = time.perf_counter()
    for language in captions.LANGUAGES:
        drawing = tqdm(
            generate(pipe, held_out_captions(language, count)), total=count, desc=language, unit="picture"
        )
        results = list(drawing)
        report[language] = round(share(results), 4)
        report[f"{language} by attribute"] = by_attribute(results)
        sheets[language] = sheet([result.image for result in results[:24]], 8)
    report["seconds a picture"] = round((time.perf_counter() - started) / (4 * count), 2)
    report["same seed, same picture"] = repeatable(pipe)
    workshop = list(generate(pipe, list(prompts.WORKSHOP_PROMPTS.values())))
    report["workshop prompts"] = {r.caption.text: r.followed for r in workshop}
    sheets["workshop"] = sheet([result.image for result in workshop], 5, 2)
    sheets["hero"] = hero(pipe)
    report["machine"] = machine(pipe)
    return report, sheets


def machine(pipe: object) -> str:
    """What the figures were measured on."""
    import torch

    where = (
        torch.cuda.get_device_name()
        if "cuda" in str(pipe.device)
        else f"{torch.get_num_threads()} CPU threads"
    )
    return f"{where}, {pipe.torch_dtype}, torch {torch.__version__}, Python {platform.python_version()}"


def table(report: dict) -> str:
    """The report's figures against their targets, for people."""
    from workshop.pocket.measure import family

    rows = [
        (
            "VAE on held-out renders, plain",
            f"{report['vae dB plain']:.2f} dB",
            f"≥ {TARGETS['vae dB']:.0f} dB",
        ),
        ("VAE on held-out renders, rich", f"{report['vae dB rich']:.2f} dB", ""),
        ("reader, renders through the VAE", f"{report['reader']:.2%}", f"≥ {TARGETS['reader']:.0%}"),
        *(
            (f"prompt followed, {code}", f"{report[code]:.1%}", f"≥ {TARGETS[code]:.0%}")
            for code in captions.LANGUAGES
        ),
        ("seconds a picture", f"{report['seconds a picture']:.2f}", "≤ 3 on two CPU cores"),
        ("same seed, same picture", "yes" if report["same seed, same picture"] else "no", "yes"),
        *family.rows(report.get("family", {})),
    ]
    lines = [f"{'measured on held-out combinations':36} {'figure':>10}   target"]
    lines += [f"{name:36} {figure:>10}   {target}" for name, figure, target in rows]
    merged: dict[str, list[float]] = defaultdict(list)
    for code in captions.LANGUAGES:
        for name, value in report[f"{code} by attribute"].items():
            merged[name].append(value)
    weakest = sorted((sum(v) / len(v), name) for name, v in merged.items())[:6]
    lines.append("weakest attributes: " + ", ".join(f"{name} {value:.0%}" for value, name in weakest))
    return "\n".join([*lines, f"{report['prompts per language']} prompts a language; {report['machine']}"])


def update_card(card: Path, report: dict) -> None:
    """Put the report's table into the model card, between its two markers."""
    text = card.read_text(encoding="utf8")
    before, found, rest = text.partition(FIGURES[0])
    after = rest.partition(FIGURES[1])[2]
    if not found or FIGURES[1] not in rest:
        raise ValueError(f"{card} must hold {FIGURES[0]} and {FIGURES[1]}, between which the figures go.")
    block = f"{FIGURES[0]}\n```text\n{table(report)}\n```\n{FIGURES[1]}"
    card.write_text(before + block + after, encoding="utf8")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m workshop.pocket.measure", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--prompts", type=int, default=60, help="prompts per language")
    parser.add_argument("--output", type=Path, help="folder of report.json and the sheets")
    options = parser.parse_args(argv)
    from workshop import loading, profiles
    from workshop.pocket.measure import family

    profiles.use("pocket")
    report, sheets = evaluate(loading.load_pipeline("Qwen-Image"), options.prompts)
    report["family"], more = family.measure(options.prompts)
    sheets |= more
    print(table(report))
    full = options.prompts >= 60
    output = options.output.resolve() if options.output else profiles.POCKET if full else None
    if output is None:
        print("A quick look: nothing was written. Leave out --prompts for the full report, or name --output.")
        return 0
    (output / "sheets").mkdir(parents=True, exist_ok=True)
    (output / "report.json").write_text(
        json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf8"
    )
    if output == profiles.POCKET:
        update_card(output / "README.md", report)
    for name, image in sheets.items():
        kept = image if name in FULL_COLOUR else image.quantize(256)
        kept.save(output / "sheets" / f"{name}.png", optimize=True)
    print(f"written to {output}: report.json and {len(sheets)} sheets")
    return 0
