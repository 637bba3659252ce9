"""Command lines of one word for each job: `python -m workshop VERB …` and `presenter VERB …`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping

Verbs = Mapping[str, tuple[str, str, str]]  # verb: module, function, what it does


def hand_over(argv: list[str], verbs: Verbs, *, program: str) -> int:
    """Hand the arguments to the verb's module and return its exit code; 2 for a word that is no verb.

    A module is imported only when its verb is used.
    """
    if argv and argv[0] in verbs:
        module, function, _ = verbs[argv[0]]
        return getattr(importlib.import_module(module), function)(argv[1:])
    asked_for_help = argv in (["-h"], ["--help"])
    lines = [f"  {verb:<10} {text}" for verb, (_, _, text) in verbs.items()]
    if not asked_for_help:
        got = f"`{argv[0]}` is not a verb" if argv else "a verb is needed"
        lines.insert(0, f"{got}; these are:")
    print(f"usage: {program} VERB …", *lines, sep="\n", file=sys.stdout if asked_for_help else sys.stderr)
    return 0 if asked_for_help else 2


def write_utf8() -> None:
    """Let ✓ and ✗ through to a console of another code page."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
