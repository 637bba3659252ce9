"""Measure the base model: its VAE, and how well it follows prompts that training never saw."""

from __future__ import annotations

import platform
import textwrap
import time
from collections import defaultdict
from itertools import islice
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch

from workshop import prompts
from workshop.pocket.measure.pictures import (
    CFG_SCALE,
    NUM_INFERENCE_STEPS,
    PROMPT_SEED,
    SIZE,
    arrange_sheet,
    choose_captions,
    draw_captions,
    pass_through_vae,
    share_by_attribute,
    share_followed,
)
from workshop.pocket.model import reader
from workshop.pocket.world import captions, draw, scenes
from workshop.prompts import Caption

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline
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


def measure(pipe: QwenImagePipeline, count: int) -> tuple[dict[str, Any], dict[str, Image.Image]]:
    """Return the report's figures by name, and the sample sheets by name. count: prompts per language"""
    from tqdm.auto import tqdm

    quality, decoded = measure_vae(pipe, max(8, 2 * count))
    report: dict[str, Any] = {
        **quality,
        "prompts per language": count,
        "steps": NUM_INFERENCE_STEPS,
        "guidance": CFG_SCALE,
    }
    sheets = {"vae": arrange_sheet(decoded, 8, 2)}
    started = time.perf_counter()
    for language in captions.LANGUAGES:
        drawing = draw_captions(pipe, choose_captions(language, count))
        drawn = list(tqdm(drawing, total=count, desc=language, unit="picture"))
        report[language] = round(share_followed(drawn), 4)
        report[f"{language} by attribute"] = share_by_attribute(drawn)
        sheets[language] = arrange_sheet([one.image for one in drawn[:24]], 8)
    report["seconds a picture"] = round((time.perf_counter() - started) / (4 * count), 2)
    report["same seed, same picture"] = is_repeatable(pipe)
    workshop = list(draw_captions(pipe, prompts.WORKSHOP_PROMPTS.values()))
    report["workshop prompts"] = {one.caption.text: one.followed for one in workshop}
    sheets["workshop"] = arrange_sheet([one.image for one in workshop], 5, 2)
    sheets["hero"] = draw_hero(pipe)
    report["machine"] = describe_machine(pipe)
    return report, sheets


def measure_vae(pipe: QwenImagePipeline, count: int) -> tuple[dict[str, float], list[Image.Image]]:
    """Return the VAE's quality on held-out renders of both finishes, and eight pictures before and after.

    returns: PSNR in dB, 10·log10(2² / mean squared error), averaged over pictures; and the share of
    attributes that the reader still reads
    """
    chosen = list(islice(scenes.stream(PROMPT_SEED + 1, test=True), count))
    figures, pairs = {}, []
    for finish in ("plain", "rich"):
        originals = [draw.to_image(scene, SIZE, rich=finish == "rich") for scene in chosen]
        decibels, decoded = [], []
        for image in originals:
            before, after = pass_through_vae(pipe, image)
            decibels.append(float(10 * torch.log10(4 / (after - before).square().mean())))
            decoded.append(pipe.vae_output_to_image(after))
        figures[f"vae dB {finish}"] = round(sum(decibels) / count, 2)
        if finish == "plain":
            hits = [
                found.get(name) == value
                for scene, found in zip(chosen, reader.read_all(decoded), strict=True)
                for name, value in scenes.attributes(scene).items()
            ]
            figures["reader"] = round(fmean(hits), 4)
            pairs = [picture for pair in zip(originals[:8], decoded[:8], strict=True) for picture in pair]
    return figures, pairs


def is_repeatable(pipe: QwenImagePipeline) -> bool:
    """Return whether the same seed gives the same picture, bit for bit."""
    dog = prompts.WORKSHOP_PROMPTS["dog"]
    first, second = (next(draw_captions(pipe, [dog], first_seed=3)).image for _ in range(2))
    return first.tobytes() == second.tobytes()


def draw_hero(pipe: QwenImagePipeline) -> Image.Image:
    """Draw eight pictures in two rows, each above the prompt that it was made from."""
    from PIL import Image, ImageDraw, ImageFont

    side, gap, words = 2 * SIZE, 12, 64
    canvas = Image.new("RGB", (4 * (side + gap) + gap, 2 * (side + words + gap) + gap), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=15)
    for i, one in enumerate(draw_captions(pipe, [Caption(text, "en", {}) for text in HERO])):
        x, y = gap + i % 4 * (side + gap), gap + i // 4 * (side + words + gap)
        canvas.paste(one.image.resize((side, side), Image.Resampling.LANCZOS), (x, y))
        lines = textwrap.wrap(one.caption.text, 36)
        shown = "\n".join(lines if len(lines) <= 3 else [*lines[:2], lines[2][:33] + " …"])
        pen.multiline_text((x, y + side + 4), shown, fill="#333333", font=font)
    return canvas


def describe_machine(pipe: QwenImagePipeline) -> str:
    """Name what the figures were measured on: device, precision, torch and Python."""
    on_gpu = "cuda" in str(pipe.device)
    where = torch.cuda.get_device_name() if on_gpu else f"{torch.get_num_threads()} CPU threads"
    return f"{where}, {pipe.torch_dtype}, torch {torch.__version__}, Python {platform.python_version()}"


def tabulate(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return name, figure and target of each measure, for the report's table."""
    return [
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
    ]


def name_weakest(report: dict[str, Any]) -> str:
    """Name the six attributes that are followed least, with their mean share over the languages."""
    merged: dict[str, list[float]] = defaultdict(list)
    for code in captions.LANGUAGES:
        for name, value in report[f"{code} by attribute"].items():
            merged[name].append(value)
    weakest = sorted((sum(values) / len(values), name) for name, values in merged.items())[:6]
    return ", ".join(f"{name} {value:.0%}" for value, name in weakest)
