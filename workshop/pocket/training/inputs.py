"""What the text encoder gets: token ids of prompts, and patches of reference pictures."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F

from workshop.pocket.model import tokens
from workshop.pocket.model.architecture import SPECIAL_TOKENS
from workshop.pocket.training import checkpoint

IMAGE_TOKENS = (tokens.VISION_SIZE // tokens.PATCH // tokens.MERGE) ** 2


IMAGE_PAD = SPECIAL_TOKENS.index("<|image_pad|>")


CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def patches(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures in [-1, 1], (B, 3, H, W), as the processor hands them to the vision tower: (B·100, 1176)."""
    size, patch, merge = tokens.VISION_SIZE, tokens.PATCH, tokens.MERGE
    x = F.interpolate(pictures, (size, size), mode="bicubic", antialias=True).clamp(-1, 1) / 2 + 0.5
    mean, std = (torch.tensor(v, device=x.device).view(3, 1, 1) for v in (CLIP_MEAN, CLIP_STD))
    x = ((x - mean) / std)[:, None].repeat(1, 2, 1, 1, 1)  # a still picture is two equal frames
    side = size // patch // merge
    x = x.reshape(-1, 1, 2, 3, side, merge, patch, side, merge, patch)
    x = x.permute(0, 1, 4, 7, 5, 8, 3, 2, 6, 9)
    return x.reshape(-1, 3 * 2 * patch * patch)


def edit_prompt(text: str, *, references: int, numbered: bool) -> str:
    """The whole prompt that DiffSynth makes of an instruction, with one token for each of a picture's."""
    picture = "<|vision_start|>" + "<|image_pad|>" * IMAGE_TOKENS + "<|vision_end|>"
    shown = "".join(f"Picture {i + 1}: {picture}" for i in range(references)) if numbered else picture
    return tokens.EDIT_TEMPLATE.replace("<|vision_start|><|image_pad|><|vision_end|>{}", shown + text)


class Prompts:
    """Captions as token ids, by the tokenizer in `folder` or the shipped one; `learn` makes one there."""

    def __init__(self, folder: Path, *, learn: bool = False) -> None:
        self.folder = Path(folder) / "tokenizer"
        if not learn and not self.folder.exists():
            self.folder = checkpoint.SHIPPED / "tokenizer"
        if not (self.folder / "tokenizer_config.json").exists():
            tokens.write_tokenizer(tokens.make_tokenizer(), self.folder)
        self.tokenizer = tokens.load_tokenizer(self.folder)
        self.template = self.start(tokens.PROMPT_TEMPLATE, tokens.PROMPT_DROP)
        self.edit_template = self.start(tokens.EDIT_TEMPLATE, tokens.EDIT_DROP)

    def start(self, template: str, count: int) -> torch.Tensor:
        """The first tokens of every prompt, which DiffSynth cuts off again."""
        return torch.tensor(self.tokenizer(template.split("{}")[0])["input_ids"][:count])

    def ids(
        self, texts: list[str], *, edit: bool = False, multiple: int = 32
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids of prompts: for an edit the whole prompt, else what follows the template's first 34
        tokens.

        returns: ids (B, S), padded to a `multiple` so that shapes are few, and the lengths (B,)
        """
        template = tokens.PROMPT_TEMPLATE
        if edit:
            template = tokens.EDIT_TEMPLATE.replace("<|image_pad|>", "<|image_pad|>" * IMAGE_TOKENS)
        whole = [template.replace("{}", text) for text in texts]
        return self.after(0 if edit else tokens.PROMPT_DROP, whole, multiple=multiple)

    def after(self, drop: int, whole: list[str], *, multiple: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids of whole prompts without their first `drop`, padded, and their lengths, as from `ids`."""
        rows = [row[drop:] for row in self.tokenizer(whole)["input_ids"]]
        lengths = torch.tensor([len(row) for row in rows])
        width = -(-int(lengths.max()) // multiple) * multiple
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
        return ids, lengths
