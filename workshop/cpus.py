"""How many CPUs this process may use, and how many threads are worth having.

A container's quota is time, not cores: torch sees every core of the host, starts a thread for each, and all
of them share the time of one or two. Two threads that wait for each other by spinning also suffer out of
proportion from a busy neighbour: each turn lasts as long as the slower of them.

Source: Linux, Documentation/admin-guide/cgroup-v2.rst (cpu.max) and scheduler/sched-bwc.rst
(cpu.cfs_quota_us); GNU libgomp, OMP_WAIT_POLICY; LLVM and Intel OpenMP, KMP_BLOCKTIME.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

MOST_THREADS = 4
"""For the pocket model. Its matrices are small: one thread and two took 3.5 and 3.6 s a picture."""


def count(root: Path = Path("/")) -> int:
    """Count the CPUs this process may use: its affinity, and no more than the container's quota; at least 1.

    root: where /proc and /sys are
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *(int(quota) for quota in find_quotas(root))]))


def find_quotas(root: Path = Path("/")) -> list[float]:
    """Find the quotas that bind this process, in CPUs: of its control group and of every group above it."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux, or not for us to read
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)  # as 0::/user.slice, or 4:cpu,cpuacct:/docker/1f
        if controllers == "":
            found += [_read_v2(folder) for folder in _list_up(root / "sys/fs/cgroup", path)]
        elif "cpu" in controllers.split(","):
            for name in (controllers, "cpu"):
                found += [_read_v1(folder) for folder in _list_up(root / "sys/fs/cgroup" / name, path)]
    return [quota for quota in found if quota is not None]


def choose_threads(*, gpu: bool, root: Path = Path("/")) -> int:
    """Choose how many threads torch gets: half of the CPUs for the pocket model, all of them beside a GPU.

    The other half is for the browser, the Jupyter server and the neighbour.
    """
    return count(root) if gpu else max(1, min(count(root) // 2, MOST_THREADS))


def set_threads(threads: int) -> None:
    """Make torch use so many threads, waiting passively, and so the processes that this one starts.

    Who has set OMP_NUM_THREADS keeps it. How threads wait is decided when torch is imported: after that only
    their number changes.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("KMP_BLOCKTIME", "0")  # ms; the same for builds with Intel's OpenMP
    if "OMP_NUM_THREADS" in os.environ:
        return
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(threads)


def _list_up(mount: Path, path: str) -> Iterator[Path]:
    """List a group's folder and those above it; inside a container only the mount itself may be there."""
    folder = mount / path.lstrip("/")
    yield folder
    while folder != mount and mount in folder.parents:
        folder = folder.parent
        yield folder


def _read_v2(folder: Path) -> float | None:
    """Read cpu.max: µs of CPU time in each period of so many µs, or the word max."""
    try:
        quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _read_v1(folder: Path) -> float | None:
    """Read cpu.cfs_quota_us, -1 for none, and its period."""
    try:
        quota, period = (
            int((folder / f"cpu.cfs_{name}_us").read_text(encoding="utf-8")) for name in ("quota", "period")
        )
        return quota / period if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
