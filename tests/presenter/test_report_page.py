"""The report's page: it stands alone and shows everything as text."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from presenter.material import Material
from presenter.report import __main__ as command
from presenter.report import talk
from presenter.runtimes import Runtime
from tests.support.talks import PATH, as_planned, hold, ran


def test_page_stands_alone_and_names_every_cue(tmp_path: Path, material: Material) -> None:
    events = ran("slow", 2.1, 40)
    known = replace(material, runtimes={"01_first": {"slow": Runtime(5.0, None, 1)}}, label="pocket model")
    report = talk.read(hold(tmp_path / "talk", *as_planned(slow=5), events=events), known)
    page = command.write_report(report, into=tmp_path / "talk").read_text(encoding="utf-8")
    assert all(f"<small>{name}</small>" in page for name in PATH)
    assert not re.search(r"https?://|<script|<link|src=", page)
    assert "2:00 late" in page and "01-slow: 3 → 5 minutes" in page
    assert "<td>5.0 s</td><td>40 s</td>" in page
