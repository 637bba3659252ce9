"""From a name to a pipeline: files are checked first, and what is in memory is shared, never read again."""

from __future__ import annotations

import gc
import html
import io
import math
import re
import weakref
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop import frame, gallery, guards, lean, memory, profiles, units
from workshop import models as catalogue

if TYPE_CHECKING:
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

WEIGHTS = ("dit", "text_encoder", "vae")  # read by DiffSynth's model pool, in this order
BYTES = {"bfloat16": 2, "float32": 4}  # of a parameter
Key = tuple[Path, str, str]  # folder, repository, role: two parts with equal keys are one part

_parts: dict[Key, Any] = {}
_pipelines: dict[str, tuple[profiles.Profile, QwenImagePipeline]] = {}


@dataclass(frozen=True, repr=False)
class Freed:
    """Result of `free()`: parts released, bytes before and after, and parts that are still referenced."""

    parts: tuple[str, ...]  # as "dit of Qwen/Qwen-Image"
    weights: int  # bytes of their parameters
    before: int | None  # bytes this process held, on the GPU or else the host; None if nothing can measure it
    after: int | None
    where: str  # "GPU" or "host"
    alive: tuple[str, ...]  # those of the parts that a variable still holds

    def __repr__(self) -> str:
        return f"<{len(self.parts)} parts freed, {units.gib(self.weights)}>"

    def __str__(self) -> str:
        if not self.parts:
            return "Nothing was loaded, nothing was freed."
        lines = [f"Let go: {', '.join(self.parts)}; {units.gib(self.weights)} of weights."]
        if self.before is not None and self.after is not None:
            came = f"{units.gib(self.before - self.after)} came back"
            held = f"{units.gib(self.before)} before, {units.gib(self.after)} after"
            lines.append(f"{self.where.capitalize()} memory of this process: {held}; {came}.")
        gone = "All of it is gone from memory (no reference is left)."
        still = (
            f"Still in memory: {', '.join(self.alive)}. A variable holds it: delete that and collect garbage."
        )
        return "\n".join([*lines, still if self.alive else gone])


@dataclass(frozen=True, repr=False)
class Room:
    """Result of `room()`: the bytes a pipeline needs, the bytes that are free, and what could be freed."""

    name: str
    weights: int  # bytes that are not in memory yet
    working: int  # bytes to draw with: an estimate
    free: int | None  # bytes; None if nothing can measure it
    where: str
    resident: Mapping[str, int]  # pipeline to bytes that freeing it would bring

    @property
    def enough(self) -> bool:
        """Return whether weights and a picture fit; where nothing can measure memory, assume so."""
        return self.free is None or self.weights + self.working <= self.free

    def __repr__(self) -> str:
        return f"<{'' if self.enough else 'no '}room for {self.name}>"

    def __str__(self) -> str:
        need = f"{units.gib(self.weights)} for weights that are not there yet"
        draw = f"about {units.gib(self.working)} to draw with (an estimate)"
        free = "an unknown amount" if self.free is None else units.gib(self.free)
        lines = [f"{self.name} needs {need} and {draw}. Free in {self.where} memory: {free}."]
        missing = 0 if self.enough else self.weights + self.working - (self.free or 0)
        verdict = (
            f"No room. {_remedy(self.resident, missing)}" if missing else "There is room: keep everything."
        )
        return "\n".join([*lines, _describe_resident(self.resident), verdict])


def loaded() -> tuple[str, ...]:
    """List the pipelines in memory."""
    return tuple(_pipelines)


def load_pipeline(name: str = "Qwen-Image", *, profile: profiles.Profile | None = None) -> QwenImagePipeline:
    """Load a pipeline, or return the one in memory; pipelines share text encoder, VAE and tokenizer.

    profile: the one in force if left out

    Raises ValueError for another name, FileNotFoundError naming every file that is missing, cut short or
    unreadable, RuntimeError if the name is loaded under another profile, and MemoryError if the weights do
    not fit beside what is in memory.
    """
    profile = profile or profiles.current()
    keys = _keys(name, profile)
    if name in _pipelines:
        owner, pipe = _pipelines[name]
        if owner.models != profile.models:
            raise RuntimeError(
                f"{name} is loaded from {owner.models}, not {profile.models}. Call free() first."
            )
        return pipe
    fresh = _fresh(name, profile)
    space = room(name, profile=profile)
    if space.free is not None and space.weights > space.free:
        raise MemoryError(f"{name} does not fit into memory.\n{space}")
    with explain_shortage(f"loading {name}"):
        pipe = _read(profile, fresh)
    for role, key in keys.items():
        if role in fresh:
            _parts[key] = _part(pipe, role)
        else:
            setattr(pipe, role, _parts[key])
    guards.add_image_positions(pipe.text_encoder)
    frame.flatten(pipe.vae)
    guards.guard_references(pipe, name)
    guards.guard_prompts(pipe)
    _pipelines[name] = (profile, pipe)
    shared = [role for role in keys if role not in fresh]
    if shared:
        print(f"{name}: {', '.join(shared)} shared with what was loaded before, not read again.")
    return pipe


@contextmanager
def fold_output() -> Iterator[None]:
    """Show what DiffSynth prints while it loads as a line for each network, and all of it behind a fold.

    Outside a notebook, and where the block fails, everything is printed as it is.
    """
    if not gallery.in_notebook():
        yield
        return
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    except BaseException:
        print(printed.getvalue(), end="")
        raise
    _show_folded(printed.getvalue())


def _show_folded(text: str) -> None:
    from IPython.display import HTML, display

    for name, found in re.findall(r'"model_name": "(.*)",\s*"model_class": "(.*)"', text):
        print(f"{name}: recognised as {found}")
    summary = f"All {len(text.splitlines())} lines that DiffSynth printed"
    if text:
        display(HTML(f"<details><summary>{summary}</summary><pre>{html.escape(text)}</pre></details>"))


def read_parts(
    name: str, roles: Sequence[str], *, profile: profiles.Profile | None = None
) -> QwenImagePipeline:
    """Read only these parts of a pipeline, into a pipeline of their own; its other parts are None.

    Nothing is shared with the pipelines in memory.

    Raises FileNotFoundError naming every file of them that is missing, cut short or unreadable.
    """
    profile = profile or profiles.current()
    sources = {role: source for role, source in catalogue.pipeline_parts(name).items() if role in roles}
    _check_files(name, profile, sources)
    return _read(profile, sources)


def free(name: str | None = None) -> Freed:
    """Empty one pipeline, or all, release the parts that no other pipeline uses, and print what came back.

    An emptied pipeline cannot be used again, even where a variable still holds it.

    Raises ValueError if that pipeline is not loaded.
    """
    if name is not None and name not in _pipelines:
        raise ValueError(
            f"{name!r} is not loaded, so it cannot be freed. Loaded: {', '.join(loaded()) or 'nothing'}."
        )
    where, before = memory.held()
    going = _take_out([name] if name else list(_pipelines))
    weights = sum(_bytes(part) for part in going.values())
    watched = {label: weakref.ref(part) for label, part in going.items()}
    going.clear()
    gc.collect()
    memory.give_back()
    alive = tuple(label for label, ref in watched.items() if ref() is not None)
    freed = Freed(tuple(watched), weights, before, memory.held()[1], where, alive)
    print(freed)
    return freed


def resident(*, beside: str | None = None) -> dict[str, int]:
    """Return for each pipeline in memory how many bytes freeing it, and it alone, would bring.

    beside: a pipeline that is to be loaded; a part that it needs, too, stays in memory and does not count
    """
    owned = {name: set(_keys(name, profile).values()) for name, (profile, _) in _pipelines.items()}
    users = Counter(key for keys in owned.values() for key in keys)
    for profile, _ in _pipelines.values():
        users.update(_keys(beside, profile).values() if beside else ())
    return {name: sum(_bytes(_parts[key]) for key in keys if users[key] == 1) for name, keys in owned.items()}


def room(name: str, *, profile: profiles.Profile | None = None) -> Room:
    """Compute whether a pipeline fits beside those in memory; of the files only the headers are read.

    Raises ValueError and FileNotFoundError as `load_pipeline` does.
    """
    profile = profile or profiles.current()
    fresh = _fresh(name, profile)
    _check_files(name, profile, fresh)
    weights = sum(_size(model, part, profile) for model, part in fresh.values() if part.parameters)
    where, free = memory.available()
    return Room(name, weights, profile.working_bytes, free, where, resident(beside=name))


@contextmanager
def explain_shortage(doing: str) -> Iterator[None]:
    """Raise MemoryError where torch runs out of memory in the block; it names what to free.

    doing: what the block does, as the message says it
    """
    try:
        yield
    except RuntimeError as error:
        import torch

        if not isinstance(error, torch.OutOfMemoryError):
            raise
        where, here = memory.held()[0], resident()
        remedy = f"{_remedy(here, 1)} Or draw a smaller picture, or with fewer references."
        raise MemoryError(
            f"The {where} ran out of memory while {doing}. {_describe_resident(here)} {remedy}"
        ) from error


def _keys(name: str, profile: profiles.Profile) -> dict[str, Key]:
    parts = catalogue.pipeline_parts(name).items()
    return {role: (profile.models, model.repo, role) for role, (model, _) in parts}


def _fresh(name: str, profile: profiles.Profile) -> dict[str, tuple[catalogue.Model, catalogue.Part]]:
    """List a pipeline's parts that are not in memory, by role."""
    keys = _keys(name, profile)
    return {role: found for role, found in catalogue.pipeline_parts(name).items() if keys[role] not in _parts}


def _size(model: catalogue.Model, part: catalogue.Part, profile: profiles.Profile) -> int:
    """Count the bytes that a part takes in memory, from its files' headers."""
    files = catalogue.find_files(model, part, profile.models)
    shapes = [entry["shape"] for file in files for entry in catalogue.read_header(file).values()]
    return sum(math.prod(shape) for shape in shapes) * BYTES[profile.dtype_name]


def _describe_resident(here: Mapping[str, int]) -> str:
    if not here:
        return "No pipeline is in memory."
    each = [f"{name} (freeing it brings {units.gib(size)})" for name, size in here.items()]
    return f"In memory: {', '.join(each)}."


def _remedy(here: Mapping[str, int], missing: int) -> str:
    enough = [name for name, size in here.items() if size >= missing]
    if enough:
        return f'Free one that you are done with: loading.free("{enough[0]}").'
    if here:
        return "Free all: loading.free()."
    return "Another process holds it, or there is too little: end that process, or use the pocket profile."


def _check_files(name: str, profile: profiles.Profile, sources: dict[str, tuple]) -> None:
    lines = []
    for model, part in sources.values():
        found = profile.find_problems(model, part)
        lines += [f"  {problem}" for problem in found]
        lines += [f"  → {profile.remedy(model.name)}"] if found else []
    if lines:
        raise FileNotFoundError(
            "\n".join([f"{name} cannot be loaded under the {profile.name} profile:", *lines])
        )


def _read(profile: profiles.Profile, sources: dict[str, tuple]) -> QwenImagePipeline:
    if not profile.is_real:
        profiles.register_pocket()
    lean.import_diffsynth()
    from diffsynth.pipelines.qwen_image import ModelConfig, QwenImagePipeline
    from transformers.initialization import no_init_weights

    def config(role: str) -> ModelConfig | None:
        if role not in sources:
            return None
        model, part = sources[role]
        files = [str(path) for path in catalogue.find_files(model, part, profile.models)]
        return ModelConfig(path=str(profile.models / model.repo / part.pattern) if part.needs else files)

    _check_architectures(profile, sources)
    with fold_output(), no_init_weights():  # all weights are read; to draw some first costs torch's compiler
        return QwenImagePipeline.from_pretrained(
            torch_dtype=profile.dtype,
            device=profile.device,
            model_configs=[config(role) for role in WEIGHTS if role in sources],
            tokenizer_config=config("tokenizer"),
            processor_config=config("processor"),
        )


def _check_architectures(profile: profiles.Profile, sources: dict[str, tuple]) -> None:
    """Raise ValueError for weights that DiffSynth does not know; the pocket's are registered before."""
    from diffsynth.configs import MODEL_CONFIGS

    known = {config["model_hash"] for config in MODEL_CONFIGS}
    for model, part in (sources[role] for role in WEIGHTS if role in sources):
        files = catalogue.find_files(model, part, profile.models)
        if catalogue.key_hash(files) not in known:
            raise ValueError(
                f"{files[0]} is whole, but of an architecture that DiffSynth does not know: its keys and "
                f"shapes hash to {catalogue.key_hash(files)}. Put the {part.role} of {model.name} there: "
                f"{profile.remedy(model.name)}"
            )


def _part(pipe: QwenImagePipeline, role: str) -> Any:
    part = getattr(pipe, role)
    if part is None:
        raise RuntimeError(f"DiffSynth read the files but found no {role} in them. Run: ./scripts/preflight")
    return part


def _take_out(chosen: list[str]) -> dict[str, Any]:
    """Empty these pipelines and drop the parts that no other pipeline uses; returns the dropped, by label."""
    emptied = [(name, *_pipelines.pop(name)) for name in chosen]
    kept = {key for name, (profile, _) in _pipelines.items() for key in _keys(name, profile).values()}
    going = {f"{key[2]} of {key[1]}": _parts.pop(key) for key in list(_parts) if key not in kept}
    for name, _, pipe in emptied:
        for role in catalogue.PIPELINES[name]:
            setattr(pipe, role, None)
    return going


def _bytes(part: Any) -> int:
    return sum(parameter.nbytes for parameter in part.parameters()) if hasattr(part, "parameters") else 0
