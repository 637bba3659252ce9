"""Measure the pocket model on combinations of attributes that training never saw.

    python -m workshop.pocket.measure               # the full report: about ten minutes on two cores
    python -m workshop.pocket.measure --prompts 8   # a quick look; changes nothing in data/pocket

Pictures are made by the stock QwenImagePipeline, 40 steps, default guidance, and read by
`workshop.pocket.model.reader`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from workshop import loading, looking, profiles
from workshop.pocket.measure import base, dog, family
from workshop.pocket.world import captions

FIGURES = ("<!-- figures: written by evaluate -->", "<!-- end of figures -->")


FULL_COLOUR = ("hero", "workshop", "vae", "ArtAug")
"""Sheets whose finish is looked at; the others are kept in 256 colours: data/ may have 80 MB in all."""


def trained_dog(pipe: Any, count: int) -> dict[str, float]:
    """Notebook 07's training, and shares before and after it. It trains in a folder that is then removed."""
    pipe.dit = pipe.enable_lora_hot_loading(pipe.dit)
    with tempfile.TemporaryDirectory() as folder:
        found = dog.measure_lesson(pipe, Path(folder), count=count, others=count)
    shares = {
        f"{name}, {when}": found[when][name] for name in found["before"] for when in ("before", "after")
    }
    return shares | {"seconds of training the dog": found["cost"]["seconds"]}


def dog_targets(figures: dict[str, float]) -> dict[str, str]:
    """Return what the dog's figures should be, by name."""
    before = {name.removesuffix(", before"): value for name, value in figures.items() if ", before" in name}
    if not before:
        return {}
    after = {f"{name}, after": f"≥ {value:.0%}" for name, value in dog.targets(before).items()}
    return after | {f"{looking.MARKINGS}, before": "≤ 10%", "seconds of training the dog": "≤ 180"}


def table(report: dict) -> str:
    """The report's figures against their targets, for people."""
    found = report.get("family", {})
    rows = [
        (
            "VAE on held-out renders, plain",
            f"{report['vae dB plain']:.2f} dB",
            f"≥ {base.TARGETS['vae dB']:.0f} dB",
        ),
        ("VAE on held-out renders, rich", f"{report['vae dB rich']:.2f} dB", ""),
        ("reader, renders through the VAE", f"{report['reader']:.2%}", f"≥ {base.TARGETS['reader']:.0%}"),
        *(
            (f"prompt followed, {code}", f"{report[code]:.1%}", f"≥ {base.TARGETS[code]:.0%}")
            for code in captions.LANGUAGES
        ),
        ("seconds a picture", f"{report['seconds a picture']:.2f}", "≤ 3 on two CPU cores"),
        ("same seed, same picture", "yes" if report["same seed, same picture"] else "no", "yes"),
        *family.rows(found, dog_targets(found)),
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
    profiles.use("pocket")
    report, sheets = base.evaluate(loading.load_pipeline("Qwen-Image"), options.prompts)
    report["family"], more = family.measure(options.prompts)
    report["family"] |= trained_dog(loading.load_pipeline("Qwen-Image"), max(4, options.prompts // 3))
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


if __name__ == "__main__":
    raise SystemExit(main())
