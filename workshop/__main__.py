"""`python -m workshop VERB …`: one word for each common job."""

from __future__ import annotations

import sys

from workshop import verbs

VERBS = {
    "preflight": ("workshop.preflight", "main", "is everything here? says what is missing and how to get it"),
    "download": ("workshop.download", "main", "fetch the real weights that are missing"),
    "train_lora": ("workshop.training.loop", "main", "train a LoRA on a few pictures"),
    "run": ("workshop.runner.run", "main", "run the notebooks and write a report"),
    "rehearse_full_size": (
        "workshop.full_size.rehearsal",
        "main",
        "rehearse the mi300x path with random weights of the true size",
    ),
    "bench": ("workshop.bench", "main", "measure what the workshop costs on this machine"),
}


def main(argv: list[str]) -> int:
    """Do what the verb says and return its exit code."""
    return verbs.hand_over(argv, VERBS, program="python -m workshop")


if __name__ == "__main__":
    verbs.write_utf8()
    sys.exit(main(sys.argv[1:]))
