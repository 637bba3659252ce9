"""The sharpen stage: who learns from what, and what it leaves to others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from workshop.pocket.training import checkpoint, latents
from workshop.pocket.training.stages import decoder, sharpen


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> sharpen.SharpenStage:
    """The stage on a few renders of each finish."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharpen.SharpenStage, "enough", {"plain": (24, 1), "rich": (16, 2)})
        patch.setattr(decoder, "HELD_OUT", 4)
        patch.setattr(decoder, "FACES_OF_A_KIND", 1)
        return sharpen.SharpenStage(tmp_path_factory.mktemp("runs"), "cpu")


def gradients(stage: sharpen.SharpenStage, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the gradient of every weight that a loss moves, by name."""
    named = {name: weight for name, weight in stage.network.named_parameters() if weight.requires_grad}
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {name: grad for name, grad in zip(named, found, strict=True) if grad is not None}


def test_a_step_moves_decoder_and_critic_and_leaves_what_latents_mean(stage: sharpen.SharpenStage) -> None:
    moved = gradients(stage, stage.loss(sharpen.PRIMER))
    assert {name.split(".")[0] for name in moved} == {"vae", "critic"}
    kept = ("vae.decoder.", "vae.post_quant_conv.", "critic.")
    assert all(name.startswith(kept) for name in moved)


def test_in_its_primer_the_critic_learns_and_the_decoder_does_not_listen(stage: sharpen.SharpenStage) -> None:
    moved = gradients(stage, stage.loss(0))
    decoders_own = gradients(stage, decoder.DecoderStage.loss(stage, 0))
    for name, grad in decoders_own.items():
        torch.testing.assert_close(moved[name], grad, rtol=1e-3, atol=1e-6)
    assert any(moved[name].abs().max() > 0 for name in moved if name.startswith("critic."))


@pytest.mark.parametrize(
    ("step", "strength"), [(sharpen.PRIMER, sharpen.A_LITTLE), (sharpen.GENTLE, sharpen.MUCH)]
)
def test_the_decoder_goes_where_the_critic_sees_a_render(
    stage: sharpen.SharpenStage, monkeypatch: pytest.MonkeyPatch, step: int, strength: float
) -> None:
    decoded = (
        torch.rand(stage.batch, 3, 64, 64, generator=torch.Generator().manual_seed(0)) - 0.5
    ).requires_grad_()
    monkeypatch.setattr(stage.vae, "decode", lambda latents: decoded)
    stage.critic.eval()  # so that spectral norms stay as they are from one call to the next
    (listening,) = torch.autograd.grad(stage.loss(step), decoded)
    monkeypatch.setattr(sharpen, "PRIMER", step + 1)
    (alone,) = torch.autograd.grad(stage.loss(step), decoded)
    (uphill,) = torch.autograd.grad(sum(part.mean() for part in stage.critic(decoded)), decoded)
    stage.critic.train()
    wanted = -strength * alone.norm() / uphill.norm() * uphill  # a step goes against the gradient
    torch.testing.assert_close(listening - alone, wanted, rtol=1e-2, atol=1e-7)


def test_the_critic_is_paid_for_telling_them_apart() -> None:
    render, decoded = torch.full((4, 1), 2.0), torch.full((4, 1), -2.0)
    assert sharpen.critic_loss(render, decoded) == 0
    assert sharpen.critic_loss(decoded, render) == 6
    assert sharpen.critic_loss(torch.zeros(4, 1), torch.zeros(4, 1)) == 2


def test_the_vae_that_ships_is_the_sharpened_one_without_its_critic(
    stage: sharpen.SharpenStage, tmp_path: Path
) -> None:
    with torch.no_grad():
        stage.vae.decoder.conv_in.bias += 1
    optimizer = torch.optim.AdamW(stage.network.parameters())
    checkpoint.save(tmp_path / "sharpen.safetensors", 1, stage.network, {}, optimizer)
    loaded = latents.load_vae(tmp_path).state_dict()
    assert loaded.keys() == latents.load_vae(Path("nowhere")).state_dict().keys()
    torch.testing.assert_close(loaded["decoder.conv_in.bias"], stage.vae.decoder.conv_in.bias.detach())
