"""References reach the edit models as they should: refused early, each with its tokens, positions and order.

The edit models here are stand-ins: the base model's weights under the edit models' names. What a trained one
draws is `workshop.pocket.measure`'s to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.machines import MACHINE
from tests.support.people import MAN, WOMAN
from tests.support.verdicts import verdict
from workshop import drawing, guards, loading, looking, models
from workshop.files import POCKET
from workshop.profiles import Profile

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

EDIT, MULTI = "Qwen-Image-Edit", "Qwen-Image-Edit-2509"
SETTINGS: dict[str, Any] = {"size": 128, "seed": 1, "num_inference_steps": 2, "edit_image_auto_resize": False}


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
        drawing.draw(pipes[name], "a dog", edit_image=references, **SETTINGS)


@pytest.mark.parametrize(("name", "references"), [(EDIT, [WOMAN, MAN]), (MULTI, WOMAN)])
def test_diffsynth_alone_runs_the_wrong_number_without_a_word(
    pipes: dict[str, QwenImagePipeline], name: str, references: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    # If this fails, DiffSynth checks by itself and ours can go.
    monkeypatch.setattr(guards, "check_references", lambda *_, **__: None)
    assert drawing.draw(pipes[name], "a dog", edit_image=references, **SETTINGS).size == (128, 128)


@pytest.mark.parametrize(("name", "references"), [(EDIT, WOMAN), (MULTI, [WOMAN]), (MULTI, [WOMAN, MAN])])
def test_each_reference_adds_its_own_tokens_to_those_that_are_drawn(
    pipes: dict[str, QwenImagePipeline], name: str, references: Any
) -> None:
    lengths: list[int] = []
    hook = pipes[name].dit.img_in.register_forward_hook(lambda _, args, out: lengths.append(out.shape[1]))
    try:
        drawing.draw(pipes[name], "a dog", edit_image=references, **SETTINGS)
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
        drawing.draw(pipes[MULTI], "a couple", edit_image=references, **SETTINGS)
        for references in ([WOMAN, MAN], [MAN, WOMAN], [WOMAN, MAN])
    ]
    assert looking.difference(drawn[0], drawn[1]) > 0
    assert looking.difference(drawn[0], drawn[2]) == 0


def test_a_negative_prompt_counts_at_guidance_two_and_is_not_read_at_one(
    pipes: dict[str, QwenImagePipeline], capsys: pytest.CaptureFixture[str]
) -> None:
    for guidance, said in ((2.0, "✗ not yet"), (1.0, "✓ solved")):
        context = (
            pipes[EDIT],
            {"size": SETTINGS["size"], "edit_image": WOMAN, "edit_image_auto_resize": False},
        )
        assert said in verdict("a prompt unread", guidance, *context, capsys=capsys)


def test_what_three_pipelines_hold_is_counted_once(pipes: dict[str, QwenImagePipeline]) -> None:
    roles = ("dit", "text_encoder", "vae")
    networks = {role: [getattr(pipe, role) for pipe in pipes.values()] for role in roles}
    sizes = {role: sum(p.numel() for p in networks[role][0].parameters()) for role in roles}
    everything = [network for role in roles for network in networks[role]]
    counted = sum({id(p): p.numel() for network in everything for p in network.parameters()}.values())
    assert counted == 3 * sizes["dit"] + sizes["text_encoder"] + sizes["vae"]


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
        drawing.draw(pipes[EDIT], "a dog", edit_image=WOMAN, **SETTINGS)


def test_pictures_with_references_of_their_own_share_a_call_and_are_their_pictures_alone(
    pipes: dict[str, QwenImagePipeline],
) -> None:
    edit = pipes[EDIT]
    jobs: list[dict[str, Any]] = [
        {"prompt": "a woman in a forest", "edit_image": WOMAN, "seed": 1},
        {"prompt": "a man", "edit_image": MAN, "seed": 2},
    ]
    others = {name: value for name, value in SETTINGS.items() if name != "seed"}
    calls: list[int] = []
    hook = edit.dit.img_in.register_forward_hook(lambda _, given, __: calls.append(len(given[0])))
    try:
        together = drawing.draw_all(edit, jobs, **others)
    finally:
        hook.remove()
    assert calls == [4] * SETTINGS["num_inference_steps"]
    for job, drawn in zip(jobs, together, strict=True):
        alone = drawing.draw(edit, **job, **others)
        apart = np.abs(np.asarray(drawn, dtype=int) - np.asarray(alone, dtype=int))
        assert apart.max() <= 1 and apart.mean() < 0.01  # levels of 255: rounding on the other side
