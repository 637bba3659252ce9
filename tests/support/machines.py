"""The two profiles as the tests take them, whatever machine they run on."""

from __future__ import annotations

from workshop.files import POCKET
from workshop.profiles import Profile

MACHINE = Profile("pocket", "cpu", "float32", 128, POCKET, "the tests need no more")
REAL = Profile("mi300x", "cuda", "bfloat16", 1328, POCKET, "the tests pretend")
