"""The losses: read, smoothed and put into words."""

from __future__ import annotations

from pathlib import Path

import pytest

from workshop.training import losses


def test_losses_are_read_up_to_a_line_that_is_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "loss.csv"
    path.write_text("step,key,value\n1,loss,0.5\n2,loss,0.25\n3,loss,0.1", encoding="utf-8")
    assert losses.read(path) == [0.5, 0.25]
    losses.cut(path, 1)
    assert losses.read(path) == [0.5]
    assert losses.read(tmp_path / "none.csv") == []


def test_smoothing_takes_the_jumps_and_leaves_the_mean() -> None:
    jumping = [0.0, 1.0] * 50
    smoothed = losses.smooth(jumping, window=10)
    assert len(smoothed) == 100 and max(smoothed[10:]) - min(smoothed[10:]) < 1e-9
    assert smoothed[-1] == pytest.approx(0.5)


def test_what_the_curve_says_is_computed_from_it() -> None:
    said = losses.describe([0.4] * 25 + [0.1] * 25)
    assert "from 0.4000 to 0.1000 in 50 steps" in said
    assert losses.describe([]) == "There are no losses yet."
