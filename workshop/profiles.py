"""Which machine this is and what that means: real weights on an MI300X, or the pocket model anywhere."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workshop import cpus, lean, tables
from workshop import models as catalogue
from workshop.files import POCKET, REPO, demand_folder, read_folder, shorten
from workshop.units import GIB

if TYPE_CHECKING:
    import torch

NAMES = ("mi300x", "pocket")
REAL_SIZE = 1328  # image px: the side that Qwen-Image was trained on
# A driver's device file: without one of them there is no GPU, and torch need not be imported to know it.
GPU_SIGNS = ("/dev/kfd", "/dev/nvidiactl", "/dev/dxg")

_current: Profile | None = None


@dataclass(frozen=True)
class Gpu:
    """The first GPU that torch can use."""

    name: str
    stack: str  # "ROCm 6.4" or "CUDA 13.0"
    bytes: int  # of the whole card


@dataclass(frozen=True)
class Profile:
    """What stands behind the notebooks' model names on this machine: weights, device, picture size."""

    name: str  # "mi300x" or "pocket"
    device: str  # "cuda" (also on ROCm) or "cpu"
    dtype_name: str
    size: int  # default picture side, image px
    models: Path  # what DIFFSYNTH_MODEL_BASE_PATH points to
    reason: str
    gpu: Gpu | None = None

    @property
    def is_real(self) -> bool:
        """Return whether the published weights stand behind the model names, and not the pocket's."""
        return self.name == "mi300x"

    @property
    def has_reader(self) -> bool:
        """Return whether a trained reader can say what a picture shows; else you look at it."""
        return not self.is_real

    @property
    def working_bytes(self) -> int:
        """Return what a picture needs beside the weights, in bytes: an estimate."""
        return catalogue.WORKING_BYTES if self.is_real else GIB // 2

    @property
    def dtype(self) -> torch.dtype:
        """Return the kind of number that weights and pictures are computed in; imports torch."""
        import torch

        return getattr(torch, self.dtype_name)

    @property
    def label(self) -> str:
        """Name the model for a caption, so that a pocket picture is never taken for the real model's."""
        if not self.is_real:
            return "pocket model"
        return f"Qwen-Image on {_short(self.gpu.name)}" if self.gpu else "Qwen-Image"

    def find_problems(self, model: catalogue.Model, part: catalogue.Part) -> list[catalogue.Problem]:
        """Find what keeps a part's files from being read under this profile."""
        return catalogue.find_problems(model, part, self.models, published=self.is_real)

    def remedy(self, model: str) -> str:
        """Return what to do so that the files of a model come to this machine."""
        if self.is_real:
            return f"./scripts/download {model}"
        return "the pocket weights come with the repository: git checkout -- data/pocket"

    def __str__(self) -> str:
        return (
            f"Profile {self.name}: {self.label} on {self.device}, {self.dtype_name}, "
            f"{self.size}×{self.size} px, because {self.reason}. Weights: {shorten(self.models)}"
        )


def use(name: str = "auto", *, models: bool = True) -> Profile:
    """Choose a profile, print it with the reason, and set DiffSynth's environment for it.

    name: "mi300x", "pocket" or "auto"; for "auto" the variable WORKSHOP_PROFILE decides if it is set
    models: whether to prepare the model; True registers the pocket model, which imports torch and diffsynth,
        False imports nothing heavy and accepts missing pocket weights

    Raises ValueError for another name, RuntimeError if what the profile needs is missing, saying what.
    """
    global _current
    profile = choose(name)
    if models or profile.is_real:
        _demand(profile)
    os.environ["DIFFSYNTH_MODEL_BASE_PATH"] = str(profile.models)
    os.environ["DIFFSYNTH_SKIP_DOWNLOAD"] = "true"  # exactly this word; anything else asks the hub
    if profile.gpu and profile.gpu.stack.startswith("ROCm"):
        os.environ.setdefault("MIOPEN_FIND_MODE", "2")  # no long kernel search at the first VAE call
    cpus.set_threads(cpus.choose_threads(gpu=profile.device == "cuda"))
    _current = profile
    tables.set_text_left()
    print(profile)
    if models and not profile.is_real:
        register_pocket()
    return profile


def current() -> Profile:
    """Return the profile in force."""
    if _current is None:
        raise RuntimeError("No profile is in force yet. Choose one first: workshop.profiles.use()")
    return _current


def choose(name: str = "auto") -> Profile:
    """Describe the profile that `use` would take, without setting or demanding anything."""
    name, asked = find_name(name)
    gpu, why_none = find_gpu()
    if name == "auto":
        name, asked = _automatic(gpu, why_none)
    if name == "mi300x":
        return Profile("mi300x", "cuda", "bfloat16", REAL_SIZE, real_models(), asked, gpu)
    # float32 on a GPU too: the model is small, and its pictures then equal the CPU's but for rounding.
    return Profile("pocket", "cuda" if gpu else "cpu", "float32", 128, POCKET, asked, gpu)


def find_name(name: str = "auto") -> tuple[str, str]:
    """Find which profile is asked for: by name, or by the variable WORKSHOP_PROFILE for "auto".

    returns: "auto", "mi300x" or "pocket", and who asked for it

    Raises ValueError, naming the variable if it is its fault, for another name.
    """
    words, asked = f"auto, {', '.join(NAMES)}", "it was asked for by name"
    set_to = os.environ.get("WORKSHOP_PROFILE")
    if name == "auto" and set_to:
        name, asked = set_to, "WORKSHOP_PROFILE names it"
        if name not in ("auto", *NAMES):
            raise ValueError(
                f"WORKSHOP_PROFILE is {name!r}, and there is no such profile. These are: {words}. Unset it: "
                "unset WORKSHOP_PROFILE"
            )
    if name not in ("auto", *NAMES):
        raise ValueError(f"There is no profile named {name!r}. These are: {words}.")
    return name, asked


def real_models() -> Path:
    """Return the folder of the real weights: WORKSHOP_MODELS, or models/ in the repository."""
    folder = read_folder("WORKSHOP_MODELS", REPO / "models")
    demand_folder(folder, remedy="Set WORKSHOP_MODELS to a folder, or unset it.")
    return folder


def find_gpu() -> tuple[Gpu | None, str]:
    """Find the first GPU that torch can use, or say why there is none; without a driver, torch stays out."""
    sign = next((path for path in GPU_SIGNS if Path(path).exists()), shutil.which("nvidia-smi"))
    if sign is None:
        return None, "no GPU was found"
    try:
        import torch

        if not torch.cuda.is_available():
            return None, f"{sign} is there, but torch {torch.__version__} cannot use the GPU"
        torch.ones(1, device="cuda").sum().item()  # a card too old for this build fails only when it computes
        card = torch.cuda.get_device_properties(0)
    except (ImportError, OSError, RuntimeError) as error:  # no torch, a library it lacks, a driver that fails
        return None, f"{sign} is there, but torch fails ({type(error).__name__}: {error})"
    stack = f"ROCm {torch.version.hip}" if torch.version.hip else f"CUDA {torch.version.cuda}"
    return Gpu(card.name, stack, card.total_memory), ""


def register_pocket() -> None:
    """Make the pocket model known to DiffSynth; imports torch and diffsynth, and prints so."""
    if "diffsynth" not in sys.modules:
        print(
            "Importing torch and DiffSynth: 5 seconds or more in a fresh kernel, a minute on a busy machine.",
            flush=True,
        )
    lean.import_diffsynth()
    from workshop.pocket.model import architecture

    architecture.register()


def find_missing(name: str, profile: Profile) -> list[catalogue.Problem]:
    """List what keeps a pipeline's files from being read under this profile."""
    parts = catalogue.pipeline_parts(name).values()
    return [problem for model, part in parts for problem in profile.find_problems(model, part)]


def _automatic(gpu: Gpu | None, why_none: str) -> tuple[str, str]:
    if gpu is None:
        return "pocket", why_none
    real = Profile("mi300x", "cuda", "bfloat16", REAL_SIZE, real_models(), "", gpu)
    absent = find_missing("Qwen-Image", real)
    if absent:
        return "pocket", f"{_short(gpu.name)} is here but the real weights are not ({_first(absent)})"
    need = catalogue.pipeline_bytes(["Qwen-Image"])
    if gpu.bytes < need:
        have = f"{_short(gpu.name)} has {gpu.bytes / GIB:.0f} GiB"
        return "pocket", f"{have}, less than the {need / GIB:.0f} GiB of one pipeline"
    return "mi300x", f"{_short(gpu.name)} ({gpu.bytes / GIB:.0f} GiB) and the real weights are here"


def _demand(profile: Profile) -> None:
    lacking = []
    if profile.is_real and profile.gpu is None:
        lacking.append(f"the GPU: {find_gpu()[1]}. Use the pocket profile on this machine")
    absent = find_missing("Qwen-Image", profile)
    if absent:
        lacking.append(f"the weights: {_first(absent)}. Get them: {profile.remedy('Qwen-Image')}")
    if lacking:
        raise RuntimeError(f"The {profile.name} profile is not ready. Missing is {'; and '.join(lacking)}.")


def _first(absent: list[catalogue.Problem]) -> str:
    more = f", and {len(absent) - 1} more" if len(absent) > 1 else ""
    return f"{absent[0]}{more}"


def _short(card: str) -> str:
    # "AMD Instinct MI300X VF" is a cloud guest's MI300X
    return card.removeprefix("AMD ").removeprefix("Instinct ").removeprefix("NVIDIA ").removesuffix(" VF")
