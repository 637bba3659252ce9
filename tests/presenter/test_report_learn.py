"""What the next plan learns from talks, and what it does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from presenter import check, cues, runtimes
from presenter.material import Material
from presenter.report import learn, talk
from presenter.runtimes import Runtime
from tests.support.talks import act, as_planned, begin, go, hold, ran, row


def test_minutes_are_learnt_in_halves_and_never_below_the_least(
    tmp_path: Path, own_material: Material
) -> None:
    acts = [begin(), go(1.4, "01-slow"), go(5.7, "01-breaks"), go(7.0, "01-extra"), act(11.1, "end")]
    report = talk.read(hold(tmp_path / "talk", *acts), own_material)
    # 1.4 of 2 minutes; 4.3 of 3; 1.3 of 3, whose least is 1.5; 4.1 of 4
    assert learn.learn_minutes([report]) == {"01-hello": 1.5, "01-slow": 4.5, "01-breaks": 1.5}


def test_nothing_is_learnt_from_a_cue_that_was_not_simply_presented(
    tmp_path: Path, own_material: Material
) -> None:
    acts = [
        *(begin(), act(0.1, "cut", treatments={"01-slow": "short"})),
        *(go(0.2, "01-slow"), go(1.9, "01-breaks"), go(7, "01-extra"), go(20, "02-base"), go(21, "02-last")),
    ]
    events = ran("breaks", 2, 1, error="ValueError")
    report = talk.read(hold(tmp_path / "talk", *acts, events=events), own_material)
    by_name = {one.cue.name: one.spent for one in report.presented}
    assert by_name["01-hello"] < 0.5  # clicked through
    assert (
        row(report, "01-slow").treatment == "short" and row(report, "01-breaks").errors
    )  # and left open at the end:
    assert by_name["01-extra"] > 3 * 4 and report.talk.cue == "02-last"  # forgotten
    assert learn.learn_minutes([report]) == {"02-base": 1.0}


def test_several_talks_count_by_their_median(tmp_path: Path, own_material: Material) -> None:
    tellings = [
        talk.read(
            hold(tmp_path / f"talk-{slow}", *as_planned(slow=slow), events=ran("slow", 2.5, slow)),
            own_material,
        )
        for slow in (2.5, 4.0, 8.0)
    ]
    assert learn.learn_minutes(tellings) == {"01-slow": 4.0}
    assert learn.learn_seconds(tellings) == {"01_first": {"slow": Runtime(4.0, None, 3)}}


def test_apply_changes_minutes_and_seconds_and_nothing_else(
    tmp_path: Path, own_material: Material, kept: Path
) -> None:
    runtimes.write(
        "pocket model", {"01_first": {"slow": Runtime(9.0, 1.5, 3), "names": Runtime(1.0, 0.5, 3)}}
    )
    known = replace(own_material, runtimes=runtimes.read()["pocket model"])
    before = {path.name: path.read_text(encoding="utf-8") for path in cues.list_paths(tmp_path / "cues")}
    folder = hold(tmp_path / "talk", *as_planned(slow=4.4), events=ran("slow", 2.5, 6))
    said = learn.write_back([talk.read(folder, known)], label="pocket model")
    assert said[0].startswith("Kept the seconds of 1 cell of the pocket model in ")
    assert said[-1] == "  01-slow: 3 → 4.5 minutes"
    after = {path.name: path.read_text(encoding="utf-8") for path in cues.list_paths(tmp_path / "cues")}
    assert after["01_first.md"] == before["01_first.md"].replace("| 3.0 | 1.5 |", "| 4.5 | 1.5 |", 1)
    assert after["02_second.md"] == before["02_second.md"]
    assert runtimes.read()["pocket model"]["01_first"] == {
        "slow": Runtime(6.0, 1.5, 1),
        "names": Runtime(1.0, 0.5, 3),
    }
    again = talk.read(folder, Material.read(tmp_path / "cues", tmp_path / "notebooks"))
    assert learn.learn_minutes([again]) == {}


def test_minutes_that_would_break_a_rule_are_not_written(
    tmp_path: Path, own_material: Material, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "SERIES", ("01", "02"))
    monkeypatch.setattr(check, "SHORTEST", 0.0)
    monkeypatch.setattr(check, "MUST", 12.0)  # as many as the must cues take now
    before = (tmp_path / "cues" / "01_first.md").read_text(encoding="utf-8")
    said = learn.write_back(
        [talk.read(hold(tmp_path / "talk", *as_planned(slow=6)), own_material)], label="here"
    )
    assert said[1] == "No minutes were changed, for the check would then fail:"
    assert "the must cues take 15 minutes, more than 12" in said[2]
    assert (tmp_path / "cues" / "01_first.md").read_text(encoding="utf-8") == before
