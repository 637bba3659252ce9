"""Small trainings of a LoRA, and data sets for them."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from workshop.training import checkpoint, loop, losses
from workshop.training.dataset import DataSet

SMALL = ("--profile", "pocket", "--lora_rank", "4", "--sample_steps", "0")
STEPS = 5  # of the data set repeated once


def write_data(folder: Path, *lines: str, header: str = "image,prompt") -> DataSet:
    """Write a table, and one good picture good.png beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 64), "red").save(folder / "good.png")
    (folder / "metadata.csv").write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    return DataSet(folder, folder / "metadata.csv")


def run(folder: Path, *more: str) -> int:
    """Train in this process, each picture once an epoch; returns the exit code."""
    return loop.main([*SMALL, "--output_path", str(folder), "--dataset_repeat", "1", *more])


def demand_equal(one: Path, other: Path, *, steps: int = STEPS) -> None:
    """Demand the same LoRA, optimiser state and losses, to the last bit."""
    import torch
    from safetensors.torch import load_file

    for name in (f"step-{steps}.safetensors", checkpoint.FILE):
        ours, theirs = load_file(one / name), load_file(other / name)
        assert ours.keys() == theirs.keys() and len(ours) > 100
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), name
    assert losses.read(one / "loss.csv") == losses.read(other / "loss.csv")
    assert len(losses.read(one / "loss.csv")) == steps
    ours, theirs = (checkpoint.read_facts(path / checkpoint.FILE) for path in (one, other))
    assert ours == theirs
