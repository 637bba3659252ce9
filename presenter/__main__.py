"""`presenter VERB …`: one word for each thing that an instructor does."""

from __future__ import annotations

import importlib
import sys

# verb: module, function, what it does. Modules are imported only when their verb is used.
VERBS = {
    "check": ("presenter.check", "main", "do the cue sheets agree with the notebooks?"),
    "plan": ("presenter.schedule", "main", "cut the talk to fit and print the timetable"),
    "lab": ("presenter.console.lab", "lab", "start JupyterLab with the presenter's console"),
    "rehearse": ("presenter.rehearse", "main", "run the notebooks; keep runtimes and fallback pictures"),
}


def main(argv: list[str]) -> int:
    """Hand the arguments to the verb's module and return its exit code; 2 for a word that is no verb."""
    if argv and argv[0] in VERBS:
        module, function, _ = VERBS[argv[0]]
        return getattr(importlib.import_module(module), function)(argv[1:])
    asked_for_help = argv in (["-h"], ["--help"])
    lines = [f"  {verb:<10} {text}" for verb, (_, _, text) in VERBS.items()]
    if not asked_for_help:
        got = f"`{argv[0]}` is not a verb" if argv else "a verb is needed"
        lines.insert(0, f"{got}; these are:")
    print("usage: presenter VERB …", *lines, sep="\n", file=sys.stdout if asked_for_help else sys.stderr)
    return 0 if asked_for_help else 2


def entry() -> int:
    """Start from the console script."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")  # ✓ on a console of another code page
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(entry())
