"""Memory as the server sees it, without torch: it still answers when the kernel is busy or dead."""

from __future__ import annotations

from pathlib import Path

from workshop import memory
from workshop.memory import Reading
from workshop.runner import run
from workshop.units import GIB


def reading(*, cards: str = run.CARDS) -> tuple[str, Reading]:
    """Say what is used and how much there is: of the fullest GPU, or of the host where there is no GPU.

    cards: files in which the amdgpu driver says how many bytes of each card are in use
    """
    found = [one for file in Path("/").glob(cards.lstrip("/")) if (one := _driver(Path(file)))]
    if found:
        return "GPU", max(found, key=lambda one: one.used / one.total)
    if Path(memory.AMDSMI_HOME).is_dir():
        smi = memory.card_from_amdsmi()
        if smi.used is not None and smi.total:
            return "GPU", smi
    return "host", memory.report().host


def _driver(used: Path) -> Reading | None:
    total = used.with_name(used.name.replace("_used", "_total"))
    try:
        return Reading(int(used.read_text()), int(total.read_text()))
    except (OSError, ValueError):  # a guest's driver may list the files and not serve them
        return None


def part(where: str, now: Reading, *, need_gib: float | None, held_gib: float = 0.0) -> dict:
    """Say it on the page, and whether the next cell fits.

    need_gib: the most that was in use at a rehearsal while the cell ran; None: not known
    held_gib: what its kernel holds now, judged by the rehearsal; the rest of what is used is somebody else's
    """
    if now.used is None or not now.total:
        return {"name": where, "text": now.note or "not known", "share": None, "need": "", "fits": True}
    used, total = now.used / GIB, now.total / GIB
    text = f"{used:.1f} of {total:.0f} GiB used"
    need, fits = "", True
    if need_gib is not None:
        others = max(0.0, used - held_gib)
        fits = others + need_gib <= total
        if need_gib > total:
            word = f"does not fit, there are {total:.0f} GiB in all"
        else:
            word = "fits" if fits else f"may not fit beside the {others:.1f} GiB of others"
        need = f"The next cell needs {need_gib:.1f} GiB, as rehearsed: {word}."
    return {"name": where, "text": text, "share": round(100 * used / total), "need": need, "fits": fits}
