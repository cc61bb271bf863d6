"""What walks whole normal forms: replacing atoms, and differentiation by an entry."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from .algebra import (
    UNIT,
    ZERO,
    Poly,
    add,
    delta,
    multiply,
    named_constant,
    normal_product,
    of,
    product,
    scale,
)
from .atoms import ONE, Atom, Base, Bound, Contraction, Element, Function, Label, Selection
from .functions import exp, function
from .powers import power, power_of_renamed
from .sums import opened, sum_over


def replace_atoms(
    poly: Poly, match: Callable[[Atom], Poly | None], skeleton: str | None = None
) -> Poly:
    """Replace atoms, outermost first; `match` returns None for an atom that stays.

    With a `skeleton` only atoms that have it are replaced.
    """
    if skeleton is not None and skeleton not in poly.parts:
        return poly
    total, changed = [], False
    for monomial, coefficient in poly.terms:
        kept, replaced = [], []
        for atom, exponent in monomial:
            found = None
            if skeleton is None or skeleton in atom.parts:
                found = _replaced_power(atom, exponent, match, skeleton)
            if found is None:
                kept.append((atom, exponent))
            else:
                replaced.append(found)
        changed |= bool(replaced)
        total.append(product([Poly(((tuple(kept), coefficient),)), *replaced]))
    return add(*total) if changed else poly


def _replaced_power(
    atom: Atom, exponent: Fraction, match: Callable[[Atom], Poly | None], skeleton: str | None
) -> Poly | None:
    """What stands for the atom under its exponent, or None if nothing in it is replaced."""
    found = match(atom) if skeleton in (None, atom.skeleton) else None
    if found is not None:
        return power(found, exponent)
    body = _body(atom)
    if body is None:
        return None
    bound: Bound = ()
    if isinstance(atom, Contraction):
        bound, body = opened(atom, ())
    inside = replace_atoms(body, match, skeleton)
    if inside is body:
        return None
    if isinstance(atom, Function):
        return power_of_renamed(function(atom.name, inside), exponent)
    if isinstance(atom, Selection):
        return of(Selection(atom.label, atom.dim, inside, atom.index), exponent)
    return power(sum_over(inside, bound) if bound else inside, exponent)


def _body(atom: Atom) -> Poly | None:
    if isinstance(atom, Function):
        return atom.argument
    if isinstance(atom, Base):
        return atom.poly
    if isinstance(atom, Contraction):
        return Poly(((atom.factors, ONE),))
    return atom.body if isinstance(atom, Selection) else None


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
