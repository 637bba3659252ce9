"""Every DiffSynth name and keyword that notebooks and their helpers use exists in the pinned release."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

from workshop import notebooks
from workshop.files import REPO
from workshop.preflight import DIFFSYNTH

WORKSHOP = REPO / "workshop"
OWN = WORKSHOP / "pocket" / "training"  # trains a DiT of its own, which has more to it than DiffSynth's
SOURCES = [
    *notebooks.find(),
    *(
        path
        for path in sorted(WORKSHOP.rglob("*.py"))
        if OWN not in path.parents and "diffsynth" in path.read_text(encoding="utf-8")
    ),
]
UNKNOWN = object()  # what only exists once weights are loaded


def code_of(path: Path) -> str:
    if path.suffix == ".py":
        return path.read_text(encoding="utf-8")
    return "\n\n".join(cell.source for cell in notebooks.read(path).code)


class Contract(ast.NodeVisitor):
    """Follow the names that come from diffsynth through a source, and note what is not there."""

    def __init__(self, roots: dict[str, Any]) -> None:
        self.roots = dict(roots)
        self.complaints: list[str] = []
        self.calls: list[str] = []

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if (node.module or "").split(".")[0] == "diffsynth":
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    self.complaints.append(f"{node.module} has no {alias.name}")
                self.roots[alias.asname or alias.name] = getattr(module, alias.name, UNKNOWN)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.resolve(node)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        target = self.resolve(node.func)
        if target is not UNKNOWN and callable(target):
            self.calls.append(ast.unparse(node.func))
            allowed = keywords(target)
            for keyword in node.keywords:
                if keyword.arg is not None and allowed is not None and keyword.arg not in allowed:
                    self.complaints.append(f"{ast.unparse(node.func)} takes no {keyword.arg}")
        self.generic_visit(node)

    def resolve(self, node: ast.expr) -> Any:
        """Find the object that an expression names, or UNKNOWN; a missing attribute is a complaint."""
        if isinstance(node, ast.Name):
            return self.roots.get(node.id, UNKNOWN)
        if not isinstance(node, ast.Attribute):
            return UNKNOWN
        owner = self.resolve(node.value)
        if owner is UNKNOWN or owner is None or isinstance(node.ctx, ast.Store):
            return UNKNOWN
        if not hasattr(owner, node.attr):
            complaint = f"{ast.unparse(node.value)} has no {node.attr}"
            if complaint not in self.complaints:
                self.complaints.append(complaint)
            return UNKNOWN
        found = getattr(owner, node.attr)
        return UNKNOWN if found is None else found


def keywords(target: Any) -> set[str] | None:
    """List the keywords that a callable takes; None if it takes any."""
    from diffsynth.diffusion import FlowMatchScheduler

    if (
        isinstance(getattr(target, "__self__", None), FlowMatchScheduler)
        and target.__name__ == "set_timesteps"
    ):
        # it hands **kwargs on to the schedule of its template
        names = set(inspect.signature(target).parameters)
        return names | set(inspect.signature(FlowMatchScheduler.set_timesteps_qwen_image).parameters)
    is_pipeline = type(target).__name__ == "QwenImagePipeline"
    try:
        parameters = inspect.signature(type(target).__call__ if is_pipeline else target).parameters
    except (TypeError, ValueError):  # built in
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return None
    return set(parameters)


@pytest.fixture(scope="module")
def roots() -> dict[str, Any]:
    import torch
    from diffsynth.models.qwen_image_vae import QwenImageVAE
    from diffsynth.pipelines.qwen_image import QwenImagePipeline

    from workshop.pocket.model import architecture

    pipe = QwenImagePipeline(device="cpu", torch_dtype=torch.float32)
    with torch.device("meta"):
        pipe.dit = architecture.PocketDiT()
        pipe.vae = QwenImageVAE(**architecture.VAE_KWARGS)
    pipe.scheduler.set_timesteps(2, dynamic_shift_len=64)  # sigmas and timesteps exist from then on
    return {"pipe": pipe, "dit": pipe.dit, "scheduler": pipe.scheduler}


def judge(source: str, roots: dict[str, Any]) -> Contract:
    contract = Contract(roots)
    contract.visit(ast.parse(source))
    return contract


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_what_is_used_of_diffsynth_is_there(path: Path, roots: dict[str, Any]) -> None:
    assert judge(code_of(path), roots).complaints == []


def test_the_contract_sees_the_calls_of_the_inference_notebook(roots: dict[str, Any]) -> None:
    calls = judge(code_of(REPO / "notebooks" / "02_inference.ipynb"), roots).calls
    assert {"QwenImagePipeline.from_pretrained", "ModelConfig", "pipe", "scheduler.set_timesteps"} <= set(
        calls
    )


def test_the_contract_sees_through_the_helpers(roots: dict[str, Any]) -> None:
    calls = judge(code_of(REPO / "workshop" / "drawing.py"), roots).calls
    assert {"pipe", "pipe.step", "pipe.vae.decode", "pipe.cfg_guided_model_fn"} <= set(calls)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("pipe.enable_lora_magic()", "pipe has no enable_lora_magic"),
        ("pipe('a dog', steps=40)", "pipe takes no steps"),
        ("pipe.dit.blocks", "pipe.dit has no blocks"),
        ("pipe.scheduler.set_timesteps(40, shift_len=3)", "pipe.scheduler.set_timesteps takes no shift_len"),
        ("from diffsynth.pipelines.qwen_image import Tea", "diffsynth.pipelines.qwen_image has no Tea"),
        (
            "from diffsynth.pipelines.qwen_image import ModelConfig\nModelConfig(model='x')",
            "ModelConfig takes no model",
        ),
    ],
)
def test_the_contract_complains_of_what_is_not_there(
    source: str, complaint: str, roots: dict[str, Any]
) -> None:
    assert judge(source, roots).complaints == [complaint]


def test_the_contract_is_held_against_the_pinned_release() -> None:
    from importlib import metadata

    assert metadata.version("diffsynth") == DIFFSYNTH
