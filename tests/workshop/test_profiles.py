"""The profile follows from what is there, says why, and never passes a pocket off for the real model."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pytest

from tests.support.fake_weights import fill, small_catalogue
from tests.support.machines import MACHINE, REAL
from workshop import files, models, profiles
from workshop.profiles import Gpu
from workshop.units import GIB

MI300X = Gpu("AMD Instinct MI300X VF", "ROCm 6.4.43482", 192 * 2**30)
LAPTOP_CARD = Gpu("NVIDIA GeForce RTX 4060", "CUDA 13.0", 8 * 2**30)
NONE = (None, "no GPU was found")


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A machine without GPU and real weights, with pocket weights; returns the folder of the real ones."""
    small_catalogue(monkeypatch)
    monkeypatch.setattr(profiles, "_current", None)
    monkeypatch.setattr(profiles, "find_gpu", lambda: NONE)
    monkeypatch.setattr(profiles, "POCKET", fill(tmp_path / "pocket", "Qwen-Image"))
    monkeypatch.setattr(profiles, "register_pocket", lambda: None)
    monkeypatch.setenv("WORKSHOP_MODELS", str(tmp_path / "real"))
    for name in (
        "WORKSHOP_PROFILE",
        "DIFFSYNTH_MODEL_BASE_PATH",
        "DIFFSYNTH_SKIP_DOWNLOAD",
        "MIOPEN_FIND_MODE",
    ):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return tmp_path / "real"


def with_gpu(monkeypatch, gpu: Gpu) -> None:
    monkeypatch.setattr(profiles, "find_gpu", lambda: (gpu, ""))


def test_without_a_gpu_it_is_the_pocket_on_the_cpu():
    profile = profiles.choose()
    assert (profile.name, profile.device, profile.dtype_name, profile.size) == (
        "pocket",
        "cpu",
        "float32",
        128,
    )
    assert profile.reason == "no GPU was found"


def test_with_gpu_and_weights_it_is_the_real_model(monkeypatch, machine):
    with_gpu(monkeypatch, MI300X)
    fill(machine)
    profile = profiles.choose()
    assert (profile.name, profile.device, profile.dtype_name, profile.size) == (
        "mi300x",
        "cuda",
        "bfloat16",
        1328,
    )
    assert profile.models == machine
    assert profile.reason == "MI300X (192 GiB) and the real weights are here"


def test_with_a_gpu_but_no_weights_it_is_the_pocket_on_the_gpu_in_float32(monkeypatch):
    with_gpu(monkeypatch, MI300X)
    profile = profiles.choose()
    assert (profile.name, profile.device, profile.dtype_name) == ("pocket", "cuda", "float32")
    assert "MI300X is here but the real weights are not (" in profile.reason


def test_a_card_too_small_for_one_pipeline_takes_the_pocket(monkeypatch, machine):
    with_gpu(monkeypatch, LAPTOP_CARD)
    fill(machine)
    profile = profiles.choose()
    assert profile.name == "pocket"
    assert profile.reason == "GeForce RTX 4060 has 8 GiB, less than the 54 GiB of one pipeline"


def test_the_argument_goes_before_the_variable_and_the_variable_before_the_machine(monkeypatch, machine):
    with_gpu(monkeypatch, MI300X)
    fill(machine)
    monkeypatch.setenv("WORKSHOP_PROFILE", "pocket")
    assert profiles.choose().name == "pocket"
    assert profiles.choose().reason == "WORKSHOP_PROFILE names it"
    assert profiles.choose("mi300x").name == "mi300x"
    assert profiles.choose("mi300x").reason == "it was asked for by name"


def test_a_wrong_name_lists_the_right_ones(monkeypatch):
    with pytest.raises(ValueError, match=r"no profile named 'mi300'\. These are: auto, mi300x, pocket"):
        profiles.choose("mi300")
    monkeypatch.setenv("WORKSHOP_PROFILE", "gpu")
    with pytest.raises(
        ValueError, match=r"WORKSHOP_PROFILE is 'gpu', and there is no such profile\. These are: auto, mi300x"
    ):
        profiles.use()


def test_use_sets_diffsynths_environment_and_prints_one_line_with_the_reason(capsys):
    profile = profiles.use("pocket", models=False)
    assert os.environ["DIFFSYNTH_MODEL_BASE_PATH"] == str(profiles.POCKET)
    assert os.environ["DIFFSYNTH_SKIP_DOWNLOAD"] == "true"  # DiffSynth takes no other word
    assert "MIOPEN_FIND_MODE" not in os.environ
    assert capsys.readouterr().out == f"{profile}\n"
    assert str(profile) == (
        "Profile pocket: pocket model on cpu, float32, 128×128 px, because it was asked for by name. "
        f"Weights: {profiles.POCKET}"
    )
    assert profiles.current() is profile


def test_on_rocm_the_kernel_search_is_cut_short_unless_the_user_set_it(monkeypatch, machine):
    with_gpu(monkeypatch, MI300X)
    fill(machine)
    profiles.use(models=False)
    assert os.environ["MIOPEN_FIND_MODE"] == "2"
    monkeypatch.setenv("MIOPEN_FIND_MODE", "1")
    profiles.use(models=False)
    assert os.environ["MIOPEN_FIND_MODE"] == "1"


def test_use_registers_the_pocket_model_only_when_models_are_wanted(monkeypatch):
    calls = []
    monkeypatch.setattr(profiles, "register_pocket", lambda: calls.append("registered"))
    profiles.use("pocket", models=False)
    assert calls == []
    profiles.use("pocket")
    assert calls == ["registered"]


def test_registering_says_that_the_import_takes_a_while(monkeypatch, capsys):
    calls = []
    stand_in = ModuleType("workshop.pocket.model.architecture")
    stand_in.register = lambda: calls.append("registered")
    import workshop.pocket.model

    monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    monkeypatch.setattr(workshop.pocket.model, "architecture", stand_in, raising=False)
    monkeypatch.delitem(sys.modules, "diffsynth", raising=False)
    register_pocket()
    assert calls == ["registered"]
    assert "Importing torch and DiffSynth: 5 seconds or more" in capsys.readouterr().out


register_pocket = profiles.register_pocket  # the real one; the fixture replaces it


def test_mi300x_without_a_gpu_is_an_error_that_names_the_gpu(machine):
    fill(machine)
    with pytest.raises(RuntimeError, match="Missing is the GPU: no GPU was found") as error:
        profiles.use("mi300x")
    assert "the weights" not in str(error.value)


def test_mi300x_without_weights_is_an_error_that_names_the_first_file_and_the_remedy(monkeypatch, machine):
    with_gpu(monkeypatch, MI300X)
    with pytest.raises(
        RuntimeError, match=r"Missing is the weights: .*transformer.*: missing, and 4 more"
    ) as error:
        profiles.use("mi300x", models=False)
    assert "./scripts/download Qwen-Image" in str(error.value)
    assert "GPU" not in str(error.value)


def test_mi300x_without_either_names_both():
    with pytest.raises(RuntimeError, match=r"the GPU: no GPU was found.*; and the weights: "):
        profiles.use("mi300x")


def test_a_failed_choice_changes_neither_environment_nor_profile():
    profiles.use("pocket", models=False)
    with pytest.raises(RuntimeError):
        profiles.use("mi300x")
    assert profiles.current().name == "pocket"
    assert os.environ["DIFFSYNTH_MODEL_BASE_PATH"] == str(profiles.POCKET)


def test_missing_pocket_weights_say_where_they_come_from(monkeypatch, tmp_path):
    monkeypatch.setattr(profiles, "POCKET", tmp_path / "empty")
    with pytest.raises(RuntimeError, match=r"pocket profile is not ready.*git checkout -- data/pocket"):
        profiles.use()
    assert profiles.use(models=False).name == "pocket"  # so that the preflight can show what is missing


def test_current_before_use_says_what_to_call():
    with pytest.raises(RuntimeError, match=r"Choose one first: workshop\.profiles\.use\(\)"):
        profiles.current()


def test_the_label_never_passes_a_pocket_picture_off_as_the_real_models(monkeypatch, machine):
    with_gpu(monkeypatch, MI300X)
    assert profiles.choose("pocket").label == "pocket model"
    assert profiles.choose("mi300x").label == "Qwen-Image on MI300X"
    with_gpu(monkeypatch, replace(MI300X, name="NVIDIA H200"))
    assert profiles.choose("mi300x").label == "Qwen-Image on H200"


def test_the_dtype_is_torchs():
    import torch

    assert profiles.choose("pocket").dtype is torch.float32
    assert profiles.choose("mi300x").dtype is torch.bfloat16


def test_paths_in_the_repository_read_the_same_on_every_machine(tmp_path):
    assert files.shorten(files.REPO / "data" / "pocket") == "data/pocket"
    assert files.shorten(tmp_path) == str(tmp_path)


def test_missing_lists_problems_of_a_pipelines_parts_wherever_they_come_from(machine):
    profile = profiles.choose("pocket")
    assert profiles.find_missing("Qwen-Image", profile) == []
    absent = {
        problem.path.relative_to(profile.models).parts[1]
        for problem in profiles.find_missing("Qwen-Image-Edit", profile)
    }
    assert absent == {"Qwen-Image-Edit"}
    assert models.pipeline_parts("Qwen-Image-Edit")["vae"][0].name == "Qwen-Image"


def test_a_profile_answers_what_would_be_asked_by_its_name() -> None:
    assert (REAL.is_real, REAL.has_reader, REAL.working_bytes) == (True, False, 16 * GIB)
    assert (MACHINE.is_real, MACHINE.has_reader) == (False, True) and MACHINE.working_bytes < GIB


class TestFindGpu:
    """`find_gpu` itself, with a torch of our own making."""

    @pytest.fixture(autouse=True)
    def real_function(self, monkeypatch, machine, tmp_path):
        monkeypatch.setattr(profiles, "find_gpu", find_gpu)
        monkeypatch.setattr(profiles, "GPU_SIGNS", (str(tmp_path / "kfd"),))
        monkeypatch.setattr(profiles.shutil, "which", lambda name: None)
        (tmp_path / "kfd").touch()
        self.sign = tmp_path / "kfd"

    def torch(self, monkeypatch, *, available=True, fails: Exception | None = None) -> None:
        def ones(*size, device):
            if fails:
                raise fails
            return SimpleNamespace(sum=lambda: SimpleNamespace(item=lambda: 1.0))

        card = SimpleNamespace(name="AMD Instinct MI300X", total_memory=192 * 2**30)
        cuda = SimpleNamespace(is_available=lambda: available, get_device_properties=lambda index: card)
        version = SimpleNamespace(hip="6.4", cuda=None)
        fake = SimpleNamespace(cuda=cuda, version=version, ones=ones, __version__="2.9.1+rocm6.4")
        monkeypatch.setitem(sys.modules, "torch", fake)

    def test_without_a_driver_torch_is_not_even_imported(self, monkeypatch):
        self.sign.unlink()
        monkeypatch.setitem(sys.modules, "torch", None)  # importing it would raise
        assert profiles.find_gpu() == NONE

    def test_a_card_that_computes_is_found(self, monkeypatch):
        self.torch(monkeypatch)
        assert profiles.find_gpu() == (Gpu("AMD Instinct MI300X", "ROCm 6.4", 192 * 2**30), "")

    def test_a_driver_that_this_torch_cannot_use_is_told(self, monkeypatch):
        self.torch(monkeypatch, available=False)
        gpu, why = profiles.find_gpu()
        assert gpu is None
        assert why == f"{self.sign} is there, but torch 2.9.1+rocm6.4 cannot use the GPU"

    def test_a_card_that_fails_when_it_computes_is_not_used(self, monkeypatch):
        self.torch(monkeypatch, fails=RuntimeError("no kernel image is available"))
        gpu, why = profiles.find_gpu()
        assert gpu is None
        assert "torch fails (RuntimeError: no kernel image is available)" in why

    def test_a_torch_that_cannot_be_imported_is_told(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "torch", None)
        assert "torch fails (ModuleNotFoundError" in profiles.find_gpu()[1]


find_gpu = profiles.find_gpu  # the real one; the fixture replaces it
