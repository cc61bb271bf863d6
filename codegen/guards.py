"""Targets: 0 (.) inf = 0 where a target, or a product of it and other data, multiplies.

Statements are guarded one after another, because later ones read what earlier ones hold.
"""

from __future__ import annotations

from fractions import Fraction

from . import expression as ex
from .expression import Expr, Shape
from .primitives import target_product
from .program import Program
from .saving import depends_on_arrays
from .text import factors_of


class Guard:
    """Guards the statements of one routine."""

    def __init__(self, program: Program) -> None:
        self._targets = {i.name for i in program.inputs if i.role == "target"}
        self._data = {i.name for i in program.inputs if i.role != "variable"}
        self._logarithms: set[str] = set()

    def note(self, name: str, expr: Expr) -> None:
        """Remember what a statement holds."""
        if _has_log(expr) or self._logarithms & set(ex.symbols_of(expr)):
            self._logarithms.add(name)
        if self._is_data(expr):
            self._data.add(name)
            self._targets |= {name} if self._targets & set(ex.symbols_of(expr)) else set()

    def __call__(self, expr: Expr) -> Expr:
        """0 (.) inf = 0 where a target, or a product of it and other data, multiplies what may be
        infinite."""
        if not self._targets:
            return expr
        done: dict[Expr, Expr] = {}
        for node in ex.topological(expr):
            args = tuple(done[a] for a in node.args)
            new = node if args == node.args else ex.rebuild(node, args)
            done[node] = self._guard_product(new) if node.op == "hadamard" else new
        return done[expr]

    def _guard_product(self, node: Expr) -> Expr:
        above, below = factors_of(node, {})
        factors = above + [ex.power(b, Fraction(-1)) for b in below]
        target = [f for f in factors if self._is_data(f)]
        unbounded = [f for f in factors if f not in target and self._may_be_infinite(f)]
        guarded = any(f.op == "target_product" for f in factors)
        if guarded or not unbounded or not self._targets & set(ex.symbols_of(*target)):
            return node
        rest = [f for f in factors if f not in target and f not in unbounded]
        product = target_product(_times(target, node.shape), _times(unbounded, node.shape))
        return ex.hadamard(_times(rest, node.shape), product) if rest else product

    def _is_data(self, factor: Expr) -> bool:
        """Without a gradient, as targets and weights are."""
        names = ex.symbols_of(factor)
        return bool(names) and self._data.issuperset(names)

    def _may_be_infinite(self, factor: Expr) -> bool:
        """Logarithms, quotients, and values computed from logarithms."""
        return _has_log(factor) or bool(self._logarithms & set(ex.symbols_of(factor)))


def _has_log(expr: Expr) -> bool:
    return any(
        n.op == "log"
        or (
            n.op == "power" and isinstance(n.attr, Fraction) and n.attr < 0 and depends_on_arrays(n)
        )
        or (n.op == "apply" and "log" in getattr(n.attr, "name", ""))
        for n in ex.topological(expr)
    )


def _times(factors: list[Expr], shape: Shape) -> Expr:
    total = _repeated(factors[0], shape)
    for factor in factors[1:]:
        total = ex.hadamard(total, _repeated(factor, shape))
    return total


def _repeated(value: Expr, shape: Shape) -> Expr:
    if value.shape == shape:
        return value
    if value.is_scalar:
        return ex.scalar_repeat(value, shape)
    if value.rows == "1" and shape[0] != "1":
        return ex.row_repeat(value, shape[0])
    return ex.column_repeat(value, shape[1])
