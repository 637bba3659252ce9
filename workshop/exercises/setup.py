"""Notebook 01: sizes, units and a file that is cut short."""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from workshop import models
from workshop.exercises.verdict import Verdict, exercise, write_numbers
from workshop.units import GB, GIB


@exercise("fill the card")
def _fill_the_card(chosen: Sequence[str], card: int) -> Verdict:
    def fits(names: Sequence[str]) -> bool:
        return models.pipeline_bytes(names) <= card * GIB

    def describe(names: Sequence[str]) -> str:
        return (
            f"{len(names)} of {len(models.PIPELINES)} pipelines, {models.pipeline_bytes(names) / GIB:.1f} GiB"
        )

    most: list[str] = []
    for name in models.PIPELINES:
        most += [name] if fits([*most, name]) else []
    solved = fits(chosen) and len(set(chosen)) == len(most) == len(chosen)
    return Verdict(
        solved, describe(chosen), f"{describe(most)}, at most {card} GiB", "add a name from models.PIPELINES"
    )


@exercise("GB to GiB")
def _gb_to_gib(convert: Callable[[float], float]) -> Verdict:
    samples = (57.7, 192.0)
    expected = [size * GB / GIB for size in samples]
    yours = [convert(size) for size in samples]
    if None in yours:
        return Verdict(False, "None", write_numbers(expected, "GiB"), "return gigabytes * 10**9 / 2**30")
    solved = all(abs(a - b) < 0.01 for a, b in zip(yours, expected, strict=True))
    return Verdict(
        solved, write_numbers(yours, "GiB"), write_numbers(expected, "GiB"), "1 GiB is 2**30 bytes"
    )


@exercise("cut a file")
def _cut_a_file(path: Path) -> Verdict:
    expected = "a message that begins with: cut short"
    try:
        header = models.read_header(path)
    except ValueError as error:
        return Verdict(str(error).startswith("cut short"), str(error), expected, "leave out bytes at the end")
    return Verdict(False, f"a whole file with {len(header)} tensors", expected, "write fewer bytes back")


def write_sample() -> Path:
    """Write a safetensors file of two small tensors, 96 bytes, into a new folder for temporary files."""
    header, end = {}, 0
    for name, shape in {"to_q.weight": (4, 4), "to_q.bias": (8,)}.items():
        start, end = end, end + 4 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": (start, end)}
    text = json.dumps(header).encode()
    path = Path(tempfile.mkdtemp(prefix="workshop-")) / "sample.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))
    return path
