"""The decoder stage: what it trains, what it cuts, and the latents that it learns from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from workshop.pocket.training import checkpoint, latents, redraws
from workshop.pocket.training.dit import DiTWithReadout, add_lora
from workshop.pocket.training.export import save_lora
from workshop.pocket.training.stages import decoder
from workshop.pocket.world import draw, scenes

PORTRAIT = scenes.Scene("portrait", people=(scenes.Person(),))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> decoder.DecoderStage:
    """The stage on four renders of each finish."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder.DecoderStage, "enough", {"plain": (24, 1), "rich": (16, 2)})
        patch.setattr(decoder, "HELD_OUT", 4)
        patch.setattr(decoder, "FACES_OF_A_KIND", 1)
        return decoder.DecoderStage(tmp_path_factory.mktemp("runs"), "cpu")


def test_a_step_changes_the_decoder_and_leaves_what_latents_mean(stage: decoder.DecoderStage):
    trained = {name for name, weight in stage.network.named_parameters() if weight.requires_grad}
    assert trained and all(name.startswith(("decoder.", "post_quant_conv.")) for name in trained)
    stage.loss(0).backward()
    moved = {name for name, weight in stage.network.named_parameters() if weight.grad is not None}
    assert moved <= trained and "decoder.conv_in.weight" in moved


def test_a_crop_of_latents_shows_the_crop_of_the_picture(stage: decoder.DecoderStage):
    z, pictures, anew = stage.crops(0)
    assert z.shape == (stage.batch, 16, 8, 8) and pictures.shape == (stage.batch, 3, 64, 64)
    assert 0 < anew.sum() < stage.batch
    quality = latents.psnr(stage.decode(z), pictures)
    others = latents.psnr(stage.decode(z), pictures.roll(1, dims=0))
    assert (quality > 15).all() and quality.mean() > others.mean() + 6


def test_the_report_names_what_is_chosen_by(stage: decoder.DecoderStage):
    text = stage.report()
    assert all(word in text for word in ("plain redrawn", "rich own", "looks", "figure kept"))


def test_a_clean_edge_costs_less_than_a_blurred_one_at_a_place_that_is_not_certain():
    edge = torch.ones(1, 3, 8, 32)
    edge[..., :16] = -1
    places = [edge.roll(by, dims=3) for by in (-1, 0, 0, 0, 1)]
    blurred = torch.stack(places).mean(dim=0)

    def cost(shown: torch.Tensor) -> float:
        return float(sum(decoder.redrawn_loss(shown, place) for place in places))

    assert cost(edge) < cost(blurred)


def test_a_redrawn_picture_keeps_its_composition(tmp_path: Path):
    _, pictures, own, drawn = redraws.redrawn(tmp_path, 4, seed=5)
    assert pictures.shape == (4, 128, 128, 3) and own.shape == drawn.shape == (4, 16, 16, 16)
    to_itself = np.square(drawn.astype(float) - own).mean()
    to_others = np.square(drawn.astype(float) - np.roll(own, 1, axis=0)).mean()
    assert 0 < to_itself < to_others / 3


def test_redrawing_from_more_noise_changes_more():
    drawer, vae = redraws.Redrawer(Path("nowhere"), rich=False), latents.load_vae(Path("nowhere"))
    picture = latents.to_tensor(np.asarray(draw.to_image(PORTRAIT))[None])
    with torch.no_grad():
        own = vae.encode(picture)
    moved = []
    for sigma in (0.2, 0.65):
        torch.manual_seed(0)
        moved.append((drawer.redraw(own, ["a portrait"], sigma=sigma) - own).std().item())
    assert 0 < moved[0] < moved[1] < 1


def test_a_merged_lora_is_the_weight_and_the_product(tmp_path: Path):
    dit = add_lora(DiTWithReadout(), 4)
    name = "transformer_blocks.0.attn.to_q"
    torch.nn.init.normal_(dit.state_dict()[f"{name}.lora_B.default.weight"])
    save_lora(dit.state_dict(), tmp_path)
    lora = checkpoint.load_shipped(str(tmp_path / "model.safetensors"))
    weights = {
        key.replace(".base_layer", ""): value.clone()
        for key, value in dit.state_dict().items()
        if ".lora_" not in key
    }
    before = weights[f"{name}.weight"].clone()
    redraws.merge_lora(weights, lora)
    product = lora[f"{name}.lora_B.default.weight"] @ lora[f"{name}.lora_A.default.weight"]
    assert torch.allclose(weights[f"{name}.weight"] - before, product, atol=1e-6)
    assert product.abs().max() > 0
