"""The verdict on an answer: solved, not yet, or waiting for you. It is printed, and nothing is raised.

A judge of a function is one line: `return compare(function, expected, cases)`, with cases drawn at random.
Any other judge computes what it expects first, then asks the student's function with `ask`, which hands
over copies: what an answer does to its arguments changes nothing. It raises `Waiting` for the answer of the
stub, and `Wrong` for one that cannot be judged.
"""

from __future__ import annotations

import copy
import math
import numbers
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

HINT_AFTER = 2  # failed tries


@dataclass(frozen=True)
class Verdict:
    """Yours beside what was expected, and a hint for those who are not there yet."""

    solved: bool
    yours: str
    expected: str = ""
    hint: str = ""

    def __str__(self) -> str:
        mark = "✓ solved" if self.solved else "✗ not yet"
        lines = [mark, f"  yours:    {self.yours}"]
        return "\n".join([*lines, *([f"  expected: {self.expected}"] if self.expected else [])])


class Waiting(Exception):
    """The answer is still the stub's."""


class Wrong(Exception):
    """The answer cannot be judged; the message says what came and what is wanted."""


Judge = Callable[..., Verdict]
JUDGES: dict[str, Judge] = {}
_hints: dict[str, str] = {}
_failed: Counter[str] = Counter()


def exercise(name: str, *, hint: str = "") -> Callable[[Judge], Judge]:
    """Enter a judge under the exercise's name.

    hint: what helps after some failed tries; a verdict may carry a nearer one
    """

    def enter(judge: Judge) -> Judge:
        JUDGES[name] = judge
        _hints[name] = hint
        return judge

    return enter


def check(name: str, answer: object, *context: object) -> None:
    """Print whether an answer solves an exercise. What is wrong with it is printed, never raised.

    The stub's answer waits for you. A hint comes with the second failed try, or by `hint`. An answer that
    ends the program, as `exit()` does, is wrong as well; only your interrupt ends the cell.

    context: what the exercise's judge needs beside the answer, as the pipeline

    Raises ValueError for a name that is no exercise.
    """
    judge = _find(name)
    try:
        verdict = judge(answer, *context)
    except KeyboardInterrupt:
        raise
    except Waiting:
        print(f"{name}: waiting for you")
        return
    except Wrong as error:
        verdict = Verdict(False, str(error))
    except BaseException as error:  # a student's function may fail in any way; the next cell must still run
        verdict = Verdict(False, f"an error, {_name_error(error)}", "an answer that can be judged")
    print(f"{name}: {verdict}")
    _note(name, verdict)


def hint(name: str) -> None:
    """Print the hint for an exercise.

    Raises ValueError for a name that is no exercise.
    """
    _find(name)
    print(f"{name}: {_hints[name] or 'there is no hint but the task itself'}")


def ask(function: object, *given: object) -> Any:
    """Call a student's function with copies of its arguments and return its answer.

    Raises Waiting if it returns None, as every stub does, and Wrong for what is no function.
    """
    if not callable(function):
        raise Wrong(f"a function is wanted, got {describe(function)}")
    answer = function(*copy.deepcopy(given))
    if answer is None:
        raise Waiting
    return answer


def demand_number(value: object, *, wanted: str = "a number") -> float:
    """Return a number as a float; a tensor with one value is one, text and NaN are not.

    Raises Wrong.
    """
    try:
        item = value.item() if hasattr(value, "item") else value
    except (ValueError, RuntimeError):  # an array or a tensor of several
        item = None
    if isinstance(item, bool) or not isinstance(item, numbers.Real):
        raise Wrong(f"{wanted} is wanted, got {describe(value)}")
    if not math.isfinite(item):
        raise Wrong(f"a finite number is wanted, got {float(item)}")
    return float(item)


def demand_tensor(value: object, *, shape: Sequence[int]) -> Any:
    """Return a tensor of that shape in which every number is finite.

    Raises Wrong for anything else.
    """
    import torch

    if not isinstance(value, torch.Tensor):
        raise Wrong(f"a tensor of shape {tuple(shape)} is wanted, got {describe(value)}")
    if value.shape != torch.Size(shape):
        raise Wrong(f"a tensor of shape {tuple(shape)} is wanted, got one of {tuple(value.shape)}")
    if not bool(torch.isfinite(value).all()):
        raise Wrong("every number must be finite, some are nan or infinite")
    return value


def compare(
    function: object,
    expected: Callable[..., Any],
    cases: Sequence[tuple[Any, ...]],
    *,
    within: float = 1e-5,
    shown: int = 0,
    unit: str = "",
) -> Verdict:
    """Return the verdict on a student's function that is to return what `expected` returns, in every case.

    What is expected is computed first, on copies of its own: a number or a tensor.

    cases: the arguments, a tuple for each; draw some of them at random, so that no table can answer them
    within: largest difference, as a share of the expected value where that is above 1; 0 for exact
    shown: how many of the first numbers are printed; the others stay hidden

    Raises Waiting and Wrong as `ask`, `demand_number` and `demand_tensor` do.
    """
    wanted = [expected(*copy.deepcopy(case)) for case in cases]
    given = [ask(function, *case) for case in cases]
    apart = [_measure(one, other) for one, other in zip(given, wanted, strict=True)]
    right = [distance <= within for distance in apart]
    told, target = f"{sum(right)} of {len(cases)} cases right", f"all {len(cases)} cases"
    if not all(right):
        told += f"; the first wrong one is off by {apart[right.index(False)]:.3g}"
    if shown:
        told = f"{write_numbers([demand_number(one) for one in given[:shown]], unit)}; {told}"
        target = f"{write_numbers(wanted[:shown], unit)}; {target}"
    return Verdict(all(right), told, target + (f", to within {within:g}" if within else ""))


def _measure(given: object, wanted: Any) -> float:
    """Return the largest difference to the expected number or tensor, as a share where that is above 1."""
    if getattr(wanted, "ndim", 0):
        found = demand_tensor(given, shape=wanted.shape).detach().to(wanted.dtype)
        return float((found - wanted).abs().max()) / max(1.0, float(wanted.abs().max()))
    return abs(demand_number(given) - float(wanted)) / max(1.0, abs(float(wanted)))


def describe(value: object) -> str:
    """Name what an answer is, in a few words.

    >>> describe("a dog"), describe([1, 2]), describe(None)
    ("the text 'a dog'", 'a list of 2', 'None')
    """
    if value is None or isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return f"the text {value if len(value) < 30 else value[:29] + '…'!r}"
    kind = type(value).__name__
    article = "an" if kind[0] in "aeiouAEIOU" else "a"
    return f"{article} {kind} of {len(value)}" if isinstance(value, list | tuple) else f"{article} {kind}"


def _find(name: str) -> Judge:
    if name not in JUDGES:
        raise ValueError(f"There is no exercise named {name!r}. These are: {', '.join(JUDGES)}.")
    return JUDGES[name]


def _note(name: str, verdict: Verdict) -> None:
    """Count a failed try, and print the hint when it is time."""
    if verdict.solved:
        del _failed[name]
        return
    _failed[name] += 1
    help_ = verdict.hint or _hints[name]
    if help_ and _failed[name] >= HINT_AFTER:
        print(f"  hint:     {help_}")


def _name_error(error: BaseException) -> str:
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
