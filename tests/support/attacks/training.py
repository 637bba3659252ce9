"""Notebook 07."""

from __future__ import annotations

from typing import Any

from tests.support.attacked import Case
from workshop.exercises.training import UNSPOILT
from workshop.training.flags import write_words


def table(*lines: str) -> str:
    """Write the table of the data set with these rows."""
    return "\n".join(["image,prompt", *lines])


def by_autograd(weight: Any, pictures: Any, noises: Any, sigmas: Any, rate: float) -> Any:
    """Train with loss.backward(); the result still asks for a gradient."""
    for clean, noise, sigma in zip(pictures, noises, sigmas, strict=True):
        weight = weight.detach().requires_grad_()
        latents = (1 - sigma) * clean + sigma * noise
        (latents @ weight - (noise - clean)).square().mean().backward()
        weight = weight - rate * weight.grad
    return weight


def by_optimizer(weight: Any, pictures: Any, noises: Any, sigmas: Any, rate: float) -> Any:
    """Train with torch's own plain descent."""
    import torch

    weight.requires_grad_()
    optimizer = torch.optim.SGD([weight], lr=rate)
    while pictures:
        clean, noise, sigma = (one.pop(0) for one in (pictures, noises, sigmas))
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(torch.lerp(clean, noise, sigma) @ weight, noise - clean).backward()
        optimizer.step()
    return weight.detach()


def on_paper(
    weight: Any, pictures: Any, noises: Any, sigmas: Any, rate: float, *, sign: int = 1, mean: bool = True
) -> Any:
    """Train with the gradient found on paper, in place."""
    for place, clean in enumerate(pictures):
        latents = clean + sigmas[place] * (noises[place] - clean)
        error = latents @ weight - sign * (noises[place] - clean)
        weight -= rate * 2 * latents.T @ error / (clean.numel() if mean else 1)
    return weight


def last_only(weight: Any, pictures: Any, noises: Any, sigmas: Any, rate: float) -> Any:
    """Forget that each picture starts from what the one before has left."""
    return on_paper(weight, pictures[-1:], noises[-1:], sigmas[-1:], rate)


STANDING, GRASS, SNOW = (line.partition(",")[2] for line in UNSPOILT[1:])


def steps(**flags: object) -> list[str]:
    """Write flags as words of the command."""
    return write_words(flags)


CASES = {
    "three hundred steps": Case(
        stub=steps(dataset_repeat=50),
        solutions=[
            steps(dataset_repeat=60),
            steps(dataset_repeat=30, num_epochs=2),
            tuple(steps(dataset_repeat=60)),
        ],
        mistakes=[
            steps(dataset_repeat=300),
            steps(dataset_repeat=60, lora_rank=16),
            steps(dataset_repeat=60.0),
            steps(dataset_repeat=-60, num_epochs=-1),
            ["--repeats", "60"],
            "--dataset_repeat 60",
        ],
        context=lambda: (5,),
    ),
    "the loss": Case(
        stub=lambda velocity, clean, noise: None,
        solutions=[
            lambda velocity, clean, noise: (velocity - (noise - clean)).square().mean(),
            lambda velocity, clean, noise: float(velocity.sub_(noise).add_(clean).pow(2).mean()),
            lambda velocity, clean, noise: ((clean + velocity - noise) ** 2).sum().item() / clean.numel(),
        ],
        mistakes=[
            lambda velocity, clean, noise: (velocity - (clean - noise)).square().mean(),
            lambda velocity, clean, noise: (velocity - noise).square().mean(),
            lambda velocity, clean, noise: (velocity - (noise - clean)).square().sum(),
            lambda velocity, clean, noise: (velocity - (noise - clean)).square(),
            lambda velocity, clean, noise: (velocity - (noise - clean)).abs().mean(),
            lambda velocity, clean, noise: str(float((velocity - (noise - clean)).square().mean())),
        ],
    ),
    "train by hand": Case(
        stub=lambda weight, pictures, noises, sigmas, rate: None,
        solutions=[by_autograd, by_optimizer, on_paper],
        mistakes=[
            last_only,
            lambda w, p, n, s, rate: on_paper(w, p, n, s, rate, sign=-1),
            lambda w, p, n, s, rate: on_paper(w, p, n, s, rate, mean=False),
            lambda w, p, n, s, rate: on_paper(w, p, n, s, -rate),
            lambda weight, *others: weight,
        ],
    ),
    "a silent fault": Case(
        stub="\n".join(UNSPOILT),
        solutions=[
            table(f"01.png,{STANDING}", f"02.png,{SNOW}", f"03.png,{GRASS}"),
            table(f"01.png,{SNOW}", f"02.png,{STANDING}", f"03.png,{GRASS}"),
            table(f"03.png,{GRASS}", f"02.png, {SNOW} ", f'01.png,"{STANDING}"'),
        ],
        mistakes=[
            table(f"1.png,{STANDING}", f"02.png,{SNOW}", f"03.png,{GRASS}"),
            table(f"01.png,{STANDING}", f"02.png,{SNOW}"),
            table(f"01.png,{STANDING}", f"02.png,{GRASS}", "03.png,a cat"),
            table(f"03.png,{SNOW}", f"02.png,{GRASS}", f"01.png,{STANDING}"),
            table(f"01.png,{SNOW}", f"01.png,{STANDING}", f"03.png,{GRASS}"),
            table("01.png,a dog", "02.png, ", "03.png,a dog, sitting"),
            "",
        ],
    ),
}
