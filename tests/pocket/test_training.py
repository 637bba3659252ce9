"""Training code against the classes it stands in for, the training loop, and its checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffsynth.diffusion.flow_match import FlowMatchScheduler
from diffsynth.models.qwen_image_vae import QwenImageVAE
from diffsynth.pipelines.qwen_image import model_fn_qwen_image
from safetensors.torch import load_file

from workshop import prompts
from workshop.pocket.model import architecture, reader
from workshop.pocket.training import loop as train
from workshop.pocket.training.stages import base as base_stage
from workshop.pocket.training.stages import feature as feature_stage
from workshop.pocket.training.stages import text as text_stage
from workshop.pocket.training.stages import vae as vae_stage
from workshop.pocket.world import scenes
from workshop.pocket.world.scenes import Dog, Person, Scene


@pytest.fixture(scope="module")
def vae() -> QwenImageVAE:
    torch.manual_seed(0)
    return QwenImageVAE(**architecture.VAE_KWARGS).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def encoder() -> architecture.PocketTextEncoder:
    torch.manual_seed(0)
    return architecture.PocketTextEncoder().eval().requires_grad_(False)


def test_for_one_frame_two_dimensional_convolutions_give_the_same_picture(vae):
    pictures = torch.rand(2, 3, 32, 32) * 2 - 1
    latents = vae.encode(pictures)
    with vae_stage.single_frame():
        assert torch.allclose(vae.encode(pictures), latents, atol=1e-4)  # other order of the same sums
        decoded = vae.decode(latents)
    assert torch.allclose(vae.decode(latents), decoded, atol=1e-4)


def test_single_frame_refuses_a_video(vae):
    with vae_stage.single_frame(), pytest.raises(ValueError, match="one frame without a cache, got 3 frames"):
        vae.encoder(torch.zeros(1, 3, 3, 16, 16))


def test_normalised_latents_have_unit_variance_and_decode_as_before():
    torch.manual_seed(1)
    vae = QwenImageVAE(**architecture.VAE_KWARGS).eval().requires_grad_(False)
    pictures = torch.rand(24, 3, 32, 32) * 2 - 1
    before = vae.decode(vae.encode(pictures))
    vae_stage.normalise(vae, pictures)
    latents = vae.encode(pictures)
    assert torch.allclose(latents.mean(dim=(0, 2, 3)), torch.zeros(16), atol=1e-3)
    assert torch.allclose(latents.std(dim=(0, 2, 3)), torch.ones(16), atol=1e-3)
    assert torch.allclose(vae.decode(latents), before, atol=1e-3)


def test_psnr_of_a_known_error():
    assert vae_stage.psnr(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.02)).item() == pytest.approx(
        40, abs=1e-3
    )


def test_hidden_states_equal_those_of_the_transformers_class(encoder):
    template, ids = torch.arange(10, 44), torch.randint(7, 4096, (3, 12))
    fast = text_stage.hidden_states(encoder.model.language_model, template, ids)
    whole = encoder(input_ids=torch.cat([template.expand(3, -1), ids], dim=1))[-1][:, 34:]
    assert torch.allclose(fast, whole, atol=1e-4)


def test_velocity_of_a_batch_equals_the_pipelines_one_by_one():
    torch.manual_seed(0)
    dit = architecture.PocketDiT().eval().requires_grad_(False)
    latents, sigma, lengths = torch.randn(2, 16, 16, 16), torch.tensor([0.3, 0.8]), torch.tensor([9, 14])
    text = torch.randn(2, 16, architecture.WIDTH)
    with base_stage.trainable():
        mask, turns = base_stage.key_mask(lengths, 16), base_stage.rotary(dit, 16, "cpu")
        together = base_stage.velocity(dit, latents, sigma, text, mask, turns)
    for i, length in enumerate(lengths):
        alone = model_fn_qwen_image(
            dit=dit,
            latents=latents[i : i + 1],
            timestep=sigma[i : i + 1] * 1000,
            prompt_emb=text[i : i + 1, :length],
            prompt_emb_mask=torch.ones(1, length, dtype=torch.long),
            height=128,
            width=128,
        )
        assert torch.allclose(together[i], alone[0], atol=1e-4)


def test_swapped_functions_are_put_back_even_after_an_error():
    from diffsynth.models import qwen_image_dit as module

    before = module.apply_rotary_emb_qwen, module.qwen_image_flash_attention
    with pytest.raises(RuntimeError, match="stop"), base_stage.trainable():
        assert module.apply_rotary_emb_qwen is not before[0]
        raise RuntimeError("stop")
    assert (module.apply_rotary_emb_qwen, module.qwen_image_flash_attention) == before


def test_what_a_caption_leaves_free_is_not_asked():
    logits = torch.zeros(1, 64, sum(len(values) for values in text_stage.CLASSES.values()))
    targets = torch.tensor([text_stage.answers({"kind": "dog"})])
    logits[..., targets[0, 0]] = 20.0
    loss, right = base_stage.asked_loss(logits, targets)
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert right.item() == 1
    loss, right = base_stage.asked_loss(logits.roll(-1, dims=-1), targets)
    assert loss.item() > 10
    assert right.item() == 0


def test_equal_latents_have_equal_features_and_others_do_not():
    torch.manual_seed(0)
    network = feature_stage.LatentReader()
    latents = torch.randn(2, 16, 16, 16)
    assert torch.equal(feature_stage.judged(network, latents, latents)[0], torch.zeros(2))
    drawn = latents.clone()
    drawn[1] += 0.5 * torch.randn(16, 16, 16)
    error, logits = feature_stage.judged(network, drawn, latents)
    assert error[0] == 0
    assert error[1] > 0.01
    assert torch.allclose(logits, network(drawn))


@pytest.mark.parametrize(
    ("scene", "small"),
    [
        (Scene("portrait", people=(Person(),)), False),
        (Scene("portrait", people=(Person(glasses="yes"),)), True),
        (Scene("couple", people=(Person(), Person(glasses="yes"))), True),
        (Scene("seated", people=(Person(),), held="cup"), True),
        (Scene("dog", dog=Dog()), False),
        (Scene("dog", dog=Dog(collar="red")), True),
        (Scene("dog", dog=Dog(markings=("spots",))), True),
    ],
)
def test_small_things_are_what_covers_little_of_a_picture(scene, small):
    assert base_stage.has_small_things(scene) is small


def test_the_reader_also_sees_dogs_with_more_markings_than_the_base_ever_draws():
    from itertools import islice

    from workshop.pocket.training.stages import reader as reader_stage

    dogs = [scene.dog for scene in islice(reader_stage.many_markings(), 40)]
    assert {len(dog.markings) for dog in dogs} == {2, 3}


def test_the_latent_reader_answers_every_attribute():
    logits = feature_stage.LatentReader()(torch.zeros(1, 16, 16, 16))
    assert len(reader.per_attribute(logits)) == len(reader.CLASSES)


def test_a_third_of_the_training_noise_is_close_to_pure():
    torch.manual_seed(0)
    sigma = base_stage.random_sigma(4000)
    assert 0 < sigma.min() < sigma.max() <= 1
    assert 0.1 < (sigma > 0.95).float().mean() < 0.2


def test_the_readout_is_left_out_of_what_ships():
    weights = base_stage.without_readout(base_stage.AskedDiT().state_dict())
    architecture.PocketDiT().load_state_dict(weights)


def test_the_sampler_starts_in_noise_and_ends_near_the_picture():
    sigmas, _ = FlowMatchScheduler.set_timesteps_qwen_image(40, dynamic_shift_len=64)
    assert sigmas[0] == 1
    assert sigmas[-1] == pytest.approx(0.02, abs=1e-6)


def test_a_new_dit_predicts_zero():
    dit = architecture.PocketDiT()
    base_stage.start_small(dit)
    text = torch.randn(1, 16, architecture.WIDTH)
    with torch.no_grad(), base_stage.trainable():
        mask, turns = base_stage.key_mask(torch.tensor([16]), 16), base_stage.rotary(dit, 16, "cpu")
        out = base_stage.velocity(dit, torch.randn(1, 16, 16, 16), torch.tensor([0.5]), text, mask, turns)
    assert torch.equal(out, torch.zeros_like(out))


def test_vision_patches_equal_the_processors():
    from PIL import Image

    from workshop.pocket.model.tokens import load_tokenizer, make_processor
    from workshop.profiles import POCKET

    tokenizer = load_tokenizer(POCKET / "Qwen" / "Qwen-Image" / "tokenizer")
    picture = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    processor = make_processor(tokenizer).image_processor
    real = processor(images=[Image.fromarray(picture)], return_tensors="pt")["pixel_values"]
    ours = text_stage.patches(vae_stage.to_tensor(picture[None]))
    assert ours.shape == real.shape
    # the processor rounds the resized picture to whole levels of 255; one level is 0.015 after scaling
    assert (ours - real).abs().mean() < 0.015


class Line:
    """The smallest stage: fit y = 3x by a line."""

    name, steps, rate, batch, ema = "line", 40, 0.1, 8, 0.9

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network = torch.nn.Linear(1, 1)

    def loss(self, step: int) -> torch.Tensor:
        x = torch.randn(self.batch, 1)
        return (self.network(x) - 3 * x).square().mean()

    def report(self) -> str:
        return f"slope {self.network.weight.item():.3f}"


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path):
    train.train(Line(), tmp_path / "whole", steps=40, minutes=1)
    train.train(Line(), tmp_path / "parts", steps=40, minutes=0)  # one step, then the time is over
    train.train(Line(), tmp_path / "parts", steps=40, minutes=1)
    whole, parts = (load_file(tmp_path / name / "line.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_training_learns_and_keeps_an_average(tmp_path: Path):
    stage = Line()
    train.train(stage, tmp_path, steps=200, minutes=1)
    assert stage.network.weight.item() == pytest.approx(3, abs=0.05)
    assert train.trained(tmp_path, "line")["weight"].item() == pytest.approx(3, abs=0.1)


def test_a_missing_checkpoint_says_what_to_run(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="python -m workshop.pocket.training base"):
        train.trained(tmp_path, "base")


def test_the_learning_rate_warms_up_and_decays():
    rates = [train.learning_rate(Line(), step, 1000) for step in (0, 99, 999)]
    assert rates[0] < rates[1]
    assert rates[2] == pytest.approx(0.1 * 0.02, rel=0.01)


def test_two_processes_average_their_gradients_and_stop_together(monkeypatch: pytest.MonkeyPatch):
    def other_process_adds(flat: torch.Tensor) -> None:
        flat += torch.cat([torch.full((len(flat) - 1,), 3.0), torch.ones(1)])  # its gradients, and it stops

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(train.dist, "all_reduce", other_process_adds)
    weight = torch.nn.Parameter(torch.zeros(2, 2))
    weight.grad = torch.ones(2, 2)
    assert train.average_gradients([weight], stop=False) is True
    assert torch.equal(weight.grad, torch.full((2, 2), 2.0))


def test_one_process_leaves_its_gradients_alone():
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.ones(2)
    assert train.average_gradients([weight], stop=False) is False
    assert torch.equal(weight.grad, torch.ones(2))


@pytest.fixture
def base() -> base_stage.BaseStage:
    """The base stage without what training loads: only scenes and the shipped tokenizer."""
    from itertools import islice

    from workshop.pocket.model import tokens
    from workshop.profiles import POCKET

    stage = base_stage.BaseStage.__new__(base_stage.BaseStage)
    stage.prompts = text_stage.Prompts.__new__(text_stage.Prompts)
    stage.prompts.tokenizer = tokens.load_tokenizer(POCKET / "Qwen" / "Qwen-Image" / "tokenizer")
    stage.scenes = list(islice(scenes.stream(1), 300))
    stage.couples = [i for i, scene in enumerate(stage.scenes) if scene.kind == "couple"]
    stage.small = [i for i, scene in enumerate(stage.scenes) if base_stage.has_small_things(scene)]
    stage.workshop, stage.pooled = [], (None, [])
    return stage


def test_the_workshops_own_prompts_are_met_with_pictures_that_show_them(base, monkeypatch, tmp_path):
    monkeypatch.setattr(base_stage, "drawn", lambda path, chosen: np.zeros((len(chosen), 1)))
    monkeypatch.setattr(base_stage, "latents_of", lambda folder, device, pictures, path: pictures)
    base.folder, base.device, base.latents = tmp_path, "cpu", np.zeros((len(base.scenes), 1))
    base.workshop = base.add_workshop()
    assert len(base.latents) == len(base.scenes) == 300 + len(base.workshop) and len(base.workshop) > 1000
    assert not any(scenes.held_out(base.scenes[i]) for i in base.workshop)
    alone = {p.text for name, p in prompts.WORKSHOP_PROMPTS.items() if name[:3] in ("man", "wom", "por")}
    drawn = [example for index in range(6) for batch in base.batches(index) for example in batch]
    met = [(i, caption) for i, caption in drawn if caption.text in alone]
    assert {caption.text for _, caption in met} == alone
    assert 0.03 < len(met) / len(drawn) < 0.09
    for i, caption in met:
        assert caption.named.items() <= scenes.attributes(base.scenes[i]).items()


def test_batches_hold_captions_of_similar_length(base):
    batches = base.batches(0)
    assert [len(batch) for batch in batches] == [base.batch] * base.pool
    lengths = [
        [len(base.prompts.tokenizer(said.text)["input_ids"]) for _, said in batch] for batch in batches
    ]
    within = np.mean([max(row) - min(row) for row in lengths])
    assert within < (max(map(max, lengths)) - min(map(min, lengths))) / 4


def test_a_tenth_of_the_prompts_is_empty_so_that_guidance_has_something_to_leave(base):
    texts = [said.text for index in range(6) for batch in base.batches(index) for _, said in batch]
    assert 0.07 < sum(text == "" for text in texts) / len(texts) < 0.13


def test_small_things_are_met_more_often_than_by_chance(base):
    met = [number for index in range(3) for batch in base.batches(index) for number, _ in batch]
    chance = len(base.small) / len(base.scenes)
    assert sum(number in set(base.small) for number in met) / len(met) > chance + 0.05


def test_a_step_always_sees_the_same_batch(base):
    first = base.said(11)
    base.said(40)
    assert base.said(11) == first


def test_answers_name_what_a_caption_says_and_leave_the_rest_free():
    found = text_stage.answers({"kind": "dog", "collar": "red"})
    named = {
        name: values[i] for (name, values), i in zip(text_stage.CLASSES.items(), found, strict=True) if i
    }
    assert named == {"kind": "dog", "collar": "red"}


def test_words_are_read_from_the_last_five_tokens_of_each_prompt():
    network = text_stage.TextNetwork.__new__(text_stage.TextNetwork)
    torch.nn.Module.__init__(network)
    network.words = torch.nn.Identity()
    hidden = torch.arange(20.0).view(1, 20, 1).expand(2, 20, architecture.WIDTH)
    read = network.read_words(hidden, torch.tensor([9, 20])).view(2, 5, architecture.WIDTH)
    assert read[:, :, 0].tolist() == [[4, 5, 6, 7, 8], [15, 16, 17, 18, 19]]


def test_artaug_leaves_the_base_alone_where_the_scene_is_decided():
    torch.manual_seed(0)
    stage = base_stage.ArtAugStage.__new__(base_stage.ArtAugStage)
    stage.device, stage.base = "cpu", base_stage.AskedDiT().requires_grad_(False)
    latents, velocity = torch.randn(2, 16, 16, 16), torch.randn(2, 16, 16, 16)
    sigma = base_stage.SCENE_ABOVE + torch.tensor([-0.1, 0.1])
    words = torch.randn(2, 8, architecture.WIDTH), torch.tensor([8, 5])
    wanted = stage.wanted(velocity, latents, sigma, words=words, fast=False)
    assert torch.equal(wanted[0], velocity[0])
    of_base = stage.predict(latents, sigma, words, (), fast=False, network=stage.base)[0]
    assert torch.equal(wanted[1], of_base[1])


def test_without_checkpoints_the_stages_build_on_what_ships(tmp_path: Path):
    prompts = text_stage.Prompts(tmp_path)
    assert prompts.folder == train.SHIPPED / "tokenizer"
    encoder, vae = text_stage.load_encoder(tmp_path), base_stage.load_vae(tmp_path)
    architecture.PocketDiT().load_state_dict(train.shipped(train.SHIPPED_DIT["base"]))
    assert encoder.model.language_model.embed_tokens.weight.dtype == torch.float32
    assert vae.encode(torch.zeros(1, 3, 16, 16)).shape == (1, 16, 2, 2)


def test_only_the_base_can_go_on_from_shipped_weights(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        train.main(["vae", "--warm"])
    assert "--warm is for the stage base, got vae" in capsys.readouterr().err
