"""Simplification: short gradients from the sweep's long ones, by named steps.

Input: a program and its gradients from the reverse sweep. Output: gradients in terms of inputs,
forward values and the upstream gradient, with the steps that led there. Every step is a rewrite
of all gradients at once in index normal form:

* expand: multiply out, hoist factors that a sum does not depend on;
* drop: a sum that is zero (or a number) by the forward definitions;
* fold: a change of variables that writes forward values through a later forward value, such as
  exp(Z) = Y (.) S when Y = exp(Z) (/) S.

Folds are tried in order and kept while they lower the cost. Guaranteed by `prove`: the result
equals the sweep's gradients for all sizes. Not guaranteed: that it is the shortest form.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp

from . import expression as ex
from . import index_form as ix
from .differentiate import depending_nodes
from .errors import GradwrightError
from .expression import Expr
from .lift import Lifter, LiftError
from .primitives import Entries
from .program import Program
from .prove import apply_fact
from .scalar import ScalarFunction, trace_scalar

_OPAQUE = frozenset(
    {"apply", "matmul", "rows_max", "columns_max", "rows_select", "columns_select", "rows_sum",
     "columns_sum", "elements_sum", "rows_mean", "columns_mean"}
)  # fmt: skip
_ROW, _COL = "r", "c"
# One unit is an operation on N x K numbers; longer formulas and unnamed values cost a little.
_NAME_COST, _RECOMPUTED = Fraction(1, 5), Fraction(2, 5)
# The exponential of a raw input overflows where the exponential of a log-probability does not.
_OVERFLOW_COST = 4
_OPERATION_COST = {"exp": 3, "log": 3, "apply": 3, "power": Fraction(3, 2), "matmul": 20}


@dataclass(frozen=True)
class Step:
    """One rewrite: its rule, what it used, and all gradients after it."""

    rule: str
    reason: str
    gradients: tuple[tuple[str, Expr], ...]


@dataclass(frozen=True)
class Simplified:
    gradients: tuple[tuple[str, Expr], ...]
    steps: tuple[Step, ...]
    cost: Fraction


@dataclass(frozen=True)
class _Fold:
    """Write every occurrence of `pattern` (an atom at (r, c)) as `value`."""

    value_name: str
    pattern: ix.Atom
    value: ix.Poly


class _Entries(Entries):
    """Entries in which some nodes are elements under their own names."""

    def __init__(self, positive: frozenset[str], opaque: dict[Expr, str]) -> None:
        super().__init__(positive)
        self.opaque = opaque
        self.positive_names = positive

    def make_opaque(self, node: Expr, name: str) -> None:
        self.opaque[node] = name
        self._known = {key: value for key, value in self._known.items() if key[0] is not node}

    def _entry(self, expr: Expr, i: ix.Label, j: ix.Label) -> ix.Poly:
        if expr in self.opaque:
            labels = [label for label in (i, j) if label]
            name = self.opaque[expr]
            return ix.element(name, *labels, positive=name in self.positive_names)
        return super()._entry(expr, i, j)

    def definition(self, expr: Expr) -> ix.Poly:
        """The entry of an opaque node through its operands."""
        return super()._entry(expr, _ROW if expr.rows != "1" else "", _COL if expr.cols != "1" else "")


def simplify(program: Program, gradients: Iterable[tuple[str, Expr]]) -> Simplified:
    """Shorten all gradients together; a gradient without a matrix form stays as it was.

    Derivatives of scalar functions are first kept whole, then written out in exponentials,
    which lets them cancel; the shorter outcome counts.
    """
    raw = tuple(gradients)
    whole = _Simplifier(program, open_derivatives=False)
    outcomes = [whole.run(raw)]
    if whole.has_derivatives:
        outcomes.append(_Simplifier(program, open_derivatives=True).run(raw))
    return min(outcomes, key=lambda outcome: outcome.cost)


class _Simplifier:
    def __init__(self, program: Program, open_derivatives: bool) -> None:
        self._program = program
        self._open_derivatives = open_derivatives
        self.has_derivatives = False
        self._leaves: dict[str, Expr] = {i.name: i.expr for i in program.inputs}
        self._leaves["scale"] = ex.symbol("scale", ("1", "1"))
        self._leaves[program.upstream] = ex.symbol(program.upstream, program.output.shape)
        self._truth = Entries(program.positive)
        self._entries = _Entries(program.positive, {})
        self._forward = [n for n in ex.topological(program.output) if n.op != "symbol"]
        self._forward_set = frozenset(self._forward)
        self._depending = depending_nodes(program)
        for node in self._forward:
            if self._is_opaque(node):
                self._make_opaque(node)

    def _is_opaque(self, node: Expr) -> bool:
        if node.op in ("number", "size", "scalar_repeat", "identity", "transpose"):
            return False
        if node.op in ("row_repeat", "column_repeat"):
            return False
        if node not in self._depending:
            return node.op in _OPAQUE
        return node.op in _OPAQUE or len(self._entries(node, _ROW, _COL).terms) > 1

    def _make_opaque(self, node: Expr) -> None:
        """Roots and logarithms are taken of it, or its values are positive: it may be split."""
        name = self._program.name_of(node) or f"%{len(self._leaves)}"
        self._leaves[name] = node
        if _is_positive(self._truth, node) or self._under_root(node):
            self._entries.positive_names |= {name}
        self._entries.make_opaque(node, name)

    def _under_root(self, node: Expr) -> bool:
        """A value whose root or logarithm the forward pass takes is positive where it is defined."""
        return any(
            node in user.args
            and (user.op == "log" or (user.op == "power" and _is_root(user.attr)))
            for user in self._forward
        )

    def run(self, gradients: tuple[tuple[str, Expr], ...]) -> Simplified:
        prepared = [(name, self._open_products(g)) for name, g in gradients]
        truth = Entries(self._program.positive)
        polys: dict[str, ix.Poly] = {}
        shapes = {name: g.shape for name, g in gradients}
        for name, gradient in prepared:
            polys[name] = self._entries(gradient, _ROW, _COL)
        start = self._lift_all(polys, shapes, dict(prepared))
        steps = [Step("expand", "multiply out and hoist", self._sorted(start, gradients))]
        polys, dropped = self._drop(polys, shapes)
        for fact in self._program.facts:
            polys = {name: apply_fact(poly, fact, truth) for name, poly in polys.items()}
        best = self._lift_all(polys, shapes, dict(prepared))
        if dropped:
            steps.append(Step("drop", dropped, self._sorted(best, gradients)))
        for fact in self._program.facts:
            steps.append(Step("fact", fact.text, self._sorted(best, gradients)))
        cost = self._cost(best)
        for fold, polys, best, cost, dropped in self._improve(polys, shapes, dict(prepared), cost):
            reason = f"{fold.value_name} stands for its definition"
            steps.append(Step("fold", reason, self._sorted(best, gradients)))
        chosen = self._cheaper(best, dict(prepared))
        result = self._sorted(chosen, gradients)
        if steps[-1].gradients != result:
            steps = [Step("sweep", "the sweep's own form is shorter", result)]
        return Simplified(result, tuple(_without_repeats(steps)), self._cost(chosen))

    def _sorted(
        self, found: dict[str, Expr], gradients: tuple[tuple[str, Expr], ...]
    ) -> tuple[tuple[str, Expr], ...]:
        return tuple((name, found[name]) for name, _ in gradients)

    def _cheaper(self, found: dict[str, Expr], raw: dict[str, Expr]) -> dict[str, Expr]:
        return found if self._cost(found) <= self._cost(raw) else raw

    def _open_products(self, gradient: Expr) -> Expr:
        """Simplify operands of products and functions on their own, then treat them as leaves."""
        replacements: dict[Expr, Expr] = {}
        known = self._forward_set
        for node in ex.topological(gradient):
            if node.op in ("matmul", "apply", "diag", "Diag") and node not in known:
                args = tuple(ex.substitute(a, replacements) for a in node.args)
                simplified = tuple(a if a in known else self._simplify_one(a) for a in args)
                opened = _hoisted_product(ex.rebuild(node, simplified))
                replacements[node] = opened
                for inner in ex.topological(opened):
                    if inner.op in ("matmul", "apply", "diag", "Diag") and inner not in known:
                        if inner not in self._entries.opaque and not self._is_opened(inner):
                            self._make_opaque(inner)
        return ex.substitute(gradient, replacements)

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

    def _simplify_one(self, value: Expr) -> Expr:
        if value.op == "transpose":
            return self._simplify_one(value.args[0]).T
        if value.op in ("symbol", "number", "size", "matmul", "apply"):
            return value
        polys, shapes = {"": self._entries(value, _ROW, _COL)}, {"": value.shape}
        polys, _ = self._drop(polys, shapes)
        best = self._lift_all(polys, shapes, {"": value})
        cost = self._cost(best)
        for _, polys, best, cost, _ in self._improve(polys, shapes, {"": value}, cost):
            pass
        return best[""] if self._cost(best) <= self._cost({"": value}) else value

    def _lift_all(
        self, polys: dict[str, ix.Poly], shapes: dict[str, ex.Shape], fallback: dict[str, Expr]
    ) -> dict[str, Expr]:
        result = {}
        for name, poly in polys.items():
            row, col = shapes[name]
            try:
                lifter = Lifter(self._leaves, {_ROW: row, _COL: col})
                lifted = lifter.lift(poly, _ROW if row != "1" else "", _COL if col != "1" else "")
            except (LiftError, KeyError):
                lifted = fallback[name]
            result[name] = lifted
        return result

    def _drop(
        self, polys: dict[str, ix.Poly], shapes: dict[str, ex.Shape]
    ) -> tuple[dict[str, ix.Poly], str]:
        """Sums that the forward definitions make zero or a number."""
        found: list[str] = []

        def match(atom: ix.Atom) -> ix.Poly | None:
            if not isinstance(atom, ix.Contraction):
                return None
            value = self._value(ix.Poly(((((atom, ix.ONE),), ix.ONE),)))
            if value is None or any(not isinstance(a, ix.Number) for m, _ in value.terms for a, _ in m):
                return None
            found.append("a sum is zero by the forward equations" if not value.terms else
                         "a sum is a number by the forward equations")
            return value

        result = {name: ix.replace_atoms(poly, match) for name, poly in polys.items()}
        return result, "; ".join(dict.fromkeys(found))

    def _value(self, poly: ix.Poly) -> ix.Poly | None:
        """The entry with every forward value written out; None where that is not simple."""

        def match(atom: ix.Atom) -> ix.Poly | None:
            if not isinstance(atom, ix.Element) or atom.name not in self._leaves:
                return None
            node = self._leaves[atom.name]
            if node.op == "symbol":
                return None
            labels = list(atom.indices)
            row = labels.pop(0) if node.rows != "1" else ""
            return self._truth(node, row, labels[0] if labels else "")

        return ix.replace_atoms(poly, match)

    def _improve(
        self,
        polys: dict[str, ix.Poly],
        shapes: dict[str, ex.Shape],
        fallback: dict[str, Expr],
        cost: Fraction,
    ) -> Iterable[tuple[_Fold, dict[str, ix.Poly], dict[str, Expr], Fraction, str]]:
        """Apply the fold, or the pair of folds, that lowers the cost most, until none does."""
        while True:
            best = None
            folds = self._folds() + self._sigmoid_folds(polys, shapes)
            divisors = _divisors(polys)
            pairs = itertools.permutations(folds, 2)
            for chain in [*((f,) for f in folds), *pairs]:
                candidate = polys
                for fold in chain:
                    candidate = {n: _apply_fold(p, fold) for n, p in candidate.items()}
                if candidate == polys or not _divisors(candidate) <= divisors:
                    continue
                candidate, dropped = self._drop(candidate, shapes)
                lifted = self._lift_all(candidate, shapes, fallback)
                found = self._cost(lifted)
                if found < cost and (best is None or found < best[0]):
                    best = (found, chain, candidate, lifted, dropped)
            if best is None:
                return
            cost, chain, polys, lifted, dropped = best
            names = " and ".join(dict.fromkeys(fold.value_name for fold in chain))
            yield _Fold(names, chain[0].pattern, chain[0].value), polys, lifted, cost, dropped

    def _folds(self) -> list[_Fold]:
        folds = []
        for node in self._forward:
            if node.op in ("number", "size", "scalar_repeat", "row_repeat", "column_repeat"):
                continue
            name = self._program.name_of(node) or self._leaf_name(node)
            labels = [l for l, d in zip((_ROW, _COL), node.shape, strict=True) if d != "1"]
            if not labels:
                continue
            if node in self._entries.opaque:
                folds += self._exponential_folds(node, self._entries.opaque[node], labels)
            else:
                folds += self._monomial_folds(node, name, labels)
        return folds

    def _sigmoid_folds(
        self, polys: dict[str, ix.Poly], shapes: dict[str, ex.Shape]
    ) -> list[_Fold]:
        """1 / (1 + exp(z)) is sigmoid(-z), and 1 - sigmoid(z)."""
        folds = []
        for name, poly in polys.items():
            row, col = shapes[name]
            for base in _logistic_bases(poly):
                exponential = next(ix.Poly(((m, ix.ONE),)) for m, _ in base.poly.terms if m)
                z = ix.log(exponential)
                try:
                    lifter = Lifter(self._leaves, {_ROW: row, _COL: col})
                    argument = lifter.lift(z, _ROW if row != "1" else "", _COL if col != "1" else "")
                except (LiftError, KeyError):
                    continue
                labels = [l for l in (_ROW, _COL) if l in base.labels]
                above, below = (_sigmoid(a) for a in (argument, ex.negate(argument)))
                names = [self._leaf_name(above), self._leaf_name(below)]
                direct, mirrored = (ix.element(n, *labels, positive=True) for n in names)
                folds.append(_Fold("sigmoid", base, ix.power(ix.UNIT - direct, -1)))
                folds.append(_Fold("sigmoid", base, ix.power(mirrored, -1)))
        return folds

    def _leaf_name(self, leaf: Expr) -> str:
        for name, known in self._leaves.items():
            if known is leaf:
                return name
        name = f"%{len(self._leaves)}"
        self._leaves[name] = leaf
        return name

    def _monomial_folds(self, node: Expr, name: str, labels: list[str]) -> list[_Fold]:
        """V = c a^e b ...: a = (V / (c b ...))^(1/e) for factors a as wide as V."""
        poly = self._entries(node, _ROW, _COL)
        if len(poly.terms) != 1:
            return []
        (monomial, coefficient), = poly.terms
        folds = []
        for atom, exponent in monomial:
            inverse = 1 / exponent
            if atom.labels != frozenset(labels) or inverse.denominator != 1 or isinstance(
                atom, ix.Number
            ):
                continue
            if len(monomial) == 1 and exponent == 1 and coefficient == 1 and not isinstance(
                atom, ix.Function
            ):
                continue
            self._leaves[name] = node
            rest = ix.Poly(((tuple(f for f in monomial if f[0] is not atom), coefficient),))
            new = ix.element(name, *labels, positive=_is_root(exponent))
            value = ix.power(new * ix.power(rest, -1), inverse)
            folds.append(_Fold(name, atom, value))
        return folds

    def _exponential_folds(self, node: Expr, name: str, labels: list[str]) -> list[_Fold]:
        """V = t + rest: exp(t) = exp(V) exp(-rest)."""
        definition = self._entries.definition(node)
        folds = []
        for monomial, coefficient in definition.terms:
            poly = ix.Poly(((monomial, coefficient),))
            exponential = ix.exp(poly)
            if len(exponential.terms) != 1:
                continue
            ((factors, number),) = exponential.terms
            if len(factors) != 1 or factors[0][1] != 1 or number != 1:
                continue
            if factors[0][0].labels != frozenset(labels):
                continue
            rest = definition - poly
            value = ix.exp(ix.element(name, *labels)) * ix.power(ix.exp(rest), -1)
            folds.append(_Fold(name, factors[0][0], value))
        return folds

    def _cost(self, gradients: dict[str, Expr]) -> Fraction:
        """Operations and values kept from the forward pass; the unit is one N x K operation."""
        seen: set[Expr] = set()
        return sum((self._cost_of(g, seen) for g in gradients.values()), Fraction(0))

    def _cost_of(self, node: Expr, seen: set[Expr]) -> Fraction:
        if node in seen:
            return Fraction(0)
        seen.add(node)
        weight = _weight(node)
        if node.op == "symbol" or node is self._program.output:
            return weight
        if node not in self._forward_set:
            return self._computed_cost(node, seen, Fraction(1))
        kept = 4 * weight + (0 if self._program.name_of(node) else _NAME_COST)
        kept += _overflow_cost(node)
        if weight < 1 or node.op in _OPAQUE:
            return kept
        trial = set(seen)
        recomputed = self._computed_cost(node, trial, _RECOMPUTED) - _NAME_COST
        if recomputed >= kept:
            return kept
        seen |= trial
        return recomputed

    def _computed_cost(self, node: Expr, seen: set[Expr], share: Fraction) -> Fraction:
        own = Fraction(0)
        if node.op not in ("row_repeat", "column_repeat", "scalar_repeat", "transpose", "number"):
            reads = max([_weight(node), *(_weight(a) for a in node.args)])
            own = reads * _OPERATION_COST.get(node.op, share) + _NAME_COST + _overflow_cost(node)
        return own + sum((self._cost_of(a, seen) for a in node.args), Fraction(0))


def _overflow_cost(node: Expr) -> int:
    return _OVERFLOW_COST if node.op == "exp" and node.args[0].op == "symbol" else 0


def _apply_fold(poly: ix.Poly, fold: _Fold) -> ix.Poly:
    pattern = fold.pattern
    slots = [l for l in (_ROW, _COL) if l in pattern.labels]

    def match(atom: ix.Atom) -> ix.Poly | None:
        if atom.skeleton != pattern.skeleton or len(atom.labels) != len(slots):
            return None
        for order in itertools.permutations(sorted(atom.labels)):
            names = dict(zip(slots, order, strict=True))
            renamed = ix.rename(_as_poly(pattern), _safe(names))
            renamed = ix.rename(renamed, {f"!{l}": l for l in order})
            if renamed == _as_poly(atom):
                value = ix.rename(fold.value, _safe(names))
                return ix.rename(value, {f"!{l}": l for l in order})
        return None

    return ix.replace_atoms(poly, match)


def _as_poly(atom: ix.Atom) -> ix.Poly:
    return atom.poly if isinstance(atom, ix.Base) else ix.Poly(((((atom, ix.ONE),), ix.ONE),))


def _logistic_bases(poly: ix.Poly) -> list[ix.Base]:
    """Atoms 1 + exp(z), each once."""
    found: dict[ix.Base, None] = {}
    for monomial, _ in poly.terms:
        for atom, _ in monomial:
            if isinstance(atom, ix.Base) and len(atom.poly.terms) == 2:
                monomials = [m for m, c in atom.poly.terms if c == 1]
                lone = [m for m in monomials if m and all(
                    isinstance(a, ix.Function) and a.name == "exp" for a, _ in m)]
                if () in monomials and lone:
                    found[atom] = None
    return list(found)


def _sigmoid(argument: Expr) -> Expr:
    f = trace_scalar(lambda x: 1 / (1 + sp.exp(-x)), 1, "sigmoid")
    return ex.node("apply", (argument,), argument.shape, f)


def _divisors(polys: dict[str, ix.Poly]) -> set[str]:
    """What is divided by and might be zero: a fold must not add to it."""
    return {
        atom.skeleton
        for poly in polys.values()
        for monomial, _ in poly.terms
        for atom, exponent in monomial
        if exponent < 0 and not ix.is_positive(atom)
    }


def _safe(names: dict[str, str]) -> dict[str, str]:
    """Rename by way of labels nobody uses, so that exchanging two labels works."""
    return {old: f"!{new}" for old, new in names.items()}


def _is_root(exponent: object) -> bool:
    return isinstance(exponent, Fraction) and exponent.denominator != 1


def _is_positive(truth: Entries, node: Expr) -> bool:
    try:
        poly = truth(node, _ROW, _COL)
    except (ZeroDivisionError, GradwrightError):
        return False
    return bool(poly.terms) and all(c > 0 and ix.holds_positive(m) for m, c in poly.terms)


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


def _weight(node: Expr) -> Fraction:
    wide = sum(d != "1" for d in node.shape)
    return (Fraction(1, 1000), Fraction(1, 30), Fraction(1))[wide]


def _without_repeats(steps: list[Step]) -> list[Step]:
    kept = [steps[0]]
    for step in steps[1:]:
        if step.gradients != kept[-1].gradients:
            kept.append(step)
    return kept
