"""Every notebook shows the code that it teaches: DiffSynth's and torch's own, not only helpers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import shown
from workshop import notebooks

LEAST = 0.40
LEAST_OF_A_LAB = 0.50


def count(path: Path) -> tuple[int, int]:
    """Return how many code cells of a notebook show DiffSynth or torch, and how many there are."""
    found = shown.find_shown([cell.source for cell in notebooks.read(path).code])
    return sum(found), len(found)


@pytest.mark.parametrize(
    "path", [*notebooks.find(), *notebooks.find(notebooks.LABS)], ids=lambda path: path.stem
)
def test_a_notebook_shows_diffsynth_or_torch_in_enough_cells(path: Path) -> None:
    found, cells = count(path)
    print(f"{path.stem:16} {found:3} of {cells:3} code cells show DiffSynth or torch ({found / cells:.0%})")
    assert found >= (LEAST_OF_A_LAB if notebooks.is_lab(path) else LEAST) * cells


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["import torch"], [True]),
        (["import torch.nn.functional as F", "F.mse_loss(a, b)", "f.mse_loss(a, b)"], [True, True, False]),
        (["from diffsynth.diffusion import FlowMatchScheduler", "FlowMatchScheduler()"], [True, True]),
        (["pipe(prompt)", "edit_pipe.clear_lora()", "w + s * b @ a"], [True, True, True]),
        (["drawing.draw(pipe, prompt)", "piper()", "torchvision = 1", "print('torch')"], [False] * 4),
    ],
)
def test_the_rule_counts_the_code_and_no_helper(cells: list[str], expected: list[bool]) -> None:
    assert shown.find_shown(cells) == expected
