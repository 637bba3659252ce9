"""Run the notebooks as a rehearsal: measure each cell's time and memory, and keep what it shows.

    presenter rehearse                              every notebook once, on this machine's profile
    presenter rehearse 02 --times 3 --apply         medians of three runs go into presenter/runtimes.json

`--apply` also keeps the fallback pictures that the cue sheets name, in data/fallback.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from presenter import cues, fallbacks, runtimes
from presenter.runtimes import Runtime
from workshop import amounts, files, gallery, memory, notebooks, profiles
from workshop.files import REPO
from workshop.runner import run
from workshop.units import GIB, duration


@dataclass(frozen=True)
class Measured:
    """What one run of a cell took."""

    seconds: float
    peak_gib: float | None  # as in Runtime


Cells = Mapping[str, Mapping[str, Measured]]  # notebook, cell id


def rehearse(
    names: Sequence[str],
    *,
    profile: str,
    output: Path,
    times: int = 1,
    books: Path = notebooks.FOLDER,
) -> tuple[int, list[Cells]]:
    """Run the notebooks several times, each time into a folder of its own below `output`: 1, 2, …

    returns: the number of runs in which a cell failed, and what each run measured

    Raises ValueError as workshop.runner.run.run does.
    """
    failed = 0
    measured: list[Cells] = []
    for number in range(1, times + 1):
        folder = output / str(number)
        with memory.Sampler() as sampled:
            failed += run.run(list(names), profile=profile, output=folder, folder=books) != 0
        measured.append({path.stem: measure_cells(path, sampled) for path in notebooks.find(folder=folder)})
    return failed, measured


def measure_cells(executed: Path, sampled: memory.Sampler) -> dict[str, Measured]:
    """Read what each cell of an executed notebook took; cells that failed or did not run are left out.

    sampled: the memory while the notebook ran
    """
    found = {}
    for cell in notebooks.read(executed).cells:
        times = cell.metadata.get("papermill", {})
        ran = cell.execution_count is not None and times.get("end_time") and not times.get("exception")
        if ran and not cell.added:
            begin, end = (_seconds(times[key]) for key in ("start_time", "end_time"))
            used = sampled.between(begin, end)
            found[cell.id] = Measured(end - begin, None if used is None else used / GIB)
    return found


def take_medians(runs: Iterable[Cells]) -> dict[str, dict[str, Runtime]]:
    """Take the median of each cell over the runs in which it ran."""
    import pandas as pd

    rows = [
        (name, cell, measured.seconds, measured.peak_gib)
        for one in runs
        for name, cells in one.items()
        for cell, measured in cells.items()
    ]
    table = pd.DataFrame(rows, columns=["notebook", "cell", "seconds", "peak_gib"])
    cells = table.astype({"seconds": float, "peak_gib": float}).groupby(["notebook", "cell"], sort=False)
    medians = cells.agg(
        seconds=("seconds", "median"), peak_gib=("peak_gib", "median"), runs=("seconds", "count")
    )
    found: dict[str, dict[str, Runtime]] = defaultdict(dict)
    for one in medians.reset_index().itertuples():
        peak = None if math.isnan(one.peak_gib) else round(float(one.peak_gib), 2)
        found[one.notebook][one.cell] = Runtime(round(float(one.seconds), 2), peak, int(one.runs))
    return dict(found)


def _seconds(stamp: str) -> float:
    moment = datetime.fromisoformat(stamp)  # papermill writes UTC, in some releases without an offset
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def format_table(found: Mapping[str, Mapping[str, Runtime]]) -> str:
    """Write what each cell took, for the terminal."""
    lines = []
    for name, cells in found.items():
        whole = sum(one.seconds for one in cells.values())
        lines.append(f"\n{name}: {duration(whole)} in {len(cells)} cells")
        for cell, one in cells.items():
            peak = "" if one.peak_gib is None else f"{one.peak_gib:8.2f} GiB"
            lines.append(f"  {cell:<24} {one.seconds:8.2f} s {peak}")
    return "\n".join(lines).lstrip()


def keep_results(
    found: Mapping[str, Mapping[str, Runtime]], *, folder: Path, profile: profiles.Profile
) -> str:
    """Keep the medians, the pictures that the cue sheets name, and the pictures that the notebooks saved.

    folder: of the rehearsal whose pictures are kept
    returns: words that say what was kept
    """
    runtimes.write(profile.label, found)
    names = {cue.fallback for sheet in cues.read_all() if sheet.name in found for cue in sheet.cues}
    names |= {path.stem for path in (folder / "pictures" / profile.name).glob("*.png")}
    kept, missing = fallbacks.keep_pictures(names - {""}, folder, profile=profile)
    count = sum(len(cells) for cells in found.values())
    words = f"Kept the runtimes of {count} cells in {files.shorten(runtimes.FILE)}"
    words += f" and {len(kept)} fallback pictures in {files.shorten(gallery.FALLBACK)}."
    return words + (f" No picture was drawn for: {', '.join(missing)}." if missing else "")


def main(argv: list[str]) -> int:
    """Rehearse from the command line; return 1 if a cell failed, 2 if nothing could be run."""
    parser = argparse.ArgumentParser(
        prog="presenter rehearse", description="Run the notebooks and measure each cell."
    )
    parser.add_argument("names", nargs="*", help="as 01 or 02_inference; none: all")
    parser.add_argument("--profile", default="auto", help="mi300x, pocket or auto (the default)")
    parser.add_argument(
        "--times",
        type=amounts.whole(least=1, most=100),
        default=1,
        help="runs; their medians count. Default %(default)s",
    )
    parser.add_argument("--output", type=Path, help="folder for the results; otherwise runs/rehearsal-<time>")
    parser.add_argument("--apply", action="store_true", help="keep runtimes and fallback pictures")
    options = parser.parse_args(argv)
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    output = options.output or REPO / "runs" / f"rehearsal-{stamp}"
    try:
        profile = profiles.use(options.profile, models=False)
        run.demand_output(output)
        failed, runs = rehearse(options.names, profile=profile.name, output=output, times=options.times)
        found = take_medians(runs)
        print(f"\n{format_table(found)}")
        if options.apply:
            print(keep_results(found, folder=output / str(options.times), profile=profile))
    except OSError as error:
        remedy = "Free some space or make the folder writable, or take another --output."
        print(f"presenter rehearse: {error}. {remedy}", file=sys.stderr)
        return 2
    except (ValueError, RuntimeError) as error:
        print(f"presenter rehearse: {error}", file=sys.stderr)
        return 2
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
