"""Run the notebooks from top to bottom, each in a fresh kernel, and write down what happened.

    ./scripts/run                        every notebook
    ./scripts/run 02 --profile pocket    one of them, with the pocket model
    ./scripts/run --jobs 1               one after the other
    ./scripts/run --warm-up              no notebook: a short picture with each pipeline that they use

On a CPU notebooks run side by side, as many as its cores and the free memory allow, with one thread each.

The result is a folder with the executed notebooks, the pictures they made, report.html and run.json.
A notebook counts as run only if every code cell has an execution count and none shows an error: after a
kernel's death papermill writes "completed" even into cells that never started.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path

from workshop import amounts, files, memory, notebooks, profiles
from workshop.runner import jobs as jobs_of
from workshop.runner import report
from workshop.runner.jobs import run_side_by_side
from workshop.runner.result import NOT_RUN, NotebookRun, read_cells
from workshop.units import GIB, duration

CELL_TIMEOUT = 3600.0  # s; the longest cell on an MI300X trains a LoRA, which is unmeasured
KERNEL_START_TIMEOUT = 180  # s
BAR = "{desc} {bar:30} {n_fmt}/{total_fmt} cells, {elapsed}"


def run(
    names: list[str],
    *,
    profile: str,
    output: Path,
    folder: Path = notebooks.FOLDER,
    cell_timeout: float = CELL_TIMEOUT,
    jobs: int = 1,
) -> int:
    """Execute notebooks into an output folder, print what happens, and write the report.

    names: stems, beginnings of stems, or paths; none means all
    folder: where the notebooks are
    profile: handed to each notebook as its parameter `profile`
    jobs: how many run at once
    returns: 0 if every cell of every notebook ran without an error, else 1

    Raises ValueError for an unknown name, a notebook that takes no profile, or an output folder in use.
    """
    chosen = notebooks.select(names, folder=folder)
    for path in chosen:
        demand_parameter(path)
    demand_output(output)
    pictures = files.make_folder(output.absolute() / "pictures", remedy="Take another --output.")

    plural = "s" if len(chosen) > 1 else ""
    beside = f", {jobs} at once" if jobs > 1 else ""
    print(f"Running {len(chosen)} notebook{plural} into {files.from_here(output)}{beside}", flush=True)
    started = datetime.now().astimezone()
    one = partial(execute, into=output, profile=profile, cell_timeout=cell_timeout)
    found = {}
    with kernel_environment(profile, pictures=pictures, threads=1 if jobs > 1 else None):
        pairs = (
            run_side_by_side(chosen, one, jobs=jobs) if jobs > 1 else ((path, one(path)) for path in chosen)
        )
        for path, result in pairs:
            found[path] = result
            print(summarise(result), flush=True)
            if jobs > 1:
                print_failure(result, output=output)  # at once: the others may take long
    results = [found[path] for path in chosen]
    for result in results if jobs == 1 else ():
        print_failure(result, output=output)

    page = report.write(results, output=output, profile=profile, started=started)
    (output / "run.json").write_text(as_json(results, profile=profile, started=started), encoding="utf-8")
    good = sum(not result.problem for result in results)
    print(f"\n{good} of {len(results)} ran from top to bottom. Report: {files.from_here(page)}")
    return 0 if good == len(results) else 1


def demand_output(output: Path) -> None:
    """Raise ValueError unless the folder for the results is empty, or can be made; nothing is made."""
    files.demand_folder(output, remedy="Take another --output.")
    if output.exists() and any(output.iterdir()):
        raise ValueError(f"{output} is not empty. Choose another folder with --output, or remove this one.")


def demand_parameter(notebook: Path) -> None:
    """Raise ValueError unless the notebook has a `profile` to set; papermill would only warn."""
    for cell in notebooks.read(notebook).cells:
        if "parameters" in cell.tags and re.search(r"^profile\b.*=", cell.source, re.MULTILINE):
            return
    raise ValueError(
        f"{notebook.name} would ignore the profile: it has no cell tagged `parameters` that sets `profile`. "
        'Add one: profile = "auto"'
    )


def execute(notebook: Path, *, into: Path, profile: str, cell_timeout: float = CELL_TIMEOUT) -> NotebookRun:
    """Run one notebook in a fresh kernel, in its own folder as JupyterLab does, and keep the executed copy.

    into: the folder for the copy
    cell_timeout: s that a cell may run
    """
    import papermill
    from traitlets.config import Config

    executed = into.absolute() / notebook.name
    if not sys.stderr.isatty():  # a log has no progress bar
        print(f"  … {notebook.stem}", flush=True)
    bar = {"desc": f"  … {notebook.stem:<18}", "bar_format": BAR, "leave": False, "disable": None}
    problem = ""
    started = time.monotonic()
    with memory.Sampler() as sampled:
        try:
            papermill.execute_notebook(
                notebook,
                executed,
                {"profile": profile},
                kernel_name="python3",
                language="python",
                cwd=notebook.parent,
                progress_bar=bar,
                start_timeout=KERNEL_START_TIMEOUT,
                execution_timeout=cell_timeout,
                config=Config(KernelManager={"transport_encryption": "auto"}),  # else each kernel warns
            )
        except Exception as error:  # whatever went wrong is this notebook's result; the others still run
            problem = explain(error, cell_timeout=cell_timeout)
    cells = read_cells(executed if executed.exists() else notebook, problem=problem)
    skipped = sum(cell.state == NOT_RUN for cell in cells)
    if not problem and (skipped or not cells):
        problem = f"{skipped} of {len(cells)} cells did not run" if cells else "it has no code cell"
    seconds = time.monotonic() - started
    return NotebookRun(notebook.stem, cells, seconds, problem, sampled.peak, sampled.card_peak)


def explain(error: Exception, *, cell_timeout: float) -> str:
    """Write in a few words why papermill stopped."""
    known = {
        "PapermillExecutionError": "a cell failed",
        "DeadKernelError": "the kernel died",
        "CellTimeoutError": f"a cell ran for more than {cell_timeout:g} s",
    }
    return known.get(type(error).__name__, f"{type(error).__name__}: {error}")


@contextmanager
def kernel_environment(profile: str, *, pictures: Path, threads: int | None = None) -> Iterator[None]:
    """Set the variables that the kernels inherit, and restore the environment afterwards.

    profile: by its name
    pictures: where the notebooks save theirs; the trainings of LoRAs go beside it, into checkpoints/
    threads: for torch in each; None leaves it to the profile
    """
    wanted = {
        "PYTHONHASHSEED": "0",
        "JUPYTER_PREFER_ENV_PATH": "1",  # a kernel of the same name elsewhere on the machine must not win
        "WORKSHOP_PROFILE": profile,
        "WORKSHOP_PICTURES": str(pictures),
        "WORKSHOP_CHECKPOINTS": str(pictures.parent / "checkpoints"),
    }
    if threads:
        wanted["OMP_NUM_THREADS"] = str(threads)
    before = {key: os.environ.get(key) for key in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


def summarise(result: NotebookRun) -> str:
    """Write in one line what became of a notebook."""
    mark = "✗" if result.problem else "✓"
    what = result.problem or f"{len(result.cells)} cells"
    if result.failed_cell:
        what = f"{result.problem} (cell {result.failed_cell.number} of {len(result.cells)})"
    took, peak = duration(result.seconds), result.peak_bytes / GIB
    return f"  {mark} {result.name:<18} {took:>12}  peak {peak:.1f} GiB  {what}"


def print_failure(result: NotebookRun, *, output: Path) -> None:
    """Print the cell that failed, the end of its traceback, and where the executed notebook is."""
    if not result.problem:
        return
    cell = result.failed_cell
    where = f", code cell {cell.number}" if cell else ""
    print(f"\n✗ {result.name}{where}: {result.problem}")
    if cell:
        section = f" under {cell.heading!r}" if cell.heading else ""
        print(f"  The cell{section}:")
        print("\n".join(f"    | {text}" for text in cell.source.splitlines()))
        for text in cell.error.splitlines()[-25:]:
            print(f"    {text}")
    for not_run in [cell for cell in result.cells if cell.state == NOT_RUN][:3]:
        print(f"  Did not run: cell {not_run.number}: {not_run.source.splitlines()[0]}")
    print(f"  Executed as far as it went: {files.from_here(output / (result.name + '.ipynb'))}")


def as_json(results: list[NotebookRun], *, profile: str, started: datetime) -> str:
    """Write states and timings as JSON, for other programs; the cells' outputs are left out."""
    written = [asdict(result) for result in results]
    for notebook in written:
        for cell in notebook["cells"]:
            del cell["outputs"]
    summary = {"started": started.isoformat(), "profile": profile, "notebooks": written}
    return json.dumps(summary, indent=1, ensure_ascii=False) + "\n"


def warm_up(paths: list[Path], profile: profiles.Profile) -> int:
    """Draw a short picture with each pipeline that notebooks use, and print what it took.

    returns: 0 if all pipelines drew, else 1

    Raises ValueError if a notebook cannot be read.
    """
    from workshop import bench, trial

    rate, code = bench.measure_rate(profile), 0
    names = trial.choose(paths)
    print(f"Warming up: {', '.join(names) or 'nothing, for these notebooks use no pipeline'}", flush=True)
    for name in names:
        print(f"  … {name}", flush=True)
        try:
            with redirect_stdout(io.StringIO()):  # DiffSynth tells what it loads
                tried = trial.run(name, profile, rate=rate)
        except Exception as error:  # the others still warm up
            print(f"  ✗ {name}: {type(error).__name__}: {error}", flush=True)
            code = 1
        else:
            slow = ", slow: does something else use the machine?" if tried.slow else ""
            print(f"  ✓ {name}: {tried}{slow}", flush=True)
    return code


def main(argv: list[str]) -> int:
    """Run from the command line.

    returns: 0 if every cell ran, 1 if not, 2 for a bad argument, 130 if stopped
    """
    parser = argparse.ArgumentParser(
        prog="./scripts/run", description="Run the notebooks, each in a fresh kernel, and write a report."
    )
    parser.add_argument(
        "names", nargs="*", help="as 01, 02_inference or notebooks/04_multilingual.ipynb; none: all"
    )
    parser.add_argument("--profile", default="auto", help="mi300x, pocket or auto (the default)")
    parser.add_argument("--output", type=Path, help="folder for the results; otherwise runs/<time>")
    parser.add_argument(
        "--cell-timeout",
        type=amounts.decimal(above=True),
        default=CELL_TIMEOUT,
        help="s; default %(default)g",
    )
    parser.add_argument(
        "--jobs",
        type=amounts.whole(least=1),
        help="notebooks at once; default: as many as cores and memory allow, on a GPU one",
    )
    parser.add_argument(
        "--warm-up",
        action="store_true",
        help="run no notebook: a short picture with each pipeline that they use, so that kernels are found",
    )
    parser.add_argument("--dry-run", action="store_true", help="check the arguments and say what would run")
    options = parser.parse_args(argv)
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    output = options.output or files.REPO / "runs" / stamp
    try:
        profile = profiles.use(options.profile, models=options.warm_up and not options.dry_run)
        paths = notebooks.select(options.names)
        chosen = [path.stem for path in paths]
        if options.dry_run:
            demand_output(output)
            would = ", ".join(chosen)
            warm = f"Would run a short picture with each pipeline of {would}"
            print(warm if options.warm_up else f"Would run {would} into {files.from_here(output)}")
            return 0
        if options.warm_up:
            return warm_up(paths, profile)
        gpu, count = profile.device == "cuda", len(chosen)
        if gpu and (options.jobs or 1) > 1:
            raise ValueError("--jobs: on a GPU notebooks run one at a time, for each fills it. Leave it out.")
        jobs = min(options.jobs or jobs_of.choose(count, gpu=gpu), count)
        return run(
            options.names, profile=profile.name, output=output, cell_timeout=options.cell_timeout, jobs=jobs
        )
    except (ValueError, RuntimeError) as error:
        print(f"./scripts/run: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nStopped. What ran so far is in {files.from_here(output)}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
