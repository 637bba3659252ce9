"""The exercises: each tells a solution from the stub, and from an answer that fails."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.machines import MACHINE
from tests.support.people import MAN, SQUARE, WOMAN
from tests.support.verdicts import verdict
from workshop import exercises, loading, models, prompts
from workshop.files import POCKET
from workshop.training.flags import write_words
from workshop.units import GIB

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline


class Words:
    """A tokenizer that takes each word, and each invisible space, for a token."""

    def __call__(self, text: str) -> SimpleNamespace:
        return SimpleNamespace(input_ids=text.replace("\u200b", " \u200b ").split(" "))


PIPE = SimpleNamespace(tokenizer=Words())


def test_what_the_notebooks_share_imports_neither_torch_nor_diffsynth() -> None:
    code = (
        "import sys; from workshop import drawing, looking, plots, exercises, playground; print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "diffsynth", "matplotlib", "ipywidgets"} & set(loaded.split())


@pytest.mark.parametrize(
    ("name", "stub", "solution", "context"),
    [
        ("fill the card", ["Qwen-Image"], ["Qwen-Image", "Qwen-Image-Edit"], (100,)),
        ("GB to GiB", lambda size: None, lambda size: size * 10**9 / GIB, ()),
        ("one pass a step", 8, 4, (4,)),
        (
            "a shorter prompt",
            prompts.SCENE["English"],
            "An Asian man in a dark gray suit at a table, holding red flowers",
            (PIPE,),
        ),
        (
            "bytes a token",
            lambda text: None,
            lambda t: len(t.encode()) / exercises.count_tokens(PIPE, t),
            (PIPE,),
        ),
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
    with pytest.raises(ValueError, match=r"no exercise named 'tea'. These are: fill the card, GB to GiB"):
        exercises.check("tea", None)


def test_more_pipelines_than_fit_do_not_solve_the_first_exercise(capsys: pytest.CaptureFixture[str]) -> None:
    everything = verdict("fill the card", list(models.PIPELINES), 100, capsys=capsys)
    assert "not yet" in everything and "129.8 GiB" in everything
    twice = verdict("fill the card", ["Qwen-Image", "Qwen-Image"], 100, capsys=capsys)
    assert "not yet" in twice


def test_a_sample_file_is_whole_until_it_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    path = exercises.write_sample()
    assert "a whole file with 2 tensors" in verdict("cut a file", path, capsys=capsys)
    path.write_bytes(path.read_bytes()[:-8])
    assert "✓ solved" in verdict("cut a file", path, capsys=capsys)


def test_a_prompt_that_loses_a_needed_word_is_not_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    assert "without man, suit" in verdict("a shorter prompt", "red flowers", PIPE, capsys=capsys)


@pytest.mark.parametrize(
    ("name", "stub", "solution"),
    [
        ("a prompt unread", [SQUARE, WOMAN], [WOMAN, WOMAN]),
        ("a size that is refused", SQUARE, SQUARE.resize((120, 128))),
        ("no list", [WOMAN, MAN], WOMAN),
        ("the smallest card", 64, 108),
        ("count once", lambda networks: None, lambda networks: count_once(networks)),
    ],
)
def test_a_check_of_editing_tells_a_solution_from_the_stub(
    name: str, stub: Any, solution: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    before = verdict(name, stub, capsys=capsys)
    assert "✗ not yet" in before and "yours:" in before and "expected:" in before
    assert "✓ solved" in verdict(name, solution, capsys=capsys)


def count_once(networks: list[Any]) -> int:
    return sum(
        one.numel() for one in {id(one): one for network in networks for one in network.parameters()}.values()
    )


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("count once", lambda networks: sum(p.numel() for n in networks for p in n.parameters())),
        ("a size that is refused", SQUARE.convert("L")),  # refused, but not for its size
        ("no list", []),  # refused, but a list
        ("the smallest card", 107),
        ("the smallest card", 109),
        ("the smallest card", 192),
    ],
)
def test_what_is_only_near_a_solution_is_not_accepted(
    name: str, near: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "✗ not yet" in verdict(name, near, capsys=capsys)


@pytest.fixture(scope="module")
def pipe() -> Iterator[QwenImagePipeline]:
    yield loading.load_pipeline("Qwen-Image", profile=MACHINE)
    loading.free()


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


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda wanted, unwanted, scale: None, "✗ not yet"),
        (lambda wanted, unwanted, scale: wanted + scale * (wanted - unwanted), "✗ not yet"),
        (lambda wanted, unwanted, scale: scale * wanted, "✗ not yet"),
        (lambda wanted, unwanted, scale: unwanted + scale * (wanted - unwanted), "✓ solved"),
    ],
)
def test_guidance_by_hand_is_compared_with_diffsynths_own(
    pipe: QwenImagePipeline, answer: Any, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in verdict("guidance by hand", answer, pipe, capsys=capsys)


# Notebook 03


class Small(SimpleNamespace):
    """A pipeline as far as an exercise looks at it: a DiT with one layer."""

    def __init__(self) -> None:
        import torch

        super().__init__(dit=torch.nn.ModuleDict({"to_q": torch.nn.Linear(4, 4)}))


WEIGHTS = dict.fromkeys(("to_q.lora_A.default.weight", "to_q.lora_B.default.weight"))


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("a rank for 100 MB", 6, [32, 5, 7, 6.0, 0, -1]),
        (
            "merge by hand",
            lambda weight, a, b, strength: weight + strength * b @ a,
            [
                lambda weight, a, b, strength: None,
                lambda weight, a, b, strength: weight + b @ a,
                lambda weight, a, b, strength: strength * b @ a,
                lambda weight, a, b, strength: weight + strength * a @ b,
                lambda weight, a, b, strength: weight,
            ],
        ),
    ],
)
def test_an_exercise_is_solved_by_its_solution_and_by_nothing_near_it(
    name: str, right: object, wrong: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "✓ solved" in verdict(name, right, capsys=capsys)
    for answer in wrong:
        said = verdict(name, answer, capsys=capsys)
        assert "✗ not yet" in said and "yours:" in said and "expected:" in said


@pytest.mark.parametrize(
    ("rename", "mark"),
    [
        (lambda key: f"transformer.{key}", "✓ solved"),
        (lambda key: key.replace("to_q", "to_x"), "✓ solved"),
        (lambda key: key, "✗ not yet"),  # the stub
        (lambda key: f"diffusion_model.{key}", "✗ not yet"),  # a prefix that DiffSynth takes off
        (lambda key: key.replace("lora_", "l"), "✗ not yet"),  # then it is no LoRA any more
        (lambda key: "the same for all", "✗ not yet"),
    ],
)
def test_patching_nothing_keeps_every_pair(
    rename: Callable, mark: str, capsys: pytest.CaptureFixture[str]
) -> None:
    renamed = {rename(key): value for key, value in WEIGHTS.items()}
    assert mark in verdict("patch nothing", renamed, WEIGHTS, Small(), capsys=capsys)


def test_an_empty_lora_does_not_count_as_patching_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    said = verdict("patch nothing", {}, WEIGHTS, Small(), capsys=capsys)
    assert "✗ not yet" in said and "0 of 0 layers" in said and "0 of 1 layers" in said


# Notebook 07


@pytest.mark.parametrize(
    ("flags", "solved"),
    [
        ({"dataset_repeat": 60}, True),
        ({"dataset_repeat": 30, "num_epochs": 2}, True),
        ({"dataset_repeat": 50}, False),
        ({"dataset_repeat": 60, "lora_rank": 16}, False),
    ],
)
def test_three_hundred_steps_are_pictures_times_repeats_times_epochs_and_nothing_else(
    flags: dict[str, object], solved: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    said = verdict("three hundred steps", write_words(flags), 5, capsys=capsys)
    assert ("✓ solved" in said) is solved and "expected: 300 steps" in said


@pytest.mark.parametrize(
    ("loss", "solved"),
    [
        (lambda velocity, clean, noise: (velocity - (noise - clean)).square().mean(), True),
        (lambda velocity, clean, noise: (velocity - (clean - noise)).square().mean(), False),
        (lambda velocity, clean, noise: (velocity - noise).square().mean(), False),
        (lambda velocity, clean, noise: (velocity - (noise - clean)).square().sum(), False),
        (lambda velocity, clean, noise: None, False),
    ],
)
def test_only_the_velocity_from_picture_to_noise_is_the_target(
    loss: Callable, solved: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    said = verdict("the loss", loss, capsys=capsys)
    assert ("✓ solved" in said) is solved and "an error" not in said


@pytest.mark.parametrize(
    ("lines", "solved"),
    [
        (["1.png,a dog", "02.png, ", "03.png,a dog, sitting"], True),
        (["1.png,a dog", "2.png,a dog", "3.png,a dog"], False),
        (["1.png,a dog, sitting", "02.png,a dog", "03.png, "], False),
        (["01.png,a dog", "02.png,a dog", "03.png,a dog"], False),
    ],
)
def test_three_faults_must_be_of_three_kinds_in_three_rows(
    lines: list[str], solved: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    said = verdict("three faults", "\n".join(["image,prompt", *lines]), capsys=capsys)
    assert ("✓ solved" in said) is solved and "an error" not in said
