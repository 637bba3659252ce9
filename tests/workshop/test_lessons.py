"""Lessons, exercises and the playground: what the notebooks share does what their text says."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests.support.easel import Easel
from workshop import exercises, lessons, models, playground
from workshop.profiles import POCKET, Profile
from workshop.units import GIB

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

MACHINE = Profile("pocket", "cpu", "float32", 128, POCKET, "the tests need no more")
REAL = Profile("mi300x", "cuda", "bfloat16", 1328, POCKET, "the tests pretend")


class Words:
    """A tokenizer that takes each word, and each invisible space, for a token."""

    def __call__(self, text: str) -> SimpleNamespace:
        return SimpleNamespace(input_ids=text.replace("\u200b", " \u200b ").split(" "))


PIPE = SimpleNamespace(tokenizer=Words())


def verdict(name: str, answer: object, *context: object, capsys: pytest.CaptureFixture[str]) -> str:
    exercises.check(name, answer, *context)
    return capsys.readouterr().out


# What needs no model


def test_lessons_import_neither_torch_nor_diffsynth() -> None:
    code = "import sys; from workshop import lessons, exercises, playground; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "diffsynth", "matplotlib", "ipywidgets"} & set(loaded.split())


def test_the_parameters_predicted_from_the_shape_are_the_published_ones() -> None:
    predicted = lessons.dit_parameters(blocks=60, width=3072, head=128, text=3584)
    assert predicted == models.MODELS["Qwen-Image"].part("dit").parameters


def test_the_bill_adds_up_to_the_three_well_known_sums() -> None:
    assert [count for _, count, _ in lessons.bill()] == [
        28_849_460_275,
        28_849_460_275,
        28_849_460_275,
        86_548_380_825,
        69_710_262_451,
    ]
    assert all(size == 2 * count for _, count, size in lessons.bill())


def test_a_caption_of_the_pocket_profile_says_that_it_is_the_pocket_model() -> None:
    assert lessons.caption(MACHINE, "seed 0", 40) == "seed 0 · 40 · pocket model"


def test_difference_is_the_mean_over_pixels_in_levels() -> None:
    black, gray = (Image.new("RGB", (4, 4), (level,) * 3) for level in (0, 10))
    assert lessons.difference(black, gray) == 10
    assert lessons.difference(gray, gray) == 0


def test_on_the_real_model_the_checklist_is_left_to_the_eye() -> None:
    answers = lessons.shown(Image.new("RGB", (8, 8)), lessons.ASKED, REAL)
    assert answers["held"] == "☐ red flowers" and answers.keys() == lessons.ASKED.keys()


def test_shown_marks_what_the_reader_finds_and_names_what_it_finds_instead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from workshop.pocket.model import reader

    monkeypatch.setattr(reader, "read", lambda picture: {"held": "book", "left who": "man"})
    asked = {"held": "red flowers", "left who": "man", "left color": "dark gray"}
    assert lessons.shown(Image.new("RGB", (8, 8)), asked, MACHINE) == {
        "held": "✗ book",
        "left who": "✓ man",
        "left color": "✗ none",
    }


def test_a_table_is_markdown_with_one_line_a_row() -> None:
    lines = lessons.table(("a", "b"), [("x", 1), ("y", 2)]).data.splitlines()
    assert lines == ["| a | b |", "| :-- | --: |", "| x | 1 |", "| y | 2 |"]


def test_similarity_is_one_for_a_direction_and_zero_for_a_right_angle() -> None:
    torch = pytest.importorskip("torch")
    rows = lessons.similarities(
        [torch.tensor([2.0, 0.0]), torch.tensor([0.0, 3.0]), torch.tensor([5.0, 0.0])]
    )
    assert rows[0] == pytest.approx([1, 0, 1])


@pytest.mark.parametrize(
    "plot",
    [
        lambda: lessons.bars({"English": 40, "Korean": 51}, unit="tokens", alt="Korean is longer"),
        lambda: lessons.heatmap(["a", "b"], [[1, 0.2], [0.2, 1]], unit="cosine", alt="Korean is longer"),
        lambda: lessons.lines({"c": ([1, 2], [3, 4])}, x="steps", y="levels", alt="Korean is longer"),
    ],
)
def test_a_plot_is_shown_with_its_alt_text(plot: Any, capsys: pytest.CaptureFixture[str]) -> None:
    plot()
    assert "Korean is longer" in capsys.readouterr().out


# The exercises: each tells a solution from the stub, and from an answer that fails


@pytest.mark.parametrize(
    ("name", "stub", "solution", "context"),
    [
        ("fill the card", ["Qwen-Image"], ["Qwen-Image", "Qwen-Image-Edit"], (100,)),
        ("GB to GiB", lambda size: None, lambda size: size * 10**9 / GIB, ()),
        ("one pass a step", 8, 4, (4,)),
        (
            "a shorter prompt",
            lessons.SCENE["English"],
            "An Asian man in a dark gray suit at a table, holding red flowers",
            (PIPE,),
        ),
        ("bytes a token", lambda text: None, lambda t: len(t.encode()) / exercises.tokens(PIPE, t), (PIPE,)),
        ("hidden characters", "한국어", "한\u200b국어", ("한국어", PIPE)),
    ],
)
def test_a_check_tells_a_solution_from_the_stub(
    name: str, stub: Any, solution: Any, context: tuple, capsys: pytest.CaptureFixture[str]
) -> None:
    before = verdict(name, stub, *context, capsys=capsys)
    assert "✗ not yet" in before and "yours:" in before and "expected:" in before
    assert "✓ solved" in verdict(name, solution, *context, capsys=capsys)


@pytest.mark.parametrize("name", exercises.JUDGES)
def test_no_answer_makes_a_check_raise(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = verdict(name, object(), PIPE, PIPE, capsys=capsys)
    assert "✗ not yet" in answer and "an error" in answer


def test_a_check_of_an_unknown_exercise_lists_the_right_ones() -> None:
    with pytest.raises(ValueError, match="no exercise named 'tea'. These are: fill the card, GB to GiB"):
        exercises.check("tea", None)


def test_more_pipelines_than_fit_do_not_solve_the_first_exercise(capsys: pytest.CaptureFixture[str]) -> None:
    everything = verdict("fill the card", list(models.PIPELINES), 100, capsys=capsys)
    assert "not yet" in everything and "129.8 GiB" in everything
    twice = verdict("fill the card", ["Qwen-Image", "Qwen-Image"], 100, capsys=capsys)
    assert "not yet" in twice


def test_a_sample_file_is_whole_until_it_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    path = exercises.sample_weights()
    assert "a whole file with 2 tensors" in verdict("cut a file", path, capsys=capsys)
    path.write_bytes(path.read_bytes()[:-8])
    assert "✓ solved" in verdict("cut a file", path, capsys=capsys)


def test_a_prompt_that_loses_a_needed_word_is_not_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    assert "without man, suit" in verdict("a shorter prompt", "red flowers", PIPE, capsys=capsys)


# The playground without a browser


@pytest.fixture
def easel() -> Easel:
    return Easel()


@pytest.fixture
def ground(easel: Easel) -> playground.Playground:
    return playground.Playground(easel, MACHINE, {"dog": "a dog", "Korean": "개 한 마리"})


def test_generate_draws_what_the_widgets_say(
    ground: playground.Playground, easel: Easel, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.seed.value, ground.steps.value, ground.guidance.value = 7, 12, 2.5
    assert ground.generate().size == (128, 128)
    asked = easel.asked[0]
    assert (asked["prompt"], asked["seed"], asked["num_inference_steps"]) == ("a dog", 7, 12)
    assert (asked["cfg_scale"], asked["height"]) == (2.5, 128)
    assert "a dog · seed 7 · 12 steps · guidance 2.5 · pocket model" in capsys.readouterr().out


def test_choosing_a_preset_fills_in_its_prompt(ground: playground.Playground) -> None:
    ground.preset.value = "Korean"
    assert ground.prompt.value == "개 한 마리"


def test_the_button_draws_and_can_be_pressed_again(ground: playground.Playground, easel: Easel) -> None:
    ground.button.click()
    ground.button.click()
    assert len(easel.asked) == 2 and not ground.button.disabled


def test_the_button_can_be_pressed_again_after_an_error(
    ground: playground.Playground, caplog: pytest.LogCaptureFixture
) -> None:
    ground.pipe = None
    ground.button.click()
    assert "'NoneType' object is not callable" in caplog.text  # in a kernel the output area shows it, too
    assert not ground.button.disabled


# With the pocket model


@pytest.fixture(scope="module")
def pipe() -> Iterator[QwenImagePipeline]:
    from workshop import loading

    yield loading.load_pipeline("Qwen-Image", profile=MACHINE)
    loading.free()


SETTINGS: dict[str, Any] = {"size": 128, "seed": 3, "steps": 3, "guidance": 4.0}


def test_the_last_state_is_the_pipelines_picture_bit_for_bit(pipe: QwenImagePipeline) -> None:
    states = list(lessons.denoise(pipe, "a dog", **SETTINGS))
    drawn = lessons.draw(pipe, "a dog", **SETTINGS)
    assert lessons.decode(pipe, states[-1].latents).tobytes() == drawn.tobytes()


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_states_lead_from_noise_to_the_picture_along_the_formula(
    pipe: QwenImagePipeline, guidance: float
) -> None:
    import torch

    states = list(lessons.denoise(pipe, "a dog", **SETTINGS | {"guidance": guidance}))
    assert [state.number for state in states] == [0, 1, 2, 3]
    assert states[0].sigma == 1 and states[-1].sigma == 0
    for now, then in zip(states, states[1:], strict=False):
        assert now.sigma > then.sigma
        noise = (now.latents - (1 - now.sigma) * now.clean) / now.sigma
        expected = (1 - then.sigma) * now.clean + then.sigma * noise
        # the same line in another order of operations: float32 rounds differently
        torch.testing.assert_close(then.latents, expected, atol=1e-4, rtol=1e-4)


def test_denoising_leaves_the_readers_gradient_mode_alone(pipe: QwenImagePipeline) -> None:
    import torch

    for state in lessons.denoise(pipe, "a dog", **SETTINGS | {"steps": 2}):
        assert torch.is_grad_enabled() and not state.latents.requires_grad


def test_guidance_costs_two_passes_a_step_and_a_guidance_of_one_costs_one(pipe: QwenImagePipeline) -> None:
    assert lessons.passes(pipe, "a dog", **SETTINGS) == 6
    assert lessons.passes(pipe, "a dog", **SETTINGS | {"guidance": 1.0}) == 3
    assert not pipe.dit.img_in._forward_hooks


def test_a_series_changes_one_setting_and_says_the_prompt(pipe: QwenImagePipeline) -> None:
    others = {name: value for name, value in SETTINGS.items() if name != "seed"}
    one, two = lessons.series(pipe, "a dog", "seed", [1, 2], **others)
    assert lessons.difference(one, two) > 0
    assert one.info["alt"] == "drawn for the prompt: a dog"


def test_an_embedding_is_one_vector_and_the_closing_is_not_in_it(pipe: QwenImagePipeline) -> None:
    vector = lessons.embed(pipe, "a dog")
    assert vector.shape == (pipe.dit.txt_in.in_features,) and vector.isfinite().all()
    unit = next(unit for unit in pipe.units if type(unit).__name__ == "QwenImageUnit_PromptEmbedder")
    assert "<|im_end|>\\n<|im_start|>assistant\\n" in inspect.getsource(type(unit))
    assert len(pipe.tokenizer(lessons.CLOSING).input_ids) == 5


def test_the_noise_exercise_knows_the_formula(
    pipe: QwenImagePipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "not yet" in verdict("add noise", lambda c, n, s: None, pipe, capsys=capsys)
    assert "not yet" in verdict("add noise", lambda c, n, s: s * c + (1 - s) * n, pipe, capsys=capsys)
    assert "✓ solved" in verdict("add noise", lambda c, n, s: (1 - s) * c + s * n, pipe, capsys=capsys)


def test_a_misspelt_pattern_is_found_out_only_by_counting_files(
    pipe: QwenImagePipeline, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffsynth.pipelines.qwen_image import ModelConfig

    monkeypatch.setenv("DIFFSYNTH_MODEL_BASE_PATH", str(POCKET))
    monkeypatch.setenv("DIFFSYNTH_SKIP_DOWNLOAD", "true")
    right = ModelConfig(model_id="Qwen/Qwen-Image", origin_file_pattern="vae/*.safetensors")
    wrong = ModelConfig(model_id="Qwen/Qwen-Image", origin_file_pattern="vea/*.safetensors")
    assert "files found: 1" in verdict("misspell a file", right, capsys=capsys)
    assert "✓ solved" in verdict("misspell a file", wrong, capsys=capsys)
