"""What DiffSynth's loop trains: the pipeline with a LoRA in it, its loss, and the sample pictures it draws.

Axes: B batch (1), C channels (16), H height, W width (latent px: 8 image px), S tokens, D width of a token.
Source: diffsynth 2.1.12, diffusion/training_module.py and loss.py. DiffSynth has a training module for
Qwen-Image, too, among its examples, which are not in the package.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from workshop import memory
from workshop.training import checkpoint, dataset
from workshop.training.checkpoint import TrainingError

if TYPE_CHECKING:
    import torch
    from diffsynth.pipelines.qwen_image import QwenImagePipeline
    from PIL import Image

PREFIX = "pipe.dit."  # of a trained tensor's name in the module; DiffSynth's LoRA files go without
SAMPLE_STEPS = 20  # denoising steps of a sample picture: enough to see what it will be
# Values a block keeps for its gradient, per token and unit of width. 29 were counted with the pocket model
# in float32; in bfloat16 the norms keep float32 beside it.
ACTIVATIONS = 40
SPARE = 0.8  # share of free memory that activations may take before they are recomputed instead


def make_module(pipe: QwenImagePipeline, options: argparse.Namespace) -> torch.nn.Module:
    """Add a LoRA to the pipeline, freeze all else, and return the module that DiffSynth's loop trains.

    The module's `step` is the number of the next step, its `process` the number of the process it runs in.
    Its loss, for one picture x and one noise level σ:

        L = w(σ) · mean((v(x_σ, σ, prompt) − (ε − x))²),  x_σ = (1 − σ) · x + σ · ε,  ε ~ N(0, 1)

    Raises TrainingError if a target is the name of no layer.
    """
    import torch
    from diffsynth.diffusion import DiffusionTrainingModule, FlowMatchSFTLoss

    class QwenImageTrainingModule(DiffusionTrainingModule):
        def __init__(self) -> None:
            super().__init__()
            self.pipe, self.step, self.process = pipe, 0, 0
            torch.manual_seed(options.seed)
            self.switch_pipe_to_training_mode(
                pipe,
                lora_base_model=options.lora_base_model,
                lora_target_modules=options.lora_target_modules,
                lora_rank=options.lora_rank,
                lora_checkpoint=options.lora_checkpoint,
            )

        def forward(self, data: dict, inputs: dict | None = None) -> torch.Tensor:
            """Return the flow-matching loss, a scalar, of one picture and prompt.

            data: the picture (PIL) and its prompt, which are encoded here
            inputs: the same already encoded, input_latents (1, C, H, W), prompt_emb (1, S, D) and
                prompt_emb_mask (1, S), and the picture's height and width (image px); `data` is then not read
            """
            if inputs is None:
                inputs = dataset.encode(self.pipe, data["image"], data["prompt"])
                inputs |= {"height": data["image"].height, "width": data["image"].width}
            torch.manual_seed(
                derive_seed(options.seed, self.step, self.process)
            )  # here, because encoding draws noise
            self.step += 1
            again = bool(options.use_gradient_checkpointing)
            return FlowMatchSFTLoss(self.pipe, **inputs, use_gradient_checkpointing=again)

    made = QwenImageTrainingModule()
    layers = list_lora_layers(made)
    idle = [
        name
        for name in options.lora_target_modules.split(",")
        if not any(layer.endswith(f".{name}") for layer in layers)
    ]
    if idle:
        where = options.lora_base_model
        raise TrainingError(f"No layer of {where} is named {', '.join(idle)}. See --lora_target_modules.")
    return made


def list_lora_layers(module: torch.nn.Module) -> list[str]:
    """List the names of the layers that have a LoRA."""
    return sorted(
        {name.partition(".lora_A")[0] for name, _ in checkpoint.list_trained(module) if ".lora_A" in name}
    )


def derive_seed(seed: int, step: int, process: int) -> int:
    """Return the seed of a step's noise: the same whether or not the run was stopped before.

    >>> derive_seed(0, 7, 0) == derive_seed(0, 7, 0), derive_seed(0, 7, 0) == derive_seed(0, 8, 0)
    (True, False)
    """
    return int.from_bytes(hashlib.sha256(f"{seed} {step} {process}".encode()).digest()[:7], "big")


def estimate_activations(pipe: QwenImagePipeline, *, tokens: int) -> int:
    """Estimate the bytes that the DiT keeps for its gradient, without the weights.

    tokens: S, of image and text together
    """
    dit = pipe.dit
    values = ACTIVATIONS * len(dit.transformer_blocks) * dit.img_in.out_features * tokens
    return values * pipe.torch_dtype.itemsize


def must_recompute(pipe: QwenImagePipeline, data: dataset.Encoded) -> bool:
    """Return whether the activations of the largest picture are too much for the memory that is free.

    True if nobody knows how much is free.
    """
    largest = max(data.rows, key=lambda row: row["input_latents"].numel())
    tokens = largest["input_latents"][0, 0].numel() // 4 + largest["prompt_emb"].shape[1]
    _, free = memory.available()
    return free is None or estimate_activations(pipe, tokens=tokens) > SPARE * free


def draw_sample(
    pipe: QwenImagePipeline,
    words: Mapping[str, Mapping[str, torch.Tensor]],
    *,
    size: int,
    seed: int,
    num_inference_steps: int = SAMPLE_STEPS,
    cfg_scale: float = 4.0,
) -> Image.Image:
    """Draw as the pipeline does, but from an encoded prompt, because the text encoder is no longer in memory.

    words: "sample" (the prompt) and "nothing" (the empty one), each with prompt_emb (1, S, D) and
        prompt_emb_mask (1, S)
    size: image px of a side

    A step follows v = v_nothing + cfg_scale · (v_sample − v_nothing).
    """
    import torch
    from diffsynth.diffusion import FlowMatchScheduler

    scheduler = FlowMatchScheduler("Qwen-Image")  # the pipeline's own is set for training
    scheduler.set_timesteps(num_inference_steps, dynamic_shift_len=(size // 16) ** 2)
    shape = (1, 16, size // 8, size // 8)
    latents = pipe.generate_noise(shape, seed=seed, rand_torch_dtype=pipe.torch_dtype)
    asked, unasked = (
        {k: v.to(pipe.device) for k, v in words[name].items()} for name in ("sample", "nothing")
    )
    with torch.no_grad():
        for time in scheduler.timesteps:
            now = time.unsqueeze(0).to(dtype=pipe.torch_dtype, device=pipe.device)
            shared = {"dit": pipe.dit, "latents": latents, "timestep": now, "height": size, "width": size}
            without = pipe.model_fn(**shared, **unasked)
            velocity = without + cfg_scale * (pipe.model_fn(**shared, **asked) - without)
            latents = scheduler.step(velocity, time, latents)
        return pipe.vae_output_to_image(pipe.vae.decode(latents, device=pipe.device))
