"""The DiT in training against the pipeline's, one prompt at a time."""

from __future__ import annotations

import pytest
import torch
from diffsynth.diffusion.flow_match import FlowMatchScheduler
from diffsynth.pipelines.qwen_image import model_fn_qwen_image

from workshop.pocket.model import architecture
from workshop.pocket.model.architecture import WIDTH, PocketDiT
from workshop.pocket.training import dit


def test_velocity_of_a_batch_equals_the_pipelines_one_by_one():
    torch.manual_seed(0)
    network = architecture.PocketDiT().eval().requires_grad_(False)
    latents, sigma, lengths = torch.randn(2, 16, 16, 16), torch.tensor([0.3, 0.8]), torch.tensor([9, 14])
    text = torch.randn(2, 16, architecture.WIDTH)
    with dit.fast_functions():
        mask, rotary = dit.mask_padding(lengths, 16), dit.make_rotary(network, 16, "cpu")
        together = dit.predict_velocity(network, latents, sigma, text, mask, rotary)[0]
    for i, length in enumerate(lengths):
        alone = model_fn_qwen_image(
            dit=network,
            latents=latents[i : i + 1],
            timestep=sigma[i : i + 1] * 1000,
            prompt_emb=text[i : i + 1, :length],
            prompt_emb_mask=torch.ones(1, length, dtype=torch.long),
            height=128,
            width=128,
        )
        assert torch.allclose(together[i], alone[0], atol=1e-4)


@torch.no_grad()
def test_velocity_with_references_equals_the_pipelines():
    torch.manual_seed(0)
    network = PocketDiT().eval()
    latents, one, two = torch.randn(3, 1, 16, 16, 16)
    text, sigma = torch.randn(1, 16, WIDTH), torch.tensor([0.4])
    with dit.fast_functions():
        rotary = dit.make_rotary(network, 16, "cpu", pictures=3)
        mask = dit.mask_padding(torch.tensor([16]), 16, 3 * 64)
        ours = dit.predict_velocity(network, latents, sigma, text, mask, rotary, [one, two])[0]
    real = model_fn_qwen_image(
        dit=network,
        latents=latents,
        timestep=sigma * 1000,
        prompt_emb=text,
        prompt_emb_mask=torch.ones(1, 16, dtype=torch.long),
        height=128,
        width=128,
        edit_latents=[one, two],
    )
    assert torch.allclose(ours, real, atol=1e-4)


def test_swapped_functions_are_put_back_even_after_an_error():
    from diffsynth.models import qwen_image_dit as module

    before = module.apply_rotary_emb_qwen, module.qwen_image_flash_attention
    with dit.fast_functions():
        assert module.apply_rotary_emb_qwen is not before[0]
    with pytest.raises(RuntimeError, match="stop"), dit.fast_functions():
        raise RuntimeError("stop")
    assert (module.apply_rotary_emb_qwen, module.qwen_image_flash_attention) == before


def test_a_new_dit_predicts_zero():
    network = architecture.PocketDiT()
    dit.zero_last_layers(network)
    text = torch.randn(1, 16, architecture.WIDTH)
    with torch.no_grad(), dit.fast_functions():
        mask, rotary = dit.mask_padding(torch.tensor([16]), 16), dit.make_rotary(network, 16, "cpu")
        latents, sigma = torch.randn(1, 16, 16, 16), torch.tensor([0.5])
        out = dit.predict_velocity(network, latents, sigma, text, mask, rotary)[0]
    assert torch.equal(out, torch.zeros_like(out))


def test_a_third_of_the_training_noise_is_close_to_pure():
    torch.manual_seed(0)
    sigma = dit.sample_sigmas(4000)
    assert 0 < sigma.min() < sigma.max() <= 1
    assert 0.1 < (sigma > 0.95).float().mean() < 0.2
    assert (sigma < 0.2).float().mean() < 0.1 < (dit.sample_sigmas(4000, even=True) < 0.2).float().mean()


def test_the_sampler_starts_in_noise_and_ends_near_the_picture():
    sigmas, _ = FlowMatchScheduler.set_timesteps_qwen_image(40, dynamic_shift_len=64)
    assert sigmas[0] == 1
    assert sigmas[-1] == pytest.approx(0.02, abs=1e-6)


def test_the_readout_is_left_out_of_what_ships():
    weights = dit.drop_readout(dit.DiTWithReadout().state_dict())
    architecture.PocketDiT().load_state_dict(weights)
