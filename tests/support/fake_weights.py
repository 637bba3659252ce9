"""Tiny stand-ins for the catalogue's files: good safetensors of a few bytes, under the real names."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from workshop import models


def safetensors(path: Path, shapes: dict[str, list[int]]) -> Path:
    """Write a good bf16 file of zeros."""
    header, end = {}, 0
    for key, shape in shapes.items():
        start, end = end, end + 2 * math.prod(shape)
        header[key] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))
    return path


def fill(folder: Path, *names: str) -> Path:
    """Write every file of these models, or of all, below the folder."""
    for name in names or models.MODELS:
        model = models.MODELS[name]
        for part in model.files:
            for path in models.name_files(part):
                target = folder / model.repo / path
                if target.suffix == ".json":
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_text("{}", encoding="utf-8")
                else:
                    safetensors(target, {target.stem: [4]})
    return folder


def small_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the stand-ins pass for the published files: the catalogue forgets its hashes and sizes."""
    small = {
        name: replace(model, files=tuple(replace(part, key_hash="", bytes=1000) for part in model.files))
        for name, model in models.MODELS.items()
    }
    monkeypatch.setattr(models, "MODELS", small)
