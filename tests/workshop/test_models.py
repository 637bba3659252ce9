"""The catalogue's numbers are counted, not believed, and a bad file is named."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import pytest

from tests.support.fake_weights import fill, safetensors
from workshop import models

QWEN = models.MODELS["Qwen-Image"]
DIT, VAE = QWEN.part("dit"), QWEN.part("vae")
LORA_TARGETS = (
    "to_q,to_k,to_v,add_q_proj,add_k_proj,add_v_proj,to_out.0,to_add_out,"
    "img_mlp.net.2,img_mod.1,txt_mlp.net.2,txt_mod.1"
)


@pytest.fixture(scope="module")
def networks():
    """The real classes on the meta device: every key and shape, no memory."""
    import torch
    from diffsynth.models.qwen_image_dit import QwenImageDiT
    from diffsynth.models.qwen_image_text_encoder import QwenImageTextEncoder
    from diffsynth.models.qwen_image_vae import QwenImageVAE

    with torch.device("meta"):
        return {"dit": QwenImageDiT(), "text_encoder": QwenImageTextEncoder(), "vae": QwenImageVAE()}


def file_keys(role: str, key: str) -> str:
    """Name a parameter as the published file does; DiffSynth renames the text encoder's while loading."""
    if role == "text_encoder":
        key = key.replace("model.language_model.", "model.", 1).replace("model.visual.", "visual.", 1)
    return key


@pytest.mark.parametrize("role", ["dit", "text_encoder", "vae"])
def test_parameter_counts_are_those_of_the_real_classes(networks, role: str):
    counted = sum(parameter.numel() for parameter in networks[role].parameters())
    assert QWEN.part(role).parameters == counted
    assert QWEN.part(role).bytes == 2 * counted


@pytest.mark.parametrize("role", ["dit", "text_encoder", "vae"])
def test_key_hashes_are_what_diffsynth_recognises_the_published_files_by(networks, role: str):
    # Three sources must agree: the catalogue; the real class's keys and shapes, named as in the file; and
    # DiffSynth's registry, under which that hash loads that class.
    from diffsynth.configs import MODEL_CONFIGS
    from diffsynth.core.loader.file import convert_keys_dict_to_single_str

    shapes = {file_keys(role, key): list(value.shape) for key, value in networks[role].state_dict().items()}
    from_class = hashlib.md5(convert_keys_dict_to_single_str(shapes).encode()).hexdigest()
    registered = [config for config in MODEL_CONFIGS if config["model_hash"] == QWEN.part(role).key_hash]
    assert QWEN.part(role).key_hash == from_class
    assert [config["model_class"].rpartition(".")[2] for config in registered] == [
        type(networks[role]).__name__
    ]


def test_the_text_encoders_published_keys_become_the_classs_by_diffsynths_converter(networks):
    from diffsynth.utils.state_dict_converters.qwen_image_text_encoder import (
        QwenImageTextEncoderStateDictConverter,
    )

    keys = list(networks["text_encoder"].state_dict())
    published = dict.fromkeys(file_keys("text_encoder", key) for key in keys)
    assert sorted(QwenImageTextEncoderStateDictConverter(published)) == sorted(keys)


def test_a_rank_32_lora_on_the_12_targets_has_the_catalogues_size(networks):
    targets = tuple(LORA_TARGETS.split(","))
    linears = [m for name, m in networks["dit"].named_modules() if name.endswith(targets)]
    assert len(linears) == 720
    assert 2 * sum(32 * (m.in_features + m.out_features) for m in linears) == models.LORA.bytes == 471_859_200


def test_one_pipeline_is_28_8_billion_parameters_and_three_share_two_parts():
    assert QWEN.parameters == 28_849_460_275
    assert 3 * QWEN.parameters == 86_548_380_825  # counting the shared parts three times
    assert sum(model.parameters for model in models.MODELS.values()) == 69_710_262_451
    assert models.pipeline_bytes(["Qwen-Image"]) == 2 * 28_849_460_275
    assert models.pipeline_bytes(list(models.PIPELINES)) == 2 * 69_710_262_451


@pytest.mark.parametrize("role", ["dit", "text_encoder", "vae"])
def test_file_patterns_are_the_ones_diffsynth_documents(role: str):
    listing = Path(metadata.distribution("diffsynth").locate_file("diffsynth/configs/model_configs.py"))
    example = (
        f'# Example: ModelConfig(model_id="Qwen/Qwen-Image", origin_file_pattern="{QWEN.part(role).pattern}")'
    )
    assert example in listing.read_text(encoding="utf-8")


def test_every_pipeline_takes_text_encoder_and_vae_from_one_place():
    sources = [models.pipeline_parts(name) for name in models.PIPELINES]
    for role in ("text_encoder", "vae", "tokenizer"):
        assert {source[role][0].repo for source in sources} == {"Qwen/Qwen-Image"}
    assert len({source["dit"][0].repo for source in sources}) == 3


def test_a_wrong_pipeline_name_lists_the_right_ones():
    with pytest.raises(
        ValueError, match=r"no pipeline named 'Qwen'.*Qwen-Image, Qwen-Image-Edit, Qwen-Image-Edit-2509"
    ):
        models.pipeline_parts("Qwen")


def test_the_key_hash_is_diffsynths_own(tmp_path):
    from diffsynth.core.loader.file import hash_model_file

    files = [
        safetensors(tmp_path / "a.safetensors", {"block.10.w": [2, 3], "block.1.b": [], "x": [7]}),
        safetensors(tmp_path / "b.safetensors", {"block.2.w": [1, 1, 4]}),
    ]
    assert models.key_hash(files) == hash_model_file([str(file) for file in files])
    assert models.key_hash(files[:1]) != models.key_hash(files)


def test_a_good_file_gives_its_table_of_contents(tmp_path):
    header = models.read_header(safetensors(tmp_path / "a.safetensors", {"w": [2, 3]}))
    assert header == {"w": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}


@pytest.mark.parametrize(
    ("keep", "said"),
    [(-1, "cut short"), (30, "not even the header is whole"), (5, "cut short"), (0, "cut short")],
)
def test_a_file_that_is_cut_short_is_recognised_wherever_it_ends(tmp_path, keep: int, said: str):
    path = safetensors(tmp_path / "a.safetensors", {"w": [100]})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=said):
        models.read_header(path)


def test_a_cut_short_file_says_both_sizes(tmp_path):
    path = safetensors(tmp_path / "a.safetensors", {"w": [1000]})
    whole = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ValueError, match=f"cut short: {whole - 500:,} bytes, its header says {whole:,}"):
        models.read_header(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<!DOCTYPE html><html>not found</html>", r"not a safetensors file, it starts with b'<!DOCTYP'"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        (bytes(100), "not a safetensors file"),
        (struct.pack("<Q", 2) + b"{}" + bytes(9), "too long"),
    ],
)
def test_what_is_no_safetensors_file_is_told_apart(tmp_path, content: bytes, said: str):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=said):
        models.read_header(path)


def test_a_whole_repository_has_no_problem(tmp_path):
    fill(tmp_path)
    for model in models.MODELS.values():
        for part in model.files:
            assert models.find_problems(model, part, tmp_path, published=False) == []
            assert [
                path.relative_to(tmp_path / model.repo).as_posix()
                for path in models.find_files(model, part, tmp_path)
            ] == sorted(models.name_files(part))


def test_a_missing_part_is_named_by_its_pattern(tmp_path):
    (problem,) = models.find_problems(QWEN, VAE, tmp_path)
    path = tmp_path / "Qwen/Qwen-Image/vae/diffusion_pytorch_model.safetensors"
    assert str(problem) == f"{path}: missing"


def test_missing_shards_are_named_one_by_one(tmp_path):
    fill(tmp_path, "Qwen-Image")
    folder = tmp_path / "Qwen/Qwen-Image/transformer"
    for number in (3, 9):
        (folder / f"diffusion_pytorch_model-{number:05d}-of-00009.safetensors").unlink()
    found = models.find_problems(QWEN, DIT, tmp_path, published=False)
    assert [(problem.path.name, problem.what) for problem in found] == [
        ("diffusion_pytorch_model-00003-of-00009.safetensors", "missing"),
        ("diffusion_pytorch_model-00009-of-00009.safetensors", "missing"),
    ]


def test_shards_of_two_sets_in_one_folder_are_a_problem(tmp_path):
    # DiffSynth would read them all and mix them.
    fill(tmp_path, "Qwen-Image")
    safetensors(tmp_path / "Qwen/Qwen-Image/transformer/diffusion_pytorch_model.safetensors", {"w": [1]})
    (problem,) = models.find_problems(QWEN, DIT, tmp_path, published=False)
    assert "files of different sets lie together (of 1 and 9)" in str(problem)


def test_weights_of_another_model_are_not_taken_for_the_published_ones(tmp_path):
    fill(tmp_path, "Qwen-Image")
    (problem,) = models.find_problems(QWEN, VAE, tmp_path)
    assert problem.what.startswith("another model: its keys and shapes hash to ")
    assert problem.what.endswith(f"vae needs {VAE.key_hash}")


def test_an_unreadable_file_is_named_with_the_reason(tmp_path):
    path = tmp_path / "Qwen/Qwen-Image" / VAE.pattern
    path.mkdir(parents=True)  # a folder where a file should be cannot be opened, not even by root
    (problem,) = models.find_problems(QWEN, VAE, tmp_path, published=False)
    assert problem.path == path
    assert problem.what.startswith("unreadable (")


@pytest.mark.parametrize(
    "damage", [b"[]", b"{]", b'{"w": 3}', b"\xff\xff", json.dumps({"w": {"shape": [1]}}).encode()]
)
def test_a_damaged_header_is_a_problem_and_not_a_crash(tmp_path, damage: bytes):
    path = tmp_path / "Qwen/Qwen-Image" / VAE.pattern
    path.parent.mkdir(parents=True)
    path.write_bytes(struct.pack("<Q", len(damage)) + damage)
    (problem,) = models.find_problems(QWEN, VAE, tmp_path, published=False)
    assert "unreadable" in problem.what


def test_a_tokenizer_needs_one_vocabulary_in_any_of_its_forms(tmp_path):
    fill(tmp_path, "Qwen-Image")
    folder = tmp_path / "Qwen/Qwen-Image/tokenizer"
    tokenizer = QWEN.part("tokenizer")
    (folder / "tokenizer.json").rename(folder / "vocab.json")
    assert models.find_problems(QWEN, tokenizer, tmp_path) == []
    (folder / "vocab.json").write_text('{"a": 1', encoding="utf-8")
    (problem,) = models.find_problems(QWEN, tokenizer, tmp_path)
    assert (problem.path.name, problem.what[:27]) == ("vocab.json", "unreadable as JSON, perhaps")
    (folder / "vocab.json").unlink()
    (problem,) = models.find_problems(QWEN, tokenizer, tmp_path)
    assert (problem.path.name, problem.what) == ("tokenizer.json", "missing")


def test_the_parameters_predicted_from_the_shape_are_the_published_ones() -> None:
    predicted = models.dit_parameters(blocks=60, width=3072, head=128, text=3584)
    assert predicted == models.MODELS["Qwen-Image"].part("dit").parameters


def test_the_bill_adds_up_to_the_three_well_known_sums() -> None:
    assert [count for _, count, _ in models.bill()] == [
        28_849_460_275,
        28_849_460_275,
        28_849_460_275,
        86_548_380_825,
        69_710_262_451,
    ]
    assert all(size == 2 * count for _, count, size in models.bill())


def test_the_pockets_shape_in_the_catalogue_is_the_one_that_its_dit_has() -> None:
    from workshop.pocket.model import architecture as pocket

    shape = models.DIT_SHAPES["pocket"]
    assert (shape.blocks, shape.width, shape.head) == (pocket.BLOCKS, pocket.WIDTH, pocket.HEAD_WIDTH)
    assert shape.text == pocket.WIDTH


def test_the_real_shape_in_the_catalogue_is_the_one_that_is_counted() -> None:
    assert models.dit_parameters(**asdict(models.DIT_SHAPES["Qwen-Image"])) == DIT.parameters


def test_a_size_says_about_only_where_nobody_counted() -> None:
    sizes = {part.pattern: part.size for model in models.MODELS.values() for part in model.files}
    assert sizes["transformer/diffusion_pytorch_model*.safetensors"] == "40.86 GB"
    guessed = [pattern for pattern, size in sizes.items() if size.startswith("about ")]
    assert guessed == ["tokenizer/", "processor/", "model.safetensors"]
