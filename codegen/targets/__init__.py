"""Targets: what a derivation is written as.

A target is a printer, a configuration and templates. The configuration is one line of `TARGETS`:
how to render a layer, how to render what depends on all layers, and how to run what was rendered,
so that the floating-point and edge levels can check it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..derivation import Derivation
from . import cpp, cpp_check, numpy_target


@dataclass(frozen=True)
class Target:
    """`render` gives files by relative path; `load` gives a module-like object, or None."""

    render: Callable[[Any], dict[str, str]]
    render_package: Callable[[Iterable[Any]], dict[str, str]]
    load: Callable[[Derivation, dict[str, str]], Any]
    suffix: str


def _load_numpy(derivation: Derivation, files: dict[str, str]) -> Any:
    from ..verify.floating import load_numpy

    return load_numpy(files[f"{derivation.name}.py"], derivation.name)


def _load_cpp(derivation: Derivation, files: dict[str, str]) -> Any:
    del files
    return cpp_check.compiled(derivation)


TARGETS = {
    "numpy": Target(numpy_target.render, numpy_target.render_package, _load_numpy, ".py"),
    "cpp": Target(cpp.render, cpp.render_package, _load_cpp, ".hpp"),
}


def backends_of(derivation: Any, sources: dict[str, dict[str, str]]) -> dict[str, Any]:
    """What can be run here: the C++ kernels only where there is a compiler."""
    found = {name: TARGETS[name].load(derivation, files) for name, files in sources.items()}
    return {name: backend for name, backend in found.items() if backend is not None}
