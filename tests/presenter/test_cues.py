"""Cue sheets: what is read from them, and what a person is told about one that cannot be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from presenter import cues
from tests.support.cue_sheets import COLUMNS, LEVELS, cue, write_sheet

WHOLE = """# 03 · LoRA

What people take home,
in two lines.

## Before you start

- [ ] Charge the clicker.

## `after`, `zoom` · Same seed · before and after

| minutes | least | priority | if cut | fallback |
|---|---|---|---|---|
| 3 | 1.5 | must | run | `image_face` |

**Show.** The pair.  **Say.** One number
changes.

```python
## `no` · heading, this is code
```

**Say.** And this.

**While it runs.** The **same** noise.

### Beginner

- A point
  in two lines.
- Another.

### Intermediate

- One.

### Ask

- Is it the same? — Yes — nearly.

### In practice

People do this.

## Closing

Thank you.
"""


@pytest.fixture
def whole(tmp_path: Path) -> cues.Sheet:
    path = tmp_path / "03_lora.md"
    path.write_text(WHOLE, encoding="utf-8")
    return cues.read(path)


def told(path: Path) -> str:
    """Read a sheet that is wrong, and give what is said about it."""
    with pytest.raises(cues.CueError) as caught:
        cues.read(path)
    return str(caught.value)


def test_sheet_has_title_lead_sections_and_cues(whole: cues.Sheet) -> None:
    assert (whole.name, whole.title) == ("03_lora", "03 · LoRA")
    assert whole.lead == "What people take home,\nin two lines."
    assert [(one.title, one.text) for one in whole.sections] == [
        ("Before you start", "- [ ] Charge the clicker."),
        ("Closing", "Thank you."),
    ]
    assert [one.name for one in whole.cues] == ["03-after"]


def test_cue_has_cells_title_times_and_what_to_do_when_it_is_cut(whole: cues.Sheet) -> None:
    (one,) = whole.cues
    assert (one.sheet, one.cells, one.title) == ("03_lora", ("after", "zoom"), "Same seed · before and after")
    assert (one.minutes, one.least, one.priority, one.if_cut) == (3.0, 1.5, "must", "run")
    assert one.fallback == "image_face"
    assert WHOLE.splitlines()[one.line - 1].startswith("## `after`")


def test_notes_go_by_their_labels_and_what_follows_belongs_to_them(whole: cues.Sheet) -> None:
    code = "```python\n## `no` · heading, this is code\n```"
    assert whole.cues[0].notes == {
        "Show": "The pair.",
        "Say": f"One number\nchanges.\n\n{code}\n\nAnd this.",
        "While it runs": "The **same** noise.",
    }


def test_points_go_by_level_and_questions_have_answers(whole: cues.Sheet) -> None:
    (one,) = whole.cues
    assert one.points == {"beginner": ("A point\nin two lines.", "Another."), "intermediate": ("One.",)}
    assert one.questions == (cues.Question("Is it the same?", "Yes — nearly."),)
    assert one.practice == "People do this."


def test_cue_is_found_by_any_of_its_cells(whole: cues.Sheet) -> None:
    assert whole.cue_of("zoom") is whole.cues[0]
    assert whole.cue_of("nothing") is None


def test_cues_can_be_kept_in_a_set(whole: cues.Sheet) -> None:
    assert len({*whole.cues, *whole.cues}) == 1


def test_cue_for_home_takes_no_time(tmp_path: Path) -> None:
    path = write_sheet(tmp_path / "01_a.md", cue("x", minutes=0, least=0, priority="nice"))
    assert not cues.read(path).cues[0].takes_time


WRONG_VALUES = {
    "minutes is 'three'. Write minutes as a number": {"minutes": "three"},
    "least is '-1'. Write minutes as a number": {"least": "-1"},
    "minutes 2 and least 3 with priority must. Let least be above 0 and at most minutes": {"least": 3},
    "minutes 2 and least 0 with priority nice": {"least": 0, "priority": "nice"},
    "minutes 0 and least 0 with priority should": {"minutes": 0, "least": 0, "priority": "should"},
    "priority is 'maybe'. Write one of: must, should, nice": {"priority": "maybe"},
    "if cut is 'Run'. Write one of: run, skip": {"if_cut": "Run"},
    "fallback is 'image_face'. Name a picture in backticks": {"fallback": "image_face"},
    "fallback is '`data/face.png`'. Name a picture": {"fallback": "`data/face.png`"},
    "fallback is '-'. Name a picture in backticks, without folder and .png, or write –": {"fallback": "-"},
}


@pytest.mark.parametrize("said", WRONG_VALUES)
def test_wrong_value_is_named_with_its_line_its_cue_and_what_to_write(said: str, tmp_path: Path) -> None:
    path = write_sheet(tmp_path / "01_a.md", cue("x y", **WRONG_VALUES[said]))
    assert f"01_a.md:9: `x`, `y`: {said}" in told(path)


WRONG_CUES = {
    "there is no table with five values. Put below the heading: | minutes | least | priority | if cut": (
        "## `x` · T\n\n**Say.** Hm."
    ),
    "there is no table with five values": f"## `x` · T\n\n{COLUMNS}| 2 | 1 | must | run |\n\n**Say.** Hm.",
    "the heading must be cell ids in backticks, then · and a title. Write: ## `cell-id`": cue("x").replace(
        " · ", " - "
    ),
    "'Tell' is no label. These are: Show, Say, Point at, Do": cue("x", body="**Tell.** Hm."),
    "text without a label. Begin it with a label, such as **Say.**": cue("x", body="Hm.\n\n**Say.** Ha."),
    "there is no topic 'Expert'. These are: Beginner, Intermediate, Advanced, Ask, In practice": cue(
        "x", body="### Expert\n\n- Hm."
    ),
    "Beginner is there twice. Make one list of the two": cue("x", body=f"{LEVELS}\n\n### Beginner\n\n- Hm."),
    "Beginner is a list, and this line is no part of it. Begin each point with a dash": cue(
        "x", body="### Beginner\n\nHm."
    ),
    "a question needs a question mark and an answer, got 'Why?'. Write: - Question? — expected answer": cue(
        "x", body="### Ask\n\n- Why?"
    ),
    "a question needs a question mark and an answer, got 'Why - so'": cue("x", body="### Ask\n\n- Why - so"),
}


@pytest.mark.parametrize("said", WRONG_CUES)
def test_cue_that_cannot_be_read_says_what_to_write(said: str, tmp_path: Path) -> None:
    assert f"`x`: {said}" in told(write_sheet(tmp_path / "01_a.md", WRONG_CUES[said])).replace(
        " - A title", ""
    )


@pytest.mark.parametrize(
    "top", ["# Setup\n\nText.", "Text.\n\n# 01 · Setup\n\nText.", "# 02 · Other\n\nText."]
)
def test_sheet_begins_with_its_number_and_title(top: str, tmp_path: Path) -> None:
    said = told(write_sheet(tmp_path / "01_a.md", cue("x"), top=top))
    assert "01_a.md:1: the title must be the first line and begin with 01 ·." in said


def test_sheet_without_a_paragraph_is_incomplete(tmp_path: Path) -> None:
    assert "there is no text below the title" in told(write_sheet(tmp_path / "01_a.md", top="# 01 · Setup"))


def test_all_faults_of_all_sheets_come_at_once(tmp_path: Path) -> None:
    write_sheet(tmp_path / "01_a.md", cue("x", minutes="?", least="?", priority="?"), cue("y", if_cut="?"))
    write_sheet(tmp_path / "02_b.md", cue("z", fallback="?"))
    with pytest.raises(cues.CueError, match=r"^5 faults in the cue sheets:") as caught:
        cues.read_all(tmp_path)
    places = [(fault.file.name, fault.cue) for fault in caught.value.faults]
    assert places == [*[("01_a.md", "`x`")] * 3, ("01_a.md", "`y`"), ("02_b.md", "`z`")]


def test_folder_is_read_in_the_notebooks_order_and_only_its_sheets(tmp_path: Path) -> None:
    for name in ("02_b.md", "01_a.md"):
        write_sheet(tmp_path / name, cue("x"))
    write_sheet(tmp_path / "README.md")
    assert [sheet.name for sheet in cues.read_all(tmp_path)] == ["01_a", "02_b"]


def test_every_sheet_of_the_repository_can_be_read() -> None:
    assert cues.read_all()


def test_the_format_that_is_described_can_be_read(tmp_path: Path) -> None:
    example = re.search(r"\n    ## `after`.*?(?=\n\n\S)", cues.__doc__, flags=re.DOTALL)[0]
    text = "\n".join(line[4:] for line in example.splitlines())
    assert cues.read(write_sheet(tmp_path / "01_a.md", text)).cues[0].cells == ("after", "zoom")
