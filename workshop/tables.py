"""Tables as a notebook shows them: text columns set left, numbers right."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas

# A number as a table writes it: sign, digits, and perhaps a unit; or none at all.
NUMBER = re.compile(r"\s*[-+−]?[\d.,]+(?:e[-+]?\d+)?\s?([%×°]|[A-Za-z/²]{1,6})?\s*|[☐–—-]?")


def set_text_left() -> None:
    """Let this kernel show every DataFrame with its text columns left; elsewhere do nothing."""
    try:
        from IPython import get_ipython
    except ImportError:
        return
    shell = get_ipython()
    if shell is not None:
        formatter = shell.display_formatter.formatters["text/html"]
        formatter.for_type_by_name("pandas", "DataFrame", to_html)
        formatter.for_type_by_name("pandas.core.frame", "DataFrame", to_html)


def to_html(table: pandas.DataFrame) -> str | None:
    """Return pandas' own HTML of a table, with a style that sets row names and text columns left."""
    page = table._repr_html_()
    left = [number for number in range(table.shape[1]) if not _is_number(table.iloc[:, number])]
    has_names = not _is_number(table.index.to_frame().iloc[:, 0])
    if page is None or not (left or has_names):
        return page
    name = "-".join(["text-left", *map(str, left)])
    levels = table.index.nlevels
    chosen = [f".{name} .dataframe tbody td:nth-of-type({number + 1})" for number in left]
    chosen += [f".{name} .dataframe thead th:nth-of-type({number + levels + 1})" for number in left]
    chosen += [f".{name} .dataframe tbody tr th"] * has_names
    return f'<div class="{name}"><style>{", ".join(chosen)} {{ text-align: left; }}</style>{page}</div>'


def _is_number(column: pandas.Series) -> bool:
    """Return whether every value of a column is a number, or a text that writes one."""
    return all(not isinstance(value, str) or NUMBER.fullmatch(value) for value in column)
