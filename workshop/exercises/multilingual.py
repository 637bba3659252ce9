"""Notebook 04: what a prompt costs in tokens."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from workshop import prompts
from workshop.exercises.verdict import Verdict, exercise, write_numbers

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

SHORT = 20  # tokens
NEEDED = ("man", "suit", "gray", "red", "flowers", "table")
ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff"  # characters that take no room on the screen


@exercise("a shorter prompt")
def _shorter_prompt(prompt: str, pipe: QwenImagePipeline) -> Verdict:
    count = count_tokens(pipe, prompt)
    absent = [word for word in NEEDED if not re.search(rf"\b{word}\b", prompt.lower())]
    expected = f"at most {SHORT} tokens, with the words {', '.join(NEEDED)}"
    yours = f"{count} tokens" + (f", without {', '.join(absent)}" if absent else ", with all of them")
    return Verdict(count <= SHORT and not absent, yours, expected, "what does the picture not need?")


@exercise("bytes a token")
def _bytes_a_token(rate: Callable[[str], float], pipe: QwenImagePipeline) -> Verdict:
    expected = [len(text.encode()) / count_tokens(pipe, text) for text in prompts.SCENE.values()]
    yours = [rate(text) for text in prompts.SCENE.values()]
    if None in yours:
        return Verdict(False, "None", write_numbers(expected), "len(text.encode()) counts bytes")
    solved = all(abs(a - b) < 0.01 for a, b in zip(yours, expected, strict=True))
    return Verdict(solved, write_numbers(yours), write_numbers(expected), "bytes, not characters")


@exercise("hidden characters")
def _hidden_characters(text: str, original: str, pipe: QwenImagePipeline) -> Verdict:
    looks = "".join(letter for letter in text if letter not in ZERO_WIDTH)
    before, after = count_tokens(pipe, original), count_tokens(pipe, text)
    same = "looks the same" if looks == original else "looks different"
    expected = f"looks the same, more than {before} tokens"
    hint = r'put the zero-width space "\u200b" somewhere inside'
    return Verdict(looks == original and after > before, f"{same}, {after} tokens", expected, hint)


def count_tokens(pipe: QwenImagePipeline, text: str) -> int:
    """Count a text's tokens, without the template that DiffSynth puts around it."""
    return len(pipe.tokenizer(text).input_ids)
