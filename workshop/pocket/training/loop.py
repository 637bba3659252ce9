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
    """One network in training. `steps`, `rate` and `batch` are those of the full run.

    ema: decay of the moving average of the weights, or 0 to keep none
    """

    name: str
    steps: int
    rate: float
    batch: int
    ema: float

    @property
    def network(self) -> torch.nn.Module:
        """What is trained."""
        ...

    def loss(self, step: int) -> torch.Tensor:
        """Return the loss of the batch that belongs to this step, () with gradient."""
        ...

    def report(self) -> str:
        """Return one line on how good the network is now, on held-out data."""
        ...


def learning_rate(stage: Stage, step: int, steps: int) -> float:
    """Return the rate of a step: a warm-up of 100 steps, then half a cosine down to a fiftieth of the peak.

    rate · min(1, (step + 1) / 100) · (0.02 + 0.98 · (1 + cos(π · step / steps)) / 2)
    """
    warm = min(1.0, (step + 1) / 100)
    return stage.rate * warm * (0.02 + 0.98 * (1 + math.cos(math.pi * min(1.0, step / steps))) / 2)


def rank_and_size() -> tuple[int, int]:
    """Return this process's rank and how many processes share every batch, as torchrun sets them."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def average_gradients(parameters: list[torch.nn.Parameter], *, stop: bool) -> bool:
    """Average gradients over all processes, in place; return whether any of them wants to stop now."""
    if rank_and_size()[1] == 1:
        return stop
    grads = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([*(g.flatten() for g in grads), torch.tensor([float(stop)])])
    dist.all_reduce(flat)
    for grad, part in zip(grads, flat[:-1].split([g.numel() for g in grads]), strict=True):
        grad.copy_(part.view_as(grad) / rank_and_size()[1])
    return bool(flat[-1] > 0)


def train(stage: Stage, folder: Path, *, steps: int, minutes: float, save_every: float = 180) -> None:
    """Run a stage until `steps` are done or `minutes` are over.

    save_every: seconds from one checkpoint to the next; the last step is saved, too

    The random state of a step depends on the step alone, so a resumed run sees the batches of an
    uninterrupted one.

    Raises FloatingPointError before a step whose loss or gradient is no number: weights stay as they were.
    """
    from tqdm.auto import tqdm

    rank, processes = rank_and_size()
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
            norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            demand_numbers(stage, step, loss=loss.item(), gradient=norm.item())
            optimizer.step()
            update_averages(stage, averages, step)
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


def demand_numbers(stage: Stage, step: int, **values: float) -> None:
    """Raise FloatingPointError, with stage, step and rate, if one of these values is no number."""
    for what, value in values.items():
        if not math.isfinite(value):
            raise FloatingPointError(
                f"In stage {stage.name} the {what} of step {step} is {value}, not a finite number. "
                "The step was not made, and the last checkpoint is as it was. "
                f"Call again with a --rate below {stage.rate:g}: the stage goes on from that checkpoint."
            )


def update_averages(stage: Stage, averages: dict[str, torch.Tensor], step: int) -> None:
    """Move the averages towards the weights, in place, with a shorter memory at the start.

    average ← d · average + (1 − d) · weight, d = min(ema, (step + 1) / (step + 10))
    """
    decay = min(stage.ema, (step + 1) / (step + 10))
    if averages:
        values = stage.network.state_dict()
        torch._foreach_lerp_(list(averages.values()), [values[key].detach() for key in averages], 1 - decay)
