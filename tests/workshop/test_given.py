"""What a person gives: numbers, folders and variables to commands, arguments to calls in a cell."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.support.easel import Easel
from workshop import (
    download,
    drawing,
    exercises,
    files,
    gallery,
    guards,
    models,
    notebooks,
    preflight,
    profiles,
)
from workshop.files import REPO

NUMBERS = [
    ("workshop.runner.run", "--cell-timeout"),
    ("workshop.bench", "--repeats"),
    ("presenter.schedule", "--minutes"),
    ("presenter.schedule", "--break"),
    ("presenter.console.lab", "--minutes"),
    ("presenter.console.lab", "--break"),
    ("presenter.console.lab", "--phone-port"),
    ("presenter.rehearse", "--times"),
]
WRONG = ("0", "-3", "nan", "inf", "-inf", "1e400", "ten", "")


@pytest.mark.parametrize("text", WRONG)
@pytest.mark.parametrize(("module", "flag"), NUMBERS)
def test_number_that_cannot_be_ends_with_2_and_names_its_flag(
    module: str, flag: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(module).main([f"{flag}={text}"])
    assert ended.value.code == 2
    assert f"argument {flag}: must be " in capsys.readouterr().err


def test_no_command_takes_an_unchecked_number() -> None:
    loose = []
    for path in [*(REPO / "workshop").rglob("*.py"), *(REPO / "presenter").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
                kinds = [word.value for word in node.keywords if word.arg == "type"]
                if any(isinstance(kind, ast.Name) and kind.id in ("int", "float") for kind in kinds):
                    loose.append(f"{files.shorten(path)}:{node.lineno}")
    assert loose == []


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("workshop.runner.run", ["01", "--profile", "pocket", "--output"]),
        ("workshop.runner.run", ["01", "--profile", "pocket", "--dry-run", "--output"]),
        ("presenter.rehearse", ["01", "--profile", "pocket", "--output"]),
        ("presenter.handout.export", ["01", "--profile", "pocket", "--only", "students", "--output"]),
        ("presenter.console.lab", ["--talk"]),
    ],
)
def test_folder_that_is_a_file_is_refused_with_the_flag(
    module: str, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    for folder in (file, file / "below"):
        assert importlib.import_module(module).main([*words, str(folder)]) in (1, 2)
        said = capsys.readouterr().err
        assert f"{folder} cannot be used as a folder: {file} is a file. Take another {words[-1]}." in said
    assert file.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("flag", ["--cues", "--notebooks"])
@pytest.mark.parametrize(
    "module", ["presenter.handout.export", "presenter.report.__main__", "presenter.console.lab"]
)
def test_folder_of_the_material_that_is_not_there_is_named(
    module: str, flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert importlib.import_module(module).main([flag, str(tmp_path / "gone")]) in (1, 2)
    assert f"in {tmp_path / 'gone'}. Name another folder with {flag}." in capsys.readouterr().err


def test_folder_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(ValueError, match=r"cannot be used as a folder: Permission denied\. Take another"):
        files.make_folder(tmp_path, remedy="Take another.")


COMMANDS = {
    "workshop": ["preflight", "download", "run --dry-run", "bench"],
    "presenter": ["plan", "lab", "rehearse", "export"],
}


@pytest.mark.parametrize(
    "command", [f"{program} {words}" for program, all_ in COMMANDS.items() for words in all_]
)
def test_wrong_profile_in_the_environment_is_said_by_every_command(command: str) -> None:
    program, *words = command.split()
    done = subprocess.run(
        [sys.executable, "-m", program, *words],
        env=os.environ | {"WORKSHOP_PROFILE": "foo"},
        capture_output=True,
        text=True,
        timeout=120,
        cwd=REPO,
    )
    assert done.returncode in (1, 2)
    assert "WORKSHOP_PROFILE is 'foo', and there is no such profile. These are: auto, mi300x" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_source_of_downloads_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DIFFSYNTH_DOWNLOAD_SOURCE", "elsewhere")
    with pytest.raises(SystemExit) as ended:
        importlib.import_module("workshop.download").main(["--profile", "mi300x"])
    assert ended.value.code == 2
    assert "DIFFSYNTH_DOWNLOAD_SOURCE is 'elsewhere'. Set it to one of modelscope" in capsys.readouterr().err


def test_variable_that_names_a_file_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    named, remedy = (
        ["~nobody-of-that-name", str(file), f"{file}/below"],
        "Set WORKSHOP_MODELS to a folder, or un",
    )
    for name in named:
        monkeypatch.setenv("WORKSHOP_MODELS", name)
        assert preflight.main(["--profile", "mi300x"]) == 2
        assert remedy in capsys.readouterr().err
    monkeypatch.setenv("WORKSHOP_PICTURES", named[0])
    with pytest.raises(ValueError, match=r"WORKSHOP_PICTURES is '~nobody.*Set WORKSHOP_PICTURES to a folder"):
        gallery.folder(profiles.choose("pocket"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"negative_prompt": None}, r'negative_prompt must be one text, got a NoneType.*negative_prompt=""'),
        ({"negative_prompt": ["red"]}, "negative_prompt must be one text, got a list"),
        ({"num_inference_steps": 2.5}, "num_inference_steps must be a whole number, got a float"),
        ({"num_inference_steps": 0}, "num_inference_steps must be 1 or more, got 0"),
        ({"num_inference_steps": True}, "num_inference_steps must be a whole number, got a bool"),
        ({"seed": 1.5}, "seed must be a whole number, got a float"),
        ({"seed": "7"}, "seed must be a whole number, got '7'"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"seed": 2**64}, r"seed must be below 2\*\*64"),
        (
            {"cfg_scale": float("nan")},
            "cfg_scale must be a finite number, got nan; the picture would be black",
        ),
        ({"cfg_scale": float("inf")}, "cfg_scale must be a finite number, got inf"),
        ({"cfg_scale": "4"}, "cfg_scale must be a number, got '4'"),
        ({"cfg_scale": None}, "cfg_scale must be a number, got a NoneType"),
        ({"size": 100}, r"size must be a multiple of 16 px, got 100\. Take 96 or 112\."),
        ({"height": 0}, "height must be 16 or more, got 0"),
        ({"width": 128.0}, "width must be a whole number, got a float"),
        ({"denoising_strength": 0}, "denoising_strength must be above 0 and at most 1, got 0"),
        ({"denoising_strength": float("nan")}, "denoising_strength must be a finite number"),
    ],
)
def test_argument_that_gives_no_picture_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        guards.check_settings(given)
    easel = Easel()
    if "height" not in given and "width" not in given:
        with pytest.raises((TypeError, ValueError), match=said):
            drawing.draw(easel, "a dog", **({"size": 128} | given))
        assert easel.asked == []


def test_arguments_that_are_right_pass() -> None:
    import numpy as np

    right = {
        "seed": None,
        "cfg_scale": np.float32(1),
        "num_inference_steps": np.int64(2),
        "negative_prompt": "",
    }
    guards.check_settings({"size": 1328, "denoising_strength": 1, **right})
    guards.check_settings({"seed": 2**64 - 1, "cfg_scale": -1})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"negative_prompt": None}, "negative_prompt must be one text"),
        ({"num_inference_steps": 0}, "num_inference_steps must be 1 or more"),
        ({"cfg_scale": float("nan")}, "cfg_scale must be a finite number"),
        ({"height": 100}, "height must be a multiple of 16"),
    ],
)
def test_guarded_pipeline_refuses_the_argument_before_it_computes(
    given: dict[str, object], said: str
) -> None:
    import torch
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

    pipe = QwenImagePipeline(device="cpu", torch_dtype=torch.float32)  # no weights: computing would fail
    guards.guard_prompts(pipe)
    with pytest.raises((TypeError, ValueError), match=said):
        pipe("a dog", progress_bar_cmd=iter, **given)


class Unspeakable(Exception):
    """An error of a student's own, whose text cannot be made."""

    def __str__(self) -> str:
        raise RuntimeError


def ended() -> None:
    sys.exit("I am done")


def unspeakable() -> None:
    raise Unspeakable


@pytest.mark.parametrize(
    ("answer", "said"), [(ended, "SystemExit: I am done"), (exit, "SystemExit"), (unspeakable, "Unspeakable")]
)
def test_answer_that_ends_the_program_is_printed_and_never_raised(
    answer: Callable[[], None], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    exercises.check("GB to GiB", lambda size: answer())
    assert f"GB to GiB: ✗ not yet\n  yours:    an error, {said}" in capsys.readouterr().out


def test_interrupt_of_a_check_ends_the_cell() -> None:
    def interrupted(size: float) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exercises.check("GB to GiB", interrupted)


def test_pictures_of_a_dict_are_shown_with_its_keys(capsys: pytest.CaptureFixture[str]) -> None:
    pictures = {3: Image.new("RGB", (16, 16)), 4: Image.new("RGB", (32, 16))}
    gallery.show(pictures.values(), pictures.keys())
    gallery.show(iter(pictures.values()), alt=(f"seed {seed}" for seed in pictures))
    assert capsys.readouterr().out.splitlines() == [
        "[picture 16×16 px] 3",
        "[picture 32×16 px] 4",
        "[picture 16×16 px] seed 3",
        "[picture 32×16 px] seed 4",
    ]


def test_what_is_no_picture_is_named_with_what_to_do() -> None:
    import numpy as np

    for wrong, said in (
        ({"a": Image.new("RGB", (16, 16))}, r"got a dict\. Show its \.values\(\)"),
        ("dog.png", r"got 'dog\.png'\. Open a file"),
        (Path("dog.png"), r"got .*dog\.png.*Open a file"),
        (["dog.png"], r"got 'dog\.png'\. Open a file"),
        (5, "Pictures are wanted, got 5"),
        (None, "Pictures are wanted, got None"),
        (np.zeros((16, 16, 3)), r"got a ndarray\. Make one: PIL\.Image\.fromarray\(array\)"),
    ):
        with pytest.raises(TypeError, match=said):
            gallery.show(wrong)


def test_one_text_in_place_of_a_list_is_named() -> None:
    for call, said in (
        (lambda: models.pipeline_bytes("Qwen-Image"), r"got the text 'Qwen-Image'\. Write \['Qwen-Image'\]"),
        (lambda: models.bill("Qwen-Image"), r"Write \['Qwen-Image'\]"),
        (lambda: notebooks.select("01"), r"Write \['01'\]"),
        (lambda: download.check_names("dog"), r"Write \['dog'\]"),
        (lambda: drawing.series(Easel(), "a dog", "seed", 3, size=128), "values must be a list, got int"),
    ):
        with pytest.raises(TypeError, match=said):
            call()
