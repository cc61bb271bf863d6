"""Scalar functions: SymPy expressions applied to every entry of a matrix.

Input: a Python function of SymPy symbols. Output: a `ScalarFunction` whose value, derivative and
kinks are known, and its entry in index normal form. Guaranteed: the derivative is SymPy's, on
each branch; a jump of the derivative is declared by the script or refused.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import sympy as sp
from sympy.core.relational import Relational

from . import index_form as ix
from .errors import NotationError, UnsupportedPrimitive

KNOWN_FUNCTIONS = (
    sp.exp, sp.log, sp.tanh, sp.sinh, sp.cosh, sp.erf, sp.erfc, sp.sin, sp.cos, sp.tan, sp.atan,
    sp.Abs, sp.sign, sp.Max, sp.Min, sp.Piecewise, sp.Heaviside,
)  # fmt: skip
_STRUCTURE = (sp.Symbol, sp.Rational, sp.Add, sp.Mul, sp.Pow, Relational, sp.And, sp.Or, sp.Not)
# Declared slopes are decimals; a script's own arithmetic rounds to float64.
_ROUNDING = sp.Rational(1, 10**13)
_LONGEST_INTEGER = 10**8
_CONSTANTS = (sp.pi, sp.E, sp.true, sp.false)


@dataclass(frozen=True)
class ScalarFunction:
    """f(variables...) as a SymPy expression; `kinks` are points where f' jumps, with its value."""

    name: str
    variables: tuple[sp.Symbol, ...]
    expr: sp.Expr
    kinks: tuple[tuple[sp.Expr, sp.Expr], ...] = ()

    def derivative(self, position: int) -> ScalarFunction:
        """The partial derivative by one variable, on the branches of the function."""
        variable = self.variables[position]
        result = sp.diff(self.expr, variable)
        if isinstance(result, sp.Piecewise):
            result = sp.Piecewise(*((_over_one_denominator(v), c) for v, c in result.args))
        suffix = "" if len(self.variables) == 1 else f"_{variable.name}"
        return ScalarFunction(f"{self.name}_prime{suffix}", self.variables, result)

    def polynomial_in_value(self) -> sp.Poly | None:
        """p with f' = p(f), proved, or None. Its generator is the symbol `y`."""
        return _derivative_in_value(self)

    def slope_in_value(self) -> ScalarFunction | None:
        """g with f' = g(f, ...) branch by branch, proved, or None. Its first variable is `y`."""
        return _slope_in_value(self)

    @property
    def is_smooth(self) -> bool:
        return not self.expr.has(sp.Piecewise)


def _over_one_denominator(expr: sp.Expr) -> sp.Expr:
    """A rational function as one fraction where that is shorter: terms may cancel each other."""
    variables = expr.free_symbols
    if not expr.is_Add or not sp.denom(sp.together(expr)).free_symbols:
        return expr
    if not expr.is_rational_function(*variables):
        return expr
    found = sp.factor(sp.together(expr))
    shorter = sp.count_ops(found) < sp.count_ops(expr) and equal(found, expr)
    return found if shorter else expr


def trace_scalar(
    f: Callable[..., object] | sp.Expr,
    arity: int,
    name: str | None = None,
    kinks: Mapping[object, object] | None = None,
    positive: Iterable[str] = (),
) -> ScalarFunction:
    """Call f on SymPy symbols and check what comes back. `positive` names positive parameters."""
    title = name or str(getattr(f, "__name__", "function"))
    parameters = list(inspect.signature(f).parameters) if callable(f) else ["x"]
    if len(parameters) < arity:
        raise NotationError(f"{title}: takes {len(parameters)} arguments, is applied to {arity}")
    variables = tuple(
        sp.Symbol(p, positive=True) if p in positive else sp.Symbol(p, real=True)
        for p in parameters[:arity]
    )
    if isinstance(f, sp.Expr) and not callable(f):
        value: object = f
    else:
        value = f(*variables)
    if isinstance(value, float):
        value = _rational(value)
    if isinstance(value, int | Fraction):
        value = sp.Rational(str(value))
    if not isinstance(value, sp.Expr):
        raise NotationError(
            f"{title}: a scalar function returns a SymPy expression, got {type(value).__name__}"
        )
    expr = _branches(_exact(value))
    _check_known(title, expr, variables)
    return _with_kinks(ScalarFunction(title, variables, expr), dict(kinks or {}))


def _exact(expr: sp.Expr) -> sp.Expr:
    """Floating-point constants as the decimals a script shows them with."""
    return expr.xreplace({number: _rational(float(number)) for number in expr.atoms(sp.Float)})


def _rational(value: float) -> sp.Rational:
    return sp.Rational(repr(value))


def _branches(expr: sp.Basic) -> sp.Basic:
    """Max, Min, Abs, sign and Heaviside as Piecewise, so that a branch decides at a boundary."""
    if isinstance(expr, sp.Piecewise):
        return sp.Piecewise(*((_branches(v), _decided(c)) for v, c in expr.args))
    args = [_branches(a) for a in expr.args]
    if isinstance(expr, sp.Max | sp.Min):
        order = sorted(args, key=lambda a: (not a.free_symbols, sp.default_sort_key(a)))
        larger = isinstance(expr, sp.Max)
        result = order[-1]
        for arg in reversed(order[:-1]):
            chosen = _positive(arg - result if larger else result - arg)
            result = sp.Piecewise((arg, chosen), (result, True))
        return result
    if isinstance(expr, sp.Abs | sp.sign | sp.Heaviside):
        above, below = _positive(args[0]), _positive(-args[0])
        if isinstance(expr, sp.Heaviside):
            return sp.Piecewise((1, above), (0, True))
        values = (args[0], -args[0]) if isinstance(expr, sp.Abs) else (1, -1)
        return sp.Piecewise((values[0], above), (values[1], below), (0, True))
    return expr.func(*args) if expr.args else expr


def _decided(condition: sp.Basic) -> sp.Basic:
    """The condition over comparisons without branches inside."""
    if isinstance(condition, sp.And | sp.Or | sp.Not):
        return condition.func(*(_decided(c) for c in condition.args))
    if not isinstance(condition, Relational) or condition.rel_op not in (">", ">=", "<", "<="):
        return condition
    strict = condition.rel_op in (">", "<")
    upward = condition.rel_op in (">", ">=")
    gap = _branches(condition.lhs - condition.rhs if upward else condition.rhs - condition.lhs)
    return _positive(gap, strict) if gap.has(sp.Piecewise) else condition


def _positive(value: sp.Basic, strict: bool = True) -> sp.Basic:
    """value > 0, or >= 0, decided branch by branch."""
    folded = sp.piecewise_fold(value)
    if not isinstance(folded, sp.Piecewise):
        return folded > 0 if strict else folded >= 0
    holds: list[sp.Basic] = []
    before: list[sp.Basic] = []
    for branch, condition in folded.args:
        holds.append(sp.And(_positive(branch, strict), condition, *(sp.Not(b) for b in before)))
        before.append(condition)
    return sp.Or(*holds)


def _check_known(title: str, expr: sp.Expr, variables: Sequence[sp.Symbol]) -> None:
    for part in sp.preorder_traversal(expr):
        if isinstance(part, sp.Symbol):
            if part not in variables:
                raise NotationError(
                    f"{title}: the symbol {part} is no argument; pass it as one: "
                    f"apply(f, X, {part})"
                )
        elif not (
            part in _CONSTANTS
            or isinstance(part, (*_STRUCTURE, *KNOWN_FUNCTIONS, sp.Tuple))
            or type(part).__name__ == "ExprCondPair"
        ):
            known = ", ".join(sorted(f.__name__ for f in KNOWN_FUNCTIONS))
            raise UnsupportedPrimitive(
                f"{title}: {type(part).__name__} {part} has no rule; known: {known}. A new one "
                "needs a line in scalar.to_index and in each target's table of functions"
            )


def _with_kinks(f: ScalarFunction, declared: dict[object, object]) -> ScalarFunction:
    """Check the jumps of f' against the declared ones; pick the branch that gives them."""
    wanted = {sp.sympify(_plain(f, k)): sp.sympify(_plain(f, v)) for k, v in declared.items()}
    kinks = []
    for point in _boundaries(f):
        left, right = (_one_sided_slope(f, point, side) for side in "-+")
        if left == right:
            continue
        if point not in wanted:
            raise NotationError(
                f"{f.name} has a kink at {point}: its derivative jumps from {left} to {right}. "
                f"Declare the value there, for example kinks={{{point}: {left}}}"
            )
        value = _nearest(wanted.pop(point), left, right)
        chosen = _branch_with(f, point, value)
        if chosen is None:
            raise NotationError(
                f"{f.name}: the derivative at {point} is declared as {value}, but it is {left} on "
                f"the left and {right} on the right; declare one of the two"
            )
        f = chosen
        kinks.append((point, value))
    if wanted:
        raise NotationError(f"{f.name} has no kink at {next(iter(wanted))}; remove it from kinks")
    return ScalarFunction(f.name, f.variables, f.expr, tuple(kinks))


def _nearest(value: sp.Expr, *slopes: sp.Expr) -> sp.Expr:
    """The slope that a declared number was rounded from, else the number as it is."""
    if not value.is_Rational:
        return value
    near = [s for s in slopes if s.is_number and abs(s - value) <= _ROUNDING * abs(s)]
    return near[0] if near else value


def _plain(f: ScalarFunction, value: object) -> object:
    """Declared values are numbers or the names of parameters, never strings to evaluate."""
    if isinstance(value, str):
        named = {v.name: v for v in f.variables}
        if value not in named:
            raise NotationError(f"{f.name}: kinks name {value!r}, which is no parameter")
        return named[value]
    if isinstance(value, float):
        return _rational(value)
    if isinstance(value, sp.Expr):
        return _exact(value)
    if isinstance(value, int | Fraction):
        return value
    raise NotationError(f"{f.name}: kinks map numbers to numbers, got {value!r}")


def _boundaries(f: ScalarFunction) -> list[sp.Expr]:
    """Points of the first variable at which a branch ends, where that is a fixed number."""
    x = f.variables[0]
    points: set[sp.Expr] = set()
    for relation in f.expr.atoms(Relational):
        difference = relation.lhs - relation.rhs
        if difference.free_symbols == {x}:
            roots = sp.solveset(difference, x, sp.S.Reals)
            points |= set(roots) if isinstance(roots, sp.FiniteSet) else set()
    return sorted(points, key=sp.default_sort_key)


def _one_sided_slope(f: ScalarFunction, point: sp.Expr, side: str) -> sp.Expr:
    """The limit of f' at the point, on the branch that holds just beside it."""
    x = f.variables[0]
    gaps = [abs(other - point) for other in _boundaries(f) if other != point]
    probe = point + min([*gaps, sp.S.One]) / 2**20 * (1 if side == "+" else -1)

    parameters = {v: sp.Rational(3 + i, 7) for i, v in enumerate(f.variables[1:])}

    def branch(*pairs: sp.Tuple) -> sp.Expr:
        at = {x: probe, **parameters}
        return next(value for value, condition in pairs if condition.subs(at) == True)  # noqa: E712

    return sp.limit(sp.diff(f.expr.replace(sp.Piecewise, branch), x), x, point, side)


def _branch_with(f: ScalarFunction, point: sp.Expr, value: sp.Expr) -> ScalarFunction | None:
    x = f.variables[0]

    def loosen(relation: Relational) -> Relational:
        if (relation.lhs - relation.rhs).subs(x, point) != 0:
            return relation
        swapped = {">": sp.Ge, ">=": sp.Gt, "<": sp.Le, "<=": sp.Lt}
        return swapped[relation.rel_op](relation.lhs, relation.rhs)

    loose = f.expr.xreplace({r: loosen(r) for r in f.expr.atoms(Relational)})
    for expr in (f.expr, loose):
        if sp.simplify(sp.diff(expr, x).subs(x, point) - value) == 0:
            return ScalarFunction(f.name, f.variables, expr)
    return None


def to_index(expr: sp.Expr, values: Mapping[sp.Symbol, ix.Poly]) -> ix.Poly:
    """The index normal form of a scalar expression whose symbols have the given entries."""
    if isinstance(expr, sp.Symbol):
        return values[expr]
    if isinstance(expr, sp.Rational):
        return ix.constant(Fraction(int(expr.p), int(expr.q)))
    if expr in (sp.pi, sp.E):
        return ix.named_constant("pi" if expr == sp.pi else "e")
    if isinstance(expr, sp.Add):
        return ix.add(*(to_index(a, values) for a in expr.args))
    if isinstance(expr, sp.Mul):
        return ix.product(to_index(a, values) for a in expr.args)
    if isinstance(expr, sp.exp):
        return ix.exp(to_index(expr.args[0], values))
    if isinstance(expr, sp.Pow):
        if isinstance(expr.exp, sp.Rational):
            exponent = Fraction(int(expr.exp.p), int(expr.exp.q))
            return ix.power(to_index(expr.base, values), exponent)
        return ix.exp(to_index(expr.exp, values) * ix.log(to_index(expr.base, values)))
    if isinstance(expr, sp.tanh | sp.sinh | sp.cosh):
        return to_index(expr.rewrite(sp.exp), values)
    if isinstance(expr, sp.erfc):
        return ix.UNIT - ix.function("erf", to_index(expr.args[0], values))
    if isinstance(expr, sp.Piecewise):
        return _piecewise(expr, values)
    if isinstance(expr, KNOWN_FUNCTIONS):
        return ix.function(type(expr).__name__, to_index(expr.args[0], values))
    if hasattr(expr, "definition"):
        return to_index(expr.definition(), values)
    raise UnsupportedPrimitive(f"{type(expr).__name__} has no index form; add it to to_index")


def _piecewise(expr: sp.Piecewise, values: Mapping[sp.Symbol, ix.Poly]) -> ix.Poly:
    result = ix.ZERO
    remaining = ix.UNIT
    for value, condition in expr.args:
        holds = _condition(condition, values)
        result = result + remaining * holds * to_index(value, values)
        remaining = remaining * (ix.UNIT - holds)
    return result


def _condition(condition: object, values: Mapping[sp.Symbol, ix.Poly]) -> ix.Poly:
    """The indicator of a condition; boundaries have measure zero and their declared value."""
    if condition in (sp.true, True):
        return ix.UNIT
    if condition in (sp.false, False):
        return ix.ZERO
    if isinstance(condition, sp.And):
        return ix.product(_condition(c, values) for c in condition.args)
    if isinstance(condition, sp.Or):
        none = ix.product(ix.UNIT - _condition(c, values) for c in condition.args)
        return ix.UNIT - none
    if isinstance(condition, sp.Not):
        return ix.UNIT - _condition(condition.args[0], values)
    if isinstance(condition, Relational) and condition.rel_op in (">", ">="):
        return ix.step(to_index(condition.lhs - condition.rhs, values))
    if isinstance(condition, Relational) and condition.rel_op in ("<", "<="):
        return ix.step(to_index(condition.rhs - condition.lhs, values))
    raise UnsupportedPrimitive(f"the condition {condition} is no comparison of scalars")


def equal(first: sp.Expr, second: sp.Expr) -> bool:
    """Whether two scalar expressions are proved equal by the kernel."""
    names = sorted(first.free_symbols | second.free_symbols, key=lambda s: s.name)
    values = {s: ix.element(s.name, positive=bool(s.is_positive)) for s in names}
    return ix.is_zero(to_index(first, values) - to_index(second, values))


@cache
def _derivative_in_value(f: ScalarFunction, degree: int = 2) -> sp.Poly | None:
    """Fit f' = sum c_ij a_i y^j at exact points (exp x an independent number), then prove it."""
    if not f.is_smooth or not f.expr.has(sp.exp, sp.tanh) or f.expr.has(sp.erf, sp.log):
        return None
    x, parameters = f.variables[0], f.variables[1:]
    exponents = [e.args[0] for e in f.expr.rewrite(sp.exp).atoms(sp.exp)]
    if any(sp.expand(sp.diff(e, x, 2)) != 0 for e in exponents):
        return None
    y, t = sp.Symbol("y", real=True), sp.Symbol("t", positive=True)
    basis = [p * y**j for j in range(degree + 1) for p in (sp.S.One, *parameters)]
    value = f.expr.rewrite(sp.exp).subs(sp.exp(-x), 1 / t).subs(sp.exp(x), t)
    slope = sp.diff(f.expr, x).rewrite(sp.exp).subs(sp.exp(-x), 1 / t).subs(sp.exp(x), t)
    if sp.simplify(value).has(sp.exp) or sp.simplify(slope).has(sp.exp):
        value, slope = sp.powsimp(sp.expand(value)), sp.powsimp(sp.expand(slope))
        if value.has(sp.exp) or slope.has(sp.exp):
            value, slope = (
                e.replace(sp.exp, lambda a: t ** (a / x)) for e in (value, slope)
            )
            if value.has(sp.exp) or slope.has(sp.exp):
                return None
    names = (x, t, *parameters)
    if not (value.is_rational_function(*names) and slope.is_rational_function(*names)):
        return None
    rows, right = [], []
    for i in range(len(basis) + 2):
        point = {x: sp.Rational(2 * i + 3, 7), t: sp.Rational(3 * i + 2, 5)}
        point |= {p: sp.Rational(5 * i + k + 1, 3) for k, p in enumerate(parameters)}
        at = value.subs(point)
        rows.append([b.subs({y: at, **point}) for b in basis])
        right.append(slope.subs(point))
    unknowns = sp.symbols(f"c0:{len(basis)}")
    equations = [
        sum(c * u for c, u in zip(row, unknowns, strict=True)) - r
        for row, r in zip(rows, right, strict=True)
    ]
    solutions = list(sp.linsolve(equations, unknowns))
    if not solutions or any(s.free_symbols for s in solutions[0]):
        return None
    candidate = sum((c * b for c, b in zip(solutions[0], basis, strict=True)), sp.S.Zero)
    if not equal(candidate.subs(y, f.expr), sp.diff(f.expr, x)):
        return None
    return sp.Poly(candidate, y)


@cache
def _slope_in_value(f: ScalarFunction) -> ScalarFunction | None:
    """Branches on which f' is a polynomial in f, each chosen by the value instead of the argument."""
    x, y = f.variables[0], sp.Symbol("y", real=True)
    if not isinstance(f.expr, sp.Piecewise) or not f.expr.has(sp.exp):
        return None
    pairs = []
    for value, condition in f.expr.args:
        slope = sp.diff(value, x)
        if slope.has(x):
            polynomial = _derivative_in_value(ScalarFunction(f.name, f.variables, value))
            if polynomial is None:
                return None
            slope = polynomial.as_expr().subs(polynomial.gens[0], y)
        pairs.append((slope, _on_value(condition, value, x, y)))
    found = sp.Piecewise(*pairs)
    entries = {v: ix.element(v.name, positive=bool(v.is_positive)) for v in f.variables}
    by_value = to_index(found, {**entries, y: to_index(f.expr, entries)})
    if not ix.is_zero(by_value - to_index(sp.diff(f.expr, x), entries)):
        return None
    return ScalarFunction(f"{f.name}_slope", (y, *f.variables[1:]), found)


def _on_value(condition: sp.Basic, value: sp.Expr, x: sp.Symbol, y: sp.Symbol) -> sp.Basic:
    """The condition x > c as f(x) > f(c), which holds where f rises; whether it does is proved later."""
    if isinstance(condition, Relational) and condition.lhs == x and not condition.rhs.has(x):
        return condition.func(y, value.subs(x, condition.rhs))
    return condition


def with_decimals(expr: sp.Expr) -> sp.Expr:
    """For readers only: long fractions as decimals, which are symbols named by their digits."""
    return expr.xreplace({
        r: sp.sign(r) * sp.Symbol(_decimal(abs(r)))
        for r in expr.atoms(sp.Rational)
        if max(abs(r.p), r.q) > _LONGEST_INTEGER
    })  # fmt: skip


def _decimal(value: sp.Rational) -> str:
    """Seventeen digits, and an ellipsis where there are more."""
    digits = str(sp.Float(value, 17)).rstrip("0")
    return digits if sp.Rational(digits) == value else f"{digits}..."
