"""Pictures keep how they were made, are saved whole or not at all, and are shown with words."""

from __future__ import annotations

import os
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from workshop import files, gallery, profiles
from workshop.profiles import Profile

POCKET = Profile("pocket", "cpu", "float32", 128, Path("pocket"), "of a test")
HOW = {"prompt": "a dog", "seed": 3, "num_inference_steps": 40, "cfg_scale": 4.0}


@pytest.fixture(autouse=True)
def folders(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKSHOP_PICTURES", str(tmp_path / "pictures"))
    monkeypatch.setattr(gallery, "FALLBACK", tmp_path / "fallback")
    monkeypatch.setattr(profiles, "_current", POCKET)


def picture(color: str = "red", size: tuple[int, int] = (128, 128)) -> Image.Image:
    return Image.new("RGB", size, color)


class Figures(HTMLParser):
    """Collects the images and captions of shown HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.captions: list[str] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.inside = tag == "figcaption"
        if tag == "img":
            self.images.append(dict(attrs))

    def handle_data(self, data):
        if self.inside:
            self.captions.append(data)

    def handle_endtag(self, tag):
        self.inside = False


def test_a_saved_picture_carries_how_it_was_made(tmp_path):
    prompt = "이 사랑 넘치는 부부 — “café”\nnaïve"
    path = gallery.save(
        picture(),
        "couple",
        **{**HOW, "prompt": prompt},
        model="Qwen-Image-Edit",
        alt="two people",
        lora="ArtAug",
    )
    assert path == tmp_path / "pictures" / "pocket" / "couple.png"
    image = gallery.load("couple")
    assert image.getpixel((5, 5)) == (255, 0, 0)
    found = {
        key: image.info[key]
        for key in (
            "prompt",
            "seed",
            "num_inference_steps",
            "cfg_scale",
            "model",
            "profile",
            "made by",
            "alt",
            "lora",
        )
    }
    assert found == {
        "prompt": prompt,
        "seed": "3",
        "num_inference_steps": "40",
        "cfg_scale": "4.0",
        "model": "Qwen-Image-Edit",
        "profile": "pocket",
        "made by": "pocket model",
        "alt": "two people",
        "lora": "ArtAug",
    }
    assert re.fullmatch(r"torch 2\S+, diffsynth 2\.1\.12, transformers 5\S+", image.info["versions"])


def test_saving_again_replaces_the_picture_and_leaves_nothing_else(tmp_path):
    gallery.save(picture("red"), "dog", **HOW)
    path = gallery.save(picture("blue"), "dog", **HOW)
    assert gallery.load("dog").getpixel((0, 0)) == (0, 0, 255)
    assert list(path.parent.iterdir()) == [path]


def test_a_save_that_fails_leaves_the_old_picture_and_no_temporary_file(monkeypatch):
    path = gallery.save(picture("red"), "dog", **HOW)
    before = path.read_bytes()

    def half(self, file, **options):
        file.write(b"half a picture")
        raise OSError("no space left on device")

    monkeypatch.setattr(Image.Image, "save", half)
    with pytest.raises(OSError, match="no space left"):
        gallery.save(picture("blue"), "dog", **HOW)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_a_full_disk_says_where_what_is_safe_and_what_to_do(monkeypatch):
    path = gallery.save(picture("red"), "dog", **HOW)
    before = path.read_bytes()
    place = path.parent / ".dog-new.part"

    def full(**_):
        place.touch()
        return os.open("/dev/full", os.O_WRONLY), str(place)

    monkeypatch.setattr(files.tempfile, "mkstemp", full)
    with pytest.raises(OSError, match="could not be saved") as error:
        gallery.save(picture("blue"), "dog", **HOW)
    said = str(error.value)
    assert said.startswith(f"{path} could not be saved (") and "No space left on device" in said
    assert "from before is as it was" in said and "set WORKSHOP_PICTURES to another folder" in said
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_says_the_same(monkeypatch, tmp_path):
    (tmp_path / "taken").write_text("a file where the folder should be")
    monkeypatch.setenv("WORKSHOP_PICTURES", str(tmp_path / "taken"))
    with pytest.raises(OSError, match=r"dog\.png could not be saved .*set WORKSHOP_PICTURES"):
        gallery.save(picture(), "dog", **HOW)


def test_load_prefers_your_own_picture_and_says_which_it_took(tmp_path, capsys):
    gallery.FALLBACK.mkdir()
    shipped = gallery.save(picture("blue"), "dog", **HOW)
    shipped.rename(gallery.FALLBACK / "dog.png")
    assert gallery.load("dog").getpixel((0, 0)) == (0, 0, 255)
    said = capsys.readouterr().out
    assert said.startswith("dog: the shipped picture ") and "made by pocket model, because " in said
    gallery.save(picture("red"), "dog", **HOW)
    assert gallery.load("dog").getpixel((0, 0)) == (255, 0, 0)
    assert capsys.readouterr().out.startswith("dog: your own picture, ")


def test_a_picture_that_is_nowhere_names_both_places():
    with pytest.raises(
        FileNotFoundError, match=r"no picture named 'cat': neither .*pocket/cat\.png nor .*fallback/cat\.png"
    ):
        gallery.load("cat")


@pytest.mark.parametrize("content", [b"", b"not a picture", None])
def test_an_unreadable_picture_is_an_error_and_not_a_fallback(content):
    path = gallery.save(picture(), "dog", **HOW)
    path.write_bytes(path.read_bytes()[:-60] if content is None else content)
    gallery.FALLBACK.mkdir()
    picture().save(gallery.FALLBACK / "dog.png")
    with pytest.raises(OSError, match=r"dog\.png is not a whole picture .*Delete it, or make it again"):
        gallery.load("dog")


@pytest.mark.parametrize("name", ["../dog", "a/b", "", ".hidden", "C:dog"])
def test_a_name_that_is_a_path_is_refused(name: str):
    with pytest.raises(ValueError, match="letters, digits"):
        gallery.save(picture(), name, **HOW)


def test_a_grid_can_be_shown_larger():
    html = gallery.figures([picture()] * 2, [""] * 2, alts=["x"] * 2, width=560)
    assert [image["style"].startswith("width:560px") for image in Figures(html).images] == [True, True]


def test_figures_have_alt_text_caption_and_a_size_for_the_last_row():
    html = gallery.figures([picture()], ["seed <b>3</b> & more"], alts=['a "red" square'])
    shown = Figures(html)
    assert shown.images[0]["alt"] == 'a "red" square'
    assert "".join(shown.captions) == "seed <b>3</b> & more"
    assert "width:384px" in shown.images[0]["style"] and "image-rendering:auto" in shown.images[0]["style"]
    assert shown.images[0]["src"].startswith("data:image/png;base64,")


def test_crisp_keeps_the_pixels_edges():
    assert "image-rendering:pixelated" in gallery.figures([picture()], [""], alts=["x"], crisp=True)


def test_a_large_picture_is_embedded_smaller_than_it_is_saved():
    large = Image.effect_noise((1328, 1328), 50).convert("RGB")
    src = Figures(gallery.figures([large], [""], alts=["noise"])).images[0]["src"]
    assert src.startswith("data:image/jpeg;base64,")
    assert len(src) < 1_000_000
    assert large.size == (1328, 1328)


def test_a_grid_has_as_many_columns_as_asked_and_never_more_than_pictures():
    four = [picture()] * 6
    assert "repeat(3," in gallery.figures(four, [""] * 6, alts=["x"] * 6, columns=3)
    assert "repeat(4," in gallery.figures(four, [""] * 6, alts=["x"] * 6)
    assert "repeat(2," in gallery.figures(four[:2], [""] * 2, alts=["x"] * 2, columns=9)


@pytest.fixture
def notebook(monkeypatch) -> list[str]:
    """A Jupyter kernel as far as show() can tell; returns the HTML it displays."""
    displayed: list[str] = []

    class ZMQInteractiveShell:
        pass

    ipython, module = ModuleType("IPython"), ModuleType("IPython.display")
    ipython.get_ipython = ZMQInteractiveShell
    module.HTML, module.display = str, displayed.append
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return displayed


def test_show_takes_alt_text_from_what_is_given_then_the_file_then_the_caption(notebook):
    gallery.save(picture(), "dog", **HOW, alt="a brown dog")
    saved = gallery.load("dog")
    gallery.show([saved, saved, picture()], ["one", "two", "three"], alt=["given", "", ""])
    (html,) = notebook
    assert [image["alt"] for image in Figures(html).images] == ["given", "a brown dog", "three"]


def test_show_takes_one_picture_with_one_caption(notebook):
    gallery.show(picture(), "pocket model, seed 3")
    assert Figures(notebook[0]).captions == ["pocket model, seed 3"]


def test_captions_must_be_as_many_as_pictures(notebook):
    with pytest.raises(ValueError, match="captions: got 1 for 2 pictures"):
        gallery.show([picture(), picture()], ["one"])
    assert notebook == []


def test_outside_a_notebook_the_words_are_printed(capsys):
    gallery.show([picture()], ["pocket model, seed 3"], alt="a red square")
    assert capsys.readouterr().out == "[picture 128×128 px] pocket model, seed 3\n"


def test_without_a_profile_saving_says_what_to_call(monkeypatch):
    monkeypatch.setattr(profiles, "_current", None)
    with pytest.raises(RuntimeError, match=r"profiles\.use\(\)"):
        gallery.save(picture(), "dog", **HOW)


def test_a_caption_of_the_pocket_profile_says_that_it_is_the_pocket_model() -> None:
    assert gallery.caption(POCKET, "seed 0", 40) == "seed 0 · 40 · pocket model"


def test_facts_become_captions_and_alt_texts_that_name_the_difference(notebook) -> None:
    two = [picture(), picture("blue")]
    two[0].info["alt"] = "a dog"
    gallery.show(two, {"seed": [4, 5], "{:.1f} levels away": [0.0, 12.34], "": "ArtAug", "cfg_scale": 4.0})
    shown = Figures(notebook[0])
    facts = "levels away · ArtAug · cfg_scale 4 · pocket model"
    assert shown.captions == [f"seed 4 · 0.0 {facts}", f"seed 5 · 12.3 {facts}"]
    assert [image["alt"] for image in shown.images] == [
        "a dog; seed 4; 0.0 levels away; ArtAug; cfg_scale 4",
        "seed 5; 12.3 levels away; ArtAug; cfg_scale 4",
    ]


def test_facts_must_be_as_many_as_pictures(notebook) -> None:
    with pytest.raises(ValueError, match=r"'seed': got 3 values for 2 pictures\. Give one for each"):
        gallery.show([picture(), picture()], {"seed": [1, 2, 3]})
    assert notebook == []


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("Korean: 그는 책상 앞에 앉아.", 'Korean: <span lang="ko">그는 책상 앞에 앉아</span>.'),
        ("<b> ಮೇಜಿನ ಬಳಿ", '&lt;b&gt; <span lang="kn">ಮೇಜಿನ ಬಳಿ</span>'),
        (
            "他坐在桌前，双手 and 그는",
            '<span lang="zh">他坐在桌前，双手</span> and <span lang="ko">그는</span>',
        ),
    ],
)
def test_captions_in_another_language_carry_it(text: str, marked: str) -> None:
    assert f">{marked}</figcaption>" in gallery.figures([picture()], [text], alts=["x"])


def test_alt_text_carries_the_language_of_most_of_its_letters() -> None:
    page = gallery.figures(
        [picture()] * 2, [""] * 2, alts=["그는 책상 앞에 앉아", "drawn for the prompt: 그는"]
    )
    assert [image.get("lang") for image in Figures(page).images] == ["ko", None]


def test_one_alt_text_does_for_all_where_facts_tell_the_difference(notebook) -> None:
    gallery.show([picture(), picture()], {"seed": [4, 5]}, alt="a woman")
    assert [image["alt"] for image in Figures(notebook[0]).images] == ["a woman; seed 4", "a woman; seed 5"]


def test_a_picture_keeps_its_own_alt_text_maker_and_facts_among_others(notebook) -> None:
    reference = picture()
    reference.info |= {"alt": "a portrait", "made by": "another model"}
    facts = {"": ["reference", "without F2P"], "seed": [None, 1]}
    gallery.show([reference, picture()], facts, alt="a figure")
    shown = Figures(notebook[0])
    assert [image["alt"] for image in shown.images] == [
        "a portrait; reference",
        "a figure; without F2P; seed 1",
    ]
    assert ">reference · another model<" in notebook[0]
    assert f">without F2P · seed 1 · {profiles.current().label}<" in notebook[0]
