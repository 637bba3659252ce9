"""Lightning: a distilled LoRA with its own noise levels, for as long as a block lasts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import labs
from tests.support.fake_weights import safetensors
from tests.support.machines import MACHINE
from tests.support.mi300x import set_up_mi300x
from workshop import download, drawing, lightning, loading, lora, models, notebooks, preflight

if TYPE_CHECKING:
    import torch
    from diffsynth.pipelines.qwen_image import QwenImagePipeline
    from PIL import Image

LAYERS = r"\.(to_q|to_k|to_v|to_out\.0|add_[qkv]_proj|to_add_out|(img|txt)_mlp\.net\.(0\.proj|2))$"
"""What Lightning's LoRA changes: attention and MLPs of both streams."""


@pytest.fixture(scope="module")
def pipe() -> Iterator[QwenImagePipeline]:
    yield loading.load_pipeline("Qwen-Image", profile=MACHINE)
    loading.free()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, pipe: QwenImagePipeline) -> Path:
    """Write a random LoRA for the pocket model, under the names that Lightning's file has."""
    import torch
    from safetensors.torch import save_file

    generator, tensors = torch.Generator().manual_seed(0), {}
    for name, (rows, columns) in find_layers(pipe.dit).items():
        for part, shape in (("lora_down", (4, columns)), ("lora_up", (rows, 4))):
            tensors[f"{name}.{part}.weight"] = 0.05 * torch.randn(shape, generator=generator).bfloat16()
        tensors[f"{name}.alpha"] = torch.tensor(4.0)
    path = tmp_path_factory.mktemp("lightning") / "lora.safetensors"
    save_file(tensors, path)
    return path


def find_layers(dit: torch.nn.Module) -> dict[str, tuple[int, int]]:
    import torch

    linears = {name: one for name, one in dit.named_modules() if isinstance(one, torch.nn.Linear)}
    return {n: (m.out_features, m.in_features) for n, m in linears.items() if re.search(LAYERS, n)}


def draw(pipe: QwenImagePipeline) -> Image.Image:
    return drawing.draw(pipe, "a dog", size=128, seed=3, **lightning.SETTINGS)


@pytest.mark.filterwarnings("ignore:Alpha detected")
def test_in_the_block_it_draws_with_the_loras_own_levels_and_afterwards_as_before(
    pipe: QwenImagePipeline, file: Path
) -> None:
    before = draw(pipe)
    levels = pipe.scheduler.sigmas.tolist()
    with lightning.distilled(pipe, file):
        distilled = draw(pipe)
        shift = math.log(3)
        wanted = [math.exp(shift) / (math.exp(shift) + 1 / (1 - n / 4) - 1) for n in range(4)]
        assert pipe.scheduler.sigmas.tolist() == pytest.approx(wanted)
    assert distilled.tobytes() != before.tobytes()
    assert draw(pipe).tobytes() == before.tobytes() and pipe.scheduler.sigmas.tolist() == levels


@pytest.mark.filterwarnings("ignore:Alpha detected")
def test_a_lora_that_was_loaded_before_stays_and_an_error_takes_this_one_out(
    pipe: QwenImagePipeline, file: Path
) -> None:
    lora.load(pipe, file, alpha=0.5)
    with_one = draw(pipe)
    with pytest.raises(RuntimeError, match="in the block"), lightning.distilled(pipe, file):
        raise RuntimeError("in the block")
    assert draw(pipe).tobytes() == with_one.tobytes()
    pipe.clear_lora(verbose=0)


def test_a_file_that_does_not_fit_leaves_the_pipeline_as_it_was(
    pipe: QwenImagePipeline, tmp_path: Path
) -> None:
    own = pipe.scheduler
    safetensors(tmp_path / "lora.safetensors", {"a.lora_down.weight": [4, 8], "a.lora_up.weight": [8, 4]})
    with (
        pytest.raises(ValueError, match="another model"),
        lightning.distilled(pipe, tmp_path / "lora.safetensors"),
    ):
        pass
    assert pipe.scheduler is own


def test_its_size_is_what_its_layers_need() -> None:
    import torch
    from diffsynth.models.qwen_image_dit import QwenImageDiT

    with torch.device("meta"):
        real = QwenImageDiT()
    count = lora.count(find_layers(real), rank=64)
    assert count == 424_673_280
    assert 2 * count == pytest.approx(models.OPTIONS["Lightning"].bytes, rel=0.01)


def test_it_is_fetched_when_it_is_named_and_nothing_else_asks_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine = set_up_mi300x(monkeypatch, tmp_path)
    assert not any("lightning" in check.name.lower() for check in preflight.check(machine))
    with pytest.raises(FileNotFoundError, match=r"missing.*\./scripts/download Lightning"):
        lightning.find(machine)

    def fetch(repo: str, target: Path, patterns: list[str]) -> None:
        safetensors(target / patterns[0], {"a.lora_down.weight": [4, 8]})

    monkeypatch.setitem(download.SOURCES, "modelscope", fetch)
    download.fetch(["Lightning"], profile=machine)
    assert lightning.find(machine).name == "Qwen-Image-Lightning-4steps-V2.0-bf16.safetensors"


def test_the_pocket_model_has_none() -> None:
    with pytest.raises(FileNotFoundError, match="nobody has distilled the pocket model"):
        lightning.find(MACHINE)


@pytest.mark.filterwarnings("ignore:Alpha detected")
def test_the_lab_on_samplers_shows_it_where_it_is_and_says_what_to_do_where_it_is_not(
    pipe: QwenImagePipeline, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[Any] = []
    easel = SimpleNamespace(show=lambda pictures, facts, **_: shown.append((pictures, facts)))
    given = {"machine": MACHINE, "pipe": pipe, "prompt": "a dog", "gallery": easel}
    lab = notebooks.LABS.folder / "L02_how_many_steps.ipynb"
    labs.run(lab, "lightning", given=given)
    assert shown == [] and "nobody has distilled the pocket model" in capsys.readouterr().out
    monkeypatch.setattr(lightning, "find", lambda *_: file)
    labs.run(lab, "lightning", given=given)
    (((before, quick), facts),) = shown
    assert facts == {"": ["40 steps", "Lightning, 4 steps"]}
    with lightning.distilled(pipe, file):
        again = drawing.draw(pipe, "a dog", size=128, **lightning.SETTINGS)
    assert quick.tobytes() == again.tobytes() != before.tobytes()
