"""Pictures from a pipeline: one, a series, or every state on the way from noise; and prompts as vectors.

Axes: B batch, C channels, H height, W width (latent px: 8 image px), S tokens, D width of a token.
Source: diffsynth 2.1.12, pipelines/qwen_image.py, QwenImagePipeline.__call__; diffusion/flow_match.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workshop import lists, loading
from workshop.guards import check_settings

if TYPE_CHECKING:
    import torch
    from diffsynth.pipelines.qwen_image import QwenImagePipeline
    from PIL import Image

CLOSING = "<|im_end|>\n<|im_start|>assistant\n"  # DiffSynth's template ends every prompt with it


@dataclass(frozen=True)
class Step:
    """Where denoising stands: `latents` at noise level `sigma`, and the picture the model expects, `clean`.

    latents, clean: (1, C, H, W), linked by latents = (1 - sigma) · clean + sigma · noise
    """

    number: int
    sigma: float  # 1 is pure noise, 0 a finished picture
    latents: torch.Tensor
    clean: torch.Tensor


def draw(
    pipe: QwenImagePipeline,
    prompt: str,
    *,
    size: int,
    seed: int = 0,
    num_inference_steps: int = 40,
    cfg_scale: float = 4.0,
    **more: Any,
) -> Image.Image:
    """Draw one picture without a progress bar; its alt text is the prompt.

    size: image px, a multiple of 16
    more: anything else that the pipeline takes, as edit_image

    Raises TypeError or ValueError for a setting that gives no picture, as guards.check_settings does, and
    MemoryError, naming what is in memory, where torch runs out of it.
    """
    given = {"seed": seed, "num_inference_steps": num_inference_steps, "cfg_scale": cfg_scale}
    check_settings({"size": size, **given, **more})
    with loading.explain_shortage(f"drawing {size}×{size} px"):
        picture = pipe(
            prompt,
            height=size,
            width=size,
            seed=seed,
            num_inference_steps=num_inference_steps,
            cfg_scale=cfg_scale,
            progress_bar_cmd=iter,
            **more,
        )
    picture.info["alt"] = f"drawn for the prompt: {prompt}"
    return picture


def series(
    pipe: QwenImagePipeline, prompt: str, setting: str, values: Sequence[float], **others: Any
) -> list[Image.Image]:
    """Draw one picture for each value of one setting of `draw`, all else equal.

    Raises TypeError for a single value without a list.
    """
    from tqdm import tqdm

    lists.demand("values", values)

    bar = tqdm(values, desc=setting, unit="picture")
    return [draw(pipe, prompt, **others, **{setting: value}) for value in bar]


def denoise(
    pipe: QwenImagePipeline,
    prompt: str,
    *,
    size: int,
    seed: int,
    num_inference_steps: int = 40,
    cfg_scale: float = 4.0,
) -> Iterator[Step]:
    """Sample as the pipeline does; yield the state before each step, then the finished picture.

        velocity = noise - clean
        clean    = latents - sigma · velocity
        latents  ← latents + (sigma' - sigma) · velocity        sigma' is the next noise level

    size: image px, a multiple of 16
    yields: `num_inference_steps` + 1 states with latents (1, C, size / 8, size / 8)

    The states use the pipeline's own scheduler: draw no other picture with it until the loop has ended.
    """
    import torch

    given = {"seed": seed, "num_inference_steps": num_inference_steps, "cfg_scale": cfg_scale}
    check_settings({"size": size, **given})
    with torch.no_grad():  # not around a yield: whoever reads the states keeps their own gradient mode
        conditions = _prepare_conditions(
            pipe, prompt, size=size, seed=seed, num_inference_steps=num_inference_steps, cfg_scale=cfg_scale
        )
    shared = conditions[0]
    parts = {name: getattr(pipe, name) for name in pipe.in_iteration_models}
    for number, sigma in enumerate(pipe.scheduler.sigmas):
        latents, time = shared["latents"], pipe.scheduler.timesteps[number].unsqueeze(0)
        with torch.no_grad():
            velocity = pipe.cfg_guided_model_fn(
                pipe.model_fn,
                cfg_scale,
                *conditions,
                **parts,
                timestep=time.to(dtype=pipe.torch_dtype, device=pipe.device),
                progress_id=number,
            )
            clean = latents - sigma.item() * velocity
            shared["latents"] = pipe.step(pipe.scheduler, progress_id=number, noise_pred=velocity, **shared)
        yield Step(number, sigma.item(), latents, clean)
    yield Step(num_inference_steps, 0.0, shared["latents"], shared["latents"])


def _prepare_conditions(
    pipe: QwenImagePipeline, prompt: str, *, size: int, seed: int, num_inference_steps: int, cfg_scale: float
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return what both passes share, what only the pass with the prompt takes, and what only the other takes.

    The pipeline's own units compute it.
    """
    pipe.scheduler.set_timesteps(
        num_inference_steps, denoising_strength=1.0, dynamic_shift_len=(size // 16) ** 2
    )
    shared = {"cfg_scale": cfg_scale, "height": size, "width": size, "seed": seed, "rand_device": "cpu"}
    shared |= {"num_inference_steps": num_inference_steps, "denoising_strength": 1.0, "tiled": False}
    positive, negative = {"prompt": prompt}, {"negative_prompt": ""}
    for unit in pipe.units:
        shared, positive, negative = pipe.unit_runner(unit, pipe, shared, positive, negative)
    pipe.load_models_to_device(pipe.in_iteration_models)
    return shared, positive, negative


def decode(pipe: QwenImagePipeline, latents: torch.Tensor) -> Image.Image:
    """Turn latents, noisy or clean, into a picture of 8 times their side.

    latents: (1, C, H, W)
    """
    import torch

    with torch.no_grad():
        pipe.load_models_to_device(["vae"])
        return pipe.vae_output_to_image(pipe.vae.decode(latents, device=pipe.device, tiled=False))


def count_passes(pipe: QwenImagePipeline, prompt: str, **settings: Any) -> int:
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


def embed(pipe: QwenImagePipeline, prompt: str) -> torch.Tensor:
    """Return the mean vector of what the DiT gets for a prompt, without the template's closing.

    returns: (D,), float32
    """
    import torch
    from diffsynth.pipelines.qwen_image import QwenImageUnit_PromptEmbedder

    unit = next(unit for unit in pipe.units if isinstance(unit, QwenImageUnit_PromptEmbedder))
    with torch.no_grad():
        tokens = unit.process(pipe, prompt)["prompt_emb"][0]  # (S, D)
    closing = len(pipe.tokenizer(CLOSING).input_ids)
    return tokens[:-closing].float().mean(dim=0)


def similarities(vectors: Sequence[torch.Tensor]) -> list[list[float]]:
    """Return the cosine of every vector with every other; 1 is the same direction, 0 a right angle.

    vectors: N of them, each (D,)
    returns: N rows of N
    """
    import torch

    rows = torch.nn.functional.normalize(torch.stack(list(vectors)), dim=-1)
    return (rows @ rows.T).tolist()
