"""Sums over indices: deltas substitute, sums split into connected ones, labels are canonical."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

from .algebra import Poly, add, multiply, of, product, rename, rename_power, scale, size
from .atoms import ONE, Atom, Bound, Contraction, Delta, Element, Label, Monomial, monomial_key
from .powers import power_of_renamed


def sum_over(poly: Poly, bound: Iterable[tuple[Label, str]]) -> Poly:
    """Sum over labels with their dimensions."""
    bound = tuple((label, dim) for label, dim in bound)
    return add(*(scale(_contract(m, bound), c) for m, c in poly.terms))


def _contract(monomial: Monomial, bound: Bound) -> Poly:
    labels = {label for label, _ in bound}
    for atom, exponent in monomial:
        rest = tuple(factor for factor in monomial if factor[0] is not atom)
        touched = atom.labels & labels
        if not touched:
            continue
        if isinstance(atom, Delta):
            label = atom.second if atom.second in labels else atom.first
            substituted = rename(Poly(((rest, ONE),)), {label: atom.other(label)})
            return sum_over(substituted, (item for item in bound if item[0] != label))
        if isinstance(atom, Contraction) and exponent.denominator == 1 and exponent > 0:
            used = labels.union(*(a.labels for a, _ in monomial))
            inner, inside = opened(atom, used)
            again = multiply(Poly(((rest, ONE),)), inside)
            if exponent > 1:
                again = multiply(again, of(atom, exponent - 1))
            return sum_over(again, bound + inner)
    return product(_components(monomial, bound))


def opened(atom: Contraction, used: Iterable[Label]) -> tuple[Bound, Poly]:
    """The inside of a contraction under labels that are not in use."""
    taken = set(used) | atom.labels
    fresh = (f"~{i}" for i in itertools.count())
    names = {}
    for label, _ in atom.bound:
        names[label] = next(name for name in fresh if name not in taken)
    inside = rename(Poly(((atom.factors, ONE),)), names)
    return tuple((names[label], dim) for label, dim in atom.bound), inside


def _components(monomial: Monomial, bound: Bound) -> list[Poly]:
    """Split a sum of products into connected sums."""
    groups: list[tuple[set[Label], list[tuple[Atom, Fraction]]]] = []
    labels = {label for label, _ in bound}
    outside: list[tuple[Atom, Fraction]] = []
    for atom, exponent in monomial:
        touched = set(atom.labels & labels)
        if not touched:
            outside.append((atom, exponent))
            continue
        merged: tuple[set[Label], list[tuple[Atom, Fraction]]] = (touched, [(atom, exponent)])
        for group in [g for g in groups if g[0] & touched]:
            groups.remove(group)
            merged = (merged[0] | group[0], merged[1] + group[1])
        groups.append(merged)
    used = set().union(*(group[0] for group in groups)) if groups else set()
    result = [Poly(((tuple(outside), ONE),))]
    result += [size(dim) for label, dim in bound if label not in used]
    for group_labels, factors in groups:
        inner = tuple(item for item in bound if item[0] in group_labels)
        result.append(_canonical_contraction(inner, tuple(factors)))
    return result


def _canonical_contraction(bound: Bound, factors: Monomial) -> Poly:
    """Label the summed indices 0, 1, ... so that the key is smallest."""
    prefix = f"@{1 + max(atom.height for atom, _ in factors)}"
    candidates = []
    for order in _label_orders(bound, factors):
        names = {label: f"{prefix}.{i}" for i, (label, _) in enumerate(order)}
        renamed = rename(Poly(((factors, ONE),)), names)
        ((monomial, coefficient),) = renamed.terms
        canonical_bound = tuple((names[label], dim) for label, dim in order)
        candidates.append((monomial_key(monomial), canonical_bound, monomial, coefficient))
    _, chosen_bound, monomial, coefficient = min(candidates, key=lambda c: (c[0], c[1]))
    return scale(of(Contraction(chosen_bound, monomial)), coefficient)


def _label_orders(bound: Bound, factors: Monomial) -> Iterator[list[tuple[Label, str]]]:
    """Orders worth trying: by colour; within a tie each label is singled out in turn."""
    if len(bound) == 1:
        yield list(bound)
        return
    stack = [dict(bound)]
    while stack:
        colours = _refined(stack.pop(), factors)
        ordered = sorted(bound, key=lambda item: colours[item[0]])
        groups = itertools.groupby(ordered, key=lambda item: colours[item[0]])
        tie = next((tied for _, group in groups if len(tied := list(group)) > 1), None)
        if tie is None:
            yield ordered
            continue
        first, *others = (label for label, _ in tie)
        tried = [first, *(o for o in others if not _interchangeable(first, o, factors))]
        stack += [colours | {label: f"{colours[label]}'"} for label in tried]


def _refined(colours: dict[Label, str], factors: Monomial) -> dict[Label, str]:
    """Colours that tell labels apart by their atoms and the colours of the labels they meet."""
    while True:
        signatures = {
            label: ";".join(
                [colour, *sorted(f"{_coloured(a, label, colours)}^{e}"
                                 for a, e in factors if label in a.labels)]
            )
            for label, colour in colours.items()
        }  # fmt: skip
        ranks = {text: f"{rank:04}" for rank, text in enumerate(sorted(set(signatures.values())))}
        refined = {label: ranks[signature] for label, signature in signatures.items()}
        if len(ranks) in (len(colours), len(set(colours.values()))):
            return refined
        colours = refined


def _coloured(atom: Atom, own: Label, colours: Mapping[Label, str]) -> str:
    names = {label: f"?{colour}" for label, colour in colours.items()} | {own: "!"}
    if isinstance(atom, Element):
        return f"{atom.name}[{','.join(names.get(i, i) for i in atom.indices)}]"
    # Two labels may fall together here, so the skeleton with its own place stands in.
    places = ",".join(sorted(names.get(label, label) for label in atom.labels))
    return f"{atom.skeleton}<{places}>"


def _interchangeable(one: Label, other: Label, factors: Monomial) -> bool:
    """Whether exchanging two labels leaves the product as it is."""
    touched = [f for f in factors if one in f[0].labels or other in f[0].labels]
    product_of = Poly(((tuple(sorted(touched, key=lambda f: f[0].key)), ONE),))
    return rename(product_of, {one: other, other: one}) == product_of


@rename_power.register
def _(atom: Contraction, exponent: Fraction, names: Mapping[Label, Label]) -> Poly:
    relevant = {old: new for old, new in names.items() if old in atom.labels}
    inner, inside = opened(atom, set(relevant.values()) | set(relevant))
    return power_of_renamed(sum_over(rename(inside, relevant), inner), exponent)
