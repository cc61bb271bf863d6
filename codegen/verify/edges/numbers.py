"""Promises about values: infinities, NaN, huge logits, empty batches, constant and offset data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import mpmath
import numpy as np

from ... import expression as ex
from ...program import needs_two_samples
from ..evaluate import Evaluation
from ..fields import REALS
from ..floating import distances
from ..inputs import shape_of
from ..reference import NoRealValueError
from .subject import (
    Arguments,
    Array,
    Edge,
    Subject,
    finite,
    raises,
    require,
    same_bits,
)  # fmt: skip

_TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


def _with_data(subject: Subject, values: Array, dtype: str = "float64") -> Arguments:
    """Valid arguments around the given data."""
    assert subject.data is not None
    sample = subject.sample(values.shape[0], **{subject.data.shape[1]: values.shape[1]})
    arguments = subject.arguments(sample, dtype)
    arguments[subject.data.name] = values.astype(dtype)
    return arguments


def _agrees(subject: Subject, results: Mapping[str, Any], arguments: Arguments, what: str,
            tolerance: float) -> None:  # fmt: skip
    """Equal to the exact results at these arguments, relative to the largest entry."""
    program = subject.program
    rows = {d: n for i in subject.arrays for d, n in zip(
        (d for d in i.shape if d != "1"), np.shape(arguments[i.name]), strict=True)}  # fmt: skip
    sample = subject.sample(rows[program.sizes[0]], **rows)
    values = {
        i.name: np.asarray(arguments[i.name], np.float64).reshape(sample.values[i.name].shape)
        for i in program.inputs
    }
    upstream = np.asarray(arguments[program.upstream], np.float64).reshape(sample.upstream.shape)
    try:
        exact = subject.exact(replace(sample, values=values, upstream=upstream))
    except NoRealValueError:
        return
    for name, wanted in exact.values.items():
        found = np.asarray(results[name])
        largest = float(max(abs(wanted).ravel(), default=mpmath.mpf(0)))
        if largest > np.finfo(found.dtype).max:
            continue
        gap = distances(found, wanted)
        worst = float(gap.max(initial=0.0))
        require(
            worst <= tolerance * max(largest, float(abs(upstream).max(initial=0.0))),
            f"{subject.name}: {what}: {name} is off by {worst:.2g} of {largest:.2g}",
        )


# Exponentials of whole rows


def _minus_infinity_row(subject: Subject, backend: Any) -> None:
    arguments = subject.arguments(subject.sample())
    data = arguments[subject.data.name]
    calm = subject.run(backend, arguments)
    arguments[subject.data.name] = data = data.copy()
    data[1] = -np.inf
    results = subject.run(backend, arguments)
    gradient = results[f"D{subject.data.name}"]
    output = results[subject.program.output_name]
    require(not np.isnan(output).any(), f"{subject.name}: the output of a row of -inf is NaN")
    require(np.isfinite(gradient).all(), f"{subject.name}: the gradient of a row of -inf is not finite")
    if subject.is_normalised_exponential:
        require((output[1] == 0).all(), f"{subject.name}: a row of -inf gives {output[1]}")
        require((gradient[1] == 0).all(), f"{subject.name}: its gradient is {gradient[1]}")
    if subject.is_row_wise:
        _others_unchanged(subject, calm, results, 1, "a row of -inf")


def _one_minus_infinity(subject: Subject, backend: Any) -> None:
    arguments = subject.arguments(subject.sample())
    arguments[subject.data.name] = data = arguments[subject.data.name].copy()
    data[1, 2] = -np.inf
    if subject.target is not None:
        arguments[subject.target.name] = target = arguments[subject.target.name].copy()
        target[1, 2] = 0
    results = subject.run(backend, arguments)
    finite(subject, {k: v for k, v in results.items() if k.startswith("D")}, "one -inf in a row")
    output = results[subject.program.output_name]
    require(not np.isnan(output).any(), f"{subject.name}: one -inf in a row gives NaN")
    if subject.is_normalised_exponential:
        require(output[1, 2] == 0, f"{subject.name}: -inf has the probability {output[1, 2]}")
    if subject.program.is_loss:
        require(np.isfinite(output), f"{subject.name}: the loss is {output} with target 0 at -inf")


def _huge_data(subject: Subject, backend: Any) -> None:
    for dtype in ("float64", "float32"):
        for size in (1e4, 1e30):
            for signs in ([1, -1, 1, -1], [1, 1, 1, 1], [-1, -1, -1, -1]):
                row = np.array(signs, np.float64) * size * np.array([1, 0.75, 0.5, 0.25])
                values = np.stack([row, row[::-1], -row])
                arguments = _with_data(subject, values, dtype)
                results = subject.run(backend, arguments)
                _agrees(subject, results, arguments, f"{dtype} data of {size:g}", _TOLERANCE[dtype])


def _target_at_minus_infinity(subject: Subject, backend: Any) -> None:
    arguments = subject.arguments(subject.sample())
    name, target = subject.data.name, subject.target.name
    arguments[name] = arguments[name].copy()
    arguments[name][1, 2] = -np.inf
    arguments[target] = np.eye(arguments[name].shape[1])[[0, 2, 1]]
    results = subject.run(backend, arguments)
    loss = results[subject.program.output_name]
    require(loss == np.inf, f"{subject.name}: the loss of a target at -inf is {loss}")
    finite(subject, {k: v for k, v in results.items() if k == f"D{name}"}, "a target at -inf")


def _zero_target(subject: Subject, backend: Any) -> None:
    """0 log 0 = 0, and its gradient is 0 where the slope is infinite."""
    arguments = subject.arguments(subject.sample())
    name, target = subject.data.name, subject.target.name
    arguments[name], arguments[target] = arguments[name].copy(), arguments[target].copy()
    arguments[name][1, 2] = 0
    arguments[target][1, 2] = 0
    finite(subject, subject.run(backend, arguments), "probability 0 where the target is 0")


def _has_guarded_logarithm(subject: Subject) -> bool:
    """A loss that multiplies a target by the logarithm of an entry of the data."""
    if subject.target is None or subject.data is None:
        return False
    logarithm, target = ex.elementwise("log", subject.data.expr), subject.target.expr
    for node in ex.topological(subject.program.output):
        if node.op == "hadamard" and target in ex.topological(node.args[0]):
            other = ex.topological(node.args[1])
            if logarithm in other and not any(n.op.endswith("_sum") for n in other):
                return True
    return False


# Infinities and NaN stay where they are


def _isolation(subject: Subject, backend: Any) -> None:
    arguments = subject.arguments(subject.sample(rows=4))
    calm = subject.run(backend, arguments)
    name = subject.data.name
    for value in (np.nan, np.inf):
        arguments[name] = arguments[name].copy()
        arguments[name][1, 2] = value
        results = subject.run(backend, arguments)
        _others_unchanged(subject, calm, results, 1, f"{value} in row 1")
        if np.isnan(value) and _is_moved_everywhere(subject):
            output = np.asarray(results[subject.program.output_name])
            require(np.isnan(output[1]).any(), f"{subject.name}: NaN in a row gives {output[1]}")
        if subject.is_normalised_exponential:
            for result in (subject.program.output_name, f"D{name}"):
                require(
                    np.isnan(results[result][1]).all(),
                    f"{subject.name}: {value} in a row gives {result} = {results[result][1]}",
                )


def _is_moved_everywhere(subject: Subject) -> bool:
    """No maximum or branch can hide an entry."""
    nodes = ex.topological(subject.program.output)
    return not any(n.op.endswith(("max", "select")) for n in nodes)


def _others_unchanged(
    subject: Subject, calm: Arguments, results: Arguments, row: int, what: str
) -> None:
    data = subject.data
    assert data is not None
    for name in (subject.program.output_name, f"D{data.name}"):
        before, after = np.delete(calm[name], row, 0), np.delete(results[name], row, 0)
        require(same_bits(before, after), f"{subject.name}: {what} changes other rows of {name}")


# Empty sizes


def _empty_batch(subject: Subject, backend: Any) -> None:
    sample = subject.sample(rows=0)
    arguments = subject.arguments(sample)
    if subject.program.is_loss:
        raises(subject, ValueError, ["at least one sample"],
               lambda: subject.run(backend, arguments), "an empty batch")  # fmt: skip
        return
    results = subject.run(backend, arguments)
    _shapes(subject, results, arguments, "an empty batch")
    for name, value in results.items():
        require(not np.any(value), f"{subject.name}: an empty batch gives {name} = {value}")


def _empty_size(subject: Subject, backend: Any) -> None:
    """Zero features or classes: empty results, and sums over nothing are 0."""
    for dim in subject.program.sizes[1:]:
        arguments = subject.arguments(subject.sample(**{dim: 0}))
        try:
            results = subject.run(backend, arguments)
        except ValueError as error:
            allowed = subject.program.is_loss and subject.name in str(error)
            require(allowed, f"{subject.name}: {dim} = 0: {error}")
            continue
        _shapes(subject, results, arguments, f"{dim} = 0")
        if not any(n.op.endswith(("mean", "max", "select", "shift"))
                   for n in ex.topological(subject.program.output)) \
                and subject.program.divisor is None:  # fmt: skip
            _agrees(subject, results, arguments, f"{dim} = 0", 1e-13)


def _shapes(subject: Subject, results: Arguments, arguments: Arguments, what: str) -> None:
    program = subject.program
    wanted = {program.output_name: np.shape(arguments[program.upstream])}
    wanted |= {f"D{v.name}": np.shape(arguments[v.name]) for v in program.variables}
    for name, shape in wanted.items():
        found = np.shape(results[name])
        require(found == shape, f"{subject.name}: {what}: {name} has shape {found}, not {shape}")


# Sizes beyond one block of rows, or one thread


def _many_rows(subject: Subject, backend: Any) -> None:
    """Compared with the equations as they stand, in float64.

    A row that is lost or taken twice shows; sums over thousands of rows may lose some digits.
    """
    program, arguments = subject.program, subject.tall_arguments()
    sizes = {
        d: n
        for i in subject.arrays
        for d, n in zip((d for d in i.shape if d != "1"), np.shape(arguments[i.name]), strict=True)
    }
    symbols = {
        name: np.asarray(arguments[name], np.float64).reshape(shape_of(shape, sizes))
        for name, shape in [(i.name, i.shape) for i in program.inputs]
        + [(program.upstream, program.output.shape)]
    }
    if program.divisor is not None:
        divisor = Evaluation(sizes, {REALS.level: symbols}).value(program.divisor, REALS)
        symbols["scale"] = 1 / divisor
    evaluation = Evaluation(sizes, {REALS.level: symbols})
    results = subject.run(backend, arguments)
    equations = {program.output_name: program.output}
    equations |= {f"D{name}": gradient for name, gradient in subject.derivation.gradients}
    for name, equation in equations.items():
        wanted = evaluation.value(equation, REALS)
        gap = np.abs(np.asarray(results[name]).reshape(wanted.shape) - wanted).max()
        require(
            gap <= 1e-8 * max(np.abs(wanted).max(), 1),
            f"{subject.name}: {name} at sizes {sizes} is off by {gap:.2g}",
        )


# Normalisation


def _one_sample(subject: Subject, backend: Any) -> None:
    arguments = subject.arguments(subject.sample(rows=1))
    raises(subject, ValueError, ["expected more than one sample"],
           lambda: subject.run(backend, arguments), "one sample")  # fmt: skip


def _constant_data(subject: Subject, backend: Any) -> None:
    """Where the centred data is exactly 0 the output is what the equations give for 0."""
    for dtype in ("float64", "float32"):
        for constant in (0.1, 0.7, 1e30):
            axis = 0 if "columns" in subject.centred() else 1
            sample = subject.sample(rows=7)
            arguments = subject.arguments(sample, dtype)
            data = arguments[subject.data.name].copy()
            data[(slice(None), 1) if axis == 0 else (1, slice(None))] = constant
            arguments[subject.data.name] = data
            results = subject.run(backend, arguments)
            finite(subject, results, f"{dtype} data constant at {constant}")
            centred = data - data.mean(axis=axis, keepdims=True)
            centred[(slice(None), 1) if axis == 0 else (1, slice(None))] = 0
            calm = subject.run(backend, {**arguments, subject.data.name: centred})
            where = (slice(None), 1) if axis == 0 else (1, slice(None))
            output = subject.program.output_name
            require(
                same_bits(np.asarray(results[output])[where], np.asarray(calm[output])[where]),
                f"{subject.name}: {dtype} data constant at {constant:g}: {output} is "
                f"{np.asarray(results[output])[where]}, not {np.asarray(calm[output])[where]}",
            )


def _offset_data(subject: Subject, backend: Any) -> None:
    """Data around 1e7 in float32, whose spacing there is 1."""
    rng = np.random.default_rng(3)
    values = np.round(1e7 + 40 * rng.normal(size=(48, 12)))
    arguments = _with_data(subject, values, "float32")
    results = subject.run(backend, arguments)
    _agrees(subject, results, arguments, "data around 1e7 in float32", 1e-5)


NUMBERS = (
    Edge("row of -inf", "a row of -inf: softmax gives 0 with gradient 0; never NaN",
         lambda s: s.is_shifted, _minus_infinity_row, strict=False),
    Edge("one -inf", "one -inf in a row has probability 0, the gradients are finite",
         lambda s: s.is_shifted, _one_minus_infinity, strict=False),
    Edge("huge data", "data of 1e4 and 1e30: output and gradients equal the exact ones",
         lambda s: s.is_shifted or _is_logistic(s), _huge_data, strict=False),
    Edge("target at -inf", "a target logit of -inf: the loss is inf, the gradient finite",
         lambda s: s.is_shifted and s.target is not None, _target_at_minus_infinity, strict=False),
    Edge("target 0", "probability 0 where the target is 0 contributes 0 and has a finite gradient",
         _has_guarded_logarithm, _zero_target, strict=False),
    Edge("isolation", "inf or NaN in a row leaves every other row as it was, in every bit",
         lambda s: s.is_row_wise, _isolation),
    Edge("empty batch", "no samples: empty results and zero gradients; a loss raises ValueError",
         lambda s: _has_batch(s), _empty_batch, face=True),
    Edge("empty size", "zero features or classes: results of the right shapes, sums are 0",
         lambda s: len(s.program.sizes) > 1, _empty_size, face=True),
    Edge("many rows", "thousands of rows, taken in blocks or by threads, give what the equations give",
         lambda _: True, _many_rows),
    Edge("one sample", "a variance over a batch of one raises ValueError",
         lambda s: needs_two_samples(s.program), _one_sample, face=True),
    Edge("constant data", "constant rows or columns, even of 1e30, are centred to exactly 0",
         lambda s: len(s.centred()) == 1, _constant_data, strict=False),
    Edge("offset data", "float32 data around 1e7 is centred to a relative error below 1e-5",
         lambda s: len(s.centred()) == 1, _offset_data, strict=False),
)  # fmt: skip


def _is_logistic(subject: Subject) -> bool:
    """A loss of scalar functions of the data."""
    nodes = ex.topological(subject.program.output)
    data = getattr(subject.data, "expr", None)
    return subject.program.is_loss and any(n.op == "apply" and n.args[0] is data for n in nodes)


def _has_batch(subject: Subject) -> bool:
    """The first size counts samples: it is the number of rows of the data."""
    return subject.data is not None and subject.data.shape[0] == subject.program.sizes[0]



