"""Small cue sheets to read, check and plan with."""

from __future__ import annotations

from pathlib import Path

LEVELS = "\n\n".join(f"### {level}\n\n- A point." for level in ("Beginner", "Intermediate", "Advanced"))
COLUMNS = "| minutes | least | priority | if cut | fallback |\n|---|---|---|---|---|\n"


def cue(
    cells: str,
    *,
    title: str = "A title",
    minutes: object = 2,
    least: object = 1,
    priority: str = "must",
    if_cut: str = "skip",
    fallback: str = "–",
    body: str = f"**Say.** Look.\n\n{LEVELS}",
) -> str:
    """Write a cue; `cells` are its ids, with spaces between them."""
    ids = ", ".join(f"`{cell}`" for cell in cells.split())
    row = f"| {minutes} | {least} | {priority} | {if_cut} | {fallback} |"
    return f"## {ids} · {title}\n\n{COLUMNS}{row}\n\n{body}"


def write_sheet(path: Path, *parts: str, top: str = "") -> Path:
    """Write a sheet of cues and sections."""
    path.parent.mkdir(parents=True, exist_ok=True)
    top = top or f"# {path.stem[:2]} · A lesson\n\nWhat people take home."
    path.write_text("\n\n".join([top, *parts]) + "\n", encoding="utf-8")
    return path
