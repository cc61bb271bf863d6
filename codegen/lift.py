"""From index normal form back to matrix form.

Input: a `Poly` whose elements are named matrices, and the labels of its row and column. Output:
a matrix expression with row and column factors hoisted, common factors drawn out and sums
written as row sums, column sums or products. Guaranteed by re-proof in `simplify`, not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from . import expression as ex
from . import index_form as ix
from .errors import GradwrightError
from .expression import Expr


class LiftError(GradwrightError):
    """A normal form that has no matrix form among the known primitives."""


class Lifter:
    """Lifts normal forms; `leaves` maps element names to the matrices they are entries of."""

    def __init__(self, leaves: Mapping[str, Expr], dims: Mapping[ix.Label, str]) -> None:
        self._leaves = leaves
        self._dims = dict(dims)

    def lift(self, poly: ix.Poly, row: ix.Label, col: ix.Label) -> Expr:
        """The matrix with entries `poly` at (row, col), of the full shape."""
        shape = self._dims.get(row, "1"), self._dims.get(col, "1")
        return _repeat(self._sum(list(poly.terms), row, col), shape)

    def _sum(self, terms: list[tuple[ix.Monomial, Fraction]], row: str, col: str) -> Expr:
        """A sum of terms: common factors first, then the most shared factor of some terms."""
        if not terms:
            return ex.number(0)
        if len(terms) == 1:
            monomial, coefficient = terms[0]
            return self._product(monomial, coefficient, row, col)
        common = _common_factor([m for m, _ in terms])
        number = _leading_number(terms)
        over = _over_common_base(terms)
        if over is not None:
            base, above = over
            divided = self._sum(list(above.terms), row, col)
            return self._times((base,), Fraction(1), divided, row, col)
        if common or number != 1:
            rest = [(_without(m, common), c / number) for m, c in terms]
            inner = self._sum(rest, row, col)
            return self._times(common, number, inner, row, col)
        shared = _most_shared([m for m, _ in terms], len(terms))
        if shared is not None:
            inside = [t for t in terms if _contains(t[0], shared)]
            outside = [t for t in terms if not _contains(t[0], shared)]
            return _plus(self._sum(outside, row, col), self._sum(inside, row, col))
        ordered = sorted(terms, key=lambda t: (t[1] < 0, -_width(t[0])))
        total = self._product(*ordered[0], row, col)
        for monomial, coefficient in ordered[1:]:
            total = _plus(total, self._product(monomial, coefficient, row, col))
        return total

    def _times(self, monomial: ix.Monomial, number: Fraction, inner: Expr, row: str, col: str
               ) -> Expr:
        """A product in which a parenthesised sum is one more factor."""
        return self._combine([*self._factors(monomial, row, col), inner], number)

    def _product(self, monomial: ix.Monomial, number: Fraction, row: str, col: str) -> Expr:
        return self._combine(self._factors(monomial, row, col), number)

    def _combine(self, factors: list[Expr], number: Fraction) -> Expr:
        """Multiply small factors first: scalars into vectors, vectors into matrices."""
        groups: dict[tuple[bool, bool], list[Expr]] = {}
        for factor in factors:
            groups.setdefault((factor.rows != "1", factor.cols != "1"), []).append(factor)
        merged = {kind: _all_times(items) for kind, items in groups.items()}
        scalar = merged.pop((False, False), ex.number(1))
        if number != 1:
            scalar = number * scalar
        vectors = [merged[k] for k in ((True, False), (False, True)) if k in merged]
        full = merged.get((True, True))
        if vectors and scalar is not ex.number(1):
            vectors[0] = _scaled(scalar, vectors[0])
            scalar = ex.number(1)
        result = full
        for vector in vectors:
            result = vector if result is None else _broadcast_times(vector, result)
        if result is None:
            return scalar
        return result if scalar is ex.number(1) else _scaled(scalar, result)

    def _factors(self, monomial: ix.Monomial, row: str, col: str) -> list[Expr]:
        return [_power(self._atom(atom, row, col), e) for atom, e in _ordered(monomial)]

    def _atom(self, atom: ix.Atom, row: str, col: str) -> Expr:
        if isinstance(atom, ix.Element):
            return self._element(atom, row, col)
        if isinstance(atom, ix.Number):
            if atom.name.isdigit():
                return ex.number(int(atom.name))
            if atom.name in ("pi", "e"):
                raise LiftError(f"the constant {atom.name} outside a scalar function")
            return ex.size(atom.name)
        if isinstance(atom, ix.Function) and atom.name in ("exp", "log"):
            return ex.elementwise(atom.name, self._sum(list(atom.argument.terms), row, col))
        if isinstance(atom, ix.Base):
            return self._sum(list(atom.poly.terms), row, col)
        if isinstance(atom, ix.Contraction):
            return self._contraction(atom, row, col)
        if isinstance(atom, ix.Delta) and {atom.first, atom.second} == {row, col}:
            return ex.identity(self._dims[row])
        raise LiftError(f"{type(atom).__name__} {atom} has no matrix form here")

    def _element(self, atom: ix.Element, row: str, col: str) -> Expr:
        leaf = self._leaves[atom.name]
        labels = list(atom.indices)
        own_row = labels.pop(0) if leaf.rows != "1" else ""
        own_col = labels.pop(0) if leaf.cols != "1" else ""
        if own_row and own_row == own_col:
            return self._element_of_diagonal(leaf, own_row, row)
        if (own_row in ("", row)) and (own_col in ("", col)):
            return leaf
        if (own_row in ("", col)) and (own_col in ("", row)):
            return leaf.T
        raise LiftError(f"the labels of {atom} are not those of its product")

    def _element_of_diagonal(self, leaf: Expr, label: str, row: str) -> Expr:
        column = ex.diag(leaf)
        return column if label == row else column.T

    def _contraction(self, atom: ix.Contraction, row: str, col: str) -> Expr:
        names = {label: f"{label}|{row}|{col}" for label, _ in atom.bound}
        renamed = ix.rename(ix.Poly(((atom.factors, ix.ONE),)), names)
        if len(renamed.terms) != 1:
            raise LiftError(f"{atom} is no single product")
        ((inside, number),) = renamed.terms
        self._dims.update({names[label]: dim for label, dim in atom.bound})
        result = self._contract(inside, [names[label] for label, _ in atom.bound], row, col)
        return result if number == 1 else number * result

    def _contract(self, factors: ix.Monomial, bound: list[str], row: str, col: str) -> Expr:
        """Sum over the bound labels one product at a time, smallest intermediate first."""
        free = [l for l in (row, col) if l and any(l in a.labels for a, _ in factors)]
        if len(bound) == 2 and not free:
            first, second = self._orientation(factors, bound[0], bound[1])
            try:
                return ex.reduce("elements_sum", self._full(factors, first, second))
            except LiftError:
                pass
        if len(bound) == 1:
            return self._contract_one(factors, bound[0], free, row, col)
        label = min(bound, key=lambda b: (len(_neighbours(factors, b)), b))
        inner = tuple(f for f in factors if label in f[0].labels)
        outer = [f for f in factors if label not in f[0].labels]
        others = sorted(_neighbours(inner, label))
        if len(others) > 2:
            raise LiftError("a product over more than three indices")
        first = others[0] if others else ""
        second = others[1] if len(others) > 1 else ""
        value = self._contract(inner, [label], first, second)
        name = f"%{len(self._leaves)}"
        labels = [l for l, d in zip((first, second), value.shape, strict=True) if d != "1"]
        if len(others) == 1 and value.rows == "1":
            labels = [first]
        self._leaves = {**self._leaves, name: value}
        outer.append((ix.Element(name, tuple(labels)), Fraction(1)))
        remaining = [b for b in bound if b != label]
        return self._contract(tuple(outer), remaining, row, col)

    def _contract_one(
        self, factors: ix.Monomial, label: str, free: list[str], row: str, col: str
    ) -> Expr:
        if len(free) == 2:
            left = tuple(f for f in factors if row in f[0].labels or free[1] not in f[0].labels)
            right = tuple(f for f in factors if f not in left)
            if any(col in a.labels for a, _ in left):
                raise LiftError("a sum over a product of three-index factors")
            return self._full(left, row, label) @ self._full(right, label, col)
        other = free[0] if free else ""
        first, second = self._orientation(factors, other, label)
        matrix = self._full(factors, first, second)
        result = ex.reduce("rows_sum" if second == label else "columns_sum", matrix)
        wanted_row = other == row and bool(other)
        return result.T if other and (result.rows != "1") != wanted_row else result

    def _full(self, factors: ix.Monomial, row: str, col: str) -> Expr:
        shape = self._dims.get(row, "1"), self._dims.get(col, "1")
        return _repeat(self._product(factors, Fraction(1), row, col), shape)

    def _orientation(self, factors: ix.Monomial, one: str, other: str) -> tuple[str, str]:
        """Which of two labels is the row: as in the widest factor's own storage."""
        for atom, _ in _ordered(factors):
            for element in _elements(atom):
                leaf = self._leaves[element.name]
                if leaf.rows != "1" and leaf.cols != "1" and one in element.indices:
                    return (one, other) if element.indices[0] == one else (other, one)
                if not one and len(element.indices) == 1 and element.indices[0] == other:
                    return (one, other) if leaf.rows == "1" else (other, one)
        return one, other


def _elements(atom: ix.Atom) -> list[ix.Element]:
    if isinstance(atom, ix.Element):
        return [atom]
    if isinstance(atom, ix.Function):
        return [e for m, _ in atom.argument.terms for a, _ in m for e in _elements(a)]
    if isinstance(atom, ix.Base):
        return [e for m, _ in atom.poly.terms for a, _ in m for e in _elements(a)]
    return []


def _neighbours(factors: ix.Monomial, label: str) -> set[str]:
    touching = [atom.labels for atom, _ in factors if label in atom.labels]
    return set().union(*touching) - {label} if touching else set()


def _ordered(monomial: ix.Monomial) -> list[tuple[ix.Atom, Fraction]]:
    """Data before upstream gradients, wide factors first, divisors last: a readable order."""

    def rank(factor: tuple[ix.Atom, Fraction]) -> tuple[object, ...]:
        atom, exponent = factor
        upstream = isinstance(atom, ix.Element) and atom.name.startswith("D")
        return exponent < 0, isinstance(atom, ix.Contraction), upstream, atom.key

    return sorted(monomial, key=rank)


def _width(monomial: ix.Monomial) -> int:
    return len(frozenset().union(*(atom.labels for atom, _ in monomial))) if monomial else 0


def _common_factor(monomials: list[ix.Monomial]) -> ix.Monomial:
    """Atoms in every term, with the exponent nearest to zero."""
    factors = [dict(m) for m in monomials]
    common = []
    for atom, _ in monomials[0]:
        exponents = [f.get(atom, Fraction(0)) for f in factors]
        if all(e > 0 for e in exponents):
            common.append((atom, min(exponents)))
        elif all(e < 0 for e in exponents):
            common.append((atom, max(exponents)))
    return tuple(common)


def _over_common_base(
    terms: list[tuple[ix.Monomial, Fraction]],
) -> tuple[tuple[ix.Atom, Fraction], ix.Poly] | None:
    """A divisor and what stands above it, where that has fewer terms: 1 - x / (x + a) is a / (x + a)."""
    lowest: dict[ix.Atom, Fraction] = {}
    for monomial, _ in terms:
        for atom, exponent in monomial:
            if isinstance(atom, ix.Base) and exponent < lowest.get(atom, Fraction(0)):
                lowest[atom] = exponent
    for base, exponent in sorted(lowest.items(), key=lambda item: item[0].key):
        factor = ix.Poly(((((base, -exponent),), ix.ONE),))
        above = ix.multiply(ix.Poly(tuple(terms)), factor)
        if len(above.terms) < len(terms):
            return (base, exponent), above
    return None


def _without(monomial: ix.Monomial, common: ix.Monomial) -> ix.Monomial:
    left = dict(monomial)
    for atom, exponent in common:
        left[atom] = left.get(atom, Fraction(0)) - exponent
    return tuple(sorted(((a, e) for a, e in left.items() if e), key=lambda f: f[0].key))


def _leading_number(terms: list[tuple[ix.Monomial, Fraction]]) -> Fraction:
    """A factor that leaves whole numbers, and no minus in front of every term."""
    number = ix.common_number([c for _, c in terms])
    return -number if all(c < 0 for _, c in terms) else number


def _most_shared(monomials: list[ix.Monomial], count: int) -> ix.Atom | None:
    """The widest factor of at least two but not all terms."""
    uses: dict[ix.Atom, int] = {}
    for monomial in monomials:
        for atom, exponent in monomial:
            if exponent > 0 and not isinstance(atom, ix.Number):
                uses[atom] = uses.get(atom, 0) + 1
    shared = [a for a, n in uses.items() if 2 <= n < count]
    return max(shared, key=lambda a: (len(a.labels), uses[a], a.key)) if shared else None


def _contains(monomial: ix.Monomial, atom: ix.Atom) -> bool:
    return any(a == atom and e > 0 for a, e in monomial)


def _power(value: Expr, exponent: Fraction) -> Expr:
    """A power of a forward value stays one, also where the value is itself a power."""
    if exponent == 1:
        return value
    if value.op == "number":
        return ex.power(value, exponent)
    return ex.node("power", (value,), value.shape, exponent)


def _all_times(factors: list[Expr]) -> Expr:
    result = factors[0]
    for factor in factors[1:]:
        result = ex.hadamard(result, factor)
    return result


def _scaled(scalar: Expr, value: Expr) -> Expr:
    return ex.hadamard(scalar, value)


def _broadcast_times(vector: Expr, value: Expr) -> Expr:
    shape = _joint_shape(vector, value)
    return ex.hadamard(_repeat(vector, shape), _repeat(value, shape))


def _plus(left: Expr, right: Expr) -> Expr:
    shape = _joint_shape(left, right)
    return ex.add(_repeat(left, shape), _repeat(right, shape))


def _joint_shape(left: Expr, right: Expr) -> ex.Shape:
    rows = left.rows if left.rows != "1" else right.rows
    cols = left.cols if left.cols != "1" else right.cols
    return rows, cols


def _repeat(value: Expr, shape: ex.Shape) -> Expr:
    if value.shape == shape:
        return value
    if value.is_scalar:
        return ex.scalar_repeat(value, shape)
    if value.rows == "1" and shape[0] != "1":
        return ex.row_repeat(value, shape[0])
    return ex.column_repeat(value, shape[1])
