"""The download fetches what is missing or broken, and loses nothing."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from tests.support.fake_weights import safetensors
from tests.support.mi300x import Usage, failing, set_up_mi300x
from workshop import download, files, models, profiles
from workshop.profiles import Profile
from workshop.training import dataset


@pytest.fixture
def machine(monkeypatch, tmp_path) -> Profile:
    """An MI300X on which nothing is missing."""
    return set_up_mi300x(monkeypatch, tmp_path)


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
        for name in [name for part in model.files for name in models.name_files(part)]:
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
    monkeypatch.setitem(download.SOURCES, "modelscope", fake)
    monkeypatch.setitem(download.SOURCES, "huggingface", fake)
    monkeypatch.setattr(download, "_dog_from_modelscope", copy_dog)
    return fake


def copy_dog(repo: str, target: Path) -> None:
    shutil.copytree(files.REPO / "data" / "dog", target, dirs_exist_ok=True)


def test_a_download_fetches_everything_when_nothing_is_there(machine, hub, capsys):
    shutil.rmtree(machine.models)
    download.fetch(profile=machine)
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
    download.fetch(["Qwen-Image"], profile=machine)
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
    download.fetch(profile=machine)
    assert hub.asked == []
    assert capsys.readouterr().out.startswith("Everything is there already, in ")


def test_without_a_network_the_error_is_clear_and_nothing_is_lost(machine, hub, capsys):
    hub.error = ConnectionError("Name or service not known\nlong story")
    cut = machine.models / "Qwen/Qwen-Image/text_encoder/model-00001-of-00004.safetensors"
    cut.write_bytes(b"half")
    before = sorted(path for path in machine.models.rglob("*"))
    assert download.main(["Qwen-Image", "--source", "huggingface"]) == 1
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
        download.fetch(["Qwen-Image"], profile=machine)
    assert cut.read_bytes() == b"half"


def test_a_file_that_arrives_damaged_is_not_taken_for_good(machine, hub):
    hub.damage = 2
    (machine.models / "Qwen/Qwen-Image/vae/diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(download.DownloadError, match=r"Qwen-Image is still not right .*cut short"):
        download.fetch(["Qwen-Image"], profile=machine)


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(machine, hub, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 1000))
    shutil.rmtree(machine.models)
    with pytest.raises(download.DownloadError, match=r"The disk is too small: 0\.0 GB free, 1\.0 GB needed"):
        download.fetch(profile=machine)
    assert hub.asked == []


def test_a_read_only_model_folder_says_what_still_works_and_what_to_do(machine, hub, monkeypatch):
    (machine.models / "Qwen/Qwen-Image/vae/diffusion_pytorch_model.safetensors").unlink()

    def refuse(**_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(download.tempfile, "TemporaryFile", refuse)
    with pytest.raises(download.DownloadError) as error:
        download.fetch(profile=machine)
    for words in (
        str(machine.models),
        "Read-only file system",
        "read from there as they are",
        "WORKSHOP_MODELS",
    ):
        assert words in str(error.value)
    assert hub.asked == []


def test_a_wrong_name_lists_the_right_ones(machine, hub, capsys):
    assert download.main(["Qwen-Image-Edit-2511"]) == 2
    assert "no model named 'Qwen-Image-Edit-2511'. These are: Qwen-Image, " in capsys.readouterr().err


def test_on_a_laptop_there_is_nothing_to_download(machine, hub, monkeypatch, capsys):
    monkeypatch.setattr(profiles, "find_gpu", lambda: (None, "no GPU was found"))
    assert download.main([]) == 0
    assert "there is nothing to download" in capsys.readouterr().out
    assert hub.asked == []


def test_a_card_without_weights_downloads_the_real_ones(machine, hub):
    shutil.rmtree(machine.models)
    assert download.main([]) == 0
    assert failing(machine) == {}


def test_the_dog_pictures_are_fetched_by_their_own_name_and_nothing_else_is(machine, hub, capsys):
    folder = dataset.find_folder("dog", machine)
    (folder / "metadata.csv").unlink()
    missing = failing(machine)["dog pictures"]
    assert "metadata.csv is missing" in missing.found
    assert missing.remedy == "./scripts/download dog"
    assert download.main(["dog"]) == 0
    assert failing(machine) == {} and hub.asked == []
    assert "Artiprocher/dataset_dog" in str(folder) and str(folder) in capsys.readouterr().out


def test_dog_pictures_that_arrive_broken_or_not_at_all_are_an_error(machine, hub, monkeypatch, capsys):
    folder = dataset.find_folder("dog", machine)
    (folder / "01.png").write_bytes(b"no picture")
    monkeypatch.setattr(download, "_dog_from_modelscope", lambda repo, target: None)
    assert download.main(["dog"]) == 1
    assert "still not right after the download" in capsys.readouterr().err

    def refuse(repo: str, target: Path) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(download, "_dog_from_modelscope", refuse)
    assert download.main(["dog"]) == 1
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
    download._dog_from_modelscope(dataset.DOG_REPO, tmp_path)
    assert bound[0].arguments == {"dataset_id": "Artiprocher/dataset_dog", "local_dir": str(tmp_path)}


@pytest.mark.parametrize(
    ("source", "module"), [("modelscope", "modelscope"), ("huggingface", "huggingface_hub")]
)
def test_the_hubs_own_functions_take_what_they_are_given(monkeypatch, tmp_path, source: str, module: str):
    # The clients swallow no unknown keyword here: the real signature binds what is passed.
    import importlib
    import inspect

    client = importlib.import_module(module)
    signature, bound = inspect.signature(client.snapshot_download), []
    monkeypatch.setattr(
        client, "snapshot_download", lambda *args, **kw: bound.append(signature.bind(*args, **kw))
    )
    download.SOURCES[source]("Qwen/Qwen-Image", tmp_path, ["vae/*"])
    assert bound[0].arguments["local_dir"] == str(tmp_path)
    assert bound[0].arguments["allow_patterns"] == ["vae/*"]
    assert "Qwen/Qwen-Image" in bound[0].arguments.values()
