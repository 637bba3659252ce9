"""The workshop's prompts are in the notebooks word for word, and what one notebook saves another finds."""

from __future__ import annotations

import pytest

from workshop import notebooks, prompts


def source(name: str, cell: str) -> str:
    cells = notebooks.read(notebooks.FOLDER / f"{name}.ipynb").cells
    return next(one.source for one in cells if one.id == cell)


def test_the_workshops_own_prompts_are_in_the_notebooks_word_for_word() -> None:
    first, couple = source("05_edit", "edit-first"), source("06_multi_image", "couple-draw")
    assert f'prompt = "{prompts.WORKSHOP_PROMPTS["woman in the forest"].text}"' in first
    assert f'prompt = "{prompts.WORKSHOP_PROMPTS["couple (ko)"].text}"' in couple
    assert "seed=1" in first and "seed=3" in couple and "edit_image=[woman, man]" in couple
    for cell in (first, couple):
        assert "edit_image_auto_resize=machine.is_real" in cell and "num_inference_steps=40" in cell


@pytest.mark.parametrize(
    ("saves", "cell", "name", "loads", "where"),
    [
        ("05_edit", "save-fullbody", "image_fullbody", "06_multi_image", "people"),
        ("04_multilingual", "pictures-grid", "image_man", "06_multi_image", "people"),
    ],
)
def test_what_one_notebook_saves_another_finds(
    saves: str, cell: str, name: str, loads: str, where: str
) -> None:
    assert f'"{name}"' in source(saves, cell) and "gallery.save(" in source(saves, cell)
    assert f'gallery.load("{name}")' in source(loads, where)
