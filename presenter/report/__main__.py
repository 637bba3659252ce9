"""`presenter report`: what became of a talk, cue by cue, and what the next plan learns from it.

    presenter report                       the last talk: report.html and two tables, beside its journal
    presenter report 2026-11-22_093000     another one, by its folder's name in runs/talks or by its path
    presenter report --apply               write what was measured into the plan; medians, if of several talks

`--apply` writes the minutes that a cue took into its cue sheet, and the seconds that a cell ran into
presenter/runtimes.json.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from presenter import cues
from presenter.material import Material
from presenter.report import learn, talk
from presenter.report.page import CELLS_FILE, CUES_FILE, make_page
from presenter.report.tables import format_csv, tabulate_cells, tabulate_cues
from presenter.report.talk import TalkReport, count_of
from workshop import files, notebooks, profiles

PAGE_FILE = "report.html"


def main(argv: list[str]) -> int:
    """Report from the command line; return 2 if there is no such talk."""
    parser = argparse.ArgumentParser(
        prog="presenter report", description="Tell what became of a talk: planned against actual."
    )
    parser.add_argument("talks", nargs="*", help="as 2026-11-22_093000, or a folder; none: the last one")
    parser.add_argument("--apply", action="store_true", help="write what was measured into the plan")
    parser.add_argument("--profile", default="auto", help="of the talk's machine: mi300x, pocket or auto")
    parser.add_argument("--cues", type=Path, metavar="FOLDER", default=cues.CUES, help="its cue sheets")
    parser.add_argument(
        "--notebooks", type=Path, metavar="FOLDER", default=notebooks.FOLDER, help="its notebooks"
    )
    options = parser.parse_args(argv)
    try:
        label = profiles.choose(options.profile).label
        material = Material.read(options.cues, options.notebooks).measured_on(label)
        folders = talk.find_folders(options.talks)
        reports = [talk.read(folder, material) for folder in folders]
        for folder, report in zip(folders, reports, strict=True):
            print(describe_report(report, write_report(report, into=folder)))
        lines = learn.write_back(reports, label=label) if options.apply else [_offer_to_apply(reports)]
        print("\n".join(lines))
    except OSError as error:
        print(
            f"presenter report: {error}. Free some space or make the talk's folder readable and writable.",
            file=sys.stderr,
        )
        return 2
    except ValueError as error:
        print(f"presenter report: {error}", file=sys.stderr)
        return 2
    return 0


def write_report(report: TalkReport, *, into: Path) -> Path:
    """Write page and tables into a folder, and return the page's path."""
    texts = {
        PAGE_FILE: make_page(report),
        CUES_FILE: format_csv(tabulate_cues(report)),
        CELLS_FILE: format_csv(tabulate_cells(report)),
    }
    for name, text in texts.items():
        with files.replacing(into / name) as file:
            file.write(text.encode())
    return into / PAGE_FILE


def describe_report(report: TalkReport, page: Path) -> str:
    """Write a few lines about a talk for the terminal."""
    when = datetime.fromtimestamp(report.began).strftime("%d %B %Y, %H:%M")
    lines = [f"Talk of {when}: {talk.describe_length(report)}"]
    lines += [f"  {line}" for line in (*talk.summarize_report(report), report.note) if line]
    where = files.from_here(page)
    return "\n".join([*lines, f"  Report: {where}, with {CUES_FILE} and {CELLS_FILE} beside it\n"])


def _offer_to_apply(reports: Sequence[TalkReport]) -> str:
    minutes = count_of(len(learn.learn_minutes(reports)), "cue")
    seconds = count_of(sum(map(len, learn.learn_seconds(reports).values())), "cell")
    return f"--apply would change the minutes of {minutes} and keep the seconds of {seconds}."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
