"""The vision stage teaches the tower alone."""

from __future__ import annotations

import torch

from tests.support.training import with_few_renders
from workshop.pocket.training import checkpoint, encoder
from workshop.pocket.training.examples import EMPTY
from workshop.pocket.training.latents import to_tensor
from workshop.pocket.training.stages import vision as vision_stage


def test_the_vision_stage_teaches_the_tower_alone_what_two_pictures_show(tmp_path, monkeypatch):
    with_few_renders(monkeypatch, plain=40, rich=40)
    network = encoder.TextNetwork()
    network.encoder = encoder.load_encoder(tmp_path)
    monkeypatch.setattr(checkpoint, "load_trained", lambda folder, name: network.state_dict())
    stage = vision_stage.VisionStage(tmp_path, "cpu")
    stage.batch = 8
    before = {key: value.clone() for key, value in stage.network.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in stage.network.parameters() if p.requires_grad], lr=1e-3)
    losses = []
    for _ in range(8):
        losses.append(stage.loss(1))  # two pictures a prompt
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]
    changed = {
        key for key, value in stage.network.state_dict().items() if not torch.equal(value, before[key])
    }
    assert changed and all(key.startswith(("encoder.model.visual.", "picture.")) for key in changed)
    _, both, _ = stage.encode_prompts(to_tensor(stage.renders[0][1][:4]), [EMPTY] * 2, pictures=2, fast=False)
    alone = to_tensor(stage.renders[0][1][2:4])
    _, second, _ = stage.encode_prompts(alone, [EMPTY], pictures=2, fast=False)
    assert torch.allclose(both[2:], second, atol=1e-5)  # each prompt has its own two
