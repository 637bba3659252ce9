"""What the text encoder gets: token ids of prompts, and patches of reference pictures.

Axes: B batch, S sequence, H height, W width.
Source of the patches: transformers 5.23, models/qwen2_vl/image_processing_qwen2_vl.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F

from workshop.pocket.model import tokens
from workshop.pocket.model.architecture import SPECIAL_TOKENS
from workshop.pocket.training import checkpoint

IMAGE_TOKENS = (tokens.VISION_SIZE // tokens.PATCH // tokens.MERGE) ** 2
"""Tokens of a reference picture in a prompt: 25."""

IMAGE_PAD = SPECIAL_TOKENS.index("<|image_pad|>")
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class PromptTokens:
    """The tokenizer of a training folder, or the shipped one, and the first tokens of both templates.

    learn: whether to learn the tokenizer from captions where the folder has none yet
    """

    def __init__(self, folder: Path, *, learn: bool = False) -> None:
        self.folder = Path(folder) / "tokenizer"
        if not learn and not self.folder.exists():
            self.folder = checkpoint.SHIPPED / "tokenizer"
        if not (self.folder / "tokenizer_config.json").exists():
            tokens.write_tokenizer(tokens.make_tokenizer(), self.folder)
        self.tokenizer = tokens.load_tokenizer(self.folder)
        self.template = self._first_tokens(tokens.PROMPT_TEMPLATE, tokens.PROMPT_DROP)
        self.edit_template = self._first_tokens(tokens.EDIT_TEMPLATE, tokens.EDIT_DROP)

    def _first_tokens(self, template: str, count: int) -> torch.Tensor:
        """Return the first tokens of every prompt, (count,); DiffSynth drops their hidden states."""
        return torch.tensor(self.tokenizer(template.split("{}")[0])["input_ids"][:count])

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has, without a template."""
        return [len(row) for row in self.tokenizer(list(texts))["input_ids"]]

    def encode_prompts(
        self, texts: Sequence[str], *, multiple: int = 32
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the token ids that follow the template's first 34, (B, S), and their lengths, (B,).

        multiple: ids are padded to a multiple of it, so that shapes are few
        """
        whole = [tokens.PROMPT_TEMPLATE.replace("{}", text) for text in texts]
        return self.encode_whole(whole, drop=tokens.PROMPT_DROP, multiple=multiple)

    def encode_edits(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the token ids of edit prompts with one picture each, whole, (B, S), and lengths, (B,)."""
        whole = [write_edit_prompt(text, references=1, numbered=False) for text in texts]
        return self.encode_whole(whole, drop=0, multiple=32)

    def encode_whole(
        self, whole: Sequence[str], *, drop: int, multiple: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return token ids of whole prompts without their first `drop`, (B, S), and their lengths, (B,)."""
        rows = [row[drop:] for row in self.tokenizer(list(whole))["input_ids"]]
        lengths = torch.tensor([len(row) for row in rows])
        width = -(-int(lengths.max()) // multiple) * multiple
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
        return ids, lengths


def write_edit_prompt(text: str, *, references: int, numbered: bool) -> str:
    """Write the whole prompt that DiffSynth makes of an instruction, with 25 image tokens a reference."""
    picture = "<|vision_start|>" + "<|image_pad|>" * IMAGE_TOKENS + "<|vision_end|>"
    pictures = "".join(f"Picture {i + 1}: {picture}" for i in range(references)) if numbered else picture
    return tokens.EDIT_TEMPLATE.replace("<|vision_start|><|image_pad|><|vision_end|>{}", pictures + text)


def cut_patches(pictures: torch.Tensor) -> torch.Tensor:
    """Cut pictures into patches as the processor hands them to the vision tower.

    pictures: (B, 3, H, W) in [-1, 1]; they are resized to 140×140 px
    returns: (B·100, 1176), four patches that are merged later in a row
    """
    size, patch, merge = tokens.VISION_SIZE, tokens.PATCH, tokens.MERGE
    x = F.interpolate(pictures, (size, size), mode="bicubic", antialias=True).clamp(-1, 1) / 2 + 0.5
    mean, std = (torch.tensor(v, device=x.device).view(3, 1, 1) for v in (CLIP_MEAN, CLIP_STD))
    x = ((x - mean) / std)[:, None].repeat(1, 2, 1, 1, 1)  # a still picture is two equal frames
    side = size // patch // merge
    x = x.reshape(-1, 1, 2, 3, side, merge, patch, side, merge, patch)
    x = x.permute(0, 1, 4, 7, 5, 8, 3, 2, 6, 9)
    return x.reshape(-1, 3 * 2 * patch * patch)
