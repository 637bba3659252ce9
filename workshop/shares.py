"""Shares of a small sample: how many of how many, and how far the true share may lie from it.

Source: E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, Journal of the
American Statistical Association 22 (1927), pp. 209-212.
"""

from __future__ import annotations

import math

NORMAL_95 = 1.959964
"""Standard deviations around the mean that hold 95 % of a normal distribution."""


def find_interval(hits: int, count: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share: the true shares that `hits` of `count` do not contradict.

        (p + z²/2n ± z · √(p (1 - p) / n + z²/4n²)) / (1 + z²/n)        p = hits / count, n = count

    returns: lower and upper end, in [0, 1]

    The formula takes the `count` answers for independent. Four answers about one picture are not quite: their
    true interval is wider.

    Raises ValueError unless 0 ≤ hits ≤ count and count ≥ 1.

    >>> [round(end, 3) for end in find_interval(11, 16)]
    [0.444, 0.858]
    """
    if count < 1 or not 0 <= hits <= count:
        raise ValueError(
            f"A share needs hits from 0 to the count, and a count of 1 or more; got {hits} of {count}. "
            "Count the answers again."
        )
    share, square = hits / count, NORMAL_95**2
    middle = share + square / (2 * count)
    reach = NORMAL_95 * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    scale = 1 + square / count
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def write(hits: int, count: int) -> str:
    """Write a share with its 95 % interval.

    >>> write(11, 16)
    '11 of 16, 44–86 %'
    """
    low, high = find_interval(hits, count)
    return f"{hits} of {count}, {100 * low:.0f}–{100 * high:.0f} %"
