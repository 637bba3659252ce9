"""The edit stages against the pipeline they train for, and what their examples show and say."""

from __future__ import annotations

import random
from contextlib import nullcontext

import pytest
import torch
from diffsynth.pipelines.qwen_image import (
    QwenImagePipeline,
    QwenImageUnit_PromptEmbedder,
    model_fn_qwen_image,
)
from PIL import Image
from safetensors.torch import load_file

from workshop import prompts
from workshop.loading import with_image_positions
from workshop.pocket.measure import evaluate, family
from workshop.pocket.model import tokens
from workshop.pocket.model.architecture import WIDTH, PocketDiT
from workshop.pocket.training import export
from workshop.pocket.training.stages import base as base_stage
from workshop.pocket.training.stages import edit as edit_stage
from workshop.pocket.training.stages import text as text_stage
from workshop.pocket.training.stages import vision as vision_stage
from workshop.pocket.world import scenes


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> edit_stage.EditStage:
    """The stage of two references over a few renders, begun from the shipped base."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (base_stage, edit_stage):
            patch.setattr(module, "PLAIN", (400, 1))
            patch.setattr(module, "RICH", (60, 2))
            patch.setattr(module, "compiled", lambda function: function)
        yield edit_stage.make("multi", tmp_path_factory.mktemp("pocket"), "cpu")


@pytest.fixture(scope="module")
def unit(stage: edit_stage.EditStage) -> tuple[QwenImageUnit_PromptEmbedder, QwenImagePipeline]:
    pipe = QwenImagePipeline(device="cpu", torch_dtype=torch.float32)
    pipe.text_encoder = with_image_positions(stage.encoder)
    pipe.processor = tokens.make_processor(stage.prompts.tokenizer)
    pipe.load_models_to_device = lambda names: None
    return QwenImageUnit_PromptEmbedder(), pipe


def picture(number: int) -> Image.Image:
    from workshop.pocket.world import draw

    return draw.to_image(scenes.random_scene(random.Random(number)), 128)


def seen_by(stage: edit_stage.EditStage, pipe: QwenImagePipeline, images: list[Image.Image]) -> torch.Tensor:
    pixels = pipe.processor.image_processor(images=images, return_tensors="pt")["pixel_values"]
    tower = stage.encoder.model.visual
    return vision_stage.see(tower, pixels, *vision_stage.layout(tower)).view(1, -1, WIDTH)


@pytest.mark.parametrize("numbered", [False, True], ids=["one reference", "two references"])
@torch.no_grad()
def test_prompts_are_read_as_the_pipeline_reads_them(stage, unit, numbered, monkeypatch):
    embedder, pipe = unit
    images = [picture(0), picture(1)] if numbered else [picture(0)]
    monkeypatch.setattr(stage, "recipe", edit_stage.RECIPES["multi" if numbered else "edit"])
    monkeypatch.setattr(embedder, "resize_image", lambda image: image)  # ours come at one size
    real = embedder.process(pipe, prompt="a man in the snow", edit_image=images if numbered else images[0])
    with monkeypatch.context() as patch:
        patch.setattr(edit_stage.torch, "autocast", lambda *_: nullcontext())  # the pipeline has float32
        hidden, lengths = stage.read(["a man in the snow"], seen_by(stage, pipe, images), fast=False)
    assert lengths.tolist() == [real["prompt_emb"].shape[1]]
    assert torch.allclose(hidden[:, : lengths[0]], real["prompt_emb"], atol=1e-3)


def test_the_vision_stage_teaches_the_tower_alone_what_two_pictures_show(tmp_path, monkeypatch):
    monkeypatch.setattr(vision_stage, "PLAIN", (40, 1))
    monkeypatch.setattr(vision_stage, "RICH", (40, 2))
    monkeypatch.setattr(vision_stage, "compiled", lambda function: function)
    network = text_stage.TextNetwork()
    network.encoder = text_stage.load_encoder(tmp_path)
    monkeypatch.setattr(vision_stage, "trained", lambda folder, name: network.state_dict())
    stage = vision_stage.make("vision", tmp_path, "cpu")
    stage.batch = 8
    before = {key: value.clone() for key, value in stage.network.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in stage.network.parameters() if p.requires_grad], lr=1e-3)
    losses = []
    for _ in range(8):
        losses.append(stage.loss(1))  # two pictures a prompt
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]
    changed = {
        key for key, value in stage.network.state_dict().items() if not torch.equal(value, before[key])
    }
    assert changed and all(key.startswith(("encoder.model.visual.", "picture.")) for key in changed)
    _, seen, _ = stage.hidden(
        vision_stage.to_tensor(stage.renders[0][1][:4]), [vision_stage.NOTHING] * 2, pictures=2, fast=False
    )
    alone = vision_stage.to_tensor(stage.renders[0][1][2:4])
    _, second, _ = stage.hidden(alone, [vision_stage.NOTHING], pictures=2, fast=False)
    assert torch.allclose(seen[2:], second, atol=1e-5)  # each prompt has its own two


@torch.no_grad()
def test_velocity_with_references_equals_the_pipelines():
    torch.manual_seed(0)
    dit = PocketDiT().eval()
    latents, one, two = torch.randn(3, 1, 16, 16, 16)
    text, sigma = torch.randn(1, 16, WIDTH), torch.tensor([0.4])
    with base_stage.trainable():
        turns = base_stage.rotary(dit, 16, "cpu", pictures=3)
        mask = base_stage.key_mask(torch.tensor([16]), 16, 3 * 64)
        ours = base_stage.velocity(dit, latents, sigma, text, mask, turns, [one, two])
    real = model_fn_qwen_image(
        dit=dit,
        latents=latents,
        timestep=sigma * 1000,
        prompt_emb=text,
        prompt_emb_mask=torch.ones(1, 16, dtype=torch.long),
        height=128,
        width=128,
        edit_latents=[one, two],
    )
    assert torch.allclose(ours, real, atol=1e-4)


WITHOUT_INSTRUCTION = ("", prompts.NEGATIVE_PROMPT)


def shown_by(stage: edit_stage.EditStage, reference: tuple[bool, int]) -> dict[str, str]:
    rich, number = reference
    return scenes.attributes(stage.pictures[rich].scenes[number])


def test_a_reference_agrees_with_the_picture_on_everything_that_is_kept_and_not_said(stage):
    rng, checked = random.Random(0), 0
    for target in stage.singles[:150]:
        edit = stage.example(target, rng)
        if edit.caption.text in WITHOUT_INSTRUCTION:
            continue
        scene, reference = scenes.attributes(stage.scenes[target]), shown_by(stage, edit.references[0])
        kept = [name for name in scene if name.removeprefix("left ") in stage.recipe.keeps]
        for name in set(kept) - set(edit.caption.named):
            assert reference[name] == scene[name]
            checked += 1
    assert checked > 100


def test_without_an_instruction_nothing_of_the_reference_is_kept(stage):
    """Guidance leads away from what the negative prompt draws: it must not draw the person."""
    rng = random.Random(0)
    edits = [stage.example(target, rng) for target in (*stage.singles, *stage.couples) * 2]
    empty = [edit for edit in edits if edit.caption.text in WITHOUT_INSTRUCTION]
    assert 0.06 < len(empty) / len(edits) < 0.14
    assert all(edit.asked == {} for edit in empty)
    alone = [edit for edit in empty if len(edit.references) == 1 and stage.scenes[edit.target].dog is None]
    same = [
        shown_by(stage, edit.references[0]).get("left hair")
        == scenes.attributes(stage.scenes[edit.target])["left hair"]
        for edit in alone
    ]
    assert len(same) > 30 and sum(same) / len(same) < 0.4


def test_what_is_asked_of_an_edit_is_what_words_and_reference_decide(stage):
    caption = prompts.Caption("in the snow", "en", {"background": "snow"})
    person = scenes.Person(hair="red")
    asked = stage.decided(scenes.Scene("figure", "snow", people=(person,)), caption)
    assert asked["background"] == "snow"
    assert asked["left hair"] == "red"
    assert "kind" not in asked


def test_the_edit_model_is_not_taught_to_keep_a_face():
    kept = edit_stage.RECIPES["edit"].keeps
    assert not set(scenes.IDENTITY) & set(kept)
    assert set(scenes.IDENTITY) <= set(edit_stage.RECIPES["f2p"].keeps)


def test_couples_come_with_two_references_in_their_places(stage):
    edits = [edit for batch in stage.batches(0) for edit in batch]
    two = [edit for edit in edits if len(edit.references) == 2]
    assert 0.3 < len(two) / len(edits) < 0.7
    assert all(stage.scenes[edit.target].kind == "couple" for edit in two)


def test_references_are_asked_what_they_show_each_in_its_place(stage, monkeypatch):
    edits = [edit for batch in stage.batches(0) for edit in batch if len(edit.references) == 2][:3]
    first, second = stage.of_each_reference(edits)
    assert first == [shown_by(stage, edit.references[0]) for edit in edits]
    assert second == [shown_by(stage, edit.references[1]) for edit in edits]
    asked = []
    monkeypatch.setattr(stage, "answers", lambda names: asked.append(names) or stage_answers(names))
    stage_answers = type(stage).answers.__get__(stage)
    stage.edit_losses(edits, fast=False)
    assert asked == [[edit.asked for edit in edits], first, second]


@pytest.mark.parametrize("name", ["multi", "artaug"])
def test_a_step_gives_a_gradient(stage, name, monkeypatch):
    for module in (base_stage, edit_stage):
        monkeypatch.setattr(module, "PLAIN", (400, 1))
        monkeypatch.setattr(module, "RICH", (60, 2))
        monkeypatch.setattr(module, "compiled", lambda function: function)
    ours = stage if name == "multi" else base_stage.make(name, stage.folder, "cpu")
    monkeypatch.setattr(ours, "pooled", (None, []))
    monkeypatch.setattr(type(ours), "batch", 2)
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
        text_stage.hidden_states(model, template, ids), text_stage.run_layers(model, first, rest, positions)
    )


def test_an_exported_lora_loads_through_the_pipeline(tmp_path, capsys):
    dit = base_stage.with_lora(base_stage.AskedDiT(), 4)
    export.save_lora(dit.state_dict(), tmp_path)
    pipe = QwenImagePipeline(device="cpu", torch_dtype=torch.float32)
    pipe.dit = PocketDiT()
    pipe.load_lora(pipe.dit, str(tmp_path / "model.safetensors"), alpha=1)
    assert "72 tensors are fused" in capsys.readouterr().out  # 6 blocks of 12


def test_a_loras_own_strength_is_in_what_is_exported(tmp_path):
    dit = base_stage.with_lora(base_stage.AskedDiT(), 4)
    name = "transformer_blocks.0.attn.to_q.lora_B.default.weight"
    torch.nn.init.ones_(dit.state_dict()[name])
    export.save_lora(dit.state_dict(), tmp_path, strength=1.5)
    saved = load_file(tmp_path / "model.safetensors")
    assert saved[name].float().unique().tolist() == [1.5]
    other = name.replace("lora_B", "lora_A")
    assert torch.equal(saved[other], dit.state_dict()[other].bfloat16())


def person(**attributes: str) -> dict[str, str]:
    return scenes.attributes(scenes.Scene("portrait", people=(scenes.Person(**attributes),)))


def test_identity_is_counted_attribute_by_attribute():
    assert evaluate.kept(person(hair="red"), person(hair="black")) == {
        "skin": True,
        "hair": False,
        "hair length": True,
        "glasses": True,
    }


def test_chance_compares_with_the_references_of_others():
    def result(reference: dict[str, str], shown: dict[str, str]) -> family.Edited:
        return family.Edited(prompts.Caption("", "en", {}), (reference,), picture(0), shown)

    dark, light = person(skin="dark"), person(skin="light")
    results = [result(dark, dark), result(light, light)]
    assert family.identity(results) == 1
    assert family.by_chance(results) == 0.75


def test_two_people_may_stand_either_way_round():
    one, two = person(hair="red"), person(hair="gray", who="man")
    shown = scenes.attributes(
        scenes.Scene("couple", people=(scenes.Person(hair="gray", who="man"), scenes.Person(hair="red")))
    )
    assert all(family.both(family.Edited(family.COUPLE, (one, two), picture(0), shown)))
    half = family.both(family.Edited(family.COUPLE, (one, one), picture(0), shown))
    assert 0 < sum(half) < len(half)


def test_instructions_say_nothing_of_the_identity_they_are_judged_by():
    for scene, caption in family.instructions(12):
        assert scene.kind in ("portrait", "figure")
        assert not {f"left {name}" for name in scenes.IDENTITY} & set(caption.named)
        assert caption.named["left who"] == scene.people[0].who


def test_shading_and_texture_are_detail():
    from workshop.pocket.world import draw

    chosen = [scenes.random_scene(random.Random(i)) for i in range(12)]
    plain, rich = ([evaluate.detail(draw.to_image(s, 128, rich=finish)) for s in chosen] for finish in (0, 1))
    assert family.auc(plain, rich) > 0.95
    assert family.auc([1.0, 2.0], [1.0, 2.0]) == 0.5


def test_figures_of_the_family_come_with_their_targets():
    figures = {"identity kept": 0.5, "identity by chance": 0.42, "identity kept with F2P": 0.93}
    assert family.rows(figures) == [
        ("identity kept", "50.0%", "≤ 57.0%"),
        ("identity by chance", "42.0%", ""),
        ("identity kept with F2P", "93.0%", "≥ 90%"),
    ]
