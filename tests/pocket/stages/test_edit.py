"""The edit stages against the pipeline they train for, and what their examples show and say."""

from __future__ import annotations

import random
from contextlib import nullcontext

import pytest
import torch
from diffsynth.pipelines.qwen_image import QwenImagePipeline, QwenImageUnit_PromptEmbedder
from PIL import Image

from tests.support.training import with_few_renders
from workshop import prompts
from workshop.guards import add_image_positions
from workshop.pocket.model import tokens
from workshop.pocket.model.architecture import WIDTH
from workshop.pocket.training import encoder, labels
from workshop.pocket.training.examples import Reference
from workshop.pocket.training.recipes import RECIPES
from workshop.pocket.training.stages import edit as edit_stage
from workshop.pocket.training.stages.artaug import ArtAugStage
from workshop.pocket.world import draw, scenes


def picture(number: int) -> Image.Image:
    return draw.to_image(scenes.random_scene(random.Random(number)), 128)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> edit_stage.EditStage:
    """The stage of two references over a few renders, begun from the shipped base."""
    with pytest.MonkeyPatch.context() as patch:
        with_few_renders(patch)
        yield edit_stage.EditStage("multi", tmp_path_factory.mktemp("pocket"), "cpu")


@pytest.fixture(scope="module")
def unit(stage: edit_stage.EditStage) -> tuple[QwenImageUnit_PromptEmbedder, QwenImagePipeline]:
    pipe = QwenImagePipeline(device="cpu", torch_dtype=torch.float32)
    pipe.text_encoder = add_image_positions(stage.encoder)
    pipe.processor = tokens.make_processor(stage.prompts.tokenizer)
    pipe.load_models_to_device = lambda names: None
    return QwenImageUnit_PromptEmbedder(), pipe


def image_tokens_of(
    stage: edit_stage.EditStage, pipe: QwenImagePipeline, images: list[Image.Image]
) -> torch.Tensor:
    pixels = pipe.processor.image_processor(images=images, return_tensors="pt")["pixel_values"]
    tower = stage.encoder.model.visual
    return encoder.encode_patches(tower, pixels, *encoder.lay_out_patches(tower)).view(1, -1, WIDTH)


@pytest.mark.parametrize("numbered", [False, True], ids=["one reference", "two references"])
@torch.no_grad()
def test_prompts_are_read_as_the_pipeline_reads_them(stage, unit, numbered, monkeypatch):
    embedder, pipe = unit
    images = [picture(0), picture(1)] if numbered else [picture(0)]
    monkeypatch.setattr(stage, "recipe", RECIPES["multi" if numbered else "edit"])
    monkeypatch.setattr(embedder, "resize_image", lambda image: image)  # ours come at one size
    real = embedder.process(pipe, prompt="a man in the snow", edit_image=images if numbered else images[0])
    with monkeypatch.context() as patch:
        # The pipeline has float32.
        patch.setattr(edit_stage.torch, "autocast", lambda *_, **__: nullcontext())
        hidden, lengths = stage.encode_prompts(
            ["a man in the snow"], image_tokens_of(stage, pipe, images), fast=False
        )
    assert lengths.tolist() == [real["prompt_emb"].shape[1]]
    assert torch.allclose(hidden[:, : lengths[0]], real["prompt_emb"], atol=1e-3)


WITHOUT_INSTRUCTION = ("", prompts.NEGATIVE_PROMPT)


def shown_by(stage: edit_stage.EditStage, reference: Reference) -> dict[str, str]:
    return stage.examples.list_shown(reference)


def test_a_reference_agrees_with_the_picture_on_everything_that_is_kept_and_not_said(stage):
    rng, checked = random.Random(0), 0
    for target in stage.examples.singles[:150]:
        edit = stage.examples.make(target, rng)
        if edit.caption.text in WITHOUT_INSTRUCTION:
            continue
        scene, reference = (
            scenes.attributes(stage.examples.scenes[target]),
            shown_by(stage, edit.references[0]),
        )
        kept = [name for name in scene if name.removeprefix("left ") in stage.recipe.keeps]
        for name in set(kept) - set(edit.caption.named):
            assert reference[name] == scene[name]
            checked += 1
    assert checked > 100


def test_without_an_instruction_nothing_of_the_reference_is_kept(stage):
    """Guidance leads away from what the negative prompt draws: it must not draw the person."""
    rng = random.Random(0)
    edits = [
        stage.examples.make(target, rng) for target in (*stage.examples.singles, *stage.examples.couples) * 2
    ]
    empty = [edit for edit in edits if edit.caption.text in WITHOUT_INSTRUCTION]
    assert 0.06 < len(empty) / len(edits) < 0.14
    assert all(edit.asked == {} for edit in empty)
    alone = [
        edit for edit in empty if len(edit.references) == 1 and stage.examples.scenes[edit.target].dog is None
    ]
    same = [
        shown_by(stage, edit.references[0]).get("left hair")
        == scenes.attributes(stage.examples.scenes[edit.target])["left hair"]
        for edit in alone
    ]
    assert len(same) > 30 and sum(same) / len(same) < 0.4


def test_what_is_asked_of_an_edit_is_what_words_and_reference_decide(stage):
    caption = prompts.Caption("in the snow", "en", {"background": "snow"})
    person = scenes.Person(hair="red")
    asked = stage.examples.list_decided(scenes.Scene("figure", "snow", people=(person,)), caption)
    assert asked["background"] == "snow"
    assert asked["left hair"] == "red"
    assert "kind" not in asked


def test_couples_come_with_two_references_in_their_places(stage):
    edits = [edit for batch in stage.draw_batches(0) for edit in batch]
    two = [edit for edit in edits if len(edit.references) == 2]
    assert 0.3 < len(two) / len(edits) < 0.7
    assert all(stage.examples.scenes[edit.target].kind == "couple" for edit in two)


def test_references_are_asked_what_they_show_each_in_its_place(stage, monkeypatch):
    edits = [edit for batch in stage.draw_batches(0) for edit in batch if len(edit.references) == 2][:3]
    asked = []
    to_tensor = labels.to_tensor
    monkeypatch.setattr(
        labels, "to_tensor", lambda rows, device: asked.append(rows) or to_tensor(rows, device)
    )
    stage.example_losses(edits, for_report=True)
    first, second = ([shown_by(stage, edit.references[i]) for edit in edits] for i in (0, 1))
    assert asked == [[edit.asked for edit in edits], first, second]


@pytest.mark.parametrize("name", ["multi", "artaug"])
def test_a_step_gives_a_gradient(stage, name, monkeypatch):
    with_few_renders(monkeypatch)
    ours = stage if name == "multi" else ArtAugStage(stage.folder, "cpu")
    monkeypatch.setattr(ours, "batches", (None, []))
    monkeypatch.setattr(ours, "batch", 2)
    ours.loss(0).backward()
    moved = {key.rsplit(".", 1)[0] for key, p in ours.network.named_parameters() if p.grad is not None}
    assert any("readout" in key for key in moved)
    lora = [key for key in moved if "lora" in key]
    unused = 2 * 2  # nobody reads the text that comes out of the last block: two layers end there
    assert len(lora) == (0 if name == "multi" else 2 * 12 * len(ours.network.transformer_blocks) - unused)


def test_text_hidden_states_run_the_same_layers(stage):
    ids = torch.randint(7, 400, (2, 8))
    template = stage.prompts.template
    model = stage.encoder.model.language_model
    positions = torch.arange(len(template) + 8).expand(3, 1, -1)
    first, rest = model.embed_tokens(template[None]), model.embed_tokens(ids)
    assert torch.equal(
        encoder.encode_text(model, template, ids), encoder.run_layers(model, first, rest, positions)
    )
