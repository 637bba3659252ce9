"""The shipped pocket model: recognised by DiffSynth, cut at the right token, small enough, and doing what
its card says."""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from diffsynth.configs import MODEL_CONFIGS
from diffsynth.core.loader.file import hash_model_file
from PIL import Image

from workshop import files, prompts
from workshop.pocket.measure import pictures
from workshop.pocket.model import architecture, reader, tokens
from workshop.pocket.world import draw, scenes

BASE = files.POCKET / "Qwen" / "Qwen-Image"
WEIGHTS = {
    "qwen_image_dit": BASE / "transformer" / "diffusion_pytorch_model.safetensors",
    "qwen_image_text_encoder": BASE / "text_encoder" / "model.safetensors",
    "qwen_image_vae": BASE / "vae" / "diffusion_pytorch_model.safetensors",
}


@pytest.mark.parametrize("config", architecture.model_configs(), ids=lambda config: config["model_name"])
def test_shipped_weights_have_the_hash_that_is_registered(config: dict):
    assert hash_model_file(str(WEIGHTS[config["model_name"]])) == config["model_hash"]


def test_registering_twice_changes_nothing():
    architecture.register()
    before = list(MODEL_CONFIGS)
    architecture.register()
    assert before == MODEL_CONFIGS


def test_rope_axes_fill_the_heads():
    assert sum(architecture.ROPE_AXES) == architecture.HEAD_WIDTH
    assert sum(architecture.MROPE_SECTIONS) == architecture.HEAD_WIDTH // 2


def test_base_weights_fit_in_32_megabytes_and_all_data_in_80():
    assert sum(path.stat().st_size for path in WEIGHTS.values()) <= 32e6
    assert sum(path.stat().st_size for path in files.POCKET.parent.rglob("*") if path.is_file()) <= 80e6


def test_the_templates_are_as_long_as_the_pipeline_believes():
    tokenizer = tokens.load_tokenizer(BASE / "tokenizer")
    prompt, edit = tokens.PROMPT_TEMPLATE.split("{}")[0], tokens.EDIT_TEMPLATE.split("<|vision_start|>")[0]
    assert len(tokenizer(prompt)["input_ids"]) == tokens.PROMPT_DROP
    assert len(tokenizer(edit)["input_ids"]) == tokens.EDIT_DROP
    assert len(tokenizer(tokens.PROMPT_TEMPLATE.split("{}")[1])["input_ids"]) == tokens.SUFFIX_TOKENS


def test_the_templates_are_those_of_the_pipeline():
    import inspect

    from diffsynth.pipelines import qwen_image

    source = inspect.getsource(qwen_image.QwenImageUnit_PromptEmbedder)
    for template in (tokens.PROMPT_TEMPLATE, tokens.EDIT_TEMPLATE):
        assert template.encode("unicode_escape").decode() in source


@pytest.mark.parametrize("text", [c.text for c in prompts.WORKSHOP_PROMPTS.values()])
def test_the_tokenizer_gives_every_workshop_prompt_back(text: str):
    tokenizer = tokens.load_tokenizer(BASE / "tokenizer")
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_the_processor_loads_and_shows_25_image_tokens():
    from transformers import Qwen2VLProcessor

    processor = Qwen2VLProcessor.from_pretrained(files.POCKET / "Qwen" / "Qwen-Image-Edit" / "processor")
    for size in ((128, 128), (384, 384)):
        batch = processor(
            text=[tokens.EDIT_TEMPLATE.format("a dog")], images=[Image.new("RGB", size)], return_tensors="pt"
        )
        assert (batch.input_ids == processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")).sum() == 25


def test_the_reader_reads_renders():
    chosen = list(islice(scenes.stream(700, test=True), 48))
    found = reader.read_all([draw.to_image(scene) for scene in chosen])
    hits = [
        shown.get(name) == value
        for scene, shown in zip(chosen, found, strict=True)
        for name, value in scenes.attributes(scene).items()
    ]
    assert sum(hits) / len(hits) > 0.97


def test_a_missing_reader_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="Restore data/pocket from git"):
        reader.load(tmp_path / "reader.safetensors")


def test_unplaced_people_may_stand_either_way_round():
    named = {"kind": "couple", "left who": "woman", "right who": "man"}
    shown = {"kind": "couple", "left who": "man", "right who": "woman"}
    assert all(reader.compare(named, shown, placed=False).values())
    assert sum(reader.compare(named, shown).values()) == 1


def test_vae_keeps_a_render_recognisable(pipe):
    image = draw.to_image(next(scenes.stream(5, test=True)))
    x = pictures.to_tensor([image]).to(pipe.device, pipe.torch_dtype)
    with torch.no_grad():
        y = pipe.vae.decode(pipe.vae.encode(x)).clamp(-1, 1)
    assert 10 * torch.log10(4 / (y - x).square().mean()) > 24
