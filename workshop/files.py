"""Where the repository is, and files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

REPO = Path(__file__).resolve().parents[1]
POCKET = REPO / "data" / "pocket"  # the weights that the repository ships
PART = ".part"  # the end of a file's name while it is being written


def shorten(path: Path) -> str:
    """Write a path for reading: from the repository if it is inside, the same on every machine."""
    return path.relative_to(REPO).as_posix() if path.is_relative_to(REPO) else str(path)


def from_here(path: Path) -> str:
    """Write a path as short as it stays true from the current folder."""
    path = path.absolute()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Write a file beside `path` that takes its place when all of it is on the disk.

    If anything fails, what was there before stays. Raises OSError if the disk does not take it.
    """
    with _part_of(path) as (handle, _), os.fdopen(handle, "wb", closefd=False) as file:
        yield file


@contextlib.contextmanager
def replacing_path(path: Path) -> Iterator[Path]:
    """Do as `replacing` for what writes by name, such as a memory map: give the path of an empty file."""
    with _part_of(path) as (_, part):
        yield part


@contextlib.contextmanager
def _part_of(path: Path) -> Iterator[tuple[int, Path]]:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-", suffix=PART)
    part = Path(name)
    try:
        yield handle, part
        os.fsync(handle)  # else a power cut could leave the new name on an empty file
        part.chmod(0o644)  # mkstemp makes it the owner's alone
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)
