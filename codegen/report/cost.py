"""What a routine costs: operations and values moved, as polynomials in the sizes.

Input: routines of a kernel. Output: `Cost`, with counts such as 3 N K + 2 K. Model: every node of a
statement is computed once at its own shape; a pass reads each array it needs once and writes each
result once; a product reads its operands once. A kernel that recomputes cheap values in a second
pass does more arithmetic than is counted here, not more traffic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp

from .. import expression as ex
from ..errors import GradwrightError
from ..expression import Expr, Shape
from ..routine import Kernel, Routine
from ..scalar import ScalarFunction
from ..schedule import Pass, Product, schedule
from ..sparse import ENTRIES, PATTERN_ARGUMENTS, pattern_of
from ..stable import stable_scalar
from ..text import negated

EXAMPLE_SIZES = {"N": 100, "K": 1024, "D": 784, ENTRIES: 8028}  # a hundredth of K D
_OTHER_SIZE = 64
_REDUCTIONS = ("rows_sum", "columns_sum", "elements_sum", "rows_mean", "columns_mean", "rows_max",
               "columns_max", "rows_shift", "columns_shift")  # fmt: skip
_ROOTS = (Fraction(1, 2), Fraction(-1, 2))


class Count:
    """A polynomial in the sizes with natural coefficients."""

    def __init__(self, terms: Mapping[tuple[str, ...], int] | None = None) -> None:
        self.terms = Counter({dims: n for dims, n in (terms or {}).items() if n})

    def __add__(self, other: Count) -> Count:
        return Count(self.terms + other.terms)

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __str__(self) -> str:
        ordered = sorted(self.terms.items(), key=lambda item: (-len(item[0]), item[0]))
        return " + ".join(_term(dims, n) for dims, n in ordered) or "0"

    def at(self, sizes: Mapping[str, int]) -> int:
        total = 0
        for dims, number in self.terms.items():
            for dim in dims:
                number *= sizes.get(dim, _OTHER_SIZE)
            total += number
        return total


def _term(dims: tuple[str, ...], number: int) -> str:
    shown = list(dims) if number == 1 and dims else [str(number), *dims]
    return " ".join(shown)


def entries_of(*shapes: Shape) -> Count:
    """The number of entries of matrices."""
    return Count(Counter(tuple(sorted((d for d in s if d != "1"), key=_rank)) for s in shapes))


def _rank(dim: str) -> tuple[bool, str]:
    """Samples first: N K, not K N."""
    return dim != "N", dim


@dataclass
class Operations:
    """Additions include subtractions and comparisons; divisions include square roots."""

    additions: Count
    multiplications: Count
    divisions: Count
    transcendental: Count

    def add(self, kind: str, shape: Shape, times: int = 1) -> None:
        found = Count({dims: n * times for dims, n in entries_of(shape).terms.items()})
        setattr(self, kind, getattr(self, kind) + found)


@dataclass(frozen=True)
class Cost:
    """Counts of one routine; `moved` counts array entries read or written."""

    operations: Operations
    moved: Count


def routine_cost(routine: Routine) -> Cost:
    return Cost(operations(s.expr for s in routine.statements), values_moved(routine))


def saved_values(kernel: Kernel) -> list[tuple[str, Shape]]:
    """Arrays that stay in memory between the passes: what `backward` reads beside DY."""
    pattern = pattern_of(kernel.program)
    found = []
    for name, shape in kernel.backward.arguments[1:]:
        if pattern is not None and name == pattern.name:
            found.append((PATTERN_ARGUMENTS[0], ("1", ENTRIES)))
        elif shape != ("1", "1"):
            found.append((name, shape))
    return found


def operations(exprs: Iterable[Expr]) -> Operations:
    """Operations of statements; a node shared within one statement counts once."""
    total = Operations(Count(), Count(), Count(), Count())
    for expr in exprs:
        for node in ex.topological(expr):
            _count(node, total)
    return total


def _count(node: Expr, total: Operations) -> None:
    op, shape = node.op, node.shape
    if op == "add":
        total.add("additions", shape)
    elif op in ("hadamard", "target_product"):
        left, right = node.args
        if ex.number_of(left) == -1 or negated(node) is right:
            return
        divided = any(_is_quotient(a) for a in node.args)
        if not divided:
            total.add("multiplications", shape)
    elif op == "matmul":
        inner = node.args[0].cols
        product = tuple(sorted((d for d in (*shape, inner) if d != "1"), key=_rank))
        total.additions += Count({product: 1})
        total.multiplications += Count({product: 1})
    elif op in ("sparse_product", "sampled_product"):
        samples = node.args[0].rows
        for kind in ("additions", "multiplications"):
            total.add(kind, (samples, ENTRIES))
    elif op in _REDUCTIONS:
        total.add("additions", node.args[0].shape)
        if op.endswith("mean"):
            total.add("divisions", shape)
    elif op in ("rows_select", "columns_select"):
        total.add("additions", shape, 2)
    elif op == "at_least_one":
        total.add("additions", shape)
    elif op in ("exp", "log"):
        total.add("transcendental", shape)
    elif op == "power":
        _count_power(node.attr, shape, total)
    elif op == "apply" and isinstance(node.attr, ScalarFunction):
        _count_scalar(node.attr, shape, total)


def _is_quotient(node: Expr) -> bool:
    while node.op in ("row_repeat", "column_repeat", "scalar_repeat"):
        node = node.args[0]
    return node.op == "power" and isinstance(node.attr, Fraction) and node.attr == -1


def _count_power(exponent: object, shape: Shape, total: Operations) -> None:
    assert isinstance(exponent, Fraction)
    if exponent in _ROOTS:
        total.add("divisions", shape, 1 + (exponent < 0))
    elif exponent.denominator != 1:
        total.add("transcendental", shape)
    else:
        total.add("multiplications", shape, abs(exponent.numerator) - 1)
        total.add("divisions", shape, int(exponent < 0))


def _count_scalar(f: ScalarFunction, shape: Shape, total: Operations) -> None:
    """Operations of the stable form; parts that occur twice count once."""
    try:
        expr = stable_scalar(f).expr
    except GradwrightError:
        expr = f.expr
    for part in dict.fromkeys(sp.postorder_traversal(expr)):
        if isinstance(part, sp.Add):
            total.add("additions", shape, len(part.args) - 1)
        elif isinstance(part, sp.Mul):
            total.add("multiplications", shape, sum(a != -1 for a in part.args) - 1)
        elif isinstance(part, sp.exp) or (isinstance(part, sp.Function) and part.args
                                          and not isinstance(part, sp.Piecewise)):
            total.add("transcendental", shape)
        elif isinstance(part, sp.Pow) and part.free_symbols:
            exponent = part.exp
            if exponent.is_Rational:
                _count_power(Fraction(int(exponent.p), int(exponent.q)), shape, total)
            else:
                total.add("transcendental", shape)
        elif isinstance(part, sp.core.relational.Relational):
            total.add("additions", shape)


def values_moved(routine: Routine) -> Count:
    """Entries read and written by the scheduled passes, products and vector statements."""
    total = Count()
    for step in schedule(routine):
        if isinstance(step, Pass):
            inner = [*step.body, *step.accumulated]
            made = {s.name for s in step.body}
            written = [*step.stored, *(s.name for s in step.accumulated)]
            read = [n for n in ex.symbols_of(*(s.expr for s in inner)) if n not in made]
        elif isinstance(step, Product):
            read = ex.symbols_of(step.left, step.right, step.epilogue)
            read, written = [n for n in read if n != step.target], [step.target]
        else:
            read, written = ex.symbols_of(step.statement.expr), [step.statement.name]
        for name in [*dict.fromkeys(read), *written]:
            shape = routine.shape(name)
            if shape != ("1", "1"):
                total += entries_of(shape)
    return total
