"""Lab L01."""

from __future__ import annotations

from typing import Any

from tests.support.attacked import Case


def stand(alpha_bar: Any, like: Any) -> Any:
    """Return one number for each sample, stood up so that it multiplies a whole sample."""
    return alpha_bar.view(-1, *[1] * (like.ndim - 1))


def velocity(x0: Any, noise: Any, alpha_bar: Any) -> Any:
    """Return the target, all pictures at once."""
    kept = stand(alpha_bar, x0)
    return kept.sqrt() * noise - (1 - kept).sqrt() * x0


def velocity_by_loop(x0: Any, noise: Any, alpha_bar: Any) -> Any:
    """Return the target, picture by picture."""
    import torch

    each = zip(x0, noise, alpha_bar, strict=True)
    return torch.stack([a.sqrt() * other - (1 - a).sqrt() * one for one, other, a in each])


def recover(x: Any, v: Any, alpha_bar: Any) -> Any:
    """Return the picture, turned back in one line."""
    kept = stand(alpha_bar, x)
    return kept.sqrt() * x - (1 - kept).sqrt() * v


def recover_by_noise(x: Any, v: Any, alpha_bar: Any) -> Any:
    """Return the picture by way of the noise."""
    kept = stand(alpha_bar, x)
    noise = kept.sqrt() * v + (1 - kept).sqrt() * x
    return (x - (1 - kept).sqrt() * noise) / kept.sqrt()


def noisy(x0: Any, noise: Any, kept: Any) -> Any:
    """Noise each sample at its own level."""
    kept = stand(kept, x0)
    return kept.sqrt() * x0 + (1 - kept).sqrt() * noise


def noisy_by_einsum(x0: Any, noise: Any, kept: Any) -> Any:
    """Noise each sample, with the batch named."""
    import torch

    return torch.einsum("b,b...->b...", kept.sqrt(), x0) + torch.einsum(
        "b,b...->b...", (1 - kept).sqrt(), noise
    )


def noisy_transposed(x0: Any, noise: Any, kept: Any) -> Any:
    """Noise each sample, with the batch as the last axis."""
    last = (0, x0.ndim - 1)  # the batch goes last, where (B,) multiplies as it stands
    return unmended(x0.transpose(*last), noise.transpose(*last), kept).transpose(*last)


def unmended(x0: Any, noise: Any, kept: Any) -> Any:
    """Return what the cell computes before it is mended."""
    return kept.sqrt() * x0 + (1 - kept).sqrt() * noise


CASES = {
    "a line for 200 steps": Case(stub=1.0, solutions=[5.0, 5, 4.9], mistakes=[0.2, 10.0, 4.0, 60.0, -5.0]),
    "velocity target": Case(
        stub=lambda x0, noise, alpha_bar: None,
        solutions=[velocity, velocity_by_loop, lambda x0, e, a: -recover(x0, e, 1 - a)],
        mistakes=[
            lambda x0, noise, a: noise - x0,
            lambda x0, noise, a: -velocity(x0, noise, a),
            lambda x0, noise, a: a.sqrt() * noise - (1 - a).sqrt() * x0,
            lambda x0, noise, a: velocity(noise, x0, a),
        ],
    ),
    "picture from velocity": Case(
        stub=lambda x, v, alpha_bar: None,
        solutions=[recover, recover_by_noise, lambda x, v, a: velocity(v, x, a)],
        mistakes=[
            lambda x, v, a: x - v,
            lambda x, v, a: -recover(x, v, a),
            lambda x, v, a: a.sqrt() * x - (1 - a).sqrt() * v,
            lambda x, v, a: stand(a, x).sqrt() * x + (1 - stand(a, x)).sqrt() * v,
        ],
    ),
    "each at its own level": Case(
        stub=unmended,
        solutions=[noisy, noisy_by_einsum, noisy_transposed],
        mistakes=[
            lambda x0, noise, a: a.mean().sqrt() * x0 + (1 - a.mean()).sqrt() * noise,
            lambda x0, noise, a: stand(a, x0) * x0 + (1 - stand(a, x0)) * noise,
            lambda x0, noise, a: a.view(-1, 1, 1, 1).sqrt() * x0 + (1 - a.view(-1, 1, 1, 1)).sqrt() * noise,
            lambda x0, noise, a: noisy(noise, x0, a),
        ],
    ),
    "a test that cannot fail": Case(stub=0.5, solutions=[0.0, 0, 0.0004], mistakes=[0.1, 1.0, -0.0001, 0.05]),
}
