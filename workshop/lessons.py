"""What the notebooks share: series of pictures, denoising step by step, prompts compared, tables and plots.

Nothing here imports torch or diffsynth before a function needs a pipeline.

Axes: B batch, C channels, H height, W width (latent px: 8 image px), S tokens, D width of a token.
Source: diffsynth 2.1.12, pipelines/qwen_image.py, QwenImagePipeline.__call__; diffusion/flow_match.py.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workshop import gallery, loading, models
from workshop.prompts import WORKSHOP_PROMPTS

if TYPE_CHECKING:
    import torch
    from diffsynth.pipelines.qwen_image import QwenImagePipeline
    from IPython.display import Markdown
    from matplotlib.figure import Figure
    from PIL import Image

    from workshop.profiles import Profile

PORTRAIT = WORKSHOP_PROMPTS["portrait"].text
UNRELATED = WORKSHOP_PROMPTS["dog jumping"].text  # shares no word with the scene
LANGUAGES = {"English": "en", "Korean": "ko", "Kannada": "kn", "Chinese": "zh"}
SCENE = {name: WORKSHOP_PROMPTS[f"man with flowers ({code})"].text for name, code in LANGUAGES.items()}
ASKED = WORKSHOP_PROMPTS["man with flowers (en)"].named  # what all four texts of the scene ask for
CLOSING = "<|im_end|>\n<|im_start|>assistant\n"  # DiffSynth's template ends every prompt with it


@dataclass(frozen=True)
class Step:
    """Where denoising stands: `latents` at noise level `sigma`, and the picture the model expects, `clean`.

    latents, clean: (1, C, H, W). Both are linked by latents = (1 - sigma) · clean + sigma · noise.
    """

    number: int
    sigma: float  # 1 is pure noise, 0 a finished picture
    latents: torch.Tensor
    clean: torch.Tensor


def denoise(
    pipe: QwenImagePipeline, prompt: str, *, size: int, seed: int, steps: int = 40, guidance: float = 4.0
) -> Iterator[Step]:
    """Sample as the pipeline does and yield each state on the way: `steps` noisy ones, then the finished one.

    size: image px, a multiple of 16

    The states use the pipeline's own scheduler: draw no other picture with it until the last one is here.
    """
    import torch

    with torch.no_grad():  # not around a yield: whoever reads the states keeps their own gradient mode
        conditions = _conditions(pipe, prompt, size=size, seed=seed, steps=steps, guidance=guidance)
    shared = conditions[0]
    parts = {name: getattr(pipe, name) for name in pipe.in_iteration_models}
    for number, sigma in enumerate(pipe.scheduler.sigmas):
        latents, time = shared["latents"], pipe.scheduler.timesteps[number].unsqueeze(0)
        with torch.no_grad():
            velocity = pipe.cfg_guided_model_fn(
                pipe.model_fn,
                guidance,
                *conditions,
                **parts,
                timestep=time.to(dtype=pipe.torch_dtype, device=pipe.device),
                progress_id=number,
            )
            # velocity = noise - clean, so the way from here to the clean picture is sigma long
            clean = latents - sigma.item() * velocity
            shared["latents"] = pipe.step(pipe.scheduler, progress_id=number, noise_pred=velocity, **shared)
        yield Step(number, sigma.item(), latents, clean)
    yield Step(steps, 0.0, shared["latents"], shared["latents"])


def _conditions(
    pipe: QwenImagePipeline, prompt: str, *, size: int, seed: int, steps: int, guidance: float
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Prepare what the DiT needs by the pipeline's own units: for both passes, with the prompt, without."""
    pipe.scheduler.set_timesteps(steps, denoising_strength=1.0, dynamic_shift_len=(size // 16) ** 2)
    shared = {"cfg_scale": guidance, "height": size, "width": size, "seed": seed, "rand_device": "cpu"}
    shared |= {"num_inference_steps": steps, "denoising_strength": 1.0, "tiled": False}
    positive, negative = {"prompt": prompt}, {"negative_prompt": ""}
    for unit in pipe.units:
        shared, positive, negative = pipe.unit_runner(unit, pipe, shared, positive, negative)
    pipe.load_models_to_device(pipe.in_iteration_models)
    return shared, positive, negative


def decode(pipe: QwenImagePipeline, latents: torch.Tensor) -> Image.Image:
    """Turn latents (1, C, H, W), noisy or clean, into a picture of 8 times their side."""
    import torch

    with torch.no_grad():
        pipe.load_models_to_device(["vae"])
        return pipe.vae_output_to_image(pipe.vae.decode(latents, device=pipe.device, tiled=False))


def draw(
    pipe: QwenImagePipeline,
    prompt: str,
    *,
    size: int,
    seed: int = 0,
    steps: int = 40,
    guidance: float = 4.0,
    **more: Any,
) -> Image.Image:
    """Draw one picture without a progress bar; its alt text is the prompt.

    more: anything else that the pipeline takes, as edit_image

    Raises MemoryError, naming what is in memory, where torch runs out of it.
    """
    settings = {"height": size, "width": size, "seed": seed, "num_inference_steps": steps}
    with loading.explain_shortage(f"drawing {size}×{size} px"):
        picture = pipe(prompt, **settings, cfg_scale=guidance, progress_bar_cmd=iter, **more)
    picture.info["alt"] = f"drawn for the prompt: {prompt}"
    return picture


def series(
    pipe: QwenImagePipeline, prompt: str, setting: str, values: Sequence[float], **others: Any
) -> list[Image.Image]:
    """Draw one picture for each value of one setting of `draw`, all else equal."""
    from tqdm import tqdm

    bar = tqdm(values, desc=setting, unit="picture")
    return [draw(pipe, prompt, **others, **{setting: value}) for value in bar]


def caption(profile: Profile, *facts: object) -> str:
    """Write a picture's caption: the facts, and whose picture it is."""
    return " · ".join([*map(str, facts), profile.label])


def difference(one: Image.Image, other: Image.Image) -> float:
    """Return how far two pictures of equal size are apart: the mean over all pixels, in levels of 255."""
    import numpy as np

    apart = np.asarray(one, dtype=np.float32) - np.asarray(other, dtype=np.float32)
    return float(np.abs(apart).mean())


def passes(pipe: QwenImagePipeline, prompt: str, **settings: Any) -> int:
    """Draw a picture and count how often the DiT ran for it."""
    count = 0

    def note(*_: object) -> None:
        nonlocal count
        count += 1

    hook = pipe.dit.img_in.register_forward_hook(note)
    try:
        draw(pipe, prompt, **settings)
    finally:
        hook.remove()
    return count


def dit_parameters(*, blocks: int, width: int, head: int, text: int) -> int:
    """Predict the DiT's parameters from its shape.

    width: D of an image token; head: D of one attention head; text: D of the text encoder

    >>> dit_parameters(blocks=60, width=3072, head=128, text=3584)
    20430401088
    """
    # Two streams a block, image and text: modulation 6 D² + 6 D, attention 4 D² + 4 D, MLP 8 D² + 5 D each.
    block = 36 * width**2 + 30 * width + 4 * head  # + four norms of the heads
    entrance = (64 + 1) * width + text + (text + 1) * width  # a token is 2×2 latent px of 16 channels
    time = (256 + 1) * width + (width + 1) * width
    leaving = (width + 1) * 2 * width + (width + 1) * 64
    return blocks * block + entrance + time + leaving


def bill(names: Sequence[str] = tuple(models.PIPELINES)) -> list[tuple[str, int, int]]:
    """Add up pipelines: one line each, all lines summed, and what is left if shared parts count once.

    returns: (what, parameters, bytes in bf16)
    """
    parts = {name: models.pipeline_parts(name).values() for name in names}
    counts = {name: sum(part.parameters for _, part in parts[name]) for name in names}
    once = models.pipeline_bytes(names) // 2  # bf16: two bytes a parameter
    lines = [*counts.items(), ("sum of the lines", sum(counts.values())), ("shared parts once", once)]
    return [(name, count, 2 * count) for name, count in lines]


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> Markdown:
    """Lay rows out as a table for the notebook; the first column is text, the others are set right."""
    from IPython.display import Markdown

    lines = [header, [":--", *["--:"] * (len(header) - 1)], *rows]
    return Markdown("\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines))


def embed(pipe: QwenImagePipeline, prompt: str) -> torch.Tensor:
    """Return the mean (D,) of the vectors that the DiT gets for a prompt, without the template's closing."""
    import torch
    from diffsynth.pipelines.qwen_image import QwenImageUnit_PromptEmbedder

    unit = next(unit for unit in pipe.units if isinstance(unit, QwenImageUnit_PromptEmbedder))
    with torch.no_grad():
        tokens = unit.process(pipe, prompt)["prompt_emb"][0]  # (S, D)
    closing = len(pipe.tokenizer(CLOSING).input_ids)
    return tokens[:-closing].float().mean(dim=0)


def similarities(vectors: Sequence[torch.Tensor]) -> list[list[float]]:
    """Return the cosine of every vector with every other; 1 is the same direction, 0 a right angle."""
    import torch

    rows = torch.nn.functional.normalize(torch.stack(list(vectors)), dim=-1)
    return (rows @ rows.T).tolist()


def shown(picture: Image.Image, asked: Mapping[str, str], profile: Profile) -> dict[str, str]:
    """Say for each attribute that was asked for what the picture shows.

    On the pocket profile a trained reader looks; on the real model you do: the answer is an empty box.
    """
    if profile.name != "pocket":
        return {name: f"☐ {wanted}" for name, wanted in asked.items()}
    from workshop.pocket.model import reader

    found = reader.read(picture)
    return {
        name: f"✓ {wanted}" if found.get(name) == wanted else f"✗ {found.get(name, 'none')}"
        for name, wanted in asked.items()
    }


def bars(values: Mapping[str, float], *, unit: str, alt: str) -> None:
    """Show a bar for each value, with its number."""
    figure, axes = _axes(height=0.5 * len(values) + 0.9)
    drawn = axes.barh(list(values), list(values.values()), color="#4c78a8")
    axes.bar_label(drawn, padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel(unit)
    show_plot(figure, alt=alt)


def heatmap(names: Sequence[str], values: Sequence[Sequence[float]], *, unit: str, alt: str) -> None:
    """Show a square of numbers as colours, each with its number."""
    figure, axes = _axes(height=0.75 * len(names) + 1)
    image = axes.imshow(values, cmap="viridis", vmax=1)
    middle = (image.norm.vmin + 1) / 2
    axes.set_xticks(range(len(names)), names, rotation=20, ha="right")
    axes.set_yticks(range(len(names)), names)
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            color = "white" if value < middle else "black"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=color)
    figure.colorbar(image, label=unit)
    show_plot(figure, alt=alt)


def lines(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, x: str, y: str, alt: str) -> None:
    """Show curves, name to (xs, ys), over axes x and y that carry their units."""
    figure, axes = _axes(height=3.2)
    for name, (across, up) in curves.items():
        axes.plot(across, up, marker=".", label=name)
    axes.set(xlabel=x, ylabel=y)
    axes.legend()
    show_plot(figure, alt=alt)


def show_plot(figure: Figure, *, alt: str) -> None:
    """Show a plot as a picture with alt text that says its point."""
    from PIL import Image

    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, bbox_inches="tight")
    gallery.show(Image.open(file), alt=alt)


def _axes(*, height: float) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure  # without pyplot nothing is shown twice

    figure = Figure(figsize=(6.5, height))
    return figure, figure.subplots()
