"""Scalar functions of normal forms, and the mask of a maximum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from sympy import factorint

from .algebra import (
    UNIT,
    ZERO,
    Poly,
    collect,
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
    indicator = _indicator(poly)
    if indicator is not None:
        holds, (on, off) = of(indicator), _cases(poly, indicator)
        return holds * step(on) + (UNIT - holds) * step(off)
    _, primitive = split_content(poly, any_sign=False)
    if all(not m for m, _ in primitive.terms):
        return UNIT if primitive.terms[0][1] > 0 else ZERO
    exponent = _exponent_above_one(primitive)
    if exponent is not None:
        return step(exponent)
    if first_sign(primitive) < 0:
        return UNIT - of(Function("step", -primitive))
    return of(Function("step", primitive))


def _indicator(poly: Poly) -> Function | None:
    """A step that is a factor of one of the terms: the sign has a case for each of its values."""
    for monomial, _ in poly.terms:
        for atom, _ in monomial:
            if isinstance(atom, Function) and atom.name == "step":
                return atom
    return None


def _cases(poly: Poly, indicator: Function) -> tuple[Poly, Poly]:
    """The value where the indicator is 1, and where it is 0."""
    on: dict[Monomial, Fraction] = {}
    for monomial, coefficient in poly.terms:
        rest = tuple(factor for factor in monomial if factor[0] != indicator)
        on[rest] = on.get(rest, Fraction(0)) + coefficient
    off = {m: c for m, c in poly.terms if all(atom != indicator for atom, _ in m)}
    return collect(on), collect(off)


def _exponent_above_one(primitive: Poly) -> Poly | None:
    """u of exp(u) - 1, and -u of 1 - exp(u): they have the sign of the exponent."""
    numbers = [c for m, c in primitive.terms if not m]
    others = [(m, c) for m, c in primitive.terms if m]
    if len(numbers) != 1 or len(others) != 1 or others[0][1] != -numbers[0]:
        return None
    monomial, sign = others[0]
    exponent = ZERO
    for atom, power_of_it in monomial:
        if not (isinstance(atom, Function) and atom.name == "exp"):
            return None
        exponent += scale(atom.argument, power_of_it)
    return exponent if sign > 0 else -exponent


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
