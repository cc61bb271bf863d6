"""Scalar functions as NumPy source of array-valued variables."""

from __future__ import annotations

from fractions import Fraction

import sympy as sp

from ..errors import UnsupportedPrimitive
from ..scalar import ScalarFunction
from ..stable import StableScalar, sigmoid

SUM, PRODUCT, UNARY, ATOM = 1, 2, 3, 4
_SCALAR_FUNCTIONS = {
    "exp": "np.exp", "log": "np.log", "log1p": "np.log1p", "expm1": "np.expm1",
    "tanh": "np.tanh", "sinh": "np.sinh", "cosh": "np.cosh", "sin": "np.sin", "cos": "np.cos",
    "tan": "np.tan", "atan": "np.arctan", "sigmoid": "_sigmoid", "softplus": "_softplus",
    "erf": "_erf", "erfc": "_erfc", "erf_complement": "_erfc",
}  # fmt: skip
HELPERS = frozenset({"_sigmoid", "_softplus", "_erf", "_erfc"})


def number_source(value: object) -> tuple[str, int]:
    assert isinstance(value, Fraction)
    if value.denominator == 1:
        return str(value.numerator), ATOM if value >= 0 else UNARY
    if _is_short(value) or value.denominator > 10**6:
        return repr(float(value)), ATOM if value >= 0 else UNARY
    return f"{value.numerator} / {value.denominator}", PRODUCT


def _is_short(value: Fraction) -> bool:
    return Fraction(repr(float(value))) == value


def sigmoid_form(f: ScalarFunction) -> sp.Expr | None:
    return sigmoid(f.variables[0]) if len(f.variables) == 1 else None


def scalar_source(expr: sp.Expr, helpers: set[str]) -> str:
    """A stable scalar expression as NumPy source of array-valued variables."""
    return _scalar(expr, helpers)[0]


def function_name(expr: sp.Expr) -> str:
    """What calls a function in NumPy."""
    name = _SCALAR_FUNCTIONS.get(type(expr).__name__)
    if name is None:
        raise UnsupportedPrimitive(
            f"the NumPy printer has no function {type(expr).__name__}; add it to its table"
        )
    return name


def _scalar(expr: sp.Expr, helpers: set[str]) -> tuple[str, int]:
    if isinstance(expr, sp.Symbol):
        return expr.name, ATOM
    if expr.is_Rational:
        return number_source(Fraction(int(expr.p), int(expr.q)))
    if expr.is_number and not expr.has(sp.Function):
        return repr(float(expr.evalf(30))), ATOM
    if isinstance(expr, sp.Add):
        return _scalar_sum(expr, helpers), SUM
    if isinstance(expr, sp.Mul):
        return _scalar_product(expr, helpers), PRODUCT
    if isinstance(expr, sp.Pow):
        return _scalar_power(expr, helpers)
    if isinstance(expr, sp.Piecewise):
        return _scalar_branches(expr, helpers), ATOM
    name = function_name(expr)
    if name.startswith("_"):
        helpers.add(name)
    return f"{name}({_scalar(expr.args[0], helpers)[0]})", ATOM


def shared_calls(stable: StableScalar) -> tuple[list[tuple[str, sp.Expr]], sp.Expr]:
    """Functions that occur more than once, to be called once under their own names.

    In a sum sigmoid(-u) is 1 - sigmoid(u): the difference is small beside the other terms.
    """
    expr = stable.expr
    if isinstance(expr, sp.Add):
        for call in sorted(expr.atoms(sigmoid), key=sp.default_sort_key):
            opposite = sigmoid(-call.args[0])
            if expr.has(opposite) and not call.args[0].could_extract_minus_sign():
                expr = expr.subs(opposite, 1 - call, simultaneous=False)
    found: list[sp.Expr] = []
    for call in sorted(expr.atoms(sp.Function), key=sp.default_sort_key):
        uses = sum(part == call for part in sp.preorder_traversal(expr))
        if uses > 1 and not isinstance(call, sp.Piecewise):
            name = type(call).__name__ + ("" if not found else f"_{len(found) + 1}")
            found.append((name, call))
            expr = expr.xreplace({call: sp.Symbol(name, real=True)})
    return found, expr


def hides_nan(expr: sp.Expr, x: sp.Symbol) -> bool:
    """Whether some branch turns a NaN into a number: no comparison with NaN holds."""
    return any(
        x not in branches.args[-1].args[0].free_symbols for branches in expr.atoms(sp.Piecewise)
    )


def _paren(expr: sp.Expr, helpers: set[str], level: int) -> str:
    text, own = _scalar(expr, helpers)
    return text if own >= level else f"({text})"


def _scalar_sum(expr: sp.Add, helpers: set[str]) -> str:
    (sign, first), *rest = sum_parts(expr)
    text = _paren(first if sign == "+" else -first, helpers, SUM)
    return text + "".join(f" {sign} {_paren(term, helpers, PRODUCT)}" for sign, term in rest)


def sum_parts(expr: sp.Add) -> list[tuple[str, sp.Expr]]:
    """Signs and terms, those with a plus first."""
    terms = sorted(expr.args, key=lambda t: (t.could_extract_minus_sign(), sp.default_sort_key(t)))
    return [("-", -t) if t.could_extract_minus_sign() else ("+", t) for t in terms]


def _scalar_product(expr: sp.Mul, helpers: set[str]) -> str:
    number, above, below = product_parts(expr)
    parts = [_paren(a, helpers, UNARY) for a in above]
    if number == -1 and parts:
        parts = [f"-{parts[0]}", *parts[1:]]
    elif number != 1 or not parts:
        parts.insert(0, repr(float(number.evalf(30))))
    return " / ".join([" * ".join(parts), *(_paren(factor, helpers, UNARY) for factor in below)])


def product_parts(expr: sp.Mul) -> tuple[sp.Expr, list[sp.Expr], list[sp.Expr]]:
    """The number, and the other factors above and below the fraction bar."""
    number = sp.Mul(*(a for a in expr.args if a.is_number))
    others = [a for a in expr.args if not a.is_number]
    above = [a for a in others if not (a.is_Pow and a.exp.is_number and a.exp < 0)]
    return number, above, [1 / a for a in others if a not in above]


def _scalar_power(expr: sp.Pow, helpers: set[str]) -> tuple[str, int]:
    base, exponent = expr.args
    if exponent == sp.Rational(1, 2):
        return f"np.sqrt({_scalar(base, helpers)[0]})", ATOM
    if exponent.is_Rational and exponent < 0:
        return f"1.0 / {_paren(sp.Pow(base, -exponent), helpers, UNARY)}", PRODUCT
    if exponent == 2 and isinstance(base, sp.Symbol):
        return f"{base.name} * {base.name}", PRODUCT
    if exponent == 2:
        return f"np.square({_scalar(base, helpers)[0]})", ATOM
    if exponent.is_Integer and 2 < exponent <= 4:
        factor = _paren(base, helpers, UNARY)
        return " * ".join([factor] * int(exponent)), PRODUCT
    shown = _paren(exponent, helpers, ATOM)
    return f"{_paren(base, helpers, ATOM)} ** {shown}", UNARY


def _scalar_branches(expr: sp.Piecewise, helpers: set[str]) -> str:
    if [v for v, _ in expr.args] == [1, 0]:
        return f"({condition_source(expr.args[0][1], helpers)})"
    *branches, (last, _) = [(v, c) for v, c in expr.args]
    text = _scalar(last, helpers)[0]
    for value, condition in reversed(branches):
        text = f"np.where({condition_source(condition, helpers)}, {_scalar(value, helpers)[0]}, {text})"
    return text


def condition_source(condition: object, helpers: set[str]) -> str:
    """A condition as NumPy source."""
    if isinstance(condition, sp.And | sp.Or):
        joiner = " & " if isinstance(condition, sp.And) else " | "
        return joiner.join(f"({condition_source(c, helpers)})" for c in condition.args)
    if isinstance(condition, sp.Not):
        return f"~({condition_source(condition.args[0], helpers)})"
    left, right = (_scalar(a, helpers)[0] for a in condition.args)  # type: ignore[attr-defined]
    return f"{left} {condition.rel_op} {right}"  # type: ignore[attr-defined]
