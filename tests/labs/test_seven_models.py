"""Lab L08: the networks on the meta device are the published ones, and what is counted is torch's count."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("diffusers", reason="./scripts/setup --labs installs it")

import torch
from diffsynth.configs import MODEL_CONFIGS
from diffsynth.core.loader.file import hash_state_dict_keys

from tests.support import labs, tiny_pipelines, tiny_qwen
from workshop import memory, models, notebooks
from workshop.labs import weights

LAB = notebooks.LABS.folder / "L08_seven_models.ipynb"
PARAMETERS = {  # and whether the class names its tensors as the published file does
    "stable_diffusion_unet": (859_520_964, True),
    "stable_diffusion_xl_unet": (2_567_463_684, True),
    "flux_dit": (11_901_408_320, False),
    "flux2_dit": (32_223_281_152, True),
    "z_image_dit": (6_154_908_736, True),
    "qwen_image_dit": (20_430_401_088, True),
    "qwen_image_21_dit": (7_115_124_736, True),
    "flux_text_encoder_clip": (123_060_480, False),
    "stable_diffusion_xl_text_encoder": (694_659_840, False),
    "flux_text_encoder_t5": (4_762_310_656, False),
    "z_image_text_encoder": (4_022_468_096, True),
    "flux2_text_encoder": (23_340_272_640, False),
    "qwen_image_text_encoder": (8_292_166_656, False),
    "qwen_image_21_text_encoder": (8_767_123_696, False),
    "stable_diffusion_vae": (83_653_863, False),
    "flux_vae_encoder": (34_274_208, False),
    "flux_vae_decoder": (49_545_475, False),
    "flux2_vae": (84_046_372, True),
    "qwen_image_vae": (126_892_531, True),
    "qwen_image_21_vae": (337_740_404, True),
}
RUNS = {  # TFLOP of a forward pass, of an independent count
    "run_sd": ("SD 1.5", "stable_diffusion_unet", 0.80),
    "run_sdxl": ("SDXL", "stable_diffusion_xl_unet", 6.76),
    "run_flux": ("FLUX.1-dev", "flux_dit", 74.4),
    "run_flux2": ("FLUX.2-dev", "flux2_dit", 282.6),
    "run_qwen": ("Qwen-Image", "qwen_image_dit", 69.3),
}


def source(cell_id: str) -> str:
    return next(cell.source for cell in notebooks.read(LAB).cells if cell.id == cell_id)


def count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.fixture(scope="module")
def cells() -> dict[str, Any]:
    names = labs.define(LAB)
    names["networks"] = {}
    return names


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_network_without_weights_has_the_published_count(name: str, cells: dict[str, Any]) -> None:
    network = cells["build"](name)
    counted, published = PARAMETERS[name]
    assert cells["count"](network) == counted
    assert {parameter.device.type for parameter in network.parameters()} == {"meta"}
    state, known = network.state_dict(), {entry["model_hash"] for entry in MODEL_CONFIGS}
    assert cells["hash_shapes"](state) == hash_state_dict_keys(state)
    if published:
        assert cells["hash_shapes"](state) in known


def test_the_catalogue_says_the_same_of_qwen_image() -> None:
    parts = {"dit": "qwen_image_dit", "text_encoder": "qwen_image_text_encoder", "vae": "qwen_image_vae"}
    for role, name in parts.items():
        assert models.MODELS["Qwen-Image"].part(role).parameters == PARAMETERS[name][0]


@pytest.mark.parametrize("run", RUNS)
def test_a_forward_pass_has_the_operations_of_an_independent_count(run: str, cells: dict[str, Any]) -> None:
    key, name, expected = RUNS[run]
    cells["networks"][key] = cells["build"](name).to(torch.bfloat16)
    counted = cells["count_flop"](cells[run])
    assert counted / 1e12 == pytest.approx(expected, rel=0.01)  # they are given to two or three digits


def test_a_block_by_hand_is_torchs_count(cells: dict[str, Any]) -> None:
    cells["networks"]["Qwen-Image"] = cells["build"]("qwen_image_dit").to(torch.bfloat16)
    for text in (64, 512):
        counted = cells["count_flop"](partial(cells["run_qwen"], text))
        by_hand = 60 * sum(cells["count_block"](3072, 4096, text).values())
        assert counted / by_hand == pytest.approx(1, abs=0.01)


def test_sd3_of_the_settings_written_here_has_its_count(cells: dict[str, Any]) -> None:
    given = {name: cells[name] for name in ("torch", "count", "empty", "count_flop")}
    made = labs.run(LAB, "sd3", given={**given, "bits": {"bf16": 16}, "flop": {"SD 1.5": 8.0e11}})
    assert made["count"](made["sd3"]) == 2_028_328_000
    assert made["sd3_flop"] / 1e12 == pytest.approx(8.90, rel=0.01)
    assert torch.get_default_dtype() == torch.float32


def test_how_many_times_a_parameter_or_an_operation_is_said_as_counted(cells: dict[str, Any]) -> None:
    given = {name: cells[name] for name in ("torch", "count", "build", "hash_shapes", "find_entry")}
    given |= {"MODEL_CONFIGS": MODEL_CONFIGS, "seven": {"FLUX.1-dev": "flux_dit"}}
    rows = labs.run(LAB, "table", given=given)["rows"]
    assert rows == {"FLUX.1-dev": {"parameters": "11,901,408,320", "as published": "renamed"}}
    published = [name for name in PARAMETERS if name.endswith(("_dit", "_unet")) and PARAMETERS[name][1]]
    times = PARAMETERS["z_image_dit"][0] / PARAMETERS["stable_diffusion_xl_unet"][0]
    said = source("families-question")
    assert f"{times:.1f} times SDXL's" in said and len(published) == 6 and "Six networks" in said
    times = 2_028_328_000 / PARAMETERS["stable_diffusion_unet"][0]
    assert f"has {times:.1f} times SD 1.5's parameters" in source("sd3-question")


def test_a_network_that_is_neither_published_nor_renamed_is_told(cells: dict[str, Any]) -> None:
    given = {name: cells[name] for name in ("torch", "count", "build", "hash_shapes")}
    given |= {"MODEL_CONFIGS": [], "find_entry": lambda name: {}, "seven": {"Qwen-Image": "qwen_image_dit"}}
    assert labs.run(LAB, "table", given=given)["rows"]["Qwen-Image"]["as published"] == "no"


def test_a_price_without_a_source_is_refused(cells: dict[str, Any]) -> None:
    inputs = {
        "peak, TFLOP a second": (100.0, "a measurement", "2026-11"),
        "utilisation": (0.5, "a measurement", "2026-11"),
        "price an hour": (3.6, "a bill", "2026-11"),
    }
    seconds, price = cells["price"](10.0, 20, inputs)
    assert seconds == pytest.approx(4.0) and price == pytest.approx(0.004)
    for wrong in ((3.6, "", "2026-11"), (3.6, "a bill", "")):
        with pytest.raises(ValueError, match=r"price an hour = 3\.6 has no source or no date\. Measure it"):
            cells["price"](10.0, 20, inputs | {"price an hour": wrong})


def test_the_memory_of_a_course_leaves_no_room_for_what_is_computed(cells: dict[str, Any]) -> None:
    pd = pytest.importorskip("pandas")
    whole = {"SDXL": 3_468_838_010, "FLUX.1-dev": 16_870_598_966}
    flop = {"SDXL": 6.76e12, "FLUX.1-dev": 74.4e12}
    given = {"whole": whole, "flop": flop, "build": cells["build"], "pd": pd}
    made = labs.run(LAB, "box", given=given)
    box, one_layer = made["box"], made["one_layer"]
    assert 0 < box["SDXL"]["left, GB"] < one_layer < 0.5
    assert {box[name]["left, GB"] for name in ("FLUX.1-schnell", "FLUX.1-dev")} == {-21.74}
    needed = [box[name]["TFLOP/s needed"] for name in ("SDXL", "FLUX.1-schnell", "FLUX.1-dev")]
    assert needed == ["51 to 81", "74 to 99", "186 to 248"]
    advice = source("mistakes-question")
    for said in (
        f"FLUX.1's {box['FLUX.1-dev']['weights, GB']:.1f} GB",
        f"its own {box['SDXL']['weights, GB']:.1f}.",
        f"{box['FLUX.1-schnell']['TFLOP a picture']} TFLOP a picture",
    ):
        assert said in advice


def test_a_courses_servers_are_recomputed(capsys: pytest.CaptureFixture[str]) -> None:
    labs.run(LAB, "power", "server", given={})
    said = capsys.readouterr().out
    for part in ("+11%", "$0.0255", "$0.0200", "$0.0177", "$650 a month", "$0.0021", "$0.0050"):
        assert part in said
    assert "in 25 months" in said and "in 38 months" in said


def test_a_family_is_read_in_the_modules(cells: dict[str, Any]) -> None:
    named = {"SD 1.5": "stable_diffusion_unet", "FLUX.1-dev": "flux_dit", "Qwen-Image": "qwen_image_dit"}
    built = {name: cells["build"](key) for name, key in (named | {"Z-Image": "z_image_dit"}).items()}
    given = {name: cells[name] for name in ("torch", "count", "build", "MODEL_CONFIGS")}
    pd = pytest.importorskip("pandas")
    families = labs.run(LAB, "families", given={**given, "networks": built, "pd": pd})["families"]
    kinds = {name: row["kind"] for name, row in families.items()}
    assert kinds["SD 1.5"] == "U-Net, cross-attentions"
    assert kinds["FLUX.1-dev"] == "DiT, two-stream blocks, one-stream blocks"
    assert kinds["Qwen-Image"] == "DiT, two-stream blocks" and "one stream" in kinds["Z-Image"]
    assert {kinds[name] for name in ("Wan", "LTX-2", "ACE-Step 1.5")} == {"DiT, cross-attentions"}
    assert families["Wan"]["cross-attentions"] == 40 and families["Qwen-Image"]["two-stream blocks"] == 60


def test_other_libraries_have_the_families_that_the_list_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    made = labs.run(LAB, "other-families", given={"torch": torch, "count": count, "re": re})
    assert made["passes_a_picture"] == 576 and count(made["janus"]) > 7e9
    said = capsys.readouterr().out
    assert "IFPipeline then IFSuperResolutionPipeline" in said
    assert "2 of IdeficsGatedCrossAttentionLayer" in said  # one in four layers


def test_years_are_those_of_the_papers_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    made = labs.run(LAB, "timeline", given={})
    assert made["off"] == ["Stable Diffusion", "Flamingo", "Gemini"]
    assert [made["find_year"](number) for number in ("1503.03585", "2602.00744")] == [2015, 2026]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2015-03  Diffusion (arXiv 1503.03585)" and lines[:-2] == sorted(lines[:-2])
    assert lines[-2] == "no arXiv number: Midjourney v4, GPT-4V, FLUX.1, Sora"
    assert all(re.fullmatch(r"\d{4}\.\d{5}", number) for number in made["dated"].values())


def test_pipelines_are_counted_by_their_names_and_small_denoisers_by_their_bytes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with torch.device("meta"):
        sizes = {"small": torch.nn.Linear(1000, 1_700_000), "large": torch.nn.Linear(1000, 1_800_000)}
    given = {"networks": sizes, "more": {}, "families": dict(sizes), "count": count}
    made = labs.run(LAB, "media", given=given)
    assert made["small"] == ["small"]  # 1.7e9 parameters of 4.5 bits are 0.96 GB
    said = capsys.readouterr().out
    for word, number in (("image", 13), ("video", 6), ("audio", 3), ("music", 2), ("3d", 0)):
        assert f"{word}: in {number} of {len(made['pipelines'])} names" in said


def test_tiling_belongs_to_the_vae_and_few_steps_to_the_passes(capsys: pytest.CaptureFixture[str]) -> None:
    names = labs.run(LAB, "words", "parts", "denoise", "pipeline", given={"torch": torch, "count": count})
    capsys.readouterr()
    made = labs.run(LAB, "issues", given=names | {"flop": {"SDXL": 6.76e12, "FLUX.1-dev": 74.4e12}})
    said = capsys.readouterr().out
    assert "StableDiffusionPipeline.enable_vae_tiling: False" in said
    assert "AutoencoderKL.enable_tiling: True\nthe VAE tiles: True" in said and not made["vae"].use_tiling
    assert [f"{work / 1e12:.0f}" for work in made["a_picture"].values()] == ["406", "298", "3720"]


def test_a_card_that_waits_makes_its_pictures_dearer(
    cells: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    flop = {"Qwen-Image": 78.3e12, "FLUX.1-dev": 74.4e12, "SDXL": 6.76e12}
    names = labs.run(LAB, "cost", "economics", given={"flop": flop})
    seconds = 80 * 78.3 / (1307.4 * 0.4)
    assert names["own"] == pytest.approx(seconds / 3600 * 2.74)
    assert names["even"] == pytest.approx(names["own"] / 0.01)
    slower = names["price"](6.76, 60, names["slower"])
    assert slower == pytest.approx([2 * one for one in names["price"](6.76, 60, names["inputs"])])
    assert f"below a share of {names['even']:.0%}" in capsys.readouterr().out


def test_a_pipeline_by_hand_draws_the_librarys_picture() -> None:
    cells = labs.run(LAB, "words", "parts", "denoise", "pipeline", given={"torch": torch, "count": count})
    ours, theirs = cells["by_hand_picture"], cells["theirs"]
    assert (ours - theirs).abs().max() < 1e-5 and (cells["other"] - theirs).abs().max() > 1e-3
    assert ours.shape == (1, 3, 32, 32) and ours.std() > 0.01
    again = cells["decode"](cells["denoise"]("a lion", **cells["job"], seed=1), cells["vae"])
    assert (again - theirs).abs().max() > 1e-3


def test_a_forgotten_scaling_factor_is_found_by_the_referee_and_not_by_the_shape() -> None:
    names = ("words", "parts", "denoise", "pipeline", "omissions", "clinic-tests", "clinic-round-trip")
    cells = labs.run(LAB, *names, given={"torch": torch, "count": count})
    wrong, theirs = cells["wrong"], cells["theirs"]
    assert wrong.shape == theirs.shape and wrong.min() >= 0 and wrong.max() <= 1
    assert (wrong - theirs).abs().max() > 1e-3
    assert (cells["unscaled"] - cells["direct"]).abs().max() > 1e-3
    assert (cells["decode"](cells["scaled"], cells["vae"]) - cells["direct"]).abs().max() < 1e-5


# The guarded cells, on tiny pipelines of the same classes

SAVED = {
    "SDXL": tiny_pipelines.save_sdxl,
    "FLUX.1-schnell": partial(tiny_pipelines.save_flux, guidance_embeds=False),
    "FLUX.1-dev": tiny_pipelines.save_flux,
    "Qwen-Image": tiny_qwen.save_qwen,
}
SETTINGS = {"machine": SimpleNamespace(dtype=torch.float32, device="cpu"), "torch": torch, "memory": memory}


def run_guarded(find: Any) -> dict[str, Any]:
    """Run the guarded cells at 32×32 px; find: the folder of a pipeline's name, or None."""
    names = labs.run(LAB, "guarded-jobs", given={**SETTINGS, "count": count})
    names["networks"] = dict.fromkeys(("SDXL", "FLUX.1-dev", "Qwen-Image"), torch.nn.Linear(3, 2))
    names["flop"] = names["whole"] = dict.fromkeys(names["networks"], 10**12)
    draw_timed, repositories = names["draw_timed"], {job[0]: name for name, job in names["JOBS"].items()}
    names["draw_timed"] = lambda *given, **job: draw_timed(*given, **job | {"height": 32, "width": 32})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "find", lambda repository: find(repositories[repository]))
        return labs.run(LAB, "guarded-draw", given=names)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers 0.42.1's Euler
def test_guarded_cells_draw_with_every_model_whose_weights_are_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = run_guarded(lambda name: SAVED[name](tmp_path / name))["drawn"]
    assert [label.partition(":")[0] for label in drawn] == list(SAVED)
    assert {picture.size for picture in drawn.values()} == {(32, 32)}
    said = capsys.readouterr().out
    assert "QwenImagePipeline, 40 steps" in said and said.count("TFLOP a second") == len(SAVED)


def test_guarded_cells_say_what_is_needed_where_no_weights_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(lambda name: None)["drawn"] == {}
    said = capsys.readouterr().out
    assert said.count("is not on this machine. Its denoiser alone has 8 parameters") == len(SAVED)
    assert "all parts 2000.0 GB, 0.08 PFLOP a picture, 40 steps" in said  # two passes a step
    assert "all parts 2000.0 GB, 0.05 PFLOP a picture, 50 steps" in said  # one
