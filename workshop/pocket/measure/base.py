"""Measure the base model: its VAE, and how well it follows prompts that training never saw."""

from __future__ import annotations

import platform
import time
from itertools import islice
from typing import TYPE_CHECKING

from workshop import prompts
from workshop.pocket.measure.pictures import (
    GUIDANCE,
    PROMPT_SEED,
    SIZE,
    STEPS,
    by_attribute,
    generate,
    held_out_captions,
    pixels,
    share,
    sheet,
)
from workshop.pocket.model import reader
from workshop.pocket.world import captions, draw, scenes

if TYPE_CHECKING:
    from PIL import Image


TARGETS = {"vae dB": 30.0, "reader": 0.99, "en": 0.95, "ko": 0.90, "kn": 0.90, "zh": 0.90}


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
