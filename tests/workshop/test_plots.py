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


def test_bars_have_a_line_where_one_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(plots, "show", lambda figure, *, alt: drawn.append(figure))
    plots.bars({"a": 40, "b": 3}, unit="GB", alt="a is above 24 GB", line=24)
    plots.bars({"a": 40, "b": 3}, unit="GB", alt="no line")
    (line,), none = (list(figure.axes[0].lines) for figure in drawn)
    assert set(line.get_xdata()) == {24} and not none
