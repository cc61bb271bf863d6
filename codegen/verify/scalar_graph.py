"""Scalar functions as expressions of the same primitive operations, for evaluation.

Input: an `apply` node, whose function is a SymPy expression. Output: an equal expression in
`add`, `hadamard`, `power`, `exp`, `log`, the functions without algebraic laws, and `choose` with
its conditions. The hyperbolic functions are written in exponentials.
"""

from __future__ import annotations

from fractions import Fraction
from functools import reduce
from typing import cast

import sympy as sp
from sympy.core.relational import Relational

from .. import expression as ex
from ..errors import UnsupportedPrimitive
from ..expression import Expr
from ..scalar import ScalarFunction

OPAQUE_FUNCTIONS = {sp.erf: "erf", sp.sin: "sin", sp.cos: "cos", sp.tan: "tan", sp.atan: "atan"}
_COMPARISONS = {">": "positive", "<": "positive", ">=": "nonnegative", "<=": "nonnegative"}


def expand(node: Expr) -> Expr:
    """An `apply` node written out on its operands."""
    f = cast(ScalarFunction, node.attr)
    return _Graph(dict(zip(f.variables, node.args, strict=True)), node.shape).value(f.expr)


def constant(name: str, shape: ex.Shape) -> Expr:
    """A constant such as pi in every entry."""
    return ex.scalar_repeat(ex.node("constant", (), ("1", "1"), name), shape)


class _Graph:
    def __init__(self, operands: dict[sp.Symbol, Expr], shape: ex.Shape) -> None:
        self._operands = operands
        self._shape = shape

    def value(self, expr: sp.Expr) -> Expr:
        if isinstance(expr, sp.Symbol):
            return self._operands[expr]
        if isinstance(expr, sp.Rational):
            return ex.scalar_repeat(ex.number(_fraction(expr)), self._shape)
        if expr == sp.pi:
            return constant("pi", self._shape)
        if expr == sp.E:
            return self._node("exp", self.value(sp.S.One))
        if isinstance(expr, sp.Add):
            return reduce(ex.add, map(self.value, expr.args))
        if isinstance(expr, sp.Mul):
            return reduce(ex.hadamard, map(self.value, expr.args))
        if isinstance(expr, sp.Pow):
            return self._power(expr)
        if isinstance(expr, sp.tanh | sp.sinh | sp.cosh):
            return self._hyperbolic(expr)
        if isinstance(expr, sp.erfc):
            return ex.number(1) - self.value(sp.erf(expr.args[0]))
        if isinstance(expr, sp.Piecewise):
            return self._piecewise(expr)
        if isinstance(expr, sp.exp | sp.log):
            return self._node(type(expr).__name__, self.value(expr.args[0]))
        if type(expr) in OPAQUE_FUNCTIONS:
            return self._node(OPAQUE_FUNCTIONS[type(expr)], self.value(expr.args[0]))
        if hasattr(expr, "definition"):
            return self.value(expr.definition())
        raise UnsupportedPrimitive(
            f"{type(expr).__name__} cannot be evaluated exactly; add it to verify.scalar_graph"
        )

    def _node(self, op: str, *args: Expr) -> Expr:
        return ex.node(op, args, self._shape)

    def _power(self, expr: sp.Pow) -> Expr:
        if isinstance(expr.exp, sp.Rational):
            return ex.power(self.value(expr.base), _fraction(expr.exp))
        return self._node("exp", self.value(sp.expand_mul(expr.exp * sp.log(expr.base))))

    def _hyperbolic(self, expr: sp.Expr) -> Expr:
        argument = self.value(expr.args[0])
        rising, falling = self._node("exp", argument), self._node("exp", ex.negate(argument))
        if isinstance(expr, sp.tanh):
            return (rising - falling) / (rising + falling)
        sign = ex.number(1 if isinstance(expr, sp.cosh) else -1)
        return (rising + sign * falling) * ex.number(Fraction(1, 2))

    def _piecewise(self, expr: sp.Piecewise) -> Expr:
        pairs = [(self.value(value), condition) for value, condition in expr.args]
        result = pairs[-1][0]
        for value, condition in reversed(pairs[:-1]):
            result = self._node("choose", self._condition(condition), value, result)
        return result

    def _condition(self, condition: sp.Basic) -> Expr:
        """A node with truth values: decided on the real values, never on residues."""
        if isinstance(condition, sp.And | sp.Or):
            op = "all_of" if isinstance(condition, sp.And) else "any_of"
            return self._node(op, *map(self._condition, condition.args))
        if isinstance(condition, sp.Not):
            return self._node("none_of", self._condition(condition.args[0]))
        if isinstance(condition, Relational) and condition.rel_op in _COMPARISONS:
            gap = self.value(condition.gts) - self.value(condition.lts)
            return self._node(_COMPARISONS[condition.rel_op], gap)
        raise UnsupportedPrimitive(f"the condition {condition} is no comparison of scalars")


def _fraction(value: sp.Rational) -> Fraction:
    return Fraction(int(value.p), int(value.q))
