"""P4: emitted kernels against the exact value, in float64 and float32.

Input: a derivation and backends. Output: the largest error of the output and of every gradient,
relative to the largest entry of that result. The reference is the definition in fifty digits. Its
gradient is the derived equation in fifty digits, certified at the same point by a directional
derivative of the definition along a random direction: an entry that were wrong would show. Where
an error exceeds the bound, the equations are evaluated with random rounding errors: an error that
the equations themselves make is accepted, as no kernel of theirs could avoid it.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import mpmath
import numpy as np

from .. import expression as ex
from ..derivation import Derivation
from ..errors import KernelFailure
from ..expression import Expr
from ..program import Program
from .inputs import Sample, as_argument, draw_sample, shape_of
from .reference import Reference

FLOAT64_BOUND = 2e-14
FLOAT32_BOUND_ULP = 64.0
# Differences in high precision lose digits near a pole of the function.
_CERTIFIED = mpmath.mpf(10) ** -12
_LARGEST_WORK = 150_000
_ROUNDING_MARGIN, _ROUNDING_RUNS = 16, 3
Array = np.ndarray[Any, Any]
Results = dict[str, Array]


class Backend(Protocol):
    """The face of a generated module; `vjp` may be missing."""

    forward: Any
    backward: Any


@dataclass(frozen=True)
class Exact:
    """Output and gradients of a sample in fifty digits."""

    sample: Sample
    reduction: str
    reference: Reference
    equations: Mapping[str, Expr]
    values: Mapping[str, Array]


def load_numpy(source: str, name: str) -> ModuleType:
    """Import the source of a generated NumPy module, which imports NumPy alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.py"
        path.write_text(source, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(f"_generated_{name}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            spec.loader.exec_module(module)
        finally:
            sys.dont_write_bytecode = written
        return module


def check_floating(
    derivation: Derivation, backends: Mapping[str, Any]
) -> dict[str, dict[str, float]]:
    """Errors by backend: float64 relative, float32 in units of 2^-23.

    Raises `KernelFailure` with the result, the entry and both values where a bound is exceeded.
    """
    worst = {name: {"float64": 0.0, "float32": 0.0} for name in backends}
    for case in _cases(derivation):
        for name, backend in backends.items():
            for dtype, error in worst[name].items():
                found = _error(derivation, name, backend, case, dtype)
                worst[name][dtype] = max(error, found)
    return {
        name: {"float64": errors["float64"], "float32_ulp": errors["float32"] * 2.0**23}
        for name, errors in worst.items()
    }


def _cases(derivation: Derivation) -> Iterator[Exact]:
    program = derivation.program
    dims = program.sizes
    small = {d: 3 + i for i, d in enumerate(dims)}
    thin = {d: 2 if i == 0 else 1 for i, d in enumerate(dims)}
    yield exact_results(derivation, draw_sample(program, small, "small"), "sum")
    yield exact_results(derivation, draw_sample(program, thin, "thin"))
    if derivation.kernel.theorems:
        yield exact_results(derivation, draw_sample(program, small, "wide", spread=300.0))
    yield exact_results(derivation, draw_sample(program, _large_sizes(program), "large", defaults=True))


def _large_sizes(program: Program) -> dict[str, int]:
    """64 x 10 x 12 ..., or fewer rows where products would take too long in fifty digits."""
    for rows in (64, 24, 12, 6):
        sizes = {d: rows if i == 0 else 8 + 2 * i for i, d in enumerate(program.sizes)}
        work = 0
        for node in ex.topological(program.output):
            height, width = shape_of(node.shape, sizes)
            inner = shape_of(node.args[0].shape, sizes)[1] if node.op == "matmul" else 1
            work += height * width * inner
        if work <= _LARGEST_WORK:
            break
    return sizes


def exact_results(
    derivation: Derivation, sample: Sample, reduction: str = "mean", certified: bool = True
) -> Exact:
    """The reference at a sample; its gradients are certified against the definition."""
    program = derivation.program
    values = {**sample.values, program.upstream: sample.upstream}
    if program.divisor is not None and reduction == "sum":
        values["scale"] = np.ones((1, 1))
    reference = Reference(program, sample.sizes, values)
    equations = {program.output_name: program.output}
    equations |= {f"D{name}": gradient for name, gradient in derivation.gradients}
    found = {name: reference.value(equation) for name, equation in equations.items()}
    made = Exact(sample, reduction, reference, equations, found)
    if certified:
        _certify(program, made)
    return made


def _certify(program: Program, exact: Exact) -> None:
    sizes = exact.sample.sizes
    rng = np.random.default_rng(7)
    directions = {v.name: rng.normal(size=shape_of(v.shape, sizes)) for v in program.variables}
    wanted = exact.reference.directional_derivative(exact.sample.upstream, directions)
    with mpmath.workdps(50):
        terms = [exact.values[f"D{name}"] * d for name, d in directions.items()]
        total = mpmath.fsum(t.sum() for t in terms)
        scale = mpmath.fsum(abs(t).sum() for t in terms) + 1
    if abs(total - wanted) > _CERTIFIED * scale:
        raise KernelFailure(
            f"{program.name}: at sizes {dict(sizes)} the derived gradient gives the directional "
            f"derivative {mpmath.nstr(total, 20)}, the definition {mpmath.nstr(wanted, 20)}"
        )


def run_backend(
    derivation: Derivation, backend: Any, arguments: Mapping[str, Any], upstream: Any,
    reduction: str = "mean",
) -> Results:  # fmt: skip
    """Output and gradients by name, through `vjp` or through `forward` and `backward`."""
    kernel, program = derivation.kernel, derivation.program
    options = {"reduction": reduction} if program.divisor is not None else {}
    given = [arguments[i.name] for i in program.inputs]
    if hasattr(backend, "vjp"):
        output, pullback = backend.vjp(*given, **options)
        gradients = pullback(upstream)
    else:
        forward = backend.forward(*given, **options)
        results = forward if kernel.extra_results else (forward,)
        known = {**arguments, **dict(zip(kernel.forward.results, results, strict=True))}
        known[program.upstream] = upstream
        names = [n for n, _ in kernel.backward.arguments if n != "scale"]
        scaled = options if any(n == "scale" for n, _ in kernel.backward.arguments) else {}
        gradients = backend.backward(*(known[n] for n in names), **scaled)
        output = results[0]
    several = gradients if len(program.variables) > 1 else (gradients,)
    return {
        program.output_name: output,
        **dict(zip(kernel.gradient_names, several, strict=True)),
    }


def _error(
    derivation: Derivation, name: str, backend: Any, case: Exact, dtype: str
) -> float:
    """The largest relative error of one case; raises where it exceeds its bound."""
    program = derivation.program
    arguments = {
        i.name: _cast(as_argument(i.shape, case.sample.values[i.name]), dtype)
        for i in program.inputs
    }
    upstream = _cast(as_argument(program.output.shape, case.sample.upstream), dtype)
    results = run_backend(derivation, backend, arguments, upstream, case.reduction)
    bound = FLOAT64_BOUND if dtype == "float64" else FLOAT32_BOUND_ULP * 2.0**-23
    worst = 0.0
    for result, wanted in case.values.items():
        found = np.asarray(results[result])
        if found.dtype != dtype:
            raise KernelFailure(
                f"{program.name}: {name}: {result} has dtype {found.dtype} for inputs of {dtype}"
            )
        scale = _scale(wanted, case.sample.upstream)
        errors = distances(found, wanted) / scale
        place = np.unravel_index(int(np.argmax(errors)), errors.shape)
        if not errors[place] <= bound and not errors[place] <= _unavoidable(case, result, dtype):
            entry = ", ".join(str(int(i)) for i in place)
            raise KernelFailure(
                f"{program.name}: {name}: {result}[{entry}] is {found.reshape(wanted.shape)[place]!r} "
                f"in {dtype} instead of {mpmath.nstr(wanted[place], 17)} at sizes "
                f"{dict(case.sample.sizes)}; the error is {errors[place]:.2g} of the largest entry, "
                f"allowed are {bound:.2g}"
            )
        worst = max(worst, float(errors[place]))
    return worst


def _cast(value: Any, dtype: str) -> Any:
    return value.astype(dtype) if isinstance(value, np.ndarray) else value


def _unavoidable(case: Exact, result: str, dtype: str) -> float:
    """How far rounding errors in the equations move the result, with a margin."""
    unit = float(np.finfo(dtype).eps) / 2
    wanted = case.values[result]
    moved = [
        case.reference.rounded(case.equations[result], unit, seed)
        for seed in range(_ROUNDING_RUNS)
    ]
    largest = max(float(max(abs(m - wanted).ravel())) for m in moved)
    return _ROUNDING_MARGIN * largest / _scale(wanted, case.sample.upstream)


def _scale(wanted: Array, upstream: Array) -> float:
    """The largest entry; where all are tiny, that of the upstream gradient."""
    largest, floor = (float(max(abs(a).ravel())) for a in (wanted, upstream))
    return largest if largest > 1e-6 * floor else floor


def distances(found: Array, wanted: Array) -> Array:
    """The absolute error of every entry; infinite where a float is infinite or no number."""
    with mpmath.workdps(50):
        gaps = np.frompyfunc(_distance, 2, 1)(found.reshape(wanted.shape), wanted)
        return np.asarray(gaps, dtype=np.float64)


def _distance(found: float, wanted: mpmath.mpf) -> float:
    value = float(found)
    return float(abs(mpmath.mpf(value) - wanted)) if np.isfinite(value) else np.inf
