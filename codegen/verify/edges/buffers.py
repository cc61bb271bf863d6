"""Promises about memory: layouts of the inputs, buffers for the results, nothing else touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .subject import Arguments, Array, Edge, Subject, raises, require, same_bits, same_results


def _layouts(array: Array) -> Iterator[tuple[str, Array]]:
    """The same numbers, laid out in other ways."""
    yield "every second entry", _spread(array, 2)
    yield "negative strides", _spread(array[(slice(None, None, -1),) * array.ndim], 1)[
        (slice(None, None, -1),) * array.ndim
    ]
    misaligned = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    misaligned[...] = array
    yield "misaligned", misaligned
    readonly = array.copy()
    readonly.flags.writeable = False
    yield "read-only", readonly
    if array.ndim == 2:
        yield "Fortran order", np.asfortranarray(array)
        yield "rows of a wider array", np.hstack([array, array])[:, : array.shape[1]]


def _spread(array: Array, step: int) -> Array:
    wide = np.zeros([n * step for n in array.shape], array.dtype)
    view = wide[tuple(slice(None, None, step) for _ in array.shape)]
    view[...] = array
    return view


def _input_layouts(subject: Subject, backend: Any) -> None:
    for dtype in ("float64", "float32"):
        arguments = subject.arguments(subject.sample(rows=5), dtype)
        wanted = subject.run(backend, arguments)
        for name, value in arguments.items():
            if not isinstance(value, np.ndarray):
                continue
            for layout, view in _layouts(value):
                found = subject.run(backend, {**arguments, name: view})
                same_results(subject, wanted, found, f"{name} with {layout}")


def _zero_strides(subject: Subject, backend: Any) -> None:
    arguments = subject.arguments(subject.sample())
    for name, value in arguments.items():
        if isinstance(value, np.ndarray) and value.ndim == 2 and not _is_target(subject, name):
            repeated = np.broadcast_to(value[:1], value.shape)
            wanted = subject.run(backend, {**arguments, name: repeated.copy()})
            found = subject.run(backend, {**arguments, name: repeated})
            same_results(subject, wanted, found, f"{name} with zero strides")


def _is_target(subject: Subject, name: str) -> bool:
    return subject.target is not None and subject.target.name == name


def _inputs_unchanged(subject: Subject, backend: Any) -> None:
    arguments = subject.arguments(subject.sample())
    before = {n: v.copy() for n, v in arguments.items() if isinstance(v, np.ndarray)}
    results = subject.run(backend, arguments)
    for name, copy in before.items():
        require(same_bits(copy, arguments[name]), f"{subject.name}: {name} was changed")
        for result, value in results.items():
            shared = isinstance(value, np.ndarray) and np.shares_memory(value, arguments[name])
            require(not shared, f"{subject.name}: {result} shares memory with {name}")


def _vjp_is_both(subject: Subject, backend: Any) -> None:
    """The pullback may be called twice, and gives what `backward` gives."""
    program = subject.program
    for dtype in ("float64", "float32"):
        arguments = subject.arguments(subject.sample(), dtype)
        output, pullback = backend.vjp(*(arguments[i.name] for i in program.inputs))
        results = _named(subject, pullback(arguments[program.upstream]))
        again = _named(subject, pullback(arguments[program.upstream]))
        same_results(subject, results, again, "a second call of the pullback")
        forward, backward = _calls(subject, backend, arguments)
        same_results(subject, {"the output": _first(subject, forward())}, {"the output": output}, "vjp")
        same_results(subject, _named(subject, backward()), results, "vjp")
        require(np.asarray(output).dtype == dtype, f"{subject.name}: the output is {np.asarray(output).dtype}")


def _first(subject: Subject, forward: Any) -> Any:
    return forward[0] if subject.derivation.kernel.extra_results else forward


def _named(subject: Subject, gradients: Any) -> Arguments:
    names = subject.derivation.kernel.gradient_names
    several = gradients if len(names) > 1 else (gradients,)
    return dict(zip(names, several, strict=True))


_Call = Callable[..., Any]


def _calls(subject: Subject, backend: Any, arguments: Arguments) -> tuple[_Call, _Call]:
    """`forward` and `backward` with their arguments; options are still to be given."""
    kernel, program = subject.derivation.kernel, subject.program
    given = [arguments[i.name] for i in program.inputs]
    forward = backend.forward(*given)
    results = forward if kernel.extra_results else (forward,)
    known = {**arguments, **dict(zip(kernel.forward.results, results, strict=True))}
    names = [n for n, _ in kernel.backward.arguments if n != "scale"]
    return (
        lambda **options: backend.forward(*given, **options),
        lambda **options: backend.backward(*(known[n] for n in names), **options),
    )


def _both(subject: Subject, backend: Any, dtype: str = "float64") -> Iterator[tuple[str, _Call, tuple[Any, ...]]]:
    """`forward` and `backward`, each with its results as a tuple."""
    arguments = subject.arguments(subject.sample(rows=5), dtype)
    for name, call in zip(("forward", "backward"), _calls(subject, backend, arguments), strict=True):
        result = call()
        several = isinstance(result, tuple)
        yield name, _packing(call, several), result if several else (result,)


def _packing(call: _Call, several: bool) -> _Call:
    """The call with its buffers as a tuple, its results as a tuple."""

    def packed(buffers: tuple[Any, ...]) -> tuple[Any, ...]:
        result = call(out=buffers if several else buffers[0])
        return result if several else (result,)

    return packed


def _out(subject: Subject, backend: Any) -> None:
    for name, call, wanted in _both(subject, backend):
        for layout in ("C", "F", "spread", "misaligned"):
            buffers = tuple(_buffer(w, layout) for w in wanted)
            found = call(buffers)
            for place, buffer in enumerate(buffers):
                what = f"{subject.name}: {name} with out in layout {layout}"
                require(same_bits(buffer, wanted[place]), f"{what} holds {buffer}, not {wanted[place]}")
                require(found[place] is buffer, f"{what}: another array is returned")
        partly = tuple(_buffer(w, "C") if i else None for i, w in enumerate(wanted))
        for place, value in enumerate(call(partly)):
            require(same_bits(value, wanted[place]), f"{subject.name}: {name} with None in out")


def _buffer(like: Any, layout: str) -> Array:
    array = np.asarray(like)
    if layout == "misaligned":
        raw = np.zeros(array.nbytes + 1, np.uint8)[1:]
        return raw.view(array.dtype).reshape(array.shape)
    if layout == "spread" and array.ndim:
        return _spread(np.full_like(array, 7), 2)
    return np.full_like(array, 7, order="F" if layout == "F" else "C")  # type: ignore[call-overload,no-any-return]


def _wrong_out(subject: Subject, backend: Any) -> None:
    for name, call, wanted in _both(subject, backend):
        for place, result in enumerate(wanted):
            array = np.asarray(result)
            frozen = array.copy()
            frozen.flags.writeable = False
            other = np.zeros((*array.shape[:-1], array.shape[-1] + 1) if array.ndim else (1,))
            wrong: list[tuple[type[Exception], Any]] = [
                (ValueError, frozen), (ValueError, other), (ValueError, np.zeros((1, *array.shape))),
                (TypeError, array.astype("float16")), (TypeError, array.astype(int)),
                (TypeError, [0.0]), (TypeError, "text"),
            ]  # fmt: skip
            for kind, buffer in wrong:
                buffers = tuple(buffer if i == place else None for i in range(len(wanted)))
                raises(subject, kind, ["out"], lambda call=call, buffers=buffers: call(buffers),
                       f"{subject.name}: {name} with a wrong out")  # fmt: skip


def _wrong_tuples(subject: Subject, backend: Any) -> None:
    arguments = subject.arguments(subject.sample())
    for call in _calls(subject, backend, arguments):
        result = call()
        if not isinstance(result, tuple):
            continue
        for out in (result[0].copy() if np.ndim(result[0]) else np.zeros(()), (None,) * (len(result) + 1), ()):
            raises(subject, (TypeError, ValueError), ["out"], lambda call=call, out=out: call(out=out),
                   f"{subject.name}: out = {type(out).__name__} for {len(result)} results")  # fmt: skip


def _overlaps(subject: Subject, backend: Any) -> None:
    """A result written over an input, or over a part of it, is right all the same."""
    for dtype in ("float64", "float32"):
        arguments = subject.arguments(subject.sample(rows=6), dtype)
        for direction, name in _pairs(subject, arguments):
            for shift in (0, 3, arguments[name].size - 1):
                _overlap(subject, backend, arguments, direction, name, shift)
    tall = subject.tall_arguments()
    for direction, name in _pairs(subject, tall):
        _overlap(subject, backend, tall, direction, name, 3)


def _pairs(subject: Subject, arguments: Arguments) -> Iterator[tuple[int, str]]:
    """Forward (0) or backward (1), and an array it takes."""
    for direction in range(2):
        for name in _argument_names(subject, direction):
            if isinstance(arguments.get(name), np.ndarray):
                yield direction, name


def _argument_names(subject: Subject, direction: int) -> list[str]:
    if direction == 0:
        return [i.name for i in subject.program.inputs]
    return [n for n, _ in subject.derivation.kernel.backward.arguments]


def _overlap(
    subject: Subject, backend: Any, plain: Arguments, direction: int, name: str, shift: int
) -> None:
    call = _calls(subject, backend, plain)[direction]
    result = call()
    wanted = result if isinstance(result, tuple) else (result,)
    value = plain[name]
    for place, like in enumerate(wanted):
        if np.ndim(like) == 0 or like.dtype != value.dtype:
            continue
        store = np.zeros(2 * max(value.size, like.size) + 8, value.dtype)
        source = store[: value.size].reshape(value.shape)
        source[...] = value
        target = store[shift : shift + like.size].reshape(like.shape)
        call = _calls(subject, backend, {**plain, name: source})[direction]
        buffers = tuple(target if i == place else None for i in range(len(wanted)))
        found = _packing(call, len(wanted) > 1)(buffers)
        require(found[place] is target, f"{subject.name}: out over {name} is not returned")
        for i, right in enumerate(wanted):
            require(
                same_bits(found[i], right),
                f"{subject.name}: out over {name}, {shift} entries on: result {i} is wrong",
            )


def _overlapping_outs(subject: Subject, backend: Any) -> None:
    """Two results in one buffer cannot both be right."""
    for name, call, wanted in _both(subject, backend):
        arrays = [(i, w) for i, w in enumerate(wanted) if np.ndim(w)]
        for i, one in arrays:
            for j, other in arrays:
                if i < j and one.shape == other.shape and one.dtype == other.dtype:
                    shared = np.zeros_like(one)
                    buffers = tuple(shared if k in (i, j) else None for k in range(len(wanted)))
                    raises(subject, ValueError, ["out"], lambda call=call, buffers=buffers: call(buffers),
                           f"{subject.name}: {name} with one buffer for two results")  # fmt: skip


def _always(_: Subject) -> bool:
    return True


def _several(subject: Subject) -> bool:
    return bool(subject.derivation.kernel.extra_results) or len(subject.program.variables) > 1


BUFFERS = (
    Edge("layouts", "strided, reversed, Fortran-ordered and misaligned inputs give the same bits",
         _always, _input_layouts, face=True),
    Edge("zero strides", "repeated rows without memory of their own give the same bits",
         _always, _zero_strides, face=True),
    Edge("inputs unchanged", "no input is written to, no result shares memory with one",
         _always, _inputs_unchanged, face=True),
    Edge("vjp", "vjp, forward and backward give the same bits, in the dtype of the inputs",
         _always, _vjp_is_both, face=True),
    Edge("out", "results are written to the buffers given, whatever their layout, and returned",
         _always, _out, face=True),
    Edge("wrong out", "read-only buffers and wrong shapes raise ValueError, wrong dtypes TypeError",
         _always, _wrong_out, face=True),
    Edge("out tuples", "several results take a tuple of as many buffers",
         _several, _wrong_tuples, face=True),
    Edge("out over inputs", "a buffer that overlaps an input, wholly or partly, holds the right result",
         _always, _overlaps, face=True),
    Edge("out over out", "one buffer for two results raises ValueError",
         _several, _overlapping_outs, face=True),
)  # fmt: skip
