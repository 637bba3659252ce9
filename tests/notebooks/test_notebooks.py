"""The notebooks: each runs from top to bottom on the pocket model, cell by cell, and keeps to its form."""

from __future__ import annotations

import ast
import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workshop import exercises
from workshop.profiles import POCKET, REPO, Profile
from workshop.runner import run

NOTEBOOKS = sorted((REPO / "notebooks").glob("[0-9]*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]
COMPARED = "nbval-check-output"
TAGS = {"parameters", COMPARED, "nbval-skip", "nbval-ignore-output"}
LABEL = Profile("pocket", "cpu", "float32", 128, POCKET, "").label
# Pictures of the model that a cell must show; every other cell shows none.
PICTURES = {
    "01_setup": {},
    "02_inference": {
        "first-picture": 1,
        "steps-grid": 6,
        "seed-grid": 4,
        "guidance-grid": 4,
        "denoise-pictures": 8,
    },
    "03_lora": {"after": 2, "zoom": 2, "strength-grid": 6, "stack-pictures": 4},
    "04_multilingual": {"pictures-grid": 4, "mix-pictures": 3},
    "05_edit": {
        "reference-picture": 1,
        "edit-first": 2,
        "identity-seeds": 5,
        "guidance-grid": 4,
        "f2p-seeds": 10,
    },
    "06_multi_image": {
        "people": 2,
        "couple-draw": 3,
        "seeds-grid": 4,
        "pose-grid": 2,
        "fail-grid": 4,
    },
    "07_training": {"before-dogs": 4, "after-dogs": 4, "jumping": 4, "forget": 4, "sweep-steps": 2},
}
PLOTS = {
    "01_setup": set(),
    "02_inference": {"steps-curve", "denoise-curve"},
    "03_lora": {"strength-curve"},
    "04_multilingual": {"tokens-bars", "embed-matrix"},
    "05_edit": set(),
    "06_multi_image": set(),
    "07_training": {"data-pictures", "train", "curve"},
}
SAID = {  # what must be in a cell's output, word for word
    ("01_setup", "verdict"): "You are ready, with the pocket model",
    ("02_inference", "predict-parameters"): "20,430,401,088",
    ("02_inference", "count-parameters"): "ratio 1.0000",
    ("02_inference", "seed-repeat"): "differs by **0.0**",
    ("02_inference", "denoise-equal"): "every pixel: True",
    ("02_inference", "bill"): "69,710,262,451",
    ("03_lora", "matrix-count"): "262,144",
    ("03_lora", "real-count"): "720 modules\npredicted 235,929,600, counted 235,929,600, ratio 1.0000",
    ("03_lora", "file-facts"): "ratio 1.0000",
    ("03_lora", "hot-load"): "72 tensors are patched by LoRA",
    ("03_lora", "clear"): "every bit: True",
    ("03_lora", "permanent"): "equal to the merged picture: True",
    ("03_lora", "reload"): "every bit: True",
    ("04_multilingual", "follow-count"): "Followed, by the reader:",
    ("04_multilingual", "embed-reading"): "Between languages **",
    ("05_edit", "reference-picture"): "image_face: ",
    ("05_edit", "share-free"): "the same object in both: text_encoder, vae; held once, that saves ",
    ("05_edit", "identity-count"): "guessing evenly among the values would keep 34 %",
    ("05_edit", "f2p-count"): "<th>without F2P</th>",
    ("06_multi_image", "people"): "image_man: ",
    ("06_multi_image", "room"): "In memory now: Qwen-Image-Edit, Qwen-Image-Edit-2509",
    ("06_multi_image", "seeds-count"): "Both people, all four seeds: **",
    ("06_multi_image", "count-bill"): "69,710,262,451",
    ("06_multi_image", "count-loaded"): "2 pipelines of the pocket model: ",
    ("07_training", "data-check"): "0 faults in 5 rows",
    ("07_training", "steps-count"): "the real DiT: 235,929,600 numbers",
    ("07_training", "train"): "train 250/250",
    ("07_training", "once-saved"): "s are saved (computed)",
    ("07_training", "curve"): "in 250 steps",
    ("07_training", "after-dogs"): "72 tensors are patched by LoRA",
    ("07_training", "numbers"): "<th>a dog is jumping: it jumps</th>",
    ("07_training", "forget-count"): "although no portrait was trained on",
}
# Keys as hubs and clouds write them, and assignments to a name that speaks of one.
KEY_NAMES = "api_?key|access_?token|token|password|secret"
SECRET = rf"\b(hf_|ghp_|sk-|AKIA)[A-Za-z0-9]{{16,}}|(?i:\b({KEY_NAMES})\\?[\"']?\s*[=:])"
# A speed in prose: seconds, a rate, a comparison. Timings belong into the run's report.
SPEED = (
    r"\b\d+([.,]\d+)? ?(s|ms|seconds?|minutes?|fps|it/s|[tg]b/s|tflops)\b|\b(faster|fastest|quicker|slower) "
)
VENDORS = r"\b(nvidia|cuda|h100|h200|a100|b200|geforce|rtx|intel|gaudi|tpu|apple|competitors?)\b"
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells_of(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell | {"source": "".join(cell["source"])} for cell in cells]


def code_cells(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in cells_of(path) if cell["cell_type"] == "code"]


def tags(cell: dict[str, Any]) -> set[str]:
    return set(cell["metadata"].get("tags", []))


def output_text(cell: run.Cell) -> str:
    texts = []
    for output in cell.outputs:
        data = output.get("data", {})
        texts += [
            output.get("text", ""),
            *(data.get(f"text/{kind}", "") for kind in ("plain", "markdown", "html")),
        ]
    return "\n".join("".join(text) for text in texts)


def figures(cell: run.Cell) -> list[str]:
    return re.findall(r"<figure.*?</figure>", output_text(cell), re.DOTALL)


# Executed


@pytest.fixture(scope="session")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], run.Result]:
    """Give a function that runs a notebook on the pocket profile, each at most once."""
    done: dict[str, run.Result] = {}

    def execute(name: str) -> run.Result:
        if name not in done:
            into = tmp_path_factory.mktemp(name)
            with run.kernel_environment("pocket", pictures=into / "pictures"):
                done[name] = run.execute(
                    REPO / "notebooks" / f"{name}.ipynb", into=into, profile="pocket", cell_timeout=600
                )
        return done[name]

    return execute


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_cell_runs_from_the_top_without_an_error(
    name: str, executed: Callable[[str], run.Result]
) -> None:
    result = executed(name)
    failed = result.failed_cell
    assert not result.problem, f"{result.problem}\n{failed and failed.source}\n{failed and failed.error}"
    sources = [cell["id"] for cell in code_cells(REPO / "notebooks" / f"{name}.ipynb")]
    assert [cell.id for cell in result.cells] == sources
    assert {cell.state for cell in result.cells} == {"ran"}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_first_output_says_that_it_is_the_pocket_model(
    name: str, executed: Callable[[str], run.Result]
) -> None:
    first = next(output_text(cell) for cell in executed(name).cells if cell.outputs)
    assert first.startswith(f"Profile pocket: {LABEL}")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_where_they_should_be_and_say_whose_they_are(
    name: str, executed: Callable[[str], run.Result]
) -> None:
    found = {cell.id: figures(cell) for cell in executed(name).cells if figures(cell)}
    plots = {cell: found.pop(cell) for cell in PLOTS[name] if cell in found}
    assert plots.keys() == PLOTS[name]
    assert {cell: len(shown) for cell, shown in found.items()} == PICTURES[name]
    for shown in found.values():
        assert all(re.search(rf"<figcaption[^>]*>[^<]*{LABEL}</figcaption>", figure) for figure in shown)
    for figure in [*sum(found.values(), []), *sum(plots.values(), [])]:
        alt = html.unescape(re.search(r'alt="([^"]*)"', figure)[1])
        assert len(alt) > 10 and alt != "a picture without a description"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "cell_id"), SAID)
def test_a_cell_says_what_the_lesson_rests_on(
    name: str, cell_id: str, executed: Callable[[str], run.Result]
) -> None:
    cell = next(cell for cell in executed(name).cells if cell.id == cell_id)
    assert SAID[name, cell_id] in output_text(cell)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_unsolved_exercises_say_not_yet_and_do_not_stop_the_notebook(
    name: str, executed: Callable[[str], run.Result]
) -> None:
    asked = [cell for cell in executed(name).cells if "exercises.check(" in cell.source]
    assert len(asked) == 3
    for cell in asked:
        said = output_text(cell)
        assert "✗ not yet" in said and "yours:" in said and "expected:" in said
        assert "an error" not in said


@pytest.mark.slow
def test_the_setup_notebook_never_waits_for_diffsynth(executed: Callable[[str], run.Result]) -> None:
    assert not any(
        "Importing torch and DiffSynth" in output_text(cell) for cell in executed("01_setup").cells
    )
    assert "diffsynth" not in imports(REPO / "notebooks" / "01_setup.ipynb")


def imports(path: Path) -> set[str]:
    found = set()
    for cell in code_cells(path):
        for node in ast.walk(ast.parse(cell["source"])):
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
    cells = cells_of(path)
    text = "\n".join(cell["source"] for cell in cells if cell["cell_type"] == "markdown")
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1
    opening = cells[0]["source"]
    assert opening.startswith(f"# {path.stem[:2]} · ")
    assert re.search(r"^\*\*\d+ minutes · .*(knowledge|for anyone who)", opening, re.MULTILINE)
    assert "**You will**" in opening and "**You should see**" in opening
    needed = opening.partition("**You need**")[2].partition("**You should see**")[0]
    for prerequisite in (
        "Linux, macOS or WSL",
        "set up",
        "one AMD Instinct MI300X",
        "any laptop",
        "pocket model",
    ):
        assert prerequisite in needed


@each_notebook
def test_the_set_up_is_verified_before_anything_else(path: Path) -> None:
    cells = cells_of(path)
    chosen = next(i for i, cell in enumerate(cells) if "profiles.use(profile" in cell["source"])
    before = [cell["source"] for cell in cells[:chosen] if cell["cell_type"] == "code"]
    assert before == ['profile = "auto"'] and "**Verify**" in cells[chosen - 1]["source"]


@each_notebook
def test_ids_are_unique_and_mean_something(path: Path) -> None:
    ids = [cell["id"] for cell in cells_of(path)]
    assert len(set(ids)) == len(ids)
    assert all(
        re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", one) and not re.search(r"\d{3}", one) for one in ids
    )


@each_notebook
def test_the_kernel_is_plain_python(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)


@each_notebook
def test_text_and_code_take_turns(path: Path) -> None:
    kinds = "".join(cell["cell_type"][0] for cell in cells_of(path))
    assert kinds.startswith("m") and "cc" not in kinds, "a code cell without words before it"
    assert 1 <= kinds.count("m") / kinds.count("c") <= 1.6


@each_notebook
def test_code_cells_are_short(path: Path) -> None:
    lengths = sorted(len(cell["source"].splitlines()) for cell in code_cells(path))
    assert lengths[-1] <= 25 and lengths[len(lengths) // 2] <= 8


@each_notebook
def test_the_profile_is_a_parameter(path: Path) -> None:
    marked = [cell for cell in code_cells(path) if "parameters" in tags(cell)]
    assert [cell["source"] for cell in marked] == ['profile = "auto"']


@each_notebook
def test_outputs_are_kept_only_where_they_are_compared(path: Path) -> None:
    compared = [cell for cell in code_cells(path) if COMPARED in tags(cell)]
    assert compared, "nbval would have nothing to compare"
    for cell in code_cells(path):
        assert bool(cell["outputs"]) == (COMPARED in tags(cell)), cell["id"]
        assert tags(cell) <= TAGS and len(tags(cell) - {"parameters"}) == 1, cell["id"]


@each_notebook
def test_what_nbval_compares_needs_nothing_that_it_skips(path: Path) -> None:
    code = [cell for cell in code_cells(path) if "nbval-skip" not in tags(cell)]
    known = set(dir(__builtins__)) | set(vars(__import__("builtins")))
    for cell in code:
        names = [node for node in ast.walk(ast.parse(cell["source"])) if isinstance(node, ast.Name)]
        known |= bound(cell["source"])
        absent = {node.id for node in names if isinstance(node.ctx, ast.Load)} - known
        assert not absent, f"{cell['id']} needs {absent}"


def bound(source: str) -> set[str]:
    """List every name that a cell binds: assignments, imports, functions and their arguments."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef):
            found |= {node.name, *(argument.arg for argument in node.args.args)}
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
    return found


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
def test_there_is_one_exercise_to_tweak_one_to_extend_and_one_to_break(path: Path) -> None:
    cells = cells_of(path)
    places = [i for i, cell in enumerate(cells) if cell["source"].startswith("### Exercise")]
    kinds = []
    for place in places:
        task, stub, solution = cells[place : place + 3]
        kinds.append(re.match(r"### Exercise · (\w+) · \d+ minutes\n", task["source"])[1])
        assert len(task["source"].strip().splitlines()) <= 5 and "Your answer is" in task["source"]
        assert f"# {kinds[-1]}:" in stub["source"]
        name = re.search(r'exercises\.check\("([^"]+)"', stub["source"])[1]
        assert name in exercises.JUDGES
        assert solution["source"].startswith("<details><summary>Solution</summary>\n\n")
        assert solution["source"].endswith("\n\n</details>")
    assert sorted(kinds) == ["break", "extend", "tweak"]


def test_every_exercise_is_asked_in_exactly_one_notebook() -> None:
    text = "\n".join(cell["source"] for path in NOTEBOOKS for cell in code_cells(path))
    asked = re.findall(r'exercises\.check\("([^"]+)"', text)
    assert sorted(asked) == sorted(exercises.JUDGES)


@each_notebook
def test_a_prediction_is_asked_for_before_something_is_measured(path: Path) -> None:
    text = [cell["source"] for cell in cells_of(path) if cell["cell_type"] == "markdown"]
    assert sum("**Predict" in one for one in text) >= 2


@each_notebook
def test_no_speed_is_claimed_and_no_vendor_compared(path: Path) -> None:
    prose = [cell["source"] for cell in cells_of(path) if cell["cell_type"] == "markdown"]
    for text in prose:
        text = re.sub(r"^(\*\*|### Exercise · \w+ · )\d+ minutes", "", text, flags=re.MULTILINE).lower()
        assert not re.search(SPEED, text) and not re.search(VENDORS, text) and "impossible" not in text


@pytest.mark.parametrize("claim", ["a picture in 2.5 s", "40 minutes", "5.3 TB/s", "a faster card"])
def test_a_claim_of_speed_would_be_found(claim: str) -> None:
    assert re.search(SPEED, f"you get {claim.lower()} here")
