"""Memory as the server reads it, without torch and without asking a kernel, which may be busy or dead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workshop import memory
from workshop.memory import Reading
from workshop.units import GIB


def read_memory(*, cards: str = memory.CARDS) -> tuple[str, Reading]:
    """Read the bytes in use and in all: of the fullest GPU, or of the host where there is no GPU.

    cards: the driver's files, as `memory.read_cards` takes them
    returns: "GPU" or "host", and the reading
    """
    found = [one for one in memory.read_cards(cards) if one.share is not None]
    if found:
        return "GPU", max(found, key=lambda one: one.share or 0)
    if Path(memory.AMDSMI_HOME).is_dir():
        smi = memory.card_from_amdsmi()
        if smi.used is not None and smi.total:
            return "GPU", smi
    return "host", memory.report().host


def describe_memory(
    where: str, now: Reading, *, cell: str, need_gib: float | None, held_gib: float = 0.0
) -> dict[str, Any]:
    """Return the page's part about memory, and whether a cell that comes fits.

    where: as from `read_memory`
    cell: the one of those to be run next that needs most
    need_gib: the most that was in use at a rehearsal while it ran; None: not known
    held_gib: what its kernel holds now, according to the rehearsal; the rest in use belongs to others
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
        need = f"{cell} needs {need_gib:.1f} GiB, as rehearsed: {word}."
    return {"name": where, "text": text, "share": round(100 * used / total), "need": need, "fits": fits}
