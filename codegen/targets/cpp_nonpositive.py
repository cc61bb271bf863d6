"""Exponents that are at most zero, for which a cheaper exponential exists.

They come from the stable forms: A minus its maximum, and minus the logarithm of the sum of the
exponentials of that, or A minus the logarithm of the sum of its exponentials. Guaranteed up to
rounding for values computed by the layer's own forward pass.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..expression import Expr
from ..routine import Routine
from ..text import negated
from .cpp_terms import REPEATS

_SHIFTS = ("rows_shift", "columns_shift")


@dataclass(frozen=True)
class NonPositive:
    """Judges exponents of `routine`, which may read saved values of `forward`."""

    forward: Routine
    routine: Routine

    def __call__(self, exponent: Expr) -> bool:
        difference = self._definition(exponent)
        if difference.op != "add":
            return False
        subtracted = negated(difference.args[1])
        if subtracted is None:
            return False
        while subtracted.op in REPEATS:
            subtracted = subtracted.args[0]
        data = difference.args[0]
        return self._bounds(subtracted, data) or (self._is_nonnegative(subtracted) and self(data))

    def _definition(self, expr: Expr) -> Expr:
        """What a name stands for."""
        if expr.op == "symbol":
            for routine in (self.routine, self.forward):
                for statement in routine.statements:
                    if statement.name == expr.attr:
                        return statement.expr
        return expr

    def _is_nonnegative(self, value: Expr) -> bool:
        """Whether a vector is the logarithm of what is at least one."""
        value = self._definition(value)
        return value.op == "log" and self._definition(value.args[0]).op == "at_least_one"

    def _bounds(self, value: Expr, data: Expr) -> bool:
        """Whether a vector is the maximum of the data, or the logarithm of a sum plus that."""
        value = self._definition(value)
        if value.op in _SHIFTS:
            return value.args[0] is data
        if value.op == "add" and value.args[0].op == "log":
            return self._bounds(value.args[1], data)
        return False
