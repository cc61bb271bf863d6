"""Expressions as operations in place: every step writes into the array that holds the value so far.

Input: an expression of the size of a block. Output: operations in order, and their source. What a
step cannot compute in place it computes in an array of its own, as plain NumPy would.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from .. import expression as ex
from ..expression import Expr
from ..schedule import width
from ..text import negated
from .numpy_printer import NumpyPrinter, bare, factors
from .numpy_scalar import ATOM, PRODUCT, SUM, UNARY

_INFIX = {"np.add": ("+", SUM, SUM), "np.subtract": ("-", SUM, PRODUCT),
          "np.multiply": ("*", UNARY, UNARY), "np.divide": ("/", PRODUCT, UNARY)}  # fmt: skip
_ROOTS = {Fraction(2): ("np.square",), Fraction(1, 2): ("np.sqrt",),
          Fraction(-1): ("np.reciprocal",), Fraction(-1, 2): ("np.sqrt", "np.reciprocal")}  # fmt: skip


@dataclass(frozen=True)
class Text:
    """Source of an operand and how strongly it binds; `HELD` is the array being computed."""

    source: str
    level: int = ATOM

    def at_least(self, level: int) -> str:
        return self.source if self.level >= level else f"({self.source})"


HELD = Text("")


@dataclass(frozen=True)
class Operation:
    """function(operands); without a function the one operand is the value. What is `late` goes on
    reading its operands after it began to write."""

    function: str
    operands: tuple[Text, ...]
    late: bool = False

    def mentions(self, name: str) -> bool:
        return any(re.search(rf"\b{name}\b", o.source) for o in self.operands)

    def call(self, held: str, out: str | None) -> str:
        if not self.function:
            return bare(self.operands[0].source)
        shown = [held if o is HELD else bare(o.source) for o in self.operands]
        return f"{self.function}({', '.join([*shown, *([f'out={out}'] if out else [])])})"

    def infix(self) -> str:
        """The first operation of a new array, as one would write it."""
        if self.function not in _INFIX:
            return self.call("", None)
        sign, left, right = _INFIX[self.function]
        first, second = self.operands
        return f"{first.at_least(left)} {sign} {second.at_least(right)}"

    def in_place(self, name: str) -> str:
        if self.function in _INFIX and self.operands[0] is HELD:
            return f"{name} {_INFIX[self.function][0]}= {bare(self.operands[1].source)}"
        return self.call(name, name)


def stored(operations: list[Operation], destination: str) -> list[str]:
    """Statements that compute into an array."""
    first, *rest = operations
    if not first.function:
        return [f"{destination}[...] = {first.call('', None)}"]
    return [first.call("", destination), *(o.call(destination, destination) for o in rest)]


def named(operations: list[Operation], name: str, storage: str | None) -> list[str]:
    """Statements that compute a value under a name, in a given array or a new one."""
    first, *rest = operations
    value = first.call("", storage) if storage and first.function else first.infix()
    return [f"{name} = {value}", *(o.in_place(name) for o in rest)]


def reads_late(operations: list[Operation], name: str) -> bool:
    """Whether a name is read after the first operation has written."""
    late = (o for i, o in enumerate(operations) if i or o.late)
    return any(o.mentions(name) for o in late)


def operations_of(printer: NumpyPrinter, expr: Expr) -> list[Operation]:
    """The steps of an expression, the costliest operand first."""
    rule = _RULES.get(expr.op)
    steps = rule(printer, expr) if rule is not None and width(expr.shape) == 2 else None
    return steps or [Operation("", (_text(printer, expr, expr.shape),))]


def _text(printer: NumpyPrinter, expr: Expr, shape: ex.Shape) -> Text:
    return Text(*printer.source(expr, shape))


def _is_plain(expr: Expr) -> bool:
    """A value that is there already, or a vector."""
    while expr.op in ("row_repeat", "column_repeat", "scalar_repeat"):
        expr = expr.args[0]
    return width(expr.shape) < 2 or expr.op in ("symbol", "number", "size")


def _start(printer: NumpyPrinter, expr: Expr, shape: ex.Shape) -> tuple[list[Operation], Text]:
    """Steps for an operand, and how the next step names it."""
    steps = [] if _is_plain(expr) else operations_of(printer, expr)
    if steps and steps[0].function:
        return steps, HELD
    return [], _text(printer, expr, shape)


def _sum(printer: NumpyPrinter, expr: Expr) -> list[Operation] | None:
    left, right = expr.args
    negative = negated(right)
    function = "np.add" if negative is None else "np.subtract"
    right = right if negative is None else negative
    if negative is not None and printer.is_precise_offset(right):
        printer.helpers.add("_difference")
        function = "_difference"
    elif printer.is_precise(expr):
        return None
    steps, first = _start(printer, left, expr.shape)
    if steps:
        return [*steps, Operation(function, (first, _text(printer, right, expr.shape)))]
    steps, second = _start(printer, right, expr.shape)
    return [*steps, Operation(function, (first, second))]


def _product(printer: NumpyPrinter, expr: Expr) -> list[Operation] | None:
    above, below = factors(expr)
    full = [f for f in above if width(f.shape) == 2]
    under = [f for f in below if width(f.shape) == 2]
    scale = printer.scale(above, below, expr.shape)
    head = [Text(scale, UNARY)] if scale else []
    if not full:
        return _quotient(printer, expr, head or [Text("1")], under)
    costly = next((f for f in full if not _is_plain(f)), full[0])
    steps, first = _start(printer, costly, expr.shape)
    waiting = [*head, *(_text(printer, f, expr.shape) for f in full if f is not costly)]
    if not steps and waiting:
        steps = [Operation("np.multiply", (waiting.pop(0), first))]
    elif not steps and under:
        steps = [Operation("np.divide", (first, _text(printer, under.pop(0), expr.shape)))]
    elif not steps:
        return None
    steps += [Operation("np.multiply", (HELD, t)) for t in waiting]
    return steps + [Operation("np.divide", (HELD, _text(printer, f, expr.shape))) for f in under]


def _quotient(
    printer: NumpyPrinter, expr: Expr, head: list[Text], under: list[Expr]
) -> list[Operation] | None:
    if not under:
        return None
    steps, first = _start(printer, under[0], expr.shape)
    steps = [*steps, Operation("np.divide", (head[0], first))]
    return steps + [Operation("np.divide", (HELD, _text(printer, f, expr.shape))) for f in under[1:]]


def _function(printer: NumpyPrinter, expr: Expr) -> list[Operation]:
    steps, first = _start(printer, expr.args[0], expr.shape)
    return [*steps, Operation(f"np.{expr.op}", (first,))]


def _power(printer: NumpyPrinter, expr: Expr) -> list[Operation] | None:
    assert isinstance(expr.attr, Fraction)
    if expr.attr not in _ROOTS:
        return None
    steps, first = _start(printer, expr.args[0], expr.shape)
    for name in _ROOTS[expr.attr]:
        steps, first = [*steps, Operation(name, (first,))], HELD
    return steps


def _apply(printer: NumpyPrinter, expr: Expr) -> list[Operation]:
    """Scalar functions read their argument after they began to write: never from there."""
    name = printer.function_with_out(expr)
    operands = tuple(_text(printer, a, expr.shape) for a in expr.args)
    return [Operation(name, operands, late=True)]


def _target_product(printer: NumpyPrinter, expr: Expr) -> list[Operation]:
    target, value = expr.args
    printer.helpers.add("_target_product")
    steps, second = _start(printer, value, expr.shape)
    operands = (_text(printer, target, expr.shape), second)
    return [*steps, Operation("_target_product", operands, late=True)]


_RULES: dict[str, Callable[[NumpyPrinter, Expr], list[Operation] | None]] = {
    "add": _sum, "hadamard": _product, "exp": _function, "log": _function, "power": _power,
    "apply": _apply, "target_product": _target_product,
}  # fmt: skip
