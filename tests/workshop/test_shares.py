"""Shares carry an interval that agrees with published tables and covers the truth as often as it promises."""

from __future__ import annotations

import math

import pytest

from workshop import shares


# R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_the_published_one(hits: int, count: int, low: float, high: float) -> None:
    assert shares.find_interval(hits, count) == pytest.approx((low, high), abs=5e-5)


def test_the_interval_of_the_misses_is_the_mirrored_one() -> None:
    low, high = shares.find_interval(3, 8)
    assert shares.find_interval(5, 8) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize("truth", [0.1, 0.4, 0.7, 0.95])
def test_about_95_of_100_intervals_hold_the_truth(truth: float) -> None:
    count = 40
    held = sum(
        math.comb(count, hits) * truth**hits * (1 - truth) ** (count - hits)
        for hits in range(count + 1)
        if shares.find_interval(hits, count)[0] <= truth <= shares.find_interval(hits, count)[1]
    )
    assert 0.92 < held < 0.98  # counts are whole, so no interval holds exactly 95 %


@pytest.mark.parametrize(
    ("hits", "count", "text"),
    [
        (11, 16, "11 of 16, 44–86 %"),
        (10, 16, "10 of 16, 39–82 %"),
        (0, 20, "0 of 20, 0–16 %"),
        (20, 20, "20 of 20, 84–100 %"),
    ],
)
def test_a_share_is_written_with_its_interval(hits: int, count: int, text: str) -> None:
    assert shares.write(hits, count) == text


@pytest.mark.parametrize(("hits", "count"), [(1, 0), (0, 0), (5, 4), (-1, 4)])
def test_no_share_is_refused_by_its_numbers(hits: int, count: int) -> None:
    with pytest.raises(ValueError, match=f"got {hits} of {count}"):
        shares.find_interval(hits, count)
