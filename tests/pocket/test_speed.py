"""The precision of the training is chosen by timing."""

from __future__ import annotations

import pytest
import torch

from workshop.pocket.training import speed


@pytest.mark.parametrize(("seconds", "chosen"), [(0.001, "bfloat16"), (0.02, "float32")])
def test_a_cpu_trains_in_the_faster_precision_and_says_so(
    seconds: float, chosen: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(speed, "_time_product", {torch.float32: 0.01, torch.bfloat16: seconds}.get)
    speed.has_fast_bfloat16.cache_clear()
    with speed.autocast("cpu"):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype is getattr(torch, chosen)
    assert f"training in {chosen}" in capsys.readouterr().out
    speed.has_fast_bfloat16.cache_clear()


def test_a_product_takes_time_in_either_precision():
    assert all(speed._time_product(kind) > 0 for kind in (torch.float32, torch.bfloat16))
