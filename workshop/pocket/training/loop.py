"""Train the pocket Qwen-Image from the renderer alone, stage by stage.

    python -m workshop.pocket.training vae --minutes 40
    python -m workshop.pocket.training text
    python -m workshop.pocket.training vision
    python -m workshop.pocket.training reader
    python -m workshop.pocket.training base --minutes 90
    python -m workshop.pocket.training export

Every stage saves checkpoints in `--folder` (outside git), resumes from the newest when called again, and is
seeded. `export` writes what is trained to data/pocket, in the layout of the real repositories.

A stage builds on the checkpoints of earlier ones in `--folder`, or where there are none on what data/pocket
ships. So the shipped DiT can be trained further on its own: `python -m workshop.pocket.training base --warm`.

Two CPU cores do more as two processes of one thread each, which share every batch:

    OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 -m workshop.pocket.training base
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Protocol

import torch
import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from workshop.files import POCKET

SHIPPED = POCKET / "Qwen" / "Qwen-Image"
SHIPPED_DIT = {
    "base": "Qwen-Image/transformer/diffusion_pytorch_model.safetensors",
    "multi": "Qwen-Image-Edit-2509/transformer/diffusion_pytorch_model.safetensors",
    "edit": "Qwen-Image-Edit/transformer/diffusion_pytorch_model.safetensors",
}
"""The DiT that each stage ships, in data/pocket/Qwen."""

STAGES = {
    "vae": "vae",
    "text": "text",
    "vision": "vision",
    "reader": "reader",
    "feature": "feature",
    "base": "base",
    "artaug": "base",
    "multi": "edit",
    "edit": "edit",
    "f2p": "edit",
}
"""Which module makes each stage."""


class Stage(Protocol):
    """One network in training. `steps`, `rate` and `batch` are those of the full run; `ema` 0 keeps no
    average."""

    name: str
    steps: int
    rate: float
    batch: int
    network: torch.nn.Module
    ema: float

    def loss(self, step: int) -> torch.Tensor:
        """The loss of the batch that belongs to this step, a scalar with gradient."""

    def report(self) -> str:
        """One line on how good the network is now, on held-out data."""


def compiled(function: Callable) -> Callable:
    """torch.compile where a C++ compiler is there: fused element-wise work trains many times faster."""
    return torch.compile(function) if shutil.which("g++") or torch.cuda.is_available() else function


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Attention written out, (B, heads, S, D): on a CPU the backward pass of the fused kernel takes ten
    times as long."""
    weights = torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + bias, dim=-1)
    return weights.to(v.dtype) @ v


def learning_rate(stage: Stage, step: int, steps: int) -> float:
    """A short warm-up, then half a cosine down to a fiftieth of the peak."""
    warm = min(1.0, (step + 1) / 100)
    return stage.rate * warm * (0.02 + 0.98 * (1 + math.cos(math.pi * min(1.0, step / steps))) / 2)


class Checkpoint:
    """Network, EMA and AdamW state as one safetensors file, written whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(
        self, step: int, stage: Stage, averages: dict[str, torch.Tensor], optimizer: torch.optim.AdamW
    ) -> None:
        tensors = {f"net.{k}": v for k, v in stage.network.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in averages.items()}
        for i, state in optimizer.state_dict()["state"].items():
            tensors |= {f"opt.{i}.{k}": torch.as_tensor(v) for k, v in state.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        save_file(
            {k: v.detach().contiguous().clone() for k, v in tensors.items()}, partial, {"step": str(step)}
        )
        os.replace(partial, self.path)

    def load(self, stage: Stage, averages: dict[str, torch.Tensor], optimizer: torch.optim.AdamW) -> int:
        """Restore everything and return the next step; 0 if there is no checkpoint."""
        if not self.path.exists():
            return 0
        with safe_open(self.path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
            step = int(file.metadata()["step"])
        stage.network.load_state_dict({k[4:]: v for k, v in tensors.items() if k.startswith("net.")})
        for key, average in averages.items():
            average.copy_(tensors[f"ema.{key}"])
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("opt."):
                _, i, name = key.split(".", 2)
                state.setdefault(int(i), {})[name] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        return step


def world() -> tuple[int, int]:
    """This process's rank and how many processes share every batch, as torchrun sets them."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def average_gradients(parameters: list[torch.nn.Parameter], *, stop: bool) -> bool:
    """Average gradients over all processes. returns: whether any process wants to stop after this step"""
    if world()[1] == 1:
        return stop
    grads = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([*(g.flatten() for g in grads), torch.tensor([float(stop)])])
    dist.all_reduce(flat)
    for grad, part in zip(grads, flat[:-1].split([g.numel() for g in grads]), strict=True):
        grad.copy_(part.view_as(grad) / world()[1])
    return bool(flat[-1] > 0)


def train(stage: Stage, folder: Path, *, steps: int, minutes: float, save_every: float = 180) -> None:
    """Run a stage until `steps` are done or `minutes` are over; save every `save_every` seconds and at the
    end.

    The random state of a step depends on the step alone, so a resumed run sees the batches of an
    uninterrupted one.
    """
    from tqdm.auto import tqdm

    rank, processes = world()
    parameters = [p for p in stage.network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=stage.rate, weight_decay=0.01, betas=(0.9, 0.99), fused=True)
    averages = {k: v.detach().clone() for k, v in stage.network.state_dict().items()} if stage.ema else {}
    checkpoint = Checkpoint(folder / f"{stage.name}.safetensors")
    first = checkpoint.load(stage, averages, optimizer)
    started = saved = time.monotonic()
    smooth = None
    with tqdm(
        total=steps, initial=first, desc=stage.name, unit="step", mininterval=5, disable=rank > 0
    ) as bar:
        for step in range(first, steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(stage, step, steps)
            torch.manual_seed(step * processes + rank)
            loss = stage.loss(step)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            over = average_gradients(parameters, stop=rank == 0 and time.monotonic() - started > minutes * 60)
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            keep_average(stage, averages, step)
            smooth = loss.item() if smooth is None else 0.98 * smooth + 0.02 * loss.item()
            pace = (step + 1 - first) * stage.batch / (time.monotonic() - started)
            bar.set_postfix_str(f"loss {smooth:.4f}, {pace:.0f} pictures/s", refresh=False)
            bar.update()
            if rank == 0 and (over or step == steps - 1 or time.monotonic() - saved > save_every):
                checkpoint.save(step + 1, stage, averages, optimizer)
                bar.write(f"step {step + 1}: loss {smooth:.4f}; {stage.report()}")
                saved = time.monotonic()
            if over:
                break


def keep_average(stage: Stage, averages: dict[str, torch.Tensor], step: int) -> None:
    """Exponential moving average of the weights, with a shorter memory at the start."""
    decay = min(stage.ema, (step + 1) / (step + 10))
    if averages:
        values = stage.network.state_dict()
        torch._foreach_lerp_(list(averages.values()), [values[key].detach() for key in averages], 1 - decay)


def trained(folder: Path, name: str) -> dict[str, torch.Tensor]:
    """The weights of a trained stage: the averaged ones where there are, else the last."""
    path = Path(folder) / f"{name}.safetensors"
    if not path.exists():
        raise FileNotFoundError(
            f"no checkpoint {path}. Run `python -m workshop.pocket.training {name}` first."
        )
    with safe_open(path, "pt") as file:
        keys = list(file.keys())
        prefix = "ema." if any(key.startswith("ema.") for key in keys) else "net."
        return {key[4:]: file.get_tensor(key) for key in keys if key.startswith(prefix)}


def shipped(name: str) -> dict[str, torch.Tensor]:
    """The weights in data/pocket/Qwen under this name, in float32."""
    weights = load_file(SHIPPED.parent / name)
    return {key: value.float() for key, value in weights.items()}


def has_checkpoint(folder: Path, name: str) -> bool:
    """Whether a stage was trained in this folder; if not, later stages build on what the repository ships."""
    return (Path(folder) / f"{name}.safetensors").exists()


def build(name: str, folder: Path, device: str) -> Stage:
    """The stage of that name, ready to train."""
    return import_module(f"workshop.pocket.training.stages.{STAGES[name]}").make(name, folder, device)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m workshop.pocket.training", description=__doc__.splitlines()[0]
    )
    parser.add_argument("stage", choices=(*STAGES, "export"))
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/pocket"), help="checkpoints and renders (outside git)"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="stop and save after this many minutes"
    )
    parser.add_argument("--steps", type=int, help="length of the full run; the learning rate decays over it")
    parser.add_argument("--rate", type=float, help="peak of the learning rate, in place of the stage's own")
    parser.add_argument("--warm", action="store_true", help="begin with the shipped weights (stage base)")
    parser.add_argument("--output", type=Path, help="where export writes; default data/pocket")
    options = parser.parse_args(argv)
    if options.warm and options.stage != "base":
        parser.error(
            f"--warm is for the stage base, got {options.stage}: nothing else ships in a form to go on from"
        )
    torch.manual_seed(0)
    if options.stage == "export":
        from workshop.pocket.training.export import export

        export(options.folder, options.output)
        return 0
    if world()[1] > 1:
        dist.init_process_group("gloo")
    stage = build(options.stage, options.folder, options.device)
    if options.warm:
        stage.network.load_state_dict(shipped(SHIPPED_DIT["base"]), strict=False)
    stage.rate = options.rate or stage.rate
    train(stage, options.folder, steps=options.steps or stage.steps, minutes=options.minutes)
    return 0
