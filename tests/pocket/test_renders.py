"""Renders on disk."""

from __future__ import annotations

import numpy as np

from workshop.pocket.training.renders import rendered
from workshop.pocket.world import draw


def test_renders_are_drawn_once_and_match_their_scenes(tmp_path):
    chosen, pictures = rendered(tmp_path, 6, seed=3)
    assert pictures.shape == (6, 128, 128, 3)
    assert np.array_equal(pictures[4], np.asarray(draw.to_image(chosen[4])))
    written = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    rendered(tmp_path, 6, seed=3)
    assert written == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
