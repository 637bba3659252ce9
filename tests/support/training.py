"""Training on a few renders, uncompiled: enough to see that a stage learns what it should."""

from __future__ import annotations

import sys

import pytest


def with_few_renders(patch: pytest.MonkeyPatch, *, plain: int = 400, rich: int = 60) -> None:
    """Let every training module that is imported see so few renders, and compile nothing."""
    small = {"PLAIN": (plain, 1), "RICH": (rich, 2), "compiled": lambda function: function}
    for name, module in list(sys.modules.items()):
        if name.startswith("workshop.pocket.training"):
            for constant in small.keys() & vars(module).keys():
                patch.setattr(module, constant, small[constant])
