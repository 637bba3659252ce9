"""The text stage: the pocket Qwen2.5-VL learns what a caption names, in four languages, and what a picture
shows.

Every prompt ends with the same five template tokens, which have read all of it. From their last hidden states
a linear layer must tell the value of each attribute, or that the words leave it free. The vision tower learns
beside it: from the image tokens of an edit prompt another linear layer must tell what the reference picture
shows. The linear layers are then thrown away; what stays is hidden states in which a DiT can read attributes
without learning four languages first.

Axes: B batch, S sequence, D width. Source of the vision layout: transformers 5.23,
models/qwen2_vl/image_processing_qwen2_vl.py.
"""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F

from workshop.pocket.model import tokens
from workshop.pocket.model.architecture import HEAD_WIDTH, SPECIAL_TOKENS, WIDTH, PocketTextEncoder
from workshop.pocket.training.loop import SHIPPED, attend, compiled, has_checkpoint, shipped, trained
from workshop.pocket.training.renders import rendered
from workshop.pocket.training.stages.vae import PLAIN, to_tensor
from workshop.pocket.world import captions, scenes
from workshop.prompts import Caption

CLASSES = {name: ("free", *values) for name, values in scenes.ATTRIBUTES.items()}
"""What a head can answer per attribute: its values, or that the caption leaves it free."""

IMAGE_TOKENS = (tokens.VISION_SIZE // tokens.PATCH // tokens.MERGE) ** 2
COUPLES = 0.35
"""Share of captions that are of couples, beyond those that come by chance."""

IMAGE_PAD = SPECIAL_TOKENS.index("<|image_pad|>")
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def answers(named: dict[str, str]) -> list[int]:
    """The class of every attribute, in the order of CLASSES."""
    return [classes.index(named.get(name, "free")) for name, classes in CLASSES.items()]


def patches(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures in [-1, 1], (B, 3, H, W), as the processor hands them to the vision tower: (B·100, 1176)."""
    size, patch, merge = tokens.VISION_SIZE, tokens.PATCH, tokens.MERGE
    x = F.interpolate(pictures, (size, size), mode="bicubic", antialias=True).clamp(-1, 1) / 2 + 0.5
    mean, std = (torch.tensor(v, device=x.device).view(3, 1, 1) for v in (CLIP_MEAN, CLIP_STD))
    x = ((x - mean) / std)[:, None].repeat(1, 2, 1, 1, 1)  # a still picture is two equal frames
    side = size // patch // merge
    x = x.reshape(-1, 1, 2, 3, side, merge, patch, side, merge, patch)
    x = x.permute(0, 1, 4, 7, 5, 8, 3, 2, 6, 9)
    return x.reshape(-1, 3 * 2 * patch * patch)


def edit_prompt(text: str, *, references: int, numbered: bool) -> str:
    """The whole prompt that DiffSynth makes of an instruction, with one token for each of a picture's."""
    picture = "<|vision_start|>" + "<|image_pad|>" * IMAGE_TOKENS + "<|vision_end|>"
    shown = "".join(f"Picture {i + 1}: {picture}" for i in range(references)) if numbered else picture
    return tokens.EDIT_TEMPLATE.replace("<|vision_start|><|image_pad|><|vision_end|>{}", shown + text)


class Prompts:
    """Captions as token ids, by the tokenizer in `folder` or the shipped one; `learn` makes one there."""

    def __init__(self, folder: Path, *, learn: bool = False) -> None:
        self.folder = Path(folder) / "tokenizer"
        if not learn and not self.folder.exists():
            self.folder = SHIPPED / "tokenizer"
        if not (self.folder / "tokenizer_config.json").exists():
            tokens.write_tokenizer(tokens.make_tokenizer(), self.folder)
        self.tokenizer = tokens.load_tokenizer(self.folder)
        self.template = self.start(tokens.PROMPT_TEMPLATE, tokens.PROMPT_DROP)
        self.edit_template = self.start(tokens.EDIT_TEMPLATE, tokens.EDIT_DROP)

    def start(self, template: str, count: int) -> torch.Tensor:
        """The first tokens of every prompt, which DiffSynth cuts off again."""
        return torch.tensor(self.tokenizer(template.split("{}")[0])["input_ids"][:count])

    def ids(
        self, texts: list[str], *, edit: bool = False, multiple: int = 32
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids of prompts: for an edit the whole prompt, else what follows the template's first 34
        tokens.

        returns: ids (B, S), padded to a `multiple` so that shapes are few, and the lengths (B,)
        """
        template = tokens.PROMPT_TEMPLATE
        if edit:
            template = tokens.EDIT_TEMPLATE.replace("<|image_pad|>", "<|image_pad|>" * IMAGE_TOKENS)
        whole = [template.replace("{}", text) for text in texts]
        return self.after(0 if edit else tokens.PROMPT_DROP, whole, multiple=multiple)

    def after(self, drop: int, whole: list[str], *, multiple: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids of whole prompts without their first `drop`, padded, and their lengths, as from `ids`."""
        rows = [row[drop:] for row in self.tokenizer(whole)["input_ids"]]
        lengths = torch.tensor([len(row) for row in rows])
        width = -(-int(lengths.max()) // multiple) * multiple
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
        return ids, lengths


def hidden_states(language_model: torch.nn.Module, template: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The last hidden states of text prompts that share their first tokens: Qwen2.5's forward, with the
    shared part run once.

    template: (T,) token ids that every prompt begins with; ids: (B, S) what follows, padded on the right
    returns: (B, S, D), equal to what the transformers class returns for the whole prompts, without the
    template

    Causal, so padding needs no mask. The class itself would run the template B times, and torch.compile
    cannot fuse it.
    """
    positions = torch.arange(len(template) + ids.shape[1], device=ids.device)
    first, rest = language_model.embed_tokens(template[None]), language_model.embed_tokens(ids)
    return run_layers(language_model, first, rest, positions.expand(3, 1, -1))  # for text the axes are equal


def run_layers(
    language_model: torch.nn.Module, first: torch.Tensor, rest: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """The layers of `hidden_states`. first: (1, T, D), shared; rest: (B, S, D); positions: (3, 1, T + S)"""
    shared, length = first.shape[1], positions.shape[-1]
    cos, sin = language_model.rotary_emb(rest, positions)
    causal = torch.ones(length, length, dtype=torch.bool, device=rest.device).tril()
    for layer in language_model.layers:
        query, key, value = project(layer, first, cos[:, :shared], sin[:, :shared])
        later, keys, values = project(layer, rest, cos[:, shared:], sin[:, shared:])
        keys = torch.cat([key.expand(len(rest), -1, -1, -1), keys], dim=2)
        values = torch.cat([value.expand(len(rest), -1, -1, -1), values], dim=2)
        first = transform(layer, first, query, key, value, causal[:shared, :shared])
        rest = transform(layer, rest, later, keys, values, causal[shared:])
    return language_model.norm(rest)


def project(
    layer: torch.nn.Module, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values of one layer, (B, heads, S, head width), queries and keys rotated."""
    normed, attention = layer.input_layernorm(x), layer.self_attn
    q, k, v = (
        linear(normed).unflatten(-1, (-1, HEAD_WIDTH)).transpose(1, 2)
        for linear in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    return turn(q, cos, sin), turn(k, cos, sin), v


def turn(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    low, high = x.chunk(2, dim=-1)
    return (x * cos + torch.cat((-high, low), dim=-1) * sin).type_as(x)


def transform(
    layer: torch.nn.Module,
    x: torch.Tensor,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: torch.Tensor,
) -> torch.Tensor:
    """Attention and MLP of one layer, each added to x."""
    groups = q.shape[1] // k.shape[1]
    k, v = (part.repeat_interleave(groups, dim=1) for part in (k, v))
    mixed = attend(q, k, v, torch.zeros_like(mask, dtype=q.dtype).masked_fill(~mask, float("-inf")))
    x = x + layer.self_attn.o_proj(mixed.transpose(1, 2).flatten(2))
    return x + layer.mlp(layer.post_attention_layernorm(x))


class TextNetwork(torch.nn.Module):
    """The text encoder and, for this stage only, the two linear layers that are asked about attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = PocketTextEncoder()
        classes = sum(len(values) for values in CLASSES.values())
        self.words = torch.nn.Linear(tokens.SUFFIX_TOKENS * WIDTH, classes)
        self.picture = torch.nn.Linear(WIDTH, classes)

    def read_words(self, hidden: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """(B, S, D) → logits of every class of every attribute, (B, classes), from the five tokens after
        the prompt."""
        at = (lengths[:, None] - torch.arange(tokens.SUFFIX_TOKENS, 0, -1)).to(hidden.device)
        suffix = hidden.gather(1, at[..., None].expand(-1, -1, WIDTH))
        return self.words(suffix.flatten(1))

    def forward(self, template: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        return hidden_states(self.encoder.model.language_model, template, ids)

    def see(self, ids: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
        """Hidden states of edit prompts with one picture each. ids: (B, S), pixels: (B·100, 1176)"""
        side = tokens.VISION_SIZE // tokens.PATCH
        grid = torch.tensor([[1, side, side]] * len(ids), device=ids.device)
        kinds = (ids == IMAGE_PAD).int()
        return self.encoder(input_ids=ids, pixel_values=pixels, image_grid_thw=grid, mm_token_type_ids=kinds)[
            -1
        ]


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean over attributes. logits: (B, classes), targets: (B, attributes)"""
    parts = logits.float().split([len(values) for values in CLASSES.values()], dim=1)
    return torch.stack([F.cross_entropy(part, targets[:, i]) for i, part in enumerate(parts)]).mean()


def hits(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Whether each answer is right, (B, attributes)."""
    parts = logits.split([len(values) for values in CLASSES.values()], dim=1)
    return torch.stack([part.argmax(1) for part in parts], dim=1) == targets


class TextStage:
    """Captions of any language in every step, and every eighth step edit prompts with a picture."""

    name, steps, rate, batch, ema = "text", 2300, 1e-3, 64, 0.0
    pictures = 24

    def __init__(self, folder: Path, device: str) -> None:
        self.device = device
        self.folder, self.prompts = folder, Prompts(folder, learn=True)
        self.network = TextNetwork().to(device)
        self.scenes, self.renders = rendered(folder, PLAIN[0], seed=PLAIN[1])
        self.couples = [scene for scene in self.scenes if scene.kind == "couple"]
        self.fast_read = compiled(self.network.forward)

    def captions(self, rng: random.Random, count: int) -> list[Caption]:
        """Random captions, many of them of couples: which words belong to which person is the hard part."""
        chosen = (self.couples if rng.random() < COUPLES else self.scenes for _ in range(count))
        return [captions.caption(rng.choice(pool), rng.choice(captions.LANGUAGES), rng) for pool in chosen]

    def loss(self, step: int) -> torch.Tensor:
        rng = random.Random(step)
        loss = self.words_loss(self.captions(rng, self.batch))
        return loss + self.pictures_loss(rng) if step % 8 == 0 else loss

    def words_loss(self, said: list[Caption]) -> torch.Tensor:
        ids, lengths = self.prompts.ids([caption.text for caption in said])
        targets = torch.tensor([answers(caption.named) for caption in said], device=self.device)
        with torch.autocast(self.device, torch.bfloat16):
            hidden = self.fast_read(self.prompts.template.to(self.device), ids.to(self.device))
            logits = self.network.read_words(hidden, lengths)
        return cross_entropy(logits, targets)

    def pictures_loss(self, rng: random.Random) -> torch.Tensor:
        chosen = [rng.randrange(len(self.scenes)) for _ in range(self.pictures)]
        said = self.captions(rng, self.pictures)
        ids, lengths = self.prompts.ids([caption.text for caption in said], edit=True)
        ids = ids.to(self.device)
        pixels = patches(to_tensor(self.renders[sorted(chosen)], self.device))
        seen = torch.tensor(
            [answers(scenes.attributes(self.scenes[i])) for i in sorted(chosen)], device=self.device
        )
        asked = torch.tensor([answers(caption.named) for caption in said], device=self.device)
        with torch.autocast(self.device, torch.bfloat16):
            hidden = self.network.see(ids, pixels)
            image = hidden[ids == IMAGE_PAD].view(self.pictures, IMAGE_TOKENS, WIDTH)
            return cross_entropy(self.network.picture(image.mean(dim=1)), seen) + cross_entropy(
                self.network.read_words(hidden, lengths), asked
            )

    @torch.no_grad()
    def report(self) -> str:
        """Share of attributes read rightly from held-out captions, by language, and from held-out
        pictures."""
        rng, shares = random.Random(0), []
        for language in captions.LANGUAGES:
            said = [captions.caption(s, language, rng) for s in islice(scenes.stream(9, test=True), 128)]
            ids, lengths = self.prompts.ids([caption.text for caption in said])
            targets = torch.tensor([answers(caption.named) for caption in said])
            hidden = self.network(self.prompts.template.to(self.device), ids.to(self.device))
            right = hits(self.network.read_words(hidden, lengths).cpu(), targets)
            named = targets > 0
            shares.append(
                f"{language} {right[named].float().mean():.3f} named {right[~named].float().mean():.3f} free"
            )
        return "; ".join(shares) + f"; pictures {self.seen_rightly():.3f}"

    def seen_rightly(self) -> float:
        shown, renders = rendered(self.folder, 200, seed=3, test=True)
        ids, _ = self.prompts.ids(["" for _ in range(64)], edit=True)
        hidden = self.network.see(ids.to(self.device), patches(to_tensor(renders[:64], self.device)))
        image = hidden[ids == IMAGE_PAD].view(64, IMAGE_TOKENS, WIDTH)
        targets = torch.tensor([answers(scenes.attributes(scene)) for scene in shown[:64]])
        right = hits(self.network.picture(image.mean(dim=1)).cpu(), targets)
        return float(right[targets > 0].float().mean())


def make(name: str, folder: Path, device: str) -> TextStage:
    return TextStage(folder, device)


def load_encoder(folder: Path) -> PocketTextEncoder:
    """The trained text encoder alone, in float32, for inference."""
    encoder = PocketTextEncoder()
    if has_checkpoint(folder, "text"):
        weights = trained(folder, "vision" if has_checkpoint(folder, "vision") else "text")
        weights = {k.removeprefix("encoder."): v for k, v in weights.items() if k.startswith("encoder.")}
    else:
        weights = shipped("Qwen-Image/text_encoder/model.safetensors")
    encoder.load_state_dict(weights)
    return encoder.eval().requires_grad_(False)
