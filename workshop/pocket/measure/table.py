"""The report's table: a figure a row, its target beside it, and a mark where the target is missed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

MISSED = "missed"
HEADING = "measured on held-out combinations"


@dataclass(frozen=True)
class Row:
    """One line of the table. met: whether the figure reaches its target; None where there is no target."""

    name: str
    figure: str
    target: str = ""
    met: bool | None = None


def at_least(name: str, value: float, target: float, *, unit: str = "%") -> Row:
    """Return a row whose figure should be the target or more. unit: "%" of a share in [0, 1], or "dB"

    >>> at_least("two people", 0.882, 0.92)
    Row(name='two people', figure='88.2%', target='≥ 92%', met=False)
    """
    if unit == "dB":
        return Row(name, f"{value:.2f} dB", f"≥ {target:g} dB", value >= target)
    return Row(name, f"{value:.1%}", f"≥ {target:.0%}", value >= target)


def even(name: str, values: Mapping[str, float], most: float) -> Row:
    """Return a row with one share for each of several groups, of which none may be far below another.

    values: group to a share in [0, 1]; most: how far the lowest may be below the highest

    >>> even("followed", {"light": 0.95, "dark": 0.91}, 0.03)
    Row(name='followed, light/dark', figure='95.0/91.0%', target='≤ 3 points apart', met=False)
    """
    apart = max(values.values()) - min(values.values())
    figures = "/".join(f"{100 * value:.1f}" for value in values.values())
    target = f"≤ {100 * most:.0f} points apart"
    return Row(f"{name}, {'/'.join(values)}", f"{figures}%", target, round(apart, 6) <= most)


def write_rows(rows: Sequence[Row]) -> list[str]:
    """Write the rows beneath a heading, in columns as wide as the widest entry."""
    names, figures, targets = (
        max(len(getattr(row, part)) for row in (Row(HEADING, "figure", "target"), *rows))
        for part in ("name", "figure", "target")
    )
    lines = [f"{HEADING:{names}} {'figure':>{figures}}   target"]
    for row in rows:
        mark = MISSED if row.met is False else ""
        lines.append(f"{row.name:{names}} {row.figure:>{figures}}   {row.target:{targets}} {mark}".rstrip())
    return lines


def count_missed(rows: Iterable[Row]) -> str:
    """Count the targets that are missed: "3 of 20 targets missed"."""
    aimed = [row.met for row in rows if row.met is not None]
    return f"{aimed.count(False)} of {len(aimed)} targets missed"
