"""Notebooks side by side: the report in order, failures at once, and nobody before the pictures it opens."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.notebooks import PARAMETERS
from workshop import cpus, memory, notebooks, profiles
from workshop.runner import jobs, run
from workshop.units import GIB

NOTE = "import os, time, pathlib\nlog = pathlib.Path(os.environ['WORKSHOP_PICTURES'], 'log')\n"
TIMES = NOTE + "with log.open('a') as file: file.write('{0} starts ' + os.environ['OMP_NUM_THREADS'] + '\\n')"
ENDS = NOTE + "time.sleep({1})\nwith log.open('a') as file: file.write('{0} ends\\n')"


@pytest.fixture(scope="module")
def side_by_side(
    tmp_path_factory: pytest.TempPathFactory, write_notebook: Callable[..., Path]
) -> tuple[int, str, Path]:
    """Run four notebooks, three at once; returns exit code, print and folder."""
    import contextlib
    import io

    folder, output = tmp_path_factory.mktemp("four"), tmp_path_factory.mktemp("runs") / "four"
    saves = 'if False:\n    gallery.save(picture, "face", seed=1)'
    loads = 'if False:\n    gallery.load("face")'

    def write(name: str, seconds: float, *more: str) -> None:
        write_notebook(
            folder / f"{name}.ipynb", PARAMETERS, TIMES.format(name), *more, ENDS.format(name, seconds)
        )

    write("01_saves", 6, saves)
    write("02_loads", 0, loads)
    write("03_fails", 0, "one = 1\none / 0")
    write("04_quick", 0)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = run.run([], profile="pocket", output=output, folder=folder, cell_timeout=60, jobs=3)
    return code, printed.getvalue(), output


def test_the_report_is_in_order_and_a_failure_ends_with_1(side_by_side: tuple[int, str, Path]) -> None:
    code, printed, output = side_by_side
    assert code == 1 and "3 of 4 ran from top to bottom" in printed and "3 at once" in printed
    summary = json.loads((output / "run.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in summary["notebooks"]] == ["01_saves", "02_loads", "03_fails", "04_quick"]


def test_a_failure_is_shown_at_once_with_its_cell(side_by_side: tuple[int, str, Path]) -> None:
    lines = side_by_side[1].splitlines()
    shown = next(number for number, line in enumerate(lines) if line.startswith("✗ 03_fails, code cell"))
    slow = next(number for number, line in enumerate(lines) if line.startswith("  ✓ 01_saves"))
    assert shown < slow
    assert any("one / 0" in line for line in lines[shown:slow])


def test_who_opens_a_picture_waits_for_who_saves_it_and_others_do_not(
    side_by_side: tuple[int, str, Path],
) -> None:
    log = (side_by_side[2] / "pictures" / "log").read_text(encoding="utf-8").splitlines()
    assert log.index("01_saves ends") < log.index("02_loads starts 1")
    assert log.index("04_quick starts 1") < log.index("01_saves ends")


def test_the_environment_is_put_back(side_by_side: tuple[int, str, Path]) -> None:
    assert os.environ.get("WORKSHOP_PICTURES") != str(side_by_side[2] / "pictures")


def test_the_notebooks_of_the_talk_wait_as_their_pictures_demand() -> None:
    paths = notebooks.select([])
    needs = {
        path.stem[:2]: {one.stem[:2] for one in needed} for path, needed in jobs.find_needs(paths).items()
    }
    waiting = {"05": {"03", "04"}, "06": {"03", "04", "05"}}
    assert needs == {"01": set(), "02": set(), "03": set(), "04": set(), "07": set(), **waiting}


def test_a_circle_is_refused(tmp_path: Path, write_notebook: Callable[..., Path]) -> None:
    one, two = (
        write_notebook(tmp_path / f"{a}.ipynb", f'gallery.save(x, "{a}")\ngallery.load("{b}")')
        for a, b in ("ab", "ba")
    )
    with pytest.raises(RuntimeError, match=r"wait for each other's pictures: a\.ipynb, b\.ipynb"):
        list(jobs.run_side_by_side([one, two], len, jobs=2))


@pytest.mark.parametrize(
    ("cores", "free", "gpu", "expected"),
    [(8, 64 * GIB, False, 7), (2, 64 * GIB, False, 2), (8, 5 * GIB, False, 2), (8, GIB, False, 1),
     (8, None, False, 7), (1, None, False, 1), (8, 64 * GIB, True, 1)],
)  # fmt: skip
def test_as_many_as_cores_and_memory_allow(
    monkeypatch: pytest.MonkeyPatch, cores: int, free: int | None, gpu: bool, expected: int
) -> None:
    monkeypatch.setattr(cpus, "count", lambda: cores)
    monkeypatch.setattr(memory, "available", lambda: ("host", free))
    assert jobs.choose(7, gpu=gpu) == expected


def test_on_a_gpu_several_at_once_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from tests.support.machines import REAL

    monkeypatch.setattr(profiles, "use", lambda name, *, models: REAL)
    assert run.main(["02", "--jobs", "2", "--output", str(tmp_path / "runs")]) == 2
    assert "--jobs: on a GPU notebooks run one at a time" in capsys.readouterr().err
