"""Notebook 04."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from tests.support.attacked import Case
from workshop import exercises, prompts


def split(text: str) -> SimpleNamespace:
    """Take each word, and each invisible space, for a token."""
    return SimpleNamespace(input_ids=text.replace("\u200b", " \u200b ").split(" "))


KOREAN = prompts.SCENE["Korean"]
PIPE = SimpleNamespace(tokenizer=split)


def count(text: str) -> int:
    """Count a text's tokens."""
    return exercises.count_tokens(PIPE, text)


def by_loops(vectors: Any) -> Any:
    """Return the square of cosines, entry by entry."""
    import torch

    square = torch.zeros(len(vectors), len(vectors))
    for i, a in enumerate(vectors):
        for j, b in enumerate(vectors):
            square[i, j] = (a * b).sum() / ((a * a).sum().sqrt() * (b * b).sum().sqrt())
    return square


def by_rows(vectors: Any) -> Any:
    """Return the square of cosines, made of directions in place."""
    import torch

    for vector in vectors:
        vector /= vector.square().sum() ** 0.5
    return torch.stack([torch.stack([(a * b).sum() for b in vectors]) for a in vectors])


def by_lists(vectors: Any) -> Any:
    """Return the square of cosines, computed from plain numbers."""
    import torch

    lists = [vector.tolist() for vector in vectors]
    lengths = [sum(x * x for x in row) ** 0.5 for row in lists]
    return torch.tensor(
        [
            [
                sum(x * y for x, y in zip(a, b, strict=True)) / (p * q)
                for b, q in zip(lists, lengths, strict=True)
            ]
            for a, p in zip(lists, lengths, strict=True)
        ]
    )


def squares(entry: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """Return a function that fills the square with another formula."""

    def fill(vectors: Any) -> Any:
        import torch

        return torch.stack([torch.stack([entry(a, b) for b in vectors]) for a in vectors])

    return fill


def just_pipe() -> tuple[Any, ...]:
    """Return the pipeline."""
    return (PIPE,)


CASES = {
    "a shorter prompt": Case(
        stub=prompts.SCENE["English"],
        solutions=[
            "An Asian man in a dark gray suit at a table, holding red flowers",
            "man, gray suit, table, red flowers",
            "A MAN in a grey suit sits at a TABLE with a RED flower.",
        ],
        mistakes=[
            "red flowers",
            "An Asian man in a suit",
            prompts.SCENE["English"] + " today",
            "No man, no gray suit, no red flowers, no table",
            "a red suit, gray flowers, man on table",
            "man suit gray red flowers table",
            "A woman in a gray suit at a table with red flowers",
        ],
        context=just_pipe,
    ),
    "bytes a token": Case(
        stub=lambda text: None,
        solutions=[
            lambda text: len(text.encode()) / count(text),
            lambda text: len(bytes(text, "utf-8")) / len(PIPE.tokenizer(text).input_ids),
            lambda text: sum(len(letter.encode()) for letter in text) / count(text),
        ],
        mistakes=[
            lambda text: len(text) / count(text),
            lambda text: count(text) / len(text.encode()),
            lambda text: len(text.encode()),
        ],
        context=just_pipe,
    ),
    "cosine square": Case(
        stub=lambda vectors: None,
        solutions=[by_loops, by_rows, by_lists],
        mistakes=[
            squares(lambda a, b: (a * b).sum()),
            squares(lambda a, b: (a * b).sum() / ((a * a).sum() * (b * b).sum())),
            squares(lambda a, b: (a * b).sum() / (a.abs().sum() * b.abs().sum())),
            squares(lambda a, b: (a * b).sum() / (a * a).sum()),
            squares(lambda a, b: (a - b).square().sum().sqrt()),
            lambda vectors: by_loops(vectors)[0],
        ],
    ),
    "hidden characters": Case(
        stub=KOREAN,
        solutions=[KOREAN[:3] + "\u200b" + KOREAN[3:], "\u200b".join(KOREAN), KOREAN + "\u200b"],
        mistakes=[KOREAN[:3] + " " + KOREAN[3:], KOREAN + " ", KOREAN[:2], KOREAN + "!", "\u200b"],
        context=just_pipe,
    ),
}
