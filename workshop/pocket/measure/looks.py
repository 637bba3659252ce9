"""How far drawn pictures are from renders of the same scenes: the judge that takes no part in training.

The measure is the sliced Wasserstein distance between small patches, for each level of a Laplacian pyramid
(Karras et al. 2018, "Progressive Growing of GANs", section 5). The finest level holds edges and texture, the
coarsest the colours of large areas. One thing differs from the paper: patches of both sets are normalised by
the renders' mean and standard deviation, so that a picture with too little contrast is far away, too.

Axes: N pictures, C channels (3), H height, W width, P patches, F features of a patch (C·7·7).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F

PATCH = 7  # px, the side of a patch at every level
PATCHES = 128  # of each picture at each level
DIRECTIONS = 128  # random lines that patches are projected on
SMALLEST = 16  # px, the side of the coarsest level
BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)  # the pyramid's blur, in each direction


def distances(drawn: torch.Tensor, renders: torch.Tensor, *, seed: int = 0) -> dict[int, float]:
    """Return the sliced Wasserstein distance at each level of the pyramid, named by the level's side in px.

    drawn, renders: (N, C, H, W) in [-1, 1], equally many and of one size; H = W is a power of two from 16 on
    returns: 0 for equal sets, in standard deviations of the renders' patches; finest level first

    Raises ValueError for sets of different shapes: the distance is between equally many patches.
    """
    if drawn.shape != renders.shape:
        raise ValueError(
            f"drawn and renders must have one shape, got {tuple(drawn.shape)} and {tuple(renders.shape)}. "
            "Draw each scene once and render the same scenes."
        )
    levels = zip(laplacian_pyramid(drawn), laplacian_pyramid(renders), strict=True)
    return {ours.shape[-1]: _distance(ours, theirs, seed=seed) for ours, theirs in levels}


def laplacian_pyramid(pictures: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield what each level adds to the next coarser one, and at last the coarsest level itself.

    pictures: (N, C, H, W); yields (N, C, H, W), (N, C, H/2, W/2), … down to a side of 16 px

    Adding the levels up again, each blown up to the next, gives the pictures back.
    """
    gaussian = [pictures]
    while gaussian[-1].shape[-1] > SMALLEST:
        gaussian.append(shrink(gaussian[-1]))
    for fine, coarse in pairwise(gaussian):
        yield fine - enlarge(coarse)
    yield gaussian[-1]


def shrink(pictures: torch.Tensor) -> torch.Tensor:
    """Blur and take every second pixel: (N, C, H, W) to (N, C, H/2, W/2)."""
    return _blur(pictures)[..., ::2, ::2]


def enlarge(pictures: torch.Tensor) -> torch.Tensor:
    """Double the sides and blur: (N, C, H, W) to (N, C, 2·H, 2·W)."""
    n, c, h, w = pictures.shape
    wide = pictures.new_zeros(n, c, 2 * h, 2 * w)
    wide[..., ::2, ::2] = 4 * pictures  # a quarter of the pixels carries all the light
    return _blur(wide)


def _blur(pictures: torch.Tensor) -> torch.Tensor:
    """Blur by BINOMIAL in each direction: (N, C, H, W) → (N, C, H, W)."""
    line = pictures.new_tensor(BINOMIAL)
    channels = pictures.shape[1]
    kernel = torch.outer(line, line).expand(channels, 1, -1, -1)
    return F.conv2d(F.pad(pictures, (2, 2, 2, 2), mode="reflect"), kernel, groups=channels)


def _distance(drawn: torch.Tensor, renders: torch.Tensor, *, seed: int) -> float:
    """Project both levels' patches on random lines, sort them there and average how far they are apart.

    drawn, renders: (N, C, H, W), the same level of both pyramids
    returns: in standard deviations of the renders' patches
    """
    random = torch.Generator().manual_seed(seed)
    ours, theirs = (_patches(level, random) for level in (drawn, renders))  # (P, C, 7, 7)
    mean = theirs.mean(dim=(0, 2, 3), keepdim=True)
    std = theirs.std(dim=(0, 2, 3), keepdim=True)
    lines = F.normalize(torch.randn(theirs[0].numel(), DIRECTIONS, generator=random), dim=0)  # (F, lines)
    placed = [((part - mean) / std).flatten(1) @ lines for part in (ours, theirs)]
    ours, theirs = (part.sort(dim=0).values for part in placed)
    return float((ours - theirs).abs().mean())


def _patches(level: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Cut 128 patches of each picture at random places: (N, C, H, W) → (N·128, C, 7, 7)."""
    every = level.unfold(2, PATCH, 1).unfold(3, PATCH, 1)  # (N, C, rows, columns, 7, 7), a view
    rows, columns = every.shape[2:4]
    of = torch.arange(len(level)).repeat_interleave(PATCHES)
    y = torch.randint(rows, (len(of),), generator=random)
    x = torch.randint(columns, (len(of),), generator=random)
    return every[of, :, y, x]
