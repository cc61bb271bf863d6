"""Seeded inputs of a program: well-scaled, within its domains, exact in float32.

Input: a program, sizes and a seed. Output: a `Sample` of (rows, cols) arrays. Entries are float32
numbers, so that float32, float64 and the fifty-digit reference see the same data; entries of
targets are multiples of 1/1024, so that the sums that facts speak of are exact.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UnsupportedPrimitive
from ..expression import Shape
from ..program import Input, Program
from .reference import NoRealValueError, Reference

_GRAIN = 1024
_HYPERPARAMETERS = {"positive": 0.125, "nonnegative": 0.25, "unit": 0.5, "share": 0.5, "real": 1.25}
_SUMS = {"rows_sum": 1, "rows_mean": 1, "columns_sum": 0, "columns_mean": 0}
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Sample:
    """Values of the inputs and of the upstream gradient, by name, as (rows, cols) arrays."""

    sizes: Mapping[str, int]
    values: Mapping[str, Array]
    upstream: Array


def draw_sample(
    program: Program, sizes: Mapping[str, int], seed: str, spread: float = 1.0, defaults: bool = False
) -> Sample:
    """A point where the definition has a real value; positive data where it needs that.

    `spread` multiplies the variables; hyperparameters take their defaults or others.
    """
    for positive in (False, True):
        rng = np.random.default_rng(random.Random(f"{program.name}:{seed}").randrange(2**32))
        values = {
            item.name: _draw(program, item, sizes, rng, positive, spread, defaults)
            for item in program.inputs
        }
        upstream = _normal(rng, shape_of(program.output.shape, sizes))
        if program.output.is_scalar:
            upstream = np.full((1, 1), 1.375)
        if 0 in sizes.values():
            return Sample(sizes, values, upstream)
        try:
            Reference(program, sizes, values).output()
        except NoRealValueError:
            continue
        _check_facts(program, sizes, values)
        return Sample(sizes, values, upstream)
    raise UnsupportedPrimitive(
        f"{program.name}: no real value was found at random inputs, nor at random positive ones; "
        "state the domain of its data, for example Positive[N, K]"
    )


def shape_of(shape: Shape, sizes: Mapping[str, int]) -> tuple[int, int]:
    rows, cols = (1 if d == "1" else sizes[d] for d in shape)
    return rows, cols


def as_argument(item_shape: Shape, value: Array) -> Any:
    """What a kernel takes for a symbol: a matrix, a vector or a number."""
    kept = tuple(n for n, d in zip(value.shape, item_shape, strict=True) if d != "1")
    return value.reshape(kept) if kept else float(value[0, 0])


def _draw(
    program: Program, item: Input, sizes: Mapping[str, int], rng: np.random.Generator,
    positive: bool, spread: float, defaults: bool,
) -> Array:  # fmt: skip
    shape = shape_of(item.shape, sizes)
    if item.role == "hyperparameter":
        value = item.default if defaults and item.default is not None else None
        return np.full((1, 1), _HYPERPARAMETERS[item.domain] if value is None else value)
    for fact in program.facts:
        if fact.left.op in _SUMS and fact.left.args[0] is item.expr:
            return _shares(rng, shape, _SUMS[fact.left.op])
    if item.role == "pattern":
        return np.asarray(rng.random(shape) < 0.6, np.float64)
    if item.role == "target":
        return _shares(rng, shape, 1)
    if positive or item.domain != "real":
        return _rounded(rng.uniform(0.1, 0.95, shape))
    return _normal(rng, shape) * (spread if item.role == "variable" else 1)


def _rounded(values: Array) -> Array:
    return values.astype(np.float32).astype(np.float64)


def _normal(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return _rounded(rng.normal(size=shape))


def _shares(rng: np.random.Generator, shape: tuple[int, int], axis: int) -> Array:
    """Positive entries whose sum along the axis is one, exactly."""
    if 0 in shape:
        return np.zeros(shape)
    values = rng.uniform(0.2, 1.0, shape)
    values = np.round(values / values.sum(axis=axis, keepdims=True) * _GRAIN) / _GRAIN
    last = (slice(None), slice(-1, None)) if axis else (slice(-1, None), slice(None))
    values[last] += 1 - values.sum(axis=axis, keepdims=True)
    return values


def _check_facts(program: Program, sizes: Mapping[str, int], values: Mapping[str, Array]) -> None:
    reference = Reference(program, sizes, values)
    for fact in program.facts:
        if np.any(reference.value(fact.left - fact.right) != 0):
            raise UnsupportedPrimitive(
                f"the fact {fact.name} is not of the form rows_sum(T) = 1; draw inputs that satisfy "
                "it in verify.inputs"
            )

