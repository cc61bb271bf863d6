"""P4: emitted optimizers against the rule in fifty digits.

Input: a rule and backends. Output: the largest errors, relative to the largest entry of an array.
In float64 the whole way of many steps in place is compared; in float32 every step on its own,
from the same rounded arrays, in units of 2^-23.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import KernelFailure
from .evaluate import ManyDigits, run_step
from .rule import UpdateRule

STEPS = 16
FLOAT64_BOUND = 2e-14
FLOAT32_BOUND_ULP = 16.0
_SHAPE = (2, 3)
Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]


def default_values(rule: UpdateRule) -> dict[str, float]:
    """The hyperparameters' defaults, or a value of their domain."""
    inside = {"unit": 0.75, "share": 0.75, "positive": 0.5, "nonnegative": 0.25, "real": -0.5}
    return {
        i.name: inside[i.domain] if i.default is None else i.default for i in rule.hyperparameters
    }


def call(
    rule: UpdateRule, backend: Any, arrays: Mapping[str, Any], t: int, **more: Any
) -> Arrays:
    """One step of a backend by name, with the defaults of all hyperparameters not given."""
    values = default_values(rule) | {k: v for k, v in more.items() if k != "out"}
    counted = [t] if rule.step else []
    options = {"out": more["out"]} if "out" in more else {}
    result = backend.update(*(arrays[n] for n in rule.arrays), *counted, **values, **options)
    return dict(zip(rule.updated, result if rule.states else (result,), strict=True))


def check_accuracy(rule: UpdateRule, backends: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Errors by backend. Raises `KernelFailure` where a bound is exceeded."""
    found = {}
    for name, backend in backends.items():
        many = _many_steps(rule, name, backend)
        single = _single_steps(rule, name, backend)
        found[name] = {"float64": many, "float32_ulp": single * 2.0**23}
    return found


def _gradients(dtype: str) -> list[Array]:
    rng = np.random.default_rng(11)
    return [rng.normal(size=_SHAPE).astype(dtype) for _ in range(STEPS)]


def _start(rule: UpdateRule, dtype: str) -> Arrays:
    parameter = np.random.default_rng(7).normal(size=_SHAPE).astype(dtype)
    return {n: np.zeros(_SHAPE, dtype) for n in rule.states} | {rule.parameter: parameter}


def _many_steps(rule: UpdateRule, name: str, backend: Any) -> float:
    arrays = _start(rule, "float64")
    exact = {n: _widened(a) for n, a in arrays.items()}
    worst = 0.0
    for t, gradient in enumerate(_gradients("float64"), start=1):
        buffers = tuple(arrays[n] for n in rule.updated)
        given = arrays | {rule.gradient: gradient}
        arrays = call(rule, backend, given, t, out=buffers if rule.states else buffers[0])
        exact = _exact_step(rule, exact | {rule.gradient: _widened(gradient)}, t)
        worst = max(worst, _compared(rule, f"{name} in float64", arrays, exact, t, FLOAT64_BOUND))
    return worst


def _single_steps(rule: UpdateRule, name: str, backend: Any) -> float:
    arrays = _start(rule, "float32")
    worst, bound = 0.0, FLOAT32_BOUND_ULP * 2.0**-23
    for t, gradient in enumerate(_gradients("float32"), start=1):
        given = arrays | {rule.gradient: gradient}
        exact = _exact_step(rule, {n: _widened(a) for n, a in given.items()}, t)
        arrays = call(rule, backend, given, t)
        worst = max(worst, _compared(rule, f"{name} in float32", arrays, exact, t, bound))
    return worst


def _widened(array: Array) -> Array:
    numbers = ManyDigits().context
    return np.frompyfunc(lambda x: numbers.mpf(float(x)), 1, 1)(array)


def _exact_step(rule: UpdateRule, arrays: Arrays, t: int) -> Arrays:
    numbers = ManyDigits()
    scalars = {n: numbers.context.mpf(v) for n, v in default_values(rule).items()}
    if rule.step:
        scalars[rule.step] = t
    after = {n: np.empty(_SHAPE, object) for n in rule.updated}
    for place in np.ndindex(*_SHAPE):
        entry = {n: arrays[n][place] for n in rule.arrays}
        for n, value in run_step(rule, entry | scalars, numbers).items():
            if n in after:
                after[n][place] = value
    return after


def _compared(
    rule: UpdateRule, where: str, found: Arrays, exact: Arrays, t: int, bound: float
) -> float:
    worst = 0.0
    for name in rule.updated:
        wanted = exact[name]
        scale = max(abs(wanted).ravel()) or 1
        for place in np.ndindex(*_SHAPE):
            error = float(abs(wanted[place] - float(found[name][place])) / scale)
            if not error <= bound:
                entry = ", ".join(str(i) for i in place)
                raise KernelFailure(
                    f"{rule.name}: {where}: {name}[{entry}] is {found[name][place]!r} after step "
                    f"{t} instead of {float(wanted[place])!r}; the error is {error:.2g} of the "
                    f"largest entry, allowed are {bound:.2g}"
                )
            worst = max(worst, error)
    return worst
