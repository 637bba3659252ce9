"""Editing: wrong references are refused in clear words, right ones reach the model as they should.

The edit models here are stand-ins: the base model's weights under the edit models' names. What a trained one
draws is `workshop.pocket.measure`'s to measure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests.support.easel import Easel
from workshop import edit, exercises, lessons, loading, models, playground, prompts
from workshop.pocket.world import draw, scenes
from workshop.profiles import POCKET, REPO, Profile

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

MACHINE = Profile("pocket", "cpu", "float32", 128, POCKET, "the tests need no more")
REAL = Profile("mi300x", "cuda", "bfloat16", 1328, POCKET, "the tests pretend")
EDIT, MULTI = "Qwen-Image-Edit", "Qwen-Image-Edit-2509"
SQUARE = Image.new("RGB", (128, 128))
WOMAN = draw.to_image(scenes.Scene("portrait", people=(scenes.Person(hair="red", skin="light"),)))
MAN = draw.to_image(scenes.Scene("portrait", people=(scenes.Person(who="man", hair="gray", glasses="yes"),)))


def verdict(name: str, answer: object, *context: object, capsys: pytest.CaptureFixture[str]) -> str:
    exercises.check(name, answer, *context)
    return capsys.readouterr().out


# What a pipeline takes


def test_it_is_known_of_each_pipeline_how_many_references_it_takes() -> None:
    assert edit.MOST.keys() == models.PIPELINES.keys()


@pytest.mark.parametrize(
    ("name", "references"),
    [(EDIT, SQUARE), (MULTI, [SQUARE]), (MULTI, (SQUARE, SQUARE)), (MULTI, [SQUARE, WOMAN, MAN])],
)
def test_what_the_model_has_learned_passes(name: str, references: object) -> None:
    edit.check(name, references)


@pytest.mark.parametrize(
    ("name", "references", "said"),
    [
        (
            EDIT,
            [SQUARE, SQUARE],
            "Edit takes one reference picture, without a list; got a list of 2. Pass edi",
        ),
        (EDIT, [SQUARE], "got a list of 1. Pass edit_image=picture, or load Qwen-Image-Edit-2509"),
        (MULTI, SQUARE, "takes a list of 1 to 3 reference pictures, got one picture without a list. Pass ed"),
        (MULTI, [], r"got a list of 0\. Pass edit_image=\[picture\]"),
        (MULTI, [SQUARE] * 4, "takes a list of 1 to 3 reference pictures, got a list of 4"),
        ("Qwen-Image", SQUARE, r"Qwen-Image takes no reference picture, got one .*load_pipeline\(.*Edit"),
        (EDIT, SQUARE.convert("RGBA"), r'1 must be RGB, got RGBA. Convert it: picture.convert\("RGB"\)'),
        (MULTI, [SQUARE, SQUARE.convert("L")], "Reference 2 must be RGB, got L"),
        (
            EDIT,
            SQUARE.resize((120, 128)),
            "multiples of 16 px, got 120×128. Resize it, or pass edit_image_auto",
        ),
    ],
)
def test_what_it_has_not_learned_says_what_came_what_is_needed_and_what_to_do(
    name: str, references: object, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        edit.check(name, references)


@pytest.mark.parametrize(
    ("name", "references", "said"),
    [
        (EDIT, "face.png", r"a picture, or a list of them; got 'face.png'. Open it first: PIL.Image.open"),
        (MULTI, [SQUARE, "man.png"], "Reference 2 must be a picture, got 'man.png'. Open it first"),
        (MULTI, [3], "Reference 1 must be a picture, got a int"),
    ],
)
def test_what_is_no_picture_says_how_to_open_one(name: str, references: object, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        edit.check(name, references)


def test_a_picture_whose_file_is_cut_short_is_found_before_anything_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    WOMAN.save(path)
    path.write_bytes(path.read_bytes()[:-2000])
    with (
        Image.open(path) as opened,
        pytest.raises(OSError, match=r"Reference 2 cannot be read \(.+\)\. Its file is damaged: copy it"),
    ):
        edit.check(MULTI, [SQUARE, opened])


def test_with_auto_resize_any_size_will_do() -> None:
    edit.check(EDIT, SQUARE.resize((120, 90)), auto_resize=True)


# Who is in it


@pytest.fixture
def reader_says(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[int, dict[str, str]]], None]:
    """Give a function that lets the reader answer by picture, by its id."""
    from workshop.pocket.model import reader

    def answer(by_picture: Mapping[int, dict[str, str]]) -> None:
        monkeypatch.setattr(reader, "read", lambda picture: by_picture[id(picture)])

    return answer


def test_the_first_person_is_looked_for_on_the_left_and_the_second_on_the_right(reader_says) -> None:
    reader_says({id(WOMAN): {"left hair": "red", "left who": "woman"}, id(MAN): {"left hair": "gray"}})
    wanted = edit.identity([WOMAN, MAN], MACHINE)
    assert len(wanted) == 2 * len(edit.IDENTITY) and "left who" not in wanted
    assert (wanted["left hair"], wanted["right hair"]) == ("red", "gray")
    assert wanted["left glasses"] == "none"  # a portrait in which the reader finds no face


def test_on_the_real_model_identity_is_left_to_the_eye() -> None:
    wanted = edit.identity([WOMAN], REAL)
    assert set(wanted.values()) == {"as in the reference"}
    assert edit.tally([lessons.shown(SQUARE, wanted, REAL)]) == "4 boxes for you to tick"
    assert set(edit.seen(SQUARE, REAL).values()) == {"☐"}


def test_what_is_seen_is_told_in_a_few_words(reader_says) -> None:
    reader_says({id(SQUARE): {"kind": "couple", "left who": "woman", "left hair": "red"}})
    assert edit.seen(SQUARE, MACHINE) == {"kind": "couple", "left": "woman, red hair", "right": "nobody"}


def test_a_tally_counts_ticks_over_several_pictures() -> None:
    assert edit.tally([{"a": "✓ x", "b": "✗ y"}, {"a": "✓ x", "b": "✓ z"}]) == "3 of 4 (75 %)"


def test_chance_is_what_guessing_evenly_would_keep() -> None:
    assert pytest.approx((1 / 3 + 1 / 5 + 1 / 3 + 1 / 2) / 4) == edit.CHANCE


def test_identity_and_clothes_are_the_pocket_worlds_own_words() -> None:
    assert set(edit.IDENTITY) < set(scenes.PERSON_ATTRIBUTES)


# The exercises of 05 and 06


@pytest.mark.parametrize(
    ("name", "stub", "solution"),
    [
        ("a prompt unread", [SQUARE, WOMAN], [WOMAN, WOMAN]),
        ("a size that is refused", SQUARE, SQUARE.resize((120, 128))),
        ("no list", [WOMAN, MAN], WOMAN),
        ("the smallest card", 64, 108),
        ("count once", lambda networks: None, lambda networks: count_once(networks)),
    ],
)
def test_a_check_tells_a_solution_from_the_stub(
    name: str, stub: Any, solution: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    before = verdict(name, stub, capsys=capsys)
    assert "✗ not yet" in before and "yours:" in before and "expected:" in before
    assert "✓ solved" in verdict(name, solution, capsys=capsys)


def count_once(networks: list[Any]) -> int:
    return sum(
        one.numel() for one in {id(one): one for network in networks for one in network.parameters()}.values()
    )


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("count once", lambda networks: sum(p.numel() for n in networks for p in n.parameters())),
        ("a size that is refused", SQUARE.convert("L")),  # refused, but not for its size
        ("no list", []),  # refused, but a list
        ("the smallest card", 107),
        ("the smallest card", 109),
        ("the smallest card", 192),
    ],
)
def test_what_is_only_near_a_solution_is_not_accepted(
    name: str, near: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "✗ not yet" in verdict(name, near, capsys=capsys)


# The playground without a browser


def ground(**options: Any) -> playground.EditPlayground:
    pictures = {"woman": WOMAN, "man": MAN}
    return playground.EditPlayground(Easel(), MACHINE, {"forest": "in a forest"}, pictures, **options)


def test_a_playground_for_one_reference_passes_the_picture_itself(capsys: pytest.CaptureFixture[str]) -> None:
    one = ground(negative="bad hands")
    one.first.value, one.guidance.value = "man", 2.0
    one.generate()
    asked = one.pipe.asked[0]
    assert asked["edit_image"] is MAN and asked["edit_image_auto_resize"] is False
    assert (asked["negative_prompt"], asked["cfg_scale"]) == ("bad hands", 2.0)
    assert "man: in a forest · seed 0 · steps 40 · guidance 2 · pocket model" in capsys.readouterr().out
    assert one.second not in one.box.children and one.negative in one.box.children


def test_a_playground_for_two_passes_a_list_in_the_order_chosen() -> None:
    two = ground(listed=True)
    two.first.value, two.second.value = "man", "woman"
    two.generate()
    two.second.value = two.NOBODY
    two.button.click()
    assert [asked["edit_image"] for asked in two.pipe.asked] == [[MAN, WOMAN], [MAN]]
    assert {two.first, two.second, two.button, two.output} <= set(two.box.children)


# The notebooks


def source(name: str, cell: str) -> str:
    cells = json.loads((REPO / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    return next("".join(one["source"]) for one in cells if one["id"] == cell)


def test_the_workshops_own_prompts_are_in_the_notebooks_word_for_word() -> None:
    first, couple = source("05_edit", "edit-first"), source("06_multi_image", "couple-draw")
    assert f'prompt = "{prompts.WORKSHOP_PROMPTS["woman in the forest"].text}"' in first
    assert f'prompt = "{prompts.WORKSHOP_PROMPTS["couple (ko)"].text}"' in couple
    assert "seed=1" in first and "seed=3" in couple and "edit_image=[woman, man]" in couple
    for cell in (first, couple):
        assert "edit_image_auto_resize=False" in cell and "num_inference_steps=40" in cell


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


# With stand-ins for the edit models


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """The pocket profile over a folder in which the edit models have the base model's weights."""
    folder = tmp_path_factory.mktemp("models") / "Qwen"
    for name in models.PIPELINES:
        (folder / name).mkdir(parents=True)
        (folder / name / "transformer").symlink_to(POCKET / "Qwen" / "Qwen-Image" / "transformer")
    for part in ("text_encoder", "vae", "tokenizer"):
        (folder / "Qwen-Image" / part).symlink_to(POCKET / "Qwen" / "Qwen-Image" / part)
    (folder / EDIT / "processor").symlink_to(POCKET / "Qwen" / EDIT / "processor")
    return replace(MACHINE, models=folder.parent)


@pytest.fixture(scope="module")
def pipes(machine: Profile) -> Iterator[dict[str, QwenImagePipeline]]:
    yield {name: loading.load_pipeline(name, profile=machine) for name in models.PIPELINES}
    loading.free()


SETTINGS: dict[str, Any] = {"size": 128, "seed": 1, "steps": 2, "edit_image_auto_resize": False}


@pytest.mark.parametrize(
    ("name", "references", "said"),
    [
        (EDIT, [WOMAN, MAN], "Qwen-Image-Edit takes one reference picture"),
        (MULTI, WOMAN, "Qwen-Image-Edit-2509 takes a list"),
        ("Qwen-Image", WOMAN, "Qwen-Image takes no reference picture"),
        (EDIT, WOMAN.resize((120, 128)), "multiples of 16 px"),
    ],
)
def test_the_pipeline_itself_refuses_before_it_computes_anything(
    pipes: dict[str, QwenImagePipeline],
    name: str,
    references: object,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipes[name].text_encoder, "forward", None)
    monkeypatch.setattr(pipes[name].vae, "encode", None)
    with pytest.raises(ValueError, match=said):
        lessons.draw(pipes[name], "a dog", edit_image=references, **SETTINGS)


@pytest.mark.parametrize(("name", "references"), [(EDIT, [WOMAN, MAN]), (MULTI, WOMAN)])
def test_diffsynth_alone_runs_the_wrong_number_without_a_word(
    pipes: dict[str, QwenImagePipeline], name: str, references: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    # If this fails, DiffSynth checks by itself and ours can go.
    monkeypatch.setattr(edit, "check", lambda *_, **__: None)
    assert lessons.draw(pipes[name], "a dog", edit_image=references, **SETTINGS).size == (128, 128)


@pytest.mark.parametrize(("name", "references"), [(EDIT, WOMAN), (MULTI, [WOMAN]), (MULTI, [WOMAN, MAN])])
def test_each_reference_adds_its_own_tokens_to_those_that_are_drawn(
    pipes: dict[str, QwenImagePipeline], name: str, references: Any
) -> None:
    lengths: list[int] = []
    hook = pipes[name].dit.img_in.register_forward_hook(lambda _, args, out: lengths.append(out.shape[1]))
    try:
        lessons.draw(pipes[name], "a dog", edit_image=references, **SETTINGS)
    finally:
        hook.remove()
    pictures = len(references) if isinstance(references, list) else 1
    assert set(lengths) == {64 * (1 + pictures)}


def test_left_on_auto_resize_makes_a_megapixel_of_a_small_reference() -> None:
    from diffsynth.pipelines.qwen_image import QwenImageUnit_EditImageEmbedder

    assert QwenImageUnit_EditImageEmbedder().edit_image_auto_resize(WOMAN).size == (1024, 1024)


def positions(pipe: QwenImagePipeline, references: Any) -> tuple[Any, Any]:
    """Run the stock pipeline's prompt unit; returns the token ids and the positions the encoder was given."""
    from diffsynth.pipelines.qwen_image import QwenImageUnit_PromptEmbedder

    given: list[dict[str, Any]] = []
    ids: list[Any] = []
    encoder = pipe.text_encoder
    hooks = [
        encoder.register_forward_pre_hook(lambda _, __, kw: ids.append(kw["input_ids"]), with_kwargs=True),
        encoder.model.language_model.register_forward_pre_hook(
            lambda _, __, kw: given.append(kw), with_kwargs=True
        ),
    ]
    try:
        QwenImageUnit_PromptEmbedder().process(pipe, "a woman by the sea", references)
    finally:
        for hook in hooks:
            hook.remove()
    return ids[0][0], given[0]["position_ids"]


@pytest.mark.parametrize(("name", "references"), [(EDIT, WOMAN), (MULTI, [WOMAN]), (MULTI, [WOMAN, MAN])])
def test_an_edit_prompt_keeps_its_image_positions_through_the_stock_pipeline(
    pipes: dict[str, QwenImagePipeline], name: str, references: Any
) -> None:
    import torch

    with torch.no_grad():
        ids, given = positions(pipes[name], references)
    assert given is not None, "the text encoder fell back to positions in one dimension"
    time, row, column = given[-3:, 0]
    picture = ids == pipes[name].text_encoder.config.image_token_id
    count = len(references) if isinstance(references, list) else 1
    assert picture.sum() == 25 * count  # 5×5 tokens a picture
    for start in picture.nonzero()[::25, 0].tolist():
        cut = slice(start, start + 25)
        assert time[cut].unique().numel() == 1
        assert (row[cut] - row[start]).tolist() == [number // 5 for number in range(25)]
        assert (column[cut] - column[start]).tolist() == [number % 5 for number in range(25)]
    words = ~picture
    assert torch.equal(row[words], column[words]) and torch.equal(time[words], row[words])
    assert (time[words].diff() > 0).all()


def test_without_a_reference_the_stock_pipeline_counts_words(pipes: dict[str, QwenImagePipeline]) -> None:
    import torch

    with torch.no_grad():
        assert positions(pipes[EDIT], None)[1] is None


def test_the_order_of_the_references_is_part_of_the_instruction(pipes: dict[str, QwenImagePipeline]) -> None:
    drawn = [
        lessons.draw(pipes[MULTI], "a couple", edit_image=references, **SETTINGS)
        for references in ([WOMAN, MAN], [MAN, WOMAN], [WOMAN, MAN])
    ]
    assert lessons.difference(drawn[0], drawn[1]) > 0
    assert lessons.difference(drawn[0], drawn[2]) == 0


def test_a_negative_prompt_counts_at_guidance_four_and_is_not_read_at_one(
    pipes: dict[str, QwenImagePipeline], capsys: pytest.CaptureFixture[str]
) -> None:
    for guidance, said in ((4.0, "✗ not yet"), (1.0, "✓ solved")):
        settings = {**SETTINGS, "edit_image": WOMAN, "guidance": guidance}
        pair = [
            lessons.draw(pipes[EDIT], "a dog", **settings, negative_prompt=words)
            for words in (edit.NEGATIVE, "")
        ]
        assert said in verdict("a prompt unread", pair, capsys=capsys)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda wanted, unwanted, scale: None, "✗ not yet"),
        (lambda wanted, unwanted, scale: wanted + scale * (wanted - unwanted), "✗ not yet"),
        (lambda wanted, unwanted, scale: scale * wanted, "✗ not yet"),
        (lambda wanted, unwanted, scale: unwanted + scale * (wanted - unwanted), "✓ solved"),
    ],
)
def test_guidance_by_hand_is_compared_with_diffsynths_own(
    pipes: dict[str, QwenImagePipeline], answer: Any, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in verdict("guidance by hand", answer, pipes[EDIT], capsys=capsys)


def test_what_three_pipelines_hold_is_counted_once(pipes: dict[str, QwenImagePipeline]) -> None:
    roles = ("dit", "text_encoder", "vae")
    networks = {role: [getattr(pipe, role) for pipe in pipes.values()] for role in roles}
    sizes = {role: sum(p.numel() for p in networks[role][0].parameters()) for role in roles}
    everything = [network for role in roles for network in networks[role]]
    assert count_once(everything) == 3 * sizes["dit"] + sizes["text_encoder"] + sizes["vae"]


def test_room_is_the_weights_that_are_not_there_yet(machine: Profile, pipes: object) -> None:
    dit = 4 * sum(parameter.numel() for parameter in pipes["Qwen-Image"].dit.parameters())
    assert loading.room(MULTI, profile=machine).weights == 0
    assert loading.resident() == dict.fromkeys(models.PIPELINES, dit)


def test_drawing_that_runs_out_of_memory_says_what_to_free(
    pipes: dict[str, QwenImagePipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def full(**_: object) -> None:
        raise torch.OutOfMemoryError("HIP out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(pipes[EDIT], "model_fn", full)
    said = (
        r"ran out of memory while drawing 128×128 px\. In memory: Qwen-Image \(freeing it brings .* MiB\), "
        r'.*Free one that you are done with: loading\.free\("Qwen-Image"\)\. Or draw a smaller picture'
    )
    with pytest.raises(MemoryError, match=said):
        lessons.draw(pipes[EDIT], "a dog", edit_image=WOMAN, **SETTINGS)
