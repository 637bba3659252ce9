"""Notebook 04: what a prompt costs in tokens, and the square of cosines."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from workshop import drawing, prompts
from workshop.exercises.verdict import Verdict, Waiting, Wrong, compare, describe, exercise

if TYPE_CHECKING:
    import torch
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

SHORT = 20  # tokens
# What the sentence must ask for, in words; a colour counts only beside its thing. The reader would be no
# better judge: in drawings from sentences this short it finds things that the sentence denies.
NEEDED = {
    "a man": r"\b(gentle)?man\b",
    "a gray suit": r"\bgr[ae]y( [\w-]+){0,2} suit\b",
    "a table": r"\btable\b",
    "red flowers": r"\bred( [\w-]+){0,2} flowers?\b",
}
DENIED = r"\b(no|not|never|without|nobody|nothing)\b|n[’']t\b"
ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff"  # characters that take no room on the screen


@exercise("a shorter prompt", hint="what does the picture not need?")
def _shorter_prompt(prompt: str, pipe: QwenImagePipeline) -> Verdict:
    if not isinstance(prompt, str):
        raise Wrong(f"a sentence is wanted, got {describe(prompt)}")
    if prompt == prompts.SCENE["English"]:
        raise Waiting
    count, words = count_tokens(pipe, prompt), prompt.lower()
    absent = [thing for thing, pattern in NEEDED.items() if not re.search(pattern, words)]
    denied = re.search(DENIED, words)
    yours = f"{count} tokens" + (f", without {', '.join(absent)}" if absent else ", with all of them")
    yours += f", and {denied[0]!r} takes something back" if denied else ""
    expected = f"at most {SHORT} tokens that ask for {', '.join(NEEDED)}"
    return Verdict(count <= SHORT and not absent and not denied, yours, expected)


@exercise("bytes a token", hint="bytes, not characters: which method of a text gives its bytes?")
def _bytes_a_token(rate: Callable[[str], float], pipe: QwenImagePipeline) -> Verdict:
    texts = [*prompts.SCENE.values()]
    texts += ["".join(random.sample(text, len(text) // 2)) for text in texts]
    cases = [(text,) for text in texts]
    return compare(
        rate, lambda text: len(text.encode()) / count_tokens(pipe, text), cases, within=1e-3, shown=2
    )


@exercise("cosine square", hint="the cosine of a and b is (a * b).sum() over the product of both lengths")
def _cosine_square(square: Callable[..., object]) -> Verdict:
    return compare(square, _measure_cosines, [_random_vectors() for _ in range(4)])


def _random_vectors() -> tuple[list[torch.Tensor]]:
    """Return a list of vectors of one size and of very different lengths."""
    import torch

    count, size = random.randint(2, 5), random.randint(3, 8)
    return ([random.uniform(0.2, 5) * torch.randn(size) for _ in range(count)],)


def _measure_cosines(vectors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the (N, N) cosines of N vectors."""
    import torch

    return torch.tensor(drawing.similarities(vectors))


@exercise("hidden characters", hint='"between".join(letters) puts something between all letters')
def _hidden_characters(text: str, pipe: QwenImagePipeline) -> Verdict:
    original = prompts.SCENE["Korean"]
    if not isinstance(text, str):
        raise Wrong(f"a text is wanted, got {describe(text)}")
    if text == original:
        raise Waiting
    looks = "".join(letter for letter in text if letter not in ZERO_WIDTH)
    before, after = count_tokens(pipe, original), count_tokens(pipe, text)
    same = "looks the same" if looks == original else "looks different"
    expected = f"looks the same, more than {before} tokens"
    return Verdict(looks == original and after > before, f"{same}, {after} tokens", expected)


def count_tokens(pipe: QwenImagePipeline, text: str) -> int:
    """Count a text's tokens, without the template that DiffSynth puts around it."""
    return len(pipe.tokenizer(text).input_ids)
