"""Scalar functions as formulas: the boxes of a SymPy expression.

SymPy's own presentation MathML has no branches and emits entities that are no XML, so the small
language of scalar functions is laid out here. Anything unknown is shown as SymPy writes it.
"""

from __future__ import annotations

import sympy as sp
from sympy.core.relational import Relational

from .formula import (
    Box,
    Call,
    Cases,
    Digits,
    Fenced,
    Lowered,
    Name,
    Operator,
    Over,
    Raised,
    Root,
    Summed,
    Times,
    Upright,
    Words,
    row,
    separated,
)  # fmt: skip
from .scalar import ScalarFunction, with_decimals

_SUM, _PRODUCT, _ATOM = 1, 2, 3
_SHOWN_AS = {"erf_complement": "erfc"}
_RELATIONS = {">": ">", ">=": "≥", "<": "<", "<=": "≤", "==": "=", "!=": "≠"}


def function_name(f: ScalarFunction) -> Box:
    """f, f′ for a derivative, ∂ with the variable below for a partial one."""
    base, *derivatives = f.name.split("_prime")
    partial = [part.strip("_") for part in derivatives]
    signs = [Lowered(Upright("∂"), Name(variable)) for variable in partial if variable]
    primes = [Operator("′") for variable in partial if not variable]
    return row(*signs, Name(base) if len(base) == 1 else Upright(base), *primes)


def definition(f: ScalarFunction, expr: sp.Expr | None = None) -> Box:
    """f(x, ...) = formula; `expr` is an equal formula to show instead."""
    arguments = tuple(Name(v.name) for v in f.variables)
    head = Call(function_name(f), arguments)
    return row(head, Operator("="), scalar_box(f.expr if expr is None else expr))


def scalar_box(expr: sp.Basic) -> Box:
    return _box(with_decimals(expr))[0]


def _at_least(level: int, expr: sp.Basic) -> Box:
    box, own = _box(expr)
    return box if own >= level else Fenced(box)


def _box(expr: sp.Basic) -> tuple[Box, int]:
    if isinstance(expr, sp.Symbol):
        return (Digits if expr.name[0].isdigit() else Name)(expr.name), _ATOM
    if expr in (sp.pi, sp.E):
        return Name("pi" if expr == sp.pi else "e"), _ATOM
    if isinstance(expr, sp.Integer) and expr >= 0:
        return Digits(str(expr)), _ATOM
    if isinstance(expr, sp.Add):
        return _sum(expr), _SUM
    if isinstance(expr, sp.Mul | sp.Rational):
        return _product(expr)
    if isinstance(expr, sp.exp):
        return Raised(Name("e"), scalar_box(expr.args[0])), _ATOM
    if isinstance(expr, sp.Pow):
        return _power(expr)
    if isinstance(expr, sp.Piecewise):
        return _branches(expr), _PRODUCT
    if isinstance(expr, sp.Sum):
        index, lower, upper = expr.limits[0]
        bounds = (scalar_box(index), scalar_box(lower), scalar_box(upper))
        return Summed(*bounds, _at_least(_PRODUCT, expr.function)), _SUM
    if isinstance(expr, sp.Indexed):
        indices = separated([scalar_box(i) for i in expr.indices], Operator(","))
        return Lowered(Name(str(expr.base)), indices), _ATOM
    if isinstance(expr, sp.Abs):
        return Fenced(scalar_box(expr.args[0]), "||"), _ATOM
    if isinstance(expr, sp.Function):
        name = type(expr).__name__
        arguments = tuple(scalar_box(a) for a in expr.args)
        return Call(Upright(_SHOWN_AS.get(name, name)), arguments), _ATOM
    return Words(str(expr)), _ATOM


def _sum(expr: sp.Add) -> Box:
    """Positive terms first, so that 1 - x does not begin with a minus."""
    terms = sorted(expr.as_ordered_terms(), key=lambda t: t.could_extract_minus_sign())
    parts: list[Box] = []
    for place, term in enumerate(terms):
        if term.could_extract_minus_sign():
            parts += [Operator("−", prefix=not place), _at_least(_PRODUCT, -term)]
        else:
            parts += [Operator("+")] * bool(place) + [_at_least(_PRODUCT, term)]
    return row(*parts)


def _product(expr: sp.Expr) -> tuple[Box, int]:
    if expr.could_extract_minus_sign():
        return row(Operator("−", prefix=True), _at_least(_PRODUCT, -expr)), _SUM
    above, below = _above_and_below(expr)
    level = _PRODUCT if len(above) + len(below) > 1 else _ATOM
    if not below:
        return _juxtaposed(above), level
    return Over(_juxtaposed(above) if above else Digits("1"), _juxtaposed(below)), _PRODUCT


def _above_and_below(expr: sp.Expr) -> tuple[list[sp.Expr], list[sp.Expr]]:
    """Factors of numerator and denominator; sqrt(2) / 2 is 1 / sqrt(2)."""
    numbers = [f for f in sp.Mul.make_args(expr) if f.is_number and f.is_algebraic]
    rest = [f for f in sp.Mul.make_args(expr) if f not in numbers]
    value = sp.Mul(*numbers)
    inverse_square = value**-2
    above: list[sp.Expr] = []
    below: list[sp.Expr] = []
    if not value.is_Rational and inverse_square.is_Integer:
        below.append(sp.sqrt(inverse_square))
    else:
        numerator, denominator = sp.fraction(value, exact=True)
        above += [f for f in sp.Mul.make_args(numerator) if f != 1]
        below += [f for f in sp.Mul.make_args(denominator) if f != 1]
    for factor in rest:
        base, exponent = factor.as_base_exp()
        if not isinstance(factor, sp.exp) and exponent.is_Rational and exponent < 0:
            below.append(sp.Pow(base, -exponent))
        else:
            above.append(factor)
    return above, below


def _juxtaposed(factors: list[sp.Expr]) -> Box:
    if len(factors) == 1:
        return scalar_box(factors[0])
    return separated([_at_least(_PRODUCT, f) for f in factors], Times())


def _power(expr: sp.Pow) -> tuple[Box, int]:
    base, exponent = expr.args
    if exponent == sp.Rational(1, 2):
        return Root(scalar_box(base)), _ATOM
    if exponent.is_Rational and exponent < 0:
        return Over(Digits("1"), scalar_box(sp.Pow(base, -exponent))), _PRODUCT
    if isinstance(base, sp.Function) and not isinstance(base, sp.exp | sp.Piecewise):
        head, _ = _box(base)
        assert isinstance(head, Call)
        return Call(Raised(head.function, scalar_box(exponent)), head.arguments), _ATOM
    lifted = Fenced(scalar_box(base)) if base.args else scalar_box(base)
    return Raised(lifted, scalar_box(exponent)), _ATOM


def _branches(expr: sp.Piecewise) -> Box:
    rows = []
    for value, condition in expr.args:
        otherwise = condition in (sp.true, True)
        shown = Words("otherwise") if otherwise else row(Words("if\N{NO-BREAK SPACE}"), _condition(condition))
        rows.append((scalar_box(value), shown))
    return Cases(tuple(rows))


def _condition(condition: sp.Basic) -> Box:
    if isinstance(condition, sp.And | sp.Or):
        sign = Operator("∧" if isinstance(condition, sp.And) else "∨")
        return separated([_condition(c) for c in sorted(condition.args, key=str)], sign)
    if isinstance(condition, sp.Not):
        return row(Operator("¬", prefix=True), Fenced(_condition(condition.args[0])))
    if isinstance(condition, Relational):
        sign = Operator(_RELATIONS[condition.rel_op])
        return row(scalar_box(condition.lhs), sign, scalar_box(condition.rhs))
    return Words(str(condition))
