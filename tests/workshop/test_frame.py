"""One frame through 2-D convolutions gives what DiffSynth's 3-D ones give, encoding and decoding."""

from __future__ import annotations

import copy

import pytest
import torch
from diffsynth.models.qwen_image_vae import QwenImageVAE

from tests.support.machines import MACHINE
from workshop import frame, loading

TOLERANCE = 1e-5  # of a range from -1 to 1; a level of 255 is 8e-3


@pytest.fixture(scope="module")
def vae() -> QwenImageVAE:
    return loading.read_parts("Qwen-Image", ["vae"], profile=MACHINE).vae


@torch.no_grad()
def both_ways(vae: QwenImageVAE, call: str, given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what DiffSynth computes, and what the flattened VAE does."""
    frame.restore(vae)
    stock = getattr(vae, call)(given)
    frame.flatten(vae)
    return stock, getattr(vae, call)(given)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(("height", "width"), [(128, 128), (64, 96)])
def test_a_picture_is_encoded_and_decoded_as_by_the_three_dimensional_convolutions(
    vae: QwenImageVAE, batch: int, height: int, width: int
) -> None:
    torch.manual_seed(0)
    for call, given in (
        ("encode", torch.rand(batch, 3, height, width) * 2 - 1),
        ("decode", torch.randn(batch, 16, height // 8, width // 8)),
    ):
        stock, ours = both_ways(vae, call, given)
        torch.testing.assert_close(ours, stock, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.gpu
def test_on_a_gpu_too(vae: QwenImageVAE) -> None:
    torch.manual_seed(0)
    moved = copy.deepcopy(vae).to("cuda")
    torch.backends.cudnn.allow_tf32 = False
    stock, ours = both_ways(moved, "decode", torch.randn(1, 16, 16, 16, device="cuda"))
    torch.testing.assert_close(ours, stock, atol=TOLERANCE, rtol=TOLERANCE)


@torch.no_grad()
def test_a_flattened_vae_convolves_in_two_dimensions_only(vae: QwenImageVAE, monkeypatch) -> None:
    frame.flatten(vae)
    called: list[str] = []
    conv3d = torch.nn.functional.conv3d
    monkeypatch.setattr(
        torch.nn.functional, "conv3d", lambda *given, **more: called.append("3-D") or conv3d(*given, **more)
    )
    vae.decode(torch.zeros(1, 16, 4, 4))
    assert not called
    frame.restore(vae)
    vae.decode(torch.zeros(1, 16, 4, 4))
    assert called


@torch.no_grad()
def test_several_frames_go_the_old_way(vae: QwenImageVAE) -> None:
    torch.manual_seed(0)
    video = torch.rand(1, 3, 5, 32, 32) * 2 - 1
    stock, ours = both_ways(vae, "encode_video", video)
    torch.testing.assert_close(ours, stock, atol=TOLERANCE, rtol=TOLERANCE)
    assert ours.shape[2] == 2


def test_another_vae_and_a_copy_stay_apart(vae: QwenImageVAE) -> None:
    frame.flatten(vae)
    twin = copy.deepcopy(vae)
    frame.restore(twin)
    assert "forward" in vars(vae.quant_conv) and "forward" not in vars(twin.quant_conv)
    frame.flatten(twin)
    assert twin.quant_conv.forward.__self__ is twin.quant_conv
    assert list(twin.state_dict()) == list(vae.state_dict())


def test_a_loaded_pipeline_takes_the_shortcut() -> None:
    pipe = loading.load_pipeline("Qwen-Image", profile=MACHINE)
    assert "forward" in vars(pipe.vae.decoder.conv_in)
