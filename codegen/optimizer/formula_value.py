"""Values of theorems' formulas in any number system, sums and powers for given whole numbers."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import reduce
from operator import add, mul
from typing import Any

import sympy as sp

from ..errors import UnsupportedPrimitive
from .evaluate import Numbers


def formula_value(
    form: sp.Expr, values: Mapping[str, Any], steps: Mapping[str, int], numbers: Numbers
) -> Any:
    """The value of a formula.

    `values` holds numbers by name, and a list g[0], g[1], ... for a sequence; `steps` holds whole
    numbers by name: the number of steps and indices of sums.
    """
    return _Evaluation(values, numbers).value(form, dict(steps))


class _Evaluation:
    def __init__(self, values: Mapping[str, Any], numbers: Numbers) -> None:
        self._values = values
        self._numbers = numbers

    def value(self, form: sp.Expr, steps: dict[str, int]) -> Any:
        if form.is_Rational:
            return self._numbers.number(Fraction(int(form.p), int(form.q)))
        if isinstance(form, sp.Symbol):
            if form.name in steps:
                return self._numbers.number(Fraction(steps[form.name]))
            return self._values[form.name]
        if isinstance(form, sp.Indexed):
            return self._values[str(form.base)][_whole(form.indices[0], steps)]
        if isinstance(form, sp.Add | sp.Mul):
            operation = add if isinstance(form, sp.Add) else mul
            return reduce(operation, (self.value(a, steps) for a in form.args))
        if isinstance(form, sp.Pow):
            return self._power(form, steps)
        if isinstance(form, sp.Sum):
            return self._sum(form, steps)
        if isinstance(form, sp.Abs | sp.sign):
            name = "abs" if isinstance(form, sp.Abs) else "sign"
            return self._numbers.function(name, self.value(form.args[0], steps))
        raise UnsupportedPrimitive(f"theorems know no {type(form).__name__}: {form}")

    def _power(self, form: sp.Pow, steps: dict[str, int]) -> Any:
        base, exponent = form.as_base_exp()
        value = self.value(base, steps)
        if exponent.is_Rational and exponent.q == 2:
            value, exponent = self._numbers.sqrt(value), 2 * exponent
        whole = _whole(exponent, steps)
        if whole < 0:
            return self._numbers.number(Fraction(1)) / value ** -whole
        return value**whole

    def _sum(self, form: sp.Sum, steps: dict[str, int]) -> Any:
        *inner, (index, first, last) = form.limits
        body = sp.Sum(form.function, *inner) if inner else form.function
        places = range(int(first), _whole(last, steps) + 1)
        terms = (self.value(body, steps | {index.name: place}) for place in places)
        return reduce(add, terms, self._numbers.number(Fraction(0)))


def _whole(expr: sp.Expr, steps: Mapping[str, int]) -> int:
    """The value of an index or exponent."""
    return int(expr.xreplace({s: sp.Integer(steps[s.name]) for s in expr.free_symbols}))
