"""Drawing: every state on the way is the pipeline's own, a series changes one setting."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.machines import MACHINE
from workshop import drawing, loading, looking

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

SETTINGS: dict[str, Any] = {"size": 128, "seed": 3, "num_inference_steps": 3, "cfg_scale": 4.0}


def test_similarity_is_one_for_a_direction_and_zero_for_a_right_angle() -> None:
    torch = pytest.importorskip("torch")
    rows = drawing.similarities(
        [torch.tensor([2.0, 0.0]), torch.tensor([0.0, 3.0]), torch.tensor([5.0, 0.0])]
    )
    assert rows[0] == pytest.approx([1, 0, 1])


@pytest.fixture(scope="module")
def pipe() -> Iterator[QwenImagePipeline]:
    yield loading.load_pipeline("Qwen-Image", profile=MACHINE)
    loading.free()


def test_the_last_state_is_the_pipelines_picture_bit_for_bit(pipe: QwenImagePipeline) -> None:
    states = list(drawing.denoise(pipe, "a dog", **SETTINGS))
    drawn = drawing.draw(pipe, "a dog", **SETTINGS)
    assert drawing.decode(pipe, states[-1].latents).tobytes() == drawn.tobytes()


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_states_lead_from_noise_to_the_picture_along_the_formula(
    pipe: QwenImagePipeline, guidance: float
) -> None:
    import torch

    states = list(drawing.denoise(pipe, "a dog", **SETTINGS | {"cfg_scale": guidance}))
    assert [state.number for state in states] == [0, 1, 2, 3]
    assert states[0].sigma == 1 and states[-1].sigma == 0
    for now, then in itertools.pairwise(states):
        assert now.sigma > then.sigma
        noise = (now.latents - (1 - now.sigma) * now.clean) / now.sigma
        expected = (1 - then.sigma) * now.clean + then.sigma * noise
        # the same line in another order of operations: float32 rounds differently
        torch.testing.assert_close(then.latents, expected, atol=1e-4, rtol=1e-4)


def test_denoising_leaves_the_readers_gradient_mode_alone(pipe: QwenImagePipeline) -> None:
    import torch

    for state in drawing.denoise(pipe, "a dog", **SETTINGS | {"num_inference_steps": 2}):
        assert torch.is_grad_enabled() and not state.latents.requires_grad


def test_guidance_costs_two_passes_a_step_and_a_guidance_of_one_costs_one(pipe: QwenImagePipeline) -> None:
    assert drawing.count_passes(pipe, "a dog", **SETTINGS) == 6
    assert drawing.count_passes(pipe, "a dog", **SETTINGS | {"cfg_scale": 1.0}) == 3
    assert not pipe.dit.img_in._forward_hooks


def test_a_series_changes_one_setting_and_says_the_prompt(pipe: QwenImagePipeline) -> None:
    others = {name: value for name, value in SETTINGS.items() if name != "seed"}
    one, two = drawing.series(pipe, "a dog", "seed", [1, 2], **others)
    assert looking.difference(one, two) > 0
    assert one.info["alt"] == "drawn for the prompt: a dog"


def test_an_embedding_is_one_vector_and_the_closing_is_not_in_it(pipe: QwenImagePipeline) -> None:
    vector = drawing.embed(pipe, "a dog")
    assert vector.shape == (pipe.dit.txt_in.in_features,) and vector.isfinite().all()
    unit = next(unit for unit in pipe.units if type(unit).__name__ == "QwenImageUnit_PromptEmbedder")
    assert "<|im_end|>\\n<|im_start|>assistant\\n" in inspect.getsource(type(unit))
    assert len(pipe.tokenizer(drawing.CLOSING).input_ids) == 5
