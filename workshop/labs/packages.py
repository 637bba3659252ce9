"""The packages that only the labs need, and what to do where they are not installed."""

from __future__ import annotations

import importlib.util
import sys


def demand(*names: str) -> None:
    """Return if every package is installed.

    Raises RuntimeError, with the command that installs them, if one is not.
    """
    absent = [name for name in names if importlib.util.find_spec(name) is None]
    if not absent:
        return
    what = (
        f"This lab needs {' and '.join(absent)}, which {'is' if len(absent) == 1 else 'are'} not installed."
    )
    if sys.version_info < (3, 11):
        version = ".".join(map(str, sys.version_info[:2]))
        raise RuntimeError(f"{what} The labs need Python 3.11 or later, and this is {version}.")
    raise RuntimeError(f"{what} Install what the labs need: ./scripts/setup --labs")
