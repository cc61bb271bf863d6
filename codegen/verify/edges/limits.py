"""Promises of element-wise layers: limits, extreme arguments, kinks, signed zeros and NaN."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import mpmath
import numpy as np

from ...expression import Expr, number_of
from ...scalar import ScalarFunction
from ..reference import DIGITS, NoRealValueError, apply_scalar, exact
from .subject import Array, Edge, Subject, require

_FAR, _FARTHER = "1e380", "1e400"
_EXTREMES = (0.0, 1e-300, 1e-30, 1e-8, 1.0, 6.0, 40.0, 90.0, 708.0, 745.0, 1e4, 1e30, 1e200)
_TOLERANCE = {"float64": 4e-15, "float32": 1e-6}


def _function(node: Expr) -> ScalarFunction:
    assert isinstance(node.attr, ScalarFunction)
    return node.attr


def _exactly(f: ScalarFunction, x: mpmath.mpf, parameters: list[float]) -> mpmath.mpf | None:
    """f at x with its parameters, in fifty digits; None where it has no value."""
    with mpmath.workdps(DIGITS):
        others = [exact(np.array([p])) for p in parameters]
        try:
            return apply_scalar(f, [np.array([x], dtype=object), *others])[0]
        except (NoRealValueError, OverflowError, StopIteration):
            return None


def limit(f: ScalarFunction, side: int, parameters: list[float]) -> float | None:
    """The limit at plus or minus infinity with its sign of zero; None where there is none.

    Fifty digits have no largest number, so the value at 1e400 stands for it.
    """
    with mpmath.workdps(DIGITS):
        near, far = (_exactly(f, side * mpmath.mpf(x), parameters) for x in (_FAR, _FARTHER))
        if near is None or far is None:
            return None
        if abs(far) > 1e300:
            return float("inf") if far > 0 else float("-inf")
        if abs(far) < mpmath.mpf(10) ** -300:
            sign = mpmath.sign(_exactly(f, side * mpmath.mpf(8), parameters) or 0)
            return -0.0 if sign < 0 else 0.0
        return float(far) if abs(near - far) <= mpmath.mpf(10) ** -40 * abs(far) else None


def _parameters(subject: Subject) -> list[float]:
    """Values of the function's further arguments, whether they are learned or not."""
    node, values = subject.activation, subject.sample().values
    assert node is not None
    scalars = [repeated.args[0] for repeated in node.args[1:]]
    numbers = [number_of(s) if s.op == "number" else values[str(s.attr)][0, 0] for s in scalars]
    return [float(n) for n in numbers]


def _at(subject: Subject, backend: Any, points: list[float], dtype: str) -> tuple[Array, Array]:
    """The layer and its derivative at the points."""
    program, data = subject.program, subject.data
    assert data is not None
    arguments = subject.arguments(subject.sample(), dtype)
    row = np.array([points], dtype)
    arguments |= {data.name: row, program.upstream: np.ones_like(row)}
    results = subject.run(backend, arguments)
    return results[program.output_name][0], results[f"D{data.name}"][0]


def _limits(subject: Subject, backend: Any) -> None:
    node = subject.activation
    assert node is not None
    parameters = _parameters(subject)
    for dtype in ("float64", "float32"):
        values, slopes = _at(subject, backend, [-np.inf, np.inf], dtype)
        for place, side in enumerate((-1, 1)):
            f = _function(node)
            wanted, slope = limit(f, side, parameters), limit(f.derivative(0), side, parameters)
            if wanted is not None:
                _same_limit(subject, values[place], wanted, side, "", signed=True)
            if slope is not None and wanted is not None:
                _same_limit(subject, slopes[place], slope, side, "'", signed=False)


def _same_limit(
    subject: Subject, found: Any, wanted: float, side: int, prime: str, signed: bool
) -> None:
    rounded = found.dtype.type(wanted)
    wrong_zero = signed and wanted == 0 and np.signbit(found) != np.signbit(rounded)
    same = found == rounded
    sign = "+" if side > 0 else "-"
    near = abs(float(found) - wanted) <= 1e-6 * abs(wanted) + 1e-29
    require(
        not wrong_zero and (same or (np.isfinite(wanted) and near)),
        f"{subject.name}{prime}({sign}inf) is {found} in {found.dtype}, the limit is {wanted}",
    )


def _extremes(subject: Subject, backend: Any) -> None:
    """Also where a branch that is not taken would overflow."""
    node = subject.activation
    assert node is not None
    parameters = _parameters(subject)
    f = _function(node)
    for dtype in ("float64", "float32"):
        largest = float(np.finfo(dtype).max)
        points = [s * x for x in _EXTREMES for s in (1, -1) if x <= largest]
        points = [float(np.array(x, dtype)) for x in points]
        values, slopes = _at(subject, backend, points, dtype)
        for name, found, g in ((f.name, values, f), (f"{f.name}'", slopes, f.derivative(0))):
            for x, value in zip(points, found, strict=True):
                wanted = _exactly(g, mpmath.mpf(x), parameters)
                if wanted is not None and not (x == 0 and f.kinks):
                    _close(f"{name}({x:g}) in {dtype}", value, wanted, _TOLERANCE[dtype])


def _close(what: str, found: Any, wanted: mpmath.mpf, tolerance: float) -> None:
    if abs(wanted) > float(np.finfo(found.dtype).max):
        right = bool(np.isinf(found)) and (found > 0) == (wanted > 0)
    else:
        gap = abs(mpmath.mpf(float(found)) - wanted) if np.isfinite(found) else mpmath.inf
        right = gap <= tolerance * max(1, abs(wanted))
    require(right, f"{what} is {found}, the exact value is {mpmath.nstr(wanted, 12)}")


def _kinks(subject: Subject, backend: Any) -> None:
    node = subject.activation
    assert node is not None
    f = _function(node)
    named = dict(zip((v.name for v in f.variables[1:]), _parameters(subject), strict=True))
    for point, value in f.kinks:
        at, wanted = (
            float(Fraction(str(e.subs({s: named[s.name] for s in e.free_symbols}).evalf(20))))
            for e in (point, value)
        )
        for dtype in ("float64", "float32"):
            _, slopes = _at(subject, backend, [at, -at] if at == 0 else [at], dtype)
            for slope in slopes:
                require(
                    slope == slope.dtype.type(wanted),
                    f"{subject.name}'({at:g}) is {slope}, declared is {wanted}",
                )


def _nan(subject: Subject, backend: Any) -> None:
    node = subject.activation
    assert node is not None
    constant = not _function(node).derivative(0).expr.free_symbols
    for dtype in ("float64", "float32"):
        values, slopes = _at(subject, backend, [1.0, np.nan, -1.0], dtype)
        require(np.isnan(values[1]), f"{subject.name}(NaN) is {values[1]}")
        require(constant or np.isnan(slopes[1]), f"{subject.name}'(NaN) is {slopes[1]}")
        for name, found in (("", values), ("'", slopes)):
            require(not np.isnan(found[[0, 2]]).any(), f"{subject.name}{name}: NaN spreads")


def _is_activation(subject: Subject) -> bool:
    return subject.activation is not None


LIMITS = (
    Edge("limits", "at plus and minus infinity: the limits, -0.0 where they are approached from below",
         _is_activation, _limits, strict=False),
    Edge("extreme arguments", "from 1e-300 to 1e200: finite and exact wherever the function is",
         _is_activation, _extremes, strict=False),
    Edge("kinks", "where the derivative jumps it has the declared value",
         lambda s: s.activation is not None and bool(_function(s.activation).kinks), _kinks),
    Edge("NaN", "NaN gives NaN with gradient NaN, and stays in its entry", _is_activation, _nan),
)  # fmt: skip
