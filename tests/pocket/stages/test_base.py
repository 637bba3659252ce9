"""What the base stage sees, and what ArtAug leaves alone."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch

from workshop import prompts
from workshop.pocket.model import architecture
from workshop.pocket.training import dit, inputs
from workshop.pocket.training.stages import artaug
from workshop.pocket.training.stages import base as base_stage
from workshop.pocket.world import scenes
from workshop.pocket.world.scenes import Dog, Person, Scene


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


@pytest.fixture
def base() -> base_stage.BaseStage:
    """The base stage without what training loads: only scenes and the shipped tokenizer."""
    from workshop.files import POCKET
    from workshop.pocket.model import tokens

    stage = base_stage.BaseStage.__new__(base_stage.BaseStage)
    stage.prompts = inputs.Prompts.__new__(inputs.Prompts)
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


def test_artaug_leaves_the_base_alone_where_the_scene_is_decided():
    torch.manual_seed(0)
    stage = artaug.ArtAugStage.__new__(artaug.ArtAugStage)
    stage.device, stage.base = "cpu", dit.AskedDiT().requires_grad_(False)
    latents, velocity = torch.randn(2, 16, 16, 16), torch.randn(2, 16, 16, 16)
    sigma = base_stage.SCENE_ABOVE + torch.tensor([-0.1, 0.1])
    words = torch.randn(2, 8, architecture.WIDTH), torch.tensor([8, 5])
    wanted = stage.wanted(velocity, latents, sigma, words=words, fast=False)
    assert torch.equal(wanted[0], velocity[0])
    of_base = stage.predict(latents, sigma, words, (), fast=False, network=stage.base)[0]
    assert torch.equal(wanted[1], of_base[1])
