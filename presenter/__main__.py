"""`presenter VERB …`: one word for each thing that an instructor does."""

from __future__ import annotations

import sys

from workshop import verbs

VERBS = {
    "check": ("presenter.check", "main", "do the cue sheets agree with the notebooks?"),
    "plan": ("presenter.schedule", "main", "cut the talk to fit and print the timetable"),
    "lab": ("presenter.console.lab", "main", "start JupyterLab with the presenter's console"),
    "rehearse": ("presenter.rehearse", "main", "run the notebooks; keep runtimes and fallback pictures"),
    "report": ("presenter.report.__main__", "main", "after a talk: planned against actual, cue by cue"),
    "export": (
        "presenter.handout.export",
        "main",
        "write the script for paper, student notebooks and slides",
    ),
}


def main(argv: list[str]) -> int:
    """Run the verb's command and return its exit code."""
    return verbs.hand_over(argv, VERBS, program="presenter")


def entry() -> int:
    """Start from the console script."""
    verbs.write_utf8()
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(entry())
