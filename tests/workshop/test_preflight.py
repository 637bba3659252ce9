"""The preflight names every fault with its remedy; the download fetches what is missing and loses nothing."""

from __future__ import annotations

import errno
import json
import shutil
import sys
from collections import namedtuple
from importlib import metadata
from pathlib import Path

import pytest

from tests.support.fake_weights import file_names, fill, safetensors, small_catalogue
from workshop import files, models, notebooks, preflight, profiles
from workshop.preflight import Check
from workshop.profiles import Gpu, Profile
from workshop.training import dataset

MI300X = Gpu("AMD Instinct MI300X", "ROCm 6.4", 192 * 2**30)
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def machine(monkeypatch, tmp_path) -> Profile:
    """An MI300X with room on the disk and small stand-ins for all weights; every notebook is there."""
    small_catalogue(monkeypatch)
    monkeypatch.setattr(profiles, "find_gpu", lambda: (MI300X, ""))
    monkeypatch.setattr(preflight, "needed", lambda model: True)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 500 * 10**9))
    monkeypatch.setenv("WORKSHOP_MODELS", str(tmp_path))
    monkeypatch.delenv("WORKSHOP_PROFILE", raising=False)
    fill(tmp_path)
    shutil.copytree(files.REPO / "data" / "dog", tmp_path / dataset.DOG_REPO)
    return profiles.choose("mi300x")


def failing(profile: Profile) -> dict[str, Check]:
    return {one.name: one for one in preflight.check(profile) if not one.ok}


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
    assert {one.remedy for one in found.values()} == {"python -m workshop download Qwen-Image"}
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
    assert preflight._to_fetch(model, part, machine) == 0
    first.unlink()
    here = sum(path.stat().st_size for path in rest)
    assert 0 < here < part.bytes
    assert preflight._to_fetch(model, part, machine) == part.bytes - here
    for path in rest:
        path.unlink()
    assert preflight._to_fetch(model, part, machine) == part.bytes


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
    assert diffsynth.remedy == "pip install diffsynth==2.1.12"


def test_a_package_that_is_not_installed_is_a_fault(machine, monkeypatch):
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(preflight.metadata, "version", version)
    assert failing(machine)["transformers"].found == "not installed"


@pytest.mark.parametrize(
    "version, fine", [((3, 9, 18), False), ((3, 10, 1), True), ((3, 13, 5), True), ((3, 14, 0), False)]
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


class Hub:
    """A hub's download function: writes what it is asked for, and fails when told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str]]] = []
        self.error: BaseException | None = None
        self.damage = 0

    def __call__(self, repo: str, target: Path, patterns: list[str]) -> None:
        self.asked.append((repo, patterns))
        if self.error:
            raise self.error
        (model,) = (m for m in models.MODELS.values() if m.repo == repo)
        for name in [name for part in model.files for name in file_names(part)]:
            path = target / name
            if not any(path.match(pattern) for pattern in patterns) or path.exists():
                continue  # like the hubs' clients, it leaves a file alone that has the name
            if path.suffix == ".json":
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("{}", encoding="utf-8")
            else:
                safetensors(path, {path.stem: [4]})
                path.write_bytes(path.read_bytes()[: -self.damage or None])


@pytest.fixture
def hub(monkeypatch) -> Hub:
    fake = Hub()
    monkeypatch.setitem(preflight.SOURCES, "modelscope", fake)
    monkeypatch.setitem(preflight.SOURCES, "huggingface", fake)
    monkeypatch.setattr(preflight, "_dog_from_modelscope", copy_dog)
    return fake


def copy_dog(repo: str, target: Path) -> None:
    shutil.copytree(files.REPO / "data" / "dog", target, dirs_exist_ok=True)


def test_a_download_fetches_everything_when_nothing_is_there(machine, hub, capsys):
    shutil.rmtree(machine.models)
    preflight.download(profile=machine)
    assert failing(machine) == {}
    assert ("Qwen/Qwen-Image", ["transformer/diffusion_pytorch_model*.safetensors"]) in hub.asked
    assert ("Qwen/Qwen-Image", ["tokenizer/*"]) in hub.asked
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("1/9 Qwen/Qwen-Image transformer/") and said[-1].startswith(
        "All of it is here now"
    )


def test_a_download_fetches_only_what_is_missing_or_broken(machine, hub):
    folder = machine.models / "Qwen/Qwen-Image/transformer"
    (folder / "diffusion_pytorch_model-00002-of-00009.safetensors").unlink()
    cut = folder / "diffusion_pytorch_model-00005-of-00009.safetensors"
    cut.write_bytes(b"half")
    preflight.download(["Qwen-Image"], profile=machine)
    assert hub.asked == [
        (
            "Qwen/Qwen-Image",
            [
                "transformer/diffusion_pytorch_model-00002-of-00009.safetensors",
                "transformer/diffusion_pytorch_model-00005-of-00009.safetensors",
            ],
        )
    ]
    assert failing(machine) == {}
    assert len(list(folder.iterdir())) == 9  # the broken copy is not left lying about


def test_a_download_with_nothing_to_do_asks_no_hub(machine, hub, capsys):
    preflight.download(profile=machine)
    assert hub.asked == []
    assert capsys.readouterr().out.startswith("Everything is there already, in ")


def test_without_a_network_the_error_is_clear_and_nothing_is_lost(machine, hub, capsys):
    hub.error = ConnectionError("Name or service not known\nlong story")
    cut = machine.models / "Qwen/Qwen-Image/text_encoder/model-00001-of-00004.safetensors"
    cut.write_bytes(b"half")
    before = sorted(path for path in machine.models.rglob("*"))
    assert preflight.download_main(["Qwen-Image", "--source", "huggingface"]) == 1
    said = capsys.readouterr().err
    assert said == (
        "Qwen-Image could not be fetched from huggingface (ConnectionError: Name or service not known). "
        "What has arrived is kept, the same command goes on there. The other hub is --source modelscope. "
        "Without a network, copy Qwen/Qwen-Image from a machine that has it to "
        f"{machine.models / 'Qwen/Qwen-Image'}.\n"
    )
    assert sorted(path for path in machine.models.rglob("*")) == before
    assert cut.read_bytes() == b"half"


def test_an_interrupted_download_puts_the_file_back_and_stops(machine, hub):
    hub.error = KeyboardInterrupt()
    cut = machine.models / "Qwen/Qwen-Image/text_encoder/model-00001-of-00004.safetensors"
    cut.write_bytes(b"half")
    with pytest.raises(KeyboardInterrupt):
        preflight.download(["Qwen-Image"], profile=machine)
    assert cut.read_bytes() == b"half"


def test_a_file_that_arrives_damaged_is_not_taken_for_good(machine, hub):
    hub.damage = 2
    (machine.models / "Qwen/Qwen-Image/vae/diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(preflight.DownloadError, match=r"Qwen-Image is still not right .*cut short"):
        preflight.download(["Qwen-Image"], profile=machine)


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(machine, hub, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 1000))
    shutil.rmtree(machine.models)
    with pytest.raises(preflight.DownloadError, match="The disk is too small: 0.0 GB free, 1.0 GB needed"):
        preflight.download(profile=machine)
    assert hub.asked == []


def test_a_read_only_model_folder_says_what_still_works_and_what_to_do(machine, hub, monkeypatch):
    (machine.models / "Qwen/Qwen-Image/vae/diffusion_pytorch_model.safetensors").unlink()

    def refuse(**_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(preflight.tempfile, "TemporaryFile", refuse)
    with pytest.raises(preflight.DownloadError) as error:
        preflight.download(profile=machine)
    for words in (
        str(machine.models),
        "Read-only file system",
        "read from there as they are",
        "WORKSHOP_MODELS",
    ):
        assert words in str(error.value)
    assert hub.asked == []


def test_a_wrong_name_lists_the_right_ones(machine, hub, capsys):
    assert preflight.download_main(["Qwen-Image-Edit-2511"]) == 1
    assert "no model named 'Qwen-Image-Edit-2511'. These are: Qwen-Image, " in capsys.readouterr().err


def test_on_a_laptop_there_is_nothing_to_download(machine, hub, monkeypatch, capsys):
    monkeypatch.setattr(profiles, "find_gpu", lambda: (None, "no GPU was found"))
    assert preflight.download_main([]) == 0
    assert "there is nothing to download" in capsys.readouterr().out
    assert hub.asked == []


def test_a_card_without_weights_downloads_the_real_ones(machine, hub):
    shutil.rmtree(machine.models)
    assert preflight.download_main([]) == 0
    assert failing(machine) == {}


def test_the_dog_pictures_are_fetched_by_their_own_name_and_nothing_else_is(machine, hub, capsys):
    folder = dataset.folder("dog", machine)
    (folder / "metadata.csv").unlink()
    missing = failing(machine)["dog pictures"]
    assert "metadata.csv is missing" in missing.found
    assert missing.remedy == "python -m workshop download dog"
    assert preflight.download_main(["dog"]) == 0
    assert failing(machine) == {} and hub.asked == []
    assert "Artiprocher/dataset_dog" in str(folder) and str(folder) in capsys.readouterr().out


def test_dog_pictures_that_arrive_broken_or_not_at_all_are_an_error(machine, hub, monkeypatch, capsys):
    folder = dataset.folder("dog", machine)
    (folder / "01.png").write_bytes(b"no picture")
    monkeypatch.setattr(preflight, "_dog_from_modelscope", lambda repo, target: None)
    assert preflight.download_main(["dog"]) == 1
    assert "still not right after the download" in capsys.readouterr().err

    def refuse(repo: str, target: Path) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(preflight, "_dog_from_modelscope", refuse)
    assert preflight.download_main(["dog"]) == 1
    said = capsys.readouterr().err
    assert (
        "ConnectionError: no route to host" in said
        and f"copy it from a machine that has it to {folder}" in said
    )


def test_modelscope_takes_what_the_dog_download_gives_it(monkeypatch, tmp_path):
    import inspect

    import modelscope

    bound, signature = [], inspect.signature(modelscope.dataset_snapshot_download)
    monkeypatch.setattr(
        modelscope, "dataset_snapshot_download", lambda *args, **kw: bound.append(signature.bind(*args, **kw))
    )
    preflight._dog_from_modelscope(dataset.DOG_REPO, tmp_path)
    assert bound[0].arguments == {"dataset_id": "Artiprocher/dataset_dog", "local_dir": str(tmp_path)}


@pytest.mark.parametrize("source, module", [("modelscope", "modelscope"), ("huggingface", "huggingface_hub")])
def test_the_hubs_own_functions_take_what_they_are_given(monkeypatch, tmp_path, source: str, module: str):
    # The clients swallow no unknown keyword here: the real signature binds what is passed.
    import importlib
    import inspect

    client = importlib.import_module(module)
    signature, bound = inspect.signature(client.snapshot_download), []
    monkeypatch.setattr(
        client, "snapshot_download", lambda *args, **kw: bound.append(signature.bind(*args, **kw))
    )
    preflight.SOURCES[source]("Qwen/Qwen-Image", tmp_path, ["vae/*"])
    assert bound[0].arguments["local_dir"] == str(tmp_path)
    assert bound[0].arguments["allow_patterns"] == ["vae/*"]
    assert "Qwen/Qwen-Image" in bound[0].arguments.values()
