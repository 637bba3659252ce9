"""Measure what the workshop costs on this machine and print it; nothing is asserted.

    ./scripts/bench                      the profile of this machine
    ./scripts/bench --profile pocket     by name
    ./scripts/bench --predict            nothing is measured: a picture on cards that nobody here has measured

The first table is wall time in seconds, from this process only: other work on the machine makes it larger.
The second compares DiffSynth as it is with the workshop's shortcuts (frame, passes, folding, series), in
turns in this one process, the best of the turns, in processor time on a CPU and wall time on a GPU. Its floor
is the work in FLOP over the rate of a large matrix product that was measured beside it. On a CPU
its last line is the first picture of a fresh process, imports and loading with it, once each (lean).
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workshop import amounts, drawing, frame, loading, profiles, prompts

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

STEPS, GUIDANCE = 40, 4.0
ONE_PICTURE = "one picture"  # a line of the second table


@dataclass(frozen=True)
class Timing:
    """Hold one line of the table: what was timed, and how long it took."""

    what: str
    seconds: float
    note: str = ""

    def __str__(self) -> str:
        return f"{self.what:<34} {self.seconds:>9.3f} s  {self.note}".rstrip()


def measure(profile: profiles.Profile, *, repeats: int = 3) -> Iterator[Timing]:
    """Yield the timings one by one, as they are measured: imports, loading, the parts, two pictures.

    repeats: how often each part is timed for its median, after one run that is not counted
    """
    yield time_import("import workshop", "import workshop")
    yield time_import("import torch and DiffSynth", "import diffsynth.pipelines.qwen_image")
    yield time_import("  without the compiler", "from workshop import lean; lean.import_diffsynth()")

    importlib.import_module("diffsynth.pipelines.qwen_image")  # so that loading is timed alone
    started = time.perf_counter()
    with redirect_stdout(io.StringIO()):  # DiffSynth tells what it loads
        pipe = loading.load_pipeline("Qwen-Image", profile=profile)
    yield Timing("load the pipeline", time.perf_counter() - started, "files may still be in the page cache")
    for what, call, note in list_parts(pipe, profile):
        yield Timing(what, time_call(call, repeats=repeats), note)
    yield from time_pictures(pipe, profile)


def time_import(what: str, code: str) -> Timing:
    """Time an import in a fresh Python, without that Python's own start."""
    program = f"import time; started = time.perf_counter(); {code}; print(time.perf_counter() - started)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return Timing(what, float(done.stdout.split()[-1]), "in a fresh process")


def list_parts(
    pipe: QwenImagePipeline, profile: profiles.Profile
) -> Iterator[tuple[str, Callable[[], object], str]]:
    """Yield what to time of a pipeline: name, call, note."""
    import torch
    from diffsynth.pipelines.qwen_image import QwenImageUnit_PromptEmbedder

    embedder = QwenImageUnit_PromptEmbedder()
    side = profile.size
    image = torch.zeros(1, 3, side, side, dtype=pipe.torch_dtype, device=pipe.device)
    latents = torch.zeros(1, 16, side // 8, side // 8, dtype=pipe.torch_dtype, device=pipe.device)
    yield (
        "text encoder",
        lambda: embedder.process(pipe, prompts.PORTRAIT),
        f"one prompt of {len(prompts.PORTRAIT.split())} words",
    )
    yield "VAE, picture to latents", lambda: pipe.vae.encode(image), f"{side}×{side} px"
    yield "VAE, latents to picture", lambda: pipe.vae.decode(latents), f"{side}×{side} px"


def time_pictures(pipe: QwenImagePipeline, profile: profiles.Profile) -> Iterator[Timing]:
    """Time a first picture, which warms everything up, and a second one."""
    for what in ("one picture, the first", "one picture, the next"):
        started = time.perf_counter()
        pipe(
            prompts.PORTRAIT,
            seed=0,
            num_inference_steps=STEPS,
            cfg_scale=GUIDANCE,
            height=profile.size,
            width=profile.size,
            progress_bar_cmd=list,
        )
        seconds = time.perf_counter() - started
        note = f"{STEPS} steps with guidance, {1000 * seconds / STEPS:.0f} ms a step"
        yield Timing(what, seconds, note)


def time_call(call: Callable[[], object], *, repeats: int) -> float:
    """Return the median time of a call in s, after one that is not counted; waits for the GPU, if any."""
    import torch

    def once() -> float:
        started = time.perf_counter()
        with torch.no_grad():
            call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - started

    once()
    return statistics.median(once() for _ in range(repeats))


@dataclass(frozen=True)
class Comparison:
    """Hold one line of the second table, all in s."""

    what: str
    floor: float
    stock: float
    ours: float

    def __str__(self) -> str:
        times = f"{self.floor:>9.3f} {self.stock:>9.3f} {self.ours:>9.3f}"
        return f"{self.what:<34} {times} {self.ours / self.stock:>9.2f}"


HEADINGS = f"{'':<34} {'floor, s':>9} {'stock, s':>9} {'ours, s':>9} {'ratio':>9}"


def compare(pipe: QwenImagePipeline, profile: profiles.Profile, *, turns: int = 3) -> Iterator[Comparison]:
    """Yield DiffSynth as it is against the workshop's shortcuts, for the same pictures.

    turns: how often each of the two is timed, one after the other
    """
    import torch

    rate, floors = measure_rate(profile), {}
    for what, stock, ours in list_pairs(pipe, profile):
        frame.restore(pipe.vae)
        with torch.no_grad():
            floors[what] = count_flop(stock) / rate
        first: list[float] = []
        second: list[float] = []
        for _ in range(turns):
            frame.restore(pipe.vae)
            first.append(_time_once(stock))
            frame.flatten(pipe.vae)
            second.append(_time_once(ours))
        yield Comparison(what, floors[what], min(first), min(second))
    if profile.device == "cpu":  # on a GPU the time of the processor says little
        stock_first, our_first = (time_first(profile, ours) for ours in (False, True))
        yield Comparison("the first in a fresh process", floors[ONE_PICTURE], stock_first, our_first)


FIRST = """
import sys, time
from workshop import drawing, lean, loading, profiles
name, prompt, steps, guidance, ours = sys.argv[1:]
if not int(ours):
    lean.TRIED["torch"] = ""
profile = profiles.use(name)
pipe = loading.load_pipeline("Qwen-Image", profile=profile)
settings = {"seed": 0, "num_inference_steps": int(steps), "cfg_scale": float(guidance)}
if int(ours):
    drawing.draw(pipe, prompt, size=profile.size, **settings)
else:
    pipe(prompt, height=profile.size, width=profile.size, progress_bar_cmd=iter, **settings)
print(time.process_time())
"""


def time_first(profile: profiles.Profile, ours: bool) -> float:
    """Return the processor time, in s, of a fresh process up to its first picture.

    ours: with the workshop's shortcuts; otherwise imported and called as DiffSynth is
    """
    given = [profile.name, prompts.PORTRAIT, str(STEPS), str(GUIDANCE), str(int(ours))]
    done = subprocess.run([sys.executable, "-c", FIRST, *given], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def list_pairs(
    pipe: QwenImagePipeline, profile: profiles.Profile
) -> Iterator[tuple[str, Callable[[], object], Callable[[], object]]]:
    """Yield what is compared: name, DiffSynth's call, ours."""
    import torch

    side = profile.size
    image = torch.zeros(1, 3, side, side, dtype=pipe.torch_dtype, device=pipe.device)
    latents = torch.zeros(1, 16, side // 8, side // 8, dtype=pipe.torch_dtype, device=pipe.device)

    def stock(seed: int) -> object:
        settings = {"num_inference_steps": STEPS, "cfg_scale": GUIDANCE, "progress_bar_cmd": iter}
        return pipe(prompts.PORTRAIT, seed=seed, height=side, width=side, **settings)

    def ours(*seeds: int) -> object:
        return drawing.series(
            pipe,
            prompts.PORTRAIT,
            "seed",
            list(seeds),
            size=side,
            num_inference_steps=STEPS,
            cfg_scale=GUIDANCE,
        )

    yield "VAE, picture to latents", lambda: pipe.vae.encode(image), lambda: pipe.vae.encode(image)
    yield "VAE, latents to picture", lambda: pipe.vae.decode(latents), lambda: pipe.vae.decode(latents)
    yield ONE_PICTURE, lambda: stock(0), lambda: ours(0)
    yield "four pictures", lambda: [stock(seed) for seed in range(4)], lambda: ours(0, 1, 2, 3)


def measure_rate(profile: profiles.Profile) -> float:
    """Return the rate of a large matrix product on this machine in FLOP/s, the best of five."""
    import torch

    side = 8192 if profile.gpu else 1024
    a = torch.ones(side, side, dtype=profile.dtype, device=profile.device)
    a @ a
    return 2 * side**3 / min(_time_once(lambda: a @ a) for _ in range(5))


def count_flop(call: Callable[[], object]) -> int:
    """Count the work of a call in FLOP: matrix products, convolutions and attention."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counted:
        call()
    return counted.get_total_flops()


def _time_once(call: Callable[[], object]) -> float:
    """Return what a call takes in s: of the processor, or on a GPU by the clock."""
    import torch

    gpu = torch.cuda.is_available()
    clock = time.perf_counter if gpu else time.process_time
    started = clock()
    with torch.no_grad():
        call()
    if gpu:
        torch.cuda.synchronize()
    return clock() - started


def main(argv: list[str]) -> int:
    """Measure from the command line; see --help."""
    parser = argparse.ArgumentParser(
        prog="./scripts/bench", description="Print how long the parts of the workshop take on this machine."
    )
    parser.add_argument("--profile", default="auto", help="mi300x, pocket or auto (the default)")
    parser.add_argument(
        "--repeats", type=amounts.whole(least=1), default=3, help="runs a part; default %(default)s"
    )
    parser.add_argument(
        "--predict", action="store_true", help="measure nothing: predict a picture on an MI300X and others"
    )
    options = parser.parse_args(argv)
    if options.predict:
        from workshop import cards

        print(*cards.table(steps=STEPS, size=profiles.REAL_SIZE), sep="\n")
        return 0
    os.environ["TQDM_DISABLE"] = "1"  # a bar would run through the table
    try:
        profile = profiles.use(options.profile)
        import torch

        print(f"torch {torch.__version__}, {torch.get_num_threads()} CPU threads\n", flush=True)
        for timing in measure(profile, repeats=options.repeats):
            print(timing, flush=True)
        print(f"\n{HEADINGS}", flush=True)
        for comparison in compare(loading.load_pipeline("Qwen-Image", profile=profile), profile):
            print(comparison, flush=True)
    except (ValueError, RuntimeError, FileNotFoundError) as error:
        print(f"./scripts/bench: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
