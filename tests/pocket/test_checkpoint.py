"""What stages leave on disk, and what they begin with where there is nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from workshop.pocket.model import architecture
from workshop.pocket.training import checkpoint, encoder, inputs, latents


def test_a_missing_checkpoint_says_what_to_run(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"python -m workshop\.pocket\.training base"):
        checkpoint.load_trained(tmp_path, "base")


def test_names_in_a_checkpoint_stay_so_that_older_ones_load(tmp_path: Path):
    network = torch.nn.Linear(1, 1)
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 1)).sum().backward()
    optimizer.step()
    averages = {key: value.clone() for key, value in network.state_dict().items()}
    checkpoint.save(tmp_path / "runs" / "line.safetensors", 3, network, averages, optimizer)
    remembered = ("step", "exp_avg", "exp_avg_sq")
    names = [f"{start}.{name}" for start in ("net", "ema") for name in ("weight", "bias")]
    names += [f"opt.{number}.{name}" for number in (0, 1) for name in remembered]
    assert sorted(load_file(tmp_path / "runs" / "line.safetensors")) == sorted(names)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["line.safetensors"]


def test_without_checkpoints_the_stages_build_on_what_ships(tmp_path: Path):
    prompts = inputs.PromptTokens(tmp_path)
    assert prompts.folder == checkpoint.SHIPPED / "tokenizer"
    text_encoder, vae = encoder.load_encoder(tmp_path), latents.load_vae(tmp_path)
    architecture.PocketDiT().load_state_dict(checkpoint.load_shipped(checkpoint.SHIPPED_DIT["base"]))
    assert text_encoder.model.language_model.embed_tokens.weight.dtype == torch.float32
    assert vae.encode(torch.zeros(1, 3, 16, 16)).shape == (1, 16, 2, 2)
