"""The exercises: each tells a solution from the stub, and from an answer that fails."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.attacks import lora, training
from tests.support.verdicts import verdict
from workshop import exercises

if TYPE_CHECKING:
    pass


def test_what_the_notebooks_share_imports_neither_torch_nor_diffsynth() -> None:
    code = (
        "import sys; from workshop import drawing, looking, plots, exercises, playground; print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "diffsynth", "matplotlib", "ipywidgets"} & set(loaded.split())


@pytest.mark.parametrize("name", exercises.JUDGES)
def test_no_answer_makes_a_check_raise(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = verdict(name, object(), object(), object(), capsys=capsys)
    assert "✗ not yet" in answer and ("an error" in answer or "is wanted, got an object" in answer)


def test_a_check_of_an_unknown_exercise_lists_the_right_ones() -> None:
    with pytest.raises(ValueError, match=r"no exercise named 'tea'. These are: fill the card, GB to GiB"):
        exercises.check("tea", None)


def test_wrong_flag_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    said = verdict("three hundred steps", ["--dataset_repeat", "60.0"], 5, capsys=capsys)
    assert "yours:    argument --dataset_repeat: must be a whole number, got '60.0'" in said
    assert "usage" not in said + capsys.readouterr().err


def test_wrong_tensor_is_told_with_both_shapes(capsys: pytest.CaptureFixture[str]) -> None:
    def transposed(weight: Any, a: Any, b: Any, strength: float) -> Any:
        return (weight + strength * b @ a).T

    said = verdict("merge by hand", transposed, capsys=capsys)
    assert "a tensor of shape (6, 4) is wanted, got one of (4, 6)" in said


def test_first_numbers_are_shown_and_the_others_are_only_counted(capsys: pytest.CaptureFixture[str]) -> None:
    said = verdict("count once", lambda networks: 1, capsys=capsys)
    assert "0 of 3 cases right; the first wrong one is off by" in said and "expected: all 3 cases\n" in said


def test_an_empty_lora_does_not_count_as_patching_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    said = verdict("patch nothing", {}, *lora.small(), capsys=capsys)
    assert "✗ not yet" in said and "0 of 0 layers" in said and "0 of 2 layers" in said


def test_what_the_check_of_a_table_finds_is_told_without_its_folder(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = verdict("a silent fault", "picture,words\n01.png,a dog", capsys=capsys)
    assert "yours:    found out: has no column image, it has 'picture', 'words'" in said
    said = verdict("a silent fault", training.table("1.png,a dog", "02.png,a dog"), capsys=capsys)
    assert "yours:    found out: row 1, 1.png: there is no such file\n" in said and "workshop-" not in said


def test_what_is_in_memory_is_not_asked_what_the_original_was(capsys: pytest.CaptureFixture[str]) -> None:
    one_pair = dict(list(lora.rename("transformer.").items())[:2])
    said = verdict("patch nothing", one_pair, *lora.small(), capsys=capsys)
    assert "yours:    0 of 1 layers patched\n" in said and "expected: 0 of 2 layers patched" in said
