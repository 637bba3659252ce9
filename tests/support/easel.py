"""A stand-in for a pipeline, where a test asks what is passed to it and not what it draws."""

from __future__ import annotations

from typing import Any

from PIL import Image


class Easel:
    """A pipeline that keeps what it was asked and draws a gray square."""

    dit = None

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def __call__(self, prompt: str, **settings: Any) -> Image.Image:
        """Draw a square of the size that was asked for."""
        self.asked.append({"prompt": prompt, **settings})
        return Image.new("RGB", (settings["width"], settings["height"]), "gray")

    def cfg_guided_model_fn(self, *_: object) -> None:
        """Stand where DiffSynth guides: a drawing may replace it."""
