"""Amounts are written with their unit, and GB and GiB are two units."""

from __future__ import annotations

import pytest

from workshop import units
from workshop.units import GIB, MIB


@pytest.mark.parametrize(
    ("count", "text"),
    [(40_860_802_176, "40.86 GB"), (253_785_062, "253.8 MB"), (4_700, "4.7 kB"), (12, "12 B")],
)
def test_sizes_read_as_the_hubs_write_them(count: int, text: str) -> None:
    assert units.gb(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(GIB, "1.00 GiB"), (-GIB, "-1.00 GiB"), (3 * MIB, "3.0 MiB"), (0, "0.0 MiB"), (None, "–")],
)
def test_gib_is_two_to_the_thirty(count: int | None, text: str) -> None:
    assert units.gib(count) == text


def test_a_gain_is_written_with_its_sign_if_asked() -> None:
    assert (units.gib(GIB, sign="+"), units.gib(-GIB, sign="+")) == ("+1.00 GiB", "-1.00 GiB")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 00 s"), (3599.6, "60 min 00 s")]
)
def test_a_minute_and_more_is_written_in_minutes(seconds: float, text: str) -> None:
    assert units.duration(seconds) == text


def test_a_clock_shows_whole_seconds_and_no_sign() -> None:
    assert (units.clock(0.999), units.clock(-61.5)) == ("1:00", "61:30")
