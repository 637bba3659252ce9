"""The edit stages: the pocket DiT learns to draw on from reference pictures, as Qwen-Image-Edit does.

A reference enters twice: as the tokens of its latents beside those that are drawn, and through the vision
tower as tokens of the prompt. Three networks come from here, each from the one before:

    multi   from base    one or two references; everything about a person is kept that the words leave free
    edit    from multi   one reference; clothes are kept, but the face and hair are another person's
    f2p     from edit    a LoRA that makes it keep face and hair

Axes: B batch, C channels, S tokens, D width. Source of the prompts: diffsynth 2.1.12,
pipelines/qwen_image.py.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from workshop import prompts
from workshop.pocket.model import tokens
from workshop.pocket.model.architecture import WIDTH
from workshop.pocket.training.encoder import layout, load_encoder, picture_positions, run_layers, see
from workshop.pocket.training.inputs import IMAGE_PAD, IMAGE_TOKENS, edit_prompt, patches
from workshop.pocket.training.latents import encoded, mapped, to_tensor
from workshop.pocket.training.renders import PLAIN, RICH, rendered
from workshop.pocket.training.speed import compiled
from workshop.pocket.training.stages.base import EMPTY_SHARE, READ_WEIGHT, BaseStage
from workshop.pocket.world import captions, scenes
from workshop.pocket.world.scenes import IDENTITY, Scene
from workshop.prompts import Caption

CLOTHES = ("garment", "color")
DOG_IDENTITY = ("coat", "eye patch", "socks", "spots", "collar", "ears")
RICH_SHARE = 0.3
"""Share of references that are drawn richly: the workshop edits pictures that ArtAug made."""

Key = tuple[str, ...]


@dataclass(frozen=True)
class Recipe:
    """What an edit network learns. keeps: attributes that the reference decides where the words do not."""

    begins: str  # the stage whose weights it starts from
    steps: int
    rate: float
    keeps: tuple[str, ...]
    rank: int = 0  # of the LoRA, or 0 for all weights
    ema: float = 0.99
    read_weight: float = READ_WEIGHT  # of what is read in the drawing, the face above all
    couples: bool = False  # learn two references too, in a prompt that numbers its pictures


RECIPES = {
    "multi": Recipe(
        "base", 10_700, 8e-4, ("who", *IDENTITY, *CLOTHES, *DOG_IDENTITY), ema=0.998, couples=True
    ),
    "edit": Recipe("multi", 500, 5e-4, ("who", *CLOTHES, *DOG_IDENTITY)),
    "f2p": Recipe("edit", 2736, 1e-3, ("who", *IDENTITY, *CLOTHES, *DOG_IDENTITY), 32, read_weight=0.5),
}


def key_of(attributes: dict[str, str], side: str = "left ") -> Key:
    """What a reference must agree on, of a person or a dog."""
    if attributes["kind"] == "dog":
        return tuple(attributes[name] for name in DOG_IDENTITY)
    return tuple(attributes[side + name] for name in scenes.PERSON_ATTRIBUTES)


class Pictures:
    """Renders of one finish that may be references: one person or dog each, found by what they show."""

    def __init__(self, folder: Path, device: str, *, rich: bool, encoder: torch.nn.Module) -> None:
        count, seed = RICH if rich else PLAIN
        self.scenes, renders = rendered(folder, count, seed=seed, rich=rich)
        self.latents = encoded(folder, device, rich=rich)
        tower, look = encoder.model.visual, compiled(see)
        places = [x.to(device) for x in layout(tower)]

        @torch.no_grad()
        def seen(pictures: np.ndarray) -> torch.Tensor:
            with torch.autocast(device, torch.bfloat16):
                return look(tower, patches(to_tensor(pictures, device)), *places)

        path = Path(folder) / ("seen-rich.npy" if rich else "seen.npy")
        self.seen = mapped(path, renders, seen, shape=(IMAGE_TOKENS, WIDTH))
        self.by_key: dict[Key, list[int]] = defaultdict(list)
        for i, scene in enumerate(self.scenes):
            if scene.kind != "couple":
                self.by_key[key_of(scenes.attributes(scene))].append(i)

    def find(self, key: Key, rng: random.Random, *, other_than: int = -1) -> int | None:
        """A random picture of this person or dog, or None if there is no other."""
        found = [i for i in self.by_key.get(key, ()) if i != other_than]
        return rng.choice(found) if found else None


@dataclass(frozen=True)
class Edit:
    """One example: picture number `target` of the plain renders, its references as (rich, number), and the
    words. asked: the attributes that words and references decide together."""

    target: int
    references: tuple[tuple[bool, int], ...]
    caption: Caption
    asked: dict[str, str]


class EditStage(BaseStage):
    """One of RECIPES. Everything of the base stage stays; examples, prompts and image tokens are others."""

    batch = 32

    def __init__(self, name: str, folder: Path, device: str) -> None:
        self.name, self.recipe = name, (recipe := RECIPES[name])
        self.steps, self.rate, self.rank, self.ema = recipe.steps, recipe.rate, recipe.rank, recipe.ema
        self.begins, self.read_weight = recipe.begins, recipe.read_weight
        super().__init__(folder, device)
        encoder = load_encoder(folder).to(device)
        self.pictures = [Pictures(folder, device, rich=rich, encoder=encoder) for rich in (False, True)]
        self.singles = [i for i, scene in enumerate(self.scenes) if scene.kind != "couple"]
        self.fast_layers = compiled(run_layers)

    def batches(self, index: int) -> list[list[Edit]]:
        """As for the base; every other batch is of couples where there are some to learn."""
        rng, kinds = (
            random.Random(index),
            [self.singles, self.couples if self.recipe.couples else self.singles],
        )
        cut = []
        for pool in kinds:
            drawn = [self.example(rng.choice(pool), rng) for _ in range(self.pool // 2 * self.batch)]
            rows = self.prompts.tokenizer([edit.caption.text for edit in drawn])["input_ids"]
            order = sorted(range(len(drawn)), key=lambda k: len(rows[k]))
            cut += [
                [drawn[k] for k in order[start : start + self.batch]]
                for start in range(0, len(drawn), self.batch)
            ]
        return rng.sample(cut, len(cut))

    def example(self, target: int, rng: random.Random) -> Edit:
        """Draw on from references that agree with the target on what is kept and not said.

        Without an instruction nothing is kept: guidance leads away from what these words draw, and would
        lead away from the person, too.
        """
        scene = self.scenes[target]
        sides = ("left ", "right ") if scene.kind == "couple" else ("left ",)
        if rng.random() < EMPTY_SHARE:
            words = Caption(rng.choice(("", prompts.NEGATIVE_PROMPT)), "en", {})
            return Edit(target, tuple(self.anyone(rng) for _ in sides), words, {})
        caption = captions.caption(scene, rng.choice(captions.LANGUAGES), rng)
        references = tuple(self.reference(target, side, caption, rng) for side in sides)
        return Edit(target, references, caption, self.decided(scene, caption))

    def anyone(self, rng: random.Random) -> tuple[bool, int]:
        """Any picture of one person or dog."""
        rich = rng.random() < RICH_SHARE
        return rich, rng.choice(rng.choice(list(self.pictures[rich].by_key.values())))

    def reference(self, target: int, side: str, caption: Caption, rng: random.Random) -> tuple[bool, int]:
        """Another picture of who is on this side: what is not kept, or is said, may be different there."""
        shown = scenes.attributes(self.scenes[target])
        for _ in range(8):
            wanted = dict(shown) if rng.random() < 0.1 else self.loosened(shown, side, caption, rng)
            rich = rng.random() < RICH_SHARE
            found = self.pictures[rich].find(key_of(wanted, side), rng, other_than=-1 if rich else target)
            if found is not None:
                return rich, found
        return False, self.pictures[False].find(key_of(shown, side), rng) or target

    def loosened(
        self, shown: dict[str, str], side: str, caption: Caption, rng: random.Random
    ) -> dict[str, str]:
        """The attributes of a reference: anything goes for what the words say or the recipe does not keep."""
        said = caption.named if caption.placed else {}
        names = DOG_IDENTITY if shown["kind"] == "dog" else [side + name for name in scenes.PERSON_ATTRIBUTES]
        free = [n for n in names if n in said or n.removeprefix(side) not in self.recipe.keeps]
        return shown | {
            name: rng.choice(scenes.ATTRIBUTES[name]) for name in free if not name.endswith("who")
        }

    def decided(self, scene: Scene, caption: Caption) -> dict[str, str]:
        """What words and references decide: what is said, and what is kept."""
        said = caption.named if caption.placed else {}
        return {
            name: value
            for name, value in scenes.attributes(scene).items()
            if name in said or name.removeprefix("left ").removeprefix("right ") in self.recipe.keeps
        }

    def loss(self, step: int) -> torch.Tensor:
        return self.edit_losses(self.mine(step))[0]

    def edit_losses(
        self, edits: list[Edit], *, fast: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        latents = self.stack(self.latents, [edit.target for edit in edits])
        references, seen = self.shown(edits)
        references = [x + 0.1 * torch.rand(len(x), 1, 1, 1) * torch.randn_like(x) for x in references]
        words = self.read([edit.caption.text for edit in edits], seen, fast=fast)
        asked, shown = [edit.asked for edit in edits], self.of_each_reference(edits)
        return self.losses(latents, words, asked, references, shown=shown, fast=fast)

    def of_each_reference(self, edits: list[Edit]) -> list[list[dict[str, str]]]:
        """The attributes of the first reference of every example, then those of the second."""
        pictures = zip(*(edit.references for edit in edits), strict=True)
        return [[scenes.attributes(self.pictures[rich].scenes[i]) for rich, i in each] for each in pictures]

    def shown(self, edits: list[Edit]) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Latents of the references, one batch for each of an example's, and what the vision tower sees in
        all of them, (B, pictures·25, D)."""
        numbers = range(len(edits[0].references))
        latents = [self.of_references(edits, i, "latents") for i in numbers]
        return latents, torch.cat([self.of_references(edits, i, "seen") for i in numbers], dim=1)

    def of_references(self, edits: list[Edit], number: int, what: str) -> torch.Tensor:
        """Latents, or what the vision tower sees, of each example's reference of this number."""
        chosen = [edit.references[number] for edit in edits]
        rows = np.stack([getattr(self.pictures[rich], what)[i] for rich, i in chosen])
        return torch.from_numpy(rows).float().to(self.device)

    @torch.no_grad()
    def read(
        self, texts: list[str], seen: torch.Tensor, *, fast: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states of edit prompts, (B, S, D), without what DiffSynth cuts off, and their lengths (B,).

        seen: (B, pictures·25, D), what the vision tower makes of the references
        """
        pictures, model = seen.shape[1] // IMAGE_TOKENS, self.encoder.model
        whole = [edit_prompt(text, references=pictures, numbered=self.recipe.couples) for text in texts]
        ids, lengths = self.prompts.after(tokens.EDIT_DROP, whole, multiple=8)
        template = self.prompts.edit_template
        row = torch.cat([template, ids[0]])[None]
        positions = picture_positions(model, row, pictures)
        first, rest = (
            model.language_model.embed_tokens(template[None]),
            model.language_model.embed_tokens(ids),
        )
        rest[ids == IMAGE_PAD] = seen.flatten(0, 1)
        torch._dynamo.mark_dynamic(rest, 1)
        torch._dynamo.mark_dynamic(positions, 2)
        with torch.autocast(self.device, torch.bfloat16):
            layers = self.fast_layers if fast else run_layers
            return layers(model.language_model, first, rest, positions).float(), lengths

    @torch.no_grad()
    def report(self) -> str:
        """Loss and answers on fixed examples. The pictures are training renders: `evaluate` judges held-out
        ones, drawn in full."""
        if not hasattr(self, "fixed"):
            self.fixed = [self.batches(-1 - i)[0][:4] for i in range(3)]
        torch.manual_seed(0)
        found = torch.tensor(
            [[float(x) for x in self.edit_losses(edits, fast=False)] for edits in self.fixed]
        )
        _, flow, right = found.mean(dim=0).tolist()
        return f"on fixed examples loss {flow:.4f}, answers right {right:.3f}"
