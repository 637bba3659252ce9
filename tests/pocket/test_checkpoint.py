"""What stages leave on disk, and what they begin with where there is nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from workshop.pocket.model import architecture
from workshop.pocket.training import checkpoint, encoder, inputs, latents


def test_a_missing_checkpoint_says_what_to_run(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="python -m workshop.pocket.training base"):
        checkpoint.trained(tmp_path, "base")


def test_without_checkpoints_the_stages_build_on_what_ships(tmp_path: Path):
    prompts = inputs.Prompts(tmp_path)
    assert prompts.folder == checkpoint.SHIPPED / "tokenizer"
    text_encoder, vae = encoder.load_encoder(tmp_path), latents.load_vae(tmp_path)
    architecture.PocketDiT().load_state_dict(checkpoint.shipped(checkpoint.SHIPPED_DIT["base"]))
    assert text_encoder.model.language_model.embed_tokens.weight.dtype == torch.float32
    assert vae.encode(torch.zeros(1, 3, 16, 16)).shape == (1, 16, 2, 2)
