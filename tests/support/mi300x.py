"""An MI300X with everything on its disk, and what its preflight finds wrong."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from tests.support.fake_weights import fill, small_catalogue
from workshop import files, preflight, profiles
from workshop.preflight import Check
from workshop.profiles import Gpu, Profile
from workshop.training import dataset

MI300X = Gpu("AMD Instinct MI300X", "ROCm 6.4", 192 * 2**30)
Usage = namedtuple("Usage", "total used free")


def set_up_mi300x(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Profile:
    """Pretend an MI300X with room on the disk and stand-ins for all weights; every notebook is there."""
    small_catalogue(monkeypatch)
    monkeypatch.setattr(profiles, "find_gpu", lambda: (MI300X, ""))
    monkeypatch.setattr(preflight, "needed", lambda model: True)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 500 * 10**9))
    monkeypatch.setenv("WORKSHOP_MODELS", str(folder))
    monkeypatch.delenv("WORKSHOP_PROFILE", raising=False)
    fill(folder)
    shutil.copytree(files.REPO / "data" / "dog", folder / dataset.DOG_REPO)
    return profiles.choose("mi300x")


def failing(profile: Profile) -> dict[str, Check]:
    """Return the checks of the preflight that failed, by name."""
    return {one.name: one for one in preflight.check(profile) if not one.ok}
