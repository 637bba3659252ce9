"""Rehearse the mi300x path with random weights of the true size: what runs, how long, and in how much memory.

    ./scripts/rehearse_full_size /dev/shm/weights              # all; says first how much room it needs
    ./scripts/rehearse_full_size weights --models Qwen-Image   # what fits on a smaller machine
    ./scripts/rehearse_full_size weights --write               # only the files; needs no GPU

Everything goes through the code that the notebooks use. What does not fit is left out, and the table says so;
what fails is named, the rest goes on, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from workshop import amounts, bench, files, loading, memory, preflight, profiles, trial, units
from workshop import models as catalogue
from workshop.runner import report, run
from workshop.training import dataset, loop

TABLE = "rehearsal.json"


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    what: str
    outcome: str  # "done", or "left out: …", or "failed: …"
    seconds: float | None = None
    predicted_seconds: float | None = None
    peak: int | None = None  # bytes above what was held before
    predicted_peak: int | None = None
    where: str = ""  # whose memory it is: "GPU" or "host"

    @property
    def failed(self) -> bool:
        """Return whether something broke that should have run."""
        return self.outcome.startswith("failed")

    def __str__(self) -> str:
        if self.seconds is None:
            return f"{self.what:<44} {self.outcome}"
        predicted = "" if self.predicted_seconds is None else f"({self.predicted_seconds:.1f} predicted)"
        amount = units.gib(self.peak)
        expected = "" if self.predicted_peak is None else f"({units.gib(self.predicted_peak)} predicted)"
        what = f"{self.what:<44} {self.seconds:>8.1f} s {predicted:<18} {amount:>11} {self.where} {expected}"
        return what.rstrip() + (f"  {self.outcome}" if self.failed else "")


def rehearse(
    profile: profiles.Profile,
    *,
    names: Sequence[str] = tuple(catalogue.PIPELINES),
    steps: int = 2,
    output: Path,
    auto_resize: bool = True,
    notebooks: Sequence[str] | None = (),
) -> Iterator[Line]:
    """Yield the table line by line: preflight, each pipeline's load and picture, training, the notebooks.

    names: the pipelines; steps: denoising steps of a picture; output: folder for what is made
    auto_resize: whether DiffSynth brings references to the area that it was trained on, 1024²
    notebooks: their names; none means all, None leaves them out
    """
    rate = bench.measure_rate(profile)
    yield Line(f"matrices: {rate / 1e12:.2f} TFLOP/s in {profile.dtype_name}", "done")
    yield attempt("preflight", lambda: demand_ready(profile), log=output)
    for name in names:
        yield load(name, profile, log=output)
        if name in loading.loaded():
            yield draw(name, profile, rate=rate, steps=steps, output=output, auto_resize=auto_resize)
    loading.free()
    for recompute in (False, True):
        yield train(profile, recompute=recompute, output=output)
    if notebooks is not None:
        yield attempt(
            "notebooks", lambda: run_notebooks(list(notebooks), profile, output / "notebooks"), log=output
        )


def attempt(
    what: str,
    call: Callable[[], object],
    *,
    log: Path,
    predicted_seconds: float | None = None,
    predicted_peak: int | None = None,
) -> Line:
    """Do one thing and return its line; what it prints, and how it failed, goes to `log`/rehearsal.log."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), memory.track(what) as cost:
            call()
    except MemoryError as error:
        return Line(what, f"left out: {_first_line(error)}")
    except Exception as error:  # the rehearsal is there to find whatever breaks
        printed.write(traceback.format_exc())
        return Line(what, f"failed: {type(error).__name__}: {_first_line(error)}")
    finally:
        with (log / "rehearsal.log").open("a", encoding="utf8") as file:
            file.write(f"== {what}\n{printed.getvalue()}\n")
    return Line(what, "done", cost.seconds, predicted_seconds, cost.peak, predicted_peak, cost.where)


def demand_ready(profile: profiles.Profile) -> None:
    """Raise RuntimeError, naming what preflight misses, if it misses anything."""
    lacking = [f"{one.name}: {one.found}" for one in preflight.check(profile) if one.needed and not one.ok]
    if lacking:
        raise RuntimeError("; ".join(lacking))


def demand_gpu(folder: Path) -> None:
    """Raise RuntimeError if there is no GPU to rehearse on: before 99 GB are written, not after."""
    gpu, why_none = profiles.find_gpu()
    if gpu is None:
        raise RuntimeError(
            f"A rehearsal needs a GPU: {why_none}. Nothing was written. "
            f"For the files alone: ./scripts/rehearse_full_size {folder} --write"
        )


def load(name: str, profile: profiles.Profile, *, log: Path) -> Line:
    """Load one pipeline beside the others; where it does not fit, the others are freed first."""
    before = catalogue.pipeline_bytes(loading.loaded()) if loading.loaded() else 0
    fresh = catalogue.pipeline_bytes([*loading.loaded(), name]) - before
    predicted = fresh // 2 * loading.BYTES[profile.dtype_name]
    return attempt(f"load {name}", lambda: trial.load(name, profile), log=log, predicted_peak=predicted)


def draw(
    name: str, profile: profiles.Profile, *, rate: float, steps: int, output: Path, auto_resize: bool = True
) -> Line:
    """Draw one picture with a pipeline that is loaded, and keep it in `output`."""
    pipe = loading.load_pipeline(name, profile=profile)

    def call() -> None:
        picture = trial.draw(pipe, profile, name=name, steps=steps, auto_resize=auto_resize)
        picture.save(output / f"{name}.png")

    work = trial.count_work(name, pipe, size=profile.size, auto_resize=auto_resize)
    return attempt(
        f"{name}: a picture of {profile.size}×{profile.size}, {steps} steps",
        call,
        log=output,
        predicted_seconds=steps * work / rate,
        predicted_peak=profile.working_bytes,
    )


def train(profile: profiles.Profile, *, recompute: bool, output: Path) -> Line:
    """Train a LoRA for one step a picture of the dog, in the way that the notebook's command does."""
    words = f"--profile {profile.name} --dataset_base_path {dataset.DOG} --dataset_repeat 1 --num_epochs 1"
    how = "with" if recompute else "without"
    words += f" --sample_steps 0 --restart --output_path {output / f'lora-{how}-checkpointing'}"
    arguments = words.split() + (["--use_gradient_checkpointing"] if recompute else [])
    what = f"train a LoRA, gradient checkpointing {'on' if recompute else 'as memory allows'}"

    def call() -> None:
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            code = loop.main(arguments)
        if code:
            raise RuntimeError(errors.getvalue().strip() or f"the command ended with {code}")

    line = attempt(what, call, log=output)
    if loading.loaded():
        loading.free()
    return line


def run_notebooks(names: list[str], profile: profiles.Profile, output: Path) -> None:
    """Run notebooks as ./scripts/run does; raise RuntimeError, naming the report, if a cell failed."""
    if run.run(names, profile=profile.name, output=output):
        raise RuntimeError(f"a cell failed; see {files.from_here(output / 'report.html')}")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["no message"])[0]


def write_down(lines: Sequence[Line], output: Path, *, profile: profiles.Profile) -> Path:
    """Write the table as JSON, with device, date and versions; return its file."""
    facts = {
        "device": profile.gpu.name if profile.gpu else profile.device,
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": report.read_versions(),
        "lines": [asdict(line) for line in lines],
    }
    path = output / TABLE
    path.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf8")
    return path


def main(argv: list[str]) -> int:
    """Write the weights and rehearse; see --help.

    returns: 0 if all that fits ran, 1 if something failed, 2 for a bad argument or too little room
    """
    parser = argparse.ArgumentParser(
        prog="./scripts/rehearse_full_size",
        description="Rehearse the mi300x path with random weights of the true size.",
    )
    parser.add_argument(
        "folder", type=Path, help="where the weights go: a disk, or memory as /dev/shm/weights"
    )
    parser.add_argument("--models", nargs="+", default=list(catalogue.MODELS), help="default: all")
    parser.add_argument("--steps", type=amounts.whole(least=2), default=2, help="of a picture; default 2")
    parser.add_argument("--write", action="store_true", help="write the weights and stop")
    parser.add_argument("--no-notebooks", action="store_true", help="leave the notebooks out")
    parser.add_argument("--output", type=Path, help="folder for the results; otherwise runs/<time>")
    options = parser.parse_args(argv)
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    output = options.output or files.REPO / "runs" / f"full-size-{stamp}"
    folder = options.folder.expanduser().absolute()
    try:
        if not options.write:
            demand_gpu(folder)
        _write(folder, options.models)
        if options.write:
            return 0
        os.environ["WORKSHOP_MODELS"] = str(folder)
        profile = profiles.use("mi300x")
        files.make_folder(output, remedy="Take another --output.")
    except (ValueError, RuntimeError, OSError) as error:
        print(f"./scripts/rehearse_full_size: {error}", file=sys.stderr)
        return 2
    names = [name for name in catalogue.PIPELINES if not profiles.find_missing(name, profile)]
    lines = []
    for line in rehearse(
        profile,
        names=names,
        steps=options.steps,
        output=output,
        notebooks=None if options.no_notebooks else (),
    ):
        print(line, flush=True)
        lines.append(line)
    print(f"The table is in {files.from_here(write_down(lines, output, profile=profile))}")
    return 1 if any(line.failed for line in lines) else 0


def _write(folder: Path, names: Sequence[str]) -> None:
    from workshop.full_size import weights

    plans, links = weights.plan(folder, names)
    size = sum(one.bytes for one in plans)
    print(
        f"{units.gb(size)} of random weights in {folder}, {len(links)} files more as hard links", flush=True
    )
    weights.write(folder, names)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
