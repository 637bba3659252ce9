"""Notebook 06."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from tests.support.attacked import Case


def by_dictionary(networks: list[Any]) -> int:
    """Count each parameter once, by its identity."""
    found = {id(one): one for network in networks for one in network.parameters()}
    return sum(one.numel() for one in found.values())


def by_loop(networks: list[Any]) -> int:
    """Count each parameter once, in a loop."""
    seen, total = set(), 0
    for network in networks:
        for one in network.parameters():
            if one not in seen:
                seen.add(one)
                total += one.numel()
    return total


def match(seen: dict[str, str], asked: dict[str, str]) -> int:
    """Count the attributes of one person that are right."""
    return sum(seen.get(name) == value for name, value in asked.items())


def count_right(found: list[dict[str, str]], wanted: list[dict[str, str]]) -> int:
    """Count in the order given."""
    return sum(map(match, found, wanted))


def order_by_permutations(found: list[dict[str, str]], wanted: list[dict[str, str]]) -> int:
    """Try every order."""
    return max(count_right(found, list(order)) for order in itertools.permutations(wanted))


def order_by_recursion(found: list[dict[str, str]], wanted: list[dict[str, str]]) -> int:
    """Give the first place each reference in turn, and the other places the rest."""
    if not found:
        return 0
    first, rest = found[0], found[1:]
    return max(
        match(first, asked) + order_by_recursion(rest, wanted[:place] + wanted[place + 1 :])
        for place, asked in enumerate(wanted)
    )


def order_by_places(found: list[dict[str, str]], wanted: list[dict[str, str]]) -> int:
    """Go through all choices of a reference for each place, and drop those that take one twice."""
    places = range(len(found))
    best = 0
    for chosen in itertools.product(places, repeat=len(found)):
        if len(set(chosen)) == len(found):
            best = max(best, sum(match(found[place], wanted[chosen[place]]) for place in places))
    return best


def order_greedily(found: list[dict[str, str]], wanted: list[dict[str, str]]) -> int:
    """Give each place the best of what is left."""
    total = 0
    for seen in found:
        best = max(wanted, key=lambda asked: match(seen, asked))
        wanted.remove(best)
        total += match(seen, best)
    return total


def layers(change: Callable[[Any, Any], object]) -> Callable[[], Any]:
    """Return a maker of two linear layers, changed; torch is imported when they are made."""

    def make() -> Any:
        import torch

        first, second = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
        with torch.no_grad():
            change(first, second)
        return [first, second]

    return make


CASES = {
    "the smallest card": Case(stub=64, solutions=[108], mistakes=[107, 109, 192, 108.0, 54]),
    "count once": Case(
        stub=lambda networks: None,
        solutions=[
            by_dictionary,
            by_loop,
            lambda networks: sum(one.numel() for one in {p for n in networks for p in n.parameters()}),
        ],
        mistakes=[
            lambda networks: sum(p.numel() for n in networks for p in n.parameters()),
            lambda networks: sum(p.numel() for n in set(networks) for p in n.parameters()),
            lambda networks: sum(
                s[0] * (s[1] if len(s) > 1 else 1)
                for s in {tuple(p.shape) for n in networks for p in n.parameters()}
            ),
            lambda networks: {4: 56, 2: 36, 3: 20}[len(networks)],
        ],
    ),
    "best order": Case(
        stub=lambda found, wanted: None,
        solutions=(order_by_permutations, order_by_recursion, order_by_places),
        mistakes=(
            count_right,
            lambda found, wanted: sum(max(match(seen, asked) for asked in wanted) for seen in found),
            order_greedily,
            lambda found, wanted: max(count_right(found, wanted), count_right(found, wanted[::-1])),
            lambda found, wanted: order_by_permutations(found, wanted) / len(found),
        ),
    ),
    "fool the count": Case(
        stub=layers(lambda first, second: None),
        solutions=(
            layers(lambda first, second: setattr(second.weight, "data", first.weight.data)),
            layers(lambda first, second: setattr(first.weight, "data", second.weight.data)),
            layers(lambda first, second: second.weight.set_(first.weight)),
        ),
        mistakes=(
            layers(lambda first, second: setattr(second, "weight", first.weight)),
            layers(lambda first, second: second.register_parameter("weight", None)),
        ),
    ),
}
