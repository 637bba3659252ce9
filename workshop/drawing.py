"""Pictures from a pipeline: one, a series, or every state on the way from noise; and prompts as vectors.

Axes: B batch, C channels, H height, W width (latent px: 8 image px), S tokens, D width of a token.
Source: diffsynth 2.1.12, pipelines/qwen_image.py, QwenImagePipeline.__call__; diffusion/flow_match.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from workshop import folding, lists, loading, passes, progress
from workshop.guards import check_settings

if TYPE_CHECKING:
    import torch
    from diffsynth.pipelines.qwen_image import QwenImagePipeline
    from PIL import Image

DEFAULTS: dict[str, Any] = {"seed": 0, "num_inference_steps": 40, "cfg_scale": 4.0}
OWN = ("prompt", "negative_prompt", "seed", "cfg_scale", "edit_image")
"""In what pictures of one batch may differ; references in what they show, not in number or size."""
SHARED = {"size", "num_inference_steps", "edit_image_auto_resize", "references"}
"""What else they may have, all of them the same; a picture with more settings is drawn alone."""
CLOSING = "<|im_end|>\n<|im_start|>assistant\n"  # DiffSynth's template ends every prompt with it


@dataclass(frozen=True)
class Step:
    """Where denoising stands: `latents` at noise level `sigma`, and the picture that the velocity points at.

    latents, clean: (1, C, H, W), linked by latents = (1 - sigma) · clean + sigma · noise

    At guidance 1 `clean` is what the model expects, the average of the pictures that fit; more guidance
    exaggerates what the prompt adds to that average.
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

    Both passes of guidance run in one call of the DiT, and hot-loaded LoRAs are folded into its weights,
    where that is faster: `passes.together`, `folding.folded`.

    size: image px, a multiple of 16
    more: anything else that the pipeline takes, as edit_image

    Raises TypeError or ValueError for a setting that gives no picture, as guards.check_settings does, and
    MemoryError, naming what is in memory, where torch runs out of it.
    """
    given = {"seed": seed, "num_inference_steps": num_inference_steps, "cfg_scale": cfg_scale}
    check_settings({"size": size, **given, **more})
    with (
        loading.explain_shortage(f"drawing {size}×{size} px"),
        passes.together(pipe),
        folding.folded(pipe.dit),
    ):
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
    picture.info["alt"] = _alt(prompt)
    return picture


def _alt(prompt: str) -> str:
    return f"drawn for the prompt: {prompt}"


def series(
    pipe: QwenImagePipeline, prompt: str, setting: str, values: Sequence[Any], **others: Any
) -> list[Image.Image]:
    """Draw one picture for each value of one setting of `draw`, all else equal, as `draw_all` draws.

    setting: as "seed" or "cfg_scale"; with "prompt" each value takes the place of `prompt`

    Raises TypeError for a single value without a list.
    """
    lists.demand("values", values)
    pictures = [{"prompt": prompt, setting: value} for value in values]
    return draw_all(pipe, pictures, doing=setting, **others)


def draw_all(
    pipe: QwenImagePipeline,
    pictures: Sequence[Mapping[str, Any]],
    *,
    size: int,
    doing: str = "draw",
    **common: Any,
) -> list[Image.Image]:
    """Draw several pictures with a progress bar, as many in one call of the DiT as gain by it.

    pictures: what `draw` takes for each, `prompt` among it
    size: image px, a multiple of 16
    doing: what stands before the bar
    common: what all of them take

    Each picture is the one that `draw` draws; sums in another order may move a pixel by one level of 255.
    Pictures that differ in more than prompts, seed, guidance and what their references show, or that take
    more than references, are drawn alone.

    Raises what `draw` raises, before the first picture where a setting is wrong.
    """
    asked = [{"size": size, **DEFAULTS, **common, **picture} for picture in pictures]
    for one in asked:
        check_settings({name: value for name, value in one.items() if name != "prompt"})
    drawn: list[Image.Image] = []
    steps = [int(one["num_inference_steps"]) for one in asked]
    with progress.start(sum(steps), doing, unit="step") as bar:
        while len(drawn) < len(asked):
            batch = _draw_batch(pipe, asked[len(drawn) :], bar.update)
            if not batch:
                batch = [draw(pipe, **asked[len(drawn)])]
                bar.update(steps[len(drawn)])
            drawn += batch
    return drawn


def _draw_batch(
    pipe: QwenImagePipeline, asked: Sequence[Mapping[str, Any]], tell: Callable[[int], object]
) -> list[Image.Image]:
    """Draw the first of these pictures in one batch, as many as may share it; none if the first goes alone.

    tell: gets how many steps of pictures were done
    """
    import torch

    fellows = list(takewhile(lambda one: _others(one) == _others(asked[0]), asked))
    if len(fellows) < 2 or not set(_others(asked[0])) <= SHARED or not passes.is_stock(pipe):
        return []
    first = asked[0]
    with (
        torch.no_grad(),
        loading.explain_shortage(f"drawing {first['size']}×{first['size']} px"),
        folding.folded(pipe.dit),
    ):
        known: dict[tuple, tuple[dict, dict, dict]] = {}
        conditions = [_condition(pipe, fellows[0], known)]
        fellows = fellows[: passes.count_fitting(pipe.dit, conditions[0])]
        if len(fellows) < 2:
            return []
        conditions += [_condition(pipe, one, known) for one in fellows[1:]]
        scales = [one["cfg_scale"] for one in fellows]
        for number, time in enumerate(pipe.scheduler.timesteps):
            level = time.unsqueeze(0).to(dtype=pipe.torch_dtype, device=pipe.device)
            velocities = passes.velocities(pipe.dit, level, conditions, scales).split(1)
            for (shared, _, _), velocity in zip(conditions, velocities, strict=True):
                step = {**shared, "progress_id": number, "noise_pred": velocity}
                shared["latents"] = pipe.step(pipe.scheduler, **step)
            tell(len(fellows))
        drawn = [decode(pipe, shared["latents"]) for shared, _, _ in conditions]
    for one, picture in zip(fellows, drawn, strict=True):
        picture.info["alt"] = _alt(one["prompt"])
    return drawn


def _others(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return what pictures of one batch must have in common, the sizes of their references among it."""
    given = one.get("edit_image")
    references = [] if given is None else given if isinstance(given, list) else [given]
    return {name: value for name, value in one.items() if name not in OWN} | {
        "references": (isinstance(given, list), [image.size for image in references])
    }


def _condition(pipe: QwenImagePipeline, one: Mapping[str, Any], known: dict) -> passes.Conditions:
    """Return what `_prepare_conditions` does; equal prompts with the same references are encoded once.

    known: what was prepared so far, and what is kept for the next
    """
    given = one.get("edit_image")
    shown = tuple(map(id, given)) if isinstance(given, list) else id(given)
    key = (one["prompt"], one.get("negative_prompt", ""), one["cfg_scale"] == 1, shown)
    if key not in known:
        known[key] = _prepare_conditions(pipe, **one)
    shared, positive, negative = known[key]
    noise = pipe.generate_noise(shared["latents"].shape, seed=one["seed"], rand_torch_dtype=pipe.torch_dtype)
    return (
        {**shared, "seed": one["seed"], "cfg_scale": one["cfg_scale"], "latents": noise},
        positive,
        negative,
    )


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
        with torch.no_grad(), passes.together(pipe):
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
    pipe: QwenImagePipeline,
    prompt: str,
    *,
    size: int,
    seed: int | None,
    num_inference_steps: int,
    cfg_scale: float,
    negative_prompt: str = "",
    **more: Any,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return what both passes share, what only the pass with the prompt takes, and what only the other takes.

    more: edit_image and edit_image_auto_resize

    The pipeline's own units compute it.
    """
    pipe.scheduler.set_timesteps(
        num_inference_steps, denoising_strength=1.0, dynamic_shift_len=(size // 16) ** 2
    )
    shared = {"cfg_scale": cfg_scale, "height": size, "width": size, "seed": seed, "rand_device": "cpu"}
    shared |= {"num_inference_steps": num_inference_steps, "denoising_strength": 1.0, "tiled": False}
    shared |= {"edit_image_auto_resize": True, **more}
    positive, negative = {"prompt": prompt}, {"negative_prompt": negative_prompt}
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
    """Draw a picture and count the passes of the DiT for it; two passes in one call are two."""
    count = 0

    def note(_: object, given: tuple[torch.Tensor, ...], __: object) -> None:
        nonlocal count
        count += len(given[0])

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
