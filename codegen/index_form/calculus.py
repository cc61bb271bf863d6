"""What walks whole normal forms: replacing atoms, and differentiation by an entry."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from .algebra import (
    UNIT,
    ZERO,
    Poly,
    add,
    constant,
    delta,
    multiply,
    named_constant,
    normal_product,
    of,
    product,
    scale,
)
from .atoms import Atom, Base, Contraction, Element, Function, Label, Selection
from .functions import exp, function
from .powers import power, power_of_renamed
from .sums import opened, sum_over


def replace_atoms(poly: Poly, match: Callable[[Atom], Poly | None]) -> Poly:
    """Replace atoms, outermost first; `match` returns None for an atom that stays."""
    total = []
    for monomial, coefficient in poly.terms:
        factors = constant(coefficient)
        for atom, exponent in monomial:
            factors = multiply(factors, _replace_power(atom, exponent, match))
        total.append(factors)
    return add(*total)


def _replace_power(atom: Atom, exponent: Fraction, match: Callable[[Atom], Poly | None]) -> Poly:
    found = match(atom)
    if found is not None:
        return power(found, exponent)
    if isinstance(atom, Function):
        inside = replace_atoms(atom.argument, match)
        return power_of_renamed(function(atom.name, inside), exponent)
    if isinstance(atom, Base):
        return power(replace_atoms(atom.poly, match), exponent)
    if isinstance(atom, Contraction):
        bound, inside = opened(atom, ())
        return power(sum_over(replace_atoms(inside, match), bound), exponent)
    if isinstance(atom, Selection):
        return of(
            Selection(atom.label, atom.dim, replace_atoms(atom.body, match), atom.index), exponent
        )
    return of(atom, exponent)


def differentiate(poly: Poly, name: str, indices: tuple[Label, ...]) -> Poly:
    """The partial derivative by entry `indices` of array `name`; the labels are not in `poly`."""
    total = []
    for monomial, coefficient in poly.terms:
        for atom, exponent in monomial:
            inner = _differentiate_atom(atom, name, indices)
            if not inner.terms:
                continue
            lowered = dict(monomial)
            lowered[atom] = exponent - 1
            total.append(scale(normal_product(lowered) * inner, coefficient * exponent))
    return add(*total)


def _differentiate_atom(atom: Atom, name: str, indices: tuple[Label, ...]) -> Poly:
    if isinstance(atom, Element):
        if atom.name != name:
            return ZERO
        return product(delta(i, j) for i, j in zip(atom.indices, indices, strict=True))
    if isinstance(atom, Function):
        inner = differentiate(atom.argument, name, indices)
        return inner * _derivative(atom) if inner.terms else ZERO
    if isinstance(atom, Base):
        return differentiate(atom.poly, name, indices)
    if isinstance(atom, Contraction):
        bound, inside = opened(atom, indices)
        return sum_over(differentiate(inside, name, indices), bound)
    return ZERO


def _derivative(atom: Function) -> Poly:
    """The derivative of a scalar function at its argument."""
    argument = atom.argument
    squared = multiply(argument, argument)
    if atom.name == "exp":
        return of(atom)
    if atom.name == "log":
        return power(argument, -1)
    if atom.name == "step":
        return ZERO
    if atom.name == "erf":
        normaliser = power(named_constant("pi"), Fraction(-1, 2))
        return scale(normaliser * exp(-squared), Fraction(2))
    if atom.name == "sin":
        return function("cos", argument)
    if atom.name == "cos":
        return -function("sin", argument)
    if atom.name == "tan":
        return UNIT + power(of(atom), 2)
    if atom.name == "atan":
        return power(UNIT + squared, -1)
    raise NotImplementedError(
        f"no derivative for the scalar function {atom.name}; add one to index_form._derivative"
    )
