"""What the console tells its presenter, as pure functions of plan, talk, kernels and time."""

from __future__ import annotations

import doctest
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from presenter import kernels as follow
from presenter import render
from presenter.console import card, guide
from presenter.console.guide import Material, View
from presenter.journal import Act, Talk, fold
from presenter.runtimes import Runtime
from tests.support.lesson import write_lesson
from workshop.memory import Reading
from workshop.units import GIB


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return Material.read(*write_lesson(tmp_path_factory.mktemp("lesson")))


BEGUN = Act(0.0, "begin", cue="01-hello")


def at(cue: str, *, now: float = 0.0) -> Act:
    return Act(now, "go", cue=cue)


def view(material: Material, *acts: Act, now: float = 0.0, minutes: float = 30, **options: object) -> View:
    base = material.plan({"minutes": minutes} | options, level="intermediate")
    return View(material, base, fold(acts), follow.Kernels(), now)


def ran(seen: View, cell: str, state: str = "done", *, book: str = "01_first", began: float = 0.0) -> View:
    """Let a cell have run, or be running, in this view's kernels."""
    kernels = seen.kernels
    path = f"notebooks/{book}.ipynb"
    if book not in kernels.kernel_of:
        kernels.see(follow.Event(began, "start", 7, path))
    kernels.see(follow.Event(began, "pre", 7, path, cell))
    if state != "running":
        error = "" if state == "done" else "ValueError"
        kernels.see(
            follow.Event(began + 1, "post", 7, path, cell, error, "bad <b>", state == "out of memory")
        )
    return seen


def run(cell: str, *, book: str = "01_first", queued: bool = False) -> follow.Run:
    return follow.Run(book, cell, 7, 0.0, queued)


def test_talk_follows_a_cell_that_is_run_by_hand(material: Material) -> None:
    assert guide.moved(view(material, BEGUN), run("breaks")) == "01-breaks"
    assert guide.moved(view(material, BEGUN), run("names")) == "01-slow"  # the second cell of its cue


@pytest.mark.parametrize(
    ("acts", "begun", "why"),
    [
        ([], run("breaks", queued=True), "Run All"),
        ([at("01-breaks")], run("slow"), "a cell run again behind the talk"),
        ([at("01-breaks")], run("breaks"), "the same cue"),
        ([Act(0, "follow", on=False)], run("breaks"), "told not to follow"),
        ([Act(0, "cut", treatments={"01-extra": "cut"})], run("extra"), "a cue that was cut"),
        ([], run("scratch"), "a cell without a cue"),
        ([], run("hello", book="09_other"), "another notebook"),
    ],
)
def test_talk_stays_where_it_is(material: Material, acts: list[Act], begun: follow.Run, why: str) -> None:
    assert guide.moved(view(material, BEGUN, *acts), begun) == "", why


def test_clock_before_the_talk_says_what_is_planned(material: Material) -> None:
    part = guide.clock_part(view(material))
    assert (part["elapsed"], part["left"]) == ("0:00", "30:00")
    assert part["sentence"] == "30 minutes, 6 cues. The clock starts when you do."


def test_clock_says_what_to_do_when_the_talk_is_behind(material: Material) -> None:
    late = view(material, BEGUN, at("01-slow", now=60), now=60 + 5 * 60, minutes=18)
    part = guide.clock_part(late)
    assert part["pace"] == "1:00 behind" and part["accept"] and part["late"] == 1.0
    assert part["sentence"] == "1:00 behind: skip 01-extra, finish 3:00 early."
    assert (part["elapsed"], part["left"]) == ("6:00", "12:00")


def test_accepted_cut_is_what_the_clock_then_counts_on(material: Material) -> None:
    acts = [BEGUN, at("01-slow", now=60)]
    late = view(material, *acts, now=360, minutes=18)
    after = view(material, *acts, Act(360, "cut", treatments=late.advice.treatments), now=360, minutes=18)
    assert guide.clock_part(after)["pace"] == "3:00 ahead"
    assert [item.cue.name for item in after.path] == [
        "01-hello",
        "01-slow",
        "01-breaks",
        "02-base",
        "02-last",
    ]
    undone = view(
        material,
        *acts,
        Act(360, "cut", treatments={"01-extra": "cut"}),
        Act(361, "undo", of=3),
        now=360,
        minutes=18,
    )
    assert undone.plan == late.plan


def test_time_within_half_a_minute_is_on_time(material: Material) -> None:
    part = guide.clock_part(view(material, BEGUN, at("01-slow", now=140), now=200, minutes=18))
    assert part["pace"] == "on time" and part["late"] == 0 and not part["accept"]


def test_question_goes_against_the_plan_and_says_so(material: Material) -> None:
    asked = view(material, BEGUN, Act(60, "pause", kind="question"), now=105)
    part = guide.clock_part(asked)
    assert part["sentence"] == "Question, 0:45 so far: the clock goes on." and not part["accept"]
    assert guide.time_part(asked)["text"] == "1:00 of 2:00"  # the cue is not charged
    assert asked.elapsed == 105 / 60


@pytest.mark.parametrize(
    ("position", "held", "elapsed"),
    [
        ("01-slow", 0, 5),  # the break is still to come
        ("01-slow", 4, 5),  # held early, in part
        ("01-slow", 10, 5),  # held early
        ("01-slow", 12, 7),  # and longer than planned
        ("02-last", 0, 5),  # left out: 10 minutes are won
        ("02-last", 10, 15),  # held as planned
        ("02-last", 13, 18),
    ],
)
def test_break_counts_as_planned_wherever_it_is_held(
    material: Material, position: str, held: float, elapsed: float
) -> None:
    acts = [BEGUN, at(position, now=60), Act(60, "pause", kind="break"), Act(60 + held * 60, "resume")]
    seen = view(material, *acts, now=(5 + held) * 60, minutes=40, breaks=[10])
    assert [one.before for one in seen.plan.breaks] == ["02-base"]
    assert seen.elapsed == pytest.approx(elapsed)


def test_late_start_is_a_delay_and_another_day_is_not(material: Material) -> None:
    start = datetime(2026, 11, 22, 10, 0)
    for minutes, late in ((4, 4), (-3, -3), (600, 0)):
        began = start.timestamp() + minutes * 60
        seen = view(material, Act(began, "begin", cue="01-hello"), now=began, start=start.isoformat())
        assert seen.late_start == pytest.approx(late)
    assert datetime.fromtimestamp(seen.ends).strftime("%H:%M") == "20:18"  # 18 of its 30 minutes are planned


def test_forecast_end_moves_with_the_delay(material: Material) -> None:
    on_time = view(material, BEGUN, now=0, minutes=18)
    late = view(material, BEGUN, now=180, minutes=18)
    assert late.ends - on_time.ends == 60  # three minutes in a cue of two


def test_now_shows_the_cue_of_the_level_with_its_facts(material: Material) -> None:
    part = guide.now_part(view(material, BEGUN))
    assert part["points"] == [{"html": "A point with a fact: 60 blocks."}]
    assert part["where"] == "01 · First · cue 1 of 6"
    assert [note["label"] for note in part["notes"]] == ["Say", "While it runs", "If it fails"]
    assert part["questions"] == [{"html": "How many?", "answer_html": "Three."}]
    advanced = guide.now_part(view(material, BEGUN, Act(1, "level", level="advanced")))
    assert advanced["points"] == [{"html": 'A point with a <a href="#01-hello">link</a>.'}]


def test_opening_comes_with_the_first_cue_and_closing_with_the_last(material: Material) -> None:
    def titles(name: str) -> tuple[list[str], list[str]]:
        part = guide.now_part(view(material, at(name)))
        before, after = ([section["title"] for section in part[where]] for where in ("before", "after"))
        return before, after

    assert titles("01-hello") == (["Before you start", "Opening"], [])
    assert titles("01-slow") == ([], [])
    assert titles("02-last") == ([], ["Closing"])


def test_cue_on_a_page_of_text_waits_for_no_cell_and_is_gone_to_by_hand(tmp_path: Path) -> None:
    sheets, books = write_lesson(tmp_path)
    path = books / "02_second.ipynb"
    path.write_text(path.read_text().replace('"code", "id": "last"', '"markdown", "id": "last"'))
    lesson = Material.read(sheets, books)
    before = ran(view(lesson, at("02-base")), "base", book="02_second")
    assert guide.next_part(before)["by_hand"] and guide.cells_part(before)["next"] is None
    assert guide.cells_part(view(lesson, at("02-last"))) == {"cells": [], "next": None}
    assert not guide.next_part(view(lesson, at("01-hello")))["by_hand"]


def test_undo_names_a_few_of_many_cuts():
    cuts = {f"0{number}-cue": "cut" for number in range(1, 8)}
    acts = [Act(0, "begin"), Act(1, "cut", treatments=cuts)]
    said = guide.undo_words(Talk(undoable=2), acts)
    assert said == "Undo: skip 01-cue, 02-cue, 03-cue, 4 more"


def test_next_cell_of_another_notebook_is_said_to_be_there(material: Material) -> None:
    ahead = guide.cells_part(ran(view(material, at("01-slow")), "slow"))["next"]
    assert ahead["notebook"] == "01_first" and not ahead["elsewhere"]
    last = [item.cue for item in view(material, BEGUN).path if item.cue.sheet == "01_first"][-1]
    over = view(material, at(last.name))
    for cell in last.cells:
        over = ran(over, cell)
    beyond = guide.cells_part(over)["next"]
    assert beyond["notebook"] == "02_second" and beyond["elsewhere"]


def test_script_in_a_cue_or_in_code_stays_text(material: Material) -> None:
    html = guide.now_part(view(material, BEGUN))["notes"][0]["html"]
    assert html == "<p>Words about <em>Hello</em> &lt;b&gt;plain&lt;/b&gt;.</p>"
    cell = guide.cells_part(ran(view(material, at("01-slow")), "slow"))["next"]
    assert cell["id"] == "names" and "&lt;img" in cell["code_html"] and "<img" not in cell["code_html"]


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "[x](javascript:alert(1))",
        "![x](https://example.org/x.png)",
        '<a href="x" onclick="alert(1)">x</a>',
        "[x](data:text/html,<script>alert(1)</script>)",
    ],
)
def test_rendered_markdown_has_no_script_no_picture_and_no_foreign_scheme(text: str) -> None:
    tags = tags_of(render.markdown(text))
    assert {name for name, _ in tags} <= {"p", "a"}
    assert {key for _, attributes in tags for key in attributes} <= {"href", "title"}
    links = [attributes["href"] for _, attributes in tags if "href" in attributes]
    assert not any(link.startswith(("javascript:", "data:")) for link in links)


def tags_of(html: str) -> list[tuple[str, dict[str, str | None]]]:
    """Parse HTML as a browser does and list its tags with their attributes."""
    found: list[tuple[str, dict[str, str | None]]] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attrs)))

    Tags().feed(html)
    return found


def test_a_tag_that_slips_past_the_renderer_is_cleaned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "_renderer", lambda: lambda text: text)
    dirty = '<p onclick="x()"><a href="javascript:x()" onclick="x()">a</a><script>x()</script><b>b</b></p>'
    assert render.markdown(dirty) == "<p><a>a</a>b</p>"


def test_unknown_fact_is_shown_by_its_name(material: Material) -> None:
    seen = view(material, BEGUN)
    sheet = material.sheets[0]
    odd = replace(sheet.cues[0], points={"intermediate": ("It has {fact:no.such} parts.",)})
    other = Material((replace(sheet, cues=(odd, *sheet.cues[1:])), material.sheets[1]), material.books)
    part = guide.now_part(view(other, BEGUN))
    assert part["points"] == [{"html": "It has {fact:no.such} parts."}]
    assert guide.now_part(seen)["points"] != part["points"]


def test_next_cell_is_the_first_that_has_not_run_here(material: Material) -> None:
    seen = view(material, at("01-slow"))
    assert guide.cells_part(seen)["next"]["id"] == "slow"
    assert guide.cells_part(ran(seen, "slow"))["next"]["id"] == "names"
    part = guide.cells_part(ran(seen, "names"))
    assert part["next"]["id"] == "breaks"  # of the next cue
    assert [cell["state"] for cell in part["cells"]] == ["done", "done"]
    seen.kernels.see(follow.Event(50.0, "start", 8, "notebooks/01_first.ipynb"))  # the kernel was restarted
    assert guide.cells_part(seen)["next"]["id"] == "slow"


def test_expected_runtime_is_the_one_of_this_machine(material: Material) -> None:
    assert guide.cells_part(view(material, BEGUN))["next"]["expected"] == "not rehearsed yet"
    known = replace(material, runtimes={"01_first": {"hello": Runtime(18.4, 3.0, 3)}})
    assert guide.cells_part(view(known, BEGUN))["next"]["expected"] == "expected 18 s"


def test_running_cell_is_measured_against_what_was_expected(material: Material) -> None:
    known = replace(material, runtimes={"01_first": {"hello": Runtime(20.0, None, 3)}})
    part = guide.run_part(ran(view(known, BEGUN, now=5.0), "hello", "running"))
    assert (part["seconds"], part["share"], part["state"], part["waiting"]) == ("5 s", 25, "running", True)
    assert not guide.run_part(ran(view(known, BEGUN, now=1.0), "hello", "running"))["waiting"]
    assert guide.run_part(view(known, BEGUN)) is None


@pytest.mark.parametrize(
    ("state", "title"), [("failed", "An error in hello"), ("out of memory", "Out of memory in hello")]
)
def test_error_raises_the_alarm_with_what_the_sheet_says(material: Material, state: str, title: str) -> None:
    part = guide.alarm_part(ran(view(material, BEGUN), "hello", state))
    assert part["title"] == title
    assert part["message"] == "ValueError: bad <b>"
    assert "what it would have shown" in part["html"]


def test_failed_cell_is_the_next_one_until_its_fallback_is_on_the_projector(material: Material) -> None:
    failed = ran(view(material, BEGUN), "hello", "failed")
    assert guide.cells_part(failed)["next"]["id"] == "hello"  # to be repaired
    staged = replace(failed, talk=replace(failed.talk, staged="01-hello"))
    assert guide.cells_part(staged)["next"]["id"] == "slow"


def test_killed_kernel_raises_the_alarm(material: Material) -> None:
    seen = ran(view(material, BEGUN), "hello", "running")
    seen.kernels.see(follow.Event(5.0, "stop", 7, "notebooks/01_first.ipynb"))
    assert guide.alarm_part(seen)["title"] == "The kernel died in hello"


def test_overrun_raises_the_alarm_only_when_it_is_long(material: Material) -> None:
    known = replace(material, runtimes={"01_first": {"hello": Runtime(20.0, None, 3)}})
    assert guide.alarm_part(ran(view(known, BEGUN, now=39.0), "hello", "running")) is None
    part = guide.alarm_part(ran(view(known, BEGUN, now=41.0), "hello", "running"))
    assert part["title"] == "hello takes longer than expected"


def test_no_alarm_for_what_is_well_or_elsewhere(material: Material) -> None:
    assert guide.alarm_part(ran(view(material, BEGUN), "hello")) is None
    assert guide.alarm_part(ran(view(material, at("01-slow")), "hello", "failed")) is None
    assert (
        guide.alarm_part(ran(view(material, BEGUN, now=900.0), "hello", "running")) is None
    )  # not rehearsed


def test_cells_of_a_cut_cue_are_listed_to_run_silently(material: Material) -> None:
    cut = Act(1, "cut", treatments={"02-base": "cut"})
    seen = view(material, BEGUN, at("01-extra"), cut)
    assert guide.next_part(seen)["silent"] == [{"id": "base", "notebook": "02_second", "done": False}]
    assert guide.next_part(ran(seen, "base", book="02_second"))["silent"][0]["done"]
    assert guide.next_part(view(material, at("02-last"))) is None


def test_undo_says_what_it_takes_back(material: Material) -> None:
    acts = [BEGUN, Act(1, "cut", treatments={"01-extra": "cut", "02-base": "short"})]
    seen = view(material, *acts)
    assert guide.talk_part(seen, acts)["undo"] == "Undo: skip 01-extra, shorten 02-base"
    assert not guide.talk_part(seen, acts)["undo_resets"]
    part = guide.talk_part(view(material, BEGUN), [BEGUN])
    assert part["undo"] == "Undo the start" and part["undo_resets"]
    assert guide.talk_part(view(material), [])["undo"] == ""


def test_next_and_back_step_over_what_is_cut(material: Material) -> None:
    acts = [at("01-breaks"), Act(1, "cut", treatments={"01-extra": "cut"})]
    part = guide.talk_part(view(material, *acts), acts)
    assert (part["back"], part["next"]) == ("01-slow", "02-base")
    assert guide.talk_part(view(material, at("02-last")), [])["next"] == ""


def test_stage_is_quiet_until_a_fallback_is_put_on_it(material: Material) -> None:
    assert guide.stage_part(view(material, BEGUN)) == {"on": False, "title": "01 · First"}
    part = guide.stage_part(view(material, BEGUN, Act(1, "stage", cue="01-hello")))
    assert (part["on"], part["picture"], part["title"]) == (True, "dog", "Hello")


def test_cue_that_a_new_sheet_no_longer_has_leaves_the_talk_at_its_beginning(material: Material) -> None:
    assert view(material, at("05-gone")).here.cue.name == "01-hello"


@pytest.mark.parametrize(
    ("need", "held", "said"),
    [
        (50, 0, ": fits."),
        (150, 0, ": may not fit beside the 60.0 GiB of others."),
        (150, 58, ": fits."),
        (250, 58, ": does not fit, there are 192 GiB in all."),
        (None, 0, ""),
    ],
)
def test_memory_says_whether_the_next_cell_fits(need: float | None, held: float, said: str) -> None:
    part = card.part("GPU", Reading(60 * GIB, 192 * GIB), need_gib=need, held_gib=held)
    assert part["text"] == "60.0 of 192 GiB used" and part["share"] == 31
    assert part["fits"] is ("not fit" not in said)
    assert part["need"].endswith(said) and bool(part["need"]) == bool(said)


def test_memory_that_nobody_knows_says_so() -> None:
    part = card.part("host", Reading(note="psutil is not installed"), need_gib=3)
    assert part["text"] == "psutil is not installed" and part["share"] is None and part["fits"]


def test_card_is_read_from_its_driver_without_torch(tmp_path: Path) -> None:
    for name, used in (("card0", 10), ("card1", 60), ("card2", None)):
        folder = tmp_path / name / "device"
        folder.mkdir(parents=True)
        (folder / "mem_info_vram_used").write_text("N/A" if used is None else str(used * GIB))
        (folder / "mem_info_vram_total").write_text(str(192 * GIB))
    where, now = card.reading(cards=f"{tmp_path}/card*/device/mem_info_vram_used")
    assert (where, now.used, now.total) == ("GPU", 60 * GIB, 192 * GIB)
    where, now = card.reading(cards=f"{tmp_path}/none*")
    assert where == "host" and 0 < now.used < now.total


def test_examples_in_the_docstrings_are_true() -> None:
    for module in (guide, render):
        tried = doctest.testmod(module)
        assert tried.attempted and not tried.failed
