"""Matrix expressions as plain text, with repetition left to broadcasting, as NumPy reads them."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import sympy as sp

from . import expression as ex
from .expression import Expr
from .scalar import ScalarFunction

_SUM, _PRODUCT, _UNARY, _ATOM = 1, 2, 3, 4


def to_text(expr: Expr, names: Mapping[Expr, str] | None = None) -> str:
    """One line; nodes in `names` are written by name."""
    return _text(expr, dict(names or {}), top=True)[0]


def _text(expr: Expr, names: dict[Expr, str], top: bool = False) -> tuple[str, int]:
    if expr in names and not top:
        return names[expr], _ATOM
    if expr.op == "add":
        left, _ = _text(expr.args[0], names)
        negative = negated(expr.args[1])
        if negative is not None:
            return f"{left} - {_at_least(_PRODUCT, negative, names)}", _SUM
        return f"{left} + {_text(expr.args[1], names)[0]}", _SUM
    if expr.op in ("hadamard", "target_product"):
        return _product_text(expr, names), _PRODUCT
    if expr.op == "matmul":
        return " @ ".join(_at_least(_UNARY, a, names) for a in expr.args), _PRODUCT
    if expr.op == "transpose":
        return f"{_at_least(_ATOM, expr.args[0], names)}^T", _ATOM
    if expr.op in ("row_repeat", "column_repeat", "scalar_repeat"):
        return _text(expr.args[0], names)
    if expr.op == "power":
        return _power_text(expr, names)
    if expr.op == "apply":
        return apply_text(expr, [_text(a, names)[0] for a in expr.args]), _ATOM
    if expr.op == "step_power":
        base, exponent = (_at_least(_ATOM, a, names) for a in expr.args)
        return f"{base}^{exponent}", _UNARY
    if expr.op in ("symbol", "size", "step"):
        return str(expr.attr), _ATOM
    if expr.op == "number":
        value = expr.attr
        assert isinstance(value, Fraction)
        if value.denominator == 1:
            return str(value), _ATOM if value >= 0 else _SUM
        return str(value), _PRODUCT if value >= 0 else _SUM
    if expr.op == "identity":
        return "I", _ATOM
    return f"{expr.op}({_text(expr.args[0], names)[0]})", _ATOM


def _at_least(level: int, expr: Expr, names: dict[Expr, str]) -> str:
    text, own = _text(expr, names)
    return text if own >= level else f"({text})"


def negated(expr: Expr) -> Expr | None:
    """B where the expression is -B."""
    while expr.op in ("row_repeat", "column_repeat", "scalar_repeat") and expr.args[0].op in (
        "hadamard", "number", "row_repeat", "column_repeat", "scalar_repeat",
    ):  # fmt: skip
        inner = negated(expr.args[0])
        return None if inner is None else ex.rebuild(expr, (inner,))
    if expr.op == "number":
        assert isinstance(expr.attr, Fraction)
        return ex.number(-expr.attr) if expr.attr < 0 else None
    if expr.op == "hadamard":
        value = ex.number_of(expr.args[0])
        if value is not None and value < 0:
            return ex.hadamard(ex.lift(-value), expr.args[1])
        if value is None:
            first = negated(expr.args[0])
            if first is not None:
                return ex.hadamard(first, expr.args[1])
    return None


def _product_text(expr: Expr, names: dict[Expr, str]) -> str:
    above, below = factors_of(expr, names)
    numbers = [ex.number_of(f) for f in above]
    plain = [f for f, n in zip(above, numbers, strict=True) if n is None]
    value = Fraction(1)
    for n in numbers:
        value *= n if n is not None else 1
    parts = [_at_least(_PRODUCT + (i > 0), f, names) for i, f in enumerate(plain)]
    if abs(value.numerator) != 1 or not parts:
        parts.insert(0, str(abs(value.numerator)))
    under = [_at_least(_UNARY, f, names) for f in below]
    if value.denominator != 1:
        under.insert(0, str(value.denominator))
    text = " * ".join(parts)
    if under:
        text += " / " + (under[0] if len(under) == 1 else f"({' * '.join(under)})")
    return f"-{text}" if value < 0 else text


def factors_of(
    expr: Expr, names: Mapping[Expr, str]
) -> tuple[list[Expr], list[Expr]]:
    """Factors above and below the fraction bar; repetition is looked through, names are not."""
    above: list[Expr] = []
    below: list[Expr] = []

    def visit(part: Expr, top: bool = False) -> None:
        if part in names and not top:
            above.append(part)
        elif part.op in ("hadamard", "target_product"):
            for arg in part.args:
                visit(arg)
        elif part.op in ("row_repeat", "column_repeat", "scalar_repeat"):
            visit(part.args[0])
        elif part.op == "power" and isinstance(part.attr, Fraction) and part.attr < 0:
            if part.attr == Fraction(-1, 2):
                below.append(ex.power(part.args[0], Fraction(1, 2)))
            else:
                below.append(ex.power(part.args[0], -part.attr))
        else:
            above.append(part)

    visit(expr, top=True)
    return above, below


def _power_text(expr: Expr, names: dict[Expr, str]) -> tuple[str, int]:
    exponent = expr.attr
    assert isinstance(exponent, Fraction)
    base = expr.args[0]
    if exponent == Fraction(1, 2):
        return f"sqrt({_text(base, names)[0]})", _ATOM
    if exponent == Fraction(-1, 2):
        return f"1 / sqrt({_text(base, names)[0]})", _PRODUCT
    if exponent < 0:
        positive = ex.power(base, -exponent)
        return f"1 / {_at_least(_UNARY, positive, names)}", _PRODUCT
    shown = str(exponent) if exponent.denominator == 1 else f"({exponent})"
    return f"{_at_least(_ATOM, base, names)}^{shown}", _UNARY


def apply_text(expr: Expr, arguments: list[str]) -> str:
    """f(X), or the formula where the function is a derivative."""
    f = expr.attr
    assert isinstance(f, ScalarFunction)
    return f"{f.name.replace('_prime', chr(39))}({', '.join(arguments)})"


def scalar_text(expr: sp.Expr) -> str:
    """A scalar expression as SymPy prints it."""
    return str(sp.sstr(expr))
