"""The pocket Qwen-Image's three networks: DiffSynth's and transformers' own classes, at a small size.

Axes: B batch, C channels, H height, W width, S sequence, D width of a token. Source: diffsynth 2.1.12,
models/qwen_image_dit.py, qwen_image_text_encoder.py, qwen_image_vae.py. The real classes fix their sizes in
the constructor. The classes here repeat the constructors with small numbers and inherit every computation.

| | Qwen-Image | pocket |
|---|---|---|
| DiT | 60 blocks of 24 heads × 128 | 6 blocks of 6 heads × 32 |
| text encoder | 28 layers, width 3584 | 6 layers, width 192 |
| vision tower | 32 layers, width 1280 | 3 layers, width 96 |
| VAE | base width 96 | base width 16 |
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import torch
from diffsynth.configs import MODEL_CONFIGS
from diffsynth.core.loader.file import hash_state_dict_keys
from diffsynth.core.vram.initialization import skip_model_initialization
from diffsynth.models.general_modules import AdaLayerNorm, RMSNorm, TimestepEmbeddings
from diffsynth.models.qwen_image_dit import QwenEmbedRope, QwenImageDiT, QwenImageTransformerBlock
from diffsynth.models.qwen_image_text_encoder import QwenImageTextEncoder
from diffsynth.models.qwen_image_vae import QwenImageVAE

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLConfig

HEADS, HEAD_WIDTH, BLOCKS = 6, 32, 6
WIDTH = HEADS * HEAD_WIDTH
ROPE_AXES = [8, 12, 12]
"""Shares of a head that encode (frame, row, column); they sum to HEAD_WIDTH."""

TEXT_LAYERS, TEXT_KEY_HEADS, TEXT_MLP = 6, 2, 512
MROPE_SECTIONS = [4, 6, 6]
"""The text encoder's shares for (frame, row, column); they sum to half of HEAD_WIDTH."""

VOCABULARY = 4096
LONGEST_PROMPT = 120
"""Tokens. The longest of 60,000 captions, a couple in Kannada, has 113."""

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
"""They take the first ids, in this order."""

VAE_KWARGS = {"base_dim": 16}


class PocketDiT(QwenImageDiT):
    """QwenImageDiT at width 192: the same blocks, the same forward."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.pos_embed = QwenEmbedRope(theta=10000, axes_dim=ROPE_AXES, scale_rope=True)
        self.time_text_embed = TimestepEmbeddings(
            256, WIDTH, diffusers_compatible_format=True, scale=1000, align_dtype_to_timestep=False
        )
        self.txt_norm = RMSNorm(WIDTH, eps=1e-6)
        self.img_in = torch.nn.Linear(64, WIDTH)
        self.txt_in = torch.nn.Linear(WIDTH, WIDTH)
        self.transformer_blocks = torch.nn.ModuleList(
            QwenImageTransformerBlock(dim=WIDTH, num_attention_heads=HEADS, attention_head_dim=HEAD_WIDTH)
            for _ in range(BLOCKS)
        )
        self.norm_out = AdaLayerNorm(WIDTH, single=True)
        self.proj_out = torch.nn.Linear(WIDTH, 64)


class PocketTextEncoder(QwenImageTextEncoder):
    """Qwen2.5-VL at width 192, without a language head: a DiT needs hidden states and never the next word."""

    longest_prompt = LONGEST_PROMPT

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        from transformers import Qwen2_5_VLModel

        self.config = text_encoder_config()
        self.model = Qwen2_5_VLModel(self.config)


def text_encoder_config() -> Qwen2_5_VLConfig:
    """Return the configuration of the pocket Qwen2.5-VL."""
    from transformers import Qwen2_5_VLConfig

    token = {name.strip("<|>"): i for i, name in enumerate(SPECIAL_TOKENS)}
    rope = {"mrope_section": MROPE_SECTIONS, "rope_type": "default", "type": "default"}
    return Qwen2_5_VLConfig(  # type: ignore[call-arg]  # its base class takes the two that mypy misses
        image_token_id=token["image_pad"],
        video_token_id=token["video_pad"],
        vision_start_token_id=token["vision_start"],
        vision_end_token_id=token["vision_end"],
        bos_token_id=None,
        eos_token_id=None,
        text_config={
            "hidden_size": WIDTH,
            "intermediate_size": TEXT_MLP,
            "num_hidden_layers": TEXT_LAYERS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": TEXT_KEY_HEADS,
            "vocab_size": VOCABULARY,
            "max_position_embeddings": 2048,
            "rope_scaling": rope,
            "rope_theta": 10000.0,
            "rms_norm_eps": 1e-6,
            "hidden_act": "silu",
            "use_cache": False,
            "bos_token_id": None,
            "eos_token_id": None,
            "use_sliding_window": False,
        },
        vision_config={
            "depth": 3,
            "hidden_size": 96,
            "intermediate_size": 256,
            "num_heads": 3,
            "out_hidden_size": WIDTH,
            "fullatt_block_indexes": [1, 2],
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "in_channels": 3,
            "tokens_per_second": 2,
        },
    )


@cache
def model_configs() -> tuple[dict, ...]:
    """Return the pocket's entries for MODEL_CONFIGS: each network under the hash of its keys and shapes."""
    from transformers.initialization import no_init_weights

    with skip_model_initialization(), no_init_weights():  # without torch's compiler, which "meta" brings in
        networks = {
            "qwen_image_dit": PocketDiT(),
            "qwen_image_text_encoder": PocketTextEncoder(),
            "qwen_image_vae": QwenImageVAE(**VAE_KWARGS),
        }
    return tuple(
        {
            "model_hash": hash_state_dict_keys(network.state_dict()),
            "model_name": name,
            "model_class": f"{type(network).__module__}.{type(network).__qualname__}",
            "extra_kwargs": VAE_KWARGS if name == "qwen_image_vae" else {},
        }
        for name, network in networks.items()
    )


def register() -> None:
    """Make DiffSynth recognise the pocket weights as it does the real ones; a second call changes nothing."""
    known = {config["model_hash"] for config in MODEL_CONFIGS}
    MODEL_CONFIGS.extend(config for config in model_configs() if config["model_hash"] not in known)
