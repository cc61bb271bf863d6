"""Reading data from a pickle without running what is in it.

A pickle is a program for a stack machine, and some of its instructions call functions by name.
Here only those that make numbers, texts, lists, dictionaries and NumPy arrays of plain numbers are
carried out, on plain values; any other one, and any other name, is refused. `pickletools` splits
the file into instructions and executes nothing.
"""

from __future__ import annotations

import io
import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .dataset import DataError

_MARK = object()
_CODECS = "_codecs encode"
_RECONSTRUCT = frozenset({
    "numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct",
})  # fmt: skip
_NAMES = _RECONSTRUCT | {"numpy ndarray", "numpy dtype", _CODECS}
_CODES = frozenset({"b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"})


@dataclass(frozen=True)
class _Name:
    """A name that the file would look up and call."""

    text: str


@dataclass
class _Type:
    """What `numpy.dtype` was called with; its state adds the byte order."""

    code: str
    order: str = "|"


@dataclass
class _Pending:
    """An array before its state: shape, type and bytes."""

    value: np.ndarray[Any, Any] | None = None


@dataclass
class _Machine:
    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def to_mark(self) -> list[Any]:
        place = max(i for i, item in enumerate(self.stack) if item is _MARK)
        items = self.stack[place + 1 :]
        del self.stack[place:]
        return items


def read_pickle(path: str | Path) -> Any:
    """The numbers, texts, lists, dictionaries and arrays of a pickle.

    Texts and bytes of Python 2 come as `bytes`. Raises DataError for anything that is not plain
    data, naming the instruction and its place, and for a file cut short.
    """
    path = Path(path)
    machine = _Machine()
    try:
        for opcode, argument, place in pickletools.genops(io.BytesIO(path.read_bytes())):
            try:
                _step(machine, opcode.name, argument)
            except DataError as error:
                raise DataError(f"{path}: byte {place}: {error}") from None
        (found,) = machine.stack
        return _plain(found, {})
    except DataError:
        raise
    except (LookupError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"{path}: is no whole pickle of data ({error}); fetch it again") from None


def _step(machine: _Machine, name: str, argument: Any) -> None:
    stack = machine.stack
    if name in _PUSHED:
        stack.append(_PUSHED[name](argument))
    elif name in _BUILT:
        _BUILT[name](machine)
    elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
        machine.memo[int(argument)] = stack[-1]
    elif name in ("GET", "BINGET", "LONG_BINGET"):
        stack.append(machine.memo[int(argument)])
    elif name == "GLOBAL":
        stack.append(_known(argument))
    elif name not in ("PROTO", "FRAME", "STOP"):
        raise DataError(
            f"the instruction {name} is refused: it is not needed for numbers, texts and arrays"
        )


def _known(text: str) -> _Name:
    if text not in _NAMES:
        raise DataError(
            f"the name {text.replace(' ', '.')} is refused: only NumPy arrays of plain numbers are "
            "read; do not load this file with pickle unless you trust its author"
        )
    return _Name(text)


def _old_text(argument: str) -> bytes:
    """A string of Python 2 is bytes; pickletools shows them as latin-1."""
    return argument.encode("latin-1")


def _text(argument: str) -> str:
    return argument


_PUSHED: dict[str, Callable[[Any], Any]] = {
    "MARK": lambda _: _MARK,
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), lambda n: n),
    **dict.fromkeys(("FLOAT", "BINFLOAT"), lambda x: x),
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING"), _old_text),
    **dict.fromkeys(("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), _text),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"), lambda b: b),
    "EMPTY_LIST": lambda _: [],
    "EMPTY_DICT": lambda _: {},
    "EMPTY_TUPLE": lambda _: (),
}


def _tuple(count: int) -> Callable[[_Machine], None]:
    def build(machine: _Machine) -> None:
        if len(machine.stack) < count:
            raise IndexError("the stack is empty")
        items = tuple(machine.stack[-count:])
        machine.stack[-count:] = [items]

    return build


def _set_items(machine: _Machine, items: list[Any]) -> None:
    target = machine.stack[-1]
    if not isinstance(target, dict):
        raise DataError("items of something that is no dictionary")
    for key, value in zip(items[::2], items[1::2], strict=True):
        target[key] = value


def _dictionary(machine: _Machine, items: list[Any]) -> None:
    machine.stack.append({})
    _set_items(machine, items)


def _extend(machine: _Machine, items: list[Any]) -> None:
    target = machine.stack[-1]
    if not isinstance(target, list):
        raise DataError("items of something that is no list")
    target.extend(items)


def _stack_global(machine: _Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(_known(f"{module} {name}"))


def _reduce(machine: _Machine) -> None:
    arguments, function = machine.stack.pop(), machine.stack.pop()
    if not isinstance(function, _Name) or not isinstance(arguments, tuple):
        raise DataError("a call of something that is no known name")
    if function.text in _RECONSTRUCT:
        machine.stack.append(_Pending())
    elif function.text == "numpy dtype":
        machine.stack.append(_type(arguments))
    elif function.text == _CODECS and len(arguments) == 2 and arguments[1] in ("latin1", b"latin1"):
        machine.stack.append(arguments[0].encode("latin-1"))
    else:
        raise DataError(f"a call of {function.text} that plain data do not need")


def _type(arguments: tuple[Any, ...]) -> _Type:
    code = arguments[0].decode("latin-1") if isinstance(arguments[0], bytes) else arguments[0]
    if code not in _CODES:
        raise DataError(f"an array of type {code!r} is refused: only plain numbers are read")
    return _Type(code)


def _build(machine: _Machine) -> None:
    state, target = machine.stack.pop(), machine.stack[-1]
    if isinstance(target, _Type) and isinstance(state, tuple) and len(state) >= 2:
        order = state[1].decode("latin-1") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "|", "="):
            raise DataError(f"an array with the byte order {order!r}")
        if any(part is not None for part in state[2:5]):
            raise DataError("an array of records is refused: only plain numbers are read")
        target.order = order
    elif isinstance(target, _Pending) and isinstance(state, tuple) and len(state) == 5:
        target.value = _array(*state[1:])
    else:
        raise DataError("the state of something that is no array")


def _array(shape: Any, kind: Any, fortran: Any, content: Any) -> np.ndarray[Any, Any]:
    valid = isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)
    if not valid or not isinstance(kind, _Type) or not isinstance(content, bytes):
        raise DataError("an array whose shape, type or bytes are missing")
    dtype = np.dtype(kind.order.replace("|", "=") + kind.code)
    if len(content) != math.prod(shape) * dtype.itemsize:
        raise DataError(f"an array of shape {shape} and type {dtype} with {len(content)} bytes")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")


_BUILT: dict[str, Callable[[_Machine], None]] = {
    "TUPLE": lambda m: m.stack.append(tuple(m.to_mark())),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "LIST": lambda m: m.stack.append(m.to_mark()),
    "DICT": lambda m: _dictionary(m, m.to_mark()),
    "APPEND": lambda m: _extend(m, [m.stack.pop()]),
    "APPENDS": lambda m: _extend(m, m.to_mark()),
    "SETITEM": lambda m: _set_items(m, [m.stack.pop(-2), m.stack.pop()]),
    "SETITEMS": lambda m: _set_items(m, m.to_mark()),
    "MEMOIZE": lambda m: m.memo.__setitem__(len(m.memo), m.stack[-1]),
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "BUILD": _build,
}


def _plain(value: Any, seen: dict[int, Any]) -> Any:
    """The value with its arrays filled in."""
    if isinstance(value, _Pending):
        if value.value is None:
            raise DataError("an array without content")
        return value.value
    if isinstance(value, list | dict | tuple):
        if id(value) not in seen:
            seen[id(value)] = _filled(value, seen)
        return seen[id(value)]
    if isinstance(value, _Name | _Type) or value is _MARK:
        raise DataError("a name where a value should be")
    return value


def _filled(value: list[Any] | dict[Any, Any] | tuple[Any, ...], seen: dict[int, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item, seen) for key, item in value.items()}
    return type(value)(_plain(item, seen) for item in value)
