"""The only reader of .ipynb: which notebooks there are, and what is in their cells."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.notebooks import PARAMETERS
from workshop import notebooks
from workshop.files import REPO
from workshop.notebooks import LABS, TALK


def test_the_seven_of_the_talk_are_found_in_order() -> None:
    assert [path.name[:2] for path in notebooks.find()] == ["01", "02", "03", "04", "05", "06", "07"]


def test_a_lab_is_no_notebook_of_the_talk(tmp_path: Path) -> None:
    for name in ("02_b", "01_a", "L01_noise", "Later", "draft"):
        (tmp_path / f"{name}.ipynb").touch()
    assert [path.stem for path in notebooks.find(TALK, folder=tmp_path)] == ["01_a", "02_b"]
    assert [path.stem for path in notebooks.find(LABS, folder=tmp_path)] == ["L01_noise"]
    assert [path.stem for path in notebooks.select([], folder=tmp_path)] == ["01_a", "02_b"]
    assert [path.stem for path in notebooks.select(["L01", "01"], folder=tmp_path)] == ["01_a", "L01_noise"]


def test_labs_means_every_lab_and_they_may_lie_in_a_folder_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "labs").mkdir()
    for name in ("01_a", "labs/L02_steps", "labs/L01_noise"):
        (tmp_path / f"{name}.ipynb").touch()

    def stems(*names: str) -> list[str]:
        return [path.stem for path in notebooks.select(names, folder=tmp_path)]

    assert stems("labs") == ["L01_noise", "L02_steps"]
    assert stems("labs", "01") == ["01_a", "L01_noise", "L02_steps"]
    assert stems("L02") == stems(str(tmp_path / "labs/L02")) == ["L02_steps"]
    (tmp_path / "talk").mkdir()
    (tmp_path / "talk/01_a.ipynb").touch()
    with pytest.raises(
        ValueError, match=r"There is no lab in .*talk\. Their names begin with an L and a number"
    ):
        notebooks.select(["labs"], folder=tmp_path / "talk")


def test_names_are_found_as_number_stem_or_path_in_the_folders_order(tmp_path: Path) -> None:
    for name in ("01_setup", "02_inference", "04_multilingual"):
        (tmp_path / f"{name}.ipynb").touch()

    def stems(*names: str) -> list[str]:
        return [path.stem for path in notebooks.select(names, folder=tmp_path)]

    assert stems() == ["01_setup", "02_inference", "04_multilingual"]
    assert stems("04", f"{tmp_path}/01_setup.ipynb", "04_multilingual") == ["01_setup", "04_multilingual"]
    with pytest.raises(ValueError, match=r"'05' is no notebook. These are: 01_setup, 02_inference, 04_multi"):
        stems("01", "05")
    with pytest.raises(ValueError, match="'0' means 3 notebooks"):
        stems("0")


def test_a_path_means_only_what_lies_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "my-copy" / "01_setup.ipynb"
    copy.parent.mkdir()
    copy.write_text("{}", encoding="utf-8")
    for name in (str(copy), "my-copy/01_setup.ipynb", "./01_setup", "nowhere/01", "../01_setup.ipynb"):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ValueError, match=rf"{re.escape(repr(name))} is not in notebooks/"):
            notebooks.select([name])
    for here, name in (
        (tmp_path, "notebooks/01"),
        (REPO / "notebooks", "./01_setup.ipynb"),
        (REPO, "notebooks/01"),
    ):
        monkeypatch.chdir(here)
        assert [path.stem for path in notebooks.select([name])] == ["01_setup"]


def test_another_folder_of_that_name_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"'notebooks/01' is not in notebooks/"):
        notebooks.select(["notebooks/01"])


def test_one_text_is_no_list_of_names() -> None:
    with pytest.raises(TypeError, match=r"names must be a list, got the text '01'\. Write \['01'\]"):
        notebooks.select("01")


def test_a_folder_without_notebooks_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"There is no notebook in {tmp_path}. Their names begin with a"):
        notebooks.select([], folder=tmp_path)


def test_a_cell_is_what_the_file_says(tmp_path: Path) -> None:
    output = {"output_type": "stream", "name": "stdout", "text": ["two\n", "lines"]}
    cell = {"cell_type": "code", "id": "a-cell", "source": ["a = 1\n", "a"], "execution_count": 3}
    cell |= {"metadata": {"tags": ["parameters"], "papermill": {"duration": 2.5}}, "outputs": [output]}
    words = {"cell_type": "markdown", "source": "# Words", "metadata": {}}
    path = tmp_path / "01_lesson.ipynb"
    raw = {"cells": [words, cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    path.write_text(json.dumps(raw), encoding="utf-8")
    book = notebooks.read(path)
    assert (book.name, book.path, book.version) == ("01_lesson", path, (4, 4))
    (text, code) = book.cells
    assert (text.id, text.kind, text.source, text.tags) == ("", "markdown", "# Words", set())
    assert (code.id, code.kind, code.source, code.tags) == ("a-cell", "code", "a = 1\na", {"parameters"})
    assert (code.metadata["papermill"]["duration"], code.execution_count) == (2.5, 3)
    assert [one["text"] for one in code.outputs] == ["two\nlines"]


def test_blank_cells_are_no_code_and_papermills_cells_are_known(
    tmp_path: Path, write_notebook: Callable[..., Path]
) -> None:
    added = ("profile = 'pocket'", ["injected-parameters"])
    path = write_notebook(tmp_path / "01_lesson.ipynb", "# Words", PARAMETERS, added, "  \n", "1 + 1")
    book = notebooks.read(path)
    assert [cell.source for cell in book.code] == [PARAMETERS[0], added[0], "1 + 1"]
    assert [cell.added for cell in book.code] == [False, True, False]


def test_nothing_is_repaired_when_a_file_is_read(tmp_path: Path, write_notebook: Callable[..., Path]) -> None:
    path = write_notebook(tmp_path / "01_lesson.ipynb", "1", "2")
    raw = json.loads(path.read_text(encoding="utf-8"))
    raw["cells"][1]["id"] = raw["cells"][0]["id"]
    path.write_text(json.dumps(raw), encoding="utf-8")
    assert notebooks.load_raw(path) == raw


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not JSON",
        "[]",
        '{"cells": [{}], "nbformat": 4, "nbformat_minor": 5}',
        '{"nbformat": 4, "nbformat_minor": 5}',
        "null",
    ],
)
def test_a_file_that_is_no_notebook_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "01_broken.ipynb"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"01_broken\.ipynb is no notebook \(.*\). Take one that JupyterLab"):
        notebooks.read(path)


def test_a_notebook_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "01_folder.ipynb").mkdir()
    (tmp_path / "02_latin.ipynb").write_bytes(b'{"cells": "\xe9"}')
    for name, why in (
        ("01_folder", r"\(Is a directory\). Move the folder away"),
        ("02_latin", r"\(it is not UTF-8\). Open it in an editor and save it as UTF-8"),
        ("03_gone", r"\(No such file or directory\). Name one that is there"),
    ):
        with pytest.raises(ValueError, match=rf"{name}\.ipynb cannot be read {why}"):
            notebooks.read(tmp_path / f"{name}.ipynb")


def test_an_old_format_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "01_old.ipynb"
    path.write_text(
        '{"nbformat": 3, "nbformat_minor": 0, "worksheets": [], "metadata": {}}', encoding="utf-8"
    )
    with pytest.raises(ValueError, match=r"01_old\.ipynb has an old format. Open it in JupyterLab and save"):
        notebooks.read(path)
