"""Scalar functions of normal forms, and the mask of a maximum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from sympy import factorint

from .algebra import (
    UNIT,
    ZERO,
    Poly,
    constant,
    of,
    product,
    rename,
    rename_power,
    scale,
)
from .atoms import ONE, Base, Function, Label, Monomial, Number, Selection
from .powers import first_sign, power, power_of_renamed, split_content

ODD_FUNCTIONS = frozenset({"erf", "sin", "tan", "atan"})
EVEN_FUNCTIONS = frozenset({"cos"})


def exp(poly: Poly) -> Poly:
    """The exponential, one factor for each term of its argument."""
    factors = []
    for monomial, coefficient in poly.terms:
        if not monomial:
            factors.append(of(Number("e"), coefficient))
        elif (logarithm := _lone_log(monomial)) is not None:
            factors.append(power(logarithm, coefficient))
        else:
            atom = Function("exp", Poly(((monomial, ONE),)))
            factors.append(of(atom, coefficient))
    return product(factors)


def _lone_log(monomial: Monomial) -> Poly | None:
    if len(monomial) == 1 and monomial[0][1] == 1:
        atom = monomial[0][0]
        if isinstance(atom, Function) and atom.name == "log":
            return atom.argument
    return None


def log(poly: Poly) -> Poly:
    """The logarithm; positive factors split off."""
    content, primitive = split_content(poly, any_sign=False)
    ((monomial, number),) = content.terms
    total = ZERO
    for value, sign in ((number.numerator, 1), (number.denominator, -1)):
        for prime, count in factorint(value).items():
            total += scale(of(Function("log", constant(prime))), Fraction(sign * count))
    for atom, exponent in monomial:
        if isinstance(atom, Function):
            total += scale(atom.argument, exponent)
        elif isinstance(atom, Number) and atom.name == "e":
            total += constant(exponent)
        else:
            argument = atom.poly if isinstance(atom, Base) else of(atom)
            total += scale(of(Function("log", argument)), exponent)
    return total if primitive == UNIT else total + of(Function("log", primitive))


def step(poly: Poly) -> Poly:
    """1 where the argument is positive, else 0; at zero a script's declared convention decides."""
    if not poly.terms:
        return ZERO
    _, primitive = split_content(poly, any_sign=False)
    if all(not m for m, _ in primitive.terms):
        return UNIT if primitive.terms[0][1] > 0 else ZERO
    if first_sign(primitive) < 0:
        return UNIT - of(Function("step", -primitive))
    return of(Function("step", primitive))


def function(name: str, argument: Poly) -> Poly:
    """A scalar function by name; names without rules stay opaque."""
    special: dict[str, Callable[[Poly], Poly]] = {"exp": exp, "log": log, "step": step}
    if name in special:
        return special[name](argument)
    if name in ODD_FUNCTIONS:
        if not argument.terms:
            return ZERO
        if first_sign(argument) < 0:
            return -of(Function(name, -argument))
    if name in EVEN_FUNCTIONS and argument.terms and first_sign(argument) < 0:
        argument = -argument
    return of(Function(name, argument))


def selection(body: Poly, label: Label, dim: str, index: Label) -> Poly:
    """The one-hot mask of the first maximum of `body` over `label`, at `index`."""
    canonical = f"@{body.height + 1}.0"
    return of(Selection(canonical, dim, rename(body, {label: canonical}), index))


@rename_power.register
def _(atom: Function, exponent: Fraction, names: Mapping[Label, Label]) -> Poly:
    return power_of_renamed(function(atom.name, rename(atom.argument, names)), exponent)


@rename_power.register
def _(atom: Selection, exponent: Fraction, names: Mapping[Label, Label]) -> Poly:
    relevant = {old: new for old, new in names.items() if old != atom.label}
    body = rename(atom.body, relevant)
    index = names.get(atom.index, atom.index)
    return of(Selection(atom.label, atom.dim, body, index), exponent)
