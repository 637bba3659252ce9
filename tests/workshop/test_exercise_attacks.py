"""No exercise is passed by accident: every judge is attacked, and takes its solution in three spellings.

A row of CASES, here or in tests/support/attacks, is all that a judge needs. What belongs to no student's
answer (a stub, NaN, a text, an exception, exit()) is thrown at every judge alike.
"""

from __future__ import annotations

import json
import math
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.attacked import Case
from tests.support.attacks import (
    edit,
    how_many_steps,
    lora,
    making_it_listen,
    multi_image,
    multilingual,
    noise_to_digits,
    seven_models,
    training,
)
from tests.support.machines import MACHINE
from tests.support.verdicts import verdict
from workshop import exercises, loading
from workshop.exercises.verdict import _failed
from workshop.files import POCKET

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline


def empty_arguments(*given: Any) -> Any:
    """Spoil whatever was handed over, and return it."""
    for one in given:
        if hasattr(one, "zero_"):
            one.zero_()
        elif isinstance(one, list | dict):
            one.clear()
        elif isinstance(one, Path):
            one.write_bytes(b"")
    return given[0]


def raise_error(*_: Any) -> Any:
    raise RuntimeError("a student's error")


def leave(*_: Any) -> Any:
    sys.exit("a student's exit")


FUNCTIONS: dict[str, Any] = {
    "a text": lambda *_: "53.74",
    "nan": lambda *_: math.nan,
    "inf": lambda *_: math.inf,
    "an empty list": lambda *_: [],
    "a constant": lambda *_: 1.0,
    "nan times the argument": lambda first, *_: first * math.nan,
    "the argument": lambda first, *_: first,
    "an exception": raise_error,
    "exit": leave,
    "emptied arguments": empty_arguments,
}
VALUES: dict[str, Any] = {
    "None": None,
    "nan": math.nan,
    "inf": math.inf,
    "a text": "4",
    "an empty list": [],
    "an object": object(),
    "a function": lambda *_: 1.0,
    "a dict": {"a": 1},
}


def config(pattern: str) -> Callable[[], Any]:
    """Return a maker of DiffSynth's address of a file; it is made when DiffSynth is there."""

    def make() -> Any:
        from diffsynth.pipelines.qwen_image import ModelConfig

        return ModelConfig(model_id="Qwen/Qwen-Image", origin_file_pattern=pattern)

    return make


def sample(change: Callable[[bytes], bytes]) -> Callable[[], Path]:
    """Return a maker of the sample file, changed."""

    def make() -> Path:
        path = exercises.write_sample()
        path.write_bytes(change(path.read_bytes()))
        return path

    return make


def count(path: Path, *, skip: str = "__metadata__", empty: int = 1) -> int:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    table = json.loads(data[8 : 8 + length])
    return sum(math.prod(e["shape"]) if e["shape"] else empty for name, e in table.items() if name != skip)


def count_by_loop(path: Path) -> int:
    with path.open("rb") as file:
        table = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    total = 0
    for name in table:
        if name != "__metadata__":
            begin, end = table[name]["data_offsets"]
            total += (end - begin) // 4
    return total


def count_by_library(path: Path) -> int:
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        return sum(file.get_tensor(name).size for name in file.keys())  # noqa: SIM118 no dict


def euler(latents: Any, sigmas: Any, velocity: Any) -> Any:
    for now, after in pairwise([*sigmas, 0.0]):
        latents = latents + (after - now) * velocity(latents, now)
    return latents


def euler_by_index(latents: Any, sigmas: Any, velocity: Any) -> Any:
    for place in range(len(sigmas)):
        after = sigmas[place + 1] if place + 1 < len(sigmas) else 0
        latents = latents - (sigmas[place] - after) * velocity(latents, sigmas[place])
    return latents


def euler_in_place(latents: Any, sigmas: Any, velocity: Any) -> Any:
    sigmas.append(0)
    while len(sigmas) > 1:
        now = sigmas.pop(0)
        latents.add_((sigmas[0] - now) * velocity(latents, now))
    return latents


def euler_without_the_last(latents: Any, sigmas: Any, velocity: Any) -> Any:
    for now, after in pairwise(sigmas):
        latents = latents + (after - now) * velocity(latents, now)
    return latents


def euler_backwards(latents: Any, sigmas: Any, velocity: Any) -> Any:
    for now, after in pairwise([*sigmas, 0.0]):
        latents = latents + (now - after) * velocity(latents, now)
    return latents


def euler_too_late(latents: Any, sigmas: Any, velocity: Any) -> Any:
    for now, after in pairwise([*sigmas, 0.0]):
        latents = latents + (after - now) * velocity(latents, after)
    return latents


def noisy_in_place(clean: Any, noise: Any, sigma: Any) -> Any:
    return clean.mul_(1 - sigma).add_(noise.mul_(sigma))


CASES: dict[str, Case] = {
    "fill the card": Case(
        ["Qwen-Image"],
        (
            ["Qwen-Image", "Qwen-Image-Edit"],
            ["Qwen-Image-Edit", "Qwen-Image-Edit-2509"],
            ("Qwen-Image-Edit", "Qwen-Image"),
        ),
        (
            ["Qwen-Image"] * 2,
            ["Qwen-Image", "Qwen-Image-Edit", "Qwen-Image-Edit-2509"],
            ["Qwen-Image-Edit"],
            ["ArtAug"],
        ),
        context=(100,),
    ),
    "GB to GiB": Case(
        lambda gigabytes: None,
        (lambda g: g * 10**9 / 2**30, lambda g: g * 1e9 / 1024**3, lambda g: g / 1.073741824),
        (lambda g: g * 2**30 / 10**9, lambda g: g * 0.93, lambda g: {57.7: 53.74, 1000.0: 931.32}.get(g, 0)),
    ),
    "count a file": Case(
        lambda path: None,
        (count, count_by_loop, count_by_library),
        (
            lambda path: count(path, empty=0),
            lambda path: len(path.read_bytes()) // 4,
            lambda path: count(path) + 1,
        ),
    ),
    "spoil a file": Case(
        sample(lambda data: data),
        (
            sample(lambda data: data[:-1] + b"\x01"),
            sample(lambda data: data[:-8] + b"spoiled!"),
            sample(lambda data: data[:-96] + bytes([1]) * 96),
        ),
        (
            sample(lambda data: data[:-8]),
            sample(lambda data: data + b"\x00"),
            sample(lambda data: b"\x00" + data[1:]),
            sample(lambda data: data.replace(b"to_q.bias", b"to_k.bias")),
        ),
    ),
    "one pass a step": Case(4.0, (1.0, 1, True + 0), (2.0, 0.0, -1.0), needs_pipe=True, context=(128,)),
    "add noise": Case(
        lambda clean, noise, sigma: None,
        (lambda c, n, s: (1 - s) * c + s * n, lambda c, n, s: c + s * (n - c), noisy_in_place),
        (lambda c, n, s: s * c + (1 - s) * n, lambda c, n, s: c + s * n, lambda c, n, s: 0.5 * c + 0.5 * n),
        needs_pipe=True,
    ),
    "Euler loop": Case(
        lambda latents, sigmas, velocity: None,
        (euler, euler_by_index, euler_in_place),
        (euler_without_the_last, euler_backwards, euler_too_late),
    ),
    "misspell a file": Case(
        config("vae/diffusion_pytorch_model.safetensors"),
        (
            config("vea/diffusion_pytorch_model.safetensors"),
            config("vae/diffusion_pytorch_model.safetensor"),
            config("vae/diffusion_pytorch_modal.safetensors"),
        ),
        (config("vae/*.safetensors"), config("nothing"), config("transformer/*.safetensors")),
    ),
}


for table in (
    lora,
    multilingual,
    edit,
    multi_image,
    training,
    noise_to_digits,
    how_many_steps,
    making_it_listen,
    seven_models,
):
    CASES |= table.CASES


@pytest.fixture(scope="module")
def pipe() -> Iterator[QwenImagePipeline]:
    yield loading.load_pipeline("Qwen-Image", profile=MACHINE)
    loading.free()


@pytest.fixture(autouse=True)
def models_are_the_pockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFSYNTH_MODEL_BASE_PATH", str(POCKET))
    monkeypatch.setenv("DIFFSYNTH_SKIP_DOWNLOAD", "true")
    _failed.clear()


@pytest.fixture
def judge(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Callable[[str, Any], str]:
    """Give a function that returns what the check prints for an answer, with the context it needs."""

    def say(name: str, answer: Any) -> str:
        case = CASES[name]
        made = answer() if getattr(answer, "__name__", "") == "make" else answer
        first = (request.getfixturevalue("pipe"),) if case.needs_pipe else ()
        capsys.readouterr()
        context = case.context() if callable(case.context) else case.context
        return verdict(name, made, *first, *context, capsys=capsys)

    return say


def rows(kind: str) -> list[Any]:
    return [
        pytest.param(name, answer, id=f"{name}-{number}")
        for name, case in CASES.items()
        for number, answer in enumerate(getattr(case, kind))
    ]


def attacks() -> list[Any]:
    found = []
    for name, case in CASES.items():
        is_function = callable(case.stub) and getattr(case.stub, "__name__", "") != "make"
        thrown: Mapping[str, Any] = {**VALUES, **(FUNCTIONS if is_function else {})}
        found += [pytest.param(name, answer, id=f"{name}-{what}") for what, answer in thrown.items()]
    return found


def test_every_judge_is_attacked() -> None:
    assert CASES.keys() == exercises.JUDGES.keys()


@pytest.mark.parametrize("name", CASES)
def test_a_stub_waits_and_gives_nothing_away(name: str, judge: Callable[[str, Any], str]) -> None:
    assert judge(name, CASES[name].stub) == f"{name}: waiting for you\n"


@pytest.mark.parametrize(("name", "answer"), rows("solutions"))
def test_a_solution_is_taken_in_any_spelling(
    name: str, answer: Any, judge: Callable[[str, Any], str]
) -> None:
    assert "✓ solved" in judge(name, answer)


@pytest.mark.parametrize(("name", "answer"), rows("mistakes"))
def test_a_natural_mistake_is_not_taken(name: str, answer: Any, judge: Callable[[str, Any], str]) -> None:
    said = judge(name, answer)
    assert "✗ not yet" in said and "an error" not in said


@pytest.mark.parametrize(("name", "answer"), attacks())
def test_what_is_no_answer_is_never_taken(name: str, answer: Any, judge: Callable[[str, Any], str]) -> None:
    said = judge(name, answer)
    assert "✓" not in said and said.startswith(f"{name}: ")


def test_a_hint_comes_with_the_second_failed_try_or_when_it_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def wrong(size: float) -> float:
        return size

    assert "hint" not in verdict("GB to GiB", wrong, capsys=capsys)
    assert "hint" not in verdict("GB to GiB", lambda size: None, capsys=capsys)
    assert "  hint:     first to bytes" in verdict("GB to GiB", wrong, capsys=capsys)
    exercises.hint("Euler loop")
    assert capsys.readouterr().out.startswith("Euler loop: the step goes from ")
    with pytest.raises(ValueError, match="no exercise named 'tea'"):
        exercises.hint("tea")


def test_an_answer_of_another_kind_is_told_what_is_wanted(judge: Callable[[str, Any], str]) -> None:
    assert "a function is wanted, got 4" in judge("GB to GiB", 4)
    assert "a number is wanted, got the text '53.74'" in judge("GB to GiB", lambda size: "53.74")
    assert "a finite number is wanted, got nan" in judge("GB to GiB", lambda size: math.nan)
    assert "a list of names is wanted, got the text 'Qwen'" in judge("fill the card", "Qwen")
    assert "a tensor of shape (1, 16, 4, 4) is wanted, got 1.0" in judge("Euler loop", lambda *_: 1.0)
