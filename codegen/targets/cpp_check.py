"""Compiled C++ kernels at derive time, loaded with ctypes: what level P4 checks in C++.

Input: a `Derivation`. Output: the layer as a module-like object whose functions take and return
what the NumPy module's do, or None where there is no C++ compiler. The library is built once for
each content, in the user's cache.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections import namedtuple
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .. import expression as ex
from ..derivation import Derivation
from ..errors import GradwrightError
from ..program import Program
from ..schedule import width
from ..sparse import PATTERN_ARGUMENTS, face_arguments, pattern_of
from ..templates import environment
from .cpp import header_text
from .cpp_function import Function, Parameter
from .cpp_header import Header, header

_FLAGS = ("-std=c++17", "-O1", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math", "-w")
_SECONDS = 120


class CompilerError(GradwrightError):
    """A generated header that the compiler refuses."""


def render_check(derivation: Derivation) -> str:
    """One C++ file: the header, and functions with C linkage for float and double.

    Each takes the sizes in the order of `Program.sizes`, the arrays in the order of the function's
    parameters (row-major, without gaps) and the 1 x 1 arguments as doubles.
    """
    made = header(derivation.face)
    functions = [_entry_point(derivation, f) for f in (made.forward, made.backward)]
    return environment().get_template("cpp/check.cpp.j2").render(
        header=header_text(derivation, made), name=derivation.name, functions=functions
    )


def _entry_point(derivation: Derivation, function: Function) -> dict[str, Any]:
    sizes = derivation.face.program.sizes
    used = {d for p in function.parameters for d in p.shape if d != "1" and width(p.shape)}
    lines = [f"const Index {d} = sizes[{i}];" for i, d in enumerate(sizes) if d in used]
    arrays = scalars = 0
    arguments = []
    for p in function.parameters:
        if not width(p.shape) and p.role != "result":
            arguments.append(f"static_cast<Real>(scalars[{scalars}])")
            scalars += 1
        elif p.role == "pattern":
            both = (f"static_cast<const std::int32_t*>(arrays[{arrays + i}])" for i in (0, 1))
            arguments.append(f"gradwright::Pattern{{{', '.join([*both, *p.shape])}}}")
            arrays += 2
        else:
            arguments.append(_view(p, f"arrays[{arrays}]"))
            arrays += 1
    labels = "Real, Matrix<const Real>" if function.labels else "Real"
    call = f"gradwright::{derivation.name}::{function.name}<{labels}>"
    lines.append(f"{call}({', '.join(arguments)});")
    return {"name": function.name, "lines": lines}


def _view(p: Parameter, pointer: str) -> str:
    kind = f"const {p.type}" if p.role in ("argument", "labels") else p.type
    data = f"static_cast<{kind}*>({pointer})"
    if not width(p.shape):
        return f"*{data}"
    dims = ", ".join(d for d in p.shape if d != "1")
    return f"{'Matrix' if width(p.shape) == 2 else 'Vector'}<{kind}>({data}, {dims})"


@cache
def compiler() -> str | None:
    """The C++ compiler: $CXX, else the first of c++, g++ and clang++."""
    names = [os.environ.get("CXX", ""), "c++", "g++", "clang++"]
    return next((found for name in names if name and (found := shutil.which(name))), None)


def compiled(derivation: Derivation) -> CompiledLayer | None:
    """The layer's C++ kernels, or None without a compiler. Raises CompilerError."""
    command = compiler()
    if command is None:
        return None
    library = ctypes.CDLL(str(shared_library(command, render_check(derivation), derivation.name)))
    return CompiledLayer(derivation, header(derivation.face), library)


def shared_library(command: str, source: str, name: str) -> Path:
    """The path of the compiled source, from the cache where it is known. Raises CompilerError."""
    from gradwright.headers import include_directories

    runtime = include_directories()[0]
    parts = [source, command, *_FLAGS]
    parts += [p.read_text() for p in sorted((runtime / "gradwright").glob("*.hpp"))]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    target = _cache() / f"{name}-{digest}.so"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            text, built = Path(folder) / f"{name}.cpp", Path(folder) / f"{name}.so"
            text.write_text(source)
            run = subprocess.run(
                [command, *_FLAGS, f"-I{runtime}", str(text), "-o", str(built)],
                capture_output=True, text=True, timeout=_SECONDS, check=False,
            )  # fmt: skip
            if run.returncode:
                first = next((l for l in run.stderr.splitlines() if "error" in l), run.stderr[:500])
                raise CompilerError(
                    f"{name}: the generated C++ header does not compile: "
                    f"{first.replace(folder, '').lstrip('/')}"
                )
            built.replace(target)
    return target


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "gradwright" / "kernels"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.gettempdir()) / f"gradwright-kernels-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@dataclass(frozen=True)
class CompiledLayer:
    """`forward` and `backward` as in the NumPy module, without its checks of arguments."""

    derivation: Derivation
    header: Header
    library: ctypes.CDLL

    def forward(self, *arrays: Any, reduction: str = "mean", **hyper: float) -> Any:
        """The output, or the named tuple Forward."""
        program = self.derivation.face.program
        given = _named(self._names([i.name for i in program.inputs]), arrays, hyper, program)
        return self._call(self.header.forward, given, reduction, "Forward")

    def backward(self, *arrays: Any, reduction: str = "mean", **hyper: float) -> Any:
        """The gradient, or the named tuple Gradients."""
        program = self.derivation.face.program
        names = [n for n, _ in self.derivation.face.backward.arguments if n != "scale"]
        given = _named(self._names(names), arrays, hyper, program)
        return self._call(self.header.backward, given, reduction, "Gradients")

    def _names(self, names: list[str]) -> list[str]:
        pattern = pattern_of(self.derivation.face.program)
        return face_arguments(names, None if pattern is None else pattern.name)

    def _call(self, function: Function, given: dict[str, Any], reduction: str, kind: str) -> Any:
        program = self.derivation.face.program
        arguments = function.of_role("argument", "labels")
        dtype = next(a.dtype for p in arguments if p.type == "Real" and width(p.shape)
                     for a in [np.asarray(given[p.name])] if a.dtype.kind == "f")  # fmt: skip
        sizes = _sizes(function, given)
        given = given | {"scale": _scale(program, sizes, reduction)}
        arrays = []
        for p in function.parameters:
            if p.role == "pattern":
                arrays += [np.ascontiguousarray(given[n], np.int32) for n in PATTERN_ARGUMENTS]
            elif width(p.shape) or p.role == "result":
                arrays.append(self._array(p, given, sizes, dtype))
        scalars = [float(given[p.name]) for p in arguments if not width(p.shape)]
        entry = getattr(self.library, f"{self.derivation.name}_{function.name}_"
                        f"{'float' if dtype == np.float32 else 'double'}")  # fmt: skip
        entry.restype = None
        counts = [sizes.get(d, 0) for d in program.sizes]
        entry(
            (ctypes.c_ssize_t * max(len(counts), 1))(*counts),
            (ctypes.c_void_p * max(len(arrays), 1))(*(a.ctypes.data for a in arrays)),
            (ctypes.c_double * max(len(scalars), 1))(*scalars),
        )
        places = [
            p for p in function.parameters if width(p.shape) or p.role == "result"
            for _ in range(2 if p.role == "pattern" else 1)
        ]  # fmt: skip
        results = {p.name: a if a.ndim else a[()] for p, a in zip(places, arrays, strict=True)
                   if p.role == "result"}  # fmt: skip
        if len(results) == 1:
            return next(iter(results.values()))
        return namedtuple(kind, results)(*results.values())

    def _array(self, p: Parameter, given: dict[str, Any], sizes: dict[str, int], dtype: Any) -> Any:
        kinds = {"double": np.float64, "Index": np.intp}
        wanted = np.dtype(kinds.get(p.type, dtype))
        shape = tuple(sizes[d] for d in p.shape if d != "1")
        if p.role in ("result", "scratch"):
            return np.full(shape, 7 if p.type == "Index" else np.nan, wanted)
        array = np.asarray(given[p.name])
        if array.ndim == 1 and width(p.shape) == 2:  # labels
            array = np.eye(shape[1], dtype=wanted)[array]
        return np.ascontiguousarray(array, wanted)


def _named(
    names: Sequence[str], values: Sequence[Any], others: dict[str, float], program: Program
) -> dict[str, Any]:
    defaults = {i.name: i.default for i in program.inputs if i.default is not None}
    return defaults | dict(zip(names, values, strict=False)) | others


def _sizes(function: Function, given: dict[str, Any]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for p in function.of_role("pattern"):
        sizes[p.shape[0]] = len(given["indptr"]) - 1
    for role in ("argument", "labels"):
        for p in function.of_role(role):
            dims = [d for d in p.shape if d != "1"]
            for dim, count in zip(dims, np.shape(given.get(p.name, ())), strict=False):
                sizes.setdefault(dim, count)
    return sizes


def _scale(program: Program, sizes: dict[str, int], reduction: str) -> float:
    if program.divisor is None or reduction == "sum":
        return 1.0
    return 1 / _evaluated(program.divisor, sizes)


def _evaluated(expr: ex.Expr, sizes: dict[str, int]) -> float:
    """A number made of sizes."""
    values = [_evaluated(a, sizes) for a in expr.args]
    if expr.op == "size":
        return float(sizes[str(expr.attr)])
    if expr.op == "number":
        return float(expr.attr)  # type: ignore[arg-type]
    if expr.op == "power":
        return float(values[0] ** float(expr.attr))  # type: ignore[arg-type]
    return values[0] + values[1] if expr.op == "add" else values[0] * values[1]
