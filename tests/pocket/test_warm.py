"""What a stage begins with when it goes on from what ships."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from workshop.pocket.training import checkpoint, dit, export, recipes, warm
from workshop.pocket.training.stages.base import BaseStage


def save(folder: Path, stage: str, weights: dict[str, torch.Tensor]) -> None:
    network = dit.DiTWithReadout()
    network.load_state_dict(weights, strict=False)
    optimizer = torch.optim.AdamW(network.parameters())
    checkpoint.save(folder / f"{stage}.safetensors", 1, network, {}, optimizer)


@pytest.mark.parametrize("stage", ["base", "multi", "edit"])
def test_a_dit_goes_on_from_the_shipped_one(stage: str, tmp_path: Path):
    shipped = checkpoint.load_shipped(checkpoint.SHIPPED_DIT[stage])
    found = warm.load_start(tmp_path, stage)
    assert found.keys() == shipped.keys()
    assert all(torch.equal(found[key], shipped[key]) for key in shipped)


def test_an_edit_model_takes_the_change_of_what_it_was_made_from(tmp_path: Path):
    base, multi = (checkpoint.load_shipped(checkpoint.SHIPPED_DIT[name]) for name in ("base", "multi"))
    save(tmp_path, "base", {key: value + 0.5 for key, value in base.items()})
    found = warm.load_start(tmp_path, "multi")
    for key, value in multi.items():
        torch.testing.assert_close(found[key], value + 0.5)
    edit = checkpoint.load_shipped(checkpoint.SHIPPED_DIT["edit"])
    assert torch.equal(warm.load_start(tmp_path, "edit")["img_in.weight"], edit["img_in.weight"])


@pytest.mark.parametrize("stage", list(recipes.LORAS))
def test_a_lora_goes_on_as_it_was_trained(stage: str, tmp_path: Path):
    network = BaseStage.begin.__get__(_Begins(tmp_path, stage))(rank=32)
    found = warm.load_start(tmp_path, stage)
    network.load_state_dict(found, strict=False)
    assert found.keys() <= network.state_dict().keys()
    export.save_lora(network.state_dict(), tmp_path, alpha=recipes.ALPHAS[stage])
    written = checkpoint.load_file(tmp_path / "model.safetensors")
    shipped = checkpoint.load_file(checkpoint.SHIPPED.parent / warm.WARM[stage])
    assert written.keys() == shipped.keys()
    for key, value in shipped.items():
        torch.testing.assert_close(written[key], value, atol=0, rtol=2**-7)  # bfloat16, rounded twice


class _Begins:
    """As much of a stage as its `begin` reads."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.recipe = folder, recipes.RECIPES[name]
