"""Notebook 01: sizes, units, a file that is counted, and one that is spoiled."""

from __future__ import annotations

import json
import math
import random
import struct
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from workshop import models
from workshop.exercises.verdict import Verdict, Waiting, Wrong, compare, describe, exercise
from workshop.units import GB, GIB

SAMPLE = {"to_q.weight": (4, 4), "to_q.bias": (8,)}


@exercise(
    "fill the card", hint="the second pipeline brings only its own DiT: add a name from models.PIPELINES"
)
def _fill_the_card(chosen: object, card: int) -> Verdict:
    def fits(names: Sequence[str]) -> bool:
        return models.pipeline_bytes(names) <= card * GIB

    most: list[str] = []
    for name in models.PIPELINES:
        most += [name] if fits([*most, name]) else []
    if chosen == ["Qwen-Image"]:
        raise Waiting
    names = _demand_pipelines(chosen)
    solved = fits(names) and len(set(names)) == len(most) == len(names)
    size = f"{models.pipeline_bytes(names) / GIB:.1f} GiB"
    return Verdict(solved, f"{len(names)} pipelines, {size}", f"as many as fit into {card} GiB, each once")


def _demand_pipelines(chosen: object) -> list[str]:
    if isinstance(chosen, str | Mapping) or not isinstance(chosen, Iterable):
        raise Wrong(f"a list of names is wanted, got {describe(chosen)}")
    names = list(chosen)
    unknown = [name for name in names if name not in models.PIPELINES]
    if unknown:
        raise Wrong(f"{describe(unknown[0])} is no pipeline; these are: {', '.join(models.PIPELINES)}")
    return names


@exercise("GB to GiB", hint="first to bytes, then to GiB: 1 GB is 10**9 bytes, 1 GiB is 2**30")
def _gb_to_gib(convert: object) -> Verdict:
    sizes = [57.7, 1000.0, *(round(random.uniform(50, 5000), 1) for _ in range(3))]
    cases = [(size,) for size in sizes]
    return compare(convert, lambda size: size * GB / GIB, cases, within=1e-3, shown=2, unit="GiB")


@exercise(
    "count a file", hint="the name __metadata__ is no tensor, and a shape without numbers, [], is one value"
)
def _count_a_file(count: object) -> Verdict:
    with tempfile.TemporaryDirectory(prefix="workshop-") as folder:
        held = dict(_write_random(Path(folder) / f"{number}.safetensors") for number in range(4))
        return compare(count, held.__getitem__, [(path,) for path in held], within=0)


def _write_random(path: Path) -> tuple[Path, int]:
    """Write a file of random tensors, one of them a single value, and a note; returns path and parameters."""
    shapes = {
        f"layer.{number}": tuple(random.randint(1, 9) for _ in range(random.randint(1, 3)))
        for number in range(5)
    }
    shapes |= {"scale": ()}
    path.write_bytes(_write(shapes, note={"made by": "an exercise"}))
    return path, sum(math.prod(shape) for shape in shapes.values())


@exercise(
    "spoil a file", hint="the numbers are the last bytes of the file: change one of them, for example to 1"
)
def _spoil_a_file(path: object) -> Verdict:
    if not isinstance(path, Path):
        raise Wrong(f"the path of the sample is wanted, got {describe(path)}")
    data, original = path.read_bytes(), _write(SAMPLE)
    expected = "a file that is found whole, with other numbers in it"
    if data == original:
        raise Waiting
    try:
        header = models.read_header(path)
    except ValueError as error:
        return Verdict(False, f"found out: {error}", expected)
    same = (
        len(data) == len(original)
        and {name: tuple(entry["shape"]) for name, entry in header.items()} == SAMPLE
    )
    if not same:
        return Verdict(False, f"found out: {len(data)} bytes, tensors {', '.join(header)}", expected)
    changed = sum(a != b for a, b in zip(data, original, strict=True))
    return Verdict(True, f"found whole, although {changed} of its bytes changed", expected)


def write_sample() -> Path:
    """Write a safetensors file of two small tensors, 96 bytes, into a new folder for temporary files."""
    path = Path(tempfile.mkdtemp(prefix="workshop-")) / "sample.safetensors"
    path.write_bytes(_write(SAMPLE))
    return path


def _write(shapes: Mapping[str, tuple[int, ...]], *, note: Mapping[str, str] | None = None) -> bytes:
    """Return a safetensors file of zeros: length of the table, the table, the numbers."""
    header: dict[str, object] = {"__metadata__": dict(note)} if note else {}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": (start, end)}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)
