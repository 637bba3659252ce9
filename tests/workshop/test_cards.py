"""What is predicted for a card follows from operations and bytes."""

from __future__ import annotations

import pytest

from presenter import facts
from workshop import bench, cards, models, profiles

MI300X, H100 = cards.CARDS["MI300X"], cards.CARDS["H100"]


def test_a_picture_costs_its_operations_at_a_share_of_the_peak():
    seconds = cards.predict("Qwen-Image", MI300X, steps=40, size=profiles.REAL_SIZE)
    assert seconds == pytest.approx(facts.count_picture_flops() / 1307.4e12 / 0.4)
    assert seconds == pytest.approx(20, abs=0.5)
    slower = cards.predict("Qwen-Image", H100, steps=40, size=profiles.REAL_SIZE)
    assert slower / seconds == pytest.approx(MI300X.bf16 / H100.bf16)


def test_a_small_picture_costs_the_reading_of_the_weights():
    bytes_read = 2 * 40 * models.MODELS["Qwen-Image"].part("dit").bytes
    assert cards.predict("Qwen-Image", MI300X, steps=40, size=64) == pytest.approx(bytes_read / 5.3e12)


def test_references_cost_more(capsys):
    assert bench.main(["--predict"]) == 0
    said = capsys.readouterr().out
    assert "unmeasured" in said.splitlines()[0] and "published" in said.splitlines()[-1]
    for name, card in cards.CARDS.items():
        assert f"{name}: {card.source}" in said
        (line,) = [line for line in said.splitlines() if line.startswith(f"{name} ")]
        figures = [float(word) for word in line.split()[1:]]
        assert figures == sorted(figures) and len(figures) == len(models.PIPELINES)
