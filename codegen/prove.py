"""P1: equality for all sizes, by two routes.

Route B differentiates `sum(DY (.) Y)` entry by entry in index notation, without the rules of
route A. Input: a program and gradients in matrix form. Output: a `Proof`, or a `ProofFailure`.
Guaranteed: "proved" means identical index normal forms for every size, hence equal matrices
wherever the forward pass is defined (kinks have the values their script declares).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from . import index_form as ix
from .expression import Expr
from .primitives import Entries, directional_sum
from .program import Fact, Program
from .segments import Claims, Seam, Segment, resolved, segments

_LABELS = ("a", "b")


@dataclass(frozen=True)
class Proof:
    """Route B's normal form of each gradient, by the entry (a, b) of its variable.

    A long program is proved in `segments`: then `adjoints` are the normal forms of the seams'
    adjoints, and all are written in seams and adjoints. `written` are adjoints written out.
    """

    gradients: tuple[tuple[str, ix.Poly], ...]
    adjoints: tuple[tuple[str, ix.Poly], ...] = ()
    segments: tuple[Segment, ...] = ()
    written: tuple[tuple[Expr, str], ...] = ()

    @property
    def wanted(self) -> dict[str, ix.Poly]:
        """By name of the seam or the variable."""
        return dict((*self.adjoints, *self.gradients))

    def leaves(self, name: str) -> tuple[Seam, ...]:
        """The seams from which the part of the program that reads a variable starts."""
        return next((s.leaves for s in self.segments if name in s.targets), ())

    def entries(self, program: Program, name: str) -> Entries:
        """Entries of claims about a gradient: seams and written adjoints are elements."""
        opaque = {seam.node: seam.name for seam in self.leaves(name)}
        return Entries(program.positive, opaque={**opaque, **dict(self.written)})

    def with_adjoints(self, adjoints: Claims) -> Proof:
        """The proof of gradients in which these adjoints of the seams are written out."""
        full = resolved(adjoints, dict(adjoints))
        first: dict[Expr, str] = {}
        for name, value in full:
            first.setdefault(value, str(value.attr) if value.op == "symbol" else f"D{name}")
        names = {f"D{name}": first[value] for name, value in full}

        def match(atom: ix.Atom) -> ix.Poly | None:
            if not isinstance(atom, ix.Element) or names.get(atom.name, atom.name) == atom.name:
                return None
            return ix.element(names[atom.name], *atom.indices)

        renamed = {name: ix.replace_atoms(poly, match) for name, poly in self.wanted.items()}
        return replace(
            self,
            gradients=tuple((name, renamed[name]) for name, _ in self.gradients),
            adjoints=tuple((n, renamed[n]) for n, _ in self.adjoints if names[f"D{n}"] == f"D{n}"),
            written=tuple((value, name) for value, name in first.items() if value.op != "symbol"),
        )


def route_b(program: Program, cut: Iterable[Seam] = ()) -> Proof:
    """Differentiate the whole layer in index notation, DY generic, seams independent."""
    cut = tuple(cut)
    entry = Entries(program.positive, opaque={seam.node: seam.name for seam in cut})
    total = directional_sum(program.output, program.upstream, entry)
    for seam in cut:
        bound = [(l, d) for l, d in zip(("?r", "?c"), seam.node.shape, strict=True) if d != "1"]
        defined = entry.definition(seam.node, "?r", "?c") * entry(seam.adjoint, "?r", "?c")
        total += ix.sum_over(defined, bound)

    def derivative(name: str, expr: Expr) -> tuple[str, ix.Poly]:
        return name, ix.differentiate(total, name, labels_of(expr))

    adjoints = tuple(derivative(seam.name, seam.node) for seam in cut)
    gradients = tuple(derivative(v.name, v.expr) for v in program.variables)
    return Proof(gradients, adjoints, segments(program, cut) if cut else ())


def labels_of(matrix: Expr) -> tuple[str, ...]:
    return tuple(l for l, d in zip(_LABELS, matrix.shape, strict=True) if d != "1")


def difference(
    wanted: ix.Poly, claim: Expr, entry: Entries, facts: tuple[Fact, ...] = ()
) -> ix.Poly:
    """Zero iff proved: route B's entry minus the claimed matrix's entry, facts applied to both."""
    gap = wanted - entry(claim, *_LABELS)
    for fact in facts:
        gap = apply_fact(gap, fact, entry)
    return gap


def is_proved(
    wanted: ix.Poly, claim: Expr, entry: Entries, facts: tuple[Fact, ...] = ()
) -> bool:
    return ix.is_zero(difference(wanted, claim, entry, facts))


def equal_everywhere(first: Expr, second: Expr, entry: Entries) -> bool:
    """Whether two matrices have one normal form."""
    return first.shape == second.shape and ix.is_zero(
        entry(first, *_LABELS) - entry(second, *_LABELS)
    )


def apply_fact(poly: ix.Poly, fact: Fact, entry: Entries) -> ix.Poly:
    """Use `sum over a matrix = value` wherever a summed index meets that matrix alone."""
    left = entry(fact.left, *_LABELS)
    right = entry(fact.right, *_LABELS)
    ((pattern, _),), _ = left.terms[0]
    assert isinstance(pattern, ix.Contraction)
    ((element, _),) = pattern.factors
    assert isinstance(element, ix.Element)
    place = next(
        i for i, label in enumerate(element.indices) if label == pattern.bound[0][0]
    )

    def match(atom: ix.Atom) -> ix.Poly | None:
        if not isinstance(atom, ix.Contraction):
            return None
        for label, _ in atom.bound:
            users = [(a, e) for a, e in atom.factors if label in a.labels]
            if len(users) != 1 or users[0][1] != 1:
                continue
            user = users[0][0]
            if not isinstance(user, ix.Element) or user.name != element.name:
                continue
            if user.indices[place] == label and user.indices.count(label) == 1:
                rest = ix.Poly(((tuple(f for f in atom.factors if f[0] != user), ix.ONE),))
                bound = [item for item in atom.bound if item[0] != label]
                return apply_fact(ix.sum_over(right * rest, bound), fact, entry)
        return None

    return ix.replace_atoms(poly, match)


def check_fact(fact: Fact, entry: Entries) -> str | None:
    """Why a fact cannot be used, or None: facts fix the sums of rows or columns of one matrix."""
    left = entry(fact.left, *_LABELS)
    right = entry(fact.right, *_LABELS)
    simple = len(left.terms) == 1 and left.terms[0][1] == 1 and len(left.terms[0][0]) == 1
    atom = left.terms[0][0][0][0] if simple else None
    if not isinstance(atom, ix.Contraction) or len(atom.bound) != 1 or len(atom.factors) != 1:
        return "state a fact about a sum of one input, such as assume(name, rows_sum(T), 1)"
    if not isinstance(atom.factors[0][0], ix.Element) or atom.factors[0][1] != 1:
        return "the sum in a fact is over an input itself"
    if right.labels:
        return "the value in a fact is a number or a hyperparameter"
    return None
