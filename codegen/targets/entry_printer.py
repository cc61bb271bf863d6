"""Formulas of single entries as source text: what optimizers need of a target's language.

Input: scalar formulas, the names of arrays, a `Syntax`. Output: expressions in the order of the
script. Parts without arrays are computed once, in the language's double precision, and then
rounded to the type of the entries.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction

from .. import expression as ex
from ..errors import UnsupportedPrimitive
from ..expression import Expr
from ..optimizer.evaluate import standard_function
from ..scalar import ScalarFunction
from ..text import factors_of, negated

_SUM, _PRODUCT, _ATOM = 1, 2, 3


@dataclass(frozen=True)
class Syntax:
    """How a language writes what differs between languages.

    `functions` names sqrt, square, abs, sign, tanh, exp and log; `rounded` writes a double as a
    number of the entries' type. A quotient takes as long as ten products where both are vectors.
    """

    functions: Mapping[str, str]
    entry: Callable[[str], str]
    number: Callable[[Fraction], str]
    step_power: Callable[[str, str], str]
    rounded: Callable[[str], str]
    multiplies_by_reciprocals: bool = False  # of numbers that are the same for all entries


class EntryPrinter:
    """Prints formulas in which the names in `local` hold entries and those in `arrays` arrays."""

    def __init__(self, syntax: Syntax, arrays: Collection[str], local: Collection[str]) -> None:
        self._syntax = syntax
        self._arrays = frozenset(arrays)
        self._entries = frozenset(arrays) | frozenset(local)

    def show(self, expr: Expr) -> str:
        return self._show(expr)[0]

    def double(self, expr: Expr) -> str:
        """A formula without arrays, in double precision."""
        return _ScalarPrinter(self._syntax).show(expr)

    def _is_scalar(self, expr: Expr) -> bool:
        return not self._entries.intersection(ex.symbols_of(expr))

    def _at_least(self, level: int, expr: Expr) -> str:
        text, own = self._show(expr)
        return text if own >= level else f"({text})"

    def _show(self, expr: Expr) -> tuple[str, int]:
        if self._is_scalar(expr):
            text, level = _ScalarPrinter(self._syntax).place(expr)
            rounded = self._syntax.rounded(text)
            return rounded, level if rounded == text else _ATOM
        return self.place(expr)

    def place(self, expr: Expr) -> tuple[str, int]:
        """Text and binding strength."""
        if expr.op == "symbol":
            name = str(expr.attr)
            return self._syntax.entry(name) if name in self._arrays else name, _ATOM
        if expr.op == "add":
            return self._sum(expr), _SUM
        if expr.op == "hadamard" or (expr.op == "power" and Fraction(str(expr.attr)) < 0):
            return self._product(expr), _PRODUCT
        if expr.op == "power":
            return self._power(expr.args[0], Fraction(str(expr.attr))), _ATOM
        if expr.op == "apply" and isinstance(expr.attr, ScalarFunction):
            return self._call(standard_function(expr.attr), expr.args[0]), _ATOM
        if expr.op in ("exp", "log"):
            return self._call(expr.op, expr.args[0]), _ATOM
        raise UnsupportedPrimitive(f"update rules have no {expr.op}; add it to the entry printer")

    def _sum(self, expr: Expr) -> str:
        left, right = expr.args
        negative = negated(right)
        sign, shown = ("+", right) if negative is None else ("-", negative)
        return f"{self._at_least(_SUM, left)} {sign} {self._at_least(_PRODUCT, shown)}"

    def _product(self, expr: Expr) -> str:
        positive = negated(expr)
        if positive is not None:
            return f"-{self._at_least(_PRODUCT, positive)}"
        above, below = factors_of(expr, {})
        if self._syntax.multiplies_by_reciprocals:
            inverted = [f for f in below if self._is_scalar(f)]
            above = [*(ex.power(f, Fraction(-1)) for f in inverted), *above]
            below = [f for f in below if f not in inverted]
        scalars = [f for f in above if self._is_scalar(f)]
        parts = [self._at_least(_PRODUCT, _product_of(scalars))] if scalars else []
        parts += [self._at_least(_ATOM, f) for f in above if not self._is_scalar(f)]
        text = " * ".join(parts) or self._at_least(_PRODUCT, ex.number(1))
        return "".join([text, *(f" / {self._at_least(_ATOM, f)}" for f in below)])

    def _power(self, base: Expr, exponent: Fraction) -> str:
        if exponent == Fraction(1, 2):
            return self._call("sqrt", base)
        if exponent == 2:
            return self._call("square", base)
        if exponent.denominator == 1:
            factor = self._at_least(_ATOM, base)
            return f"({' * '.join([factor] * int(exponent))})"
        raise UnsupportedPrimitive(f"update rules have square roots, not the power {exponent}")

    def _call(self, name: str, argument: Expr) -> str:
        return f"{self._syntax.functions[name]}({self.show(argument)})"


class _ScalarPrinter(EntryPrinter):
    """Prints formulas of hyperparameters and the step, in double precision."""

    def __init__(self, syntax: Syntax) -> None:
        super().__init__(syntax, (), ())

    def _is_scalar(self, _expr: Expr) -> bool:
        return False

    def place(self, expr: Expr) -> tuple[str, int]:
        if expr.op == "number":
            value = Fraction(str(expr.attr))
            return self._syntax.number(value), _ATOM if value >= 0 else _SUM
        if expr.op == "step":
            return str(expr.attr), _ATOM
        if expr.op == "step_power":
            base, exponent = expr.args
            return self._syntax.step_power(self._at_least(_ATOM, base), str(exponent.attr)), _ATOM
        return super().place(expr)


def _product_of(factors: list[Expr]) -> Expr:
    result = factors[0]
    for factor in factors[1:]:
        result = ex.hadamard(result, factor)
    return result
