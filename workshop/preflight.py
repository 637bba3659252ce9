"""Check that everything is here, say what is missing and how to get it, and fetch the real weights.

Sizes of files are in GB (10**9 bytes, as the hubs and disks count), memory in GiB (2**30).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from workshop import files, notebooks, profiles
from workshop import models as catalogue
from workshop.training import dataset
from workshop.units import GB, GIB, gb

DIFFSYNTH = "2.1.12"  # the one release this workshop is tested with
PYTHONS = ((3, 10), (3, 13))
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
    return [*_software(), *_machine(profile), *_files(profile), _dog(profile)]


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


def needed(model: catalogue.Model) -> bool:
    """Return whether a notebook that is in this repository uses the model."""
    here = {path.name[:2] for path in notebooks.find()}
    return bool((here or {"02"}) & set(model.notebooks))


def main(argv: list[str]) -> int:
    """Print the table, or JSON, and return 1 if anything needed is missing."""
    parser = argparse.ArgumentParser(prog="python -m workshop preflight", description="Is everything here?")
    parser.add_argument("--profile", default="auto", choices=("auto", *profiles.NAMES))
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    args = parser.parse_args(argv)
    profile = profiles.choose(args.profile)
    checks = check(profile)
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
    remedy = "make the environment again: ./scripts/run; on ROCm: pip install -r requirements-rocm.txt"
    try:
        import torch
    except (ImportError, OSError) as error:
        return Check("torch", False, f"cannot be imported ({error})", remedy)
    build = f"ROCm {torch.version.hip}" if torch.version.hip else f"CUDA {torch.version.cuda}"
    return Check(
        "torch",
        True,
        f"{torch.__version__} ({build if torch.version.hip or torch.version.cuda else 'CPU'} build)",
    )


def _package(name: str, version: str) -> Check:
    remedy = f"pip install {name}{f'=={version}' if version else ''}"
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, False, "not installed", remedy)
    if version and found != version:
        return Check(name, False, f"{found}, but the workshop is tested with {version}", remedy)
    return Check(name, True, found)


def _machine(profile: profiles.Profile) -> list[Check]:
    if not profile.is_real:
        found = f"{profile.gpu.name}, {profile.gpu.stack}" if profile.gpu else "none needed, the CPU will do"
        return [Check("GPU", True, found), _disk(profile, 0)]
    models = [model for model in catalogue.MODELS.values() if needed(model)]
    absent = sum(_absent_bytes(model, profile) for model in models)
    if profile.gpu is None:
        remedy = (
            "install the driver and the ROCm build of torch (requirements-rocm.txt), or take --profile pocket"
        )
        return [Check("GPU", False, profiles.find_gpu()[1], remedy), _disk(profile, absent)]
    gpu = Check("GPU", True, f"{profile.gpu.name}, {profile.gpu.stack}")
    return [gpu, _gpu_memory(profile.gpu, {model.name for model in models}), _disk(profile, absent)]


def _gpu_memory(gpu: profiles.Gpu, models: set[str]) -> Check:
    pipelines = [name for name in catalogue.PIPELINES if name in models]
    need = catalogue.pipeline_bytes(pipelines) + catalogue.WORKING_BYTES
    text = f"{gpu.bytes / GIB:.0f} GiB, needed about {need / GIB:.0f} GiB for {', '.join(pipelines)} together"
    remedy = "load one pipeline at a time and free() it, use a larger card, or take --profile pocket"
    return Check("GPU memory", gpu.bytes >= need, text, remedy)


def _disk(profile: profiles.Profile, absent: int) -> Check:
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
    found = _problems(model, part, profile)
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


def _dog(profile: profiles.Profile) -> Check:
    folder = dataset.folder(dataset.DOG, profile)
    data = dataset.DataSet(folder, folder / "metadata.csv")
    found = dataset.problems(data)
    remedy = f"python -m workshop download {dataset.DOG}" if profile.is_real else "git checkout -- data/dog"
    text = "; ".join(found) or f"{len(data.rows())} pictures with prompts"
    return Check("dog pictures", not found, text, remedy, _trains())


def _trains() -> bool:
    return any(path.name.startswith("07_") for path in notebooks.find())


def _problems(
    model: catalogue.Model, part: catalogue.Part, profile: profiles.Profile
) -> list[catalogue.Problem]:
    return catalogue.find_problems(model, part, profile.models, published=profile.is_real)


def _absent_bytes(model: catalogue.Model, profile: profiles.Profile) -> int:
    return sum(_to_fetch(model, part, profile) for part in model.files)


def _to_fetch(model: catalogue.Model, part: catalogue.Part, profile: profiles.Profile) -> int:
    found = _problems(model, part, profile)
    bad = {problem.path for problem in found}
    whole = [path for path in catalogue.find_files(model, part, profile.models) if path not in bad]
    return max(0, part.bytes - sum(path.stat().st_size for path in whole)) if found else 0


Fetch = Callable[[str, Path, list[str]], None]  # repository, its folder, file patterns below it


class DownloadError(RuntimeError):
    """What could not be fetched, and what to do."""


def _from_modelscope(repo: str, target: Path, patterns: list[str]) -> None:
    from modelscope import snapshot_download

    snapshot_download(repo, local_dir=str(target), allow_patterns=patterns)


def _from_huggingface(repo: str, target: Path, patterns: list[str]) -> None:
    from huggingface_hub import snapshot_download

    snapshot_download(repo, local_dir=str(target), allow_patterns=patterns)


def _fetch_dog(profile: profiles.Profile) -> None:
    folder = dataset.folder(dataset.DOG, profile)
    print(f"{dataset.DOG_REPO}: a few pictures, from modelscope to {files.shorten(folder)}")
    _make(folder)
    try:
        _dog_from_modelscope(dataset.DOG_REPO, folder)
    except Exception as error:  # the hub's client raises nearly anything
        first_line = (str(error).splitlines() or ["no message"])[0]
        raise DownloadError(
            f"{dataset.DOG_REPO} could not be fetched ({type(error).__name__}: {first_line}). Without a "
            f"network, copy it from a machine that has it to {folder}: pictures, and metadata.csv."
        ) from error
    here = _dog(profile)
    if not here.ok:
        raise DownloadError(f"{dataset.DOG_REPO} is still not right after the download: {here.found}.")


def _dog_from_modelscope(repo: str, target: Path) -> None:
    from modelscope import dataset_snapshot_download

    dataset_snapshot_download(repo, local_dir=str(target))


SOURCES: dict[str, Fetch] = {"modelscope": _from_modelscope, "huggingface": _from_huggingface}


def download(names: Sequence[str] = (), *, profile: profiles.Profile, source: str = "modelscope") -> None:
    """Fetch what is missing or broken of these models, or of all that the notebooks here need.

    `dog` among the names means the pictures that 07 trains on; only ModelScope has them.

    The hub's client shows the progress; an interrupted download goes on where it stopped when called again.

    Raises ValueError for a name that is not in the catalogue, DownloadError if the disk is too small, the hub
    cannot be reached or a file is still not right afterwards. Files that were whole stay as they are.
    """
    known = (*catalogue.MODELS, dataset.DOG)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"There is no model named {unknown[0]!r}. These are: {', '.join(known)}.")
    models = [m for m in catalogue.MODELS.values() if (m.name in names if names else needed(m))]
    wanted = [
        (model, part, found)
        for model in models
        for part in model.files
        if (found := _problems(model, part, profile))
    ]
    total = sum(_to_fetch(model, part, profile) for model, part, _ in wanted)
    room = _disk(profile, total)
    if wanted and not room.ok:
        raise DownloadError(f"The disk is too small: {room.found}. To do: {room.remedy}.")
    where = files.shorten(profile.models)
    for number, (model, part, found) in enumerate(wanted, 1):
        size = gb(_to_fetch(model, part, profile))
        print(f"{number}/{len(wanted)} {model.repo} {part.pattern}: about {size} from {source} to {where}")
        _fetch(model, part, found, profile=profile, source=source)
    dog = (dataset.DOG in names or (not names and _trains())) and not _dog(profile).ok
    if dog:
        _fetch_dog(profile)
    news = (
        f"All of it is here now, in {where}."
        if wanted or dog
        else f"Everything is there already, in {where}."
    )
    print(news)


def download_main(argv: list[str]) -> int:
    """Download from the command line; returns 1 with the reason if it did not work."""
    parser = argparse.ArgumentParser(
        prog="python -m workshop download", description="Fetch the real weights."
    )
    names = ", ".join([*catalogue.MODELS, f"{dataset.DOG} (the pictures that 07 trains on)"])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of: {names}; all if left out")
    parser.add_argument("--profile", default="auto", choices=("auto", *profiles.NAMES))
    default = os.environ.get("DIFFSYNTH_DOWNLOAD_SOURCE", "modelscope").lower()
    parser.add_argument("--source", default=default, choices=tuple(SOURCES))
    args = parser.parse_args(argv)
    profile = profiles.choose(args.profile)
    if args.profile == "auto" and profile.gpu is not None:
        profile = profiles.choose("mi300x")  # its weights are what is missing
    if not profile.is_real:
        print(
            f"{profile}\nThe pocket weights and data/dog are in the repository, there is nothing to download."
        )
        print("The real weights all the same: python -m workshop download --profile mi300x")
        return 0
    try:
        download(args.names, profile=profile, source=args.source)
    except (DownloadError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _fetch(
    model: catalogue.Model,
    part: catalogue.Part,
    found: Sequence[catalogue.Problem],
    *,
    profile: profiles.Profile,
    source: str,
) -> None:
    target = profile.models / model.repo
    _make(target)
    aside = _set_aside(found)
    try:
        SOURCES[source](model.repo, target, _patterns(part, found, target))
        left = _problems(model, part, profile)
        if left:
            raise DownloadError(f"{model.name} is still not right after the download: {left[0]}.")
    except BaseException as error:
        _put_back(aside)
        if not isinstance(error, Exception) or isinstance(error, DownloadError):
            raise
        first_line = (str(error).splitlines() or ["no message"])[0]
        other = next(name for name in SOURCES if name != source)
        raise DownloadError(
            f"{model.name} could not be fetched from {source} ({type(error).__name__}: {first_line}). "
            f"What has arrived is kept, the same command goes on there. The other hub is --source {other}. "
            f"Without a network, copy {model.repo} from a machine that has it to {target}."
        ) from error
    for copy in aside.values():
        copy.unlink()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DownloadError(
            f"{folder} cannot be written ({error}). Models are read from there as they are; to fetch more, "
            "set WORKSHOP_MODELS to a folder of your own, or ask who owns this one."
        ) from error


def _patterns(part: catalogue.Part, found: Sequence[catalogue.Problem], target: Path) -> list[str]:
    if part.needs:
        return [part.pattern + "*"]
    return [problem.path.relative_to(target).as_posix() for problem in found]


def _set_aside(found: Sequence[catalogue.Problem]) -> dict[Path, Path]:
    # A hub's client may take a file of that name for the whole one; renamed, a broken file can be put back.
    broken = [problem.path for problem in found if problem.path.is_file()]
    return {path: path.replace(path.with_name(path.name + ".broken")) for path in broken}


def _put_back(aside: dict[Path, Path]) -> None:
    for path, copy in aside.items():
        if not path.exists():
            copy.replace(path)
        else:
            copy.unlink()
