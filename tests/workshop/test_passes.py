"""Passes in one call give what DiffSynth's own passes give, and everything unknown goes DiffSynth's way."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.machines import MACHINE
from tests.support.people import MAN, WOMAN
from workshop import drawing, loading, lora, passes, prompts

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline
    from PIL import Image

EDIT, MULTI = "Qwen-Image-Edit", "Qwen-Image-Edit-2509"
TOLERANCE = 1e-4  # of velocities of up to 12; float32 sums in another order came 1e-5 apart
LEVELS = 1  # of 255, by which a pixel may differ where rounding falls on the other side
SETTINGS: dict[str, Any] = {"size": 128, "seed": 3, "num_inference_steps": 6, "cfg_scale": 4.0}


@pytest.fixture(scope="module")
def pipes() -> Iterator[dict[str, QwenImagePipeline]]:
    yield {name: loading.load_pipeline(name, profile=MACHINE) for name in ("Qwen-Image", EDIT, MULTI)}
    loading.free()


def draw_stock(pipe: QwenImagePipeline, prompt: str, *, size: int, **settings: Any) -> Image.Image:
    """Draw as DiffSynth does, two passes one after the other."""
    return pipe(prompt, height=size, width=size, progress_bar_cmd=iter, **settings)


def assert_same(ours: Image.Image, stock: Image.Image) -> None:
    apart = np.abs(np.asarray(ours, dtype=int) - np.asarray(stock, dtype=int))
    assert apart.max() <= LEVELS and apart.mean() < 0.01


@pytest.mark.parametrize("prompt", ["a dog", prompts.SCENE["Kannada"]], ids=["short", "long"])
@pytest.mark.parametrize("guidance", [0.0, 4.0])
def test_a_picture_is_that_of_two_passes(pipes: dict, prompt: str, guidance: float) -> None:
    settings = SETTINGS | {"cfg_scale": guidance, "negative_prompt": "a portrait"}
    ours = drawing.draw(pipes["Qwen-Image"], prompt, **settings)
    assert_same(ours, draw_stock(pipes["Qwen-Image"], prompt, **settings))


def test_a_picture_that_is_not_square_is_that_of_two_passes(pipes: dict) -> None:
    given: dict[str, Any] = {"height": 96, "width": 160, "seed": 1, "num_inference_steps": 4}
    given |= {"progress_bar_cmd": iter}
    stock = pipes["Qwen-Image"]("a dog", **given)
    with passes.together(pipes["Qwen-Image"]):
        assert_same(pipes["Qwen-Image"]("a dog", **given), stock)


@pytest.mark.parametrize(("name", "references"), [(EDIT, WOMAN), (MULTI, [WOMAN]), (MULTI, [WOMAN, MAN])])
def test_with_references_too(pipes: dict, name: str, references: Any) -> None:
    settings = SETTINGS | {"edit_image": references, "edit_image_auto_resize": False}
    ours = drawing.draw(pipes[name], "a couple", **settings)
    assert_same(ours, draw_stock(pipes[name], "a couple", **settings))


def conditions(pipe: QwenImagePipeline, prompt: str, seed: int) -> passes.Conditions:
    return drawing._prepare_conditions(
        pipe, prompt, size=128, seed=seed, num_inference_steps=6, cfg_scale=4.0
    )


def test_many_passes_in_one_call_are_those_alone_in_any_order_of_lengths(pipes: dict) -> None:
    import torch

    pipe, asked = pipes["Qwen-Image"], [(prompts.PORTRAIT, 0), ("a dog", 1), (prompts.SCENE["Korean"], 2)]
    scales = [4.0, 1.0, 2.5]
    with torch.no_grad():
        given = [conditions(pipe, *one) for one in asked]
        time = pipe.scheduler.timesteps[2].unsqueeze(0)
        ours = passes.velocities(pipe.dit, time, given, scales)
        more = {"dit": pipe.dit, "timestep": time, "progress_id": 2}
        alone = [
            pipe.cfg_guided_model_fn(pipe.model_fn, scale, *one, **more)
            for one, scale in zip(given, scales, strict=True)
        ]
    torch.testing.assert_close(ours, torch.cat(alone), atol=TOLERANCE, rtol=0)


@contextlib.contextmanager
def hot_loaded(pipe: QwenImagePipeline) -> Iterator[None]:
    art = next(MACHINE.models.glob("DiffSynth-Studio/*ArtAug*/model.safetensors"))
    try:
        lora.load(pipe, art, alpha=0.5)
        lora.load(pipe, art, alpha=0.5)
        yield
    finally:
        pipe.clear_lora()


def test_loras_that_are_hot_loaded_and_stacked_count(pipes: dict) -> None:
    pipe = pipes["Qwen-Image"]
    before = drawing.draw(pipe, "a dog", **SETTINGS)
    with hot_loaded(pipe):
        ours = drawing.draw(pipe, "a dog", **SETTINGS)
        assert_same(ours, draw_stock(pipe, "a dog", **SETTINGS))
    assert np.abs(np.asarray(ours, dtype=int) - np.asarray(before, dtype=int)).mean() > 1


@pytest.fixture
def calls(pipes: dict) -> Iterator[list[int]]:
    """Note how many passes each call of the DiT has."""
    noted: list[int] = []
    hook = pipes["Qwen-Image"].dit.img_in.register_forward_hook(
        lambda _, given, __: noted.append(len(given[0]))
    )
    yield noted
    hook.remove()


def test_only_in_the_block_two_passes_are_one_call(pipes: dict, calls: list[int]) -> None:
    pipe, settings = pipes["Qwen-Image"], SETTINGS | {"num_inference_steps": 2}
    draw_stock(pipe, "a dog", **settings)
    with passes.together(pipe), passes.together(pipe):
        draw_stock(pipe, "a dog", **settings)
    draw_stock(pipe, "a dog", **settings | {"cfg_scale": 1.0})
    assert calls == [1, 1, 1, 1, 2, 2, 1, 1]


def test_a_failure_in_the_block_ends_it(pipes: dict) -> None:
    with pytest.raises(KeyError), passes.together(pipes["Qwen-Image"]):
        raise KeyError
    assert "cfg_guided_model_fn" not in vars(pipes["Qwen-Image"])


def test_who_listens_to_a_block_hears_every_pass(pipes: dict, calls: list[int]) -> None:
    heard: list[int] = []
    block = pipes["Qwen-Image"].dit.transformer_blocks[2].attn
    hook = block.register_forward_hook(lambda *_: heard.append(1))
    try:
        drawing.draw(pipes["Qwen-Image"], "a dog", **SETTINGS | {"num_inference_steps": 2})
    finally:
        hook.remove()
    assert len(heard) == 4 and calls == [1] * 4


@pytest.mark.parametrize("name", passes.ALONE)
def test_a_setting_that_is_not_known_runs_each_pass_alone(pipes: dict, name: str) -> None:
    given = conditions(pipes["Qwen-Image"], "a dog", 0)
    dit = pipes["Qwen-Image"].dit
    assert passes.fit(dit, [given])
    assert not passes.fit(dit, [(given[0] | {name: True}, *given[1:])])
    assert not passes.fit(dit, [(*given[:2], given[2] | {name: 1})])


def test_large_pictures_and_pictures_of_several_sizes_run_alone(pipes: dict) -> None:
    given, dit = conditions(pipes["Qwen-Image"], "a dog", 0), pipes["Qwen-Image"].dit

    def sized(side: int) -> passes.Conditions:
        return ({**given[0], "latents": given[0]["latents"].new_zeros(1, 16, side, side)}, *given[1:])

    assert passes.fit(dit, [sized(90)]) and not passes.fit(dit, [sized(166)])  # 1328 px
    assert passes.fit(dit, [given] * 32) and not passes.fit(dit, [given] * 33)
    assert not passes.fit(dit, [given, sized(18)])


def test_every_name_that_runs_alone_is_one_of_diffsynths() -> None:
    import inspect

    from diffsynth.diffusion.base_pipeline import BasePipeline
    from diffsynth.pipelines.qwen_image import model_fn_qwen_image

    known = set(inspect.signature(model_fn_qwen_image).parameters)
    source = inspect.getsource(BasePipeline.cfg_guided_model_fn)
    assert all(name in known or f'"{name}"' in source for name in passes.ALONE)
    here = {"dit", "latents", "timestep", "prompt_emb", "prompt_emb_mask", "edit_latents", "height", "width"}
    ruled_out = {"blockwise_controlnet", "blockwise_controlnet_inputs", "progress_id", "num_inference_steps"}
    ruled_out |= {"entity_prompt_emb_mask", "entity_masks", "use_gradient_checkpointing_offload", "kwargs"}
    assert known - here - ruled_out <= set(passes.ALONE)
