"""P6: planted mistakes in the update equations. The theorems' proofs and their finite checks must
each reject every one.

Input: a rule and its theorems. Output: `Verdict`s. A change that leaves every updated value as it
was, at random residues, is no mistake and is left out; this does not depend on the theorems, so a
mistake that no theorem notices shows up as a survivor.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import sympy as sp

from .. import expression as ex
from ..errors import UnsupportedPrimitive
from ..expression import Expr
from ..text import to_text
from .evaluate import run_step
from .exact import point_count, refuted
from .proof import unproved
from .residues import PRIME, RESIDUES, NoRootError, Residue, Residues
from .rule import UpdateRule
from .theorem import ClosedForm, OneStep, SameStep, Theorem

LARGEST_COUNT = 40
Check = Callable[[UpdateRule, Theorem], str | None]


@dataclass(frozen=True)
class Mutant:
    """A rule with one mistake."""

    name: str
    description: str
    rule: UpdateRule


@dataclass(frozen=True)
class Verdict:
    """Who rejected a mutant."""

    mutant: Mutant
    killed_by_proof: bool
    killed_exactly: bool

    @property
    def survives(self) -> bool:
        return not (self.killed_by_proof and self.killed_exactly)


def judge(rule: UpdateRule, theorems: Iterable[Theorem]) -> list[Verdict]:
    """Every mutant with who rejects it; each check stops at the first theorem that fails."""
    ordered = sorted(theorems, key=_effort)
    return [
        Verdict(
            mutant,
            any(_fails(unproved, mutant.rule, made) for made in ordered),
            any(_fails(refuted, mutant.rule, made) for made in ordered),
        )
        for mutant in mutants(rule)
    ]


def _effort(made: Theorem) -> int:
    """Cheap proofs first: of one step, then of many; then what needs the rule twice, or sums, and
    what rests on other theorems."""
    claim = made.claim
    if isinstance(claim, ClosedForm):
        return 3 if any(form.has(sp.Sum) for _, form in claim.forms) else 1
    if isinstance(claim, SameStep):
        return 2
    return 0 if isinstance(claim, OneStep) else 4


def _fails(check: Check, rule: UpdateRule, made: Theorem) -> bool:
    """A rule so broken that a check cannot read it is rejected as well."""
    try:
        return check(rule, made) is not None
    except (UnsupportedPrimitive, ZeroDivisionError):
        return True


def mutants(rule: UpdateRule) -> list[Mutant]:
    """At most `LARGEST_COUNT` mistakes, taking one of each kind in turn, and its equations in turn."""
    queues: dict[str, dict[str, list[Mutant]]] = {}
    seen = {_fingerprint(rule)}
    equations = (*rule.definitions, *rule.updates)
    for place, (name, expr) in enumerate(equations):
        known = [n for n, _ in rule.definitions[:place]]
        for kind, wrong in _changes(expr, _Alternatives(rule, known)):
            changed = _with_equation(rule, place, wrong)
            values = _fingerprint(changed)
            if values in seen:
                continue
            seen.add(values)
            queue = queues.setdefault(kind, {}).setdefault(name, [])
            text = f"{name} = {to_text(expr)} becomes {to_text(wrong)}"
            queue.append(Mutant(f"{name} {kind} {len(queue) + 1}", text, changed))
    found = _in_turn([_in_turn(queues[kind].values()) for kind in sorted(queues)])
    return sorted(found[:LARGEST_COUNT], key=lambda mutant: mutant.name)


def _in_turn(queues: Iterable[list[Mutant]]) -> list[Mutant]:
    turns = itertools.zip_longest(*queues)
    return [mutant for turn in turns for mutant in turn if mutant is not None]


def _with_equation(rule: UpdateRule, place: int, wrong: Expr) -> UpdateRule:
    equations = [*rule.definitions, *rule.updates]
    equations[place] = (equations[place][0], wrong)
    count = len(rule.definitions)
    return replace(rule, definitions=tuple(equations[:count]), updates=tuple(equations[count:]))


class _AnyRoot(Residues):
    """Residues in which every number has a root, be it one of its negative."""

    def sqrt(self, value: Residue) -> Residue:
        return value ** ((PRIME + 1) // 4)


def _fingerprint(rule: UpdateRule) -> tuple[tuple[Residue, ...], ...] | None:
    """The values after one step from random states; rules that agree there are the same."""
    rng = random.Random(rule.name)
    found = []
    for t in range(3, 3 + point_count(rule)):
        values: dict[str, Any] = {i.name: RESIDUES.draw(rng) for i in rule.inputs}
        if rule.step is not None:
            values[rule.step] = t
        try:
            after = run_step(rule, values, _AnyRoot())
        except NoRootError:
            return None
        found.append(tuple(after[name] for name in rule.updated))
    return tuple(found)


@dataclass(frozen=True)
class _Alternatives:
    """What may be mistaken for what: arrays for arrays, hyperparameters for hyperparameters."""

    rule: UpdateRule
    known: list[str]

    def of(self, name: str) -> list[str]:
        hyperparameters = [i.name for i in self.rule.hyperparameters]
        pool = hyperparameters if name in hyperparameters else [*self.rule.arrays, *self.known]
        return [other for other in pool if other != name]


def _changes(expr: Expr, other: _Alternatives) -> Iterator[tuple[str, Expr]]:
    """The expression with one node changed, for every node and every mistake."""
    for kind, mistaken in _mistakes(expr, other):
        yield kind, mistaken
    for place, argument in enumerate(expr.args):
        for kind, mistaken in _changes(argument, other):
            args = (*expr.args[:place], mistaken, *expr.args[place + 1 :])
            yield kind, ex.rebuild(expr, args)


def _mistakes(node: Expr, other: _Alternatives) -> Iterator[tuple[str, Expr]]:
    if node.op == "add":
        left, right = node.args
        yield "sign", left - right
        yield "sign", right - left
        yield "term dropped", left
        yield "term dropped", right
        for root, rest in (node.args, node.args[::-1]):
            if root.op == "power" and root.attr == Fraction(1, 2):
                yield "inside the root", ex.power(root.args[0] + rest, Fraction(1, 2))
    elif node.op == "hadamard":
        left, right = node.args
        yield "factor", 2 * node
        if ex.number_of(left) is None:
            yield "factor dropped", left
            yield "factor dropped", right
            yield "quotient", left / right
    elif node.op == "power" and isinstance(node.attr, Fraction):
        yield "exponent", node.args[0]
        yield "exponent", ex.node("power", node.args, node.shape, 2 * node.attr)
        if node.attr > 0:
            yield "exponent", ex.node("power", node.args, node.shape, node.attr + 1)
    elif node.op == "step_power":
        base = node.args[0]
        yield "step", base
        yield "step", base * node
        yield "step", node / base
    elif node.op == "apply":
        yield "function", node.args[0]
    elif node.op == "number":
        yield "number", ex.number(Fraction(str(node.attr)) + 1)
    elif node.op == "symbol":
        yield "sign", -node
        for name in other.of(str(node.attr)):
            yield "name", ex.symbol(name, node.shape)
