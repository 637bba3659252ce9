"""Notebooks side by side: how many at once, who waits for whom, and one process for each.

A notebook waits for those whose pictures it opens: `gallery.save(…, "name")` and `gallery.load("name")`.
So, side by side as in a row, 06 puts together the people of the very run that it belongs to.
"""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

from workshop import cpus, memory, notebooks
from workshop.units import GIB

Result = TypeVar("Result")

BYTES_EACH = 2 * GIB
"""What a notebook on the pocket model holds at most; 1.3 GiB were measured, for 07."""

SAVED = re.compile(r"gallery\.save\(\s*[^,]+,\s*\"([^\"]+)\"")
LOADED = re.compile(r"gallery\.load\(\s*\"([^\"]+)\"")


def choose(count: int, *, gpu: bool) -> int:
    """Choose how many of `count` notebooks run at once: as CPUs and free memory allow; on a GPU one.

    A small model gains nothing from a second thread, and a second notebook beside it is free.
    """
    if gpu:
        return 1
    free = memory.available()[1]
    rooms = count if free is None else free // BYTES_EACH
    return max(1, min(count, cpus.count(), rooms))


def find_needs(paths: Sequence[Path]) -> dict[Path, set[Path]]:
    """Find for each notebook the others among these whose saved pictures it opens."""
    sources = {path: "\n".join(cell.source for cell in notebooks.read(path).code) for path in paths}
    saved = {name: path for path in paths for name in SAVED.findall(sources[path])}
    needs = {path: {saved[name] for name in LOADED.findall(sources[path]) if name in saved} for path in paths}
    return {path: needed - {path} for path, needed in needs.items()}


def run_side_by_side(
    paths: Sequence[Path], execute: Callable[[Path], Result], *, jobs: int
) -> Iterator[tuple[Path, Result]]:
    """Run each notebook in a process of its own, `jobs` at once; yield each with its result when it is done.

    execute: runs one and returns what is kept of it, whatever went wrong; it must be picklable

    A notebook that failed counts as done: those that wait for it run, and say themselves what they miss.

    Raises RuntimeError if notebooks wait for each other in a circle.
    """
    needs, waiting = find_needs(paths), list(paths)
    done: set[Path] = set()
    spawn = multiprocessing.get_context("spawn")  # a fork would carry this process's threads over
    with ProcessPoolExecutor(max_workers=jobs, mp_context=spawn, max_tasks_per_child=1) as pool:
        running: dict[Future[Result], Path] = {}
        while waiting or running:
            ready = [path for path in waiting if needs[path] <= done][: jobs - len(running)]
            for path in ready:
                waiting.remove(path)
                running[pool.submit(execute, path)] = path
            if not running:
                stuck = ", ".join(path.name for path in waiting)
                raise RuntimeError(
                    f"These notebooks wait for each other's pictures: {stuck}. Run them by name."
                )
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                path = running.pop(future)
                done.add(path)
                yield path, future.result()
