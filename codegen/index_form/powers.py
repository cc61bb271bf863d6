"""Rational powers: what a root may be split into, and what stays below it."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import gcd, lcm

from sympy import factorint

from .algebra import (
    UNIT,
    ZERO,
    Poly,
    add,
    collect,
    constant,
    multiply,
    natural_power,
    normal_product,
    of,
    product,
    rename,
    rename_power,
    skeleton_of,
)
from .atoms import (
    Atom,
    Base,
    Contraction,
    Element,
    Function,
    Label,
    Monomial,
    Number,
    monomial_key,
)


def is_positive(atom: Atom) -> bool:
    """Whether the atom is known to be positive, which licenses splitting roots and logarithms."""
    if isinstance(atom, Element):
        return atom.positive
    if isinstance(atom, Number):
        return True
    if isinstance(atom, Function):
        return atom.name == "exp"
    if isinstance(atom, Base):
        return all(c > 0 and holds_positive(m) for m, c in atom.poly.terms)
    if isinstance(atom, Contraction):
        return holds_positive(atom.factors)
    return False


def holds_positive(monomial: Monomial) -> bool:
    """Whether a product is positive (or, by even powers, not negative)."""
    return all(is_positive(atom) or exponent % 2 == 0 for atom, exponent in monomial)


def power(poly: Poly, exponent: Fraction | int) -> Poly:
    """A rational power. Fractional powers are taken of positive values only."""
    exponent = Fraction(exponent)
    if not exponent:
        return UNIT
    if not poly.terms:
        if exponent < 0:
            raise ZeroDivisionError("a power of zero with a negative exponent")
        return ZERO
    if exponent.denominator == 1 and exponent > 0:
        return natural_power(poly, int(exponent))
    content, primitive = split_content(poly, any_sign=exponent.denominator == 1)
    ((monomial, coefficient),) = content.terms
    outer = multiply(
        _number_power(coefficient, exponent),
        product(normal_product({atom: e * exponent}) for atom, e in monomial),
    )
    return outer if primitive == UNIT else multiply(outer, of(Base(primitive), exponent))


def _number_power(value: Fraction, exponent: Fraction) -> Poly:
    if exponent.denominator == 1:
        return constant(value ** int(exponent))
    factors: dict[Atom, Fraction] = {}
    for number, sign in ((value.numerator, 1), (value.denominator, -1)):
        for prime, count in factorint(number).items():
            atom = Number(str(prime))
            factors[atom] = factors.get(atom, Fraction(0)) + sign * count * exponent
    return normal_product(factors)


def split_content(poly: Poly, any_sign: bool) -> tuple[Poly, Poly]:
    """Write poly = content * primitive with a one-term content.

    With `any_sign` the content takes every common atom and the sign of the first term;
    without it only positive atoms and a positive number, so that roots and logs may split.
    """
    monomials = [dict(monomial) for monomial, _ in poly.terms]
    content: dict[Atom, Fraction] = {}
    for atom in {atom: None for monomial in monomials for atom in monomial}:
        if any_sign or is_positive(atom):
            lowest = min(monomial.get(atom, Fraction(0)) for monomial in monomials)
            if lowest:
                content[atom] = lowest
    number = common_number([c for _, c in poly.terms])
    if any_sign:
        first = min(poly.terms, key=lambda term: (skeleton_of(term[0]), monomial_key(term[0])))
        number = number if first[1] > 0 else -number
    kept = sorted(content.items(), key=lambda factor: factor[0].key)
    head = Poly(((tuple(kept), number),))
    inverse = Poly(((tuple((a, -e) for a, e in kept), 1 / number),))
    rest = _collect_raw(poly, inverse)
    opened = _expand_bases(rest)
    if opened is not None:
        again, rest = split_content(opened, any_sign)
        head = _collect_raw(head, again)
    return head, rest


def _expand_bases(poly: Poly) -> Poly | None:
    """Whole powers of sums multiplied out, which a division by the content may bring; else None."""
    total: list[Poly] = []
    found = False
    for monomial, coefficient in poly.terms:
        term = Poly(((tuple(f for f in monomial if not _is_expandable(*f)), coefficient),))
        for atom, exponent in monomial:
            if isinstance(atom, Base) and _is_expandable(atom, exponent):
                found = True
                whole = exponent.numerator // exponent.denominator
                if exponent != whole:
                    term = _collect_raw(term, of(atom, exponent - whole))
                expanded = natural_power(atom.poly, whole)
                term = add(*(_collect_raw(term, Poly((part,))) for part in expanded.terms))
        total.append(term)
    return add(*total) if found else None


def _is_expandable(atom: Atom, exponent: Fraction) -> bool:
    return isinstance(atom, Base) and exponent >= 1


def _collect_raw(poly: Poly, one_term: Poly) -> Poly:
    """Multiply without dividing leading terms out again: the content is common to all terms."""
    ((factors, number),) = one_term.terms
    total: dict[Monomial, Fraction] = {}
    for monomial, coefficient in poly.terms:
        merged = dict(monomial)
        for atom, exponent in factors:
            merged[atom] = merged.get(atom, Fraction(0)) + exponent
        kept = tuple(sorted(((a, e) for a, e in merged.items() if e), key=lambda f: f[0].key))
        total[kept] = coefficient * number
    return collect(total)


def common_number(values: list[Fraction]) -> Fraction:
    return Fraction(gcd(*(abs(v.numerator) for v in values)), lcm(*(v.denominator for v in values)))


def first_sign(poly: Poly) -> int:
    """The sign of the first term; chosen without looking at labels first."""
    first = min(poly.terms, key=lambda term: (skeleton_of(term[0]), monomial_key(term[0])))
    return 1 if first[1] > 0 else -1


def power_of_renamed(poly: Poly, exponent: Fraction) -> Poly:
    """Exponents of one-term results distribute: the atom stood under that power before."""
    if len(poly.terms) == 1 and poly.terms[0][1] == 1:
        return product(of(atom, e * exponent) for atom, e in poly.terms[0][0])
    return power(poly, exponent)


@rename_power.register
def _(atom: Base, exponent: Fraction, names: Mapping[Label, Label]) -> Poly:
    return power(rename(atom.poly, names), exponent)
