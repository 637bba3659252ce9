"""A reference picture's tokens get positions in three dimensions, and nothing else changes."""

from __future__ import annotations

import pytest

from workshop import guards

IMAGE, START, END = 5, 3, 4  # token ids


@pytest.fixture(scope="module")
def text_encoder():
    """A small random Qwen2.5-VL under DiffSynth's own forward."""
    import torch
    from diffsynth.models.qwen_image_text_encoder import QwenImageTextEncoder
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLModel

    config = Qwen2_5_VLConfig(
        image_token_id=IMAGE,
        video_token_id=6,
        vision_start_token_id=START,
        vision_end_token_id=END,
        text_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "vocab_size": 64,
            "rope_scaling": {"mrope_section": [2, 3, 3], "rope_type": "default"},
            "pad_token_id": 0,
        },
        vision_config={
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_heads": 2,
            "out_hidden_size": 32,
            "fullatt_block_indexes": [0],
        },
    )
    torch.manual_seed(0)
    encoder = QwenImageTextEncoder.__new__(QwenImageTextEncoder)
    torch.nn.Module.__init__(encoder)
    encoder.config, encoder.model = config, Qwen2_5_VLModel(config)
    return encoder.eval()


@pytest.fixture
def prompt():
    """Two words, a picture of 3×2 tokens, three words: keywords as the edit pipeline passes them."""
    import torch

    ids = torch.tensor([[10, 11, START, *[IMAGE] * 6, END, 20, 21, 22]])
    grid = torch.tensor([[1, 6, 4]])  # patches; 2×2 of them are one token
    pixels = torch.randn(24, 3 * 2 * 14 * 14, generator=torch.Generator().manual_seed(1))
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": pixels,
        "image_grid_thw": grid,
    }


def run(encoder, **inputs):
    """Return the last hidden state and the positions the language model was given."""
    import torch

    seen = []
    handle = encoder.model.language_model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["position_ids"]), with_kwargs=True
    )
    with torch.no_grad():
        hidden = encoder(**inputs)[-1]
    handle.remove()
    return hidden, seen[0]


@pytest.fixture
def wrapped(text_encoder):
    import copy

    return guards.add_image_positions(copy.deepcopy(text_encoder))


def test_without_the_wrapper_the_picture_gets_no_positions_of_its_own(text_encoder, prompt):
    # If this fails, the fault is mended upstream and the wrapper can go.
    assert run(text_encoder, **prompt)[1] is None


def test_with_it_they_are_what_the_model_computes_when_told_the_token_types(text_encoder, wrapped, prompt):
    import torch

    types = (prompt["input_ids"] == IMAGE).int()
    expected, positions = run(text_encoder, **prompt, mm_token_type_ids=types)
    hidden, given = run(wrapped, **prompt)
    assert torch.equal(given, positions)
    assert torch.equal(hidden, expected)


def test_with_it_rows_and_columns_differ_and_the_words_go_on_after_the_picture(wrapped, prompt):
    _, positions = run(wrapped, **prompt)
    time, row, column = positions[-3:, 0].tolist()
    assert time == [0, 1, 2, 3, 3, 3, 3, 3, 3, 6, 7, 8, 9]
    assert row == [0, 1, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 9]
    assert column == [0, 1, 2, 3, 4, 3, 4, 3, 4, 6, 7, 8, 9]


def test_it_changes_what_the_model_reads_of_a_picture(text_encoder, wrapped, prompt):
    import torch

    flat, _ = run(text_encoder, **prompt)
    deep, _ = run(wrapped, **prompt)
    assert not torch.allclose(flat, deep, atol=1e-3)


def test_a_prompt_without_a_picture_is_untouched_also_after_one_with(text_encoder, wrapped, prompt):
    import torch

    words = {
        "input_ids": torch.tensor([[10, 11, 20, 21]]),
        "attention_mask": torch.ones(1, 4, dtype=torch.long),
    }
    expected, _ = run(text_encoder, **words)
    run(wrapped, **prompt)
    hidden, positions = run(wrapped, **words)
    assert positions is None
    assert torch.equal(hidden, expected)


def test_token_types_that_are_given_are_respected(wrapped, prompt):
    import torch

    none = torch.zeros_like(prompt["input_ids"], dtype=torch.int)
    _, positions = run(wrapped, **prompt, mm_token_type_ids=none)
    assert positions[-3:, 0].tolist() == [list(range(13))] * 3


def test_wrapping_twice_is_wrapping_once(wrapped):
    count = len(wrapped._forward_pre_hooks)
    assert guards.add_image_positions(wrapped) is wrapped
    assert len(wrapped._forward_pre_hooks) == count == 1
