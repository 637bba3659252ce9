"""The notebooks' exercises: one file a notebook, which says what each exercise expects.

`check` prints yours beside what is expected, and never raises for a wrong answer.
"""

# ruff: noqa: I001 the exercises are entered in the order of the notebooks
from __future__ import annotations

from workshop.exercises import setup, inference, lora, multilingual, edit, multi_image, training
from workshop.exercises import noise_to_digits, how_many_steps, making_it_listen, seven_models
from workshop.exercises.multilingual import count_tokens
from workshop.exercises.setup import write_sample
from workshop.exercises.verdict import JUDGES, check, hint

__all__ = ["JUDGES", "check", "count_tokens", "hint", "write_sample"]
__all__ += [
    "edit",
    "how_many_steps",
    "inference",
    "lora",
    "making_it_listen",
    "multi_image",
    "multilingual",
    "noise_to_digits",
    "setup",
    "seven_models",
    "training",
]
