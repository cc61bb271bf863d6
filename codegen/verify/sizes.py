"""The sizes at which a finite check is a proof: the small-model theorem.

A difference of two expressions is a sum of terms, each a coefficient in Q(N, K, ...) times a
product of atoms with summed indices. If it vanishes identically at sizes with room for every
index of its widest term, all its coefficients vanish at those sizes. A coefficient with e
different powers of N has at most e - 1 positive roots in N (Descartes), so a grid of e values for
each size makes it zero for all sizes. Both sides are measured before anything cancels.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from .. import index_form as ix
from ..expression import Expr
from ..program import Program
from ..prove import Proof, route_b

LARGEST_SIZE = 6
LARGEST_GRID = 6
_LABELS = ("a", "b")
Sizes = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class SmallModel:
    """Sizes to check; `complete` says whether the theorem's whole grid is among them."""

    sizes: tuple[Sizes, ...]
    complete: bool

    def __iter__(self) -> Iterator[dict[str, int]]:
        return (dict(item) for item in self.sizes)

    def __str__(self) -> str:
        listed = "; ".join(", ".join(f"{d} = {n}" for d, n in item) for item in self.sizes)
        return listed if self.complete else f"{listed} (a part of the small-model grid)"


def small_model_sizes(
    program: Program, gradients: Sequence[tuple[str, Expr]], proof: Proof | None = None
) -> SmallModel:
    """The theorem's grid, then the same sizes with one of them 1.

    At most `LARGEST_GRID` points of the grid with sizes up to `LARGEST_SIZE` are taken; what is
    cut makes the result incomplete, and so are seams, whose segments are measured one by one.
    Different dimensions start at different sizes.
    """
    proof = proof or route_b(program)
    widths = dict.fromkeys(program.sizes, 2)
    powers = dict.fromkeys(program.sizes, 1)
    wanted = dict(proof.gradients)
    for name, gradient in gradients:
        entry = proof.entries(program, name)
        dims = dict(zip(_LABELS, gradient.shape, strict=True))
        sides = (wanted[name], entry(gradient, *_LABELS))
        for dim in program.sizes:
            widths[dim] = max(widths[dim], *(ix.index_counts(s, dims).get(dim, 0) for s in sides))
            powers[dim] = max(powers[dim], _powers(dim, sides, program.sizes))
    starts = _different(widths)
    ranges = [[(d, starts[d] + i) for i in range(powers[d])] for d in program.sizes]
    whole = sorted(itertools.product(*ranges), key=lambda s: (sum(n for _, n in s), s))
    grid = [s for s in whole if max(n for _, n in s) <= LARGEST_SIZE][:LARGEST_GRID]
    if not grid:
        grid = [tuple((d, min(n, LARGEST_SIZE)) for d, n in whole[0])]
    with_one = [tuple((d, 1 if d == dim else n) for d, n in grid[0]) for dim in program.sizes]
    return SmallModel((*grid, *with_one), complete=grid == whole and not proof.adjoints)


def _different(widths: Mapping[str, int]) -> dict[str, int]:
    """Sizes at least as large as the widths, no two equal while they stay small."""
    chosen: dict[str, int] = {}
    for dim, width in sorted(widths.items(), key=lambda item: (-item[1], item[0])):
        taken = set(chosen.values())
        free = (n for n in range(width, LARGEST_SIZE + 1) if n not in taken)
        chosen[dim] = next(free, width)
    return chosen


def _powers(dim: str, sides: Sequence[ix.Poly], sizes: Sequence[str]) -> int:
    """How many sizes decide: powers of `dim` in a coefficient, and further ones inside atoms."""
    outside: dict[str, set[Fraction]] = {}
    inside: dict[str, set[Fraction]] = {}
    for side in sides:
        _count_powers(dim, side, sizes, outside, inside)
    most = [max((len(e) for e in found.values()), default=1) for found in (outside, inside)]
    return most[0] + most[1] - 1


def _count_powers(
    dim: str,
    poly: ix.Poly,
    sizes: Sequence[str],
    found: dict[str, set[Fraction]],
    inside: dict[str, set[Fraction]],
) -> None:
    """Exponents of `dim` by the other atoms of their term."""
    for monomial, _ in poly.terms:
        others = [f for f in monomial if getattr(f[0], "name", None) not in sizes]
        exponent = next((e for a, e in monomial if a == ix.Number(dim)), Fraction(0))
        found.setdefault(_outline(others), set()).add(exponent)
        for atom, _ in others:
            for body in _bodies(atom):
                _count_powers(dim, body, sizes, inside, inside)


def _outline(factors: Sequence[tuple[ix.Atom, Fraction]]) -> str:
    return "*".join(sorted(f"{atom.skeleton}^{exponent}" for atom, exponent in factors))


def _bodies(atom: ix.Atom) -> list[ix.Poly]:
    if isinstance(atom, ix.Function):
        return [atom.argument]
    if isinstance(atom, ix.Base):
        return [atom.poly]
    if isinstance(atom, ix.Selection):
        return [atom.body]
    if isinstance(atom, ix.Contraction):
        return [body for factor, _ in atom.factors for body in _bodies(factor)]
    return []
