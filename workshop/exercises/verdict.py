"""The verdict on an answer: yours beside what was expected. It is printed, and nothing is raised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """Yours beside what was expected, and a hint for those who are not there yet."""

    solved: bool
    yours: str
    expected: str
    hint: str = ""

    def __str__(self) -> str:
        mark = "✓ solved" if self.solved else "✗ not yet"
        lines = [mark, f"  yours:    {self.yours}", f"  expected: {self.expected}"]
        return "\n".join([*lines, *([f"  hint:     {self.hint}"] if self.hint and not self.solved else [])])


Judge = Callable[..., Verdict]
JUDGES: dict[str, Judge] = {}


def exercise(name: str) -> Callable[[Judge], Judge]:
    """Enter a judge under the exercise's name."""

    def enter(judge: Judge) -> Judge:
        JUDGES[name] = judge
        return judge

    return enter


def check(name: str, answer: object, *context: object) -> None:
    """Print yours, expected and whether they agree. What is wrong with an answer is printed, never raised.

    An answer that ends the program, as `exit()` does, is wrong as well; only your interrupt ends the cell.

    context: what the exercise's judge needs beside the answer, as the pipeline

    Raises ValueError for a name that is no exercise.
    """
    if name not in JUDGES:
        raise ValueError(f"There is no exercise named {name!r}. These are: {', '.join(JUDGES)}.")
    try:
        verdict = str(JUDGES[name](answer, *context))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a student's function may fail in any way; the next cell must still run
        verdict = str(Verdict(False, f"an error, {_describe(error)}", "an answer that can be judged"))
    print(f"{name}: {verdict}")


def _describe(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # the error is a student's class, too
        return type(error).__name__


def write_numbers(values: Sequence[float], unit: str = "") -> str:
    """Write numbers in a row, to two digits.

    >>> write_numbers([53.7381, 178.8], "GiB")
    '53.74, 178.80 GiB'
    """
    return ", ".join(f"{value:.2f}" for value in values) + (f" {unit}" if unit else "")
