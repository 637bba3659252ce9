"""Numbers that a user gives on a command line, on a page or in a setting: finite and in range, or refused.

parser.add_argument("--steps", type=amounts.whole(least=1))
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable


def whole(*, least: int, most: int | None = None) -> Callable[[str], int]:
    """Return a type for argparse: a whole number from `least` to `most`.

    >>> whole(least=1)("3")
    3
    """

    def integer(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}") from None
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"must be {_range(least, most)}, got {text}")
        return value

    return integer


def decimal(
    *, least: float = 0.0, most: float | None = None, above: bool = False, endless: bool = False
) -> Callable[[str], float]:
    """Return a type for argparse: a finite number from `least` to `most`.

    above: the number must be more than `least`
    endless: infinity is an answer, too

    >>> decimal(above=True)("2.5e-3")
    0.0025
    """

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be a number, got {text!r}") from None
        finite = math.isfinite(value) or (endless and value == math.inf)
        low = value <= least if above else value < least
        if not finite or low or (most is not None and value > most):
            wanted = _range(least, most)
            if above:
                wanted = f"more than {least:g}" + (f" and at most {most:,}" if most is not None else "")
            raise argparse.ArgumentTypeError(f"must be {wanted}{' and finite' * (not finite)}, got {text}")
        return value

    return number


def is_number(value: object, *, least: float, most: float, above: bool = False) -> bool:
    """Return whether a value, as JSON or a setting has it, is a finite number from `least` to `most`.

    True and False are none. above: the number must be more than `least`

    >>> [is_number(one, least=0, most=1) for one in (0.5, 2, True, "0.5", math.nan)]
    [True, False, False, False, False]
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return least <= value <= most and not (above and value == least)


def _range(least: float, most: float | None) -> str:
    return f"{least:,} or more" if most is None else f"from {least:,} to {most:,}"
