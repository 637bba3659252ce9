"""The command line: every flag is explained, and none is taken that nothing reads."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from workshop import files
from workshop.training.flags import DIFFSYNTHS, FLAGS, RATES, explain_flags, make_parser


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
