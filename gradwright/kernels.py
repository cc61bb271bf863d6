"""The generated kernels by name: which there are, what they take, and the nearest to a wrong name.

Every target has the same modules with the same faces; the NumPy ones are read here. So a layer that
is added to `derivations/` is known to networks as soon as it is derived.
"""

from __future__ import annotations

import difflib
import inspect
import math
import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

# Initial values of the parameters an activation learns: prelu one a feature, srelu single numbers.
LEARNED: dict[str, dict[str, float]] = {
    "prelu": {"alpha": 0.25},
    "srelu": {"al": 0.1, "tl": 0.0, "ar": 1.0, "tr": 1.0},
}
LEARNED_NUMBERS = ("srelu",)
_IDENTITY = ("identity", "linear")


@dataclass(frozen=True)
class Face:
    """What a kernel takes, besides the arrays that are handed on."""

    name: str
    kind: str  # "activation", "loss", "optimizer" or "layer"
    arrays: tuple[str, ...]
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)  # with their defaults
    options: tuple[str, ...] = ()  # keyword-only arguments
    counts_steps: bool = False  # an optimizer whose rule depends on the number of the step
    saves: tuple[str, ...] = ()  # what the backward pass takes besides the upstream gradient


def learned_shapes(activation: str, outputs: int) -> dict[str, tuple[int, ...]]:
    """The shapes of the parameters that an activation of so many features learns."""
    shape = (1,) if activation in LEARNED_NUMBERS else (outputs,)
    return dict.fromkeys(LEARNED.get(activation, {}), shape)


def whole(value: Any) -> bool:
    """Whether a value is a whole number."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def check_number(name: str, value: Any, low: float, high: float = math.inf) -> None:
    """Refuse what is no finite number from low to high."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} is {type(value).__name__}, expected a number")
    if not low <= value <= high or math.isinf(value):
        span = f"in [{low}, {high}]" if high < math.inf else f">= {low}"
        raise ValueError(f"expected {name} {span}, got {value}")


def module(target: str, name: str) -> ModuleType:
    """The generated module of a kernel: `module("cpp", "relu")`."""
    return import_module(f"gradwright.generated.{target}.{name}")


@cache
def names() -> tuple[str, ...]:
    """All generated kernels."""
    package = import_module("gradwright.generated.numpy")
    return tuple(sorted(found.name for found in pkgutil.iter_modules(package.__path__)))


@cache
def face(name: str) -> Face:
    """The face of the kernel of this name, which must be one of `names()`."""
    kernel = module("numpy", name)
    function = kernel.update if hasattr(kernel, "update") else kernel.forward
    arrays, scalars, options = [], {}, []
    for item in inspect.signature(function).parameters.values():
        if item.kind is item.KEYWORD_ONLY:
            options.append(item.name)
        elif item.annotation in ("Array", "np.ndarray"):
            arrays.append(item.name)
        elif item.name != "t" and item.name not in LEARNED.get(name, {}):
            scalars[item.name] = item.default
    counts = "t" in inspect.signature(function).parameters
    kind = _kind(name, kernel, arrays)
    saves: tuple[str, ...] = ()
    if kind != "optimizer":
        _, *saved = inspect.signature(kernel.backward).parameters.values()
        saves = tuple(item.name for item in saved if item.kind is not item.KEYWORD_ONLY)
    return Face(name, kind, tuple(arrays), scalars, tuple(options), counts, saves)


def _kind(name: str, kernel: ModuleType, arrays: list[str]) -> str:
    if hasattr(kernel, "update"):
        return "optimizer"
    if arrays[1:] == ["T"]:
        return "loss"
    if arrays in (["X"], ["Z"]) or name in LEARNED:
        return "activation"
    return "layer"


def known(kind: str) -> list[str]:
    """The names of all kernels of a kind, as networks use it."""
    found = [name for name in names() if face(name).kind == kind]
    return sorted([*found, "identity"]) if kind == "activation" else found


def activation(name: str) -> Face:
    """The face of an activation; "identity" and "linear" stand for none."""
    if name in _IDENTITY:
        return Face("identity", "activation", ("X",))
    return _of_kind(name, "activation")


def loss(name: str) -> Face:
    """The face of a loss."""
    return _of_kind(name, "loss")


def optimizer(name: str) -> Face:
    """The face of an optimizer."""
    return _of_kind(name, "optimizer")


def _of_kind(name: str, kind: str) -> Face:
    if name in names() and face(name).kind == kind:
        return face(name)
    raise ValueError(unknown(kind, name, known(kind)))


def unknown(kind: str, name: object, candidates: Iterable[str]) -> str:
    """The message for a name that is not known, with the nearest one that is."""
    candidates = sorted(candidates)
    nearest = difflib.get_close_matches(str(name).lower(), candidates, n=1, cutoff=0.5)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return f"unknown {kind} {name!r}{hint} Known: {', '.join(candidates)}".replace("' K", "'. K")


def check_hyperparameters(face: Face, given: Mapping[str, Any], taken: Iterable[str] = ()) -> None:
    """Refuse hyperparameters that the kernel does not take, that are no numbers or out of its domain."""
    allowed = [name for name in face.hyperparameters if name not in set(taken)]
    for name, value in given.items():
        if name not in allowed:
            what = f"hyperparameter of {face.name}"
            if not allowed:
                raise ValueError(f"{face.name} has no hyperparameters, got {name}={value!r}")
            raise ValueError(unknown(what, name, allowed))
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{face.name}: {name} is {type(value).__name__}, expected a number")
    if given and face.name not in LEARNED:
        _try(face, given)


def _try(face: Face, given: Mapping[str, Any]) -> None:
    """Run the kernel on one number: what its hyperparameters may be, it knows itself."""
    kernel, one = module("numpy", face.name), np.ones((1, 1))
    if face.kind == "optimizer":
        states = kernel.initial_state(one) if len(face.arrays) > 2 else ()
        step = {"t": 1} if face.counts_steps else {}
        kernel.update(one, one, *states, **step, **given)
    else:
        kernel.forward(*(one for _ in face.arrays), **given)
