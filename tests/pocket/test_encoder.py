"""The text encoder's inputs and forward passes against the classes that they stand in for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workshop.pocket.model import architecture
from workshop.pocket.training import encoder as fast
from workshop.pocket.training import inputs, latents


@pytest.fixture(scope="module")
def encoder() -> architecture.PocketTextEncoder:
    torch.manual_seed(0)
    return architecture.PocketTextEncoder().eval().requires_grad_(False)


def test_hidden_states_equal_those_of_the_transformers_class(encoder):
    template, ids = torch.arange(10, 44), torch.randint(7, 4096, (3, 12))
    ours = fast.encode_text(encoder.model.language_model, template, ids)
    whole = encoder(input_ids=torch.cat([template.expand(3, -1), ids], dim=1))[-1][:, 34:]
    assert torch.allclose(ours, whole, atol=1e-4)


def test_vision_patches_equal_the_processors():
    from PIL import Image

    from workshop.files import POCKET
    from workshop.pocket.model.tokens import load_tokenizer, make_processor

    tokenizer = load_tokenizer(POCKET / "Qwen" / "Qwen-Image" / "tokenizer")
    picture = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    processor = make_processor(tokenizer).image_processor
    real = processor(images=[Image.fromarray(picture)], return_tensors="pt")["pixel_values"]
    ours = inputs.cut_patches(latents.to_tensor(picture[None]))
    assert ours.shape == real.shape
    # the processor rounds the resized picture to whole levels of 255; one level is 0.015 after scaling
    assert (ours - real).abs().mean() < 0.015


def test_words_are_read_from_the_last_five_tokens_of_each_prompt():
    network = fast.TextNetwork.__new__(fast.TextNetwork)
    torch.nn.Module.__init__(network)
    network.words = torch.nn.Identity()
    hidden = torch.arange(20.0).view(1, 20, 1).expand(2, 20, architecture.WIDTH)
    read = network.classify_words(hidden, torch.tensor([9, 20])).view(2, 5, architecture.WIDTH)
    assert read[:, :, 0].tolist() == [[4, 5, 6, 7, 8], [15, 16, 17, 18, 19]]
