"""Lab L08."""

from __future__ import annotations

from typing import Any

from tests.support.attacked import Case


def count(places: int, words: int, width: int, word_width: int) -> int:
    """Return the operations, product by product."""
    projections = 2 * (2 * places * width**2 + 2 * words * word_width * width)
    return projections + 2 * 2 * places * words * width


def count_by_list(places: int, words: int, width: int, word_width: int) -> int:
    """Return the operations of a list of products."""
    products = [(places, width, width)] * 2 + [(words, word_width, width)] * 2
    products += [(places, width, words), (places, words, width)]
    return sum(2 * n * a * b for n, a, b in products)


def count_factored(places: int, words: int, width: int, word_width: int) -> int:
    """Return the operations with the width taken out."""
    return 4 * width * (places * width + words * word_width + places * words)


def pair(*middle: str) -> Any:
    """Return a function that builds two networks around layers of these names."""

    def build_pair() -> Any:
        from torch import nn

        return tuple(nn.Sequential(nn.Linear(4, 4), getattr(nn, name)(), nn.Linear(4, 4)) for name in middle)

    return build_pair


def scaled() -> Any:
    """Return two networks, of which one doubles its answer."""
    from torch import nn

    class Doubled(nn.Linear):
        def forward(self, x: Any) -> Any:
            return 2 * super().forward(x)

    return [nn.Linear(4, 3), Doubled(4, 3)]


def other_widths() -> Any:
    """Return two networks of different shapes."""
    from torch import nn

    return nn.Linear(4, 4), nn.Linear(4, 5)


def without_weights() -> Any:
    """Return two networks without a tensor."""
    from torch import nn

    return nn.ReLU(), nn.SiLU()


def random_answer() -> Any:
    """Return a network and one that answers by chance."""
    import torch
    from torch import nn

    class Chance(nn.Linear):
        def forward(self, x: Any) -> Any:
            return super().forward(x) + torch.rand(1)

    return nn.Linear(4, 4), Chance(4, 4)


def decode(latents: Any, vae: Any) -> Any:
    """Return the picture in numbers between 0 and 1, of latents as the VAE wants them."""
    return (vae.decode(latents).sample / 2 + 0.5).clamp(0, 1)


def decode_in_steps(latents: Any, vae: Any) -> Any:
    """Return the picture, the factor taken out first and the range made last."""
    decoded = vae.decode(latents * (1 / vae.config.scaling_factor)).sample
    return (decoded.clamp(-1, 1) + 1) / 2


CASES = {
    "twenty gigabytes": Case(
        stub=("bf16", "bf16"),
        solutions=[("NF4", "fp8"), ["nf4", "fp8"], ("NF4", "FP8")],
        mistakes=[("fp8", "NF4"), ("NF4", "NF4"), ("NF4", "bf16"), ("bf16", "NF4"), ("int4", "fp8"), "NF4"],
    ),
    "cross-attention": Case(
        stub=lambda places, words, width, word_width: None,
        solutions=[count, count_by_list, count_factored],
        mistakes=[
            lambda n, m, d, c: count(n, m, d, c) // 2,
            lambda n, m, d, c: count(n, n, d, d),
            lambda n, m, d, c: count(m, n, d, c),
            lambda n, m, d, c: count(n, m, d, c) - 2 * n * m * d,
        ],
    ),
    "one sum, two networks": Case(
        stub=lambda: None,
        solutions=[pair("ReLU", "SiLU"), pair("Tanh", "Identity"), scaled],
        mistakes=[pair("ReLU", "ReLU"), other_widths, without_weights, random_answer],
    ),
    "the forgotten factor": Case(
        stub=decode,
        solutions=[
            lambda latents, vae: decode(latents / vae.config.scaling_factor, vae),
            lambda latents, vae: decode(latents.div(vae.config["scaling_factor"]), vae),
            decode_in_steps,
        ],
        mistakes=[
            lambda latents, vae: decode(latents / 0.18215, vae),
            lambda latents, vae: decode(latents * vae.config.scaling_factor, vae),
            lambda latents, vae: vae.decode(latents / vae.config.scaling_factor).sample,
            lambda latents, vae: decode(latents, vae) / vae.config.scaling_factor,
        ],
    ),
}
