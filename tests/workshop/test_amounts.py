"""A number on a command line is finite and in range, or refused by the name of its flag."""

from __future__ import annotations

import argparse

import pytest

from workshop import amounts, bench
from workshop.runner import run


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "nan", "inf", "", "many"])
def test_what_is_no_whole_number_of_1_or_more_is_refused(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=amounts.whole(least=1))
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args([f"--steps={text}"])
    assert "argument --steps: must be" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "-inf", "", "much"])
def test_what_is_no_finite_number_above_0_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="must be"):
        amounts.decimal(above=True)(text)


def test_the_ends_of_a_range_are_in_it() -> None:
    assert [amounts.whole(least=0, most=3)(text) for text in ("0", "3")] == [0, 3]
    assert [amounts.decimal(most=1)(text) for text in ("0", "1")] == [0.0, 1.0]
    assert amounts.decimal(endless=True)("inf") == float("inf")
    with pytest.raises(argparse.ArgumentTypeError, match="must be from 0 to 3, got 4"):
        amounts.whole(least=0, most=3)("4")


@pytest.mark.parametrize(
    ("main", "flag", "value"),
    [(bench.main, "--repeats", "0"), (run.main, "--cell-timeout", "nan"), (run.main, "--cell-timeout", "0")],
)
def test_the_commands_refuse_a_number_that_makes_no_sense(
    main: object, flag: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([flag, value])
    assert f"argument {flag}: must be" in capsys.readouterr().err
