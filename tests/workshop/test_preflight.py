"""The preflight names every fault with its remedy."""

from __future__ import annotations

import json
import shutil
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tests.support.mi300x import MI300X, Usage, failing, set_up_mi300x
from workshop import models, notebooks, preflight, profiles
from workshop.profiles import Gpu, Profile


@pytest.fixture
def machine(monkeypatch, tmp_path) -> Profile:
    """An MI300X on which nothing is missing."""
    return set_up_mi300x(monkeypatch, tmp_path)


def test_a_machine_with_everything_passes(machine, capsys):
    assert failing(machine) == {}
    assert preflight.main(["--profile", "mi300x"]) == 0
    said = capsys.readouterr().out
    assert "✗" not in said and said.endswith("You are ready.\n")
    assert "✓ Qwen-Image transformer" in said and "9 files, " in said


def test_every_fault_of_a_file_is_named_with_its_remedy(machine, capsys):
    repo = machine.models / "Qwen/Qwen-Image"
    cut = repo / "text_encoder/model-00002-of-00004.safetensors"
    cut.write_bytes(cut.read_bytes()[:-3])
    (repo / "transformer/diffusion_pytorch_model-00007-of-00009.safetensors").unlink()
    (repo / "tokenizer/tokenizer_config.json").write_text("{", encoding="utf-8")
    found = failing(machine)
    assert set(found) == {"Qwen-Image text_encoder", "Qwen-Image transformer", "Qwen-Image tokenizer"}
    assert found["Qwen-Image text_encoder"].found.startswith(
        "text_encoder/model-00002-of-00004.safetensors cut short"
    )
    assert found["Qwen-Image transformer"].found.startswith(
        "transformer/diffusion_pytorch_model-00007-of-00009.safetensors missing"
    )
    assert {one.remedy for one in found.values()} == {"./scripts/download Qwen-Image"}
    assert preflight.main(["--profile", "mi300x"]) == 1
    said = capsys.readouterr().out
    assert said.count("✗") == said.count("  → ") == 3
    assert said.endswith("Not ready: 3 of 17 checks need you, see →.\n")


def test_a_model_that_only_later_notebooks_use_is_shown_but_not_needed(machine, monkeypatch, capsys):
    monkeypatch.setattr(preflight, "needed", lambda model: model.name == "Qwen-Image")
    shutil.rmtree(machine.models / "DiffSynth-Studio")
    assert preflight.main(["--profile", "mi300x"]) == 0
    said = capsys.readouterr().out
    assert "✗ ArtAug model.safetensors" in said and "(for a notebook that is not here yet)" in said


def test_needed_follows_the_notebooks_in_the_repository(monkeypatch):
    here: list[Path] = []
    monkeypatch.setattr(notebooks, "find", lambda: here)
    assert [name for name, model in models.MODELS.items() if preflight.needed(model)] == ["Qwen-Image"]
    here.append(Path("05_edit.ipynb"))
    wanted = [name for name, model in models.MODELS.items() if preflight.needed(model)]
    assert wanted == ["Qwen-Image", "Qwen-Image-Edit", "F2P"]


def test_without_a_gpu_the_real_model_is_not_ready(machine, monkeypatch):
    monkeypatch.setattr(
        profiles, "find_gpu", lambda: (None, "/dev/kfd is there, but torch cannot use the GPU")
    )
    gpu = failing(profiles.choose("mi300x"))["GPU"]
    assert gpu.found == "/dev/kfd is there, but torch cannot use the GPU"
    assert "requirements-rocm.txt" in gpu.remedy


def test_gpu_memory_is_held_against_what_the_notebooks_load_together(monkeypatch):
    monkeypatch.setattr(preflight, "needed", lambda model: True)
    small = preflight._gpu_memory(Gpu("H100", "CUDA 13.0", 80 * 2**30), set(models.PIPELINES))
    assert not small.ok
    assert small.found.startswith("80 GiB, needed about 146 GiB for Qwen-Image, Qwen-Image-Edit, ")
    assert preflight._gpu_memory(MI300X, set(models.PIPELINES)).ok
    assert preflight._gpu_memory(Gpu("H100", "CUDA 13.0", 80 * 2**30), {"Qwen-Image"}).ok


def test_a_full_disk_says_how_much_is_needed(machine, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 900_000_000))
    disk = failing(machine)["disk"]
    assert disk.found == f"0.9 GB free, 1.0 GB needed at {machine.models}"
    assert "WORKSHOP_MODELS" in disk.remedy


def test_the_disk_need_counts_only_what_is_absent(machine):
    model, part = models.MODELS["Qwen-Image"], models.MODELS["Qwen-Image"].part("text_encoder")
    first, *rest = models.find_files(model, part, machine.models)
    assert preflight.missing_bytes(model, part, machine) == 0
    first.unlink()
    here = sum(path.stat().st_size for path in rest)
    assert 0 < here < part.bytes
    assert preflight.missing_bytes(model, part, machine) == part.bytes - here
    for path in rest:
        path.unlink()
    assert preflight.missing_bytes(model, part, machine) == part.bytes


def test_json_says_the_same_for_a_program(machine, capsys):
    (machine.models / "Qwen/Qwen-Image/vae/diffusion_pytorch_model.safetensors").unlink()
    assert preflight.main(["--profile", "mi300x", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["profile"], said["ready"]) == ("mi300x", False)
    assert [one["name"] for one in said["checks"] if not one["ok"]] == ["Qwen-Image vae"]


def test_a_torch_that_cannot_be_imported_is_a_fault_and_not_a_crash(machine, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert failing(machine)["torch"].found.startswith("cannot be imported (")


def test_another_diffsynth_than_the_tested_one_is_a_fault(machine, monkeypatch):
    monkeypatch.setattr(preflight.metadata, "version", lambda name: {"diffsynth": "2.2.0"}.get(name, "5.0"))
    diffsynth = failing(machine)["diffsynth"]
    assert diffsynth.found == "2.2.0, but the workshop is tested with 2.1.12"
    assert diffsynth.remedy == "make the environment anew: rm -r .venv; ./scripts/setup"


def test_a_package_that_is_not_installed_is_a_fault(machine, monkeypatch):
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(preflight.metadata, "version", version)
    assert failing(machine)["transformers"].found == "not installed"


@pytest.mark.parametrize(
    ("version", "fine"), [((3, 9, 18), False), ((3, 10, 1), True), ((3, 13, 5), True), ((3, 14, 0), False)]
)
def test_python_is_held_against_the_supported_ones(machine, monkeypatch, version, fine: bool):
    monkeypatch.setattr(preflight.sys, "version_info", version)
    assert ("Python" not in failing(machine)) is fine


def test_the_preflight_wants_what_the_distribution_pins():
    assert f"diffsynth=={preflight.DIFFSYNTH}" in metadata.requires("qwen-image-workshop")
    pythons = metadata.metadata("qwen-image-workshop")["Requires-Python"].split(",")
    assert preflight.PYTHONS == ((3, 10), (3, 13)) and "<3.14" in pythons


def test_on_a_plain_laptop_everything_is_ticked(monkeypatch, capsys):
    # The real repository with its pocket weights, on a machine without a GPU.
    monkeypatch.setattr(profiles, "find_gpu", lambda: (None, "no GPU was found"))
    monkeypatch.delenv("WORKSHOP_PROFILE", raising=False)
    code = preflight.main([])
    said = capsys.readouterr().out
    assert "✗" not in said
    assert "✓ Qwen-Image text_encoder" in said and "✓ GPU" in said
    assert code == 0
