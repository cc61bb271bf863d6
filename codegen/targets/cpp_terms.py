"""Sums and products taken apart: terms with signs, factors above and below the fraction bar."""

from __future__ import annotations

from fractions import Fraction

from .. import expression as ex
from ..expression import Expr
from ..text import negated

REPEATS = ("row_repeat", "column_repeat", "scalar_repeat")


def split_sum(expr: Expr) -> list[tuple[int, Expr]]:
    """Terms with their signs, looking through repetition of sums and of negated values."""
    if expr.op == "add":
        return [term for arg in expr.args for term in split_sum(arg)]
    if expr.op in REPEATS and expr.args[0].op == "add":
        return [(sign, ex.rebuild(expr, (term,))) for sign, term in split_sum(expr.args[0])]
    negative = negated(expr)
    return [(1, expr)] if negative is None else [(-1, negative)]


def split_product(expr: Expr) -> tuple[Fraction, list[Expr], list[Expr]]:
    """The number, the factors above and those below the fraction bar, without repetition."""
    value, above, below = Fraction(1), [], []

    def visit(part: Expr) -> None:
        nonlocal value
        number = ex.number_of(part)
        if number is not None:
            value *= number
        elif part.op == "hadamard":
            for arg in part.args:
                visit(arg)
        elif part.op in REPEATS:
            visit(part.args[0])
        elif part.op == "power" and isinstance(part.attr, Fraction) and part.attr == -1:
            number, over, under = split_product(part.args[0])
            value /= number
            above.extend(under)
            below.extend(over)
        else:
            above.append(part)

    visit(expr)
    return value, above, below


def indices_of(expr: Expr, i: str, j: str) -> set[str]:
    """The index variables an entry depends on."""
    found: set[str] = set()
    if expr.op in ("identity", "Diag", "diag", "rows_select", "columns_select"):
        found |= {i, j}
    if expr.op == "symbol":
        found |= ({i} if expr.rows != "1" else set()) | ({j} if expr.cols != "1" else set())
    for arg in expr.args:
        found |= indices_of(arg, j, i) if expr.op == "transpose" else indices_of(arg, i, j)
    return found - {""}
