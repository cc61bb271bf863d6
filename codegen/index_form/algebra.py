"""Sums of products of atoms: constructors, addition, multiplication.

Products are normal after every step: equal atoms merge exponents, a delta substitutes, whole powers
of sums expand, the leading monomial of p in m p^-k is divided out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, singledispatch

from .atoms import (
    ONE,
    Atom,
    Base,
    Delta,
    Element,
    Function,
    Label,
    Monomial,
    Number,
    Selection,
    monomial_key,
    power_key,
)


@dataclass(frozen=True, eq=False)
class Poly:
    """A normal form: terms sorted by key, no zero coefficients; built by the functions below."""

    terms: tuple[tuple[Monomial, Fraction], ...]

    @cached_property
    def key(self) -> str:
        return "+".join(f"{coefficient}*{monomial_key(m)}" for m, coefficient in self.terms) or "0"

    @cached_property
    def skeleton(self) -> str:
        return "+".join(sorted(f"{c}*{skeleton_of(m)}" for m, c in self.terms))

    @cached_property
    def labels(self) -> frozenset[Label]:
        return frozenset().union(*(atom.labels for m, _ in self.terms for atom, _ in m))

    @cached_property
    def parts(self) -> frozenset[str]:
        """Skeletons of all atoms, inner ones too."""
        return frozenset().union(*(atom.parts for m, _ in self.terms for atom, _ in m))

    @cached_property
    def height(self) -> int:
        return max((atom.height for m, _ in self.terms for atom, _ in m), default=0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Poly) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        return self.key

    def __add__(self, other: Poly) -> Poly:
        return add(self, other)

    def __sub__(self, other: Poly) -> Poly:
        return add(self, scale(other, Fraction(-1)))

    def __mul__(self, other: Poly) -> Poly:
        return multiply(self, other)

    def __neg__(self) -> Poly:
        return scale(self, Fraction(-1))


def skeleton_of(monomial: Monomial) -> str:
    return "*".join(sorted(power_key(atom.skeleton, e) for atom, e in monomial))


ZERO = Poly(())
UNIT = Poly((((), ONE),))


# Construction


def constant(value: Fraction | int) -> Poly:
    """A rational number."""
    return Poly((((), Fraction(value)),)) if value else ZERO


def of(atom: Atom, exponent: Fraction = ONE) -> Poly:
    return Poly(((((atom, exponent),), ONE),))


def element(name: str, *indices: Label, positive: bool = False) -> Poly:
    """The entry of the array `name` at `indices`; `positive` licenses fractional powers."""
    return of(Element(name, indices, positive))


def size(name: str) -> Poly:
    """A dimension as a number; the dimension "1" is one."""
    return UNIT if name == "1" else of(Number(name))


def named_constant(name: str) -> Poly:
    """A positive real constant that is no rational number, such as `pi`."""
    return of(Number(name))


def delta(first: Label, second: Label) -> Poly:
    """Kronecker's delta."""
    if first == second:
        return UNIT
    return of(Delta(*sorted((first, second))))


def add(*polys: Poly) -> Poly:
    polys = tuple(poly for poly in polys if poly.terms)
    if len(polys) == 1:
        return polys[0]
    total: dict[Monomial, Fraction] = {}
    for poly in polys:
        for monomial, coefficient in poly.terms:
            known = total.get(monomial)
            total[monomial] = coefficient if known is None else known + coefficient
    return collect(total)


def collect(total: Mapping[Monomial, Fraction]) -> Poly:
    kept = [(monomial, c) for monomial, c in total.items() if c]
    if len(kept) < 2:
        return Poly(tuple(kept))
    return Poly(tuple(sorted(kept, key=lambda term: monomial_key(term[0]))))


def scale(poly: Poly, factor: Fraction) -> Poly:
    if factor == 1:
        return poly
    return Poly(tuple((m, c * factor) for m, c in poly.terms)) if factor else ZERO


def multiply(left: Poly, right: Poly) -> Poly:
    if len(left.terms) == 1 and not left.terms[0][0]:
        return scale(right, left.terms[0][1])
    if len(right.terms) == 1 and not right.terms[0][0]:
        return scale(left, right.terms[0][1])
    total: dict[Monomial, Fraction] = {}
    for first, a in left.terms:
        for second, b in right.terms:
            for monomial, c in _product(first, second).terms:
                known = total.get(monomial)
                total[monomial] = a * b * c if known is None else known + a * b * c
    return collect(total)


def product(polys: Iterable[Poly]) -> Poly:
    result = UNIT
    for poly in polys:
        result = multiply(result, poly)
    return result


def _product(first: Monomial, second: Monomial) -> Poly:
    merged = dict(first)
    for atom, exponent in second:
        known = merged.get(atom)
        merged[atom] = exponent if known is None else known + exponent
    return normal_product(merged)


def normal_product(factors: Mapping[Atom, Fraction]) -> Poly:
    """Normalise one product of atoms; the result may have several terms."""
    kept, coefficient = _whole_numbers(factors)
    for atom, exponent in kept.items():
        if isinstance(atom, Delta):
            target, source = atom.first, atom.second
            rest = _others(kept, atom)
            if any(source in other.labels for other in rest):
                renamed = rename(normal_product(rest), {source: target})
                return scale(multiply(renamed, of(atom)), coefficient)
            kept[atom] = ONE
        elif _is_indicator(atom) and exponent > 0:
            kept[atom] = ONE
        elif isinstance(atom, Base):
            reduced = _reduced_power(atom, exponent, _others(kept, atom))
            if reduced is not None:
                return scale(reduced, coefficient)
    ordered = sorted(kept.items(), key=lambda factor: factor[0].key)
    return Poly(((tuple(ordered), coefficient),))


def _whole_numbers(factors: Mapping[Atom, Fraction]) -> tuple[dict[Atom, Fraction], Fraction]:
    """The factors that are there, and the rational number that whole powers of primes make."""
    kept: dict[Atom, Fraction] = {}
    coefficient = ONE
    for atom, exponent in factors.items():
        if isinstance(atom, Number) and atom.name.isdigit() and not 0 < exponent < 1:
            whole = exponent.numerator // exponent.denominator
            coefficient *= Fraction(int(atom.name)) ** whole
            exponent -= whole
        if exponent:
            kept[atom] = exponent
    return kept, coefficient


def _others(factors: Mapping[Atom, Fraction], atom: Atom) -> dict[Atom, Fraction]:
    return {other: exponent for other, exponent in factors.items() if other is not atom}


def _reduced_power(base: Base, exponent: Fraction, rest: dict[Atom, Fraction]) -> Poly | None:
    """The product of the rest and a power of a sum, where the sum expands or divides."""
    if exponent >= 1:
        whole = exponent.numerator // exponent.denominator
        rest[base] = exponent - whole
        return multiply(normal_product(rest), natural_power(base.poly, whole))
    if exponent > 0:
        return None
    reduced = _divide_leading(base, exponent, rest)
    return reduced if reduced is not None else _split_fraction(base, exponent, rest)


def _is_indicator(atom: Atom) -> bool:
    """Whether the atom is 0 or 1, hence its own square."""
    return isinstance(atom, Selection) or (isinstance(atom, Function) and atom.name == "step")


def _divide_leading(base: Base, exponent: Fraction, rest: dict[Atom, Fraction]) -> Poly | None:
    """m p^q = (p^(q+1) - (p - c m) p^q) / c, where c m is the leading term of p."""
    leading = _leading_term(base.poly)
    if leading is None:
        return None
    monomial, coefficient = leading
    if any(e < 0 or rest.get(atom, Fraction(0)) < e for atom, e in monomial):
        return None
    cofactor = dict(rest)
    for atom, e in monomial:
        cofactor[atom] -= e
    remainder = add(base.poly, Poly(((monomial, -coefficient),)))
    raised = normal_product({**cofactor, base: exponent + 1})
    lowered = multiply(normal_product({**cofactor, base: exponent}), remainder)
    return scale(raised - lowered, 1 / coefficient)


def _split_fraction(base: Base, exponent: Fraction, rest: dict[Atom, Fraction]) -> Poly | None:
    """1 / (x p) = (1/x - (p - c)/(x p)) / c, where c is the constant of p and x is in its rest."""
    numbers = [c for m, c in base.poly.terms if not m]
    others = [dict(m) for m, _ in base.poly.terms if m]
    if not numbers or not any(
        rest.get(atom, Fraction(0)) < 0 and all(m.get(atom, Fraction(0)) > 0 for m in others)
        for atom in others[0]
    ):
        return None
    whole = normal_product({**rest, base: exponent + 1})
    remainder = base.poly - constant(numbers[0])
    shifted = [
        scale(normal_product(_merge({**rest, base: exponent}, m)), c) for m, c in remainder.terms
    ]
    return scale(whole - add(*shifted), 1 / numbers[0])


def _merge(factors: dict[Atom, Fraction], monomial: Monomial) -> dict[Atom, Fraction]:
    merged = dict(factors)
    for atom, exponent in monomial:
        merged[atom] = merged.get(atom, Fraction(0)) + exponent
    return merged


def _leading_term(poly: Poly) -> tuple[Monomial, Fraction] | None:
    """The term of highest degree; chosen without looking at labels, so that renaming keeps it."""

    def rank(term: tuple[Monomial, Fraction]) -> tuple[Fraction, str]:
        return sum((e for _, e in term[0]), Fraction(0)), skeleton_of(term[0])

    ranked = sorted(poly.terms, key=rank)
    if len(ranked) > 1 and rank(ranked[-1]) == rank(ranked[-2]):
        return None
    return ranked[-1]


def natural_power(poly: Poly, exponent: int) -> Poly:
    return product([poly] * exponent)


def rename(poly: Poly, names: Mapping[Label, Label]) -> Poly:
    """Replace free labels, several at once, and normalise again."""
    if poly.labels.isdisjoint(names):
        return poly
    total: list[Poly] = []
    for monomial, coefficient in poly.terms:
        kept = tuple(f for f in monomial if f[0].labels.isdisjoint(names))
        term = Poly(((kept, coefficient),))
        for atom, exponent in monomial:
            if not atom.labels.isdisjoint(names):
                term = multiply(term, rename_power(atom, exponent, names))
        total.append(term)
    return add(*total)


@singledispatch
def rename_power(atom: Atom, exponent: Fraction, names: Mapping[Label, Label]) -> Poly:
    """An atom under an exponent with its free labels replaced; each kind of atom has its own."""
    raise TypeError(
        f"no renaming of {names} in {type(atom).__name__}^{exponent}; add one beside the others"
    )


@rename_power.register
def _(atom: Element, exponent: Fraction, names: Mapping[Label, Label]) -> Poly:
    indices = tuple(names.get(i, i) for i in atom.indices)
    return of(Element(atom.name, indices, atom.positive), exponent)


@rename_power.register
def _(atom: Delta, _: Fraction, names: Mapping[Label, Label]) -> Poly:
    return delta(names.get(atom.first, atom.first), names.get(atom.second, atom.second))
