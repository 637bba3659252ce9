"""The VAE stage: what its loss weighs, and that latents are transformed as pictures are."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from workshop.pocket.training.stages import vae


def test_an_error_in_the_dark_costs_more_than_the_same_error_in_the_light():
    dark, light = torch.full((1, 3, 8, 8), -0.8), torch.full((1, 3, 8, 8), 0.8)
    assert vae.reconstruction_loss(dark + 0.1, dark) > 1.5 * vae.reconstruction_loss(light + 0.1, light)


def test_a_perfect_copy_has_no_loss():
    picture = torch.rand(2, 3, 32, 32) * 2 - 1
    assert vae.reconstruction_loss(picture, picture).item() == 0
    assert vae.Perception()(picture, picture).item() == 0


def test_perception_sees_an_error_that_it_can_mend():
    picture = torch.rand(2, 3, 32, 32) * 2 - 1
    copy = picture.flip(3).requires_grad_()
    loss = vae.Perception()(copy, picture)
    loss.backward()
    assert loss.item() > 0.1
    assert copy.grad is not None and copy.grad.abs().sum() > 0


def test_latents_and_pictures_are_transformed_alike():
    picture = torch.rand(1, 3, 32, 32)
    latents = F.avg_pool2d(picture, 8)  # an encoder that is equivariant by construction
    for way in ("as is", "turn", "mirror", "shrink"):
        expected = F.avg_pool2d(vae.transform(picture, way), 8)
        assert torch.allclose(vae.transform(latents, way), expected, atol=1e-6)
