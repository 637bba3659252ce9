"""Lab L08: numbers for a card, operations of cross-attention, what a sum of shapes misses, a VAE's factor."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from random import Random
from typing import TYPE_CHECKING, Any

from workshop import models
from workshop.exercises.verdict import (
    Verdict,
    Waiting,
    Wrong,
    ask,
    compare,
    demand_tensor,
    describe,
    exercise,
)
from workshop.units import GB

if TYPE_CHECKING:
    import torch

BITS = {"bf16": 16.0, "fp8": 8.0, "nf4": 4 + 32 / 64}
ROOM = 20 * GB  # of a card of 24 GB; the rest is for what is computed


@exercise("twenty gigabytes", hint="try the nine pairs: parameters × bits / 8, both parts together")
def _twenty_gigabytes(answer: object) -> Verdict:
    pair = list(answer) if isinstance(answer, tuple | list) else []
    if len(pair) != 2 or not all(isinstance(kind, str) and kind.lower() in BITS for kind in pair):
        raise Wrong(f"two names out of bf16, fp8 and NF4 are wanted, got {describe(answer)}")
    kinds = (pair[0].lower(), pair[1].lower())
    if kinds == ("bf16", "bf16"):
        raise Waiting
    best = max((pair for pair in product(BITS, BITS) if _weigh(pair) <= ROOM), key=_weigh)
    told = f"{_weigh(kinds) / GB:.1f} GB"
    if _weigh(kinds) <= ROOM and kinds != best:
        told += ", and a larger pair fits as well"
    return Verdict(kinds == best, told, f"the largest pair of {ROOM / GB:.0f} GB or less")


def _weigh(kinds: tuple[str, str]) -> float:
    """Return the bytes of Qwen-Image's DiT and text encoder in these kinds of number."""
    model = models.MODELS["Qwen-Image"]
    parts = (model.part("dit"), model.part("text_encoder"))
    return sum(part.parameters * BITS[kind] / 8 for part, kind in zip(parts, kinds, strict=True))


@exercise("cross-attention", hint="each product (n, a)·(a, b) is 2·n·a·b; there are six of them")
def _cross_attention(count: Callable[..., Any]) -> Verdict:
    def expected(places: int, words: int, width: int, word_width: int) -> int:
        asked = 2 * places * width * width  # q, and out again
        known = 2 * words * word_width * width  # k, v again
        return 2 * asked + 2 * known + 2 * (2 * places * words * width)

    rng = Random()
    cases = [(4096, 77, 320, 768), *(tuple(rng.randrange(1, 500) for _ in range(4)) for _ in range(4))]
    return compare(count, expected, cases, within=0)


@exercise("one sum, two networks", hint="which layers of a network have no tensor of their own?")
def _one_sum(build: Callable[..., Any]) -> Verdict:
    import torch

    made = ask(build)
    if (
        not isinstance(made, tuple | list)
        or len(made) != 2
        or not all(isinstance(one, torch.nn.Module) for one in made)
    ):
        raise Wrong(f"two torch modules are wanted, got {describe(made)}")
    one, other = (network.eval() for network in made)
    shapes = [{name: value.shape for name, value in network.state_dict().items()} for network in (one, other)]
    if not shapes[0] or shapes[0] != shapes[1]:
        return Verdict(False, "names or shapes of tensors differ, or there are none", "one sum")
    other.load_state_dict(one.state_dict())
    x = torch.randn(8, 4)
    with torch.no_grad():
        answers = [_demand_answer(network(x)) for network in (one, other, one, other)]
    if not all(torch.equal(answers[i], answers[i + 2]) for i in range(2)):
        return Verdict(False, "a network answers one input in two ways", "networks without chance")
    same = answers[0].shape == answers[1].shape and torch.allclose(answers[0], answers[1], atol=1e-6)
    return Verdict(not same, "one sum, " + ("and one answer" if same else "two answers"), "two answers")


def _demand_answer(value: object) -> torch.Tensor:
    """Return what a network answers; any shape will do, and every number must be finite."""
    return demand_tensor(value, shape=getattr(value, "shape", ()))


@exercise("the forgotten factor", hint="each VAE carries its own: vae.config.scaling_factor")
def _forgotten_factor(decode: Callable[..., Any]) -> Verdict:
    import torch

    def expected(latents: torch.Tensor, vae: Any) -> torch.Tensor:
        return _to_picture(vae, latents / vae.config.scaling_factor)

    factors = (0.18215, 0.13025, Random().uniform(0.2, 0.9))
    cases = [(torch.randn(1, 4, 4, 4), _build_vae(factor)) for factor in factors]
    unmended = _to_picture(cases[0][1], cases[0][0])
    given = ask(decode, *cases[0])
    if isinstance(given, torch.Tensor) and given.shape == unmended.shape and torch.equal(given, unmended):
        raise Waiting
    return compare(decode, expected, cases, within=1e-4)


def _build_vae(scaling_factor: float) -> Any:
    """Return a small random VAE, as diffusers has it, that needs no gradient."""
    from diffusers import AutoencoderKL

    vae: Any = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, scaling_factor=scaling_factor)
    return vae.eval().requires_grad_(False)


def _to_picture(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Return the decoded picture with numbers between 0 and 1."""
    return (vae.decode(latents).sample / 2 + 0.5).clamp(0, 1)
