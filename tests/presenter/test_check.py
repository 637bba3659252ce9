"""The check: one broken fixture for every rule, and the sheets of this repository."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from presenter import check, cues, facts, runtimes
from presenter.runtimes import Runtime
from tests.support.cue_sheets import LEVELS, cue, write_sheet
from workshop import gallery

CODE = "steps = 40\nsize = 128"


class House:
    """A folder of notebooks and one of cue sheets that agree, until a test breaks something."""

    def __init__(self, folder: Path, write_notebook: Callable[..., Path]) -> None:
        self.notebooks, self.sheets = folder / "notebooks", folder / "cues"
        self.write_notebook = write_notebook
        self.notebook("01_one", "# Title", CODE, "two = 2")
        self.sheet("01_one", cue("cell-1"), cue("cell-2"))

    def notebook(self, name: str, *cells: str) -> Path:
        return self.write_notebook(self.notebooks / f"{name}.ipynb", *cells)

    def sheet(self, name: str, *parts: str) -> Path:
        return write_sheet(self.sheets / f"{name}.md", *parts)

    def say(self, text: str) -> None:
        """Put a text into the first cue."""
        self.sheet("01_one", cue("cell-1", body=f"**Say.** {text}\n\n{LEVELS}"), cue("cell-2"))

    def change(self, **changes: object) -> None:
        """Change the notebook's file."""
        path = self.notebooks / "01_one.ipynb"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def series(self, *minutes: float, priority: str = "should") -> None:
        """Make all seven notebooks, each with one cue of so many minutes, and one must cue of 1 minute."""
        for number, one in enumerate(minutes, start=1):
            name = f"0{number}_lesson"
            self.notebook(name, "a = 1", "b = 2")
            self.sheet(name, cue("cell-0", minutes=one, priority=priority), cue("cell-1", minutes=1))

    @property
    def faults(self) -> list[str]:
        _, faults = check.check_all(self.sheets, books=self.notebooks)
        folders = (f"{self.sheets}/", f"{self.notebooks}/")
        return [str(fault).replace(folders[0], "").replace(folders[1], "") for fault in faults]

    @property
    def fault(self) -> str:
        (fault,) = self.faults
        return fault


@pytest.fixture
def house(tmp_path: Path, write_notebook: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr(gallery, "FALLBACK", tmp_path / "fallback")
    monkeypatch.setattr(runtimes, "FILE", tmp_path / "runtimes.json")
    return House(tmp_path, write_notebook)


def test_sheets_that_agree_with_their_notebooks_have_no_fault(house: House) -> None:
    assert house.faults == []


def test_code_cell_without_a_cue_is_named(house: House) -> None:
    house.sheet("01_one", cue("cell-1"))
    assert house.fault == (
        "01_one.md: `cell-2`: this code cell has no cue. Add it to a cue, or write one for it after `cell-1`."
    )


def test_blank_and_markdown_cells_need_no_cue_and_a_markdown_cell_may_have_one(house: House) -> None:
    house.notebook("01_one", "# Title", CODE, "two = 2", "   ")
    house.sheet("01_one", cue("cell-0"), cue("cell-1"), cue("cell-2"))
    assert house.faults == []


def test_cue_for_a_cell_that_is_gone_says_which_is_nearest(house: House) -> None:
    house.sheet("01_one", cue("cell-1 cell-2"), cue("cell-9"))
    assert house.fault == "01_one.md:25: `cell-9`: 01_one.ipynb has no cell `cell-9`. Is it `cell-2`?"


def test_cell_in_two_cues_is_named(house: House) -> None:
    house.sheet("01_one", cue("cell-1"), cue("cell-2"), cue("cell-2"))
    assert len(house.faults) == 2
    assert "`cell-2` is in 2 cues. Leave it in one of them." in house.faults[0]


def test_cues_follow_the_notebooks_order(house: House) -> None:
    house.sheet("01_one", cue("cell-2"), cue("cell-1"))
    assert "`cell-1` stands before the cell above it. Put cues and their cells into" in house.fault


def test_two_cells_of_one_id_are_named(house: House) -> None:
    notebook = json.loads((house.notebooks / "01_one.ipynb").read_text())
    notebook["cells"][0]["id"] = "cell-1"
    house.change(cells=notebook["cells"])
    assert "01_one.ipynb: 2 cells have the id `cell-1`. Give each cell an id of its own." in house.faults


def test_notebook_of_an_old_format_is_named(house: House) -> None:
    house.change(nbformat_minor=4)
    assert "01_one.ipynb: the format is 4.4; cells have ids from 4.5 on. Open it in JupyterLab" in house.fault


def test_cell_without_an_id_is_named(house: House) -> None:
    notebook = json.loads((house.notebooks / "01_one.ipynb").read_text())
    del notebook["cells"][0]["id"]
    house.change(cells=notebook["cells"])
    assert house.fault.startswith("01_one.ipynb: a cell has no id.")


def test_notebook_without_a_sheet_and_sheet_without_a_notebook_are_named(house: House) -> None:
    house.notebook("02_two", "a = 1")
    house.sheet("03_three", cue("cell-0"))
    assert house.faults == [
        "03_three.md: there is no notebook of this name. Rename the sheet, or add notebooks/03_three.ipynb",
        "02_two.ipynb: there is no cue sheet for this notebook. Write presenter/cues/02_two.md",
    ]


def test_sheet_that_cannot_be_read_is_reported_beside_the_other_faults(house: House) -> None:
    house.sheet("01_one", cue("cell-1", minutes="two", priority="nice"))
    assert len(house.faults) == 2
    assert "minutes is 'two'" in house.faults[0] and "`cell-2`: this code cell has no cue" in house.faults[1]


@pytest.mark.parametrize("level", cues.LEVELS)
def test_must_cue_has_something_to_say_at_each_level(level: str, house: House) -> None:
    body = LEVELS.replace(f"### {level.capitalize()}\n\n- A point.", "")
    house.sheet("01_one", cue("cell-1", body=body), cue("cell-2", body="", priority="should"))
    assert f"`cell-1`: a must cue has nothing to say to {level} listeners. Write a list below" in house.fault


def test_fallback_picture_must_be_there(house: House) -> None:
    house.sheet("01_one", cue("cell-1", fallback="`face`"), cue("cell-2"))
    assert (
        "`cell-1`: there is no fallback picture `face`. Make it with `./scripts/presenter rehearse"
        in house.fault
    )
    gallery.FALLBACK.mkdir()
    (gallery.FALLBACK / "face.png").touch()
    assert house.faults == []


def test_cell_that_ran_for_long_needs_something_to_talk_about(house: House) -> None:
    runtimes.write("a laptop", {"01_one": {"cell-2": Runtime(95.0, None, 1)}})
    assert "`cell-2`: a cell of it ran for 95 s. Say what to talk about meanwhile" in house.fault
    body = f"**While it runs.** Ask them.\n\n{LEVELS}"
    house.sheet("01_one", cue("cell-1"), cue("cell-2", body=body))
    assert house.faults == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{fact:dit.size}", "There is no fact named 'dit.size'"),
        ("{fact:dit.blocks|loud}", "asks for the form 'loud'"),
        ("{facts:dit.blocks}", "{facts:dit.blocks} is neither a fact nor a runtime"),
        ("{runtime:cell-7}", "there is no code cell `cell-7` to run. Is it `cell-"),
        ("{runtime:09-cell-1}", "'09' is no notebook"),
    ],
)
def test_fact_or_runtime_that_does_not_resolve_is_named_with_its_line(
    text: str, said: str, house: House
) -> None:
    house.say(text)
    assert house.fault.startswith("01_one.md:11: `cell-1`: ") and said in house.fault


def test_facts_and_runtimes_that_resolve_are_no_fault(house: House) -> None:
    house.say("It has {fact:dit.blocks} blocks; this takes {runtime:cell-1}, that {runtime:cell-2}.")
    assert house.faults == []


def test_fact_that_is_not_measured_yet_says_how_to_measure_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from presenter import facts

    unmeasured = facts.Fact("dit.blocks", None, facts.NOT_MEASURED, "")
    monkeypatch.setattr(facts, "_facts", lambda: {"dit.blocks": unmeasured})
    house.say("{fact:dit.blocks} blocks.")
    assert "the fact dit.blocks has no value yet. Measure it" in house.fault


@pytest.mark.parametrize(
    "typed",
    [
        "28.8 billion",
        "99",
        "5 GB",
        "7 s",
        "3 minutes",
        "9 %",
        "2.5",
        "1,024",
        "8×",
        "60-block",
        "−20",
        "4-GB",
    ],
)
def test_typed_number_is_a_fault(typed: str, house: House) -> None:
    house.say(f"It has {typed} of them.")
    assert "01_one.md:11: `cell-1`: the number '" in house.fault
    assert "is typed. Name a fact ({fact:…}, {runtime:…})" in house.fault


@pytest.mark.parametrize(
    "text",
    [
        "Seed 0, and 3 pictures.",
        "The MI300X, bf16, Qwen2.5-VL, Edit-2509 and 3-D positions.",
        "40 steps at 128 px, as in the cell: 40.",
        "In code: `1328 px` and ``x = 57.7 `GB` ``.",
        "See [the next one](02_two.md) and 02 after 01.",
        "{fact:pipeline.memory} of {fact:gpu.memory}.",
        "A list:\n\n10. ten points\n\n```\n57.7 GB in a block\n```",
    ],
)
def test_number_that_is_code_a_name_small_or_a_fact_is_no_fault(text: str, house: House) -> None:
    house.say(text)
    assert house.faults == []


@pytest.mark.parametrize(
    "text",
    [
        *("Seventy blocks", "fifty-nine equal blocks", "thirty steps", "two percent", "twelve billion"),
        *("thirty times", "Three quarters", "half a gigabyte"),
        *("seventy\nblocks", "fifty-nine\nequal blocks", "three\nquarters", "two\npercent"),
    ],
)
def test_number_in_words_that_no_fact_says_is_a_fault(text: str, house: House) -> None:
    house.say(f"{text}, they say.")
    assert " ".join(text.split()) in house.fault and "Let a fact say it: {fact:NAME|words}" in house.fault


def test_number_over_the_end_of_a_line_is_read_whole_and_has_the_line_where_it_begins(house: House) -> None:
    house.say("It has a hundred\nand ninety-two gigabytes.\n\n- Sixty\n- blocks of\n  5\n  GB.")
    assert [fault.partition(" `cell-1`: ")[::2] for fault in house.faults] == [
        ("01_one.md:11:", f"'a hundred and ninety-two gigabytes' is what no fact says. {check.WRITE_WORDS}"),
        (
            "01_one.md:16:",
            "the number '5 GB' is typed. Name a fact ({fact:…}, {runtime:…}), put code into backticks, or "
            "leave the number out.",
        ),
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("Sixty equal blocks, forty steps, eighty passes.", "Two people in three blocks, twelve hats."),
        *("A hundred times, I said.", "ten times its depth: `16 · 10`"),
        *("{fact:lora.memory|words} in {fact:dit.blocks|words} blocks.", "`twelve blocks` in code"),
    ],
)
def test_number_in_words_that_a_fact_says_is_no_fault(text: str, house: House) -> None:
    house.say(text)
    assert house.faults == []


def test_number_of_another_cues_cell_is_still_typed(house: House) -> None:
    house.sheet("01_one", cue("cell-1"), cue("cell-2", body=f"**Say.** 40 steps.\n\n{LEVELS}"))
    assert "`cell-2`: the number '40' is typed" in house.fault


def test_number_in_points_questions_sections_and_lead_is_found(house: House) -> None:
    levels = LEVELS.replace("- A point.", "- It has 61 blocks.", 1)
    ask = "### Ask\n\n- How many? — About 62."
    parts = [cue("cell-1", body=f"{levels}\n\n{ask}"), cue("cell-2", title="The 63"), "## Closing\n\nSee 64."]
    write_sheet(house.sheets / "01_one.md", *parts, top="# 01 · T\n\nSee 65.")
    assert [fault.split("'")[1] for fault in house.faults] == ["65", "61", "62", "63", "64"]


@pytest.mark.parametrize(
    "link", ["[there](#cell:cell-2)", "[up](01_one.md#cell:cell-0)", "[far](05_edit.md#cell:first)"]
)
def test_link_to_a_cell_that_is_there_or_to_a_notebook_to_come_is_no_fault(link: str, house: House) -> None:
    house.say(link)
    assert house.faults == []


def test_link_to_a_cell_that_is_gone_is_named(house: House) -> None:
    house.say("[there](#cell:cell-22)")
    assert "01_one.md:11: `cell-1`: the link to `cell-22` leads nowhere. Is it `cell-2`?" in house.fault


def test_link_to_a_sheet_that_is_gone_is_named_once_the_series_is_whole(house: House) -> None:
    (house.notebooks / "01_one.ipynb").unlink()
    (house.sheets / "01_one.md").unlink()
    house.series(*[10] * 7)
    house.sheet(
        "07_lesson", cue("cell-0", minutes=10, body=f"**Say.** [x](9.md#cell:a)\n\n{LEVELS}"), cue("cell-1")
    )
    assert "there is no sheet '9.md' to link to" in house.fault


@pytest.mark.parametrize(
    ("minutes", "priority", "said"),
    [
        (
            12,
            "should",
            "the minutes of all cues sum to 91, not to 60–90. Change some of: 01 has 13, 02 has 13",
        ),
        (7, "should", "the minutes of all cues sum to 56, not to 60–90"),
        (8, "must", "the must cues take 63 minutes, more than 45. Change some of: 01 has 9"),
    ],
)
def test_sums_over_all_seven_sheets_are_judged(
    minutes: float, priority: str, said: str, house: House
) -> None:
    (house.notebooks / "01_one.ipynb").unlink()
    (house.sheets / "01_one.md").unlink()
    house.series(*[minutes] * 6, priority=priority)
    assert house.faults == []  # six of seven
    house.series(*[minutes] * 7, priority=priority)
    assert said in house.fault


def test_command_prints_every_fault_and_ends_with_1(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    folders = ["--cues", str(house.sheets), "--notebooks", str(house.notebooks)]
    assert check.main(folders) == 0
    assert "✓ 1 sheets, 2 cues, 4 minutes, of which 4 must; 02, 03" in capsys.readouterr().out
    house.say("99 and 98.")
    assert check.main(folders) == 1
    printed = capsys.readouterr()
    assert printed.err.count("✗") == 2 and printed.out.startswith("2 faults: ")


def test_command_names_runtimes_that_are_damaged(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    runtimes.FILE.write_text("{")
    assert check.main(["--cues", str(house.sheets), "--notebooks", str(house.notebooks)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("presenter check: ") and "runtimes.json is damaged" in said


def test_cue_sheets_of_this_repository_agree_with_its_notebooks() -> None:
    sheets, faults = check.check_all()
    assert sheets
    assert [str(fault) for fault in faults] == []


WORDS_A_MINUTE = 130  # of a calm speaker


def test_words_of_a_cue_fit_into_the_least_that_it_is_shortened_to() -> None:
    spoken = [
        (cue, len(facts.fill(cue.notes["Say"], notebook=sheet.name).split()))
        for sheet in check.check_all()[0]
        for cue in sheet.cues
        if cue.least and "Say" in cue.notes
    ]
    assert len(spoken) > 60
    longer = {cue.title: (words, cue.least) for cue, words in spoken if words / WORDS_A_MINUTE > cue.least}
    assert longer == {}


OF_ANOTHER_LANGUAGE = (
    "in place of",
    "each for itself",
    "is no reason",
    "has nowhere to go but",
    "lies on it at once",
)


def find_foreign(text: str) -> list[str]:
    """Find the phrases in a sheet's text, also where they run over the end of a line."""
    prose = " ".join(text.lower().split())
    return [words for words in OF_ANOTHER_LANGUAGE if words in prose]


def test_cue_sheets_are_not_said_in_another_languages_order() -> None:
    found = {sheet.name: find_foreign(sheet.path.read_text()) for sheet in check.check_all()[0]}
    assert len(found) == 7 and not any(found.values()), found


@pytest.mark.parametrize("text", ["one in\nplace of two", "In place of two", "- it is\n  no reason"])
def test_another_languages_order_would_be_found_over_the_end_of_a_line(text: str) -> None:
    assert len(find_foreign(text)) == 1


def test_missing_folder_is_one_fault(house: House, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for folder, what in (
        (tmp_path / "gone", "there is no such folder, and no"),
        (tmp_path, "the folder has no"),
        (file, "this is a file, not a folder with a"),
    ):
        _, (fault,) = check.check_all(folder, books=house.notebooks)
        assert str(fault) == f"{folder}: {what} cue sheet (01_name.md). Name another folder with --cues."
        _, (fault,) = check.check_all(house.sheets, books=folder)
        assert (
            str(fault) == f"{folder}: {what} notebook (01_name.ipynb). Name another folder with --notebooks."
        )


def test_cut_notebook_is_one_fault_and_the_others_are_checked(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = house.notebook("02_two", "# Title", CODE)
    cut.write_bytes(cut.read_bytes()[:-40])
    house.sheet("02_two", cue("cell-1"))
    house.say("It has 57.7 billion parameters.")
    assert check.main(["--cues", str(house.sheets), "--notebooks", str(house.notebooks)]) == 1
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == 2 and "the number '57.7 billion' is typed" in printed[1]
    assert printed[0].startswith(f"✗ {cut}: is no notebook (")
    assert printed[0].endswith(". Take one that JupyterLab opens.")


def test_sheet_that_cannot_be_read_is_one_fault(house: House) -> None:
    (house.sheets / "01_one.md").write_bytes("# 01 · Café".encode("latin-1"))
    expected = (
        "01_one.md: the sheet cannot be read (it is not UTF-8). Open it in an editor and save it as UTF-8."
    )
    assert house.fault == expected


def test_link_into_another_folder_leads_nowhere(house: House) -> None:
    house.say("Look at [it](other/01_one.md#cell:cell-2).")
    assert "there is no sheet 'other/01_one.md' to link to" in house.fault
