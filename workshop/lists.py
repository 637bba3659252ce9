"""Lists that a caller gives: a single text where a list is wanted would be taken letter by letter."""

from __future__ import annotations

from collections.abc import Iterable


def demand(name: str, value: object) -> None:
    """Raise TypeError for a single text, or for what is no list, where a list is wanted.

    >>> demand("names", ["01", "02"])
    """
    if isinstance(value, str):
        raise TypeError(f"{name} must be a list, got the text {value!r}. Write [{value!r}].")
    if not isinstance(value, Iterable):
        raise TypeError(f"{name} must be a list, got {type(value).__name__}. Put it into brackets.")
