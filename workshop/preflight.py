"""Check that everything is here, and say what is missing and how to get it.

Sizes of files are in GB (10**9 bytes, as the hubs and disks count), memory in GiB (2**30).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata

from workshop import models as catalogue
from workshop import notebooks, profiles
from workshop.training import dataset
from workshop.units import GB, GIB, gb

ANEW = "make the environment anew: rm -r .venv; ./scripts/setup"
DIFFSYNTH = "2.1.12"  # the one release this workshop is tested with
PYTHONS = ((3, 10), (3, 13))
FAILS = "read the last line; ./scripts/run 02 shows the whole of it in a report"
SLOWER = "end whatever else uses the machine (rocm-smi, top) and try again; the first run looks for kernels"
ROOM = 1 * GB  # for pictures and reports of a run


@dataclass(frozen=True)
class Check:
    """One line of the table: what was looked at, what was found, and what to do if it is not right."""

    name: str
    ok: bool
    found: str
    remedy: str = ""
    needed: bool = True


def check(profile: profiles.Profile) -> list[Check]:
    """Look at the software, the machine and every file of a profile."""
    return [*_software(), *_machine(profile), *_files(profile), check_dog(profile)]


def ready(checks: Sequence[Check]) -> bool:
    """Return whether all that is needed is here."""
    return all(one.ok for one in checks if one.needed)


def table(checks: Sequence[Check]) -> str:
    """Lay the checks out for reading: ✓ or ✗, what was found and, for every ✗, the remedy."""
    width = max(len(one.name) for one in checks)
    lines = []
    for one in checks:
        later = "" if one.needed or one.ok else " (for a notebook that is not here yet)"
        lines.append(f"{'✓' if one.ok else '✗'} {one.name:<{width}}  {one.found}{later}")
        if not one.ok:
            lines.append(f"  {'':<{width}}  → {one.remedy}")
    return "\n".join(lines)


def try_pipelines(profile: profiles.Profile) -> list[Check]:
    """Load each pipeline that a notebook here uses, and time a denoising step beside what is predicted.

    What DiffSynth prints goes to stderr, as how far it is.
    """
    from workshop import bench, loading, trial

    with contextlib.redirect_stdout(sys.stderr):
        profiles.use(profile.name)
        rate = bench.measure_rate(profile)
        names = trial.choose(notebooks.find())
        checks = []
        for number, name in enumerate(names, 1):
            print(f"Trying {name}, {number} of {len(names)} …", flush=True)
            checks.append(try_pipeline(name, profile, rate=rate))
        loading.free()
    return checks


def try_pipeline(name: str, profile: profiles.Profile, *, rate: float) -> Check:
    """Load a pipeline and time its denoising step; `rate` as in `trial.run`."""
    from workshop import trial

    what = f"{name} runs"
    try:
        tried = trial.run(name, profile, rate=rate)
    except Exception as error:  # whatever breaks here would break on stage
        return Check(what, False, f"{type(error).__name__}: {error}", FAILS)
    return Check(what, not tried.slow, str(tried), SLOWER)


def needed(model: catalogue.Model) -> bool:
    """Return whether a notebook that is in this repository uses the model."""
    here = {path.name[:2] for path in notebooks.find()}
    return bool((here or {"02"}) & set(model.notebooks))


def main(argv: list[str]) -> int:
    """Print the table, or JSON; return 1 if anything needed is missing, 2 for a wrong word or variable."""
    parser = argparse.ArgumentParser(prog="./scripts/preflight", description="Is everything here?")
    parser.add_argument("--profile", default="auto", choices=("auto", *profiles.NAMES))
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--full", action="store_true", help="load each pipeline, too, and time a denoising step: minutes"
    )
    args = parser.parse_args(argv)
    try:
        profile = profiles.choose(args.profile)
    except ValueError as error:
        print(f"./scripts/preflight: {error}", file=sys.stderr)
        return 2
    checks = check(profile)
    if args.full and ready(checks):
        checks += try_pipelines(profile)
    fine = ready(checks)
    if args.json:
        facts = {"profile": profile.name, "reason": profile.reason, "ready": fine}
        print(json.dumps(facts | {"checks": [asdict(one) for one in checks]}, indent=2, ensure_ascii=False))
    else:
        absent = sum(not one.ok and one.needed for one in checks)
        print(profile, table(checks), "", sep="\n")
        print("You are ready." if fine else f"Not ready: {absent} of {len(checks)} checks need you, see →.")
    return 0 if fine else 1


def _software() -> list[Check]:
    first, last = (".".join(map(str, version)) for version in PYTHONS)
    return [
        Check(
            "Python",
            PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1],
            ".".join(map(str, sys.version_info[:3])),
            f"use Python {first} to {last}",
        ),
        _torch(),
        _package("diffsynth", DIFFSYNTH),
        _package("transformers", ""),
    ]


def _torch() -> Check:
    try:
        import torch
    except (ImportError, OSError) as error:
        return Check("torch", False, f"cannot be imported ({error})", ANEW)
    build = f"ROCm {torch.version.hip}" if torch.version.hip else f"CUDA {torch.version.cuda}"
    return Check(
        "torch",
        True,
        f"{torch.__version__} ({build if torch.version.hip or torch.version.cuda else 'CPU'} build)",
    )


def _package(name: str, version: str) -> Check:
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, False, "not installed", ANEW)
    if version and found != version:
        return Check(name, False, f"{found}, but the workshop is tested with {version}", ANEW)
    return Check(name, True, found)


def _machine(profile: profiles.Profile) -> list[Check]:
    if not profile.is_real:
        found = f"{profile.gpu.name}, {profile.gpu.stack}" if profile.gpu else "none needed, the CPU will do"
        return [Check("GPU", True, found), check_disk(profile, 0)]
    models = [model for model in catalogue.MODELS.values() if needed(model)]
    absent = sum(_absent_bytes(model, profile) for model in models)
    if profile.gpu is None:
        remedy = (
            "install the driver and the ROCm build of torch (requirements-rocm.txt), or take --profile pocket"
        )
        return [Check("GPU", False, profiles.find_gpu()[1], remedy), check_disk(profile, absent)]
    gpu = Check("GPU", True, f"{profile.gpu.name}, {profile.gpu.stack}")
    return [gpu, _gpu_memory(profile.gpu, {model.name for model in models}), check_disk(profile, absent)]


def _gpu_memory(gpu: profiles.Gpu, models: set[str]) -> Check:
    pipelines = [name for name in catalogue.PIPELINES if name in models]
    need = catalogue.pipeline_bytes(pipelines) + catalogue.WORKING_BYTES
    text = f"{gpu.bytes / GIB:.0f} GiB, needed about {need / GIB:.0f} GiB for {', '.join(pipelines)} together"
    remedy = "load one pipeline at a time and free() it, use a larger card, or take --profile pocket"
    return Check("GPU memory", gpu.bytes >= need, text, remedy)


def check_disk(profile: profiles.Profile, absent: int) -> Check:
    """Check that the disk of a profile's weights takes `absent` bytes more, and pictures and reports."""
    where = next(path for path in (profile.models, *profile.models.parents) if path.exists())
    free, need = shutil.disk_usage(where).free, absent + ROOM
    text = f"{free / GB:.1f} GB free, {need / GB:.1f} GB needed at {where}"
    return Check("disk", free >= need, text, "make room there, or set WORKSHOP_MODELS to a larger disk")


def _files(profile: profiles.Profile) -> list[Check]:
    checks = []
    for model in catalogue.MODELS.values():
        if not profile.is_real and not needed(model):
            continue
        for part in model.files:
            checks.append(_file(model, part, profile))
    return checks


def _file(model: catalogue.Model, part: catalogue.Part, profile: profiles.Profile) -> Check:
    found = profile.find_problems(model, part)
    name = f"{model.name} {part.pattern.split('/')[0]}"
    if found:
        size = f" ({part.size} in all)" if profile.is_real else ""
        where = profile.models / model.repo
        text = "; ".join(f"{one.path.relative_to(where).as_posix()} {one.what}" for one in found) + size
        return Check(name, False, text, profile.remedy(model.name), needed(model))
    paths = catalogue.find_files(model, part, profile.models)
    count = sum(path.stat().st_size for path in paths)
    amount = f"{len(paths)} file{'s' if len(paths) > 1 else ''}, {gb(count)}"
    return Check(name, True, amount, needed=needed(model))


def check_dog(profile: profiles.Profile) -> Check:
    """Check the five pictures of a dog, and their prompts, that notebook 07 trains on."""
    folder = dataset.find_folder(dataset.DOG, profile)
    data = dataset.DataSet(folder, folder / "metadata.csv")
    found = dataset.find_problems(data)
    remedy = f"./scripts/download {dataset.DOG}" if profile.is_real else "git checkout -- data/dog"
    text = "; ".join(found) or f"{len(data.rows())} pictures with prompts"
    return Check("dog pictures", not found, text, remedy, needs_dog())


def needs_dog() -> bool:
    """Return whether a notebook that is in this repository trains on the dog's pictures."""
    return any(path.name.startswith("07_") for path in notebooks.find())


def _absent_bytes(model: catalogue.Model, profile: profiles.Profile) -> int:
    return sum(missing_bytes(model, part, profile) for part in model.files)


def missing_bytes(model: catalogue.Model, part: catalogue.Part, profile: profiles.Profile) -> int:
    """Count the bytes of a part that must still be fetched, those of broken files included."""
    found = profile.find_problems(model, part)
    bad = {problem.path for problem in found}
    whole = [path for path in catalogue.find_files(model, part, profile.models) if path not in bad]
    return max(0, part.bytes - sum(path.stat().st_size for path in whole)) if found else 0
