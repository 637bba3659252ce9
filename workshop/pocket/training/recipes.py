"""How the stages that train the DiT learn: lengths, rates, shares of what they meet, weights in the loss."""

from __future__ import annotations

from dataclasses import dataclass

from workshop.pocket.world.scenes import IDENTITY

EMPTY_SHARE = 0.1
"""Classifier-free guidance: 10 % of training prompts are empty."""

COUPLES_SHARE, SMALL_SHARE, WORKSHOP_SHARE = 0.1, 0.3, 0.06
"""Oversampling in stage base: 10 % couples, 30 % scenes with small objects, 6 % renders that match a workshop
prompt. Couples have the most to get right, small objects are drawn last and worst, and of 60,000 random
scenes four show the man that the workshop asks for."""

RICH_SHARE = 0.3
"""Share of an edit's references that are drawn richly: the workshop edits pictures that ArtAug made."""

READOUT_WEIGHT, FEATURE_WEIGHT, READING_WEIGHT = 0.1, 0.1, 0.15
"""Weights in the loss, where the velocity's squared error has 1:
of what the image tokens know,
of the features of what is drawn,
and of what the latent reader reads in it."""

FEATURES_BELOW, READING_BELOW = 0.85, 0.92
"""Sigmas. Noisier predictions are too vague to compare their features, or to read anything in them."""

SCENE_ABOVE = 0.5
"""Sigma. Above it the scene is fixed; ArtAug trains only below."""

FINISH = 0.35
"""Share of a run, at its end, in which the velocity's squared error alone counts. What is asked and read
makes attributes right and pictures dirty."""

CLOTHES = ("garment", "color")
DOG_IDENTITY = ("coat", "eye patch", "socks", "spots", "collar", "ears")


@dataclass(frozen=True)
class Recipe:
    """How one stage trains the DiT. `steps`, `rate` and `batch` are those of the full run."""

    steps: int
    rate: float  # the peak of the learning rate
    batch: int
    ema: float  # decay of the moving average of the weights
    begins: str = ""  # the stage whose weights it starts from; "" for new ones
    rank: int = 0  # of the LoRA, or 0 to train all weights
    rich: bool = False  # whether it learns from rich renders
    keeps: tuple[str, ...] = ()  # attributes taken from the reference if the prompt leaves them open
    couples: bool = False  # whether it learns two references, too, in a prompt that numbers its pictures
    features_below: float = FEATURES_BELOW
    reading_below: float = READING_BELOW
    reading_weight: float = READING_WEIGHT
    finish: float = FINISH


RECIPES = {
    "base": Recipe(28_550, 1.2e-3, batch=64, ema=0.998),
    "artaug": Recipe(
        450,
        1e-3,
        batch=32,
        ema=0.99,
        begins="base",
        rank=32,
        rich=True,
        features_below=SCENE_ABOVE,  # above it, it does not train
        reading_below=SCENE_ABOVE,
        finish=0,
    ),
    "multi": Recipe(
        10_700,
        8e-4,
        batch=32,
        ema=0.998,
        begins="base",
        keeps=("who", *IDENTITY, *CLOTHES, *DOG_IDENTITY),
        couples=True,
    ),
    "edit": Recipe(500, 5e-4, batch=32, ema=0.99, begins="multi", keeps=("who", *CLOTHES, *DOG_IDENTITY)),
    "f2p": Recipe(
        2736,
        1e-3,
        batch=32,
        ema=0.99,
        begins="edit",
        rank=32,
        keeps=("who", *IDENTITY, *CLOTHES, *DOG_IDENTITY),
        reading_weight=0.5,  # the face above all
        finish=0,
    ),
}

LORAS = {"artaug": "Qwen-Image-LoRA-ArtAug-v1", "f2p": "Qwen-Image-Edit-F2P"}
"""The stages that train a LoRA, and its folder in data/pocket/DiffSynth-Studio."""

ALPHAS = {"artaug": 1.32, "f2p": 1.4}
"""The alpha in training that alpha 1 of the shipped LoRA stands for. ArtAug learns with care, because it must
not change the scene; at 1.32 the richer finish shows in nearly every picture. F2P keeps more of a face at
1.4."""
