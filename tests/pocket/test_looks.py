"""The measure of looks: zero for equal sets, small between renders, large for what the eye rejects."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from workshop.pocket.measure import looks
from workshop.pocket.world import draw, scenes


@pytest.fixture(scope="module")
def renders() -> torch.Tensor:
    """Renders of 64 held-out scenes, (64, 3, 128, 128) in [-1, 1]."""
    chosen = islice(scenes.stream(31, test=True), 64)
    pixels = np.stack([np.asarray(draw.to_image(scene)) for scene in chosen])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def test_a_pyramid_adds_up_to_its_pictures(renders: torch.Tensor) -> None:
    levels = list(looks.laplacian_pyramid(renders[:4]))
    assert [level.shape[-1] for level in levels] == [128, 64, 32, 16]
    picture = levels[-1]
    for level in reversed(levels[:-1]):
        picture = level + looks.enlarge(picture)
    torch.testing.assert_close(picture, renders[:4], atol=1e-5, rtol=0)


def test_an_even_picture_stays_as_bright_when_it_is_shrunk_and_enlarged() -> None:
    gray = torch.full((1, 3, 32, 32), 0.5)
    torch.testing.assert_close(looks.shrink(gray), gray[..., :16, :16])
    inside = looks.enlarge(looks.shrink(gray))[..., 2:-2, 2:-2]  # the border is mirrored, with its zeros
    torch.testing.assert_close(inside, gray[..., 2:-2, 2:-2])


def test_the_distance_is_by_levels_and_the_same_for_the_same_seed(renders: torch.Tensor) -> None:
    one, other = renders[:32], renders[32:]
    found = looks.distances(one, other)
    assert list(found) == [128, 64, 32, 16]
    assert found == looks.distances(one, other)
    assert found != looks.distances(one, other, seed=1)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda x: F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False),
        lambda x: 0.7 * x,
        lambda x: (x + 0.05 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))).clamp(-1, 1),
    ],
    ids=["blurred", "with less contrast", "noisy"],
)
def test_what_the_eye_rejects_is_farther_away_than_other_renders(spoil, renders: torch.Tensor) -> None:
    floor = looks.distances(renders[:32], renders[32:])[128]
    assert looks.distances(spoil(renders), renders)[128] > 1.25 * floor


def test_sets_of_different_sizes_are_an_error_that_says_what_to_do(renders: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"must have one shape, got \(2, .*Draw each scene once"):
        looks.distances(renders[:2], renders[:3])
