"""Drawing: every state on the way is the pipeline's own, a series changes one setting."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.machines import MACHINE
from workshop import drawing, loading, looking, passes, progress, prompts

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


SERIES: list[tuple[str, list]] = [
    ("seed", [1, 2, 3]),
    ("cfg_scale", [1.0, 2.0, 4.0]),
    ("prompt", ["a dog", prompts.PORTRAIT, prompts.SCENE["Korean"]]),
]


@pytest.mark.parametrize(("setting", "values"), SERIES, ids=[setting for setting, _ in SERIES])
def test_each_picture_of_a_series_is_its_picture_alone(
    pipe: QwenImagePipeline, setting: str, values: list
) -> None:
    others = {name: value for name, value in SETTINGS.items() if name != setting}
    together = drawing.series(pipe, "a dog", setting, values, **others)
    for value, drawn in zip(values, together, strict=True):
        alone = drawing.draw(pipe, **{"prompt": "a dog", **SETTINGS, setting: value})
        apart = np.abs(np.asarray(drawn, dtype=int) - np.asarray(alone, dtype=int))
        assert apart.max() <= 1 and apart.mean() < 0.01  # levels of 255: rounding on the other side
        assert drawn.info["alt"] == alone.info["alt"]
    assert len({drawn.tobytes() for drawn in together}) == 3


def test_pictures_of_one_kind_share_a_call_and_others_go_alone(
    pipe: QwenImagePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    hook = pipe.dit.img_in.register_forward_hook(lambda _, given, __: calls.append(len(given[0])))
    monkeypatch.setattr(passes, "MOST_TOKENS", 3 * 2 * 64)
    few = {"size": 128, "num_inference_steps": 2}
    jobs: list[dict[str, Any]] = [{"prompt": "a dog", "seed": seed} for seed in range(4)]
    jobs += [{"prompt": "a dog", "seed": 0, "num_inference_steps": 3}]
    start = drawing.draw(pipe, "a cat", **few)
    calls.clear()
    try:
        drawn = drawing.draw_all(pipe, jobs, **few)
        assert calls == [6] * 2 + [2] * 2 + [2] * 3 and len(drawn) == 5
        calls.clear()
        drawing.draw_all(pipe, jobs[:2], input_image=start, denoising_strength=0.5, **few)
        assert calls == [2] * 2 * 2
    finally:
        hook.remove()


def test_a_series_moves_a_bar_by_steps_and_checks_all_before_the_first(
    pipe: QwenImagePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars: list[Any] = []
    start = progress.start
    monkeypatch.setattr(progress, "start", lambda *a, **k: bars.append(start(*a, **k)) or bars[-1])
    drawing.series(pipe, "a dog", "seed", [1, 2], size=128, num_inference_steps=2)
    assert [(bar.n, bar.total, bar.desc.strip(": ")) for bar in bars] == [(4, 4, "seed")]
    with pytest.raises(ValueError, match="seed must be 0 or more"):
        drawing.series(pipe, "a dog", "seed", [1, -2], size=128)
    assert len(bars) == 1


def test_drawing_all_starts_from_the_settings_of_drawing_one() -> None:
    known = inspect.signature(drawing.draw).parameters
    assert all(known[name].default == value for name, value in drawing.DEFAULTS.items())


def test_an_embedding_is_one_vector_and_the_closing_is_not_in_it(pipe: QwenImagePipeline) -> None:
    vector = drawing.embed(pipe, "a dog")
    assert vector.shape == (pipe.dit.txt_in.in_features,) and vector.isfinite().all()
    unit = next(unit for unit in pipe.units if type(unit).__name__ == "QwenImageUnit_PromptEmbedder")
    assert "<|im_end|>\\n<|im_start|>assistant\\n" in inspect.getsource(type(unit))
    assert len(pipe.tokenizer(drawing.CLOSING).input_ids) == 5
