"""The data set: every fault is told at once, and the table is text."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tests.support.lora_runs import write_data
from workshop import files, pictures, profiles
from workshop.training import dataset, loop
from workshop.training.checkpoint import TrainingError
from workshop.training.dataset import DataSet
from workshop.training.flags import make_parser


def test_the_dog_of_this_repository_is_without_fault() -> None:
    folder = files.REPO / "data" / "dog"
    data = DataSet(folder, folder / "metadata.csv")
    assert dataset.find_problems(data) == []
    assert len(data.rows()) == 5 and sum(path.stat().st_size for path in folder.iterdir()) < 60_000


def test_all_faults_of_a_data_set_are_told_at_once_each_with_file_and_row(tmp_path: Path) -> None:
    data = write_data(
        tmp_path,
        "good.png,a dog",
        "gone.png,a dog",
        "cut.png,a dog",
        "good.png, ",
        "tiny.png,a dog",
        "good.png,a dog, sitting",
        ",a dog",
    )
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (64, 20)).save(tmp_path / "tiny.png")
    found = dataset.find_problems(data)
    expected = (
        "row 2, gone.png: there is no such file",
        "row 3, cut.png: no whole picture",
        "row 4, good.png: the prompt is empty",
        "row 5, tiny.png: 64×20 px is too small, the shorter side needs 32 px",
        "row 6, good.png: more fields than columns",
        "row 7, no file named: the column image is empty",
    )
    assert len(found) == len(expected)
    for line, words in zip(found, expected, strict=True):
        assert f"metadata.csv {words}" in line


@pytest.mark.parametrize(
    ("header", "lines", "words"),
    [
        ("file,text", ["good.png,a dog"], ["has no column image", "has no column prompt"]),
        ("image,text", ["good.png,a dog"], ["has no column prompt"]),
        ("image,prompt", [], ["has no rows"]),
    ],
)
def test_a_table_of_another_form_says_which_form_is_needed(
    header: str, lines: list[str], words: list[str], tmp_path: Path
) -> None:
    found = dataset.find_problems(write_data(tmp_path, *lines, header=header))
    assert len(found) == len(words)
    for line, said in zip(found, words, strict=True):
        assert said in line and "the first line must be image,prompt" in line


@pytest.mark.parametrize(
    "word", ["NA", "null", "nan", "None", "N/A", "007", "1.0", "True", "2026-01-02", '"a, b"']
)
def test_a_table_is_text_whatever_its_words_look_like(word: str, tmp_path: Path) -> None:
    data = write_data(tmp_path, f"good.png,{word}", f"{word},a dog")
    word = word.strip('"')
    assert data.rows() == [{"image": "good.png", "prompt": word}, {"image": word, "prompt": "a dog"}]
    assert [line.partition(", ")[2] for line in dataset.find_problems(data)] == [
        f"{word}: there is no such file in {tmp_path}"
    ]


def test_a_table_as_spreadsheets_write_it_is_read(tmp_path: Path) -> None:
    data = write_data(tmp_path, "good.png,a dog")
    text = 'image,prompt\r\ngood.png,"a ""good"" dog,\r\nsitting"\r\n\r\ngood.png, 개 \r\n'
    data.table.write_bytes(b"\xef\xbb\xbf" + text.encode())
    prompts = ['a "good" dog,\r\nsitting', " 개 "]
    assert data.rows() == [{"image": "good.png", "prompt": prompt} for prompt in prompts]
    assert dataset.find_problems(data) == []


def test_a_field_too_few_and_one_or_more_too_many_are_faults(tmp_path: Path) -> None:
    data = write_data(tmp_path, "good.png", "good.png,a,dog", "good.png,a,d,o,g", "good.png,a dog,")
    assert data.rows()[0] == {"image": "good.png", "prompt": ""}
    found = [line.partition("good.png: ")[2].partition(";")[0] for line in dataset.find_problems(data)]
    assert found == ["the prompt is empty", *["more fields than columns"] * 3]


def test_diffsynth_is_handed_the_words_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[tuple[int, int], str]] = []
    monkeypatch.setattr(
        dataset, "encode", lambda _, picture, prompt: asked.append((picture.size, prompt)) or {}
    )
    monkeypatch.setattr(dataset, "encode_words", lambda _, prompt: asked.append(((0, 0), prompt)) or {})
    pipe = SimpleNamespace(scheduler=SimpleNamespace(set_timesteps=lambda *_, **__: None))
    dataset.encode_all(pipe, write_data(tmp_path, " good.png ,null", "good.png, 007 "), sample_prompt="a dog")
    assert asked == [((64, 64), "null"), ((64, 64), "007"), ((0, 0), "a dog"), ((0, 0), "")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('image,prompt\ngood.png,"a dog\n', "a quotation mark is opened and never closed"),
        ("image,prompt,prompt\ngood.png,a dog,a dog\n", "two columns have one name: image, prompt, prompt"),
    ],
)
def test_a_table_that_cannot_be_read_is_a_fault(text: str, words: str, tmp_path: Path) -> None:
    data = write_data(tmp_path)
    data.table.write_text(text, encoding="utf-8")
    (found,) = dataset.find_problems(data)
    assert words in found and "the first line must be image,prompt" in found


def test_an_empty_table_has_no_rows(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    data.table.write_text("", encoding="utf-8")
    (found,) = dataset.find_problems(data)
    assert "metadata.csv has no rows; the first line must be" in found


def test_a_table_that_is_missing_or_no_text_is_a_fault_and_not_a_crash(tmp_path: Path) -> None:
    data = write_data(tmp_path, "good.png,a dog")
    data.table.write_bytes(b"image,prompt\ngood.png,\xff\xfe dog\n")
    assert "is no table in UTF-8" in dataset.find_problems(data)[0]
    data.table.unlink()
    assert "metadata.csv is missing" in dataset.find_problems(data)[0]


def test_the_same_name_means_the_dog_that_belongs_to_the_profile(tmp_path: Path) -> None:
    real = profiles.Profile("mi300x", "cuda", "bfloat16", 1328, tmp_path, "of a test")
    assert dataset.find_folder("dog", profiles.choose("pocket")) == files.REPO / "data" / "dog"
    assert dataset.find_folder("dog", real) == tmp_path / "Artiprocher" / "dataset_dog"
    with pytest.raises(TrainingError, match=r"Get it: \./scripts/download dog"):
        loop.demand_data(make_parser().parse_args([]), real)


def test_a_phones_photo_is_trained_upright(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_data(tmp_path, "phone.jpg,a dog", "deep.png,a dog", "clear.png,a dog")
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = 6
    Image.new("RGB", (96, 64), "red").save(tmp_path / "phone.jpg", exif=exif)
    Image.fromarray(np.full((64, 64), 123 * 257, np.uint16)).save(tmp_path / "deep.png")
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    (turned, deep, clear), _ = encode_with_stand_ins(data, monkeypatch)
    assert turned.size == (64, 96)
    assert deep.getpixel((0, 0)) == (123, 123, 123) and clear.getpixel((0, 0)) == (255, 255, 255)
    found = dataset.inspect(data)
    assert found.problems == []
    assert found.notes[:3] == [
        "phone.jpg: it was turned upright, as its EXIF tag says",
        "deep.png: its 16 bits a pixel were made 8: 65,535 is white",
        "clear.png: what was transparent is white",
    ]


def encode_with_stand_ins(
    data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[Image.Image], list[str]]:
    """Give the pictures and prompts that the networks would get."""
    got: list[tuple[Image.Image, str]] = []
    monkeypatch.setattr(dataset, "encode", lambda _, picture, prompt: got.append((picture, prompt)) or {})
    monkeypatch.setattr(dataset, "encode_words", lambda *_: {})
    pipe = SimpleNamespace(scheduler=SimpleNamespace(set_timesteps=lambda *_, **__: None))
    dataset.encode_all(pipe, data, sample_prompt="a dog")
    return [picture for picture, _ in got], [prompt for _, prompt in got]


def test_what_was_checked_is_what_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_data(tmp_path, "good.png,None")
    options = make_parser().parse_args(["--dataset_base_path", str(tmp_path)])
    data = loop.demand_data(options, profiles.choose("pocket"))
    (tmp_path / "metadata.csv").write_text("image,prompt\ngone.png,a cat\n")  # changed after the check
    assert encode_with_stand_ins(data, monkeypatch)[1] == ["None"]


@pytest.mark.parametrize("end", ["", '"'])
def test_rows_that_a_quotation_mark_melted_are_a_fault(end: str, tmp_path: Path) -> None:
    data = write_data(tmp_path, 'good.png,"a dog', f"other.png,a cat{end}", "good.png,a dog")
    Image.new("RGB", (64, 64)).save(tmp_path / "other.png")
    (found,) = dataset.find_problems(data)
    assert "a quotation mark is" in found and ("other.png" in found) == bool(end)


def test_a_prompt_of_two_lines_is_no_fault(tmp_path: Path) -> None:
    assert dataset.find_problems(write_data(tmp_path, 'good.png,"a dog,\nsitting, alone"')) == []


def test_pictures_without_a_row_and_pictures_that_come_twice_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_data(tmp_path, "good.png,a dog", "same.png,a dog", "good.png,a cat")
    for name in ("same.png", "extra.JPG"):
        (tmp_path / name).write_bytes((tmp_path / "good.png").read_bytes())
    loop.demand_data(
        make_parser().parse_args(["--dataset_base_path", str(tmp_path)]), profiles.choose("pocket")
    )
    assert capsys.readouterr().out.splitlines() == [
        "Note: good.png is in rows 1, 3: it is trained 2 times as often.",
        "Note: good.png, same.png are one and the same picture.",
        f"Note: no row names extra.JPG in {tmp_path}: not trained.",
    ]


def test_an_empty_row_is_one_fault_that_says_what_to_do(tmp_path: Path) -> None:
    (found,) = dataset.find_problems(write_data(tmp_path, "good.png,a dog", ", "))
    assert "row 2, no file named: the row is empty, as spreadsheets leave them; delete the line" in found


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("image;prompt", "it has 'image;prompt' (between columns stands a semicolon"),
        ("image\tprompt", "(between columns stands a tab"),
        ("image, prompt", "it has 'image', ' prompt' (a blank stands beside a name"),
        ("Image,Prompt", "it has 'Image', 'Prompt' (the names must be in small letters)"),
        ("file_name,text", "it has 'file_name', 'text' (give the columns these names)"),
        ('{"image": "good.png"}', "(this is JSON; a table has commas)"),
    ],
)
def test_a_header_that_is_not_right_says_what_came_and_why(header: str, words: str, tmp_path: Path) -> None:
    assert words in dataset.find_problems(write_data(tmp_path, "good.png,a dog", header=header))[0]


def test_a_panorama_is_judged_as_it_will_be_trained(tmp_path: Path) -> None:
    data = write_data(tmp_path, "pano.png,a dog")
    Image.new("1", (300_000, 40)).save(tmp_path / "pano.png")
    (found,) = dataset.find_problems(data)
    assert "300000×40 px would be trained at 88672×0 px, because larger pictures are made smaller" in found
    large = dataclasses.replace(data, height=1328, width=1328)
    (found,) = dataset.find_problems(large)
    assert "would be enlarged to 9960000×1328 px before it is cropped to 1328×1328" in found


@pytest.mark.parametrize("size", [(64, 64), (2048, 1030), (1000, 33), (4000, 3000), (70, 4100)])
def test_the_size_in_training_is_diffsynths(size: tuple[int, int]) -> None:
    from diffsynth.core.data.operators import ImageCropAndResize

    data = DataSet(Path(), Path())
    fit = ImageCropAndResize(None, None, data.max_pixels, dataset.SIDE, dataset.SIDE)
    assert data.trained_size(*size) == fit.get_height_width(Image.new("1", size))[::-1]
