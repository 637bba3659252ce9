"""Write what a run did as one HTML page that stands alone: pictures, seconds per cell, memory, versions."""

from __future__ import annotations

import base64
import importlib.util
import io
import os
import platform
import subprocess
from datetime import datetime
from html import escape
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from workshop import profiles
from workshop.runner.result import NOT_RUN, CellRun, NotebookRun
from workshop.units import GIB, duration

if TYPE_CHECKING:
    from PIL import Image


TEMPLATE = Path(__file__).with_suffix(".html")
WIDEST = 640  # image px; larger pictures are embedded smaller, their files lie beside the report
PACKAGES = ("torch", "torchvision", "diffsynth", "transformers", "numpy", "pillow", "ipykernel", "papermill")
MADE_BY = {
    "pocket": "Pictures by the pocket model: a miniature with Qwen-Image's architecture, trained for this "
    "workshop. They show how the method works, not what Qwen-Image can draw.",
    "mi300x": "Pictures by Qwen-Image itself.",
}


def write(results: list[NotebookRun], *, output: Path, profile: str, started: datetime) -> Path:
    """Write report.html into the run's folder and return its path."""
    body = [
        _verdict(results, profile=profile, started=started),
        *[_failure(result) for result in results if result.problem],
        _gallery(output / "pictures"),
        *[_notebook(result) for result in results],
        _machine(),
    ]
    page = output / "report.html"
    page.write_text(
        TEMPLATE.read_text(encoding="utf-8").replace("<!-- body -->", "\n".join(body)), encoding="utf-8"
    )
    return page


def versions() -> dict[str, str]:
    """Name the software and the machine, without importing torch."""
    import psutil

    from workshop import __version__

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
    spec = importlib.util.spec_from_file_location("torch_version", Path(torch.origin).with_name("version.py"))
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    if getattr(build, "hip", None):
        return f"built for ROCm {build.hip}"
    return f"built for CUDA {build.cuda}" if getattr(build, "cuda", None) else "built for CPU"


def _commit() -> str:
    command = ["git", "-C", str(profiles.REPO), "describe", "--always", "--dirty=, changed since"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):  # no git, or not a clone
        return ""
    return f"(commit {said})"


def _verdict(results: list[NotebookRun], *, profile: str, started: datetime) -> str:
    stopped = [result.name for result in results if result.problem]
    total = duration(sum(result.seconds for result in results))
    if stopped:
        said = f"{len(stopped)} of {len(results)} notebooks stopped: {', '.join(stopped)}"
    else:
        said = "The notebook ran" if len(results) == 1 else f"All {len(results)} notebooks ran"
        said += " from top to bottom"
    when = started.strftime("%d %B %Y, %H:%M")
    return f"""<header class="{"bad" if stopped else "good"}">
<p class="over">Qwen-Image Workshop · {escape(profile)} profile</p>
<h1>{escape(said)}</h1>
<p>{when} · {total} in all · peak memory {_memory(max(results, key=lambda result: result.peak_bytes))}</p>
<p class="note">{escape(MADE_BY.get(profile, ""))}</p>
</header>"""


def _memory(result: NotebookRun) -> str:
    card = "" if result.card_bytes is None else f", {result.card_bytes / GIB:.1f} GiB on the GPU"
    return f"{result.peak_bytes / GIB:.1f} GiB{card}"


def _failure(result: NotebookRun) -> str:
    cell = result.failed_cell
    details = ""
    if cell:
        details = f"<pre>{escape(cell.source)}</pre>"
        details += f"<pre class='error'>{escape(cell.error)}</pre>" if cell.error else ""
    idle = [str(other.number) for other in result.cells if other.state == NOT_RUN]
    did_not = f"<p>Did not run: cell {', '.join(idle)}.</p>" if idle else ""
    where = f", code cell {cell.number}" if cell else ""
    title = escape(f"{result.name}{where}: {result.problem}")
    return f"<section class='failure'><h2>{title}</h2>{details}{did_not}</section>"


def _gallery(pictures: Path) -> str:
    figures = [_picture(path, root=pictures.parent) for path in sorted(pictures.rglob("*.png"), key=_age)]
    if not figures:
        return ""
    return f"<section><h2>What was drawn</h2><div class='pictures'>{''.join(figures)}</div></section>"


def _age(path: Path) -> tuple[int, str]:
    return path.stat().st_mtime_ns, path.name


def _picture(path: Path, *, root: Path) -> str:
    from PIL import Image

    with Image.open(path) as image:
        image.load()
    facts = image.info
    prompt = str(facts.get("prompt", path.stem))
    made = [f"{key} {facts[key]}" for key in ("seed", "steps", "guidance") if key in facts]
    line = " · ".join([*made, *[str(facts[key]) for key in ("made by",) if key in facts]])
    alt = escape(str(facts.get("alt", prompt)))
    link = escape(path.relative_to(root).as_posix())
    return (
        f"<figure><a href='{link}'><img src='{_embedded(image)}' alt='{alt}'></a>"
        f"<figcaption><strong>{escape(prompt)}</strong><br>{escape(line)}</figcaption></figure>"
    )


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


def _notebook(result: NotebookRun) -> str:
    longest = max(1.0, *[cell.seconds for cell in result.cells])  # s; short cells get short bars
    rows, heading = [], None
    for cell in result.cells:
        if cell.heading != heading:
            heading = cell.heading
            rows.append(f"<tr class='heading'><th colspan='4'>{escape(heading)}</th></tr>")
        rows.append(_row(cell, longest=longest))
    shown = "".join(figure for cell in result.cells for figure in _shown(cell))
    outputs = f"<details><summary>Pictures in this notebook</summary>{shown}</details>" if shown else ""
    link = escape(result.name + ".ipynb")
    mark = "✗" if result.problem else "✓"
    return f"""<section><h2>{mark} <a href="{link}">{escape(result.name)}</a></h2>
<p>{len(result.cells)} code cells · {duration(result.seconds)} · peak memory {_memory(result)}</p>
<div class="scroll"><table>
<thead><tr><th>cell</th><th>begins with</th><th class="seconds">seconds</th><th></th></tr></thead>
<tbody>{"".join(rows)}</tbody></table></div>{outputs}</section>"""


def _row(cell: CellRun, *, longest: float) -> str:
    code = [text for text in cell.source.splitlines() if text.strip() and not text.lstrip().startswith("#")]
    first = code[0] if code else cell.source.splitlines()[0]
    seconds = f"{cell.seconds:.1f}" if cell.state != NOT_RUN else "not run"
    width = 100 * cell.seconds / longest
    state = cell.state.replace(" ", "-")
    return (
        f"<tr class='{state}'><td>{cell.number}</td><td><code>{escape(first)}</code></td>"
        f"<td class='seconds'>{seconds}</td><td class='bar'><i style='width:{width:.1f}%'></i></td></tr>"
    )


def _shown(cell: CellRun) -> list[str]:
    """Take the pictures out of a cell's outputs: the gallery's own HTML as it is, plots as figures."""
    figures = []
    for output in cell.outputs:
        data = output.get("data", {})
        page = "".join(data.get("text/html", ""))
        if "<figure" in page and "<script" not in page:
            figures.append(f"<div class='output'>{page}</div>")
        elif "image/png" in data:
            png = "".join(data["image/png"]).replace("\n", "")
            words = escape(f"{cell.heading} (cell {cell.number})".strip())
            img = f"<img src='data:image/png;base64,{png}' alt='{words}'>"
            figures.append(f"<figure class='output'>{img}<figcaption>{words}</figcaption></figure>")
    return figures


def _machine() -> str:
    rows = [f"<tr><th>{escape(key)}</th><td>{escape(value)}</td></tr>" for key, value in versions().items()]
    return f"""<section><h2>Made with</h2>
<div class="scroll"><table class="facts"><tbody>{"".join(rows)}</tbody></table></div>
<p class="note">Memory is the resident memory of the kernel and of what it starts, sampled every 0.2 s.
Seconds include saving the notebook after each cell.</p></section>"""
