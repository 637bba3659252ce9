"""Progress bars: a widget in a notebook, where a printed one would stand on pink; a line in a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

Item = TypeVar("Item")


def show(items: Iterable[Item], doing: str, *, unit: str = "picture") -> Iterable[Item]:
    """Go through items with a progress bar that disappears at the end.

    doing: what stands before the bar
    """
    from tqdm.auto import tqdm

    return tqdm(items, desc=doing, unit=unit, leave=False)


def start(total: int, doing: str, *, unit: str) -> tqdm[Any]:
    """Open a progress bar of `total` units, which `update` moves; as a block, it disappears at the end.

    doing: what stands before the bar
    """
    from tqdm.auto import tqdm

    return tqdm(total=total, desc=doing, unit=unit, leave=False)
