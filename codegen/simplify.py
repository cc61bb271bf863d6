"""Simplification: short gradients from the sweep's long ones, by named steps.

Input: a program and its gradients from the reverse sweep. Output: gradients in terms of inputs,
forward values and the upstream gradient, with the steps that led there. Every step is a rewrite
of all gradients at once in index normal form:

* expand: multiply out, hoist factors that a sum does not depend on;
* drop: a sum that is zero (or a number) by the forward definitions;
* fact: an assumption the script states by name;
* fold: a change of variables that writes forward values through a later forward value, such as
  exp(Z) = Y (.) S when Y = exp(Z) (/) S.

Folds are tried in order and kept while they lower the cost. Guaranteed by `prove`: the result
equals the sweep's gradients for all sizes. Not guaranteed: that it is the shortest form.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp

from . import expression as ex
from . import index_form as ix
from .cost_model import CostModel
from .differentiate import depending_nodes
from .errors import ShapeError
from .expression import Expr, Shape
from .folding import (
    COL,
    ROW,
    Fold,
    apply_fold,
    divisors,
    exponential_folds,
    labels_of,
    logistic_argument,
    logistic_bases,
    monomial_folds,
    sigmoid,
    sigmoid_folds,
)
from .lift import Lifter, LiftError
from .primitives import Entries
from .program import Program
from .prove import apply_fact
from .scalar import ScalarFunction
from .segments import Claims, Seam, Segment, resolved, segments

Polys = dict[str, ix.Poly]

_REDUCTIONS = (
    "rows_sum", "columns_sum", "elements_sum", "rows_mean", "columns_mean", "rows_max",
    "columns_max",
)  # fmt: skip
_OPAQUE = frozenset({"apply", "matmul", "rows_select", "columns_select", *_REDUCTIONS})
_TRANSPARENT = frozenset(
    {"number", "size", "scalar_repeat", "row_repeat", "column_repeat", "identity", "transpose"}
)
# Pairs of folds are tried as long as there are few; a large program makes do with single ones.
_PAIRED_FOLDS = 16
_STEADY = frozenset({"add", "power", *_REDUCTIONS})
# Sums of forward values are written out in programs of at most so many operations.
_OPENED_SUMS = 16
# The sweep's own form is kept where it is shorter by more than a fifth: it repeats itself.
_REPETITIVE = Fraction(4, 5)
_OPENED = frozenset({"matmul", "apply", "diag", "Diag"})


@dataclass(frozen=True)
class Step:
    """One rewrite: its rule, what it used, and all gradients after it."""

    rule: str
    reason: str
    gradients: Claims

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        from .report.notebook import step_bundle

        return step_bundle(self.rule, self.reason, self.gradients)


@dataclass(frozen=True)
class Simplified:
    """Short gradients, the steps to them and their cost in N x K operations.

    `claims` are those of the sweep: adjoints of the seams, then gradients in terms of them.
    """

    claims: Claims
    steps: tuple[Step, ...]
    cost: Fraction
    seams: frozenset[str] = frozenset()

    @property
    def adjoints(self) -> Claims:
        """The adjoints of the seams, each in terms of those before it."""
        return tuple((name, claim) for name, claim in self.claims if name in self.seams)

    @property
    def gradients(self) -> Claims:
        """The gradients of the variables, adjoints written out."""
        own = tuple((name, claim) for name, claim in self.claims if name not in self.seams)
        return resolved(own, dict(self.adjoints))


@dataclass(frozen=True)
class _State:
    """All gradients as normal forms, as matrices, and what they cost."""

    polys: Polys
    lifted: dict[str, Expr]
    cost: Fraction


def simplify(program: Program, claims: Iterable[tuple[str, Expr]], cut: Iterable[Seam] = ()
             ) -> Simplified:
    """Shorten the claims of each segment together; one without a matrix form stays as it was.

    Derivatives of scalar functions are first kept whole, then written out in exponentials,
    which lets them cancel; so are sums such as X + a. The shortest outcome counts.
    """
    cut, raw = tuple(cut), dict(claims)
    shortened = dict(raw)
    steps: list[Step] = []
    cost = Fraction(0)
    for segment in segments(program, cut):
        own = tuple((name, raw[name]) for name in segment.targets)
        best = min(_outcomes(program, segment, own), key=lambda outcome: outcome.cost)
        for step in best.steps:
            shortened |= dict(step.gradients)
            steps.append(Step(step.rule, step.reason, tuple(shortened.items())))
        cost += best.cost
    names = frozenset(seam.name for seam in cut)
    return Simplified(tuple(shortened.items()), tuple(_without_repeats(steps)), cost, names)


def _outcomes(program: Program, segment: Segment, claims: Claims) -> Iterator[Simplified]:
    """What comes out with derivatives and sums of forward values kept whole, or written out."""
    whole = _Simplifier(program, segment, open_derivatives=False, open_sums=False)
    yield whole.run(claims)
    small = len(segment.forward) <= _OPENED_SUMS
    sums = (False, True) if whole.has_sums and small else (False,)
    for open_sums, open_derivatives in itertools.product(sums, (False, True)):
        if (open_sums or open_derivatives) and (whole.has_derivatives or not open_derivatives):
            yield _Simplifier(program, segment, open_derivatives, open_sums).run(claims)


class _Simplifier:
    """Works on normal forms whose elements are inputs and those forward values that are sums."""

    def __init__(
        self, program: Program, segment: Segment, open_derivatives: bool, open_sums: bool
    ) -> None:
        self._program = program
        self._open_derivatives = open_derivatives
        self._open_sums = open_sums
        self.has_derivatives = False
        self.has_sums = False
        self._costs = CostModel(program, (seam.node for seam in segment.leaves))
        self._numbers: dict[str, ix.Poly | None] = {}
        self._leaves: dict[str, Expr] = {i.name: i.expr for i in program.inputs}
        self._leaves["scale"] = ex.symbol("scale", ("1", "1"))
        self._leaves |= {str(adjoint.attr): adjoint for adjoint in segment.adjoints}
        self._seams = {seam.node: seam.name for seam in segment.leaves}
        self._leaves |= {name: node for node, name in self._seams.items()}
        self._truth = Entries(program.positive, opaque=self._seams)
        self._entries = Entries(program.positive, opaque=self._seams)
        self._forward = segment.forward
        self._forward_set = frozenset({*self._forward, *self._seams})
        self._depending = depending_nodes(program)
        for node in self._forward:
            if self._is_opaque(node):
                self._make_opaque(node)

    def run(self, gradients: Claims) -> Simplified:
        prepared = {name: self._open_products(g) for name, g in gradients}
        shapes = {name: g.shape for name, g in gradients}
        polys = {name: self._entries(g, ROW, COL) for name, g in prepared.items()}
        state = self._state(polys, shapes, prepared)
        steps = [Step("expand", "multiply out and hoist", tuple(state.lifted.items()))]
        polys, dropped = self._drop(polys)
        state = self._state(polys, shapes, prepared)
        if dropped:
            steps.append(Step("drop", dropped, tuple(state.lifted.items())))
        for fact in self._program.facts:
            polys = {name: apply_fact(p, fact, self._truth) for name, p in polys.items()}
            state = self._state(polys, shapes, prepared)
            steps.append(Step("fact", fact.text, tuple(state.lifted.items())))
        for names, state in self._improvements(state, shapes, prepared):  # noqa: B020
            reason = f"{names} stands for its definition"
            steps.append(Step("fold", reason, tuple(state.lifted.items())))
        if self._costs.cost(prepared.values()) < _REPETITIVE * state.cost:
            own = Step("sweep", "the sweep's own form is shorter", tuple(prepared.items()))
            return Simplified(own.gradients, (own,), self._costs.cost(prepared.values()))
        return Simplified(tuple(state.lifted.items()), tuple(_without_repeats(steps)), state.cost)

    def _is_opaque(self, node: Expr) -> bool:
        if node.op in _TRANSPARENT:
            return False
        concerned = node in self._depending or self._program.name_of(node) is not None
        several_terms = concerned and len(self._entries(node, ROW, COL).terms) > 1
        self.has_sums |= several_terms and node.op not in _OPAQUE
        return node.op in _OPAQUE or (several_terms and not self._open_sums)

    def _make_opaque(self, node: Expr) -> None:
        """Values that are positive wherever the forward pass is defined may be split in roots."""
        name = self._program.name_of(node) or f"%{len(self._leaves)}"
        self._leaves[name] = node
        self._entries.make_opaque(node, name, self._is_positive(node))

    def _is_positive(self, node: Expr) -> bool:
        under_root = any(
            node in user.args and (user.op == "log" or _is_root(user)) for user in self._forward
        )
        if under_root:
            return True
        try:
            terms = self._truth(node, ROW, COL).terms
        except ZeroDivisionError:
            return False
        return bool(terms) and all(c > 0 and ix.holds_positive(m) for m, c in terms)

    def _open_products(self, gradient: Expr) -> Expr:
        """Simplify operands of products and functions on their own, then treat them as leaves."""
        replacements: dict[Expr, Expr] = {}
        for node in ex.topological(gradient):
            if node.op in _OPENED and node not in self._forward_set:
                args = (ex.substitute(a, replacements) for a in node.args)
                short = tuple(a if a in self._forward_set else self._shortened(a) for a in args)
                replacements[node] = _hoisted_product(ex.rebuild(node, short))
                for inner in ex.topological(replacements[node]):
                    if self._is_new_leaf(inner):
                        self._make_opaque(inner)
        return ex.substitute(gradient, replacements)

    def _is_new_leaf(self, node: Expr) -> bool:
        known = node in self._forward_set or node in self._entries.opaque
        return node.op in _OPENED and not known and not self._is_opened(node)

    def _is_opened(self, node: Expr) -> bool:
        """A derivative that is rational in exponentials, in the second attempt."""
        f = node.attr
        self.has_derivatives |= isinstance(f, ScalarFunction)
        return (
            self._open_derivatives
            and isinstance(f, ScalarFunction)
            and f.is_smooth
            and not f.expr.has(sp.erf, sp.log, sp.sin, sp.cos, sp.tan, sp.atan)
        )

    def _shortened(self, value: Expr) -> Expr:
        if value.op == "transpose":
            return self._shortened(value.args[0]).T
        if value.op in ("symbol", "number", "size", "matmul", "apply"):
            return value
        shapes, fallback = {"": value.shape}, {"": value}
        polys, _ = self._drop({"": self._entries(value, ROW, COL)})
        state = self._state(polys, shapes, fallback)
        for _, state in self._improvements(state, shapes, fallback):  # noqa: B007, B020
            pass
        return state.lifted[""] if state.cost <= self._costs.cost([value]) else value

    def _state(
        self, polys: Polys, shapes: Mapping[str, Shape], fallback: Mapping[str, Expr]
    ) -> _State:
        lifted = {}
        for name, poly in polys.items():
            found = self._lifted(poly, shapes[name])
            lifted[name] = fallback[name] if found is None else found
        return _State(polys, lifted, self._costs.cost(lifted.values()))

    def _lifted(self, poly: ix.Poly, shape: Shape) -> Expr | None:
        row, col = shape
        try:
            lifter = Lifter(self._leaves, {ROW: row, COL: col})
            return lifter.lift(poly, ROW if row != "1" else "", COL if col != "1" else "")
        except (LiftError, ShapeError):
            return None

    def _drop(self, polys: Polys) -> tuple[Polys, str]:
        """Sums that the forward definitions make zero or a number."""
        found: list[str] = []

        def match(atom: ix.Atom) -> ix.Poly | None:
            value = self._number(atom) if isinstance(atom, ix.Contraction) else None
            if value is None:
                return None
            what = "zero" if not value.terms else "a number"
            found.append(f"a sum is {what} by the forward equations")
            return value

        result = {name: ix.replace_atoms(poly, match) for name, poly in polys.items()}
        return result, "; ".join(dict.fromkeys(found))

    def _number(self, total: ix.Contraction) -> ix.Poly | None:
        """What a sum is, if the forward definitions make it a number."""
        if total.key not in self._numbers:
            value = self._written_out(ix.Poly(((((total, ix.ONE),), ix.ONE),)))
            plain = all(isinstance(a, ix.Number) for m, _ in value.terms for a, _ in m)
            self._numbers[total.key] = value if plain else None
        return self._numbers[total.key]

    def _written_out(self, poly: ix.Poly) -> ix.Poly:
        """The normal form in terms of inputs alone."""

        def match(atom: ix.Atom) -> ix.Poly | None:
            if not isinstance(atom, ix.Element) or atom.name not in self._leaves:
                return None
            node = self._leaves[atom.name]
            if node.op == "symbol" or node in self._seams:
                return None
            labels = list(atom.indices)
            row = labels.pop(0) if node.rows != "1" else ""
            return self._truth(node, row, labels[0] if labels else "")

        return ix.replace_atoms(poly, match)

    def _improvements(
        self, state: _State, shapes: Mapping[str, Shape], fallback: Mapping[str, Expr]
    ) -> Iterable[tuple[str, _State]]:
        """Apply the fold, or the pair of folds, that lowers the cost most, until none does."""
        while True:
            best: tuple[str, _State] | None = None
            allowed = self._divisors(state.polys)
            folds = [*self._folds(), *self._sigmoid_folds(state.polys, shapes)]
            pairs = itertools.permutations(folds, 2) if len(folds) <= _PAIRED_FOLDS else ()
            for chain in [*((f,) for f in folds), *pairs]:
                polys = state.polys
                for fold in chain:
                    polys = {name: apply_fold(poly, fold) for name, poly in polys.items()}
                zero, small = self._divisors(polys)
                if polys == state.polys or not zero <= allowed[0] or len(small) > len(allowed[1]):
                    continue
                found = self._state(self._drop(polys)[0], shapes, fallback)
                if found.cost < (state if best is None else best[1]).cost:
                    best = " and ".join(dict.fromkeys(f.name for f in chain)), found
            if best is None:
                return
            yield best
            state = best[1]

    def _divisors(self, polys: Polys) -> tuple[set[str], set[str]]:
        return divisors(polys.values(), [name for name, leaf in self._leaves.items()
                                         if self._is_steady(name, leaf)])  # fmt: skip

    def _is_steady(self, name: str, leaf: Expr) -> bool:
        """Positive and no value of a function that underflows."""
        return name in self._program.positive or leaf.op in _STEADY

    def _folds(self) -> list[Fold]:
        found: list[Fold] = []
        for node in self._forward:
            labels = labels_of(node)
            if node.op in _TRANSPARENT or not labels:
                continue
            if node in self._entries.opaque:
                name = self._entries.opaque[node]
                found += exponential_folds(name, self._entries.definition(node, ROW, COL), labels)
            else:
                name = self._program.name_of(node) or self._leaf_name(node)
                self._leaves[name] = node
                found += monomial_folds(name, self._entries(node, ROW, COL), labels)
        return found

    def _sigmoid_folds(self, polys: Polys, shapes: Mapping[str, Shape]) -> list[Fold]:
        found: list[Fold] = []
        for name, poly in polys.items():
            for base in logistic_bases(poly):
                rows, cols = shapes[name]
                own = rows if ROW in base.labels else "1", cols if COL in base.labels else "1"
                argument = self._lifted(logistic_argument(base), own)
                if argument is not None:
                    sides = (sigmoid(argument), sigmoid(ex.negate(argument)))
                    found += sigmoid_folds(base, *(self._leaf_name(side) for side in sides))
        return found

    def _leaf_name(self, leaf: Expr) -> str:
        for name, known in self._leaves.items():
            if known is leaf:
                return name
        name = f"%{len(self._leaves)}"
        self._leaves[name] = leaf
        return name


def _is_root(node: Expr) -> bool:
    exponent = node.attr
    return node.op == "power" and isinstance(exponent, Fraction) and exponent.denominator != 1


def _hoisted_product(node: Expr) -> Expr:
    """(c A) B = c (A B) for a scalar c, so that the product works on plain matrices."""
    if node.op != "matmul":
        return node
    left, right = node.args
    for side in (left, right):
        plain = side.args[0] if side.op == "transpose" else side
        if plain.op == "hadamard" and plain.args[0].op == "scalar_repeat":
            other = plain.args[1].T if side.op == "transpose" else plain.args[1]
            product = other @ right if side is left else left @ other
            return plain.args[0].args[0] * _hoisted_product(product)
    return node


def _without_repeats(steps: list[Step]) -> list[Step]:
    kept = [steps[0]]
    for step in steps[1:]:
        if step.gradients != kept[-1].gradients:
            kept.append(step)
    return kept
