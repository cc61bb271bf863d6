"""What a set of gradients costs: operations, and values kept from the forward pass.

The unit is one operation on N x K numbers. Longer formulas and unnamed values cost a little, so
that of two equally fast forms the more readable one is chosen. Used by `simplify` to compare forms
of the same gradients and by nothing else; it decides what is short, never what is right.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from . import expression as ex
from .expression import Expr
from .program import Program

_NAME_COST = Fraction(1, 5)
_RECOMPUTED = Fraction(2, 5)
_KEPT = 4
# The exponential of a raw input or of a seam overflows, that of a log-probability does not.
_OVERFLOW = 4
_OPERATIONS = {
    "exp": Fraction(3), "log": Fraction(3), "apply": Fraction(3), "power": Fraction(3, 2),
    "matmul": Fraction(20),
}  # fmt: skip
_FREE = ("row_repeat", "column_repeat", "scalar_repeat", "transpose", "number")
_NEVER_RECOMPUTED = ("matmul", "apply", "rows_select", "columns_select")


class CostModel:
    """Costs of gradients of one program."""

    def __init__(self, program: Program, leaves: Iterable[Expr] = ()) -> None:
        self._program = program
        self._raw = frozenset({i.expr for i in program.inputs} | set(leaves))
        self._forward = frozenset(n for n in ex.topological(program.output) if n.op != "symbol")

    def cost(self, gradients: Iterable[Expr]) -> Fraction:
        """The cost of computing all of them, shared parts once."""
        seen: set[Expr] = set()
        return sum((self._visit(g, seen) for g in gradients), Fraction(0))

    def _visit(self, node: Expr, seen: set[Expr]) -> Fraction:
        if node in seen:
            return Fraction(0)
        seen.add(node)
        weight = _weight(node)
        if node.op == "symbol" or node is self._program.output:
            return weight
        if node not in self._forward:
            return self._computed(node, seen, Fraction(1))
        kept = _KEPT * weight + self._overflow(node)
        kept += 0 if self._program.name_of(node) else _NAME_COST
        if weight < 1 or node.op in _NEVER_RECOMPUTED:
            return kept
        trial = set(seen)
        recomputed = self._computed(node, trial, _RECOMPUTED) - _NAME_COST
        if recomputed >= kept:
            return kept
        seen |= trial
        return recomputed

    def _computed(self, node: Expr, seen: set[Expr], share: Fraction) -> Fraction:
        own = Fraction(0)
        if node.op not in _FREE:
            reads = max([_weight(node), *(_weight(a) for a in node.args)])
            own = reads * _OPERATIONS.get(node.op, share) + _NAME_COST + self._overflow(node)
        return own + sum((self._visit(a, seen) for a in node.args), Fraction(0))


    def _overflow(self, node: Expr) -> int:
        return _OVERFLOW if node.op == "exp" and node.args[0] in self._raw else 0


def _weight(node: Expr) -> Fraction:
    wide = sum(d != "1" for d in node.shape)
    return (Fraction(1, 1000), Fraction(1, 30), Fraction(1))[wide]
