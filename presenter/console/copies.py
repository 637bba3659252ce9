"""Clean copies of the notebooks for the projector: no stored output gives away the answer to a bet.

Nor does the head promise the minutes that a student needs alone: the talk's come from the plan.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from presenter import journal
from workshop import files, glossary, notebooks

MINUTES = re.compile(r"^\*\*\d+ minutes · ", re.MULTILINE)  # of a head: "**90 minutes · for anyone who …**"


def write_copies(books: Sequence[Path], talk: Path) -> list[Path]:
    """Write the notebooks without their outputs into the talk's folder, and return the copies.

    A copy that is there stays as it is: a talk that goes on keeps what its cells have shown.

    Raises ValueError for a folder that cannot be written, and for a notebook that cannot be read.
    """
    into = talk / journal.COPIES
    journal.make_folder(talk)
    files.make_folder(into, remedy="Take another --talk.")
    copies = [into / path.name for path in books]
    missing = [(path, copy) for path, copy in zip(books, copies, strict=True) if not copy.exists()]
    for path, copy in missing:
        made = drop_minutes(clear_outputs(notebooks.load_raw(path)))
        with files.replacing(copy) as file:
            file.write((json.dumps(made, indent=1, ensure_ascii=False) + "\n").encode())
    if missing:  # the notebooks link to it
        page = glossary.write(glossary.find([notebooks.read(path) for path in copies]))
        with files.replacing(into / glossary.PAGE.name) as file:
            file.write(page.encode())
    return copies


def clear_outputs(book: dict[str, Any]) -> dict[str, Any]:
    """Return a notebook whose code cells have no outputs and no numbers, as if nobody had run them."""
    cells = [
        {**cell, "outputs": [], "execution_count": None} if cell["cell_type"] == "code" else cell
        for cell in book["cells"]
    ]
    return {**book, "cells": cells}


def drop_minutes(book: dict[str, Any]) -> dict[str, Any]:
    """Return a notebook whose head does not say how many minutes it takes.

    >>> drop_minutes({"cells": [{"source": ["# 02\\n", "**90 minutes · for all**"]}]})
    {'cells': [{'source': '# 02\\n**for all**'}]}
    """
    if not book["cells"]:
        return book
    head, *others = book["cells"]
    return {**book, "cells": [{**head, "source": MINUTES.sub("**", "".join(head["source"]))}, *others]}
