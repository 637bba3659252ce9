"""Fetch the real weights, and the pictures of a dog, from a hub: only what is missing or broken.

Sizes are in GB (10**9 bytes, as the hubs and disks count).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from workshop import files, lists, preflight, profiles
from workshop import models as catalogue
from workshop.training import dataset
from workshop.units import gb

Fetch = Callable[[str, Path, list[str]], None]  # repository, its folder, file patterns below it


class DownloadError(RuntimeError):
    """Raised for what could not be fetched; says what to do."""


def _from_modelscope(repo: str, target: Path, patterns: list[str]) -> None:
    from modelscope import snapshot_download

    snapshot_download(repo, local_dir=str(target), allow_patterns=patterns)


def _from_huggingface(repo: str, target: Path, patterns: list[str]) -> None:
    from huggingface_hub import snapshot_download

    snapshot_download(repo, local_dir=str(target), allow_patterns=patterns)


def _fetch_dog(profile: profiles.Profile) -> None:
    folder = dataset.find_folder(dataset.DOG, profile)
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
    here = preflight.check_dog(profile)
    if not here.ok:
        raise DownloadError(f"{dataset.DOG_REPO} is still not right after the download: {here.found}.")


def _dog_from_modelscope(repo: str, target: Path) -> None:
    from modelscope import dataset_snapshot_download

    dataset_snapshot_download(repo, local_dir=str(target))


SOURCES: dict[str, Fetch] = {"modelscope": _from_modelscope, "huggingface": _from_huggingface}


def check_names(names: Sequence[str]) -> None:
    """Raise ValueError, with the right names, for a name that is not in the catalogue."""
    lists.demand("names", names)
    known = (*catalogue.MODELS, *catalogue.OPTIONS, dataset.DOG)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"There is no model named {unknown[0]!r}. These are: {', '.join(known)}.")


def fetch(names: Sequence[str] = (), *, profile: profiles.Profile, source: str = "modelscope") -> None:
    """Fetch what is missing or broken of these models, or of all that the notebooks here need.

    `dog` among the names means the pictures that 07 trains on; only ModelScope has them.

    The hub's client shows the progress; an interrupted download goes on where it stopped when called again.

    Raises ValueError for a name that is not in the catalogue, DownloadError if the disk is too small, the hub
    cannot be reached or a file is still not right afterwards. Files that were whole stay as they are.
    """
    check_names(names)
    named = [model for name, model in (catalogue.MODELS | catalogue.OPTIONS).items() if name in names]
    models = named if names else [model for model in catalogue.MODELS.values() if preflight.needed(model)]
    wanted = [
        (model, part, found)
        for model in models
        for part in model.files
        if (found := profile.find_problems(model, part))
    ]
    total = sum(preflight.missing_bytes(model, part, profile) for model, part, _ in wanted)
    room = preflight.check_disk(profile, total)
    if wanted and not room.ok:
        raise DownloadError(f"The disk is too small: {room.found}. To do: {room.remedy}.")
    where = files.shorten(profile.models)
    for number, (model, part, found) in enumerate(wanted, 1):
        size = gb(preflight.missing_bytes(model, part, profile))
        print(f"{number}/{len(wanted)} {model.repo} {part.pattern}: about {size} from {source} to {where}")
        _fetch_part(model, part, found, profile=profile, source=source)
    dog = (dataset.DOG in names or (not names and preflight.needs_dog())) and not preflight.check_dog(
        profile
    ).ok
    if dog:
        _fetch_dog(profile)
    news = (
        f"All of it is here now, in {where}."
        if wanted or dog
        else f"Everything is there already, in {where}."
    )
    print(news)


def main(argv: list[str]) -> int:
    """Download from the command line; return 1 with the reason if it did not work, 2 for a wrong word."""
    parser = argparse.ArgumentParser(prog="./scripts/download", description="Fetch the real weights.")
    said = [*catalogue.MODELS, f"{dataset.DOG} (the pictures that 07 trains on)"]
    options = ", ".join(catalogue.OPTIONS)
    named = f"any of: {', '.join(said)}; all of these if left out; or, as an option, {options}"
    parser.add_argument("names", nargs="*", metavar="NAME", help=named)
    parser.add_argument("--profile", default="auto", choices=("auto", *profiles.NAMES))
    default = os.environ.get("DIFFSYNTH_DOWNLOAD_SOURCE", "modelscope").lower()
    parser.add_argument("--source", default=default, choices=tuple(SOURCES))
    args = parser.parse_args(argv)
    if args.source not in SOURCES:
        sources = ", ".join(SOURCES)
        parser.error(
            f"DIFFSYNTH_DOWNLOAD_SOURCE is {args.source!r}. Set it to one of {sources}, or unset it."
        )
    try:
        check_names(args.names)
        profile = profiles.choose(args.profile)
        if args.profile == "auto" and profile.gpu is not None:
            profile = profiles.choose("mi300x")  # its weights are what is missing
    except ValueError as error:
        print(f"./scripts/download: {error}", file=sys.stderr)
        return 2
    if not profile.is_real:
        print(
            f"{profile}\nThe pocket weights and data/dog are in the repository, there is nothing to download."
        )
        print("The real weights all the same: ./scripts/download --profile mi300x")
        return 0
    try:
        fetch(args.names, profile=profile, source=args.source)
    except DownloadError as error:
        print(error, file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"./scripts/download: {error}", file=sys.stderr)
        return 2
    return 0


def _fetch_part(
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
        left = profile.find_problems(model, part)
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
