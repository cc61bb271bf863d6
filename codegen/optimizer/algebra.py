"""Equality of the formulas of theorems, for every number of steps t at once.

Input: SymPy expressions of powers such as mu**(t - i), sums over steps, square roots, absolute
values and signs. Output: whether their difference is proved to be zero. Each is rewritten as a
rational function of independent generators: mu^t, g[i], a root, a sum over a product of
generators. Sums lose terms beyond a bare upper end and factors that do not depend on the index.
Sound: a difference that vanishes is zero wherever both sides have a value. Division by mu when
mu^(t - i) is split is harmless at mu = 0: for given t both sides are continuous there. A sign is
a free generator, and |x| is x times the sign of x; where the proof needs signs to have the square
1, zero arguments are looked at separately, as only absolute values are continuous there.
"""

from __future__ import annotations

import itertools

import sympy as sp
from sympy.polys.fields import sfield

from ..errors import UnsupportedPrimitive


def is_zero(expr: sp.Expr) -> bool:
    """Whether an expression is proved to be zero for all values of its symbols."""
    if expr == 0:
        return True
    if _has_value(expr):
        return False
    free = _Generators(signs_square_to_one=False)
    if free.vanishes(expr):
        return True
    if not free.has_signs or not _Generators(signs_square_to_one=True).vanishes(expr):
        return False
    arguments = sorted({sign.args[0] for sign in expr.atoms(sp.sign)}, key=str)
    return all(a.is_Symbol and is_zero(expr.subs(a, 0)) for a in arguments)


_STEPS, _DIGITS = 3, 30


def _has_value(expr: sp.Expr) -> bool:
    """Whether the expression is plainly not zero at one point, which spares the attempt of a proof."""
    numbers = (sp.Rational(37 * k % 101 + 7, 113).n(_DIGITS) for k in itertools.count(1))
    values: dict[sp.Basic, sp.Expr] = {}
    for free in sorted(expr.free_symbols, key=str):
        if isinstance(free, sp.Symbol):
            values[free] = sp.Integer(_STEPS) if free.is_integer else next(numbers)
    found = expr.xreplace(values)
    if found.has(sp.Sum):
        found = found.doit()
    if found.has(sp.Sum):  # one that SymPy does not write out
        return False
    entries = {e: next(numbers) for e in sorted(found.atoms(sp.Indexed), key=str)}
    size = sp.Abs(found.xreplace(entries).n(_DIGITS))
    return bool(size.is_Float and size > sp.Float("1e-12"))


class _Generators:
    """The generators of one comparison, and the relations among them."""

    def __init__(self, signs_square_to_one: bool) -> None:
        self._signs_square_to_one = signs_square_to_one
        self.has_signs = False
        self._squares: dict[sp.Symbol, sp.Expr] = {}
        self._depends: dict[sp.Symbol, frozenset[sp.Symbol]] = {}

    def vanishes(self, expr: sp.Expr) -> bool:
        numerator = _numerator(self._rational(expr, 0))
        while True:
            reduced = numerator
            for root, square in self._squares.items():
                reduced = _numerator(_reduce(reduced, root, square))
            if reduced == 0 or reduced == numerator:
                return bool(reduced == 0)
            numerator = reduced

    def _rational(self, expr: sp.Expr, depth: int) -> sp.Expr:
        """The expression as a rational function of generators; `depth` counts enclosing sums."""
        if expr.is_Rational:
            return expr
        if isinstance(expr, sp.Symbol):
            return self._generator(expr.name, expr.free_symbols, expr.is_nonnegative)
        if isinstance(expr, sp.Add | sp.Mul):
            return expr.func(*(self._rational(a, depth) for a in expr.args))
        if isinstance(expr, sp.Pow):
            return self._power(expr, depth)
        if isinstance(expr, sp.Sum):
            return self._sum(expr, depth)
        if isinstance(expr, sp.Indexed):
            index = sp.expand(expr.indices[0])
            return self._generator(f"{expr.base}[{index}]", index.free_symbols, None)
        if isinstance(expr, sp.Abs):
            inside = self._rational(expr.args[0], depth)
            return inside * self._sign(inside)
        if isinstance(expr, sp.sign):
            return self._sign(self._rational(expr.args[0], depth))
        raise UnsupportedPrimitive(f"theorems know no {type(expr).__name__}: {expr}")

    def _generator(
        self, name: str, depends: set[sp.Symbol] | frozenset[sp.Symbol], nonnegative: bool | None
    ) -> sp.Symbol:
        made = sp.Symbol(name, nonnegative=True) if nonnegative else sp.Symbol(name, real=True)
        self._depends.setdefault(made, frozenset(depends))
        return made

    def _dependence(self, expr: sp.Expr) -> frozenset[sp.Symbol]:
        return frozenset().union(*(self._depends[s] for s in expr.free_symbols))

    def _sign(self, inside: sp.Expr) -> sp.Expr:
        """s with inside = |inside| s and s^2 = 1; one generator for both signs of `inside`."""
        if inside.is_nonnegative:
            return sp.S.One
        inside = sp.factor(inside)
        turn = -1 if inside.could_extract_minus_sign() else 1
        made = self._generator(f"sign({turn * inside})", self._dependence(inside), None)
        self.has_signs = True
        if self._signs_square_to_one:
            self._squares[made] = sp.S.One
        return turn * made

    def _power(self, expr: sp.Pow, depth: int) -> sp.Expr:
        base, exponent = expr.as_base_exp()
        inside = self._rational(base, depth)
        if exponent.is_Integer:
            return inside**exponent
        if exponent.is_Rational:
            if exponent.q != 2:
                raise UnsupportedPrimitive(f"theorems know square roots, not {expr}")
            return self._root(inside) ** exponent.p
        result = sp.S.One
        name = inside.name if inside.is_Symbol else f"({sp.factor(inside)})"
        for term in sp.Add.make_args(sp.expand(exponent)):
            count, rest = term.as_coeff_Mul()
            if rest == 1:
                result *= inside**count
            else:
                depends = rest.free_symbols | self._dependence(inside)
                made = self._generator(f"{name}^{rest}", depends, inside.is_nonnegative)
                result *= made**count
        return result

    def _root(self, inside: sp.Expr) -> sp.Expr:
        """Squares leave the root as absolute values; what remains is a generator."""
        above, below = sp.fraction(sp.cancel(inside))
        constant, factors = sp.factor_list(above)
        divisor, under = sp.factor_list(below)
        outside, rest = sp.S.One, constant / divisor
        for factor, power in [*factors, *((f, -p) for f, p in under)]:
            outside *= (factor * self._sign(factor)) ** (power // 2)
            rest *= factor ** (power % 2)
        if rest.is_Rational:
            root = sp.sqrt(rest)
            if root.is_Rational:
                return outside * root
        made = self._generator(f"sqrt({rest})", self._dependence(rest), True)
        self._squares[made] = rest
        return outside * made

    def _sum(self, expr: sp.Sum, depth: int) -> sp.Expr:
        *inner_limits, (index, first, last) = expr.limits
        body = sp.Sum(expr.function, *inner_limits) if inner_limits else expr.function
        count, bare = sp.expand(last).as_coeff_Add()
        if first != 1 or not count.is_Integer:
            raise UnsupportedPrimitive(f"theorems sum from 1, not {expr}")
        beyond = [body.xreplace({index: bare + k}) for k in range(1, int(count) + 1)]
        lacking = [-body.xreplace({index: bare + k}) for k in range(int(count) + 1, 1)]
        result = sp.Add(*(self._rational(t, depth) for t in beyond + lacking))
        if bare == 0 and count >= 0:
            return result
        bound = sp.Symbol(f"step{depth + 1}", integer=True, positive=True)
        inner = self._rational(body.xreplace({index: bound}), depth + 1)
        return result + self._linear_sum(inner, bound, bare)

    def _linear_sum(self, inner: sp.Expr, bound: sp.Symbol, last: sp.Expr) -> sp.Expr:
        """The sum of a rational function: constant factors outside, one generator a term."""
        above, below = sp.fraction(sp.together(inner))
        outer, inside = self._split(sp.factor(below), bound)
        result = sp.S.Zero
        for term in sp.Add.make_args(sp.expand(above)):
            constant, dependent = self._split(term, bound)
            summand = sp.factor(dependent / inside)
            depends = (self._dependence(summand) | last.free_symbols) - {bound}
            name = f"sum({summand}, {bound} to {last})"
            result += constant * self._generator(name, depends, summand.is_nonnegative)
        return result / outer

    def _split(self, product: sp.Expr, bound: sp.Symbol) -> tuple[sp.Expr, sp.Expr]:
        """The factors that do not depend on the index, and those that do."""
        groups: tuple[list[sp.Expr], list[sp.Expr]] = ([], [])
        for factor in sp.Mul.make_args(product):
            groups[bound in self._dependence(factor)].append(factor)
        return sp.Mul(*groups[0]), sp.Mul(*groups[1])


def _numerator(expr: sp.Expr) -> sp.Expr:
    if not expr.free_symbols:
        return sp.expand(expr)
    return sfield(expr)[1].numer.as_expr()


def _reduce(polynomial: sp.Expr, root: sp.Symbol, square: sp.Expr) -> sp.Expr:
    """Even powers of a root replaced by what it is the root of."""
    if not polynomial.has(root):
        return polynomial
    terms = sp.Poly(polynomial, root).terms()
    return sp.Add(*(c * square ** (p // 2) * root ** (p % 2) for (p,), c in terms))
