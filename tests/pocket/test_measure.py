"""The measures: what is counted, and how it is written down."""

from __future__ import annotations

import json
import random

import pytest
from PIL import Image

from workshop import files, loading, looking, prompts
from workshop.pocket.measure import __main__ as command
from workshop.pocket.measure import base, family, pictures
from workshop.pocket.world import captions, draw, scenes


@pytest.fixture(scope="module")
def report() -> dict:
    return json.loads((files.POCKET / "report.json").read_text(encoding="utf8"))


def person(**attributes: str) -> dict[str, str]:
    return scenes.attributes(scenes.Scene("portrait", people=(scenes.Person(**attributes),)))


def picture(number: int) -> Image.Image:
    return draw.to_image(scenes.random_scene(random.Random(number)), 128)


def test_identity_is_counted_attribute_by_attribute():
    assert pictures.compare_identity(person(hair="red"), person(hair="black")) == {
        "skin": True,
        "hair": False,
        "hair length": True,
        "glasses": True,
    }


def test_chance_compares_with_the_references_of_others():
    def result(reference: dict[str, str], shown: dict[str, str]) -> family.Edited:
        return family.Edited(prompts.Caption("", "en", {}), (reference,), picture(0), shown)

    dark, light = person(skin="dark"), person(skin="light")
    results = [result(dark, dark), result(light, light)]
    assert family.share_identity(results) == 1
    assert family.share_identity_by_chance(results) == 0.75


def test_two_people_may_stand_either_way_round():
    one, two = person(hair="red"), person(hair="gray", who="man")
    shown = scenes.attributes(
        scenes.Scene("couple", people=(scenes.Person(hair="gray", who="man"), scenes.Person(hair="red")))
    )
    assert all(family.compare_people(family.Edited(family.COUPLE, (one, two), picture(0), shown)))
    half = family.compare_people(family.Edited(family.COUPLE, (one, one), picture(0), shown))
    assert 0 < sum(half) < len(half)


def test_instructions_say_nothing_of_the_identity_they_are_judged_by():
    for scene, caption in family.choose_instructions(12):
        assert scene.kind in ("portrait", "figure")
        assert not {f"left {name}" for name in scenes.IDENTITY} & set(caption.named)
        assert caption.named["left who"] == scene.people[0].who


def test_shading_and_texture_are_detail():
    chosen = [scenes.random_scene(random.Random(i)) for i in range(12)]
    plain, rich = ([looking.detail(draw.to_image(s, 128, rich=finish)) for s in chosen] for finish in (0, 1))
    assert family.compute_auc(plain, rich) > 0.95
    assert family.compute_auc([1.0, 2.0], [1.0, 2.0]) == 0.5


def test_figures_of_the_family_come_with_their_targets():
    figures = {"identity kept": 0.5, "identity by chance": 0.42, "identity kept with F2P": 0.93}
    assert family.tabulate(figures, {}) == [
        ("identity kept", "50.0%", "≤ 57.0%"),
        ("identity by chance", "42.0%", ""),
        ("identity kept with F2P", "93.0%", "≥ 90%"),
    ]


def test_the_report_gives_every_figure_of_the_card(report):
    wanted = {"vae dB plain", "reader", "seconds a picture", "same seed, same picture", *captions.LANGUAGES}
    assert wanted <= report.keys()
    assert report["same seed, same picture"] is True
    assert command.write_table(report | {"family": {}}).count("≥") == 6
    assert command.write_table(report).count("≥") > 6


def test_the_model_card_gives_the_figures_of_the_report(report, tmp_path):
    card = (files.POCKET / "README.md").read_text(encoding="utf8")
    assert command.write_table(report) in card
    copy = tmp_path / "README.md"
    copy.write_text(card, encoding="utf8")
    command.update_card(copy, report | {"en": 0.123})
    assert "12.3%" in copy.read_text(encoding="utf8")


def test_a_model_card_without_markers_is_not_touched(report, tmp_path):
    (tmp_path / "README.md").write_text("no figures here", encoding="utf8")
    with pytest.raises(ValueError, match="between which the figures go"):
        command.update_card(tmp_path / "README.md", report)


def test_evaluation_prompts_are_held_out_and_name_something():
    said = pictures.choose_captions("en", 20)
    assert len(said) == 20
    assert all(caption.named for caption in said)
    assert said == pictures.choose_captions("en", 20)


def test_the_model_draws_what_the_workshop_asks_for(pipe, report):
    """Twelve pictures cannot repeat the report's figure; they catch weights or code that went wrong."""
    results = list(
        pictures.draw_captions(pipe, pictures.choose_captions("en", 6) + pictures.choose_captions("zh", 6))
    )
    assert pictures.share_followed(results) > 0.7 * (report["en"] + report["zh"]) / 2


def test_f2p_holds_a_face_that_the_edit_model_alone_loses(pipe, report):
    found, _ = family.measure_edits(loading.load_pipeline("Qwen-Image-Edit"), family.lora_config("F2P"), 4)
    assert found["identity kept with F2P"] > found["identity kept"] + 0.2
    assert found["instruction followed"] > 0.7 * report["family"]["instruction followed"]
    loading.free("Qwen-Image-Edit")


def test_two_references_give_a_picture_of_both_people(pipe, report):
    found, _ = family.measure_couples(loading.load_pipeline("Qwen-Image-Edit-2509"), 3)
    assert found["two people"] > 0.7 * report["family"]["two people"]
    loading.free("Qwen-Image-Edit-2509")


def test_the_same_seed_gives_the_same_picture(pipe):
    assert base.is_repeatable(pipe)


def test_another_seed_gives_another_picture(pipe):
    said = prompts.WORKSHOP_PROMPTS["dog"]
    first, second = pictures.draw_captions(pipe, [said, said])
    assert first.image.tobytes() != second.image.tobytes()
