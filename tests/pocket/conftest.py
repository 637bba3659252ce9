"""What the pocket's tests share: the shipped model, loaded once a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from workshop import loading, profiles

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline


@pytest.fixture(scope="module")
def pipe() -> QwenImagePipeline:
    """The shipped base model under the pocket profile."""
    profiles.use("pocket")
    return loading.load_pipeline("Qwen-Image")
