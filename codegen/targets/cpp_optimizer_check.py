"""Compiled C++ optimizers at derive time, loaded with ctypes: what levels P4 and P5 check in C++.

Input: an `OptimizerDerivation`. Output: an object whose `update` takes and returns what the NumPy
module's does, without its checks of arguments, or None where there is no C++ compiler.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..optimizer.derivation import OptimizerDerivation
from ..optimizer.rule import UpdateRule
from ..templates import environment
from .cpp_check import compiler, shared_library
from .cpp_layout import wrapped
from .cpp_optimizer import Argument, header_text, kernel_arguments

Array = np.ndarray[Any, Any]


def compiled(derivation: OptimizerDerivation) -> CompiledOptimizer | None:
    """The optimizer's C++ kernel, or None without a compiler. Raises CompilerError."""
    command = compiler()
    if command is None:
        return None
    path = shared_library(command, render_check(derivation), derivation.name)
    return CompiledOptimizer(derivation.rule, ctypes.CDLL(str(path)))


def render_check(derivation: OptimizerDerivation) -> str:
    """One C++ file: the header, and functions with C linkage for float and double.

    They take the number of entries, the arrays and results in the order of the kernel's arguments,
    and the other arguments as doubles.
    """
    arguments = list(kernel_arguments(derivation.rule))
    pointers = [a.name for a in arguments if a.is_array]
    scalars = [a.name for a in arguments if not a.is_array]
    passed = [_passed(a, pointers, scalars) for a in arguments]
    call = wrapped(f"return gradwright::{derivation.name}::update<Real>(", passed, ");")
    return environment().get_template("cpp/optimizer_check.cpp.j2").render(
        header=header_text(derivation), name=derivation.name, call=call
    )


def _passed(argument: Argument, pointers: list[str], scalars: list[str]) -> str:
    if argument.is_array:
        kind = "Real" if argument.role == "result" else "const Real"
        place = pointers.index(argument.name)
        return f"Vector<{kind}>(static_cast<{kind}*>(arrays[{place}]), size)"
    value = f"scalars[{scalars.index(argument.name)}]"
    return f"static_cast<Index>({value})" if argument.role == "step" else value


@dataclass(frozen=True)
class CompiledOptimizer:
    """`update` as in the NumPy module. Arrays are contiguous; those in `out` are written to."""

    rule: UpdateRule
    library: ctypes.CDLL

    def update(self, *given: Any, out: Any = None, **hyperparameters: float) -> Any:
        rule = self.rule
        known = dict(zip((i.name for i in rule.inputs), given, strict=False)) | hyperparameters
        arrays = [np.ascontiguousarray(known[name]) for name in rule.arrays]
        buffers = out if rule.states else (out,)
        if out is None:
            buffers = tuple(np.empty_like(arrays[0]) for _ in rule.updated)
        scalars = [float(known[i.name]) for i in rule.inputs if i.name not in rule.arrays]
        pointers = [a.ctypes.data for a in (*arrays, *buffers)]
        kind = "float" if arrays[0].dtype == np.float32 else "double"
        entry = getattr(self.library, f"{rule.name}_update_{kind}")
        entry.restype = ctypes.c_bool
        done = entry(
            ctypes.c_ssize_t(arrays[0].size),
            (ctypes.c_void_p * len(pointers))(*pointers),
            (ctypes.c_double * max(len(scalars), 1))(*scalars),
        )
        if not done:
            raise FloatingPointError(f"{rule.name}: {rule.gradient} is not finite")
        return buffers if rule.states else buffers[0]
