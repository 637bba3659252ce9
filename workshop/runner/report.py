"""Write what a run did as one HTML page that stands alone: pictures, seconds per cell, memory, versions."""

from __future__ import annotations

import base64
import importlib.util
import io
import itertools
import os
import platform
import runpy
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop import __version__, files, pictures
from workshop.runner.result import NOT_RUN, CellRun, NotebookRun
from workshop.units import GIB, duration

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup
    from PIL import Image

TEMPLATE = Path(__file__).with_suffix(".html.j2")
WIDEST = 640  # image px; larger pictures are embedded smaller, their files lie beside the report
TABLE = {"table", "thead", "tbody", "tr", "th", "td"}  # what is kept of a DataFrame's HTML
PACKAGES = ("torch", "torchvision", "diffsynth", "transformers", "numpy", "pillow", "ipykernel", "papermill")
MADE_BY = {
    "pocket": "Pictures by the pocket model: a miniature with Qwen-Image's architecture, trained for this "
    "workshop. They show how the method works, not what Qwen-Image can draw.",
    "mi300x": "Pictures by Qwen-Image itself.",
}


@dataclass(frozen=True)
class Picture:
    """A picture that the run saved, as the page shows it."""

    link: str  # to the file, from the page
    data: str  # the picture itself, as a data: address
    alt: str
    prompt: str
    made: str  # seed, settings and model


@dataclass(frozen=True)
class Output:
    """What a cell showed: the gallery's own HTML, a table, or a plot."""

    html: Markup | None = None
    table: Markup | None = None
    data: str = ""  # of a plot, as a data: address
    alt: str = ""  # of a plot or a table: where it stands


def write(runs: Sequence[NotebookRun], *, output: Path, profile: str, started: datetime) -> Path:
    """Write report.html into the run's folder and return its path."""
    facts: dict[str, Any] = {
        "verdict": _verdict(runs),
        "stopped": [run for run in runs if run.problem],
        "profile": profile,
        "when": started.strftime("%d %B %Y, %H:%M"),
        "seconds": sum(run.seconds for run in runs),
        "largest": max(runs, key=lambda run: run.peak_bytes),
        "made_by": MADE_BY.get(profile, ""),
        "pictures": _pictures(output / "pictures"),
        "runs": runs,
        "versions": read_versions(),
    }
    page = output / "report.html"
    page.write_text(_template().render(facts), encoding="utf-8")
    return page


def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals["NOT_RUN"] = NOT_RUN
    ours = (duration, _memory, _sections, _longest, _outputs)
    made.filters |= {one.__name__.lstrip("_"): one for one in ours}
    return made.get_template(TEMPLATE.name)


def read_versions() -> dict[str, str]:
    """Read which software and machine this is, without importing torch."""
    import psutil

    memory = psutil.virtual_memory().total / GIB
    facts = {
        "workshop": f"{__version__} {_commit()}".strip(),
        "Python": platform.python_version(),
        "system": platform.platform(),
        "machine": f"{os.cpu_count()} CPU cores, {memory:.0f} GiB memory",
    }
    for package in PACKAGES:
        try:
            facts[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            facts[package] = "not installed"
    if _torch_build():
        facts["torch"] += f" ({_torch_build()})"
    return facts


def _torch_build() -> str:
    # torch/version.py is a few assignments; importing torch itself would take seconds
    torch = importlib.util.find_spec("torch")
    if torch is None or torch.origin is None:
        return ""
    build = runpy.run_path(str(Path(torch.origin).with_name("version.py")))
    if build.get("hip"):
        return f"built for ROCm {build['hip']}"
    return f"built for CUDA {build['cuda']}" if build.get("cuda") else "built for CPU"


def _commit() -> str:
    command = ["git", "-C", str(files.REPO), "describe", "--always", "--dirty=, changed since"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):  # no git, or not a clone
        return ""
    return f"(commit {said})"


def _verdict(runs: Sequence[NotebookRun]) -> str:
    stopped = [run.name for run in runs if run.problem]
    if stopped:
        return f"{len(stopped)} of {len(runs)} notebooks stopped: {', '.join(stopped)}"
    return ("The notebook" if len(runs) == 1 else f"All {len(runs)} notebooks") + " ran from top to bottom"


def _memory(run: NotebookRun) -> str:
    card = "" if run.card_bytes is None else f", {run.card_bytes / GIB:.1f} GiB on the GPU"
    return f"{run.peak_bytes / GIB:.1f} GiB{card}"


def _sections(run: NotebookRun) -> list[tuple[str, list[CellRun]]]:
    grouped = itertools.groupby(run.cells, key=lambda cell: cell.heading)
    return [(heading, list(cells)) for heading, cells in grouped]


def _longest(run: NotebookRun) -> float:
    return max(1.0, *[cell.seconds for cell in run.cells])  # s; short cells get short bars


def _pictures(folder: Path) -> list[Picture]:
    return [_picture(path, root=folder.parent) for path in sorted(folder.rglob("*.png"), key=_age)]


def _age(path: Path) -> tuple[int, str]:
    return path.stat().st_mtime_ns, path.name


def _picture(path: Path, *, root: Path) -> Picture:
    from PIL import Image

    with Image.open(path) as image:
        seen = pictures.to_rgb(image, tell=str)  # a note has no place beside the picture
    facts = image.info
    prompt = str(facts.get("prompt", path.stem))
    made = [f"{key} {facts[key]}" for key in ("seed", "num_inference_steps", "cfg_scale") if key in facts]
    made += [str(facts[key]) for key in ("made by",) if key in facts]
    link = path.relative_to(root).as_posix()
    return Picture(link, _embedded(seen), str(facts.get("alt", prompt)), prompt, " · ".join(made))


def _embedded(image: Image.Image) -> str:
    small = image.copy()
    small.thumbnail((WIDEST, WIDEST))
    buffer = io.BytesIO()
    if max(image.size) <= WIDEST:
        small.save(buffer, "PNG")
        return _data_uri("image/png", buffer.getvalue())
    small.convert("RGB").save(buffer, "JPEG", quality=88)
    return _data_uri("image/jpeg", buffer.getvalue())


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _outputs(run: NotebookRun) -> list[Output]:
    return [output for cell in run.cells for output in _shown(cell)]


def _shown(cell: CellRun) -> list[Output]:
    import nh3
    from markupsafe import Markup

    found = []
    words = f"{cell.heading} (cell {cell.number})".strip()
    for output in cell.outputs:
        data = output.get("data", {})
        page = data.get("text/html", "")
        if "<figure" in page and "<script" not in page:
            found.append(Output(Markup(page)))  # the gallery wrote it, and escaped what is in it
        elif 'class="dataframe"' in page:
            found.append(Output(table=Markup(nh3.clean(page, tags=TABLE, attributes={})), alt=words))
        elif "image/png" in data:
            png = data["image/png"].replace("\n", "")
            found.append(Output(data=f"data:image/png;base64,{png}", alt=words))
    return found
