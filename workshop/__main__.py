"""`python -m workshop VERB …`: one word for each common job."""

from __future__ import annotations

import importlib
import sys

# verb: module, function, what it does. Modules are imported only when their verb is used.
VERBS = {
    "preflight": ("workshop.preflight", "main", "is everything here? says what is missing and how to get it"),
    "download": ("workshop.preflight", "download_main", "fetch the real weights that are missing"),
    "train_lora": ("workshop.training", "main", "train a LoRA on a few pictures"),
    "run": ("workshop.run", "main", "run the notebooks and write a report"),
    "bench": ("workshop.bench", "main", "measure what the workshop costs on this machine"),
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
    print(
        "usage: python -m workshop VERB …",
        *lines,
        sep="\n",
        file=sys.stdout if asked_for_help else sys.stderr,
    )
    return 0 if asked_for_help else 2


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(
                encoding="utf-8", errors="replace"
            )  # ✓ and ✗ on a console of another code page
    sys.exit(main(sys.argv[1:]))
