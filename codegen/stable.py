"""Scalar functions in a form that floating point can evaluate.

Input: a scalar function, or its derivative, as SymPy differentiated it. Output: an equal
expression in `sigmoid`, `softplus`, `log1p`, `expm1`, `tanh` and `erf_complement`, and a bound for
its argument where the plain formula would be infinity times zero. Guaranteed: the forms are proved
equal by the kernel; bounds are set only where the function has reached its limit. Not guaranteed:
a form that is finite wherever its function is; level P5 looks, and states where it is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mpmath
import sympy as sp

from .scalar import ScalarFunction, equal

# Far beyond the range in which exponentials, and then rational functions, still change in float64.
ARGUMENT_BOUNDS = (10_000, 10**30)


class sigmoid(sp.Function):
    """1 / (1 + exp(-x))."""

    nargs = 1

    def definition(self) -> sp.Expr:
        return 1 / (1 + sp.exp(-self.args[0]))


class softplus(sp.Function):
    """log(1 + exp(x))."""

    nargs = 1

    def definition(self) -> sp.Expr:
        return sp.log(1 + sp.exp(self.args[0]))


class log1p(sp.Function):
    """log(1 + x)."""

    nargs = 1

    def definition(self) -> sp.Expr:
        return sp.log(1 + self.args[0])


class expm1(sp.Function):
    """exp(x) - 1."""

    nargs = 1

    def definition(self) -> sp.Expr:
        return sp.exp(self.args[0]) - 1


class erf_complement(sp.Function):
    """1 - erf(x), without SymPy's habit of writing erfc(-x) as 2 - erfc(x)."""

    nargs = 1

    def definition(self) -> sp.Expr:
        return 1 - sp.erf(self.args[0])


@dataclass(frozen=True)
class StableScalar:
    """`expr` in the function's variables, the first of which is bounded by -`bound` if `lower`, and
    by `bound` if `upper`."""

    function: ScalarFunction
    expr: sp.Expr
    lower: bool
    upper: bool
    bound: int = ARGUMENT_BOUNDS[0]


def stable_scalar(f: ScalarFunction) -> StableScalar:
    """The stable form of a scalar function, proved equal to it."""
    form = _rewrite(f.expr)
    if not equal(form, f.expr):
        form = f.expr
    sides = [side for side in (-1, 1) if not _is_finite_far_out(f, form, side)]
    for bound in ARGUMENT_BOUNDS:
        settled = [side for side in sides if _is_settled(f, form, side * bound)]
        if settled:
            return StableScalar(f, form, -1 in settled, 1 in settled, bound)
    return StableScalar(f, form, False, False)


def _rewrite(expr: sp.Expr) -> sp.Expr:
    if not expr.args:
        return expr
    if isinstance(expr, sp.Mul | sp.Pow):
        expr = _rewrite_product(expr)
    rebuilt = expr.func(*(_rewrite(a) if isinstance(a, sp.Expr) else _in_branch(a)
                          for a in expr.args))  # fmt: skip
    if isinstance(rebuilt, sp.log):
        return _rewrite_log(rebuilt)
    if isinstance(rebuilt, sp.Add):
        return _rewrite_sum(rebuilt)
    return rebuilt


def _in_branch(pair: sp.Basic) -> sp.Basic:
    if type(pair).__name__ == "ExprCondPair":
        value, condition = pair.args
        assert isinstance(value, sp.Expr)
        return sp.Tuple(_rewrite(value), condition)
    return pair


def _rewrite_log(expr: sp.log) -> sp.Expr:
    argument = expr.args[0]
    if isinstance(argument, sp.Add) and sp.S.One in argument.args:
        rest = argument - 1
        if isinstance(rest, sp.exp):
            return softplus(rest.args[0])
        return log1p(rest)
    return expr


def _rewrite_product(expr: sp.Expr) -> sp.Expr:
    """exp(u)^a (1 + exp(u))^-b with 0 <= a <= b is sigmoid(u)^a sigmoid(-u)^(b - a)."""
    expr = _with_tanh(expr)
    powers = [factor.as_base_exp() for factor in sp.Mul.make_args(expr)]
    rest: list[sp.Expr] = []
    exponent = sp.S.Zero
    logistic: list[tuple[sp.Expr, int]] = []
    for base, power in powers:
        unit = _exponent_of_logistic(base)
        if isinstance(base, sp.exp):
            exponent += base.args[0] * power
        elif base == sp.E:
            exponent += power
        elif unit is not None and power.is_Integer and power < 0:
            logistic.append((unit, -int(power)))
        else:
            rest.append(base**power)
    if len(logistic) != 1:
        return expr
    unit, below = logistic[0]
    above = sp.cancel(exponent / unit)
    if not above.is_Integer or not 0 <= above <= below:
        return expr
    factors = [sigmoid(unit) ** above, sigmoid(-unit) ** (below - above), *rest]
    return sp.Mul(*factors)


def _with_tanh(expr: sp.Expr) -> sp.Expr:
    """sinh(u) / cosh(u) is tanh(u)."""
    for factor in sp.Mul.make_args(expr):
        if isinstance(factor, sp.sinh) and expr.has(1 / sp.cosh(factor.args[0])):
            return expr / factor * sp.cosh(factor.args[0]) * sp.tanh(factor.args[0])
    return expr


def _exponent_of_logistic(base: sp.Expr) -> sp.Expr | None:
    """u where the base is 1 + exp(u)."""
    if isinstance(base, sp.Add) and len(base.args) == 2 and sp.S.One in base.args:
        other = base - 1
        if isinstance(other, sp.exp):
            return other.args[0]
    return None


def _rewrite_sum(expr: sp.Add) -> sp.Expr:
    """c + c erf(u) is c erfc(-u); exp(u) - 1 is expm1(u)."""
    terms = list(expr.args)
    for term in terms:
        coefficient, rest = term.as_coeff_Mul()
        numbers = [t for t in terms if t.is_Rational]
        if not numbers:
            continue
        number = numbers[0]
        others = sp.Add(*(t for t in terms if t is not term and t is not number))
        if isinstance(rest, sp.erf) and abs(coefficient) == abs(number):
            sign = -sp.sign(coefficient * number)
            return number * erf_complement(sign * rest.args[0]) + others
        if isinstance(rest, sp.exp) and coefficient == -number:
            return coefficient * expm1(rest.args[0]) + others
    return expr


def _is_finite_far_out(f: ScalarFunction, form: sp.Expr, side: int) -> bool:
    samples = [side * value for value in (float("inf"), 1e200, 1e30)]
    return all(value == value for value in (float_value(form, f, x) for x in samples))


def _is_settled(f: ScalarFunction, form: sp.Expr, x: int) -> bool:
    """Whether the function no longer changes beyond x, and the form has its value there."""
    near, far = _exact(f, x), _exact(f, 3 * x)
    gap = abs(float_value(form, f, float(x)) - float(near))
    return bool(abs(near - far) <= mpmath.mpf(10) ** -29) and gap <= 4e-16 * abs(float(near)) + 1e-29


def _exact(f: ScalarFunction, x: float) -> mpmath.mpf:
    with mpmath.workdps(60):
        point = {f.variables[0]: sp.Integer(int(x)), **_parameters(f)}
        value = sp.lambdify([], f.expr.subs(point), modules="mpmath")()
        return mpmath.mpf(value)


def _parameters(f: ScalarFunction) -> dict[sp.Symbol, sp.Expr]:
    return {v: sp.Rational(3 + i, 7) for i, v in enumerate(f.variables[1:])}


def float_value(form: sp.Expr, f: ScalarFunction, x: float) -> float:
    """The form in float64, with the arithmetic of the kernels (infinity times zero is NaN)."""
    import numpy as np

    values = {f.variables[0]: np.float64(x)}
    values |= {v: np.float64(float(p)) for v, p in _parameters(f).items()}
    with np.errstate(all="ignore"):
        return float(_evaluate(form, values))


def _evaluate(expr: sp.Expr, values: dict[sp.Symbol, Any]) -> Any:
    import math

    import numpy as np

    def logistic(x: np.float64) -> np.float64:
        return np.exp(np.minimum(x, 0)) / (1 + np.exp(-abs(x)))

    functions: dict[str, Any] = {
        "exp": np.exp, "log": np.log, "tanh": np.tanh, "sinh": np.sinh, "cosh": np.cosh,
        "sin": np.sin, "cos": np.cos, "tan": np.tan, "atan": np.arctan, "log1p": np.log1p,
        "expm1": np.expm1, "erf": lambda x: np.float64(math.erf(x)),
        "erfc": lambda x: np.float64(math.erfc(x)),
        "erf_complement": lambda x: np.float64(math.erfc(x)), "sigmoid": logistic,
        "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-abs(x))),
    }  # fmt: skip
    if isinstance(expr, sp.Symbol):
        return values[expr]
    if (expr.is_number and not expr.args) or expr.is_Rational:
        return np.float64(float(expr))
    if isinstance(expr, sp.Piecewise):
        for value, condition in expr.args:
            if _holds(condition, values):
                return _evaluate(value, values)
        return np.float64("nan")
    arguments = [_evaluate(a, values) for a in expr.args]
    if isinstance(expr, sp.Add):
        return sum(arguments[1:], arguments[0])
    if isinstance(expr, sp.Mul):
        total = np.float64(1)
        for value in arguments:
            total = total * value
        return total
    if isinstance(expr, sp.Pow):
        return np.power(*arguments)
    return functions[type(expr).__name__](arguments[0])


def _holds(condition: Any, values: dict[sp.Symbol, Any]) -> bool:
    if condition in (sp.true, True):
        return True
    if isinstance(condition, sp.And):
        return all(_holds(c, values) for c in condition.args)
    if isinstance(condition, sp.Or):
        return any(_holds(c, values) for c in condition.args)
    left, right = (_evaluate(a, values) for a in condition.args)
    compare = {">": left > right, ">=": left >= right, "<": left < right, "<=": left <= right}
    return bool(compare[condition.rel_op])
