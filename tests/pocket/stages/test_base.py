"""What the base stage sees in a step, and what ArtAug leaves alone."""

from __future__ import annotations

from itertools import islice
from random import Random

import numpy as np
import pytest
import torch

from workshop.files import POCKET
from workshop.pocket.model import architecture, tokens
from workshop.pocket.training import dit, inputs, recipes
from workshop.pocket.training.examples import CaptionExamples
from workshop.pocket.training.stages import base as base_stage
from workshop.pocket.training.stages.artaug import ArtAugStage
from workshop.pocket.world import captions, scenes


@pytest.fixture
def base() -> base_stage.BaseStage:
    """The base stage without what training loads: only scenes and the shipped tokenizer."""
    stage = base_stage.BaseStage.__new__(base_stage.BaseStage)
    stage.prompts = inputs.PromptTokens.__new__(inputs.PromptTokens)
    stage.prompts.tokenizer = tokens.load_tokenizer(POCKET / "Qwen" / "Qwen-Image" / "tokenizer")
    stage.scenes = list(islice(scenes.stream(1), 300))
    stage.examples, stage.batch, stage.batches = CaptionExamples(stage.scenes), 64, (None, [])
    return stage


def test_scenes_of_the_workshops_prompts_stand_behind_the_others(base, monkeypatch, tmp_path):
    monkeypatch.setattr(base_stage, "drawn", lambda path, chosen: np.zeros((len(chosen), 1)))
    monkeypatch.setattr(base_stage, "encode_pictures", lambda folder, device, pictures, path: pictures)
    base.folder, base.device, base.latents = tmp_path, "cpu", np.zeros((len(base.scenes), 1))
    count = base.add_workshop_scenes()
    assert len(base.latents) == len(base.scenes) == 300 + count
    assert base.scenes[:300] == list(islice(scenes.stream(1), 300))


def test_batches_hold_captions_of_similar_length(base):
    batches = base.draw_batches(0)
    assert [len(batch) for batch in batches] == [base.batch] * base.pool
    lengths = [base.prompts.count([example.caption.text for example in batch]) for batch in batches]
    within = np.mean([max(row) - min(row) for row in lengths])
    assert within < (max(map(max, lengths)) - min(map(min, lengths))) / 4


def test_a_step_always_sees_the_same_batch(base):
    first = base.global_batch(11)
    base.global_batch(40)
    assert base.global_batch(11) == first


def test_two_processes_share_a_batch(base, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    halves = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        halves.append(base.local_batch(11))
    assert [len(half) for half in halves] == [32, 32]
    assert sorted(halves[0] + halves[1], key=repr) == sorted(base.global_batch(11), key=repr)


def test_artaug_leaves_the_base_alone_where_the_scene_is_decided():
    torch.manual_seed(0)
    stage = ArtAugStage.__new__(ArtAugStage)
    stage.device, stage.base = "cpu", dit.DiTWithReadout().requires_grad_(False)
    latents, velocity = torch.randn(2, 16, 16, 16), torch.randn(2, 16, 16, 16)
    sigma = recipes.SCENE_ABOVE + torch.tensor([-0.1, 0.1])
    words = torch.randn(2, 8, architecture.WIDTH), torch.tensor([8, 5])
    target = stage.regression_target(velocity, latents, sigma, words=words, fast=False)
    assert torch.equal(target[0], velocity[0])
    of_base = stage.predict(latents, sigma, words, fast=False, network=stage.base)[0]
    assert torch.equal(target[1], of_base[1])


def test_in_the_last_part_of_a_run_the_velocitys_error_counts_alone():
    torch.manual_seed(0)
    stage = base_stage.BaseStage.__new__(base_stage.BaseStage)
    stage.device, stage.network, stage.latent_reader = "cpu", dit.DiTWithReadout(), None
    stage.fast_velocity = dit.predict_velocity
    stage.steps, stage.recipe = 100, recipes.RECIPES["base"]
    first = round(100 * (1 - recipes.FINISH))
    assert [stage.is_finish(step) for step in (0, first - 1, first, 99)] == [False, False, True, True]
    latents = torch.randn(2, 16, 16, 16)
    words = torch.randn(2, 8, architecture.WIDTH), torch.tensor([8, 5])
    asked = [captions.caption(scene, "en", Random(0)).named for scene in islice(scenes.stream(1), 2)]
    usual, late = (stage.compute_losses(latents, words, asked, finish=finish) for finish in (False, True))
    assert usual.total > usual.velocity_error
    assert torch.equal(late.total, late.velocity_error)
    assert late.total.requires_grad
