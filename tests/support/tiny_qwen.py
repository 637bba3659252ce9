"""Qwen-Image in miniature: diffusers' and transformers' own classes with random weights, saved as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
)
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer

WORDS = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 300,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 1, 2]},
}
LEVELS = {  # of the real model; with them a drawing of one step ends in nan
    "base_shift": 0.5,
    "max_shift": 0.9,
    "max_image_seq_len": 8192,
    "shift_terminal": 0.02,
    "use_dynamic_shifting": True,
    "time_shift_type": "exponential",
}
SEES = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}


def save_qwen(folder: Path) -> Path:
    """Save a pipeline of some ten thousand parameters; returns the folder."""
    torch.manual_seed(0)
    transformer = QwenImageTransformer2DModel(
        in_channels=16,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        axes_dims_rope=(8, 4, 4),
    )
    vae = AutoencoderKLQwenImage(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    )
    pipeline: Any = QwenImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**LEVELS),
        vae=vae,
        text_encoder=Qwen2_5_VLForConditionalGeneration(
            Qwen2_5_VLConfig(text_config=WORDS, vision_config=SEES)
        ),
        tokenizer=_tokenizer(),
        transformer=transformer,
    )
    pipeline.save_pretrained(folder)
    return folder


def _tokenizer() -> Qwen2Tokenizer:
    """Return a tokenizer of single ASCII characters; space and line's end are spelled as Qwen spells them."""
    letters = [*(chr(code) for code in range(33, 127)), "Ġ", "Ċ"]
    pieces = [*letters, "<|endoftext|>"]
    return Qwen2Tokenizer(vocab={piece: n for n, piece in enumerate(pieces)}, merges=[])
