"""Gains: by how much an activation changes the scale of what goes through it.

Input: programs. Output: for every element-wise layer f of them E[f(z)^2] and E[f'(z)^2] for a standard
normal z. Weights of variance g^2 / fan-in with the gain g = E[f(z)^2]^(-1/2) keep the mean square of
the pre-activations, as a sum of D independent terms has D times their variance; for ReLU g^2 is He's
factor 2. Guaranteed: a closed form comes from antiderivatives that SymPy differentiates back, and has the
value of numerical integration in `DIGITS` digits. Where the branches are not polynomials times
exponentials the value is numerical, to that many digits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import mpmath
import sympy as sp

from .errors import ProofFailure
from .program import Program
from .scalar import ScalarFunction

DIGITS = 20
_WORKING_DIGITS = 30
_FAR = 14  # the density is below 1e-42 there
_LONGEST_NUMBER = 10**6  # closed forms with longer numbers tell a reader nothing
_INFINITY = sp.oo
_SAMPLES = (sp.Rational(3, 7), sp.Rational(-2, 5), sp.Rational(8, 7), sp.Rational(5, 3))

z = sp.Symbol("z", real=True)


@dataclass(frozen=True)
class Moment:
    """A mean over a standard normal z: a closed form in the parameters, or digits."""

    closed: sp.Expr | None
    digits: str | None

    @property
    def value(self) -> sp.Expr:
        return self.closed if self.closed is not None else sp.Float(self.digits, DIGITS)


@dataclass(frozen=True)
class Gain:
    """An activation with the mean squares of its values and of its slopes.

    `parameters` are its hyperparameters and learned parameters with their defaults.
    """

    name: str
    function: ScalarFunction
    parameters: tuple[tuple[str, float | None], ...]
    mean_square: Moment
    slope_square: Moment


def find_gains(programs: Iterable[Program]) -> tuple[Gain, ...]:
    """The gains of those programs that are one scalar function of their data."""
    return tuple(_gain(p, f) for p in programs if (f := _function_of(p)) is not None)


def _function_of(program: Program) -> ScalarFunction | None:
    """f where the program is f(X, ...) entry by entry, and nothing else has two sizes."""
    output = program.output
    data = [i for i in program.inputs if "1" not in i.shape]
    applied = output.op == "apply" and len(data) == 1 and output.args[0] is data[0].expr
    return output.attr if applied and isinstance(output.attr, ScalarFunction) else None


def _gain(program: Program, f: ScalarFunction) -> Gain:
    others = [i for i in program.inputs if "1" in i.shape]
    named = {
        v: sp.Symbol(i.name, real=True, nonnegative=i.domain in ("nonnegative", "positive") or None)
        for v, i in zip(f.variables[1:], others, strict=True)
    }
    where = f"{program.name}: E[f(z)^2]"
    values, slopes = (
        [(v.subs(named), low.subs(named), high.subs(named)) for v, low, high in _branches(g)]
        for g in (f, f.derivative(0))
    )
    return Gain(
        program.name, f, tuple((i.name, i.default) for i in others),
        mean_of_square(values, where), mean_of_square(slopes, f"{where} of the slope"),
    )  # fmt: skip


Branch = tuple[sp.Expr, sp.Expr, sp.Expr]


def _branches(f: ScalarFunction) -> list[Branch]:
    """Value, lower and upper end of each branch, in z; half-lines first, the rest lies between."""
    x, expr = f.variables[0], sp.piecewise_fold(f.expr)
    low, high = -_INFINITY, _INFINITY
    found = []
    for value, condition in _cases(expr):
        if condition == sp.true:
            found.append((value.subs(x, z), low, high))
            continue
        below = condition.rel_op in ("<", "<=")
        if condition.rhs == x:
            below, point = not below, condition.lhs
        else:
            point = condition.rhs
        found.append((value.subs(x, z), low, point) if below else (value.subs(x, z), point, high))
        low, high = (point, high) if below else (low, point)
    return found


def _cases(expr: sp.Expr) -> Iterator[tuple[sp.Expr, Any]]:
    """Values and comparisons; SymPy joins branches of one value by `or`."""
    for value, condition in expr.args if isinstance(expr, sp.Piecewise) else [(expr, sp.true)]:
        parts = sorted(condition.args, key=str) if isinstance(condition, sp.Or) else [condition]
        yield from ((value, part) for part in parts)


def mean_of_square(branches: list[Branch], where: str) -> Moment:
    """E[f(z)^2] of a function given by its branches."""
    numeric = _number(branches)
    pieces = [_closed(value**2, low, high) for value, low, high in branches]
    if any(piece is None for piece in pieces):
        return Moment(None, mpmath.nstr(numeric, DIGITS, strip_zeros=False))
    closed = _collected(sp.expand(sp.Add(*pieces)))
    with mpmath.workdps(_WORKING_DIGITS):
        found = sp.N(closed.subs(_sample(branches)), _WORKING_DIGITS)
        if abs(mpmath.mpf(found) - numeric) > mpmath.mpf(10) ** (-DIGITS) * max(abs(numeric), 1):
            raise ProofFailure(f"{where} is {closed} = {found}, by numerical integration {numeric}")
    if any(max(abs(r.p), r.q) > _LONGEST_NUMBER for r in closed.atoms(sp.Rational)):
        return Moment(None, mpmath.nstr(numeric, DIGITS, strip_zeros=False))
    return Moment(closed, None)


def _collected(expr: sp.Expr) -> sp.Expr:
    """One term for each exponential and error function, with its coefficient in factors."""
    functions = sorted(expr.atoms(sp.erfc, sp.exp), key=str)
    letters = {function: sp.Dummy(f"F{i}") for i, function in enumerate(functions)}
    collected = sp.collect(expr.xreplace(letters), list(letters.values()), sp.factor)
    return collected.xreplace({letter: function for function, letter in letters.items()})


def _sample(branches: list[Branch]) -> dict[sp.Symbol, sp.Expr]:
    """A value for every parameter; ends of branches in their order."""
    free = sorted({s for b in branches for e in b for s in e.free_symbols} - {z}, key=str)
    ends = [e for _, *pair in branches for e in pair if e.is_Symbol]
    values = dict(zip(free, _SAMPLES, strict=False))
    for place, end in enumerate(dict.fromkeys(ends)):
        values[end] = sp.Rational(2 * place + 1, 3)
    return values


def _number(branches: list[Branch]) -> Any:
    """Numerical integration, branch by branch."""
    total = mpmath.mpf(0)
    with mpmath.workdps(_WORKING_DIGITS):
        point = _sample(branches)
        for value, *ends in branches:
            f = sp.lambdify(z, value.subs(point) ** 2, "mpmath")
            low, high = (_end(e.subs(point)) for e in ends)
            steps = [low, *(s for s in range(-_FAR + 4, _FAR, 4) if low < s < high), high]
            total += mpmath.quad(lambda x, f=f: f(x) * mpmath.npdf(x), steps)
    return total


def _end(value: sp.Expr) -> Any:
    return mpmath.mpf(_FAR if value == _INFINITY else -_FAR if value == -_INFINITY else sp.N(value, 50))


def _closed(square: sp.Expr, low: sp.Expr, high: sp.Expr) -> sp.Expr | None:
    """The integral of a sum of terms c z^n exp(k z) times the density, or None."""
    total: sp.Expr = sp.S.Zero
    for term in sp.Add.make_args(sp.expand(square)) if square != 0 else ():
        found = _as_moment(term)
        if found is None:
            return None
        coefficient, power, rate = found
        total += coefficient * partial_moment(power, rate, low, high)
    return total


def _as_moment(term: sp.Expr) -> tuple[sp.Expr, int, sp.Expr] | None:
    """c, n, k of a term c z^n exp(k z)."""
    coefficient, rest = term.as_independent(z, as_Add=False)
    power, rate = 0, sp.S.Zero
    for factor in sp.Mul.make_args(rest):
        base, exponent = factor.as_base_exp()
        if base == z and exponent.is_Integer and exponent > 0:
            power += int(exponent)
        elif factor.func == sp.exp and sp.diff(factor.args[0], z, 2) == 0:
            slope = sp.diff(factor.args[0], z)
            rate += slope
            coefficient *= sp.exp(factor.args[0] - slope * z)
        elif factor != 1:
            return None
    return coefficient, power, rate


def partial_moment(power: int, rate: sp.Expr, low: sp.Expr, high: sp.Expr) -> sp.Expr:
    """The integral of z^power exp(rate z) times the standard normal density from low to high."""
    if low == -_INFINITY and high == _INFINITY:
        half = partial_moment(power, rate, sp.S.Zero, high)
        return half + partial_moment(power, rate, low, sp.S.Zero)
    if low == -_INFINITY:
        return (-1) ** power * partial_moment(power, -rate, -high, _INFINITY)
    antiderivative = _antiderivative(power, rate)
    at_low = antiderivative.subs(z, low)
    return -at_low if high == _INFINITY else antiderivative.subs(z, high) - at_low


@cache
def _antiderivative(power: int, rate: sp.Expr) -> sp.Expr:
    """An antiderivative that vanishes at infinity, by completing the square and by parts."""
    u = sp.Symbol("u", real=True)
    moments = [-sp.erfc(u / sp.sqrt(2)) / 2, -_density(u)]
    for n in range(2, power + 1):
        moments.append(-(u ** (n - 1)) * _density(u) + (n - 1) * moments[n - 2])
    shifted = sp.Poly((u + rate) ** power, u)
    total = sp.Add(*(c * moments[n] for (n,), c in shifted.terms()))
    found = sp.exp(rate**2 / 2) * total.subs(u, z - rate)
    wanted = z**power * sp.exp(rate * z) * _density(z)
    if sp.expand(sp.expand(sp.diff(found, z) / wanted, power_exp=True)) != 1:
        raise ProofFailure(f"the derivative of {found} is not proved to be {wanted}")
    return found


def _density(u: sp.Expr) -> sp.Expr:
    return sp.exp(-(u**2) / 2) / sp.sqrt(2 * sp.pi)
