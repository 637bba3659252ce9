"""Pictures as tensors and latents: the VAE's fast path, and latents of mean 0 and variance 1."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from diffsynth.models.qwen_image_vae import QwenImageRMS_norm, QwenImageVAE

from workshop.pocket.model import architecture
from workshop.pocket.training.latents import normalise, psnr, single_frame


@pytest.fixture(scope="module")
def vae() -> QwenImageVAE:
    torch.manual_seed(0)
    return QwenImageVAE(**architecture.VAE_KWARGS).eval().requires_grad_(False)


def test_for_one_frame_two_dimensional_convolutions_give_the_same_picture(vae):
    pictures = torch.rand(2, 3, 32, 32) * 2 - 1
    latents = vae.encode(pictures)
    with single_frame():
        assert torch.allclose(vae.encode(pictures), latents, atol=1e-4)  # other order of the same sums
        decoded = vae.decode(latents)
    assert torch.allclose(vae.decode(latents), decoded, atol=1e-4)


def test_the_norm_of_single_frame_has_the_gradients_of_the_original():
    torch.manual_seed(0)
    norm = QwenImageRMS_norm(8, images=False).double()
    torch.nn.init.uniform_(norm.gamma)
    gradients = []
    for fast in (False, True):
        x = torch.randn(2, 8, 1, 4, 4, dtype=torch.double, generator=torch.Generator().manual_seed(1))
        x.requires_grad_()
        norm.zero_grad()
        with single_frame() if fast else nullcontext():
            norm(x).square().mul(torch.arange(4.0)).sum().backward()
        gradients.append((x.grad, norm.gamma.grad))
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-10)


def test_single_frame_refuses_a_video(vae):
    with single_frame(), pytest.raises(ValueError, match="one frame without a cache, got 3 frames"):
        vae.encoder(torch.zeros(1, 3, 3, 16, 16))


def test_normalised_latents_have_unit_variance_and_decode_as_before():
    torch.manual_seed(1)
    vae = QwenImageVAE(**architecture.VAE_KWARGS).eval().requires_grad_(False)
    pictures = torch.rand(24, 3, 32, 32) * 2 - 1
    before = vae.decode(vae.encode(pictures))
    normalise(vae, pictures)
    latents = vae.encode(pictures)
    assert torch.allclose(latents.mean(dim=(0, 2, 3)), torch.zeros(16), atol=1e-3)
    assert torch.allclose(latents.std(dim=(0, 2, 3)), torch.ones(16), atol=1e-3)
    assert torch.allclose(vae.decode(latents), before, atol=1e-3)


def test_psnr_of_a_known_error():
    assert psnr(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.02)).item() == pytest.approx(40, abs=1e-3)
