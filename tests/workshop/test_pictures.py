"""A user's picture is taken as it is seen: upright, in RGB, with a word about what was changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.machines import MACHINE
from workshop import gallery, guards, pictures, profiles

HOW = {"prompt": "a dog", "seed": 3, "num_inference_steps": 40, "cfg_scale": 4.0}


def lying(path: Path) -> Path:
    """Save a phone's upright photo, 64×96 px with a red top, as the phone does: lying, with an EXIF tag."""
    upright = Image.new("RGB", (64, 96), "blue")
    upright.paste("red", (0, 0, 64, 30))
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = 6  # to be seen, it is turned clockwise
    upright.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=95)
    return path


def mean(picture: Image.Image) -> float:
    return float(np.asarray(picture, dtype=np.float64).mean())


def test_a_phones_photo_is_upright_and_says_that_it_was_turned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = pictures.read(lying(tmp_path / "phone.jpg"))
    assert picture.size == (64, 96) and picture.getpixel((32, 5))[0] > 200
    assert capsys.readouterr().out == "it was turned upright, as its EXIF tag says\n"
    pictures.to_rgb(picture)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_gives_the_same_picture(orientation: int) -> None:
    upright = Image.effect_noise((48, 32), 60).convert("RGB")
    back = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"}
    back |= {6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270"}
    stored = upright.transpose(Image.Transpose[back[orientation]]) if orientation > 1 else upright.copy()
    stored.getexif()[pictures.ORIENTATION] = orientation
    assert pictures.to_rgb(stored, tell=str).tobytes() == upright.tobytes()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.full((64, 64), 31621, np.uint16), "16 bits"),
        (np.full((64, 64), 31621, np.int32), "16 bits"),
        (np.full((64, 64), 0.4824, np.float32), "decimals"),
        (np.full((64, 64), 123, np.int32), ""),
    ],
)
def test_deep_pictures_keep_their_brightness(values: np.ndarray, said: str, tmp_path: Path) -> None:
    Image.fromarray(values).save(tmp_path / "deep.tif")
    told: list[str] = []
    picture = pictures.read(tmp_path / "deep.tif", tell=told.append)
    assert abs(mean(picture) - 123) < 1 and picture.mode == "RGB"
    assert said in "".join(told) and bool(told) == bool(said)


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (Image.fromarray(np.full((4, 4), 7.5, np.float32)), "decimals from 7.5 to 7.5; 0 to 1 are read"),
        (Image.fromarray(np.full((4, 4), np.nan, np.float32)), "decimals from nan to nan"),
        (Image.fromarray(np.full((4, 4), 70_000, np.int32)), "more than 16 bits hold"),
        (Image.new("LAB", (4, 4)), "stored as LAB, which is not read here"),
    ],
)
def test_what_would_be_guessed_is_refused_with_a_remedy(picture: Image.Image, said: str) -> None:
    with pytest.raises(ValueError, match=f"{said}.*Save it as PNG or JPEG in RGB"):
        pictures.to_rgb(picture)


def clear(mode: str) -> Image.Image:
    """A picture of this mode that is all transparent, black below."""
    if mode in ("RGB", "L"):
        picture = Image.new(mode, (8, 8))
        picture.info["transparency"] = (0, 0, 0) if mode == "RGB" else 0
        return picture
    whole = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    if mode == "La":
        return whole.convert("LA").convert("La")
    return whole.quantize() if mode == "P" else whole.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "RGBa", "LA", "La", "P", "RGB", "L"])
def test_what_is_transparent_is_white_and_said(mode: str) -> None:
    told: list[str] = []
    picture = pictures.to_rgb(clear(mode), tell=told.append)
    assert (picture.mode, picture.getpixel((4, 4))) == ("RGB", (255, 255, 255))
    assert told == ["what was transparent is white"]
    assert "transparency" not in picture.info


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "1", "CMYK", "YCbCr"])
def test_opaque_pictures_of_every_mode_keep_their_colour(mode: str) -> None:
    told: list[str] = []
    picture = pictures.to_rgb(Image.new("RGB", (8, 8), "white").convert(mode), tell=told.append)
    assert min(picture.getpixel((4, 4))) > 250
    assert [one[:11] for one in told] == (["its print c"] if mode == "CMYK" else [])


def test_a_plain_picture_stays_as_it_is_to_the_last_bit() -> None:
    picture = Image.effect_noise((32, 32), 60).convert("RGB")
    picture.info["alt"] = "noise"
    made = pictures.to_rgb(picture)
    assert made.tobytes() == picture.tobytes() and made.info == picture.info


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty; copy it again"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "a HEIC photo, as phones take them; export"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "a web page; save the picture itself"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing; export it as PNG"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer; fetch the picture itself"),
        (b"words", "of a kind that cannot be read here; save it as PNG or JPEG"),
    ],
)
def test_a_file_that_is_no_picture_says_what_it_is_and_what_to_do(
    content: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(OSError, match=said):
        pictures.read(tmp_path / "a.jpg")


@pytest.mark.parametrize("mode", ["CMYK", "LA", "P", "I;16", "F", "L", "1", "YCbCr"])
def test_the_gallery_saves_and_shows_every_mode(
    mode: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(profiles, "_current", MACHINE)
    picture = Image.new(mode, (64, 64)) if mode in ("F", "I;16") else Image.new("RGB", (64, 64)).convert(mode)
    path = gallery.save(picture, "mine", **HOW)
    with Image.open(path) as saved:
        assert saved.mode == "RGB"
    gallery.show(picture)
    assert "[picture 64×64 px]" in capsys.readouterr().out


def test_the_gallery_saves_and_shows_upright(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(profiles, "_current", MACHINE)
    with Image.open(lying(tmp_path / "phone.jpg")) as picture:
        gallery.show(picture)
        assert "[picture 64×96 px]" in capsys.readouterr().out
        gallery.save(picture, "mine", **HOW)
    assert gallery.load("mine").size == (64, 96)


def test_a_picture_that_somebody_put_among_those_of_the_gallery_is_loaded_upright(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(profiles, "_current", MACHINE)
    folder = gallery.folder()
    folder.mkdir(parents=True)
    lying(tmp_path / "phone.jpg").rename(folder / "mine.png")
    assert gallery.load("mine").size == (64, 96)
    assert "it was turned upright" in capsys.readouterr().out


def test_a_grid_takes_any_collection_of_pictures_and_names_what_is_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    gallery.show({"one": Image.new("RGB", (16, 16))}.values())
    assert "[picture 16×16 px]" in capsys.readouterr().out
    with pytest.raises(TypeError, match=r"Pictures are wanted, got 'dog.png'"):
        gallery.show(["dog.png"])


@pytest.mark.parametrize(("flag", "value"), [("columns", 0), ("width", 0)])
def test_zero_columns_or_width_is_refused(flag: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{flag} must be 1 or more, got 0"):
        gallery.figures([Image.new("RGB", (16, 16))] * 2, [""] * 2, alts=["x"] * 2, **{flag: value})


def test_a_name_that_is_too_long_says_so_and_nothing_about_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "_current", MACHINE)
    with pytest.raises(OSError, match=r"Take a shorter name; then run"):
        gallery.save(Image.new("RGB", (16, 16)), "a" * 300, **HOW)
    (gallery.folder() / "dog.png").mkdir(parents=True)
    with pytest.raises(OSError, match=r"Take another name: a folder has this one"):
        gallery.save(Image.new("RGB", (16, 16)), "dog", **HOW)


def test_a_reference_that_lies_or_is_transparent_is_refused_and_the_advice_mends_it(tmp_path: Path) -> None:
    with Image.open(lying(tmp_path / "phone.jpg")) as picture:
        with pytest.raises(ValueError, match=r"1 lies on its side, .*import to_rgb; to_rgb\(picture\)"):
            guards.check_references("Qwen-Image-Edit", picture)
        guards.check_references("Qwen-Image-Edit", pictures.to_rgb(picture, tell=str))
    with pytest.raises(ValueError, match="must be RGB, got RGB with transparency"):
        guards.check_references("Qwen-Image-Edit", clear("RGB"), auto_resize=True)
