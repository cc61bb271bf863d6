"""Targets: what a derivation is written as.

A target is a printer, a configuration and templates. The configuration is one line of `TARGETS`:
how to render a layer, how to render what depends on all layers, and how to run what was rendered,
so that the floating-point and edge levels can check it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..optimizer import OptimizerDerivation
from . import cpp, cpp_check, cpp_optimizer, cpp_optimizer_check, numpy_optimizer, numpy_target


@dataclass(frozen=True)
class Target:
    """`render` gives files by relative path; `load` gives a module-like object, or None."""

    render: Callable[[Any], dict[str, str]]
    render_package: Callable[[Iterable[Any]], dict[str, str]]
    load: Callable[[Any, dict[str, str]], Any]
    suffix: str


def _render_numpy(derivation: Any) -> dict[str, str]:
    if isinstance(derivation, OptimizerDerivation):
        return numpy_optimizer.render_numpy(derivation)
    return numpy_target.render(derivation)


def _render_cpp(derivation: Any) -> dict[str, str]:
    if isinstance(derivation, OptimizerDerivation):
        return cpp_optimizer.render_cpp(derivation)
    return cpp.render(derivation)


def _load_numpy(derivation: Any, files: dict[str, str]) -> Any:
    from ..verify.floating import load_numpy

    return load_numpy(files[f"{derivation.name}.py"], derivation.name)


def _load_cpp(derivation: Any, files: dict[str, str]) -> Any:
    del files
    if isinstance(derivation, OptimizerDerivation):
        return cpp_optimizer_check.compiled(derivation)
    return cpp_check.compiled(derivation)


TARGETS = {
    "numpy": Target(_render_numpy, numpy_target.render_package, _load_numpy, ".py"),
    "cpp": Target(_render_cpp, cpp.render_package, _load_cpp, ".hpp"),
}


def backends_of(derivation: Any, sources: dict[str, dict[str, str]]) -> dict[str, Any]:
    """What can be run here: the C++ kernels only where there is a compiler."""
    found = {name: TARGETS[name].load(derivation, files) for name, files in sources.items()}
    return {name: backend for name, backend in found.items() if backend is not None}
