"""Promises about arguments: types, dtypes, shapes, labels, hyperparameters, reductions, sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ... import expression as ex
from ...program import Input
from .subject import Arguments, Edge, Subject, raises, require, same_results

_WRONG_DTYPES = ("int64", "int32", "uint8", "bool", "float16", "complex128", "object", ">f8", "U3")


def _wrong_types(subject: Subject, backend: Any) -> None:
    arguments = subject.arguments(subject.sample())
    for item in subject.arrays:
        right = arguments[item.name]
        dtypes = _WRONG_DTYPES
        wrong: list[Any] = [right.astype(d) for d in dtypes if d != str(right.dtype)]
        wrong += [right.tolist(), tuple(right.tolist()), "text", None, 1.5, object()]
        for value in wrong:
            if isinstance(value, np.ndarray) and value.dtype.str == ">f8" and _is_copied(
                subject, backend, arguments, item, value
            ):
                continue
            shown = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
            raises(subject, TypeError, [item.name],
                   lambda item=item, value=value: subject.run(backend, {**arguments, item.name: value}),
                   f"{subject.name}: {item.name} of type {shown}")  # fmt: skip


def _is_copied(
    subject: Subject, backend: Any, arguments: Arguments, item: Input, value: Any
) -> bool:
    """Byte-swapped data may be copied, but never misread."""
    try:
        results = subject.run(backend, {**arguments, item.name: value})
    except TypeError:
        return False
    same_results(subject, subject.run(backend, arguments), results, f"byte-swapped {item.name}")
    return True


def _mixed_dtypes(subject: Subject, backend: Any) -> None:
    single, double = (subject.arguments(subject.sample(), d) for d in ("float32", "float64"))
    for item in subject.arrays:
        raises(subject, TypeError, ["float32", "float64"],
               lambda item=item: subject.run(backend, {**double, item.name: single[item.name]}),
               f"{subject.name}: float32 {item.name} among float64")  # fmt: skip


def _wrong_shapes(subject: Subject, backend: Any) -> None:
    """No broadcasting: of a row, of a column, of one entry, or by a further axis."""
    arguments = subject.arguments(subject.sample())
    for item in subject.arrays:
        right = arguments[item.name]
        wrong = [right[None], right[..., None], np.zeros(())]
        if right.ndim == 2:
            wrong += [right[:1], right[:, :1], right.T.copy(), right[0], right[:, 0], right.ravel()]
        for value in wrong:
            if value.shape == right.shape or _fits(subject, arguments, item, value):
                continue
            given = {**arguments, item.name: value}
            raises(subject, (ValueError, TypeError), [item.name],
                   lambda given=given: backend.forward(*(given[i.name] for i in subject.program.inputs)),
                   f"{subject.name}: {item.name} of shape {value.shape} for {right.shape}")  # fmt: skip


def _fits(subject: Subject, arguments: Arguments, item: Input, value: Any) -> bool:
    """Another shape that agrees with all other arguments."""
    shapes = {i.name: tuple(d for d in i.shape if d != "1") for i in subject.arrays}
    if value.ndim != len(shapes[item.name]):
        return False
    sizes: dict[str, int] = {}
    given = {**{n: np.shape(arguments[n]) for n in shapes}, item.name: value.shape}
    return all(
        sizes.setdefault(d, n) == n
        for name, dims in shapes.items()
        for d, n in zip(dims, given[name], strict=True)
    )


def _wrong_upstream(subject: Subject, backend: Any) -> None:
    program = subject.program
    arguments = subject.arguments(subject.sample())
    upstream = arguments[program.upstream]
    if program.is_loss:
        wrong: list[Any] = ["text", None, [1.0], np.ones(2), 1j]
    else:
        raises(subject, ValueError, [program.upstream],
               lambda: subject.run(backend, {**arguments, program.upstream: upstream[:-1]}),
               f"{subject.name}: an upstream gradient of another shape")  # fmt: skip
        wrong = [1.0, None, upstream.tolist(), upstream.astype(int)]
        if _reads_arrays(subject):
            wrong.append(upstream.astype(np.float32))
    for value in wrong:
        raises(subject, (TypeError, ValueError), [program.upstream],
               lambda value=value: subject.run(backend, {**arguments, program.upstream: value}),
               f"{subject.name}: {program.upstream} = {value!r}")  # fmt: skip


def _reads_arrays(subject: Subject) -> bool:
    """Whether backward takes arrays besides the upstream gradient, whose dtype it must share."""
    return len([n for n, s in subject.derivation.kernel.backward.arguments if set(s) != {"1"}]) > 1


def _wrong_saved(subject: Subject, backend: Any) -> None:
    """A saved value of another shape than the equations need."""
    kernel, program = subject.derivation.kernel, subject.program
    arguments = subject.arguments(subject.sample())
    given = [arguments[i.name] for i in program.inputs]
    forward = backend.forward(*given)
    results = forward if kernel.extra_results else (forward,)
    known = {**arguments, **dict(zip(kernel.forward.results, results, strict=True))}
    names = [n for n, _ in kernel.backward.arguments if n != "scale"]
    backend.backward(*(known[n] for n in names))
    for name in names:
        if np.ndim(known[name]) == 0 or name == program.upstream:
            continue
        wrong = known[name][:-1]
        others = [known[n] for n in names if n != name and np.ndim(known[n])]
        if not any(set(wrong.shape) ^ set(o.shape) for o in others):
            continue
        if len(others) == 0 or _is_alone(subject, name):
            continue
        raises(subject, ValueError, [name],
               lambda name=name, wrong=wrong: backend.backward(
                   *(wrong if n == name else known[n] for n in names)),
               f"{subject.name}: backward with {name} of shape {wrong.shape}")  # fmt: skip


def _is_alone(subject: Subject, name: str) -> bool:
    """No other argument of backward has the first size of this one."""
    shapes = dict(subject.derivation.kernel.backward.arguments)
    first = next(d for d in shapes[name] if d != "1")
    return not any(first in shape for other, shape in shapes.items() if other != name)


# Labels


def _labels(subject: Subject, backend: Any) -> None:
    """Integer labels are the rows of the identity, to rounding; their width makes no difference."""
    arguments = subject.arguments(subject.sample(rows=5))
    name, classes = subject.target.name, arguments[subject.target.name].shape[1]
    labels = np.arange(5) * 2 % classes
    rows = subject.run(backend, {**arguments, name: np.eye(classes)[labels]})
    wanted = subject.run(backend, {**arguments, name: labels.astype("int64")})
    for result, value in wanted.items():
        gap = np.abs(np.asarray(value) - rows[result]).max(initial=0.0)
        largest = np.abs(np.asarray(rows[result])).max(initial=0.0)
        require(gap <= 1e-14 * largest, f"{subject.name}: labels change {result} by {gap:.2g}")
    for dtype in ("int32", "int16", "uint8", "uint64", ">i4"):
        found = subject.run(backend, {**arguments, name: labels.astype(dtype)})
        same_results(subject, wanted, found, f"labels of {dtype}")
    found = subject.run(backend, {**arguments, name: np.repeat(labels, 2)[::2]})
    same_results(subject, wanted, found, "labels in a strided array")


def _wrong_labels(subject: Subject, backend: Any) -> None:
    arguments = subject.arguments(subject.sample())
    name, classes = subject.target.name, arguments[subject.target.name].shape[1]
    labels = np.array([0, 1, 0])
    for label in (classes, -1, 2**31, -(2**40)):
        raises(subject, IndexError, [name, str(label), f"0..{classes - 1}"],
               lambda label=label: subject.run(
                   backend, {**arguments, name: np.array([0, label, 0])}),
               f"{subject.name}: the label {label}")  # fmt: skip
    raises(subject, IndexError, [name],
           lambda: subject.run(backend, {**arguments, name: np.array([0, 2**64 - 1, 0], "u8")}),
           f"{subject.name}: a label of uint64")  # fmt: skip
    for wrong in (labels.astype(float), labels.astype(bool), labels.astype(object), labels.tolist()):
        raises(subject, TypeError, [name],
               lambda wrong=wrong: subject.run(backend, {**arguments, name: wrong}),
               f"{subject.name}: labels {wrong!r}")  # fmt: skip
    for shape in ((2,), (4,), (0,)):
        raises(subject, ValueError, [name],
               lambda shape=shape: subject.run(backend, {**arguments, name: np.zeros(shape, int)}),
               f"{subject.name}: labels of shape {shape}")  # fmt: skip
    for wrong in (labels[:, None], np.zeros((), int)):
        raises(subject, (TypeError, ValueError), [name],
               lambda wrong=wrong: subject.run(backend, {**arguments, name: wrong}),
               f"{subject.name}: labels of shape {wrong.shape}")  # fmt: skip


# Numbers and options

_OUTSIDE: Mapping[str, tuple[float, ...]] = {
    "positive": (0.0, -1.0, float("nan"), float("inf")),
    "nonnegative": (-1e-9, float("nan"), float("inf")),
    "unit": (-0.1, 1.0, float("nan")),
    "share": (-1e-9, 1 + 1e-9, float("nan")),
    "real": (float("nan"), float("inf")),
}


def _hyperparameters(subject: Subject, backend: Any) -> None:
    arguments = subject.arguments(subject.sample())
    wanted = subject.run(backend, arguments)
    for item in subject.hyperparameters:
        for wrong in ("1", None, True, 1j, [1.0], np.ones(2)):
            raises(subject, TypeError, [item.name],
                   lambda item=item, wrong=wrong: subject.run(
                       backend, {**arguments, item.name: wrong}),
                   f"{subject.name}: {item.name} = {wrong!r}")  # fmt: skip
        for value in _OUTSIDE[item.domain]:
            raises(subject, ValueError, [item.name],
                   lambda item=item, value=value: subject.run(
                       backend, {**arguments, item.name: value}),
                   f"{subject.name}: {item.name} = {value}")  # fmt: skip
        number = np.float64(arguments[item.name])
        found = subject.run(backend, {**arguments, item.name: number})
        same_results(subject, wanted, found, f"{item.name} as a NumPy number")


def _data_domains(subject: Subject, backend: Any) -> None:
    arguments = subject.arguments(subject.sample())
    for item in subject.arrays:
        if item.domain not in ("positive", "nonnegative"):
            continue
        wrong = arguments[item.name].copy()
        wrong.flat[1] = -0.5 if item.domain == "nonnegative" else 0.0
        raises(subject, ValueError, [item.name],
               lambda item=item, wrong=wrong: subject.run(backend, {**arguments, item.name: wrong}),
               f"{subject.name}: {item.name} outside its domain")  # fmt: skip


def _reductions(subject: Subject, backend: Any) -> None:
    program = subject.program
    arguments = subject.arguments(subject.sample())
    mean, total = (subject.run(backend, arguments, r) for r in ("mean", "sum"))
    divisor = float(subject.exact(subject.sample()).reference.value(program.divisor)[0, 0])
    for name, value in mean.items():
        gap = np.abs(np.asarray(value) * divisor - total[name]).max()
        scale = np.abs(total[name]).max()
        require(gap <= 1e-14 * scale, f"{subject.name}: {name} of the sum is not {divisor} times the mean's")
    for wrong in ("average", "", None, 1):
        raises(subject, (ValueError, TypeError), ["reduction"],
               lambda wrong=wrong: subject.run(backend, arguments, wrong),
               f"{subject.name}: reduction = {wrong!r}")  # fmt: skip


def _huge_sizes(subject: Subject, backend: Any) -> None:
    """Inputs without entries, whose sizes belong to a result that no memory holds."""
    shape = _new_shape(subject)
    assert shape is not None
    given = []
    for item in subject.program.inputs:
        dims = tuple(2**31 if d in shape else 0 for d in item.shape if d != "1")
        given.append(np.broadcast_to(np.zeros((), np.float64), dims) if dims else 1.0)
    raises(subject, OverflowError, [], lambda: backend.forward(*given),
           f"{subject.name}: a result of 2^31 x 2^31 entries")  # fmt: skip


def _new_shape(subject: Subject) -> tuple[str, str] | None:
    """A product's shape that no input has, where the inputs can be empty and nothing is summed
    along them first."""
    nodes = ex.topological(subject.program.output)
    if any(n.op.endswith(("_sum", "_mean", "_max")) for n in nodes):
        return None
    for node in nodes:
        operands = (a.args[0] if a.op == "transpose" else a for a in node.args)
        direct = node.op == "matmul" and all(a.op == "symbol" for a in operands)
        if direct and "1" not in node.shape:
            dims = set(node.shape)
            if not any(dims >= {d for d in i.shape if d != "1"} and "1" not in i.shape
                       for i in subject.program.inputs):  # fmt: skip
                return node.shape
    return None


def _signatures(subject: Subject, backend: Any) -> None:
    arguments = subject.arguments(subject.sample())
    given = [arguments[i.name] for i in subject.program.inputs]
    for call in (
        lambda: backend.forward(), lambda: backend.forward(*given, *[1.0] * 9),
        lambda: backend.forward(*given, no_such_argument=1), lambda: backend.backward(),
    ):  # fmt: skip
        raises_type_error(subject, call)


def raises_type_error(subject: Subject, call: Any) -> None:
    try:
        call()
    except TypeError:
        return
    require(False, f"{subject.name}: a call with missing or unknown arguments is accepted")


def _always(_: Subject) -> bool:
    return True


ARGUMENTS = (
    Edge("types", "anything but an array of float32 or float64 raises TypeError with its name",
         _always, _wrong_types, face=True),
    Edge("mixed dtypes", "float32 among float64 raises TypeError that names both",
         lambda s: len(s.arrays) > 1, _mixed_dtypes, face=True),
    Edge("shapes", "arrays of another shape raise ValueError with their name; nothing is broadcast",
         _always, _wrong_shapes, face=True),
    Edge("upstream gradient", "an upstream gradient of another shape or type is refused by name",
         _always, _wrong_upstream, face=True),
    Edge("saved values", "a saved value of another shape raises ValueError with its name",
         _always, _wrong_saved, face=True),
    Edge("labels", "integer labels of every dtype give what one-hot rows give, in every bit",
         lambda s: s.target is not None, _labels, face=True),
    Edge("wrong labels", "labels out of range raise IndexError with label and range",
         lambda s: s.target is not None, _wrong_labels, face=True),
    Edge("hyperparameters", "wrong types raise TypeError, values outside the domain ValueError",
         lambda s: bool(s.hyperparameters), _hyperparameters, face=True),
    Edge("data domains", "negative variances and the like raise ValueError",
         lambda s: any(i.domain in ("positive", "nonnegative") for i in s.arrays),
         _data_domains, face=True),
    Edge("reduction", "sum is the divisor times mean; any other word raises ValueError",
         lambda s: s.program.divisor is not None, _reductions, face=True),
    Edge("huge sizes", "sizes whose product overflows raise OverflowError before any allocation",
         lambda s: _new_shape(s) is not None and not s.program.is_loss, _huge_sizes, face=True),
    Edge("signature", "missing and unknown arguments raise TypeError",
         _always, _signatures, face=True),
)  # fmt: skip
