"""The training loop: seeded, resumable, in one process or in several that share every batch."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Protocol

import torch
import torch.distributed as dist

from workshop.pocket.training import checkpoint


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


def learning_rate(stage: Stage, step: int, steps: int) -> float:
    """A short warm-up, then half a cosine down to a fiftieth of the peak."""
    warm = min(1.0, (step + 1) / 100)
    return stage.rate * warm * (0.02 + 0.98 * (1 + math.cos(math.pi * min(1.0, step / steps))) / 2)


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
    path = Path(folder) / f"{stage.name}.safetensors"
    first = checkpoint.restore(path, stage.network, averages, optimizer)
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
                checkpoint.save(path, step + 1, stage.network, averages, optimizer)
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
