"""Train the pocket Qwen-Image from the renderer alone, stage by stage.

    python -m workshop.pocket.training vae --minutes 40
    python -m workshop.pocket.training text
    python -m workshop.pocket.training vision
    python -m workshop.pocket.training reader
    python -m workshop.pocket.training base --minutes 90
    python -m workshop.pocket.training export

Every stage saves checkpoints in `--folder` (outside git), resumes from the newest when called again, and is
seeded. `export` writes what is trained to data/pocket, in the layout of the real repositories.

A stage builds on the checkpoints of earlier ones in `--folder`, or where there are none on what data/pocket
ships. So the shipped DiT can be trained further on its own: `python -m workshop.pocket.training base --warm`,
and then what was made from it: `multi --warm`, `edit --warm`, `artaug --warm`, `f2p --warm`.

Two CPU cores do more as two processes of one thread each, which share every batch:

    OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 -m workshop.pocket.training base
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist

from workshop import amounts, files
from workshop.pocket.training.export import export
from workshop.pocket.training.loop import Stage, rank_and_size, train
from workshop.pocket.training.stages.artaug import ArtAugStage
from workshop.pocket.training.stages.base import BaseStage
from workshop.pocket.training.stages.decoder import DecoderStage
from workshop.pocket.training.stages.edit import EditStage
from workshop.pocket.training.stages.feature import FeatureStage
from workshop.pocket.training.stages.reader import ReaderStage
from workshop.pocket.training.stages.sharpen import SharpenStage
from workshop.pocket.training.stages.text import TextStage
from workshop.pocket.training.stages.vae import VaeStage
from workshop.pocket.training.stages.vision import VisionStage
from workshop.pocket.training.warm import WARM, load_start

STAGES: dict[str, Callable[[Path, str], Stage]] = {
    "vae": VaeStage,
    "decoder": DecoderStage,
    "sharpen": SharpenStage,
    "text": TextStage,
    "vision": VisionStage,
    "reader": ReaderStage,
    "feature": FeatureStage,
    "base": BaseStage,
    "artaug": ArtAugStage,
    "multi": partial(EditStage, "multi"),
    "edit": partial(EditStage, "edit"),
    "f2p": partial(EditStage, "f2p"),
}
"""What makes each stage, from its folder and device."""


def main(argv: Sequence[str] | None = None) -> int:
    """Train one stage, or export; see --help."""
    parser = argparse.ArgumentParser(
        prog="python -m workshop.pocket.training", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("stage", choices=(*STAGES, "export"))
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/pocket"), help="checkpoints and renders (outside git)"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--minutes",
        type=amounts.decimal(above=True, endless=True),
        default=math.inf,
        help="stop and save after this many minutes",
    )
    parser.add_argument(
        "--save-every",
        type=amounts.decimal(above=True),
        default=3,
        help="minutes between checkpoints, each with a report",
    )
    parser.add_argument(
        "--steps",
        type=amounts.whole(least=1),
        help="length of the full run; the learning rate decays over it",
    )
    parser.add_argument(
        "--rate",
        type=amounts.decimal(above=True),
        help="peak of the learning rate, in place of the stage's own",
    )
    parser.add_argument(
        "--warm", action="store_true", help=f"begin with the shipped weights (stages {', '.join(WARM)})"
    )
    parser.add_argument("--output", type=Path, help="where export writes; default data/pocket")
    options = parser.parse_args(argv)
    if options.warm and options.stage not in WARM:
        parser.error(
            f"--warm is for the stages {', '.join(WARM)}, got {options.stage}: "
            "nothing else ships in a form to go on from"
        )
    for folder, flag in ((options.folder, "--folder"), (options.output, "--output")):
        try:
            if folder:
                files.make_folder(folder, remedy=f"Take another {flag}.")
        except ValueError as error:
            parser.error(str(error))
    torch.manual_seed(0)
    if options.stage == "export":
        export(options.folder, options.output)
        return 0
    if rank_and_size()[1] > 1:
        dist.init_process_group("gloo")
    stage = STAGES[options.stage](options.folder, options.device)
    if options.warm:
        stage.network.load_state_dict(load_start(options.folder, options.stage), strict=False)
    stage.rate = stage.rate if options.rate is None else options.rate
    stage.steps = stage.steps if options.steps is None else options.steps
    try:
        train(
            stage,
            options.folder,
            steps=stage.steps,
            minutes=options.minutes,
            save_every=60 * options.save_every,
        )
    except FloatingPointError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
