"""The rehearsal on tiny notebooks: what is measured for each cell, and which pictures are kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from presenter import cues, fallbacks, rehearse, runtimes
from presenter.rehearse import Measured
from presenter.runtimes import Runtime
from tests.support.cue_sheets import cue, write_sheet
from tests.support.notebooks import PARAMETERS
from workshop import gallery, profiles

HUNGRY = "held = b'x' * 300 * 2**20\nimport time; time.sleep(1)"


SAVES = """
from PIL import Image
from workshop import gallery, profiles
machine = profiles.use(profile, models=False)
red, blue = (Image.new("RGB", (128, 128), color) for color in ("red", "blue"))
gallery.save(red, "image_red", prompt="red", seed=0, num_inference_steps=40, cfg_scale=4.0)
"""


SHOWS = "gallery.show([red, blue], ['seed 0', 'seed 1'], alt=['a red square', 'a blue one'], columns=2)"


@pytest.fixture(scope="module")
def rehearsed(
    tmp_path_factory: pytest.TempPathFactory, write_notebook: Callable[..., Path]
) -> tuple[Path, int, list[rehearse.Cells]]:
    """Two rehearsals of a notebook that is good and one that fails."""
    folder, output = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("runs") / "rehearsal"
    write_notebook(folder / "01_good.ipynb", PARAMETERS, HUNGRY, "# Draws", SAVES, SHOWS)
    write_notebook(folder / "02_fails.ipynb", PARAMETERS, "1 / 0", "'never'")
    failed, runs = rehearse.rehearse([], profile="pocket", output=output, times=2, books=folder)
    return output, failed, runs


def test_each_cell_that_ran_is_measured_in_every_run(rehearsed: tuple[Path, int, list]) -> None:
    _, failed, runs = rehearsed
    assert failed == 2 and len(runs) == 2
    for found in runs:
        assert list(found["01_good"]) == ["cell-0", "cell-1", "cell-3", "cell-4"]
        assert list(found["02_fails"]) == ["cell-0"]  # neither the cell that failed nor the one after it


def test_cell_that_sleeps_and_holds_memory_shows_it(rehearsed: tuple[Path, int, list]) -> None:
    for found in rehearsed[2]:
        hungry = found["01_good"]["cell-1"]
        assert hungry.seconds >= 1.0
        assert hungry.peak_gib is not None and hungry.peak_gib > 300 / 1024


def test_median_is_taken_over_the_runs_in_which_a_cell_ran() -> None:
    runs = [
        {"01_a": {"x": Measured(1.0, 0.5), "y": Measured(9.0, None)}},
        {"01_a": {"x": Measured(7.0, 0.9)}},
        {"01_a": {"x": Measured(2.0, None)}},
    ]
    assert rehearse.take_medians(runs) == {"01_a": {"x": Runtime(2.0, 0.7, 3), "y": Runtime(9.0, None, 1)}}


def test_table_names_every_cell_with_its_seconds() -> None:
    printed = rehearse.format_table({"01_a": {"x": Runtime(61.0, 0.7, 3), "y": Runtime(9.0, None, 1)}})
    assert printed.splitlines()[0] == "01_a: 1 min 10 s in 2 cells"
    assert printed.splitlines()[1].split() == ["x", "61.00", "s", "0.70", "GiB"]
    assert printed.splitlines()[2].split() == ["y", "9.00", "s"]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what is applied out of the repository; the folder of the fallback pictures."""
    monkeypatch.setattr(gallery, "FALLBACK", tmp_path / "fallback")
    monkeypatch.setattr(runtimes, "FILE", tmp_path / "runtimes.json")
    return tmp_path / "fallback"


@pytest.fixture
def pocket() -> profiles.Profile:
    return profiles.choose("pocket")


def test_saved_picture_is_kept_as_it_is(
    rehearsed: tuple[Path, int, list], kept: Path, pocket: profiles.Profile
) -> None:
    written, missing = fallbacks.keep_pictures(["image_red"], rehearsed[0] / "2", profile=pocket)
    assert (written, missing) == ([kept / "image_red.png"], [])
    made = rehearsed[0] / "2" / "pictures" / "pocket" / "image_red.png"
    assert (kept / "image_red.png").read_bytes() == made.read_bytes()
    assert gallery.load("image_red", profile=pocket).info["made by"] == "pocket model"


def test_pictures_that_a_cell_showed_are_kept_side_by_side_and_say_whose_they_are(
    rehearsed: tuple[Path, int, list], kept: Path, pocket: profiles.Profile
) -> None:
    fallbacks.keep_pictures(["01-cell-4"], rehearsed[0] / "1", profile=pocket)
    with Image.open(kept / "01-cell-4.png") as picture:
        left, right = (picture.convert("RGB").getpixel((x, 100)) for x in (100, picture.width - 100))
        assert (left, right) == ((255, 0, 0), (0, 0, 255))
        assert picture.info["alt"] == "a red square; a blue one"
        assert picture.info["made by"] == "pocket model"
        below = picture.convert("L").crop((0, 256, picture.width, picture.height))
        assert below.getextrema()[0] < 128  # the captions


def test_pictures_that_a_notebook_saved_are_kept_although_no_cue_names_them(
    rehearsed: tuple[Path, int, list], kept: Path, pocket: profiles.Profile
) -> None:
    said = rehearse.keep_results({}, folder=rehearsed[0] / "1", profile=pocket)
    assert (kept / "image_red.png").is_file() and " 1 fallback pictures " in said


def test_name_that_no_cell_drew_is_told(
    rehearsed: tuple[Path, int, list], kept: Path, pocket: profiles.Profile
) -> None:
    names = ["01-cell-0", "01-cell-9", "09-cell-1", "image_blue"]
    written, missing = fallbacks.keep_pictures(names, rehearsed[0] / "1", profile=pocket)
    assert (written, missing) == ([], names)


def test_apply_keeps_medians_for_this_machine_and_the_pictures_that_cues_name(
    rehearsed: tuple[Path, int, list],
    kept: Path,
    pocket: profiles.Profile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sheet = write_sheet(
        tmp_path / "cues" / "01_good.md", cue("cell-1", fallback="`image_red`"), cue("cell-4")
    )
    monkeypatch.setattr(cues, "read_all", lambda: [cues.read(sheet)])
    found = rehearse.take_medians(rehearsed[2])
    said = rehearse.keep_results(found, folder=rehearsed[0] / "2", profile=pocket)
    assert "Kept the runtimes of 5 cells" in said and "1 fallback pictures" in said
    table = json.loads(runtimes.FILE.read_text())
    assert table["pocket model"]["01_good"]["cell-1"]["runs"] == 2
    assert [path.name for path in kept.iterdir()] == ["image_red.png"]


def test_command_refuses_a_name_that_is_no_notebook(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert rehearse.main(["nonsense", "--profile", "pocket", "--output", str(tmp_path / "out")]) == 2
    assert "presenter rehearse: 'nonsense' is no notebook" in capsys.readouterr().err


def test_command_on_a_full_disk_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rehearse, "rehearse", refuse)
    assert rehearse.main(["01", "--profile", "pocket", "--output", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "presenter rehearse: [Errno 28] No space left on device. Free some space" in said
    assert "take another --output." in said
