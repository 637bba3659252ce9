"""Plots are shown as pictures with alt text."""

from __future__ import annotations

from typing import Any

import pytest

from workshop import plots


@pytest.mark.parametrize(
    "plot",
    [
        lambda: plots.bars({"English": 40, "Korean": 51}, unit="tokens", alt="Korean is longer"),
        lambda: plots.heatmap(["a", "b"], [[1, 0.2], [0.2, 1]], unit="cosine", alt="Korean is longer"),
        lambda: plots.lines({"c": ([1, 2], [3, 4])}, x="steps", y="levels", alt="Korean is longer"),
        lambda: plots.lines(
            {"c": ([1, 20], [0.3, 40])}, x="calls", y="levels", alt="Korean is longer", logarithmic=True
        ),
    ],
)
def test_a_plot_is_shown_with_its_alt_text(plot: Any, capsys: pytest.CaptureFixture[str]) -> None:
    plot()
    assert "Korean is longer" in capsys.readouterr().out
