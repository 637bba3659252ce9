"""Lab L01: its cells are the module, the module is diffusers', and what must hold holds."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytest.importorskip("diffusers", reason="./scripts/setup --labs installs it")

import torch
from diffusers import DDPMScheduler

from tests.support import labs
from workshop import notebooks, shares
from workshop.labs import FOLDER, diffusion, digits, film, make, packages
from workshop.labs.unet import AttentionBlock, ResidualBlock, UNet, embed_timestep

LAB = notebooks.LABS.folder / "L01_noise_to_digits.ipynb"
THEIRS = {  # diffusers' name of a schedule, its settings, and ours
    "linear": ({}, diffusion.make_linear),
    "scaled_linear": ({"beta_start": 0.00085, "beta_end": 0.012}, diffusion.make_scaled_linear),
    "squaredcos_cap_v2": ({}, diffusion.make_cosine),
}
CARD = r"reads (\d+ of .*?), as they .*?: ([\d, ]+) of each hundred.* it reads (\d+ of .*?), rightly"


@pytest.fixture(scope="module")
def cells() -> dict[str, Any]:
    return labs.define(LAB)


@pytest.fixture(scope="module")
def card() -> str:
    return (FOLDER / "README.md").read_text(encoding="utf-8").replace("\n", " ")


@pytest.fixture(scope="module")
def unet() -> UNet:
    return make.load_l01()[0]


# The notebook's cells are the module


@pytest.mark.parametrize("name", ["make_linear", "make_scaled_linear", "make_cosine"])
@pytest.mark.parametrize("steps", [200, 1000])
def test_a_schedule_in_the_lab_is_the_modules(name: str, steps: int, cells: dict[str, Any]) -> None:
    assert torch.equal(cells[name](steps), getattr(diffusion, name)(steps))


def test_the_forward_process_and_the_step_in_the_lab_are_the_modules(cells: dict[str, Any]) -> None:
    betas, x, noise = diffusion.make_cosine(50), torch.randn(4, 1, 8, 8), torch.randn(4, 1, 8, 8)
    bar, t = torch.cumprod(1 - betas, dim=0), torch.tensor([0, 7, 30, 49])
    assert torch.equal(cells["add_noise"](x, noise, t, bar), diffusion.add_noise(x, noise, t, bar))
    for moment in (0, 1, 25, 49):
        for clip in (False, True):
            ours = diffusion.make_step(x, noise, moment, betas, noise, clip=clip)
            assert torch.equal(cells["make_step"](x, noise, moment, betas, noise, clip=clip), ours)
    walks = [
        list(sample(lambda x, t: 0.1 * x, x, betas, seed=3)) for sample in (cells["sample"], diffusion.sample)
    ]
    assert len(walks[0]) == 50 and torch.equal(walks[0][-1], walks[1][-1])


def test_the_network_in_the_lab_is_the_modules(cells: dict[str, Any], unet: UNet) -> None:
    theirs = cells["UNet"]().eval()
    theirs.load_state_dict(unet.state_dict())
    x, t, label = torch.randn(3, 1, 16, 16), torch.tensor([0, 90, 199]), torch.tensor([1, 5, 9])
    with torch.no_grad():
        assert torch.equal(theirs(x, t, label), unet(x, t, label))
    assert torch.equal(cells["embed_timestep"](t, 16), embed_timestep(t, 16))
    for ours, name in ((ResidualBlock(8, 16, 4), "ResidualBlock"), (AttentionBlock(8), "AttentionBlock")):
        other = cells[name](8, 16, 4) if name == "ResidualBlock" else cells[name](8)
        other.load_state_dict(ours.state_dict())
        given = (torch.randn(2, 8, 4, 4), torch.randn(2, 4))[: 2 if name == "ResidualBlock" else 1]
        assert torch.equal(other(*given), ours(*given))


# The module is diffusers'


@pytest.mark.parametrize("name", THEIRS)
def test_schedule_forward_process_and_step_are_diffusers(name: str) -> None:
    settings, make_betas = THEIRS[name]
    scheduler = DDPMScheduler(1000, beta_schedule=name, clip_sample=True, **settings)
    betas, x, eps = make_betas(1000), torch.randn(2, 1, 8, 8), torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(scheduler.betas, betas, atol=1e-7, rtol=0)
    t, bar = torch.tensor([3, 700]), torch.cumprod(1 - betas, dim=0)
    torch.testing.assert_close(
        scheduler.add_noise(x, eps, t), diffusion.add_noise(x, eps, t, bar), atol=1e-5, rtol=0
    )
    for moment in (999, 500, 100, 1, 0):
        theirs = scheduler.step(eps, moment, x, generator=torch.Generator().manual_seed(moment)).prev_sample
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(moment))
        ours = diffusion.make_step(x, eps, moment, betas, noise, clip=True)
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


# What must hold


def test_variance_is_theorys_to_a_hundredth_for_data_of_any_variance() -> None:
    bar = torch.cumprod(1 - diffusion.make_linear(1000), dim=0)
    x0 = torch.randn(1000, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(1))
    for data in (x0, 0.3 * x0 + 0.5):
        for moment in (50, 250, 900):
            measured = diffusion.add_noise(data, noise, torch.full((1000,), moment), bar).var()
            assert abs(measured / (bar[moment] * data.var() + 1 - bar[moment]) - 1) < 0.01


@pytest.mark.parametrize(
    ("step", "low", "high"), [("make_step", 0.48, 0.52), ("make_wrong_step", 0.05, 0.15)]
)
def test_the_right_step_keeps_the_spread_and_the_courses_loses_it(
    step: str, low: float, high: float, cells: dict[str, Any]
) -> None:
    mean, std = cells["draw_numbers"](0.7, 0.5, step=cells[step])
    assert abs(mean - 0.7) < 0.02 and low < std < high


def test_the_natural_test_passes_on_the_wrong_step(cells: dict[str, Any]) -> None:
    for step in ("make_step", "make_wrong_step"):
        mean, std = cells["draw_numbers"](0.7, 0.0, step=cells[step])
        assert abs(mean - 0.7) < 1e-3 and std < 1e-3


@pytest.mark.slow
def test_nine_of_ten_drawn_digits_are_read_as_asked_and_the_card_says_how_many(card: str) -> None:
    unet, reader = make.load_l01()
    drawn, real = make.count_drawn(unet, reader, seed=make.SEEDS[0]), make.count_real(reader)
    assert drawn >= 90 and real >= 950
    drawn_said, hundreds, real_said = re.search(CARD, card).groups()
    counts = [int(count) for count in hundreds.split(",")]
    assert drawn_said == shares.write(sum(counts), 100 * len(counts)) and len(counts) == len(make.SEEDS)
    hits = int(real_said.partition(" ")[0])
    assert real_said == shares.write(hits, 1000)
    # Another processor rounds differently, so a digit at the reader's border may fall to the other side.
    assert abs(drawn - counts[0]) <= 2 and abs(real - hits) <= 2


# The rest of the room


def test_digits_are_all_there_in_one_order_and_in_range() -> None:
    pictures, labels = digits.load()
    assert pictures.shape == (5000, 1, 16, 16) and labels.bincount().tolist() == [500] * 10
    assert pictures.min() >= -1 and pictures.max() <= 1
    assert torch.equal(labels, digits.load()[1]) and len(labels[:40].unique()) > 5


def test_a_package_that_is_missing_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    packages.demand("torch")
    with pytest.raises(RuntimeError, match=r"needs no_such_package, which is not installed.*setup --labs"):
        packages.demand("torch", "no_such_package")
    monkeypatch.setattr(packages.sys, "version_info", (3, 10, 4))
    with pytest.raises(RuntimeError, match=r"Python 3\.11 or later, and this is 3\.10\."):
        packages.demand("no_such_package")


def test_rows_of_different_lengths_are_refused() -> None:
    assert len(film.draw({"a": torch.zeros(2, 1, 4, 4)}, columns=["x", "y"]).axes) == 2
    with pytest.raises(ValueError, match=r"got rows \{'a': 2, 'b': 3\} and 0 names\. Cut them"):
        film.draw({"a": torch.zeros(2, 1, 4, 4), "b": torch.zeros(3, 1, 4, 4)})
    with pytest.raises(ValueError, match="and 1 names"):
        film.draw({"a": torch.zeros(2, 1, 4, 4)}, columns=["x"])


def test_a_training_lowers_the_loss_and_returns_the_average() -> None:
    pictures = torch.where(torch.rand(64, 1, 1, 1) < 0.5, -1.0, 1.0).expand(-1, 1, 16, 16)
    trained = make.train_unet(pictures, (pictures[:, 0, 0, 0] > 0).long(), steps=30)
    x, t = torch.randn(64, 1, 16, 16), torch.full((64,), 150)
    noisy = diffusion.add_noise(pictures, x, t, torch.cumprod(1 - diffusion.make_cosine(200), dim=0))
    with torch.no_grad():
        loss = (trained(noisy, t, (pictures[:, 0, 0, 0] > 0).long()) - x).square().mean()
    assert loss < 0.8 and not trained.training


def test_the_card_names_every_checkpoint_with_its_true_size_and_hash() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    files = list(FOLDER.glob("*.safetensors"))
    rows = re.findall(r"^\| `([\w.]+)` \|.*?\| ([\d,]+) bytes \| `(\w+)` \|$", card, re.MULTILINE)
    # A file made anew has another hash: then the card needs the lines that workshop.labs.make prints.
    assert {(path.name, f"{path.stat().st_size:,}", make.hash_file(path)) for path in files} == set(rows)
    assert sum(path.stat().st_size for path in files) <= 12 * 10**6
    assert f"{make.STEPS:,} steps" in card


# The form of a lab, beside that of every notebook (tests/notebooks)

each_lab = pytest.mark.parametrize("path", notebooks.find(notebooks.LABS), ids=lambda path: path.stem)


@each_lab
def test_answers_of_the_quiz_are_folded_and_name_cells_that_are_there(path: Any) -> None:
    book = notebooks.read(path)
    by_id = {cell.id: cell.source for cell in book.cells}
    questions = re.findall(r"^(\d)\. ", by_id["quiz"], re.MULTILINE)
    assert by_id["quiz"].startswith("## Quiz") and 3 <= len(questions) <= 5
    folded = by_id["quiz-answers"]
    assert folded.startswith("<details><summary>Answers</summary>") and folded.endswith("</details>")
    answers = re.split(r"^\d\. ", folded, flags=re.MULTILINE)[1:]
    assert len(answers) == len(questions)
    code = {cell.id for cell in book.code}
    for answer in answers:
        assert code & set(re.findall(r"`([a-z-]+)`", answer)), answer


@each_lab
def test_three_mistakes_are_provoked(path: Any) -> None:
    ids = [cell.id for cell in notebooks.read(path).cells]
    assert {"mistakes-question", "mistakes", "mistakes-reading"} <= set(ids)


@each_lab
def test_the_readme_of_the_labs_has_a_row_for_it(path: Any) -> None:
    page = (notebooks.LABS.folder / "README.md").read_text(encoding="utf-8")
    assert f"| [{path.stem.partition('_')[0]}]({path.name}) |" in page
