"""The runner on tiny notebooks: what counts as run, what does not, and what a person is told."""

from __future__ import annotations

import base64
import contextlib
import html.parser
import io
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.notebooks import PARAMETERS
from workshop.runner import report, run
from workshop.runner.result import CellRun, NotebookRun

TELLS = """
import os, json
print(json.dumps({
    "profile": profile, "cwd": os.getcwd(), "pid": os.getpid(), "pictures": os.environ["WORKSHOP_PICTURES"],
    "hash seed": os.environ["PYTHONHASHSEED"], "WORKSHOP_PROFILE": os.environ["WORKSHOP_PROFILE"],
}))
"""
DRAWS = """
import os
from pathlib import Path
from PIL import Image
from PIL.PngImagePlugin import PngInfo
facts = PngInfo()
facts.add_itxt("prompt", "두 사람 <b>")
facts.add_itxt("alt", "two people")
facts.add_itxt("made by", "pocket model")
folder = Path(os.environ["WORKSHOP_PICTURES"], "pocket")
folder.mkdir(parents=True)
Image.new("RGB", (128, 128), "red").save(folder / "couple.png", pnginfo=facts)
Image.effect_noise((1328, 1328), 40).save(folder / "large.png")
"""
SHOWS = "display({\"text/html\": \"<figure><img alt='a drawn dog' src='data:,'></figure>\"}, raw=True)"
HUNGRY = "held = b'x' * 300 * 2**20\nimport time; time.sleep(1)"


@dataclass(frozen=True)
class Ran:
    code: int
    output: Path
    printed: str

    def notebook(self, name: str) -> dict:
        summary = json.loads((self.output / "run.json").read_text(encoding="utf-8"))
        return next(notebook for notebook in summary["notebooks"] if notebook["name"] == name)

    def states(self, name: str) -> list[str]:
        return [cell["state"] for cell in self.notebook(name)["cells"]]

    def first_output(self, name: str, *, cell: str) -> dict:
        executed = json.loads((self.output / f"{name}.ipynb").read_text(encoding="utf-8"))
        found = next(one for one in executed["cells"] if one["id"] == cell)
        return json.loads("".join(found["outputs"][0]["text"]))

    @property
    def page(self) -> str:
        return (self.output / "report.html").read_text(encoding="utf-8")


def ran(folder: Path, *, output: Path, cell_timeout: float = 60) -> Ran:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = run.run([], profile="pocket", output=output, folder=folder, cell_timeout=cell_timeout)
    return Ran(code, output, printed.getvalue())


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, write_notebook: Callable[..., Path]) -> Ran:
    folder = tmp_path_factory.mktemp("good")
    write_notebook(folder / "01_tells.ipynb", "# Tells", PARAMETERS, TELLS, "   ", "# Draws", DRAWS, SHOWS)
    write_notebook(folder / "02_again.ipynb", "# Again", PARAMETERS, TELLS, HUNGRY)
    return ran(folder, output=tmp_path_factory.mktemp("runs") / "good")


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory, write_notebook: Callable[..., Path]) -> Ran:
    folder = tmp_path_factory.mktemp("bad")
    write_notebook(folder / "01_fails.ipynb", "# Breaks <here>", PARAMETERS, "one = 1\none / 0", "'never'")
    write_notebook(folder / "02_dies.ipynb", PARAMETERS, "import os\nos._exit(0)", "'never'", "'ever'")
    kill = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    write_notebook(folder / "03_dies_last.ipynb", PARAMETERS, kill)
    write_notebook(folder / "04_skips.ipynb", PARAMETERS, ("'skipped'", ["skip-execution"]), "'runs'")
    write_notebook(folder / "05_sleeps.ipynb", PARAMETERS, "import time\ntime.sleep(600)")
    write_notebook(folder / "06_fine.ipynb", PARAMETERS)
    return ran(folder, output=tmp_path_factory.mktemp("runs") / "bad", cell_timeout=4)


def test_notebooks_that_run_from_top_to_bottom_end_with_0(good: Ran) -> None:
    assert good.code == 0
    assert good.states("01_tells") == ["ran"] * 4  # without the blank cell and the injected parameters
    assert "2 of 2 ran from top to bottom" in good.printed


def test_notebook_gets_profile_folder_and_environment(good: Ran) -> None:
    told = good.first_output("01_tells", cell="cell-2")
    assert told["profile"] == told["WORKSHOP_PROFILE"] == "pocket"
    assert told["pictures"] == str(good.output / "pictures")
    assert told["hash seed"] == "0"
    assert Path(told["cwd"]).name.startswith("good")  # its own folder, as in JupyterLab


def test_each_notebook_gets_a_fresh_kernel(good: Ran) -> None:
    first, second = (good.first_output(name, cell="cell-2")["pid"] for name in ("01_tells", "02_again"))
    assert first != second != os.getpid()


def test_environment_is_put_back_after_the_run(good: Ran) -> None:
    assert os.environ.get("WORKSHOP_PICTURES") != str(good.output / "pictures")
    assert "WORKSHOP_PROFILE" not in os.environ


def test_peak_memory_is_the_kernels(good: Ran) -> None:
    assert good.notebook("02_again")["peak_bytes"] > 300 * 2**20 > good.notebook("01_tells")["peak_bytes"]


def test_one_bad_notebook_makes_the_run_end_with_1_and_the_others_still_run(bad: Ran) -> None:
    assert bad.code == 1
    assert "1 of 6 ran from top to bottom" in bad.printed
    assert bad.states("06_fine") == ["ran"]


def test_failing_cell_is_shown_with_its_source_and_traceback(bad: Ran) -> None:
    assert bad.states("01_fails") == ["ran", "failed", "not run"]
    for text in (
        "✗ 01_fails, code cell 2: a cell failed",
        "| one / 0",
        "ZeroDivisionError: division by zero",
    ):
        assert text in bad.printed
    assert "\x1b[" not in bad.printed  # a log shows no colour codes
    assert f"{bad.output}/01_fails.ipynb" in bad.printed


def test_dead_kernel_is_noticed_and_what_follows_does_not_count_as_run(bad: Ran) -> None:
    assert bad.states("02_dies") == ["ran", "failed", "not run", "not run"]
    assert "✗ 02_dies, code cell 2: the kernel died" in bad.printed
    assert "Did not run: cell 3: 'never'" in bad.printed


def test_kernel_that_dies_in_the_last_cell_is_noticed(bad: Ran) -> None:
    assert bad.states("03_dies_last") == ["ran", "failed"]
    assert bad.notebook("03_dies_last")["problem"] == "the kernel died"


def test_cell_that_was_skipped_does_not_count_as_run(bad: Ran) -> None:
    assert bad.states("04_skips") == ["ran", "not run", "ran"]
    assert bad.notebook("04_skips")["problem"] == "1 of 3 cells did not run"


def test_cell_that_never_ends_is_stopped(bad: Ran) -> None:
    assert bad.notebook("05_sleeps")["problem"] == "a cell ran for more than 4 s"
    assert bad.states("05_sleeps") == ["ran", "failed"]


class Links(html.parser.HTMLParser):
    """Collect what a page would fetch (src, stylesheets) and where its links lead."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sources: list[tuple[str, str]] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        if "src" in given:
            self.sources.append((given["src"] or "", given.get("alt") or ""))
        if tag == "a":
            self.links.append(given["href"] or "")


def test_report_stands_alone_and_its_links_lead_to_files_of_the_run(good: Ran, bad: Ran) -> None:
    for page, output in ((good.page, good.output), (bad.page, bad.output)):
        found = Links(page)
        assert all(source.startswith("data:") for source, _ in found.sources)
        assert not found.tags & {"script", "link", "iframe"}
        assert "@import" not in page and "url(" not in page
        assert found.links and all((output / link).is_file() for link in found.links)


def test_report_shows_every_picture_with_its_prompt_and_says_whose_it_is(good: Ran) -> None:
    assert "All 2 notebooks ran from top to bottom" in good.page
    assert "<strong>두 사람 &lt;b&gt;</strong>" in good.page
    assert "Pictures by the pocket model" in good.page
    alts = [alt for _, alt in Links(good.page).sources]
    assert alts == ["two people", "large", "a drawn dog"]


def test_report_shows_a_table_with_what_it_needs_of_its_html_and_no_more(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"levels": {"<b>seed 3</b>": 2.5}})
    page = frame.to_html().replace("<td>", "<td onclick='alert(1)'>") + "<script>alert(2)</script>"
    shown = {"output_type": "display_data", "data": {"text/html": page}}
    cell = CellRun(7, "how-far", "How far apart?", "frame", "ran", 0.1, outputs=[shown])
    run_of_one = NotebookRun("01_tells", [cell], 1.0)
    report.write([run_of_one], output=tmp_path, profile="pocket", started=datetime(2026, 1, 1))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<figcaption>How far apart? (cell 7)</figcaption>" in page
    assert "<th>&lt;b&gt;seed 3&lt;/b&gt;</th>" in page and "<td>2.5</td>" in page
    assert "alert" not in page and "<style" not in page.partition("<body>")[2]


def test_report_embeds_a_large_picture_smaller(good: Ran) -> None:
    from PIL import Image

    data = next(source for source, alt in Links(good.page).sources if alt == "large")
    with Image.open(io.BytesIO(base64.b64decode(data.split(",")[1]))) as embedded:
        assert max(embedded.size) == report.WIDEST
    with Image.open(good.output / "pictures" / "pocket" / "large.png") as kept:
        assert kept.size == (1328, 1328)


def test_report_puts_what_failed_first(bad: Ran) -> None:
    assert "5 of 6 notebooks stopped: 01_fails, 02_dies, 03_dies_last, 04_skips, 05_sleeps" in bad.page
    shown = bad.page.index("01_fails, code cell 2: a cell failed")
    assert shown < bad.page.index("ZeroDivisionError: division by zero") < bad.page.index("Made with")
    assert "Breaks &lt;here&gt;" in bad.page and "<here>" not in bad.page


def test_report_names_each_cell_by_its_id(good: Ran) -> None:
    assert re.findall(r"<td>(\d+)</td><td><code>([\w-]+)</code></td>", good.page)[0] == ("1", "cell-1")


def test_report_gives_seconds_for_each_cell_that_ran(good: Ran) -> None:
    seconds = re.findall(r'<td class="seconds">([\d.]+)</td>', good.page)
    assert len(seconds) == len(good.states("01_tells")) + len(good.states("02_again"))
    assert max(map(float, seconds)) >= 1.0  # one cell sleeps for a second


def test_versions_name_packages_and_machine_without_importing_torch() -> None:
    found = report.read_versions()
    assert re.match(r"\d+\.\d+\.\d+.* \(built for ", found["torch"])
    assert found["diffsynth"] == "2.1.12"
    assert re.fullmatch(r"\d+ CPU cores, \d+ GiB memory", found["machine"])


def test_notebook_that_would_ignore_the_profile_is_refused(
    tmp_path: Path, write_notebook: Callable[..., Path]
) -> None:
    write_notebook(tmp_path / "01_deaf.ipynb", 'profile = "auto"', ("steps = 40", ["parameters"]))
    with pytest.raises(ValueError, match=r"01_deaf.ipynb would ignore the profile.*Add one"):
        run.run([], profile="pocket", output=tmp_path / "out", folder=tmp_path)
    assert not (tmp_path / "out").exists()


def test_earlier_results_are_never_mixed_with_new_ones(
    tmp_path: Path, write_notebook: Callable[..., Path]
) -> None:
    write_notebook(tmp_path / "01_fine.ipynb", PARAMETERS)
    with pytest.raises(ValueError, match=r"is not empty. Choose another folder with --output"):
        run.run([], profile="pocket", output=tmp_path, folder=tmp_path)


def test_command_line_says_what_would_run_and_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run.main(["01", "--profile", "pocket", "--output", "here", "--dry-run"]) == 0
    assert "Would run 01_setup into here" in capsys.readouterr().out
    assert list(tmp_path.glob("here")) == []


@pytest.mark.parametrize("wrong", [["nonsense"], ["--profile", "h100"]])
def test_command_line_ends_with_2_and_the_reason_for_a_wrong_word(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main([*wrong, "--dry-run"]) == 2
    assert re.search(r"\./scripts/run: .*These are: ", capsys.readouterr().err)
