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


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Write a file beside `path` that takes its place when all of it is on the disk.

    If anything fails, what was there before stays. Raises OSError if the disk does not take it.
    """
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-", suffix=PART)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # else a power cut could leave the new name on an empty file
        os.chmod(part, 0o644)  # mkstemp makes it the owner's alone
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
