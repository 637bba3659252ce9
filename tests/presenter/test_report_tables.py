"""The report's tables: a line for each cue, and for each run of a cell."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from presenter.material import Material
from presenter.report import tables, talk
from presenter.runtimes import Runtime
from tests.support.talks import PATH, act, as_planned, begin, go, hold, ran


def as_csv(table: pd.DataFrame) -> list[dict[str, str]]:
    return list(csv.DictReader(tables.format_csv(table).splitlines()))


def test_table_has_a_line_for_each_cue(tmp_path: Path, material: Material) -> None:
    folder = hold(tmp_path / "talk", begin(), go(2, "01-slow"), act(6, "end"))
    lines = as_csv(tables.tabulate_cues(talk.read(folder, material)))
    assert [line["cue"] for line in lines] == list(PATH)
    slow, never = lines[1], lines[2]
    assert (slow["planned_min"], slow["took_min"], slow["beyond_min"]) == ("3.00", "4.00", "1.00")
    assert (never["planned_min"], never["took_min"], never["began"]) == ("3.00", "", "")


def test_table_of_cells_has_what_was_expected_beside_what_it_took(tmp_path: Path, material: Material) -> None:
    known = replace(material, runtimes={"01_first": {"hello": Runtime(0.5, None, 1)}})
    events = (*ran("hello", 0.5, 2), *ran("breaks", 6, 1, error="KeyboardInterrupt"))
    report = talk.read(hold(tmp_path / "talk", *as_planned(), events=events), known)
    hello, broke = as_csv(tables.tabulate_cells(report))
    assert (hello["cue"], hello["seconds"], hello["expected_seconds"]) == ("01-hello", "2.00", "0.50")
    assert (broke["expected_seconds"], broke["state"]) == ("", "interrupted")


@pytest.mark.parametrize("word", ["NA", "nan", "None", "null", "1e3", "007"])
def test_word_that_looks_like_a_number_or_like_nothing_stays_a_word(
    tmp_path: Path, material: Material, word: str
) -> None:
    sheet = material.sheets[0]
    odd = replace(sheet, cues=(replace(sheet.cues[0], title=word), *sheet.cues[1:]))
    report = talk.read(hold(tmp_path / "talk", *as_planned()), Material((odd, *material.sheets[1:])))
    assert as_csv(tables.tabulate_cues(report))[0]["title"] == word
