"""LoRAs folded into the weights draw what hot-loaded ones draw, and leave no trace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.machines import MACHINE
from workshop import drawing, folding, loading, lora

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

SETTINGS: dict[str, Any] = {"size": 128, "seed": 3, "num_inference_steps": 4}
ART = next(MACHINE.models.glob("DiffSynth-Studio/*ArtAug*/model.safetensors"))


@pytest.fixture
def pipe() -> Iterator[QwenImagePipeline]:
    pipe = loading.load_pipeline("Qwen-Image", profile=MACHINE)
    lora.load(pipe, ART, alpha=0.7)
    yield pipe
    pipe.clear_lora()


def draw_stock(pipe: QwenImagePipeline, *, size: int, **settings: Any) -> np.ndarray:
    return np.asarray(pipe("a dog", height=size, width=size, progress_bar_cmd=iter, **settings), dtype=int)


def draw(pipe: QwenImagePipeline) -> np.ndarray:
    return np.asarray(drawing.draw(pipe, "a dog", **SETTINGS), dtype=int)


def test_one_lora_and_a_stack_draw_what_diffsynth_draws(pipe: QwenImagePipeline) -> None:
    seen = []
    for alpha in (None, -0.4):
        if alpha is not None:
            lora.load(pipe, ART, alpha=alpha)
        seen.append(draw(pipe))
        apart = np.abs(seen[-1] - draw_stock(pipe, **SETTINGS))
        assert apart.max() <= 1 and apart.mean() < 0.01  # levels of 255: rounding on the other side
    assert np.abs(seen[0] - seen[1]).mean() > 1


def test_in_the_block_no_layer_goes_diffsynths_way_and_afterwards_all_do(
    pipe: QwenImagePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from diffsynth.core import AutoWrappedLinear

    asked: list[str] = []
    stock = AutoWrappedLinear.lora_forward
    monkeypatch.setattr(
        AutoWrappedLinear, "lora_forward", lambda self, x, out: asked.append("") or stock(self, x, out)
    )
    layer = pipe.dit.transformer_blocks[0].attn.to_q
    before, given = layer.weight.clone(), torch.randn(2, 5, layer.in_features)
    slow = layer(given)
    assert len(asked) == 1
    with folding.folded(pipe.dit):
        torch.testing.assert_close(layer(given), slow, atol=1e-5, rtol=1e-5)
    assert len(asked) == 1
    assert layer(given).equal(slow) and len(asked) == 2 and layer.weight.equal(before)
    with pytest.raises(KeyError), folding.folded(pipe.dit):
        raise KeyError
    assert "forward" not in vars(layer)


def test_clearing_brings_the_picture_back_bit_for_bit(pipe: QwenImagePipeline) -> None:
    pipe.clear_lora()
    before = draw(pipe)
    lora.load(pipe, ART)
    assert np.abs(draw(pipe) - before).mean() > 1
    pipe.clear_lora()
    assert (draw(pipe) == before).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [("vram_limit", 8.0), ("enable_fp8", True), ("disk_offload", True), ("onload_device", "disk")],
)
def test_weights_that_are_elsewhere_or_in_eight_bits_keep_diffsynths_way(
    pipe: QwenImagePipeline, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    layer = pipe.dit.transformer_blocks[3].img_mod[1]
    with folding.folded(pipe.dit):
        assert "forward" in vars(layer)
    monkeypatch.setattr(layer, name, value)
    with folding.folded(pipe.dit):
        assert not any("forward" in vars(module) for module in pipe.dit.modules())


def test_a_large_model_is_not_copied(pipe: QwenImagePipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "MOST_BYTES", 1000)
    with folding.folded(pipe.dit):
        assert not any("forward" in vars(module) for module in pipe.dit.modules())


def test_without_a_dit_there_is_nothing_to_fold() -> None:
    with folding.folded(None):
        pass
