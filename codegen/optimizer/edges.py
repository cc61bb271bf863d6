"""P5: what every emitted optimizer promises at the edges, one table for all backends.

Input: a rule and backends. Output: for each promise whether it holds. Promises about the face are
those of the public function: a bare kernel without `initial_state` is not held to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .accuracy import Array, Arrays, call
from .rule import UpdateRule


class BrokenPromise(AssertionError):
    """What an optimizer does instead of what the table says."""


@dataclass(frozen=True)
class Edge:
    """A promise; `face` promises are about arguments, not about arithmetic."""

    name: str
    promise: str
    check: Callable[[UpdateRule, Any], None]
    face: bool = True


def check_edges(rule: UpdateRule, backends: Mapping[str, Any]) -> dict[str, Any]:
    """Every promise for every backend: `{"cases": [...], "passed", "total"}`."""
    cases = []
    for edge in EDGES:
        for name, backend in backends.items():
            if edge.face and not hasattr(backend, "initial_state"):
                continue
            detail = _broken(edge, rule, backend)
            cases.append({
                "name": edge.name, "promise": edge.promise, "backend": name,
                "passed": detail is None, "detail": detail or "",
            })  # fmt: skip
    return {"cases": cases, "passed": sum(c["passed"] for c in cases), "total": len(cases)}


def _broken(edge: Edge, rule: UpdateRule, backend: Any) -> str | None:
    try:
        edge.check(rule, backend)
    except BrokenPromise as failure:
        return str(failure)
    except Exception as error:
        return f"{rule.name}: unexpected {type(error).__name__}: {error}"
    return None


def sample(rule: UpdateRule, shape: tuple[int, ...] = (3, 5), dtype: str = "float64") -> Arrays:
    """Arrays of an update; states are positive, as those that hold squares must be."""
    rng = np.random.default_rng(5)
    arrays = {n: rng.normal(size=shape).astype(dtype) for n in rule.arrays}
    return {n: np.abs(a) if n in rule.states else a for n, a in arrays.items()}


def _require(condition: bool, detail: str) -> None:
    if not condition:
        raise BrokenPromise(detail)


def _refused(
    kind: type[Exception], naming: str, rule: UpdateRule, backend: Any, arrays: Mapping[str, Any],
    t: Any = 2, **more: Any,
) -> None:  # fmt: skip
    """The step raises an error that names the culprit, and changes no array."""
    before = {n: a.copy() for n, a in arrays.items() if isinstance(a, np.ndarray)}
    try:
        call(rule, backend, arrays, t, **more)
    except kind as error:
        message = str(error)
        _require(rule.name in message and naming in message, f"the error says only: {message}")
        for name, old in before.items():
            same = np.array_equal(arrays[name], old, equal_nan=old.dtype.kind == "f")
            _require(same, f"{name} was changed by a refused step")
    else:
        raise BrokenPromise(f"accepted; expected {kind.__name__} naming {naming}")


def _in_place(rule: UpdateRule, arrays: Arrays) -> Any:
    buffers = tuple(arrays[n] for n in rule.updated)
    return buffers if rule.states else buffers[0]


def _same(found: Arrays, wanted: Arrays) -> None:
    for name, array in wanted.items():
        _require(np.array_equal(found[name], array), f"{name} differs")


def _not_finite(rule: UpdateRule, backend: Any) -> None:
    for dtype in ("float32", "float64"):
        for bad in (np.nan, np.inf, -np.inf):
            for place in ((0, 0), (60, 499)):
                arrays = sample(rule, (61, 500), dtype)
                arrays[rule.gradient][place] = bad
                out = _in_place(rule, arrays)
                _refused(FloatingPointError, rule.gradient, rule, backend, arrays, out=out)


def _hyperparameters(rule: UpdateRule, backend: Any) -> None:
    outside = {"unit": (-0.1, 1.0, np.nan, np.inf), "positive": (0.0, -1e-8, np.nan, np.inf),
               "nonnegative": (-0.1, np.nan, np.inf), "share": (-0.1, 1.1, np.nan),
               "real": (np.nan, np.inf)}  # fmt: skip
    no_numbers: tuple[Any, ...] = ("1", True, None, [0.5], 1j)
    for item in rule.hyperparameters:
        for number in outside[item.domain]:
            _refused(ValueError, item.name, rule, backend, sample(rule), **{item.name: number})
        for value in no_numbers:
            _refused(TypeError, item.name, rule, backend, sample(rule), **{item.name: value})


def _steps(rule: UpdateRule, backend: Any) -> None:
    if rule.step:
        for number in (0, -1, 2**70):
            _refused(ValueError, rule.step, rule, backend, sample(rule), number)
        no_integers: tuple[Any, ...] = (1.0, "1", True, None)
        for value in no_integers:
            _refused(TypeError, rule.step, rule, backend, sample(rule), value)


def _dtypes(rule: UpdateRule, backend: Any) -> None:
    for name in rule.arrays:
        good = sample(rule)
        array = good[name]
        others = [array.astype(kind) for kind in ("int64", "bool", "object", "complex", "float16")]
        for bad in (*others, array.tolist(), "text", None):
            _refused(TypeError, name, rule, backend, good | {name: bad})


def _mixed(rule: UpdateRule, backend: Any) -> None:
    for name in rule.arrays:
        arrays = sample(rule)
        arrays[name] = arrays[name].astype("float32")
        _refused(TypeError, "float32", rule, backend, arrays)


def _shapes(rule: UpdateRule, backend: Any) -> None:
    for name in rule.arrays[1:]:
        for shape in ((3,), (5,), (1, 5), (3, 5, 1), (5, 3), ()):
            arrays = sample(rule)
            arrays[name] = np.ones(shape)
            _refused(ValueError, name, rule, backend, arrays)


def _every_shape(rule: UpdateRule, backend: Any) -> None:
    flat = {n: a.ravel() for n, a in sample(rule, (24,)).items()}
    wanted = call(rule, backend, flat, 3)
    for shape in ((24,), (4, 6), (2, 3, 4), (1, 24, 1, 1)):
        found = call(rule, backend, {n: a.reshape(shape) for n, a in flat.items()}, 3)
        for name, array in found.items():
            _require(array.shape == shape, f"{name} has shape {array.shape} for {shape}")
            _same({name: array.ravel()}, {name: wanted[name]})
    single = call(rule, backend, {n: a[:1].reshape(()) for n, a in flat.items()}, 3)
    for name, array in single.items():
        _require(np.shape(array) == (), f"{name} has shape {np.shape(array)} for ()")
        _require(float(array) == wanted[name][0], f"{name} differs without dimensions")
    for name, array in call(rule, backend, sample(rule, (0, 3)), 1).items():
        _require(array.shape == (0, 3), f"{name} has shape {array.shape} for (0, 3)")


def _views(array: Array) -> Iterator[Array]:
    """The same entries in other layouts."""
    yield np.asfortranarray(array)
    wide = np.repeat(array, 2, axis=1)
    yield wide[:, ::2]
    yield np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1]
    raw = np.empty(array.nbytes + 1, np.uint8)
    moved = raw[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    yield moved
    frozen = array.copy()
    frozen.flags.writeable = False
    yield frozen


def _layouts(rule: UpdateRule, backend: Any) -> None:
    for dtype in ("float32", "float64"):
        arrays = sample(rule, dtype=dtype)
        wanted = call(rule, backend, arrays, 2)
        for name in rule.arrays:
            for view in _views(arrays[name]):
                _same(call(rule, backend, arrays | {name: view}, 2), wanted)


def _byte_order(rule: UpdateRule, backend: Any) -> None:
    arrays = sample(rule)
    wanted = call(rule, backend, arrays, 2)
    swapped = ">f8" if np.little_endian else "<f8"
    for name in rule.arrays:
        try:
            found = call(rule, backend, arrays | {name: arrays[name].astype(swapped)}, 2)
        except TypeError:
            continue
        _same(found, wanted)


def _replaced(rule: UpdateRule, backend: Any) -> None:
    for dtype in ("float32", "float64"):
        arrays = sample(rule, (70, 600), dtype)
        wanted = call(rule, backend, arrays, 2)
        found = call(rule, backend, arrays, 2, out=_in_place(rule, arrays))
        _same(found, wanted)
        for name in rule.updated:
            _require(found[name] is arrays[name], f"{name} is not the buffer that was given")


def _overlaps(rule: UpdateRule, backend: Any) -> None:
    """Results may go anywhere: over the gradient, over a shifted or strided parameter."""
    flat = sample(rule, (40,))
    wanted = call(rule, backend, {n: a[:20].copy() for n, a in flat.items()}, 2)
    for shared in (rule.parameter, rule.gradient):
        for place in (slice(1, 21), slice(0, 40, 2)):
            space = flat[shared].copy()
            arrays = {n: a[:20].copy() for n, a in flat.items()} | {shared: space[:20]}
            rest = [np.empty(20) for _ in rule.states]
            out = (space[place], *rest) if rule.states else space[place]
            _same(call(rule, backend, arrays, 2, out=out), wanted)


def _buffers(rule: UpdateRule, backend: Any) -> None:
    arrays = sample(rule)
    frozen = np.empty((3, 5))
    frozen.flags.writeable = False
    for bad, kind in ((np.empty((3, 4)), ValueError), (np.empty((3, 5), "float32"), TypeError),
                      (frozen, ValueError), ([0.0], TypeError)):  # fmt: skip
        rest = [np.empty((3, 5)) for _ in rule.states]
        _refused(kind, "out", rule, backend, arrays, out=(bad, *rest) if rule.states else bad)
    if rule.states:
        shared = np.empty((3, 5))
        both = (shared, shared, *[np.empty((3, 5)) for _ in rule.states[1:]])
        _refused(ValueError, "out", rule, backend, arrays, out=both)
        _refused(TypeError, "out", rule, backend, arrays, out=shared)


def _first_state(rule: UpdateRule, backend: Any) -> None:
    for dtype in ("float32", "float64"):
        state = backend.initial_state(np.ones((2, 3), dtype))
        _require(len(state) == len(rule.states), f"{len(state)} states, not {len(rule.states)}")
        for name, array in zip(rule.states, state, strict=True):
            _require(array.shape == (2, 3) and array.dtype == dtype, f"{name} is {array.dtype}")
            _require(not array.any(), f"{name} does not start at zero")


EDGES: tuple[Edge, ...] = (
    Edge("gradient not finite", "the step is refused, nothing is changed", _not_finite, face=False),
    Edge("hyperparameters", "outside their domain: ValueError naming them", _hyperparameters),
    Edge("number of the step", "below 1: ValueError; no integer: TypeError", _steps),
    Edge("dtype", "neither float32 nor float64: TypeError naming the argument", _dtypes),
    Edge("mixed dtypes", "float32 with float64: TypeError", _mixed),
    Edge("shapes", "other than the parameter's: ValueError, never broadcasting", _shapes),
    Edge("every shape", "any number of dimensions, none and empty ones too", _every_shape),
    Edge("layouts", "strided, reversed, unaligned and read-only: bit-equal", _layouts),
    Edge("byte order", "swapped bytes: the right result or TypeError", _byte_order),
    Edge("in place", "results may replace the arguments", _replaced),
    Edge("overlap", "a buffer that overlaps an argument: the right result", _overlaps),
    Edge("buffers", "read-only, of wrong shape or dtype, sharing memory: refused", _buffers),
    Edge("first state", "zeros of the parameter's shape and dtype", _first_state),
)
