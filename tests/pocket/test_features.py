"""The network that reads latents, and the loss that it gives."""

from __future__ import annotations

import torch

from workshop.pocket.model import reader
from workshop.pocket.training import features


def test_equal_latents_have_equal_features_and_others_do_not():
    torch.manual_seed(0)
    network = features.LatentReader()
    latents = torch.randn(2, 16, 16, 16)
    assert torch.equal(features.compare_latents(network, latents, latents)[0], torch.zeros(2))
    drawn = latents.clone()
    drawn[1] += 0.5 * torch.randn(16, 16, 16)
    error, logits = features.compare_latents(network, drawn, latents)
    assert error[0] == 0
    assert error[1] > 0.01
    assert torch.allclose(logits, network(drawn))


def test_the_latent_reader_answers_every_attribute():
    logits = features.LatentReader()(torch.zeros(1, 16, 16, 16))
    assert len(reader.split_by_attribute(logits)) == len(reader.CLASSES)
