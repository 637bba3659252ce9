"""The tokenizer, a byte-level BPE learned from captions, and the processor, in the files Qwen's classes load.

The pipeline cuts a fixed number of template tokens off every prompt, counted with the real tokenizer: 34 for
a prompt, 64 for an edit (diffsynth 2.1.12, pipelines/qwen_image.py). So every word of the two templates has
to be one token here as well.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from workshop import prompts
from workshop.pocket.model.architecture import SPECIAL_TOKENS, VOCABULARY
from workshop.pocket.world import captions, scenes

if TYPE_CHECKING:
    from transformers import Qwen2Tokenizer, Qwen2VLProcessor

PROMPT_TEMPLATE = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, "
    "spatial relationships of the objects and background:<|im_end|>\n"
    "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
)
EDIT_TEMPLATE = (
    "<|im_start|>system\nDescribe the key features of the input image (color, shape, size, texture, objects, "
    "background), then explain how the user's text instruction should alter or modify the image. "
    "Generate a new image that meets the user's requirements while maintaining consistency with the "
    "original input where appropriate.<|im_end|>\n"
    "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>{}<|im_end|>\n<|im_start|>assistant\n"
)
PROMPT_DROP, EDIT_DROP = 34, 64
SUFFIX_TOKENS = 5
"""`<|im_end|>`, newline, `<|im_start|>`, `assistant`, newline: they follow every prompt, so their hidden
states depend on all of it."""

LONGEST_TOKEN = 16
"""In bytes. Chinese has no spaces: without a limit, whole sentences of frequent captions would become
single tokens."""

PATCH, MERGE, VISION_SIZE = 14, 2, 140
"""The vision tower sees pictures of 140×140 pixels as 10×10 patches, merged 2×2 into 25 tokens."""


def corpus(count: int = 60_000, seed: int = 5) -> Iterator[str]:
    """Yield captions of every language in turn, and the words of both templates.

    The words come often enough to become single tokens.
    """
    rng = random.Random(seed)
    words = [text for template in (PROMPT_TEMPLATE, EDIT_TEMPLATE) for text in template.split("<|")]
    for i, scene in enumerate(islice(scenes.stream(seed), count)):
        language = captions.LANGUAGES[i % len(captions.LANGUAGES)]
        yield captions.caption(scene, language, rng).text
        if i % 20 == 0:
            yield from (text.split("|>")[-1] for text in words)
            yield "Picture 1: Picture 2: Picture 3:"
    yield from (prompt.text for prompt in prompts.WORKSHOP_PROMPTS.values())
    yield prompts.NEGATIVE_PROMPT


def learn() -> tuple[dict[str, int], list[str]]:
    """Learn the byte-level BPE; return the id of every token, and the merges, most frequent first."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
            ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(ByteLevel.alphabet()),
        max_token_length=LONGEST_TOKEN,
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]


def make_tokenizer() -> Qwen2Tokenizer:
    """Learn the tokenizer and return it: about half a minute on one core."""
    from transformers import Qwen2Tokenizer

    vocabulary, merges = learn()
    return Qwen2Tokenizer(
        vocab=vocabulary,
        merges=[tuple(merge.split(" ")) for merge in merges],  # type: ignore[misc]  # pairs, as BPE takes them
        extra_special_tokens=list(SPECIAL_TOKENS[1:]),
        model_max_length=2048,
    )


def write_tokenizer(tokenizer: Qwen2Tokenizer, folder: Path) -> None:
    """Write what transformers writes, and vocab.json and merges.txt as the real repository has them."""
    tokenizer.save_pretrained(folder)
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False), encoding="utf8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf8")


def load_tokenizer(folder: Path) -> Qwen2Tokenizer:
    """Return the tokenizer in a folder."""
    from transformers import Qwen2Tokenizer

    return Qwen2Tokenizer.from_pretrained(folder)


def make_processor(tokenizer: Qwen2Tokenizer) -> Qwen2VLProcessor:
    """Return the processor that edit models need; it makes square pictures of any size 140×140 px."""
    from transformers import Qwen2VLImageProcessor, Qwen2VLProcessor
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    size = {"shortest_edge": VISION_SIZE**2, "longest_edge": VISION_SIZE**2}
    return Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size, patch_size=PATCH, merge_size=MERGE),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=size, patch_size=PATCH, merge_size=MERGE),
    )
