"""Import DiffSynth without what no drawing uses: torch's compiler, sympy, pandas, scipy's optimisers.

DiffSynth and transformers import them for flex attention, sharded weights, tables of training data and losses
of detectors. `import_diffsynth` puts stand-ins in their place while DiffSynth is imported, and takes them
away again. Whoever imports one of these modules later, or reads it as an attribute of its package, as PEFT
does in a training, gets the real one; and whoever calls what DiffSynth or transformers took from a stand-in
gets the real function, which is imported at that call.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from types import MethodType, ModuleType
from typing import Any, Union

TRIED = {"torch": "2.15.0", "transformers": "5.23.0"}
"""The releases with which the stand-ins were tried; with others DiffSynth is imported as ever."""

DEFERRED = (
    "torch._dynamo",
    "torch.nn.attention.flex_attention",
    "torch.distributed.tensor",
    "torch.distributed.fsdp",
    "torch.distributed._composable",
    "pandas",
    "scipy.optimize",
)
"""What gets a stand-in, submodules and all. sympy comes with the first five only."""

CONSTANTS = {("torch.nn.attention.flex_attention", "_DEFAULT_SPARSE_BLOCK_SIZE"): 128}
"""What transformers reads in them that is neither function nor class."""


def import_diffsynth() -> None:
    """Import DiffSynth's pipeline of Qwen-Image, with stand-ins where they were tried."""
    if "diffsynth" in sys.modules or not _is_tried():
        importlib.import_module("diffsynth.pipelines.qwen_image")
        return
    import torch

    real_compile = torch.compile
    with _stand_in([name for name in DEFERRED if name not in sys.modules]):
        torch.compile = Later("torch", lambda: real_compile)  # DiffSynth compiles flex attention at once
        try:
            importlib.import_module("diffsynth.pipelines.qwen_image")
        finally:
            torch.compile = real_compile


class Later:
    """A function or class of a module that is imported when it is first used.

    While the stand-ins are there a call is put off, too, so that it can stand where a decorator does.
    """

    put_off = False

    def __init__(self, module: str, find: Callable[[], Any]) -> None:
        self._module, self._find = module, find

    @cached_property
    def real(self) -> Any:
        """Return what this stands for; imports it."""
        return self._find()

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """Return what the real one returns."""
        if Later.put_off:
            return Later(self._module, lambda: self.real(*map(_resolve, args), **settings))
        return self.real(*args, **settings)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the real one; asking for a special one imports nothing."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.real, name)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Bind to an instance, as a function does."""
        return self if instance is None else MethodType(self, instance)

    def __instancecheck__(self, instance: object) -> bool:
        """Return whether something is an instance; of a class that nobody imported nothing is."""
        return self._module in sys.modules and not Later.put_off and isinstance(instance, self.real)

    def __or__(self, other: object) -> Any:
        """Return a union of types, for annotations."""
        return Union[self, other]  # noqa: UP007  Later | type ends here

    def __ror__(self, other: object) -> Any:
        """Return a union of types, for annotations."""
        return Union[other, self]  # noqa: UP007  type | Later ends here


class _StandIn(ModuleType):
    """A module in which everything is there later."""

    def __getattr__(self, name: str) -> Any:
        module = self.__name__
        if (module, name) in CONSTANTS:
            return CONSTANTS[module, name]
        if name.startswith("__"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        return Later(module, lambda: getattr(importlib.import_module(module), name))


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Find stand-ins for modules, and for all modules in them."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if any(f"{fullname}.".startswith(f"{name}.") for name in self.names):
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


@contextmanager
def _stand_in(names: Sequence[str]) -> Iterator[None]:
    """Let stand-ins be imported in place of modules that nobody has imported, until the block ends."""
    finder = _Finder(names)
    sys.meta_path.insert(0, finder)
    Later.put_off = True
    try:
        yield
    finally:
        Later.put_off = False
        sys.meta_path.remove(finder)
        for name, module in list(sys.modules.items()):
            if isinstance(module, _StandIn):
                del sys.modules[name]
                parent, _, child = name.rpartition(".")
                vars(sys.modules.get(parent, module)).pop(child, None)
        for parent in {name.rpartition(".")[0] for name in names} & set(sys.modules):
            _offer(sys.modules[parent], names)


def _offer(parent: ModuleType, names: Sequence[str]) -> None:
    """Let a package import those of the modules that are in it when somebody reads them as its attributes."""

    def read(child: str) -> ModuleType:
        name = f"{parent.__name__}.{child}"
        if name in names:
            return importlib.import_module(name)
        raise AttributeError(f"module {parent.__name__!r} has no attribute {child!r}")

    vars(parent).setdefault("__getattr__", read)  # torch itself has one


def _resolve(value: object) -> object:
    return value.real if isinstance(value, Later) else value


def _is_tried() -> bool:
    """Return whether these are the releases with which the stand-ins were tried."""
    return all(importlib.metadata.version(name) == version for name, version in TRIED.items())
