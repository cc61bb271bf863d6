"""Folds: changes of variables that write forward values through later forward values.

When Y = E (/) S, every E may be written as Y (.) S: a fold. Guaranteed: each fold's equation holds
by the definition of the value it introduces, wherever the forward pass is defined. `simplify`
chooses which folds pay and proves the outcome again.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import sympy as sp

from . import expression as ex
from . import index_form as ix
from .expression import Expr
from .scalar import trace_scalar

ROW, COL = "r", "c"


@dataclass(frozen=True)
class Fold:
    """Write every occurrence of `pattern` (an atom at row r and column c) as `value`."""

    name: str
    pattern: ix.Atom
    value: ix.Poly


def labels_of(node: Expr) -> list[ix.Label]:
    """The labels of a node's entries: none for a dimension that is one."""
    return [label for label, dim in zip((ROW, COL), node.shape, strict=True) if dim != "1"]


def monomial_folds(name: str, definition: ix.Poly, labels: list[ix.Label]) -> Iterator[Fold]:
    """V = c a^e b ...: a = (V / (c b ...))^(1/e), for factors a as wide as V."""
    if len(definition.terms) != 1:
        return
    ((monomial, coefficient),) = definition.terms
    for atom, exponent in monomial:
        inverse = 1 / exponent
        trivial = len(monomial) == 1 and exponent == coefficient == 1
        if (
            atom.labels != frozenset(labels)
            or inverse.denominator != 1
            or isinstance(atom, ix.Number)
            or (trivial and not isinstance(atom, ix.Function))
        ):
            continue
        rest = ix.Poly(((tuple(f for f in monomial if f[0] is not atom), coefficient),))
        new = ix.element(name, *labels, positive=exponent.denominator != 1)
        yield Fold(name, atom, ix.power(new * ix.power(rest, -1), inverse))


def exponential_folds(name: str, definition: ix.Poly, labels: list[ix.Label]) -> Iterator[Fold]:
    """V = t + rest: exp(t) = exp(V) exp(-rest)."""
    for monomial, coefficient in definition.terms:
        term = ix.Poly(((monomial, coefficient),))
        exponential = ix.exp(term)
        if len(exponential.terms) != 1:
            continue
        ((factors, number),) = exponential.terms
        if len(factors) != 1 or factors[0][1] != 1 or number != 1:
            continue
        if factors[0][0].labels == frozenset(labels):
            new = ix.element(name, *labels)
            value = ix.exp(new) * ix.power(ix.exp(definition - term), -1)
            yield Fold(name, factors[0][0], value)


def logistic_bases(poly: ix.Poly) -> list[ix.Base]:
    """Atoms 1 + exp(z), each once."""
    found: dict[ix.Base, None] = {}
    for monomial, _ in poly.terms:
        for atom, _ in monomial:
            if isinstance(atom, ix.Base) and _logistic_argument(atom) is not None:
                found[atom] = None
    return list(found)


def _logistic_argument(base: ix.Base) -> ix.Poly | None:
    """z of 1 + exp(z)."""
    if len(base.poly.terms) != 2 or any(c != 1 for _, c in base.poly.terms):
        return None
    lone = [m for m, _ in base.poly.terms if m]
    if len(lone) != 1 or not all(
        isinstance(atom, ix.Function) and atom.name == "exp" for atom, _ in lone[0]
    ):
        return None
    return ix.log(ix.Poly(((lone[0], ix.ONE),)))


def logistic_argument(base: ix.Base) -> ix.Poly:
    """z of an atom that `logistic_bases` found."""
    found = _logistic_argument(base)
    assert found is not None
    return found


def sigmoid_folds(base: ix.Base, above: str, below: str) -> list[Fold]:
    """1 / (1 + exp(z)) is 1 - sigmoid(z) and sigmoid(-z), given the names of both sigmoids."""
    labels = [label for label in (ROW, COL) if label in base.labels]
    direct, mirrored = (ix.element(name, *labels, positive=True) for name in (above, below))
    return [
        Fold("sigmoid", base, ix.power(ix.UNIT - direct, -1)),
        Fold("sigmoid", base, ix.power(mirrored, -1)),
    ]


def sigmoid(argument: Expr) -> Expr:
    """1 / (1 + exp(-x)) of every entry."""
    f = trace_scalar(lambda x: 1 / (1 + sp.exp(-x)), 1, "sigmoid")
    return ex.node("apply", (argument,), argument.shape, f)


def apply_fold(poly: ix.Poly, fold: Fold) -> ix.Poly:
    """Replace the pattern under every pair of labels it occurs with."""
    if fold.pattern.skeleton not in poly.parts:
        return poly
    slots = [label for label in (ROW, COL) if label in fold.pattern.labels]

    def match(atom: ix.Atom) -> ix.Poly | None:
        if len(atom.labels) != len(slots):
            return None
        for order in itertools.permutations(sorted(atom.labels)):
            names = dict(zip(slots, order, strict=True))
            if _relabelled(_as_poly(fold.pattern), names) == _as_poly(atom):
                return _relabelled(fold.value, names)
        return None

    return ix.replace_atoms(poly, match, fold.pattern.skeleton)


def _relabelled(poly: ix.Poly, names: Mapping[ix.Label, ix.Label]) -> ix.Poly:
    """Rename by way of labels nobody uses, so that exchanging two labels works."""
    through = ix.rename(poly, {old: f"!{new}" for old, new in names.items()})
    return ix.rename(through, {f"!{new}": new for new in names.values()})


def _as_poly(atom: ix.Atom) -> ix.Poly:
    return atom.poly if isinstance(atom, ix.Base) else ix.Poly(((((atom, ix.ONE),), ix.ONE),))


def divisors(polys: Iterable[ix.Poly], steady: Collection[str]) -> tuple[set[str], set[str]]:
    """What is divided by and might be zero, and what is positive but might underflow to it.

    Elements in `steady` are far from zero, such as a root of a sum of squares.
    """
    zero: set[str] = set()
    small: set[str] = set()
    for poly in polys:
        for monomial, _ in poly.terms:
            _divisors_in(monomial, steady, zero, small)
    return zero, small


def _divisors_in(
    monomial: ix.Monomial, steady: Collection[str], zero: set[str], small: set[str]
) -> None:
    for atom, exponent in monomial:
        if exponent < 0 and not ix.is_positive(atom):
            zero.add(atom.skeleton)
        elif exponent < 0 and (
            isinstance(atom, ix.Function)
            or (isinstance(atom, ix.Element) and atom.name not in steady)
        ):
            small.add(atom.skeleton)
        for inner in atom.inner_products:
            _divisors_in(inner, steady, zero, small)
