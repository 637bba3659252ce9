"""LoRA: counted as predicted, checked before it is loaded, stacked, cleared to the bit, merged for good."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.fake_weights import safetensors
from workshop import drawing, loading, looking, lora, models
from workshop.files import POCKET
from workshop.profiles import Profile

if TYPE_CHECKING:
    import torch
    from diffsynth.pipelines.qwen_image import QwenImagePipeline
    from PIL import Image

MACHINE = Profile("pocket", "cpu", "float32", 128, POCKET, "the tests need no more")
RANK = 4
POCKET_FILE = POCKET / "Qwen/Qwen-Image/transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def real() -> torch.nn.Module:
    """The real DiT on the meta device: every layer, no memory."""
    import torch
    from diffsynth.models.qwen_image_dit import QwenImageDiT

    with torch.device("meta"):
        return QwenImageDiT()


@pytest.fixture(scope="module")
def pocket() -> torch.nn.Module:
    import torch

    from workshop.pocket.model.architecture import PocketDiT

    with torch.device("meta"):
        return PocketDiT()


def write(path: Path, sizes: Mapping[str, tuple[int, int]], *, rank: int = RANK, prefix: str = "") -> Path:
    """Write a LoRA of zeros for layers of these sizes, with the keys that DiffSynth's training writes."""
    shapes = {}
    for name, (rows, columns) in sizes.items():
        shapes[f"{prefix}{name}.lora_A.default.weight"] = [rank, columns]
        shapes[f"{prefix}{name}.lora_B.default.weight"] = [rows, rank]
    return safetensors(path, shapes)


# Arithmetic


def test_a_rank_32_lora_of_the_real_model_is_counted_as_predicted(real: torch.nn.Module) -> None:
    layers = lora.list_targets(real)
    assert len(layers) == 720 == 60 * len(lora.TARGETS)
    assert lora.count(layers, rank=32) == lora.predict(blocks=60, width=3072, rank=32) == 235_929_600
    assert 2 * lora.count(layers, rank=32) == models.LORA.bytes


@pytest.mark.parametrize("rank", [1, 8, 32])
def test_the_pocket_models_lora_is_counted_as_predicted(pocket: torch.nn.Module, rank: int) -> None:
    from workshop.pocket.model.architecture import BLOCKS, WIDTH

    predicted = lora.predict(blocks=BLOCKS, width=WIDTH, rank=rank)
    assert lora.count(lora.list_targets(pocket), rank=rank) == predicted


def test_what_a_file_holds_is_what_was_predicted(tmp_path: Path, pocket: torch.nn.Module) -> None:
    file = lora.read(write(tmp_path / "lora.safetensors", lora.list_targets(pocket), rank=8))
    assert file.sizes == lora.list_targets(pocket) and file.rank == 8
    assert file.parameters == lora.predict(blocks=6, width=192, rank=8)


# Files that cannot be read


def test_a_path_without_a_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"There is no LoRA file .*nowhere\.safetensors\. Give the"):
        lora.read(tmp_path / "nowhere.safetensors")


def test_a_file_that_was_not_downloaded_names_repository_folder_and_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffsynth.pipelines.qwen_image import ModelConfig

    monkeypatch.setenv("DIFFSYNTH_MODEL_BASE_PATH", str(tmp_path))
    monkeypatch.setenv("DIFFSYNTH_SKIP_DOWNLOAD", "true")
    config = ModelConfig(
        model_id="DiffSynth-Studio/Qwen-Image-LoRA-ArtAug-v1", origin_file_pattern="model.safetensors"
    )
    with pytest.raises(FileNotFoundError) as error:
        lora.read(config)
    for words in ("ArtAug-v1 model.safetensors, 0 are in", str(tmp_path), "./scripts/preflight"):
        assert words in str(error.value)
    # The same config finds the file once it is there.
    write(tmp_path / config.model_id / config.origin_file_pattern, {"transformer_blocks.0.attn.to_q": (8, 8)})
    assert lora.read(config).rank == RANK


def test_a_file_that_is_cut_short_is_told_apart(tmp_path: Path) -> None:
    path = write(tmp_path / "lora.safetensors", {"transformer_blocks.0.attn.to_q": (8, 8)})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"lora\.safetensors: cut short: .*fetch it again"):
        lora.read(path)


def test_a_pointer_that_git_left_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    with pytest.raises(ValueError, match="a Git LFS pointer, not the weights"):
        lora.read(path)


def test_a_whole_model_is_no_lora() -> None:
    with pytest.raises(ValueError, match=r"is no LoRA: \d+ tensors, first \S+\. Give a file with lora_A"):
        lora.read(POCKET_FILE)


def test_the_real_dit_in_place_of_a_lora_is_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = safetensors(tmp_path / "dit.safetensors", {"img_in.weight": [4, 4]})
    monkeypatch.setattr(models, "key_hash", lambda files: models.MODELS["Qwen-Image"].part("dit").key_hash)
    with pytest.raises(ValueError, match="is no LoRA: a whole dit of Qwen-Image"):
        lora.read(path)


@pytest.mark.parametrize("down", [[3, 8], [4], None])
def test_an_a_that_does_not_fit_its_b_names_the_layer(tmp_path: Path, down: list[int] | None) -> None:
    shapes = {"to_q.lora_B.default.weight": [8, 4]} | ({"to_q.lora_A.default.weight": down} if down else {})
    path = safetensors(tmp_path / "lora.safetensors", shapes)
    with pytest.raises(ValueError, match=r"for to_q, A is .* and B is 8×4\. B must have as many columns"):
        lora.read(path)


# LoRAs for another model


def test_a_lora_of_the_real_model_says_so_to_the_pocket_and_the_other_way_round(
    tmp_path: Path, real: torch.nn.Module, pocket: torch.nn.Module
) -> None:
    some = {name: size for name, size in lora.list_targets(real).items() if name.endswith(".attn.to_q")}
    large = write(tmp_path / "large.safetensors", some, rank=1)
    small = write(tmp_path / "small.safetensors", lora.list_targets(pocket), rank=1)
    assert lora.check(large, real).rank == lora.check(small, pocket).rank == 1
    with pytest.raises(ValueError, match="is a LoRA for another model") as error:
        lora.check(large, pocket)
    said = str(error.value).splitlines()
    assert said[0].endswith("is a LoRA for another model: 0 of its 60 layers fit.")
    assert said[1].startswith(
        "  it is for:  a Qwen-Image DiT of 60 blocks, width 3072: the real Qwen-Image's; "
        "first transformer_blocks.0.attn.to_q (3072×3072), 192×192 here"
    )
    assert said[2] == "  needed:     a Qwen-Image DiT of 6 blocks, width 192: the pocket model's"
    assert said[3] == "  to do:      load it into the model it is for, or take a LoRA made for this one"
    with pytest.raises(ValueError, match=r"6 blocks, width 192: the pocket model's; .*18432×3072 here"):
        lora.check(small, real)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("single_transformer_blocks.0.attn.to_q", "FLUX, by its names"),
        ("double_blocks.0.img_attn.qkv", "FLUX, by its names"),
        ("lora_unet_down_blocks_0_attentions_0_proj_in", "a U-Net, as in Stable Diffusion, by its names"),
        ("blocks.0.self_attn.q", "Wan, a video model, by its names"),
        ("text_encoder.layers.0.q_proj", "a text encoder, by its names"),
        ("nobody.knows", "a model that its names do not tell (1 layers)"),
    ],
)
def test_a_lora_of_another_family_is_known_by_its_names(
    tmp_path: Path, pocket: torch.nn.Module, name: str, family: str
) -> None:
    path = write(tmp_path / "lora.safetensors", {name: (8, 8)})
    with pytest.raises(ValueError, match="is a LoRA for another model") as error:
        lora.check(path, pocket)
    assert f"it is for:  {family}; first {name} (8×8), not in this model" in str(error.value)


def test_a_prefix_that_diffsynth_does_not_know_comes_with_its_remedy(
    tmp_path: Path, pocket: torch.nn.Module
) -> None:
    path = write(tmp_path / "lora.safetensors", lora.list_targets(pocket), prefix="transformer.")
    with pytest.raises(
        ValueError, match=r"0 of its 72 layers fit.*\n.*\n.*\n  to do: +take 'transformer\.' off"
    ):
        lora.check(path, pocket)


def test_a_prefix_that_diffsynth_knows_is_no_fault(tmp_path: Path, pocket: torch.nn.Module) -> None:
    path = write(tmp_path / "lora.safetensors", lora.list_targets(pocket), prefix="diffusion_model.")
    assert lora.check(path, pocket).sizes == lora.list_targets(pocket)


def test_a_lora_that_fits_but_for_one_layer_is_an_error_too(tmp_path: Path, pocket: torch.nn.Module) -> None:
    sizes = lora.list_targets(pocket) | {"transformer_blocks.6.attn.to_q": (192, 192)}
    path = write(tmp_path / "lora.safetensors", sizes)
    with pytest.raises(ValueError, match=r"72 of its 73 layers fit.*\n.*7 blocks, width 192: none of this"):
        lora.check(path, pocket)


# With the pocket model


@pytest.fixture(scope="module")
def pipe() -> Iterator[QwenImagePipeline]:
    yield loading.load_pipeline("Qwen-Image", profile=MACHINE)
    loading.free()


@pytest.fixture(autouse=True)
def nothing_stays(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "pipe" in request.fixturenames:
        request.getfixturevalue("pipe").clear_lora(verbose=0)


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory, pocket: torch.nn.Module) -> Callable[[int], Path]:
    """Give a function that writes a random LoRA, small enough to leave a picture recognisable."""
    import torch
    from safetensors.torch import save_file

    def make(seed: int) -> Path:
        path = tmp_path_factory.getbasetemp() / f"stand-in-{seed}.safetensors"
        if not path.exists():
            generator, tensors = torch.Generator().manual_seed(seed), {}
            for name, (rows, columns) in lora.list_targets(pocket).items():
                a, b = ((RANK, columns), (rows, RANK))
                down, up = (0.05 * torch.randn(shape, generator=generator).bfloat16() for shape in (a, b))
                tensors[f"{name}.lora_A.default.weight"], tensors[f"{name}.lora_B.default.weight"] = down, up
            save_file(tensors, path)
        return path

    return make


def draw(pipe: QwenImagePipeline) -> Image.Image:
    return drawing.draw(pipe, "a dog", size=128, seed=3, num_inference_steps=2)


def test_diffsynth_itself_patches_nothing_and_raises_nothing(
    pipe: QwenImagePipeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # If this fails, DiffSynth has learned to look, and `check` has less to do.
    pipe.dit = pipe.enable_lora_hot_loading(pipe.dit)
    foreign = write(tmp_path / "lora.safetensors", {"double_blocks.0.img_attn.qkv": (8, 8)})
    pipe.load_lora(pipe.dit, str(foreign), hotload=True)
    assert "0 tensors are patched by LoRA" in capsys.readouterr().out
    with pytest.raises(ValueError, match="for another model"):
        lora.load(pipe, foreign)


def test_loading_patches_every_layer_of_the_file_and_prepares_the_dit_once(
    pipe: QwenImagePipeline, stand_in: Callable[[int], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = lora.load(pipe, stand_in(1))
    dit = pipe.dit
    lora.load(pipe, str(stand_in(2)))
    assert pipe.dit is dit
    said = capsys.readouterr().out
    assert said.count(f"{len(file.sizes)} tensors are patched by LoRA") == 2
    layers = [module for module in dit.modules() if getattr(module, "lora_A_weights", None)]
    assert len(layers) == len(file.sizes) == 72
    assert all(len(layer.lora_A_weights) == 2 for layer in layers)


def test_what_does_not_fit_leaves_the_pipeline_as_it_was(pipe: QwenImagePipeline, tmp_path: Path) -> None:
    half_right = write(tmp_path / "l.safetensors", lora.list_targets(pipe.dit) | {"elsewhere": (8, 8)})
    before = draw(pipe)
    with pytest.raises(ValueError, match="72 of its 73 layers fit"):
        lora.load(pipe, half_right)
    assert draw(pipe).tobytes() == before.tobytes()


def test_hot_loading_changes_the_picture_and_clearing_brings_it_back_bit_for_bit(
    pipe: QwenImagePipeline, stand_in: Callable[[int], Path]
) -> None:
    before = draw(pipe)
    lora.load(pipe, stand_in(1))
    assert looking.difference(draw(pipe), before) > 1
    pipe.clear_lora()
    assert draw(pipe).tobytes() == before.tobytes()


@pytest.mark.parametrize(
    ("one_way", "other_way"),
    [
        ([(1, 1.0)], [(1, 0.5), (1, 0.5)]),
        ([(1, 1.0), (2, 1.0)], [(2, 1.0), (1, 1.0)]),
        ([], [(1, 1.0), (1, -1.0)]),
        ([], [(1, 0.0)]),
    ],
    ids=["two halves are a whole", "the order does not matter", "plus and minus cancel", "zero is nothing"],
)
def test_strengths_add_up(
    pipe: QwenImagePipeline,
    stand_in: Callable[[int], Path],
    one_way: list[tuple[int, float]],
    other_way: list[tuple[int, float]],
) -> None:
    pictures = []
    for stack in (one_way, other_way):
        pipe.clear_lora(verbose=0)
        for seed, alpha in stack:
            lora.load(pipe, stand_in(seed), alpha=alpha)
        pictures.append(draw(pipe))
    # float32 sums in another order: a pixel may fall on the other side of a level here and there
    assert looking.difference(*pictures) < 0.05


def test_merged_equals_unmerged_and_stays(pipe: QwenImagePipeline, stand_in: Callable[[int], Path]) -> None:
    plain, before = pipe.dit, draw(pipe)
    lora.load(pipe, stand_in(1), alpha=0.8)
    hot = draw(pipe)
    pipe.clear_lora(verbose=0)
    pipe.dit = copy.deepcopy(plain)
    try:
        pipe.load_lora(pipe.dit, str(stand_in(1)), alpha=0.8, hotload=False)
        merged = draw(pipe)
        pipe.clear_lora(verbose=0)
        assert draw(pipe).tobytes() == merged.tobytes()
    finally:
        pipe.dit = plain
    assert looking.difference(merged, before) > 1
    assert looking.difference(merged, hot) < 0.05  # rounding in another order, as above


def test_merging_one_layer_is_the_formula(pipe: QwenImagePipeline, stand_in: Callable[[int], Path]) -> None:
    import torch
    from safetensors.torch import load_file

    name = "transformer_blocks.2.img_mod.1"
    dit, tensors = copy.deepcopy(pipe.dit), load_file(stand_in(1))
    a, b = (tensors[f"{name}.lora_{part}.default.weight"].float() for part in "AB")
    expected = dit.get_submodule(name).weight.detach() + 0.5 * b @ a
    pipe.load_lora(dit, str(stand_in(1)), alpha=0.5, hotload=False)
    torch.testing.assert_close(dit.get_submodule(name).weight.detach(), expected)


def test_hot_loading_must_be_enabled_first(pipe: QwenImagePipeline, stand_in: Callable[[int], Path]) -> None:
    from workshop.pocket.model.architecture import PocketDiT

    with pytest.raises(ValueError, match="LoRA hotloading is not supported"):
        pipe.load_lora(PocketDiT(), str(stand_in(1)), hotload=True)


def test_a_read_only_model_folder_is_enough_and_nothing_is_written_there(
    pipe: QwenImagePipeline, stand_in: Callable[[int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models"
    shutil.copytree(POCKET / "Qwen/Qwen-Image", folder / "Qwen/Qwen-Image")
    target = folder / "DiffSynth-Studio/Qwen-Image-LoRA-ArtAug-v1/model.safetensors"
    target.parent.mkdir(parents=True)
    shutil.copy(stand_in(1), target)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)  # root may write all the same, so look afterwards
    before = {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}
    expected = draw(pipe)
    monkeypatch.setattr(loading, "_parts", {})
    monkeypatch.setattr(loading, "_pipelines", {})
    monkeypatch.setenv("DIFFSYNTH_MODEL_BASE_PATH", str(folder))
    monkeypatch.setenv("DIFFSYNTH_SKIP_DOWNLOAD", "true")
    from diffsynth.pipelines.qwen_image import ModelConfig

    artaug = ModelConfig(
        model_id=target.parent.relative_to(folder).as_posix(), origin_file_pattern=target.name
    )
    moved = loading.load_pipeline("Qwen-Image", profile=replace(MACHINE, models=folder))
    assert draw(moved).tobytes() == expected.tobytes()
    assert len(lora.load(moved, artaug).sizes) == 72
    assert {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]} == before
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)  # so that pytest can clear the folder away


def test_importing_lora_and_prompts_imports_neither_torch_nor_diffsynth() -> None:
    import subprocess
    import sys

    code = "import sys; from workshop import guards, lora; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "diffsynth"} & set(loaded.split())
