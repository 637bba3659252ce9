"""Memory on the second screen: what is used, and whether the next cell fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from presenter.console import card
from workshop.memory import Reading
from workshop.units import GIB


@pytest.mark.parametrize(
    ("need", "held", "said"),
    [
        (50, 0, ": fits."),
        (150, 0, ": may not fit beside the 60.0 GiB of others."),
        (150, 58, ": fits."),
        (250, 58, ": does not fit, there are 192 GiB in all."),
        (None, 0, ""),
    ],
)
def test_memory_says_whether_the_next_cell_fits(need: float | None, held: float, said: str) -> None:
    part = card.describe_memory(
        "GPU", Reading(60 * GIB, 192 * GIB), cell="last", need_gib=need, held_gib=held
    )
    assert part["text"] == "60.0 of 192 GiB used" and part["share"] == 31
    assert part["fits"] is ("not fit" not in said)
    assert part["need"].startswith("last needs " if said else "") and part["need"].endswith(said)
    assert bool(part["need"]) == bool(said)


def test_memory_that_nobody_knows_says_so() -> None:
    part = card.describe_memory("host", Reading(note="psutil is not installed"), cell="last", need_gib=3)
    assert part["text"] == "psutil is not installed" and part["share"] is None and part["fits"]


def test_card_is_read_from_its_driver_without_torch(tmp_path: Path) -> None:
    for name, used in (("card0", 10), ("card1", 60), ("card2", None)):
        folder = tmp_path / name / "device"
        folder.mkdir(parents=True)
        (folder / "mem_info_vram_used").write_text("N/A" if used is None else str(used * GIB))
        (folder / "mem_info_vram_total").write_text(str(192 * GIB))
    where, now = card.read_memory(cards=f"{tmp_path}/card*/device/mem_info_vram_used")
    assert (where, now.used, now.total) == ("GPU", 60 * GIB, 192 * GIB)
    where, now = card.read_memory(cards=f"{tmp_path}/none*")
    assert where == "host" and 0 < now.used < now.total
