"""LoRA training on DiffSynth's own parts: one command, the same on both profiles.

    ./scripts/train_lora --dataset_base_path dog              # 5 pictures, 50 times each: 250 steps
    ./scripts/train_lora --dataset_base_path dog --resume     # goes on where a run was stopped or killed

    # on several GPUs, untried so far:
    .venv/bin/accelerate launch -m workshop train_lora --dataset_base_path dog --find_unused_parameters

Flags, module, loss, loop and logger are DiffSynth's (2.1.12, diffsynth/diffusion). What it leaves open:

- A training module for Qwen-Image: DiffSynth has one among its examples, which are not in the package.
- Encoding once, into safetensors (see `dataset`). DiffSynth's `launch_data_process_task` caches with
  torch.save, in pickles, which run code when they are opened.
- Going on after a stop. `launch_training_task` knows no resume, and shuffles without a seed. But all it works
  with it takes from `accelerator.prepare`, so an Accelerator of ours hands it LoRA, optimiser and schedule as
  a checkpoint has them, pictures in an order that follows from the seed, and only those still to come. A
  step's noise follows from the seed and the step's number. So a run that was stopped ends with the same bits
  as one that was not.

The run's folder gets step-N.safetensors (the LoRA, with DiffSynth's keys), checkpoint.safetensors (all that
`--resume` needs), encoded.safetensors, loss.csv, loss.png, training_args.json and samples/.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import io
import os
import runpy
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop import lora, memory, profiles, units
from workshop.training import checkpoint, dataset, losses
from workshop.training.checkpoint import Interrupted, TrainingError

if TYPE_CHECKING:
    import torch
    from diffsynth.pipelines.qwen_image import QwenImagePipeline
    from PIL import Image

TARGETS = ",".join(lora.TARGETS)  # DiffSynth's own default names another model's layers
RATES = {"mi300x": 1e-4, "pocket": 2.5e-3}  # a DiT 16 times narrower takes larger steps
CHECKPOINT, ENCODED = "checkpoint.safetensors", "encoded.safetensors"
PREFIX = "pipe.dit."  # of a trained tensor's name in the module; DiffSynth's LoRA files go without
SAMPLE_STEPS = 20  # denoising steps of a sample picture: enough to see what it will be
# Values a block keeps for its gradient, per token and unit of width. 29 were counted with the pocket model
# in float32; in bfloat16 the norms keep float32 beside it.
ACTIVATIONS = 40
SPARE = 0.8  # share of free memory that activations may take before they are recomputed instead


# Flags


@dataclass(frozen=True)
class Flag:
    """What a flag is for, in one line, and what it is if left out."""

    why: str
    default: Any = None


# DiffSynth's parsers bring these flags with their types. Those that are not in this table are left out.
FLAGS = {
    "dataset_base_path": Flag("folder with the pictures and metadata.csv; `dog` is the profile's own", "dog"),
    "dataset_metadata_path": Flag("table with columns image,prompt; if left out, metadata.csv in the folder"),
    "dataset_repeat": Flag("times each picture is seen in an epoch: 5 pictures × 50 are 250 steps", 50),
    "dataset_num_workers": Flag("processes that read ahead; 0, because what is encoded is in memory", 0),
    "height": Flag("picture height in px; if left out, each picture's own"),
    "width": Flag("picture width in px; if left out, each picture's own"),
    "max_pixels": Flag("larger pictures are made smaller, to this many pixels, 1024 × 1024", 1024 * 1024),
    "learning_rate": Flag("how far a step goes; if left out, 1e-4, or 2.5e-3 for the pocket model"),
    "weight_decay": Flag("how strongly weights are drawn to zero, as a share of the rate", 0.01),
    "num_epochs": Flag("times the repeated data set is gone through", 1),
    "find_unused_parameters": Flag("for several GPUs: the last block's text half gets no gradient", False),
    "output_path": Flag("the run's folder; if left out, checkpoints/<profile>/<data set>"),
    "save_steps": Flag("steps from one checkpoint to the next: the most that a kill can cost", 50),
    "lora_base_model": Flag("what gets the LoRA: the DiT draws, the others only translate", "dit"),
    "lora_target_modules": Flag("layers that get one: attention, each MLP's way out, modulation", TARGETS),
    "lora_rank": Flag("columns of A and B: more of them can hold more, and forget more", 32),
    "lora_checkpoint": Flag("a LoRA file to start from; if left out, from nothing"),
    "use_gradient_checkpointing": Flag("compute again, do not keep: slower, smaller; if left out, as needed"),
}  # fmt: skip
OURS = {
    "profile": Flag("mi300x, pocket or auto, as everywhere in the workshop", "auto"),
    "seed": Flag("decides the LoRA's start, the order of the pictures and all noise", 0),
    "resume": Flag("go on from the checkpoint in the run's folder", False),
    "restart": Flag("delete the run in the folder and begin anew", False),
    "sample_steps": Flag("steps from one sample picture to the next; 0 for none", 50),
    "sample_prompt": Flag("what the sample pictures are drawn for", "a dog"),
    "sample_seed": Flag("the noise that they start from", 3),
}
# These may change when a run goes on; everything else must be what it was.
FREE = {"dataset_base_path", "dataset_metadata_path", "dataset_num_workers", "num_epochs", "output_path"}
FREE |= {"save_steps", "use_gradient_checkpointing", "find_unused_parameters", "profile", *OURS} - {"seed"}


class Parser(argparse.ArgumentParser):
    """Takes flags with our defaults and explanations, and refuses those that are in neither table."""

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action | None:
        name = names[-1].removeprefix("--")
        flag = FLAGS.get(name) or OURS.get(name)
        if flag is None:
            return super().add_argument(*names, **settings) if name == "help" else None
        settings |= {"default": flag.default, "help": flag.why, "required": False}
        if name == "use_gradient_checkpointing":
            settings["action"] = argparse.BooleanOptionalAction
        elif "action" not in settings and flag.default is not None:
            settings["help"] += " [%(default)s]"
        return super().add_argument(*names, **settings)


def parser() -> argparse.ArgumentParser:
    """Put the command line together, from DiffSynth's parsers and ours; torch stays out."""
    made = Parser(
        prog="./scripts/train_lora",
        description="Teach Qwen-Image something new from a few pictures: train a LoRA.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=44, width=180),
    )
    theirs = _diffsynth_parsers()
    for group in ("dataset_base", "image_size", "training", "output", "lora", "gradient"):
        theirs[f"add_{group}_config"](made)
    for name, flag in OURS.items():
        switch = isinstance(flag.default, bool)
        made.add_argument(f"--{name}", **{"action": "store_true"} if switch else {"type": type(flag.default)})
    return made


def words(flags: Mapping[str, object]) -> list[str]:
    """Write flags as the words of a command; a switch is its name alone, or nothing.

    >>> words({"lora_rank": 8, "resume": True, "restart": False})
    ['--lora_rank', '8', '--resume']
    """
    given = ((f"--{name}", value) for name, value in flags.items() if value is not False)
    return [word for name, value in given for word in ([name] if value is True else [name, str(value)])]


def explained(flags: Mapping[str, object]) -> list[tuple[str, str, str]]:
    """List every flag: its name, its value in this command, and what it is for."""
    values = vars(parser().parse_args(words(flags)))
    shown = {name: "left out" if value is None else str(value) for name, value in values.items()}
    shown |= {name: text.replace(",", ", ") for name, text in shown.items() if "," in text}
    return [(name, shown[name], flag.why) for name, flag in (FLAGS | OURS).items()]


def follow(flags: Mapping[str, object], folder: Path, *, profile: profiles.Profile) -> None:
    """Train in a process of its own and show it live in the notebook; raises TrainingError if it fails."""
    command = [sys.executable, "-m", "workshop", "train_lora"]
    more = {"profile": profile.name, "output_path": folder}
    losses.follow([*command, *words({**flags, **more})], folder, profile=profile)


def _diffsynth_parsers() -> dict[str, Any]:
    # The file needs argparse alone; imported from its package it would bring torch along, which takes 15 s.
    package = importlib.util.find_spec("diffsynth")
    if package is None:
        raise TrainingError("diffsynth is not installed. Set everything up: ./scripts/setup")
    return runpy.run_path(str(Path(package.submodule_search_locations[0]) / "diffusion" / "parsers.py"))


# What DiffSynth's loop trains


def training_module(pipe: QwenImagePipeline, options: argparse.Namespace) -> torch.nn.Module:
    """Add a LoRA to the pipeline, freeze all else, and return the module that DiffSynth's loop trains.

    Its `step` is the number of the next step, `process` which of several it runs in.

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
            """Return the flow-matching loss of one picture and prompt; what is not encoded yet, is here."""
            if inputs is None:
                inputs = dataset.encode(self.pipe, data["image"], data["prompt"])
                inputs |= {"height": data["image"].height, "width": data["image"].width}
            torch.manual_seed(step_seed(options.seed, self.step, self.process))  # encoding draws noise, too
            self.step += 1
            again = bool(options.use_gradient_checkpointing)
            return FlowMatchSFTLoss(self.pipe, **inputs, use_gradient_checkpointing=again)

    made = QwenImageTrainingModule()
    layers = lora_layers(made)
    idle = [
        name
        for name in options.lora_target_modules.split(",")
        if not any(layer.endswith(f".{name}") for layer in layers)
    ]
    if idle:
        where = options.lora_base_model
        raise TrainingError(f"No layer of {where} is named {', '.join(idle)}. See --lora_target_modules.")
    return made


def lora_layers(module: torch.nn.Module) -> list[str]:
    """List the layers that have a LoRA."""
    return sorted(
        {name.partition(".lora_A")[0] for name, _ in checkpoint.trained(module) if ".lora_A" in name}
    )


def step_seed(seed: int, step: int, process: int) -> int:
    """Return the seed of a step's noise.

    >>> step_seed(0, 7, 0) == step_seed(0, 7, 0), step_seed(0, 7, 0) == step_seed(0, 8, 0)
    (True, False)
    """
    return int.from_bytes(hashlib.sha256(f"{seed} {step} {process}".encode()).digest()[:7], "big")


def activation_bytes(pipe: QwenImagePipeline, *, tokens: int) -> int:
    """Estimate what the DiT keeps for its gradient; tokens: S of image and text together."""
    dit = pipe.dit
    values = ACTIVATIONS * len(dit.transformer_blocks) * dit.img_in.out_features * tokens
    return values * pipe.torch_dtype.itemsize


def must_recompute(pipe: QwenImagePipeline, data: dataset.Encoded) -> bool:
    """Say whether the activations of the largest picture would not fit into the memory that is free."""
    largest = max(data.rows, key=lambda row: row["input_latents"].numel())
    tokens = largest["input_latents"][0, 0].numel() // 4 + largest["prompt_emb"].shape[1]
    _, free = memory.available()
    return free is None or activation_bytes(pipe, tokens=tokens) > SPARE * free


def sample(
    pipe: QwenImagePipeline,
    words: Mapping[str, Mapping[str, torch.Tensor]],
    *,
    size: int,
    seed: int,
    steps: int = SAMPLE_STEPS,
    guidance: float = 4.0,
) -> Image.Image:
    """Draw as the pipeline does, but from encoded words: the text encoder is not in memory any more.

    words: "sample" and "nothing", each with prompt_emb (1, S, D) and prompt_emb_mask (1, S)
    """
    import torch
    from diffsynth.diffusion import FlowMatchScheduler

    scheduler = FlowMatchScheduler("Qwen-Image")  # the pipeline's own is set for training
    scheduler.set_timesteps(steps, dynamic_shift_len=(size // 16) ** 2)
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
            velocity = without + guidance * (pipe.model_fn(**shared, **asked) - without)
            latents = scheduler.step(velocity, time, latents)
        return pipe.vae_output_to_image(pipe.vae.decode(latents, device=pipe.device))


# DiffSynth's loop, seeded, watched and resumable


def accelerator(options: argparse.Namespace, *, device: str, resume: Path | None) -> Any:
    """Make the Accelerator of a run.

    resume: the checkpoint to go on from
    """
    from accelerate import Accelerator
    from accelerate.utils import DataLoaderConfiguration, DistributedDataParallelKwargs

    class ResumableAccelerator(Accelerator):
        def prepare(self, model: Any, optimizer: Any, loader: Any, scheduler: Any) -> tuple:
            model, optimizer, loader, scheduler = super().prepare(model, optimizer, loader, scheduler)
            module = self.unwrap_model(model)
            self.state_of_training = (module, optimizer, scheduler)
            done = checkpoint.restore(resume, *self.state_of_training) if resume else 0
            module.step, module.process = done, self.process_index
            return model, optimizer, Remaining(loader, done), scheduler

    return ResumableAccelerator(
        cpu=device == "cpu",
        dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True, data_seed=options.seed),
        kwargs_handlers=[
            DistributedDataParallelKwargs(find_unused_parameters=options.find_unused_parameters)
        ],
    )


class Remaining:
    """A loader's batches without the first `done`, counted over all epochs."""

    def __init__(self, loader: Any, done: int) -> None:
        self.loader, self.done = loader, done

    def __iter__(self) -> Iterator[Any]:
        for batch in self.loader:
            if self.done:
                self.done -= 1
            else:
                yield batch


def logger(
    folder: Path,
    *,
    total: int,
    draw: Callable[[], Image.Image],
    sample_steps: int,
    settings: Mapping[str, Any],
    stop: list[int],
) -> Any:
    """Make DiffSynth's logger, with a bar, sample pictures, and checkpoints to go on from.

    draw: makes a sample picture; stop: holds a signal's number once one has come
    """
    from diffsynth.diffusion import ModelLogger
    from tqdm import tqdm

    class Logger(ModelLogger):
        def __init__(self) -> None:
            super().__init__(str(folder), remove_prefix_in_ckpt=PREFIX, enable_csv_log=True)
            self.bar: Any = None

        def begin(self, accelerator: Any, done: int) -> None:
            """Start after so many steps; at 0, draw what the model makes of the prompt before it learns."""
            self.num_steps = done
            form = "{desc} {n_fmt}/{total_fmt} |{bar:24}| {remaining_s:.0f} s left{postfix}"
            quiet = not accelerator.is_main_process
            self.bar = tqdm(total=total, initial=done, desc="train", bar_format=form, disable=quiet)
            if not done and not quiet:
                self.show()

        def close(self) -> None:
            """Close bar and loss.csv, also when the run has failed."""
            self.bar.close()
            for one in self.loggers:
                one.close()

        def on_step_end(
            self, accelerator: Any, model: Any, save_steps: int | None = None, **facts: Any
        ) -> None:
            super().on_step_end(accelerator, model, save_steps, **facts)
            if accelerator.is_main_process:
                where, held = memory.held()
                told = f"loss {facts['loss'].item():.4f}, {where} {units.gib(held)}"
                self.bar.set_postfix_str(told, refresh=False)
                self.bar.update()
                if sample_steps and self.num_steps % sample_steps == 0:
                    self.show()
            if checkpoint.orphaned():
                stop.append(1)  # SIGHUP: whoever was watching is gone
            if stop:
                self.on_training_end(accelerator, model, save_steps)
                raise Interrupted(stop[0])

        def on_training_end(self, accelerator: Any, model: Any, save_steps: int | None = None) -> None:
            super().on_training_end(accelerator, model, save_steps)
            found = losses.read(folder / losses.FILE)
            if accelerator.is_main_process and found:
                checkpoint.write(folder / "loss.png", losses.png(losses.drawing(found)))

        def show(self) -> None:
            """Draw a sample picture."""
            if sample_steps:
                file = io.BytesIO()
                draw().save(file, format="PNG")
                checkpoint.write(folder / "samples" / f"step-{self.num_steps:05d}.png", file.getvalue())

        def save_model(self, accelerator: Any, model: Any, file_name: str) -> None:
            """Save the LoRA as DiffSynth does, then the checkpoint; each file whole or not at all."""
            accelerator.wait_for_everyone()
            everything = accelerator.get_state_dict(model)
            if accelerator.is_main_process:
                module, *others = accelerator.state_of_training
                lora = module.export_trainable_state_dict(everything, remove_prefix=PREFIX)
                checkpoint.save(folder / file_name, lora)
                checkpoint.keep(folder / CHECKPOINT, module, *others, settings=settings)

    return Logger()


@contextlib.contextmanager
def own_bar() -> Iterator[None]:
    """Let DiffSynth's loop run without its bar, which knows neither loss nor memory: the logger has one."""
    from diffsynth.diffusion import runner

    theirs, runner.tqdm = runner.tqdm, lambda batches: batches
    try:
        yield
    finally:
        runner.tqdm = theirs


# A run


def home(profile: profiles.Profile) -> Path:
    """Return where runs go: checkpoints/<profile>, or below WORKSHOP_CHECKPOINTS."""
    root = Path(os.environ.get("WORKSHOP_CHECKPOINTS") or profiles.REPO / "checkpoints")
    return root.expanduser().absolute() / profile.name


def demand_data(options: argparse.Namespace, profile: profiles.Profile) -> dataset.DataSet:
    """Return the data set; raises TrainingError with everything that is wrong with it, before torch loads."""
    folder = dataset.folder(options.dataset_base_path, profile)
    if not folder.is_dir():
        own = options.dataset_base_path == dataset.DOG
        remedy = "Get it: python -m workshop download dog" if own else "See --dataset_base_path."
        raise TrainingError(f"There is no data set at {profiles.shown(folder)}. {remedy}")
    table = Path(options.dataset_metadata_path or folder / "metadata.csv")
    data = dataset.DataSet(folder, table, options.max_pixels, options.height, options.width)
    found = dataset.problems(data, smallest=profile.size // 4)
    if found:
        head = f"Nothing was loaded, because the data set has {len(found)} fault{'s' * (len(found) > 1)}:"
        raise TrainingError("\n".join([head, *(f"  {one}" for one in found)]))
    return data


def make_ready(folder: Path, options: argparse.Namespace, settings: Mapping[str, Any]) -> int:
    """Look after the run's folder before anything is loaded; returns the step to go on from, 0 for a new run.

    Raises TrainingError if a run is there and nothing says what to do with it, or if it is another one.
    """
    checkpoint.clear_parts(folder)
    if options.resume:
        done = checkpoint.demand_same(folder / CHECKPOINT, settings)
        losses.cut(folder / losses.FILE, done)
        return done
    if (folder / CHECKPOINT).exists() and not options.restart:
        where = profiles.shown(folder)
        raise TrainingError(f"There is a run in {where}. Go on with it: --resume. Delete it: --restart.")
    for path in (*folder.glob("step-*.safetensors"), folder / CHECKPOINT, folder / losses.FILE):
        path.unlink(missing_ok=True)
    shutil.rmtree(folder / "samples", ignore_errors=True)
    return 0


def train(options: argparse.Namespace) -> Path:
    """Train as the options say; returns the LoRA's file.

    Raises TrainingError if data, folder, disk or memory are not fit for it, Interrupted if asked to stop: the
    steps up to then are saved.
    """
    profile = profiles.use(options.profile, models=False)
    data = demand_data(options, profile)
    options.learning_rate = options.learning_rate or RATES[profile.name]
    name = Path(options.dataset_base_path).name
    folder = Path(options.output_path or home(profile) / name).expanduser().absolute()
    settings = {key: value for key, value in vars(options).items() if key not in FREE}
    settings |= {"profile": profile.name, "pictures and prompts": data.content()}
    first = os.environ.get("RANK", "0") == "0"  # accelerate's launcher numbers its processes
    with checkpoint.alone(folder) if first else contextlib.nullcontext(), enough_memory():
        done = make_ready(folder, options, settings) if first else 0
        return _train(options, data, folder=folder, profile=profile, settings=settings, done=done)


def _train(
    options: argparse.Namespace,
    data: dataset.DataSet,
    *,
    folder: Path,
    profile: profiles.Profile,
    settings: Mapping[str, Any],
    done: int,
) -> Path:
    if profile.name == "pocket":
        profiles.register_pocket()
    from diffsynth.diffusion import launch_training_task, runner

    from workshop import loading

    resume = folder / CHECKPOINT if options.resume else None
    machine = accelerator(options, device=profile.device, resume=resume)
    with machine.main_process_first():
        cost = dataset.encoded(folder / ENCODED, data, profile=profile, sample_prompt=options.sample_prompt)
    items = dataset.Encoded(folder / ENCODED, repeat=options.dataset_repeat)
    total = len(items) * options.num_epochs // machine.num_processes
    machine.print(dataset.saving(cost, pictures=len(items.rows), steps=total))
    pipe = loading.read_parts("Qwen-Image", ("dit", "vae"), profile=profile)
    if options.use_gradient_checkpointing is None:
        options.use_gradient_checkpointing = must_recompute(pipe, items)
    module = training_module(pipe, options)
    module.to(device=machine.device)
    machine.print(summary(module, options), f"Steps {done} to {total}.")
    options.output_path = str(folder)
    if machine.is_main_process:
        runner.save_training_args(options)
    with checkpoint.asked_to_stop() as stop, own_bar():
        log = logger(
            folder,
            total=total,
            draw=lambda: sample(pipe, items.words, size=profile.size, seed=options.sample_seed),
            sample_steps=options.sample_steps,
            settings=settings,
            stop=stop,
        )
        log.begin(machine, done)
        with contextlib.closing(log):
            launch_training_task(
                machine,
                items,
                module,
                log,
                learning_rate=options.learning_rate,
                weight_decay=options.weight_decay,
                num_workers=options.dataset_num_workers,
                save_steps=options.save_steps,
                num_epochs=options.num_epochs,
            )
    return folder / f"step-{total}.safetensors"


@contextlib.contextmanager
def enough_memory() -> Iterator[None]:
    """Turn torch's running out of memory into advice."""
    try:
        yield
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's; it need not be imported yet
            raise
        raise TrainingError(
            f"The memory is not enough: {str(error).splitlines()[0]} Add --use_gradient_checkpointing or "
            "take a smaller --max_pixels; --resume goes on from the last checkpoint."
        ) from error


def summary(module: torch.nn.Module, options: argparse.Namespace) -> str:
    """Say what is about to be trained."""
    learning = sum(parameter.numel() for _, parameter in checkpoint.trained(module))
    frozen = sum(parameter.numel() for parameter in module.pipe.dit.parameters()) - learning
    kept = "computed again" if options.use_gradient_checkpointing else "kept"
    return (
        f"LoRA of rank {options.lora_rank} on {len(lora_layers(module))} layers: {learning:,} parameters "
        f"learn, {frozen:,} of the DiT stay. Rate {options.learning_rate:g}; activations are {kept}."
    )


def main(argv: list[str]) -> int:
    """Train from the command line; returns 1 with the reason if it cannot, 128 + the signal if stopped."""
    try:
        path = train(parser().parse_args(argv))
    except Interrupted as stopped:
        print(f"Stopped by {stopped}, everything saved. --resume goes on from here.", file=sys.stderr)
        return 128 + stopped.number
    except (TrainingError, FileNotFoundError, ValueError) as error:
        print(f"./scripts/train_lora: {error}", file=sys.stderr)
        return 1
    print(f"The LoRA is in {profiles.shown(path)}.")
    return 0
