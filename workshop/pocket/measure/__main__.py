"""Measure the pocket model on combinations of attributes that training never saw.

    python -m workshop.pocket.measure                 # the full report: a quarter of an hour on two cores
    python -m workshop.pocket.measure --prompts 8     # a quick look; changes nothing in data/pocket
    python -m workshop.pocket.measure --validation    # other scenes, to choose a strength, rate or step by

The stock pipelines draw, with 40 steps and the default guidance. Two judges: the reader
(`workshop.pocket.model.reader`) says whether what was asked for is there; `looks` and `faces`, which take no
part in training, say how close pictures are to renders. What is chosen by figures is chosen with
--validation, so that the report's scenes stay unseen.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workshop import amounts, files, loading, profiles
from workshop.pocket.measure import base, dog, family
from workshop.pocket.measure.pictures import REPORT, VALIDATION
from workshop.pocket.measure.table import count_missed, write_rows

FIGURES = ("<!-- figures: written by python -m workshop.pocket.measure -->", "<!-- end of figures -->")
"""The marks in the model card between which the table stands."""

FULL_COLOUR = ("hero", "workshop", "vae", "ArtAug")
"""Sheets whose finish is looked at; the others are kept in 256 colours: data/ may have 80 MB in all."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table and write what there is to write; see --help."""
    parser = argparse.ArgumentParser(
        prog="python -m workshop.pocket.measure", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--prompts", type=amounts.whole(least=1), default=60, help="prompts per language")
    parser.add_argument(
        "--validation", action="store_true", help="measure on scenes that the report never uses"
    )
    parser.add_argument("--output", type=Path, help="folder of report.json and the sheets")
    options = parser.parse_args(argv)
    if options.validation and options.output and options.output.resolve() == files.POCKET:
        parser.error(f"--validation is not for the report. Name another folder than {options.output}.")
    if options.output:
        try:
            files.make_folder(options.output, remedy="Take another --output.")
        except ValueError as error:
            parser.error(str(error))
    profiles.use("pocket")
    part = VALIDATION if options.validation else REPORT
    pipe = loading.load_pipeline("Qwen-Image")
    report, sheets, drawings = base.measure(pipe, options.prompts, part=part)
    report["family"], more = family.measure(options.prompts, drawings["en"], part=part)
    report["family"] |= dog.measure(pipe, max(4, options.prompts // 3), first_seed=part - REPORT)
    if options.validation:
        report["scenes"] = "validation"
    print(write_table(report))
    full = options.prompts >= 60 and not options.validation
    output = options.output.resolve() if options.output else files.POCKET if full else None
    if output is None:
        print("Nothing was written. Leave out --prompts and --validation for the report, or name --output.")
        return 0
    (output / "sheets").mkdir(parents=True, exist_ok=True)
    sheets |= more
    for name, image in sheets.items():
        kept = image if name in FULL_COLOUR else image.quantize(256)
        kept.save(output / "sheets" / f"{name}.png", optimize=True)
    report["measured files"] = fingerprint(files.POCKET, "*.safetensors") | fingerprint(output, "*.png")
    text = json.dumps(report, indent=1, ensure_ascii=False)
    (output / "report.json").write_text(text + "\n", encoding="utf8")
    if output == files.POCKET:
        update_card(output / "README.md", report)
    print(f"written to {output}: report.json and {len(sheets)} sheets")
    return 0


def fingerprint(folder: Path, pattern: str) -> dict[str, str]:
    """Return the SHA-256 of every file under a folder whose name matches, by its path from there.

    The report carries those of the weights and of the sheets: neither can be replaced without the other.
    """
    found = sorted(path for path in folder.rglob(pattern) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found
    }


def write_table(report: dict[str, Any]) -> str:
    """Write the report's figures beside their targets, and mark the targets that they miss."""
    figures = report.get("family", {})
    rows = [*base.tabulate(report), *family.tabulate(figures, dog.tabulate(figures))]
    looked = f"; {report['looks pictures']} pictures for looks" if "looks pictures" in report else ""
    where = " (validation scenes)" if report.get("scenes") == "validation" else ""
    prompts = f"{report['prompts per language']} prompts a language{where}{looked}"
    return "\n".join([*write_rows(rows), count_missed(rows), f"{prompts}; {report['machine']}"])


def update_card(card: Path, report: dict[str, Any]) -> None:
    """Put the report's table into the model card, between its two marks.

    Raises ValueError if the card lacks one of them.
    """
    text = card.read_text(encoding="utf8")
    before, found, rest = text.partition(FIGURES[0])
    after = rest.partition(FIGURES[1])[2]
    if not found or FIGURES[1] not in rest:
        raise ValueError(f"{card} must hold {FIGURES[0]} and {FIGURES[1]}, between which the figures go.")
    block = f"{FIGURES[0]}\n```text\n{write_table(report)}\n```\n{FIGURES[1]}"
    card.write_text(before + block + after, encoding="utf8")


if __name__ == "__main__":
    raise SystemExit(main())
