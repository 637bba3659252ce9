"""A container's quota counts, version 1 and 2; threads are half of the CPUs, and a set number is kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workshop import cpus, profiles


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n", encoding="utf-8")
    return root


def limited(root: Path, version: int, quota: str, period: str = "100000", group: str = "/") -> Path:
    """Write the files of a container with a quota, in µs of each period."""
    inside = group.strip("/")
    if version == 2:
        at = f"sys/fs/cgroup/{inside}".rstrip("/")
        return write(root, {"proc/self/cgroup": f"0::{group}", f"{at}/cpu.max": f"{quota} {period}"})
    at = f"sys/fs/cgroup/cpu,cpuacct/{inside}".rstrip("/")
    given = {f"{at}/cpu.cfs_quota_us": quota, f"{at}/cpu.cfs_period_us": period}
    return write(root, {"proc/self/cgroup": f"5:memory:/a\n4:cpu,cpuacct:{group}", **given})


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("quota", "count", "threads"),
    [
        ("100000", 1, 1),
        ("200000", 2, 1),
        ("150000", 1, 1),
        ("400000", 4, 2),
        ("20000", 1, 1),
        ("9999999", 8, 4),
    ],
)
def test_a_quota_counts(tmp_path: Path, version: int, quota: str, count: int, threads: int) -> None:
    root = limited(tmp_path, version, quota)
    assert cpus.count(root) == count
    assert cpus.choose_threads(gpu=False, root=root) == threads
    assert cpus.choose_threads(gpu=True, root=root) == count


@pytest.mark.parametrize(("version", "none"), [(1, "-1"), (2, "max"), (1, "?"), (2, "")])
def test_without_a_quota_the_affinity_counts(tmp_path: Path, version: int, none: str) -> None:
    assert cpus.count(limited(tmp_path, version, none)) == 8


@pytest.mark.parametrize("version", [1, 2])
def test_the_quota_of_a_group_above_counts(tmp_path: Path, version: int) -> None:
    limited(tmp_path, version, "max", group="/pod/container")
    above = {2: {"sys/fs/cgroup/pod/cpu.max": "200000 100000"}}
    at = "sys/fs/cgroup/cpu,cpuacct/pod/cpu.cfs_"
    above[1] = {f"{at}quota_us": "200000", f"{at}period_us": "100000"}
    assert cpus.count(write(tmp_path, above[version])) == 2


def test_a_machine_without_control_groups_has_its_affinity(tmp_path: Path, monkeypatch) -> None:
    assert cpus.count(tmp_path) == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert cpus.count(tmp_path) == 1


def test_a_number_that_is_set_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    cpus.set_threads(2)
    assert os.environ["OMP_NUM_THREADS"] == "7"


PROGRAM = """
import os, sys
if {first}:
    import torch
from workshop import profiles
profiles.use("pocket", models=False)
import torch
print(torch.get_num_threads(), os.environ["OMP_WAIT_POLICY"], os.environ["KMP_BLOCKTIME"])
"""


@pytest.mark.parametrize("first", [False, True], ids=["before torch", "after torch"])
def test_the_profile_sets_the_threads_of_a_fresh_kernel(repo: Path, first: bool) -> None:
    asked = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "KMP_"))}
    program = [sys.executable, "-c", PROGRAM.format(first=first)]
    done = subprocess.run(program, env=asked, cwd=repo, capture_output=True, text=True, check=True)
    cores = subprocess.run(
        [sys.executable, "-c", "from workshop import cpus; print(cpus.choose_threads(gpu=False))"],
        cwd=repo, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1].split() == [cores.stdout.strip(), "PASSIVE", "0"]


def test_the_profile_chooses_by_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[bool] = []
    monkeypatch.setattr(cpus, "choose_threads", lambda *, gpu: chosen.append(gpu) or 3)
    monkeypatch.setattr(cpus, "set_threads", lambda threads: chosen.append(threads))
    monkeypatch.setattr(profiles, "find_gpu", lambda: (None, "no GPU was found"))
    profiles.use("pocket", models=False)
    assert chosen == [False, 3]
