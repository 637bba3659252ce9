"""LoRA training on DiffSynth's own parts: one command, the same on both profiles.

    ./scripts/train_lora --dataset_base_path dog              # 5 pictures, 50 times each: 250 steps
    ./scripts/train_lora --dataset_base_path dog --resume     # goes on where a run was stopped or killed

    # on several GPUs, untried so far:
    .venv/bin/accelerate launch -m workshop train_lora --dataset_base_path dog --find_unused_parameters

Flags, loss, loop and logger are DiffSynth's (2.1.12, diffsynth/diffusion). This module adds:

- A training module for Qwen-Image (see `module`).
- Pictures and prompts encoded once, into safetensors (see `dataset`). DiffSynth's `launch_data_process_task`
  caches with torch.save, in pickles, which run code when they are opened.
- Going on after a stop. `launch_training_task` knows no resume, and shuffles without a seed. It gets model,
  optimiser, loader and schedule from `accelerator.prepare`; our subclass restores LoRA, optimiser and
  schedule there from the checkpoint, orders the pictures by the seed, and skips those already seen. A step's
  noise follows from the seed and the step's number. So a run that was stopped ends with the same bits as one
  that was not.

The run's folder gets step-N.safetensors (the LoRA, with DiffSynth's keys), checkpoint.safetensors (all that
`--resume` needs), encoded.safetensors, loss.csv, loss.png, training_args.json and samples/.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import math
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop import files, loading, lora, memory, profiles, units
from workshop.training import checkpoint, dataset, flags, live, losses
from workshop.training.checkpoint import Interrupted, TrainingError
from workshop.training.module import PREFIX, draw_sample, list_lora_layers, make_module, must_recompute

if TYPE_CHECKING:
    import torch
    from PIL import Image


SMALL_FILES = 4 * units.MB  # room for losses, their curve and sample pictures


# DiffSynth's loop, seeded, watched and resumable


def make_accelerator(options: argparse.Namespace, *, device: str, resume: Path | None) -> Any:
    """Make the Accelerator of a run, which restores the run's state when DiffSynth's loop prepares its parts.

    device: "cpu", or anything else for a GPU
    resume: the checkpoint to go on from; None for a new run
    """
    from accelerate import Accelerator
    from accelerate.utils import DataLoaderConfiguration, DistributedDataParallelKwargs

    class ResumableAccelerator(Accelerator):
        def prepare(self, model: Any, optimizer: Any, loader: Any, scheduler: Any) -> tuple:
            model, optimizer, loader, scheduler = super().prepare(model, optimizer, loader, scheduler)
            module = self.unwrap_model(model)
            self.state_of_training = (module, optimizer, scheduler)
            done = checkpoint.restore_training(resume, *self.state_of_training) if resume else 0
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


def make_logger(
    folder: Path,
    *,
    total: int,
    draw: Callable[[], Image.Image],
    sample_steps: int,
    settings: Mapping[str, Any],
    stop: list[int],
) -> Any:
    """Make DiffSynth's logger, with a progress bar, sample pictures, and checkpoints to go on from.

    total: steps of the run
    draw: makes a sample picture
    sample_steps: steps from one sample picture to the next; 0 for none
    settings: what a checkpoint demands of a run that goes on from it
    stop: signals received so far; not empty: save and stop after this step, with Interrupted
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
            demand_number(facts["loss"].item(), step=self.num_steps + 1, rate=settings["learning_rate"])
            super().on_step_end(accelerator, model, save_steps, **facts)
            if accelerator.is_main_process:
                where, held = memory.held()
                told = f"loss {facts['loss'].item():.4f}, {where} {units.gib(held)}"
                self.bar.set_postfix_str(told, refresh=False)
                self.bar.update()
                if sample_steps and self.num_steps % sample_steps == 0:
                    self.show()
            if checkpoint.is_orphaned():
                stop.append(signal.SIGHUP)  # the notebook that was watching is gone
            if stop:
                self.on_training_end(accelerator, model, save_steps)
                raise Interrupted(stop[0])

        def on_training_end(self, accelerator: Any, model: Any, save_steps: int | None = None) -> None:
            super().on_training_end(accelerator, model, save_steps)
            found = losses.read(folder / losses.FILE)
            if accelerator.is_main_process and found:
                checkpoint.write(folder / "loss.png", live.as_png(live.draw_curve(found)))

        def show(self) -> None:
            """Draw a sample picture."""
            if sample_steps:
                file = io.BytesIO()
                draw().save(file, format="PNG")
                checkpoint.write(
                    folder / checkpoint.SAMPLES / f"step-{self.num_steps:05d}.png", file.getvalue()
                )

        def save_model(self, accelerator: Any, model: Any, file_name: str) -> None:
            """Save the LoRA as DiffSynth does, then the checkpoint; each file whole or not at all."""
            accelerator.wait_for_everyone()
            everything = accelerator.get_state_dict(model)
            if accelerator.is_main_process:
                module, *others = accelerator.state_of_training
                learned = module.export_trainable_state_dict(everything, remove_prefix=PREFIX)
                rate = settings["learning_rate"]
                for tensor in learned.values():
                    demand_number(tensor.abs().max().item(), step=self.num_steps, rate=rate, what="a weight")
                checkpoint.save(folder / file_name, learned)
                checkpoint.save_training(folder / checkpoint.FILE, module, *others, settings=settings)

    return Logger()


def demand_number(value: float, *, step: int, rate: float, what: str = "the loss") -> None:
    """Raise TrainingError, with step and rate, if a loss or a weight is no number: then nothing is saved."""
    if not math.isfinite(value):
        raise TrainingError(
            f"At step {step} {what} became {value}, at a rate of {rate:g}: steps were too long. "
            "Nothing of this step was saved; LoRAs of earlier steps are as they were. "
            f"Train anew with a --learning_rate below {rate:g}, into another --output_path or with --restart."
        )


def demand_room(folder: Path, module: torch.nn.Module, *, done: int, total: int, save_steps: int) -> None:
    """Ask the disk for room for all that a run will write, before its first step.

    Raises TrainingError with what it has, what is needed, and what to do.
    """
    learning = [parameter for _, parameter in checkpoint.list_trained(module)]
    size = sum(parameter.nbytes for parameter in learning)
    saves = total // save_steps - done // save_steps + bool(total % save_steps)
    # A checkpoint holds weights and both of AdamW's means; the next one is written beside it.
    need = saves * size + min(saves, 2) * 3 * size + SMALL_FILES
    free = shutil.disk_usage(folder).free
    if free < need:
        raise TrainingError(
            f"The disk at {files.shorten(folder)} has {units.gb(free)} free, and the run needs "
            f"{units.gb(need)}: {saves} LoRAs of {units.gb(size)}, and checkpoints. No step was made. "
            "Make room there, take a larger --save_steps or another --output_path; then "
            f"{checkpoint.suggest(folder)}."
        )


@contextlib.contextmanager
def hide_bar() -> Iterator[None]:
    """Leave DiffSynth's own bar out, which shows neither loss nor memory: the logger has one that does."""
    from diffsynth.diffusion import runner

    theirs, runner.tqdm = runner.tqdm, lambda batches: batches
    try:
        yield
    finally:
        runner.tqdm = theirs


# A run


def demand_data(options: argparse.Namespace, profile: profiles.Profile) -> dataset.DataSet:
    """Return the data set that the options name.

    Raises TrainingError with everything that is wrong with it, before torch is imported.
    """
    folder = dataset.find_folder(options.dataset_base_path, profile)
    if not folder.is_dir():
        own = options.dataset_base_path == dataset.DOG
        remedy = "Get it: ./scripts/download dog" if own else "See --dataset_base_path."
        raise TrainingError(f"There is no data set at {files.shorten(folder)}. {remedy}")
    table = (
        folder / "metadata.csv"
        if options.dataset_metadata_path is None
        else Path(options.dataset_metadata_path)
    )
    data = dataset.DataSet(folder, table, options.max_pixels, options.height, options.width)
    found = dataset.inspect(data, smallest=profile.size // 4)
    if found.problems:
        count = len(found.problems)
        head = f"Nothing was loaded, because the data set has {count} fault{'s' * (count > 1)}:"
        raise TrainingError("\n".join([head, *(f"  {one}" for one in found.problems)]))
    for note in found.notes:
        print(f"Note: {note}.")
    return dataclasses.replace(data, kept=found.rows)


def check_start(options: argparse.Namespace, profile: profiles.Profile) -> None:
    """Check the LoRA that a training starts from against the DiT's files, before anything is encoded.

    Raises TrainingError with what `lora.check` says of a file for another model, or if rank or layers differ
    from those that will be trained: DiffSynth would leave out what does not fit.
    """
    if options.lora_checkpoint is None:
        return
    try:
        file = lora.check(options.lora_checkpoint, lora.read_linears("Qwen-Image", profile.models))
        lora.demand_numbers(file)
    except (ValueError, OSError) as error:
        raise TrainingError(f"--lora_checkpoint cannot be used. {error}") from error
    ranks = set(file.ranks.values())
    if ranks != {options.lora_rank}:
        had = ", ".join(map(str, sorted(ranks)))
        remedy = f"Give --lora_rank {had}" if len(ranks) == 1 else "Take a LoRA that has one rank everywhere"
        raise TrainingError(f"{file.path} has rank {had}, and --lora_rank is {options.lora_rank}. {remedy}.")
    targets = tuple(f".{name}" for name in options.lora_target_modules.split(","))
    beyond = sorted(name for name in file.sizes if not name.endswith(targets))
    if beyond:
        raise TrainingError(
            f"{file.path} changes {len(beyond)} layers that would not be trained, first {beyond[0]}. "
            "Name them in --lora_target_modules, too."
        )


def prepare_folder(folder: Path, options: argparse.Namespace, settings: Mapping[str, Any]) -> int:
    """Clear a run's folder, or check that its checkpoint fits, before anything is loaded.

    returns: the step to go on from, 0 for a new run

    Raises TrainingError if a run is there and nothing says what to do with it, or if it is another one.
    """
    checkpoint.clear_parts(folder)
    if options.resume:
        done = checkpoint.demand_same(folder / checkpoint.FILE, settings)
        losses.cut(folder / losses.FILE, done)
        return done
    remedy = checkpoint.suggest(folder)
    if not options.restart and "without" not in remedy:
        go_on = "Go on with it: --resume. " if "--resume" in remedy else ""
        raise TrainingError(f"There is a run in {files.shorten(folder)}. {go_on}Delete it: --restart.")
    checkpoint.clear_run(folder)
    return 0


def train(options: argparse.Namespace) -> Path:
    """Train as the options say, and return the LoRA's file.

    Raises TrainingError if data, folder, disk or memory cannot be used, Interrupted if asked to stop: the
    steps up to then are saved.
    """
    faults = flags.find_faults(options)
    if faults:
        raise TrainingError("\n  ".join(["Nothing was loaded, because of the flags:", *faults]))
    profile = profiles.use(options.profile, models=False)
    data = demand_data(options, profile)
    if options.learning_rate is None:
        options.learning_rate = flags.RATES[profile.name]
    name = Path(options.dataset_base_path).name
    output = checkpoint.home(profile) / name if options.output_path is None else Path(options.output_path)
    folder = output.expanduser().absolute()
    settings = {key: value for key, value in vars(options).items() if key not in flags.FREE}
    settings |= {"profile": profile.name, "pictures and prompts": data.content()}
    is_first_process = os.environ.get("RANK", "0") == "0"  # accelerate's launcher numbers its processes
    if is_first_process:
        checkpoint.demand_own(folder, besides=(live.LOG,))
    lock = checkpoint.lock_folder(folder) if is_first_process else contextlib.nullcontext()
    with lock, explain_training_shortage(folder):
        done = prepare_folder(folder, options, settings) if is_first_process else 0
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
    if not profile.is_real:
        profiles.register_pocket()
    from diffsynth.diffusion import launch_training_task, runner

    check_start(options, profile)
    resume = folder / checkpoint.FILE if options.resume else None
    machine = make_accelerator(options, device=profile.device, resume=resume)
    with machine.main_process_first():
        encoding_cost = dataset.encode_once(
            folder / dataset.ENCODED, data, profile=profile, sample_prompt=options.sample_prompt
        )
    items = dataset.Encoded(folder / dataset.ENCODED, repeat=options.dataset_repeat)
    total = len(items) * options.num_epochs // machine.num_processes
    machine.print(dataset.describe_saving(encoding_cost, pictures=len(items.rows), steps=total))
    pipe = loading.read_parts("Qwen-Image", ("dit", "vae"), profile=profile)
    if options.use_gradient_checkpointing is None:
        options.use_gradient_checkpointing = must_recompute(pipe, items)
    module = make_module(pipe, options)
    module.to(device=machine.device)
    machine.print(describe_training(module, options), f"Steps {done} to {total}.")
    options.output_path = str(folder)
    if machine.is_main_process:
        runner.save_training_args(options)
    with checkpoint.catch_signals() as stop, hide_bar():
        log = make_logger(
            folder,
            total=total,
            draw=lambda: draw_sample(pipe, items.words, size=profile.size, seed=options.sample_seed),
            sample_steps=options.sample_steps,
            settings=settings,
            stop=stop,
        )
        if machine.is_main_process:
            room = {"done": done, "total": total, "save_steps": options.save_steps}
            demand_room(folder, module, **room)
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
    path = folder / f"step-{log.num_steps}.safetensors"
    if machine.is_main_process and not path.is_file():
        raise TrainingError(f"{log.num_steps} steps were made, and {files.shorten(path)} is not there.")
    return path


@contextlib.contextmanager
def explain_training_shortage(folder: Path) -> Iterator[None]:
    """Turn torch's out-of-memory error into a TrainingError that says what to do."""
    try:
        yield
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's; it need not be imported yet
            raise
        raise TrainingError(
            f"The memory is not enough: {str(error).splitlines()[0]} Add --use_gradient_checkpointing, then "
            f"{checkpoint.suggest(folder)}; or train anew with a smaller --max_pixels and --restart."
        ) from error


def describe_training(module: torch.nn.Module, options: argparse.Namespace) -> str:
    """Write in one line what is about to be trained."""
    learning = sum(parameter.numel() for _, parameter in checkpoint.list_trained(module))
    dit = module.get_submodule("pipe.dit")
    frozen = sum(one.numel() for one in dit.parameters()) - learning
    layers = len(list_lora_layers(module))
    kept = "computed again" if options.use_gradient_checkpointing else "kept"
    return (
        f"LoRA of rank {options.lora_rank} on {layers} layers: {learning:,} parameters "
        f"learn, {frozen:,} of the DiT stay. Rate {options.learning_rate:g}; activations are {kept}."
    )


def main(argv: list[str]) -> int:
    """Train from the command line; return 1 if that fails, 128 + its number if a signal stops it."""
    try:
        path = train(flags.make_parser().parse_args(argv))
    except Interrupted as stopped:
        print(f"Stopped by {stopped}, everything saved. --resume goes on from here.", file=sys.stderr)
        return 128 + stopped.number
    except (TrainingError, FileNotFoundError, ValueError) as error:
        print(f"./scripts/train_lora: {error}", file=sys.stderr)
        return 1
    print(f"The LoRA is in {files.shorten(path)}.")
    return 0
