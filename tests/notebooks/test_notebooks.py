"""The notebooks: each runs from top to bottom on the pocket model, cell by cell, and keeps to its form."""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Callable
from itertools import chain, pairwise
from pathlib import Path

import pytest

from tests.notebooks.expected import PICTURES, PLOTS, SAID
from workshop import exercises, notebooks
from workshop.files import POCKET
from workshop.profiles import Profile
from workshop.runner import run
from workshop.runner.result import CellRun, NotebookRun

NOTEBOOKS = [*notebooks.find(), *notebooks.find(notebooks.LABS)]
NAMES = [path.stem for path in NOTEBOOKS]
LABEL = Profile("pocket", "cpu", "float32", 128, POCKET, "").label
# Keys as hubs and clouds write them, and assignments to a name that speaks of one.
KEY_NAMES = "api_?key|access_?token|token|password|secret"
SECRET = rf"\b(hf_|ghp_|sk-|AKIA)[A-Za-z0-9]{{16,}}|(?i:\b({KEY_NAMES})\\?[\"']?\s*[=:])"
# A speed in prose: seconds, a rate, a comparison. Timings belong into the run's report.
SPEED = (
    r"\b\d+([.,]\d+)? ?(s|ms|seconds?|minutes?|fps|it/s|[tg]b/s|tflops)\b|\b(faster|fastest|quicker|slower) "
)
VENDORS = r"\b(nvidia|cuda|h100|h200|a100|b200|geforce|rtx|intel|gaudi|tpu|apple|competitors?)\b"
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def path_of(name: str) -> Path:
    (path,) = notebooks.select([name])
    return path


def output_text(cell: CellRun) -> str:
    texts = []
    for output in cell.outputs:
        data = output.get("data", {})
        texts += [
            output.get("text", ""),
            *(data.get(f"text/{kind}", "") for kind in ("plain", "markdown", "html")),
        ]
    return "\n".join(texts)


def figures(cell: CellRun) -> list[str]:
    return re.findall(r"<figure.*?</figure>", output_text(cell), re.DOTALL)


# Executed


@pytest.fixture(scope="session")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], NotebookRun]:
    """Give a function that runs a notebook on the pocket profile, each at most once."""
    done: dict[str, NotebookRun] = {}

    def execute(name: str) -> NotebookRun:
        if notebooks.is_lab(path_of(name)):
            pytest.importorskip("diffusers", reason="./scripts/setup --labs installs it")
        if name not in done:
            into = tmp_path_factory.mktemp(name)
            with run.kernel_environment("pocket", pictures=into / "pictures"):
                done[name] = run.execute(path_of(name), into=into, profile="pocket")
        return done[name]

    return execute


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_cell_runs_from_the_top_without_an_error(
    name: str, executed: Callable[[str], NotebookRun]
) -> None:
    result = executed(name)
    failed = result.failed_cell
    assert not result.problem, f"{result.problem}\n{failed and failed.source}\n{failed and failed.error}"
    sources = [cell.id for cell in notebooks.read(path_of(name)).code]
    assert [cell.id for cell in result.cells] == sources
    assert {cell.state for cell in result.cells} == {"ran"}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_first_output_says_that_it_is_the_pocket_model(
    name: str, executed: Callable[[str], NotebookRun]
) -> None:
    first = next(output_text(cell) for cell in executed(name).cells if cell.outputs)
    assert first.startswith(f"Profile pocket: {LABEL}")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_where_they_should_be_and_say_whose_they_are(
    name: str, executed: Callable[[str], NotebookRun]
) -> None:
    found = {cell.id: figures(cell) for cell in executed(name).cells if figures(cell)}
    plots = {cell: found.pop(cell) for cell in PLOTS[name] if cell in found}
    assert plots.keys() == PLOTS[name]
    assert {cell: len(shown) for cell, shown in found.items()} == PICTURES[name]
    for shown in found.values():
        assert all(re.search(rf"<figcaption[^>]*>.*?{LABEL}</figcaption>", figure) for figure in shown)
    for figure in chain(*found.values(), *plots.values()):
        alt = html.unescape(re.search(r'alt="([^"]*)"', figure)[1])
        assert len(alt) > 10 and alt != "a picture without a description"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "cell_id"), SAID)
def test_a_cell_says_what_the_lesson_rests_on(
    name: str, cell_id: str, executed: Callable[[str], NotebookRun]
) -> None:
    cell = next(cell for cell in executed(name).cells if cell.id == cell_id)
    assert SAID[name, cell_id] in output_text(cell)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_unsolved_exercises_wait_and_do_not_stop_the_notebook(
    name: str, executed: Callable[[str], NotebookRun]
) -> None:
    asked = [cell for cell in executed(name).cells if "exercises.check(" in cell.source]
    assert 3 <= len(asked) <= 4
    for cell in asked:
        said = output_text(cell)
        assert said.strip().endswith(": waiting for you") or ("✗ not yet" in said and "yours:" in said)
        assert "an error" not in said


@pytest.mark.slow
def test_the_setup_notebook_never_waits_for_diffsynth(executed: Callable[[str], NotebookRun]) -> None:
    assert not any(
        "Importing torch and DiffSynth" in output_text(cell) for cell in executed("01_setup").cells
    )
    assert "diffsynth" not in imports(path_of("01_setup"))


def imports(path: Path) -> set[str]:
    found = set()
    for cell in notebooks.read(path).code:
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom):
                found.add((node.module or "").split(".")[0])
            elif isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
    return found


# As written


def test_the_notebooks_of_this_workshop_are_here() -> None:
    assert set(NAMES) == PICTURES.keys() == PLOTS.keys()


@each_notebook
def test_it_opens_with_one_title_and_what_a_reader_must_know(path: Path) -> None:
    cells = notebooks.read(path).cells
    text = "\n".join(cell.source for cell in cells if cell.kind == "markdown")
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1
    opening = cells[0].source
    assert opening.startswith(f"# {path.stem.partition('_')[0]} · ")
    assert re.search(r"^\*\*\d+ minutes · .*(knowledge|for anyone who)", opening, re.MULTILINE)
    assert "**You will**" in opening and "**You should see**" in opening
    needed = opening.partition("**You need**")[2].partition("**You should see**")[0]
    both = ("Linux, macOS or WSL", "set up", "any laptop")
    talk, lab = ("one AMD Instinct MI300X", "pocket model"), ("./scripts/setup --labs", "Python 3.11")
    for prerequisite in (*both, *(lab if notebooks.is_lab(path) else talk)):
        assert prerequisite in needed


@each_notebook
def test_the_set_up_is_verified_before_anything_else(path: Path) -> None:
    cells = notebooks.read(path).cells
    chosen = next(i for i, cell in enumerate(cells) if "profiles.use(profile" in cell.source)
    before = [cell.source for cell in cells[:chosen] if cell.kind == "code"]
    assert before == ['profile = "auto"'] and "**Verify**" in cells[chosen - 1].source


def test_each_notebook_names_the_one_that_follows_it() -> None:
    for path, after in pairwise(notebooks.find()):
        assert re.search(
            rf"(Next: \[{after.stem}\]|Go on with {after.stem}\.)", path.read_text(encoding="utf-8")
        )


@each_notebook
def test_ids_are_unique_and_mean_something(path: Path) -> None:
    ids = [cell.id for cell in notebooks.read(path).cells]
    assert len(set(ids)) == len(ids)
    assert all(
        re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", one) and not re.search(r"\d{3}", one) for one in ids
    )


@each_notebook
def test_the_kernel_is_plain_python(path: Path) -> None:
    assert notebooks.load_raw(path)["metadata"]["kernelspec"]["name"] == "python3"
    assert notebooks.read(path).version == (4, 5)


@each_notebook
def test_text_and_code_take_turns(path: Path) -> None:
    kinds = "".join(cell.kind[0] for cell in notebooks.read(path).cells)
    assert kinds.startswith("m") and "cc" not in kinds, "a code cell without words before it"
    assert 1 <= kinds.count("m") / kinds.count("c") <= 1.6


@each_notebook
def test_code_cells_are_short(path: Path) -> None:
    lengths = sorted(len(cell.source.splitlines()) for cell in notebooks.read(path).code)
    median = 10 if notebooks.is_lab(path) else 8  # a lab writes out whole algorithms
    assert lengths[-1] <= 25 and lengths[len(lengths) // 2] <= median


@each_notebook
def test_the_profile_is_a_parameter(path: Path) -> None:
    marked = [cell for cell in notebooks.read(path).code if "parameters" in cell.tags]
    assert [cell.source for cell in marked] == ['profile = "auto"']


@each_notebook
def test_nothing_private_heavy_or_silenced_is_in_the_file(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for unwanted in (
        "base64",
        "/home/",
        "/Users/",
        "/root/",
        "~/",
        "%%capture",
        "filterwarnings",
        "logging.disable",
    ):
        assert unwanted not in text
    assert not re.search(r"!\[[^\]]*\]\(http", text), "a picture from the network"
    assert not re.search(SECRET, text), "what looks like a key or a password"
    assert len(text) < 100_000


@pytest.mark.parametrize(
    "text", ["hf_" + "a1" * 15, "sk-" + "b2" * 12, "AKIA" + "C3D4" * 4, "token = 'x'", "password: y"]
)
def test_a_secret_would_be_found(text: str) -> None:
    assert re.search(SECRET, f'"source": ["login({text})"]')


@each_notebook
def test_there_is_one_exercise_of_each_kind(path: Path) -> None:
    cells = notebooks.read(path).cells
    places = [i for i, cell in enumerate(cells) if cell.source.startswith("### Exercise")]
    kinds = []
    for place in places:
        task, stub, solution = cells[place : place + 3]
        kinds.append(re.match(r"### Exercise · (\w+) · \d+ minutes\n", task.source)[1])
        assert len(task.source.strip().splitlines()) <= 5 and "Your answer is" in task.source
        assert f"# {kinds[-1]}:" in stub.source
        name = re.search(r'exercises\.check\("([^"]+)"', stub.source)[1]
        assert name in exercises.JUDGES
        assert solution.source.startswith("<details><summary>Solution</summary>\n\n")
        assert solution.source.endswith("\n\n</details>")
    assert sorted(set(kinds) - {"loop", "mend"}) == ["break", "extend", "tweak"] and len(kinds) == len(
        set(kinds)
    )


def test_every_exercise_is_asked_in_exactly_one_notebook() -> None:
    text = "\n".join(cell.source for path in NOTEBOOKS for cell in notebooks.read(path).code)
    asked = re.findall(r'exercises\.check\("([^"]+)"', text)
    assert sorted(asked) == sorted(exercises.JUDGES)


@each_notebook
def test_a_prediction_is_asked_for_before_something_is_measured(path: Path) -> None:
    text = [cell.source for cell in notebooks.read(path).cells if cell.kind == "markdown"]
    assert sum("**Predict" in one for one in text) >= 2


DRAWS = re.compile(r"(?<![\w.])pipe\(|drawing\.(draw|series)\(|draw_dogs\(")
LOADS = re.compile(r"load_lora\(|lora\.load\(")
SETS = re.compile(r"clear_lora\(|load_pipeline\(")


@each_notebook
def test_a_cell_that_draws_sets_the_loras_itself_in_whatever_order_cells_run(path: Path) -> None:
    code = notebooks.read(path).code
    if not any(LOADS.search(cell.source) for cell in code):
        return
    for cell in code:
        drawn, found = DRAWS.search(cell.source), SETS.search(cell.source)
        assert not drawn or (found and found.start() < drawn.start()), f"{cell.id}: which LoRAs are loaded?"


READS = re.compile(r"looking\.(look|describe|identity|tally|tabulate_dogs)\(")


@each_notebook
def test_the_reader_is_explained_before_it_reads(path: Path) -> None:
    cells = notebooks.read(path).cells
    reads = [i for i, cell in enumerate(cells) if cell.kind == "code" and READS.search(cell.source)]
    before = " ".join(cell.source for cell in cells[: min(reads, default=0)])
    said = re.search(r"(?s)small network that names .*(nobody asks|never asked)", before, re.IGNORECASE)
    assert not reads or said, f"{cells[reads[0]].id} reads a picture, and nobody said by what"


@each_notebook
def test_no_speed_is_claimed_and_no_vendor_compared(path: Path) -> None:
    prose = [cell.source for cell in notebooks.read(path).cells if cell.kind == "markdown"]
    for text in prose:
        text = re.sub(r"^(\*\*|### Exercise · \w+ · )\d+ minutes", "", text, flags=re.MULTILINE).lower()
        assert not re.search(SPEED, text) and not re.search(VENDORS, text) and "impossible" not in text


@pytest.mark.parametrize("claim", ["a picture in 2.5 s", "40 minutes", "5.3 TB/s", "a faster card"])
def test_a_claim_of_speed_would_be_found(claim: str) -> None:
    assert re.search(SPEED, f"you get {claim.lower()} here")
