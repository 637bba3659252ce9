"""What DiffSynth's loop trains: loss, noise, memory and sample pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.support.lora_runs import SMALL, run
from workshop import files, profiles
from workshop.training import dataset, live
from workshop.training.dataset import DataSet
from workshop.training.flags import make_parser
from workshop.training.module import derive_seed, estimate_activations, make_module


def test_a_step_s_noise_depends_on_seed_step_and_process() -> None:
    seeds = {derive_seed(*one) for one in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]}
    assert len(seeds) == 4


def test_the_lora_has_diffsynths_keys_and_patches_every_target(
    unstopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from workshop import loading, models

    header = models.read_header(unstopped / "step-5.safetensors")
    assert "transformer_blocks.0.attn.to_q.lora_A.default.weight" in header
    profile = profiles.choose("pocket")
    pipe = loading.read_parts("Qwen-Image", ("dit",), profile=profile)
    pipe.dit = pipe.enable_lora_hot_loading(pipe.dit)
    pipe.load_lora(pipe.dit, str(unstopped / "step-5.safetensors"), hotload=True)
    blocks = len(pipe.dit.transformer_blocks)
    assert len(header) == 2 * 12 * blocks
    assert f"{12 * blocks} tensors are patched" in capsys.readouterr().out


def test_what_is_encoded_gives_the_loss_of_the_picture_itself(unstopped: Path) -> None:
    import torch

    from workshop import loading

    profile = profiles.choose("pocket")
    pipe = loading.read_parts("Qwen-Image", ("dit", "text_encoder", "vae", "tokenizer"), profile=profile)
    module = make_module(pipe, make_parser().parse_args([*SMALL]))
    items = dataset.Encoded(unstopped / dataset.ENCODED)
    row = DataSet(files.REPO / "data" / "dog", files.REPO / "data" / "dog" / "metadata.csv").rows()[2]
    picture = Image.open(files.REPO / "data" / "dog" / row["image"])
    with torch.no_grad():
        anew = module({"image": picture, "prompt": row["prompt"]})
        module.step = 0
        cached = module({}, inputs=items[2])
    assert torch.equal(anew, cached)


def test_a_sample_picture_is_the_pipelines_own_picture(unstopped: Path) -> None:
    from workshop import loading

    profile = profiles.choose("pocket")
    pipe = loading.read_parts("Qwen-Image", ("dit", "text_encoder", "vae", "tokenizer"), profile=profile)
    picture = pipe(
        "a dog", height=128, width=128, seed=3, num_inference_steps=20, cfg_scale=4.0, progress_bar_cmd=iter
    )
    assert live.open_samples(unstopped)[0].tobytes() == picture.tobytes()


def test_a_target_that_is_no_layer_is_an_error_and_not_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--lora_target_modules", "to_q,ffn.0") == 1
    assert "No layer of dit is named ffn.0." in capsys.readouterr().err


def test_what_a_block_keeps_is_near_the_estimate_and_recomputing_keeps_far_less() -> None:
    import torch

    from workshop import loading

    profile = profiles.choose("pocket")
    pipe = loading.read_parts("Qwen-Image", ("dit",), profile=profile)
    pipe.scheduler.set_timesteps(1000, training=True)
    kept = {}
    for again in (False, True):
        flag = "--use_gradient_checkpointing" if again else "--no-use_gradient_checkpointing"
        fresh = loading.read_parts("Qwen-Image", ("dit",), profile=profile)
        module = make_module(fresh, make_parser().parse_args(["--profile", "pocket", flag]))
        kept[again] = kept_for_the_gradient(module, size=128, words=16)
    tokens = 64 + 16
    estimate = estimate_activations(pipe, tokens=tokens)
    assert 0.6 < kept[False] / estimate < 1.4
    assert kept[True] < kept[False] / 5
    assert torch.is_grad_enabled()


def kept_for_the_gradient(module: object, *, size: int, words: int) -> int:
    """Count the bytes that a forward pass keeps for the backward pass, without the weights."""
    import torch

    weights = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    storages: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    inputs = {"input_latents": torch.zeros(1, 16, size // 8, size // 8), "height": size, "width": size}
    inputs |= {"prompt_emb": torch.zeros(1, words, 192), "prompt_emb_mask": torch.ones(1, words, dtype=int)}
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        module({}, inputs=inputs)
    return sum(storages.values())
