"""Make the labs' checkpoints anew.

    .venv/bin/python -m workshop.labs.make L01                a U-Net and a reader of digits, into data/labs
    .venv/bin/python -m workshop.labs.make L01 --output ...   into another folder

What is in data/labs was made by this file. It prints what the card there says of the files: their hashes, and
how well they draw and read.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import sys
import time
from pathlib import Path

import torch
from torch.nn import functional as F

from workshop import shares, verbs
from workshop.labs import FOLDER, digits, judge
from workshop.labs.diffusion import add_noise, make_cosine, sample
from workshop.labs.unet import UNet

TIMESTEPS = 200  # cosine; an ancestral sampler calls the network once for each
STEPS, BATCH, RATE = 1200, 64, 2e-3
AVERAGE = 0.995  # of the weights, a step: about the last 200 steps count
SEEDS = (0, 10, 20, 30, 40)  # of a hundred drawn digits each; lab L01 draws the first hundred


def train_unet(pictures: torch.Tensor, labels: torch.Tensor, *, steps: int = STEPS) -> UNet:
    """Train the U-Net on ε and return the running average of its weights.

    pictures: (N, 1, 16, 16) in [-1, 1]; labels: (N,)
    """
    torch.manual_seed(0)
    unet, alpha_bar = UNet(), torch.cumprod(1 - make_cosine(TIMESTEPS), dim=0)
    averaged = copy.deepcopy(unet).requires_grad_(False)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=RATE, weight_decay=1e-4)
    for step in range(1, steps + 1):
        chosen = torch.randint(len(pictures), (BATCH,))
        t, noise = torch.randint(TIMESTEPS, (BATCH,)), torch.randn(BATCH, *pictures.shape[1:])
        noisy = add_noise(pictures[chosen], noise, t, alpha_bar)
        loss = F.mse_loss(unet(noisy, t, labels[chosen]), noise)  # L_simple: E ‖ε - ε_θ(x_t, t)‖²
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        for mean, now in zip(averaged.parameters(), unet.parameters(), strict=True):
            mean.lerp_(now, 1 - min(AVERAGE, step / (step + 10)))
        if step % 100 == 0:
            print(f"step {step:5} of {steps}: loss {loss.item():.4f}", flush=True)
    return averaged.eval()


def train_reader(pictures: torch.Tensor, labels: torch.Tensor, *, epochs: int = 15) -> torch.nn.Sequential:
    """Train the reader on real digits, each moved by up to a pixel."""
    torch.manual_seed(1)
    reader = judge.make_reader()
    optimizer = torch.optim.AdamW(reader.parameters(), lr=2e-3)
    rounds = epochs * (len(pictures) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, rounds)
    for _ in range(rounds):
        chosen = torch.randint(len(pictures), (BATCH,))
        moved = torch.roll(pictures[chosen], tuple(torch.randint(-1, 2, (2,)).tolist()), dims=(2, 3))
        loss = F.cross_entropy(reader(moved), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return reader.eval()


def count_drawn(unet: torch.nn.Module, reader: torch.nn.Module, *, seed: int) -> int:
    """Draw ten of each digit, and count those of the 100 that are read as the digit that was asked for."""
    asked = torch.arange(10).repeat_interleave(10)
    start = torch.randn(100, 1, digits.SIDE, digits.SIDE, generator=torch.Generator().manual_seed(seed))
    walk = sample(lambda x, t: unet(x, t, asked), start, make_cosine(TIMESTEPS), seed=seed + 1, clip=True)
    *_, drawn = walk
    return int((judge.read(reader, drawn) == asked).sum())


def count_real(reader: torch.nn.Module) -> int:
    """Count those of the 1,000 held-out real digits that are read rightly."""
    pictures, labels = (one[digits.TRAINED :] for one in digits.load())
    return int((judge.read(reader, pictures) == labels).sum())


def load_l01(folder: Path = FOLDER) -> tuple[UNet, torch.nn.Sequential]:
    """Return L01's U-Net and reader from a folder, in single precision, ready to use."""
    from safetensors.torch import load_file

    unet, reader = UNet(), judge.make_reader()
    for name, network in (("l01_unet", unet), ("l01_reader", reader)):
        weights = load_file(folder / f"{name}.safetensors")
        network.load_state_dict({key: value.float() for key, value in weights.items()})
    return unet.eval(), reader.eval()


def make_l01(output: Path) -> None:
    """Train both networks of L01, write them in half precision into a folder, and measure them as written."""
    from safetensors.torch import save_file

    output.mkdir(parents=True, exist_ok=True)
    pictures, labels = (one[: digits.TRAINED] for one in digits.load())
    for name, train in (("l01_reader", train_reader), ("l01_unet", train_unet)):
        began = time.process_time()
        weights = {
            key: value.half().contiguous() for key, value in train(pictures, labels).state_dict().items()
        }
        file = output / f"{name}.safetensors"
        save_file(weights, file)
        print(f"{file.name}: {time.process_time() - began:.0f} s of computing, sha256 {hash_file(file)}")
    unet, reader = load_l01(output)
    drawn = [count_drawn(unet, reader, seed=seed) for seed in SEEDS]
    print(
        f"drawn digits read as asked: {shares.write(sum(drawn), 100 * len(drawn))}; of each hundred: {drawn}"
    )
    print(f"real digits read rightly:   {shares.write(count_real(reader), 1000)}")


def hash_file(file: Path) -> str:
    """Return the first 12 digits of a file's sha256, as the card gives them."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


MAKERS = {"L01": make_l01}


def main(argv: list[str]) -> int:
    """Make what is asked for; returns 0."""
    parser = argparse.ArgumentParser(
        prog=".venv/bin/python -m workshop.labs.make", description="Make a lab's checkpoint."
    )
    parser.add_argument("name", choices=MAKERS, help="the lab")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder; otherwise data/labs")
    options = parser.parse_args(argv)
    MAKERS[options.name](options.output)
    return 0


if __name__ == "__main__":
    verbs.write_utf8()
    sys.exit(main(sys.argv[1:]))
