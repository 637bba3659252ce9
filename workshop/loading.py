"""From a name to a pipeline: files are checked first, and what is in memory is shared, never read again."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop import memory, profiles
from workshop import models as catalogue

if TYPE_CHECKING:
    import torch
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

WEIGHTS = ("dit", "text_encoder", "vae")  # read by DiffSynth's model pool, in this order
Key = tuple[Path, str, str]  # folder, repository, role: what makes a part the same part

_parts: dict[Key, Any] = {}
_pipelines: dict[str, tuple[profiles.Profile, QwenImagePipeline]] = {}


@dataclass(frozen=True, repr=False)
class Freed:
    """What `free` let go, and whether it went; shows itself in one line, printed in full."""

    parts: tuple[str, ...]
    weights: int  # bytes of parameters that were let go
    before: int | None  # bytes this process held, on the GPU or else the host; None if nothing can measure it
    after: int | None
    where: str
    alive: tuple[str, ...]  # parts that something else still holds

    def __repr__(self) -> str:
        return f"<{len(self.parts)} parts freed, {memory.gib(self.weights)}>"

    def __str__(self) -> str:
        if not self.parts:
            return "Nothing was loaded, nothing was freed."
        lines = [f"Let go: {', '.join(self.parts)}; {memory.gib(self.weights)} of weights."]
        if self.before is not None and self.after is not None:
            came = f"{memory.gib(self.before - self.after)} came back"
            held = f"{memory.gib(self.before)} before, {memory.gib(self.after)} after"
            lines.append(f"{self.where.capitalize()} memory of this process: {held}; {came}.")
        gone = "All of it is gone from memory (no reference is left)."
        still = (
            f"Still in memory: {', '.join(self.alive)}. A variable holds it: delete that and collect garbage."
        )
        return "\n".join([*lines, still if self.alive else gone])


def names() -> tuple[str, ...]:
    """List the pipelines that `load_pipeline` knows."""
    return tuple(catalogue.PIPELINES)


def loaded() -> tuple[str, ...]:
    """List the pipelines in memory."""
    return tuple(_pipelines)


def load_pipeline(name: str = "Qwen-Image", *, profile: profiles.Profile | None = None) -> QwenImagePipeline:
    """Load a pipeline, or return the one in memory; pipelines share text encoder, VAE and tokenizer.

    profile: the one in force if not given.

    Raises ValueError for another name, FileNotFoundError naming every file that is missing, cut short or
    unreadable, and RuntimeError if the name is loaded under another profile.
    """
    profile = profile or profiles.current()
    sources = catalogue.pipeline_parts(name)
    if name in _pipelines:
        owner, pipe = _pipelines[name]
        if owner.models != profile.models:
            raise RuntimeError(
                f"{name} is loaded from {owner.models}, not {profile.models}. Call free() first."
            )
        return pipe
    keys = {role: (profile.models, model.repo, role) for role, (model, _) in sources.items()}
    fresh = {role: source for role, source in sources.items() if keys[role] not in _parts}
    _check_files(name, profile, fresh)
    pipe = _read(profile, fresh)
    for role, key in keys.items():
        if role in fresh:
            _parts[key] = _part(pipe, role)
        else:
            setattr(pipe, role, _parts[key])
    with_image_positions(pipe.text_encoder)
    _pipelines[name] = (profile, pipe)
    shared = [role for role in keys if role not in fresh]
    if shared:
        print(f"{name}: {', '.join(shared)} shared with what was loaded before, not read again.")
    return pipe


def free(name: str | None = None) -> Freed:
    """Empty one pipeline, or all, release the parts no other pipeline uses, and print what came back.

    The pipeline object cannot be used afterwards, even where a variable still holds it.

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


def with_image_positions(text_encoder: torch.nn.Module) -> torch.nn.Module:
    """Give a reference picture's tokens their 3-D positions (time, height, width); returns the encoder.

    DiffSynth 2.1.12 does not pass mm_token_type_ids, and transformers 5 then counts a picture's tokens like
    words, in one dimension. A hook adds it: 1 for a picture's token, 0 for text.
    Without a picture nothing changes.
    """
    if getattr(text_encoder, "has_image_positions", False):
        return text_encoder

    def add_token_types(
        module: torch.nn.Module, args: tuple, kwargs: dict[str, Any]
    ) -> tuple[tuple, dict[str, Any]]:
        ids = args[0] if args else kwargs.get("input_ids")
        if ids is not None and kwargs.get("image_grid_thw") is not None:
            kwargs.setdefault("mm_token_type_ids", (ids == module.config.image_token_id).int())
        return args, kwargs

    text_encoder.register_forward_pre_hook(add_token_types, with_kwargs=True)
    text_encoder.has_image_positions = True
    return text_encoder


def _check_files(name: str, profile: profiles.Profile, sources: dict[str, tuple]) -> None:
    lines = []
    for model, part in sources.values():
        found = catalogue.problems(model, part, profile.models, published=profile.name == "mi300x")
        lines += [f"  {problem}" for problem in found]
        lines += [f"  → {profile.remedy(model.name)}"] if found else []
    if lines:
        raise FileNotFoundError(
            "\n".join([f"{name} cannot be loaded under the {profile.name} profile:", *lines])
        )


def _read(profile: profiles.Profile, sources: dict[str, tuple]) -> QwenImagePipeline:
    if profile.name == "pocket":
        profiles.register_pocket()
    from diffsynth.pipelines.qwen_image import ModelConfig, QwenImagePipeline

    def config(role: str) -> ModelConfig | None:
        if role not in sources:
            return None
        model, part = sources[role]
        files = [str(path) for path in catalogue.paths(model, part, profile.models)]
        return ModelConfig(path=str(profile.models / model.repo / part.pattern) if part.needs else files)

    return QwenImagePipeline.from_pretrained(
        torch_dtype=profile.dtype,
        device=profile.device,
        model_configs=[config(role) for role in WEIGHTS if role in sources],
        tokenizer_config=config("tokenizer"),
        processor_config=config("processor"),
    )


def _part(pipe: QwenImagePipeline, role: str) -> Any:
    part = getattr(pipe, role)
    if part is None:
        raise RuntimeError(
            f"DiffSynth read the files but found no {role} in them. Run: python -m workshop preflight"
        )
    return part


def _take_out(chosen: list[str]) -> dict[str, Any]:
    """Empty these pipelines and drop the parts that no remaining one uses; returns those, by label."""
    emptied = [(name, *_pipelines.pop(name)) for name in chosen]
    kept = {
        (profile.models, model.repo, role)
        for name, (profile, _) in _pipelines.items()
        for role, (model, _) in catalogue.pipeline_parts(name).items()
    }
    going = {f"{key[2]} of {key[1]}": _parts.pop(key) for key in list(_parts) if key not in kept}
    for name, _, pipe in emptied:
        for role in catalogue.PIPELINES[name]:
            setattr(pipe, role, None)
    return going


def _bytes(part: Any) -> int:
    return sum(parameter.nbytes for parameter in part.parameters()) if hasattr(part, "parameters") else 0
