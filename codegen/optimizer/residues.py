"""Residues modulo the Mersenne prime 2^61 - 1, with square roots: exact random evaluation.

-1 is no square here, so the squares play the positive numbers: each has one root that is a square
itself, which is the root; |x| is the root of x^2, and x / |x| is 1 or -1. An identity of real
rational functions, roots, absolute values and signs holds for residues wherever all roots exist;
a false one holds at random residues with probability at most degree / 2^61 (Schwartz, Zippel).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy as sp

from ..errors import UnsupportedPrimitive

PRIME = 2**61 - 1


class NoRootError(Exception):
    """The square root of a non-square, or a division by zero: draw other values."""


@dataclass(frozen=True)
class Residue:
    """A number modulo PRIME."""

    value: int

    def __add__(self, other: Residue) -> Residue:
        return Residue((self.value + other.value) % PRIME)

    def __sub__(self, other: Residue) -> Residue:
        return Residue((self.value - other.value) % PRIME)

    def __mul__(self, other: Residue) -> Residue:
        return Residue(self.value * other.value % PRIME)

    def __truediv__(self, other: Residue) -> Residue:
        return self * other**-1

    def __pow__(self, exponent: int) -> Residue:
        if exponent < 0 and self.value == 0:
            raise NoRootError
        return Residue(pow(self.value, exponent, PRIME))


class Residues:
    """What update rules need of residues."""

    def number(self, value: Fraction) -> Residue:
        return Residue(value.numerator * pow(value.denominator, -1, PRIME) % PRIME)

    def sqrt(self, value: Residue) -> Residue:
        root = value ** ((PRIME + 1) // 4)
        if root * root != value:
            raise NoRootError
        return root

    def function(self, name: str, value: Residue) -> Residue:
        if name == "abs":
            return self.sqrt(value * value)
        if name == "sign":
            return value / self.sqrt(value * value)
        raise UnsupportedPrimitive(f"{name} has no exact values; the finite check knows abs, sign")

    def draw(self, rng: random.Random) -> Residue:
        """A number that is not zero, positive or negative with equal odds."""
        return Residue(rng.randrange(1, PRIME))


RESIDUES = Residues()


def evaluate_form(form: sp.Expr, values: Mapping[str, Any], steps: Mapping[str, int]) -> Residue:
    """The residue of a theorem's formula.

    `values` holds residues by name, and a list g[0], g[1], ... for a sequence; `steps` holds whole
    numbers by name: the number of steps and indices of sums.
    """
    return _evaluate(form, values, dict(steps))


def _evaluate(form: sp.Expr, values: Mapping[str, Any], steps: dict[str, int]) -> Residue:
    if form.is_Rational:
        return RESIDUES.number(Fraction(int(form.p), int(form.q)))
    if isinstance(form, sp.Symbol):
        if form.name in steps:
            return RESIDUES.number(Fraction(steps[form.name]))
        return _residue(values[form.name])
    if isinstance(form, sp.Indexed):
        return _residue(values[str(form.base)][_whole(form.indices[0], steps)])
    if isinstance(form, sp.Add | sp.Mul):
        total, *rest = (_evaluate(a, values, steps) for a in form.args)
        for part in rest:
            total = total + part if isinstance(form, sp.Add) else total * part
        return total
    if isinstance(form, sp.Pow):
        base, exponent = form.as_base_exp()
        if exponent.is_Rational and exponent.q == 2:
            return RESIDUES.sqrt(_evaluate(base, values, steps)) ** int(exponent.p)
        return _evaluate(base, values, steps) ** _whole(exponent, steps)
    if isinstance(form, sp.Sum):
        *inner, (index, first, last) = form.limits
        body = sp.Sum(form.function, *inner) if inner else form.function
        total = RESIDUES.number(Fraction(0))
        for place in range(int(first), _whole(last, steps) + 1):
            total = total + _evaluate(body, values, steps | {index.name: place})
        return total
    if isinstance(form, sp.Abs | sp.sign):
        name = "abs" if isinstance(form, sp.Abs) else "sign"
        return RESIDUES.function(name, _evaluate(form.args[0], values, steps))
    raise UnsupportedPrimitive(f"theorems know no {type(form).__name__}: {form}")


def _residue(value: Any) -> Residue:
    assert isinstance(value, Residue)
    return value


def _whole(expr: sp.Expr, steps: Mapping[str, int]) -> int:
    """The value of an index or exponent."""
    found = expr.xreplace({s: sp.Integer(steps[s.name]) for s in expr.free_symbols})
    return int(found)
