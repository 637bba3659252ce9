"""The command line: every flag is explained, and none is taken that nothing reads."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from workshop import files
from workshop.training import loop
from workshop.training.flags import (
    DIFFSYNTHS,
    FLAGS,
    NUMBERS,
    RATES,
    explain_flags,
    find_faults,
    make_parser,
    write_words,
)


def test_every_flag_is_explained_in_one_line_and_without_torch() -> None:
    code = (
        "import sys; from workshop.training.flags import make_parser; make_parser(); "
        "print('torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=files.REPO)
    assert said.stdout == "False\n", said.stderr
    actions = {action.dest: action for action in make_parser()._actions if action.dest != "help"}
    assert actions.keys() == set(FLAGS)
    for name, flag in (FLAGS).items():
        assert 20 < len(flag.why) <= 90 and "\n" not in flag.why, name


def test_the_defaults_are_those_of_the_lesson() -> None:
    options = make_parser().parse_args([])
    assert options.lora_target_modules.count(",") == 11 and options.lora_rank == 32
    assert (options.dataset_repeat, options.num_epochs, options.max_pixels) == (50, 1, 1024**2)
    assert RATES["mi300x"] == 1e-4 and options.lora_base_model == "dit"


def test_a_flag_that_nothing_reads_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make_parser().parse_args(["--enable_wandb_log"])
    assert "unrecognized arguments: --enable_wandb_log" in capsys.readouterr().err


def test_every_flag_of_diffsynth_that_is_explained_is_still_diffsynths() -> None:
    package = Path(importlib.util.find_spec("diffsynth").origin).parent
    text = (package / "diffusion" / "parsers.py").read_text(encoding="utf-8")
    assert all(f'"--{name}"' in text for name in DIFFSYNTHS)


def test_the_flags_of_the_lesson_are_all_explained_with_their_values() -> None:
    rows = {name: (value, why) for name, value, why in explain_flags({"lora_rank": 8})}
    assert rows.keys() == set(FLAGS)
    assert rows["lora_rank"][0] == "8" and rows["learning_rate"][0] == "left out"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("learning_rate", ["0", "-1", "nan", "inf", "-inf", ""]),
        ("weight_decay", ["-0.1", "nan", "inf"]),
        *((name, ["0", "-1", "1.5"]) for name in ("save_steps", "lora_rank", "num_epochs", "dataset_repeat")),
        *((name, ["0", "-16"]) for name in ("height", "width", "max_pixels")),
        *((name, ["-1"]) for name in ("sample_steps", "dataset_num_workers", "seed", "sample_seed")),
        ("lora_rank", ["100000"]),
        ("seed", [str(2**64)]),
    ],
)
def test_a_number_that_makes_no_sense_is_refused_by_the_name_of_its_flag(
    name: str, values: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for value in values:
        with pytest.raises(SystemExit, match="2"):
            loop.main([f"--{name}={value}"])
        assert f"argument --{name}: must be" in capsys.readouterr().err


def test_every_number_has_a_range() -> None:
    texts = {"dataset_base_path", "dataset_metadata_path", "output_path", "lora_checkpoint", "profile"}
    texts |= {"lora_base_model", "lora_target_modules", "sample_prompt"}
    switches = {"find_unused_parameters", "use_gradient_checkpointing", "resume", "restart"}
    assert FLAGS.keys() - NUMBERS.keys() == texts | switches


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--height 32", "--height alone would be ignored. Give --width, too, or neither"),
        ("--width 32", "--width alone would be ignored. Give --height, too, or neither"),
        ("--height 100 --width 112", "--height must be a multiple of 16 px, got 100. The nearest: 96 or 112"),
        ("--height 16 --width 7", "--width must be a multiple of 16 px, got 7. The nearest: 16"),
        (
            "--height 64 --width 64 --max_pixels 99",
            "--max_pixels would be ignored beside --height and --width",
        ),
        ("--lora_base_model vae", "--lora_base_model must be dit, got 'vae'"),
        ("--lora_target_modules to_q,,to_k", "--lora_target_modules holds an empty name"),
        ("--output_path=", "--output_path is empty. Give a path, or leave it out"),
        ("--lora_checkpoint=", "--lora_checkpoint is empty. Give a path, or leave it out"),
        ("--dataset_metadata_path=", "--dataset_metadata_path is empty"),
        ("--resume --restart", "--resume goes on and --restart deletes. Give one of them"),
    ],
)
def test_flags_that_would_be_ignored_or_mended_are_refused_before_anything_is_loaded(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert loop.main(words.split()) == 1
    assert said in capsys.readouterr().err


def test_flags_without_fault_have_none() -> None:
    for words in ("", "--height 64 --width 1328", "--max_pixels 4096"):
        assert find_faults(make_parser().parse_args(words.split())) == []


def test_a_flag_that_is_none_is_left_out() -> None:
    assert write_words({"lora_checkpoint": None, "lora_rank": 8, "sample_steps": 0}) == [
        *("--lora_rank", "8"),
        *("--sample_steps", "0"),
    ]
