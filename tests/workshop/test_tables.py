"""Tables: text columns stand left, columns of numbers stand right."""

from __future__ import annotations

from types import SimpleNamespace

import pandas
import pytest

from workshop import tables


@pytest.mark.parametrize(
    "values",
    [[1, 2], [0.5, None], ["1,024", "2,048"], ["9.1 GB", "40 %"], ["4.0×", "☐"], ["3.4e+38", "1.2e-07"]],
)
def test_a_column_of_numbers_stays_right(values: list[object]) -> None:
    page = tables.to_html(pandas.DataFrame({"x": values}))
    assert "text-align: left" not in page and 'class="dataframe"' in page


@pytest.mark.parametrize("values", [["✓ black", "✗ red"], ["1,024", "unknown"], ["a dog", 3]])
def test_a_column_with_words_stands_left_with_its_heading(values: list[object]) -> None:
    page = tables.to_html(pandas.DataFrame({"number": [1, 2], "words": values}))
    assert (
        ".text-left-1 .dataframe tbody td:nth-of-type(2)" in page
        and ".text-left-1 .dataframe thead th:nth-of-type(3)" in page
    )
    assert "nth-of-type(1)" not in page and "tr th { text-align" not in page and 'class="dataframe"' in page


def test_the_kernel_shows_every_table_that_way(monkeypatch: pytest.MonkeyPatch) -> None:
    import IPython
    from IPython.core.formatters import DisplayFormatter

    shell = SimpleNamespace(display_formatter=DisplayFormatter())
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    tables.set_text_left()
    shown, _ = shell.display_formatter.format(pandas.DataFrame({"words": ["a", "b"]}))
    assert "text-left-0" in shown["text/html"]


def test_names_of_rows_stand_left_beside_numbers() -> None:
    page = tables.to_html(pandas.DataFrame({"x": [1, 2]}, index=["float16", "float32"]))
    assert "<style>.text-left .dataframe tbody tr th { text-align: left; }</style>" in page
