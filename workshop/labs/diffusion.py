"""DDPM as lab L01 writes it: schedules, the forward process, the loss, and the sampler.

Axes: B samples, then any. t counts from 0, as in diffusers: t = 0 is the cleanest noisy sample.
Source: Ho et al. 2020 (2006.11239), equations 2, 4, 6, 7 and 14; cosine: Nichol and Dhariwal 2021
(2102.09672), equation 17.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch

Predict = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # (x_t, t of (B,)) → ε of x_t's shape


def make_linear(num_train_timesteps: int) -> torch.Tensor:
    """Return DDPM's betas, (T,): equal steps from 1e-4 to 0.02."""
    return torch.linspace(1e-4, 0.02, num_train_timesteps)


def make_scaled_linear(num_train_timesteps: int) -> torch.Tensor:
    """Return Stable Diffusion's betas, (T,): equal steps of their square roots."""
    return torch.linspace(0.00085**0.5, 0.012**0.5, num_train_timesteps) ** 2


def make_cosine(num_train_timesteps: int) -> torch.Tensor:
    """Return the betas, (T,), whose ābar falls as a squared cosine; none is above 0.999."""
    u = torch.arange(num_train_timesteps + 1, dtype=torch.float64) / num_train_timesteps
    alpha_bar = torch.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999).float()


def _column(values: torch.Tensor, t: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Pick a number for each sample and stand it so that it multiplies a whole sample."""
    return values[t].view(-1, *[1] * (like.ndim - 1))


def add_noise(
    x0: torch.Tensor, noise: torch.Tensor, t: torch.Tensor, alpha_bar: torch.Tensor
) -> torch.Tensor:
    """Return x_t = √ābar_t · x_0 + √(1 - ābar_t) · ε, each sample at its own t.

    x0, noise: (B, …); t: (B,) whole numbers; alpha_bar: (T,)
    """
    kept = _column(alpha_bar, t, x0)
    return kept.sqrt() * x0 + (1 - kept).sqrt() * noise


def make_step(
    x: torch.Tensor,
    eps: torch.Tensor,
    t: int,
    betas: torch.Tensor,
    noise: torch.Tensor,
    *,
    clip: bool = False,
) -> torch.Tensor:
    """Return x_{t-1} from x_t: the mean of q(x_{t-1} | x_t, x_0) at the estimated x_0, and fresh noise.

    x, eps, noise: (B, …); betas: (T,)
    clip: hold the estimate of x_0 in [-1, 1], where all pictures are
    """
    alpha_bar = torch.cumprod(1 - betas, dim=0)
    now, before = alpha_bar[t], alpha_bar[t - 1] if t else torch.ones(())
    x0 = (x - (1 - now).sqrt() * eps) / now.sqrt()
    if clip:
        x0 = x0.clamp(-1, 1)
    beta = 1 - now / before  # betas[t], rounded as diffusers rounds it
    mean = before.sqrt() * beta / (1 - now) * x0 + (1 - beta).sqrt() * (1 - before) / (1 - now) * x
    variance = (1 - before) / (1 - now) * beta
    return mean + variance.sqrt() * noise if t else mean


@torch.no_grad()
def sample(
    predict: Predict, x: torch.Tensor, betas: torch.Tensor, *, seed: int, clip: bool = False
) -> Iterator[torch.Tensor]:
    """Yield x_{T-1}, x_{T-2}, … and at last x_0, from noise x.

    x: (B, …) drawn from N(0, 1)
    """
    generator = torch.Generator().manual_seed(seed)
    for t in reversed(range(len(betas))):
        eps = predict(x, torch.full((len(x),), t))
        x = make_step(x, eps, t, betas, torch.randn(x.shape, generator=generator), clip=clip)
        yield x
