"""Whether a normal form is zero, and how many indices its terms have."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import ceil

from .algebra import UNIT, Poly, add, multiply, of, product, scale
from .atoms import ONE, Atom, Base, Contraction, Function, Label, Monomial, Selection


def is_zero(poly: Poly) -> bool:
    """Whether the normal form is zero, if need be after clearing common denominators."""
    for _ in range(24):
        if not poly.terms:
            return True
        bases = {
            atom
            for monomial, _ in poly.terms
            for atom, exponent in monomial
            if isinstance(atom, Base) and exponent < 0
        }
        if not bases:
            return False
        base = min(bases, key=lambda atom: atom.key)
        poly = add(*(scale(_clear(m, base), c) for m, c in poly.terms))
    return False


def _clear(monomial: Monomial, base: Atom) -> Poly:
    """Multiply by the base once, without dividing leading terms out again."""
    factors = dict(monomial)
    exponent = factors.pop(base, Fraction(0))
    rest = Poly(((tuple(factors.items()), ONE),))
    if exponent == -1:
        return product(of(a, e) for a, e in rest.terms[0][0])
    if exponent < 0:
        kept = sorted([*factors.items(), (base, exponent + 1)], key=lambda f: f[0].key)
        return Poly(((tuple(kept), ONE),))
    assert isinstance(base, Base)
    return multiply(multiply(rest, base.poly), of(base, exponent) if exponent else UNIT)


def index_counts(poly: Poly, dims: Mapping[Label, str]) -> dict[str, int]:
    """For each dimension the number of indices in the widest term, free and summed ones."""
    widest: dict[str, int] = {}
    for monomial, _ in poly.terms:
        counts: dict[str, int] = {}
        free = frozenset().union(*(atom.labels for atom, _ in monomial))
        for label in free:
            if label in dims:
                counts[dims[label]] = counts.get(dims[label], 0) + 1
        for atom, exponent in monomial:
            for dim, count in _bound_counts(atom, exponent).items():
                counts[dim] = counts.get(dim, 0) + count
        for dim, count in counts.items():
            widest[dim] = max(widest.get(dim, 0), count)
    return widest


def _bound_counts(atom: Atom, exponent: Fraction) -> dict[str, int]:
    """Summed indices; the square of a sum has twice as many as the sum."""
    counts: dict[str, int] = {}
    if isinstance(atom, Contraction):
        for _, dim in atom.bound:
            counts[dim] = counts.get(dim, 0) + 1
        for inner, power_inside in atom.factors:
            for dim, count in _bound_counts(inner, power_inside).items():
                counts[dim] = counts.get(dim, 0) + count
        counts = {dim: count * ceil(abs(exponent)) for dim, count in counts.items()}
    elif isinstance(atom, Function | Base):
        body = atom.argument if isinstance(atom, Function) else atom.poly
        counts = index_counts(body, {})
    elif isinstance(atom, Selection):
        counts = index_counts(atom.body, {})
        counts[atom.dim] = counts.get(atom.dim, 0) + 1
    return counts
