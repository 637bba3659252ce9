"""The tables of a talk's report: its cues, the runs of its cells, and the sums of each notebook."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from presenter.report.talk import TalkReport
from presenter.schedule import TREATMENTS

CUES = {  # a column and its type; every minute is a float, NaN where the talk never came to the cue
    **dict.fromkeys(("talk", "cue", "notebook", "title", "priority", "in_the_end"), "object"),
    **dict.fromkeys(("planned_min", "took_min", "beyond_min", "question_min", "break_min"), "float"),
    **{"began": "object", "errors": "int", "fallback_shown": "object"},
}
CELLS = {  # a column and its type; NaN: seconds of a run that never ended, or that nobody expected
    **dict.fromkeys(("talk", "notebook", "cell", "cue", "began"), "object"),
    **dict.fromkeys(("seconds", "expected_seconds"), "float"),
    **dict.fromkeys(("state", "error"), "object"),
}


def tabulate_cues(*reports: TalkReport) -> pd.DataFrame:
    """Make a table with a row for each cue of each talk, and the columns of CUES."""
    rows = []
    for report in reports:
        for row in report.rows:
            cue, came = row.cue, row.began is not None
            names = (report.name, cue.name, cue.sheet, cue.title, cue.priority, TREATMENTS[row.treatment])
            minutes = (row.spent, row.beyond, row.questions, row.breaks) if came else (None,) * 4
            staged = "yes" if row.staged else "no"
            rows.append((*names, row.planned, *minutes, _stamp(row.began), row.errors, staged))
    return pd.DataFrame(rows, columns=list(CUES)).astype(CUES)


def tabulate_cells(*reports: TalkReport) -> pd.DataFrame:
    """Make a table with a row for each run of a cell in each talk, and the columns of CELLS."""
    rows = []
    for report in reports:
        for run in report.runs:
            expected = report.material.expected(run.notebook, run.cell)
            cue = report.material.cue_of(run.notebook, run.cell)
            names = (report.name, run.notebook, run.cell, cue.name if cue else "", _stamp(run.began))
            took = None if run.ended is None else run.ended - run.began
            rows.append((*names, took, expected.seconds if expected else None, run.state, run.error))
    return pd.DataFrame(rows, columns=list(CELLS)).astype(CELLS)


def sum_by_notebook(report: TalkReport) -> pd.DataFrame:
    """Sum up planned_min and took_min of each notebook's cues, in the talk's order, by notebook."""
    return tabulate_cues(report).groupby("notebook", sort=False)[["planned_min", "took_min"]].sum()


def format_csv(table: pd.DataFrame) -> str:
    """Write a table as CSV, numbers with two decimals; what is not known is left empty."""
    return table.to_csv(index=False, float_format="%.2f", lineterminator="\n")


def _stamp(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at).astimezone().isoformat(timespec="seconds")
