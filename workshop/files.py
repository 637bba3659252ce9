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


def explain_unreadable(path: Path, error: OSError | UnicodeError) -> str:
    """Write which file could not be read, why, and what to do."""
    return "{} cannot be read ({}). {}".format(shorten(path), *find_remedy(error))


def find_remedy(error: OSError | UnicodeError) -> tuple[str, str]:
    """Return why a file could not be read, and what to do about it."""
    why = getattr(error, "strerror", None) or str(error)
    if isinstance(error, UnicodeError):
        why, remedy = "it is not UTF-8", "Open it in an editor and save it as UTF-8"
    elif isinstance(error, FileNotFoundError):
        remedy = "Name one that is there"
    elif isinstance(error, IsADirectoryError):
        remedy = "Move the folder away, or name a file"
    elif isinstance(error, PermissionError):
        remedy = "Make it readable: chmod u+r, or ask its owner"
    else:
        remedy = "Look whether its disk is still there, or take a copy"
    return why, f"{remedy}."


def read_folder(variable: str, default: Path) -> Path:
    """Return the folder that an environment variable names, or the default.

    Raises ValueError, with the variable and what to do, for the home of somebody who is not known here.
    """
    named = os.environ.get(variable)
    try:
        folder = Path(named or default).expanduser().absolute()
    except RuntimeError as error:  # ~somebody whom this machine does not know
        raise ValueError(
            f"{variable} is {named!r}: {error} Set {variable} to a folder, or unset it."
        ) from error
    return folder


def demand_folder(path: Path, *, remedy: str) -> None:
    """Raise ValueError, with the remedy, if a file stands where a folder shall be; nothing is made.

    remedy: what to do then, as "Take another --output."
    """
    above = next((one for one in (path.absolute(), *path.absolute().parents) if one.exists()), path)
    if above.exists() and not above.is_dir():
        raise ValueError(f"{path} cannot be used as a folder: {above} is a file. {remedy}")


def make_folder(path: Path, *, remedy: str) -> Path:
    """Make a folder that a user named, with those above it, and try whether it can be written in.

    remedy: what to do otherwise, as "Take another --output."
    returns: the folder

    Raises ValueError with the folder, why it cannot be had, and the remedy.
    """
    demand_folder(path, remedy=remedy)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"{path} cannot be used as a folder: {why}. {remedy}") from error
    return path


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
