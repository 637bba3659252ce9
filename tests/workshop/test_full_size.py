"""The rehearsal at full size: the true layout and hashes, and the whole path with a few true layers."""

from __future__ import annotations

import json
import os
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffsynth.core.loader.file import hash_model_file
from safetensors.torch import load_file
from transformers import Qwen2Tokenizer

from workshop import loading, lora, models, profiles
from workshop.full_size import rehearsal, weights

SHORT = weights.Depth(blocks=1, layers=2, vision_layers=1)


def test_the_plan_is_the_published_layout_and_diffsynth_recognises_every_file(tmp_path: Path) -> None:
    plans, links = weights.plan(tmp_path, tuple(models.MODELS))
    counts = {(one.model.name, one.part.role): len(one.shards) for one in plans}
    assert counts == {
        ("Qwen-Image", "dit"): 9,
        ("Qwen-Image", "text_encoder"): 4,
        ("Qwen-Image", "vae"): 1,
        ("Qwen-Image-Edit-2509", "dit"): 5,
        ("ArtAug", "lora"): 1,
    }
    for one in plans:
        shapes = {key: shape for shard in one.shards.values() for key, shape in shard.items()}
        assert models.hash_shapes(shapes) == one.part.key_hash or not one.part.key_hash
        assert one.bytes == one.part.bytes
    assert {path.relative_to(tmp_path).parts[1] for path in links} == {
        "Qwen-Image-Edit",
        "Qwen-Image-Edit-F2P",
    }
    sizes = [sum(map(weights.count_bytes, shapes.values())) for shapes in plans[0].shards.values()]
    assert max(sizes) < 1.2 * min(sizes)


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(weights.shutil, "disk_usage", lambda _: usage(10**11, 0, 50 * 10**9))
    with pytest.raises(OSError, match=r"99\.\d\d GB of weights do not fit: .* has 50\.00 GB free\. Name"):
        weights.write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_model_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rehearsal.main([str(tmp_path), "--models", "Qwen-Imagine", "--write"]) == 2
    assert "There is no model 'Qwen-Imagine'. These are: Qwen-Image," in capsys.readouterr().err


def test_without_a_gpu_nothing_is_written_and_the_way_without_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(profiles, "find_gpu", lambda: (None, "PyTorch sees none"))
    assert rehearsal.main([str(tmp_path / "weights")]) == 2
    told = capsys.readouterr().err
    assert "A rehearsal needs a GPU: PyTorch sees none. Nothing was written." in told
    assert told.rstrip().endswith(f"./scripts/rehearse_full_size {tmp_path / 'weights'} --write")
    assert list(tmp_path.iterdir()) == []


def test_numbers_follow_from_the_seed_and_have_the_variance_of_their_fan_in(tmp_path: Path) -> None:
    shapes = {"a.weight": [64, 256], "b.weight": [64, 256], "a.bias": [64], "norm.weight": [64]}

    class Silent:
        def update(self, _: int) -> None: ...

    for name in ("one", "two"):
        weights.write_tensors(tmp_path / name, shapes, weights.Numbers(count=10_007), Silent())
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    found = load_file(tmp_path / "one")
    assert {key: list(value.shape) for key, value in found.items()} == shapes
    assert all(value.dtype == torch.bfloat16 for value in found.values())
    assert found["a.weight"].float().std() == pytest.approx(256**-0.5, rel=0.05)
    assert not torch.equal(found["a.weight"], found["b.weight"])
    assert found["a.bias"].abs().max() == 0
    assert found["norm.weight"].eq(1).all()


def test_the_words_have_the_real_ids_of_special_tokens(tmp_path: Path) -> None:
    weights.write_words(tmp_path)
    tokenizer = Qwen2Tokenizer.from_pretrained(tmp_path / "Qwen/Qwen-Image/tokenizer")
    text = "<|im_start|>user\na red coat<|vision_start|><|image_pad|><|vision_end|><|im_end|>"
    ids = tokenizer(text).input_ids
    assert [ids[0], ids[-4], ids[-3], ids[-2], ids[-1]] == [151644, 151652, 151655, 151653, 151645]
    assert max(ids) < 152_064
    assert tokenizer.decode(ids) == text


@pytest.fixture(scope="module")
def short_weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("full-size")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "PHOTOGRAPH", 64)  # image px: the true VAE takes a minute for a large one here
        weights.write(folder, depth=SHORT)
    yield folder
    loading.free()


@pytest.fixture
def profile(short_weights: Path, monkeypatch: pytest.MonkeyPatch) -> profiles.Profile:
    """The real profile on a CPU, with the catalogue's hashes and sizes at the short depth."""
    hashes = weights.register(SHORT)

    def shorten(part: models.Part) -> models.Part:
        return replace(part, key_hash=hashes.get(part.role, part.key_hash))

    shortened = {
        name: replace(model, files=tuple(shorten(part) for part in model.files))
        for name, model in models.MODELS.items()
    }
    monkeypatch.setattr(models, "MODELS", shortened)
    made = profiles.Profile("mi300x", "cpu", "float32", 64, short_weights, "a test asked for it")
    monkeypatch.setattr(profiles, "choose", lambda name="auto": made)
    monkeypatch.setattr(profiles, "_demand", lambda _: None)  # the GPU, which a CPU cannot have
    monkeypatch.setattr(profiles, "_current", made)
    return made


def test_the_whole_path_runs_with_a_few_true_layers(
    profile: profiles.Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "demand_ready", lambda _: None)  # it would miss the GPU
    lines = list(rehearsal.rehearse(profile, steps=2, output=tmp_path, auto_resize=False, notebooks=None))
    log = (tmp_path / "rehearsal.log").read_text(encoding="utf8")
    assert [line.outcome for line in lines] == ["done"] * len(lines), log[-3000:]
    assert len(lines) == 2 + 2 * len(models.PIPELINES) + 2
    for name in models.PIPELINES:
        assert (tmp_path / f"{name}.png").stat().st_size > 5_000  # noise does not compress
    trained = load_file(next((tmp_path / "lora-with-checkpointing").glob("step-*.safetensors")))
    assert len(trained) == SHORT.blocks * len(lora.TARGETS) * 2
    assert all(value.isfinite().all() for value in trained.values())
    table = json.loads(rehearsal.write_down(lines, tmp_path, profile=profile).read_text(encoding="utf8"))
    assert table["lines"][3]["predicted_seconds"] > 0


def test_equal_transformers_are_one_file_on_disk(short_weights: Path) -> None:
    name = "transformer/diffusion_pytorch_model-00003-of-00009.safetensors"
    first, second = (short_weights / "Qwen" / repo / name for repo in ("Qwen-Image", "Qwen-Image-Edit"))
    assert os.path.samefile(first, second)
    files = sorted(str(path) for path in first.parent.glob("*.safetensors"))
    assert hash_model_file(files) == weights.register(SHORT)["dit"]


def test_a_second_call_writes_nothing_that_is_there(
    short_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "PHOTOGRAPH", 64)
    assert weights.write(short_weights, depth=SHORT) == 0
    broken = short_weights / "Qwen/Qwen-Image/vae/diffusion_pytorch_model.safetensors"
    broken.write_bytes(broken.read_bytes()[:-1])
    assert weights.write(short_weights, depth=SHORT) == models.VAE.bytes


def test_what_fails_is_named_and_what_does_not_fit_is_left_out(tmp_path: Path) -> None:
    def fail(error: Exception) -> None:
        raise error

    broken = rehearsal.attempt("a", lambda: fail(ValueError("no such layer\nmore")), log=tmp_path)
    assert broken.failed
    assert str(broken).split() == ["a", "failed:", "ValueError:", "no", "such", "layer"]
    small = rehearsal.attempt("b", lambda: fail(MemoryError("41 GiB do not fit")), log=tmp_path)
    assert not small.failed
    assert small.outcome == "left out: 41 GiB do not fit"
    assert "Traceback" in (tmp_path / "rehearsal.log").read_text(encoding="utf8")
