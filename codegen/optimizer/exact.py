"""P2: theorems checked exactly, by running the update rule on random residues.

Input: a rule and a theorem. Output: None, or a counterexample. Closed forms are compared with the
rule run from a zero state for every t = 0, 1, ..., STEPS, identities of one step at random states.
Neither SymPy's algebra nor induction takes part. Bounds, which are inequalities, are left to P1.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import sympy as sp

from .. import expression as ex
from ..scalar import ScalarFunction
from .evaluate import run_step
from .residues import PRIME, RESIDUES, NoRootError, Residue, evaluate_form
from .rule import UpdateRule
from .theorem import (
    Claim,
    ClosedForm,
    Forms,
    Limit,
    OneStep,
    SameStep,
    StepBound,
    Theorem,
    start,
    step_number,
    symbol,
)  # fmt: skip

STEPS = 4
_POINTS, _POINTS_FOR_SIGNS = 2, 24
_DRAWS = 200
_DEGREE = 64


def point_count(rule: UpdateRule) -> int:
    """How many points are visited: many where a sign shows one bit of its argument only."""
    nodes = ex.topological(*(expr for _, expr in (*rule.definitions, *rule.updates)))
    signs = any(isinstance(n.attr, ScalarFunction) and n.attr.name == "sign" for n in nodes)
    return _POINTS_FOR_SIGNS if signs else _POINTS


def error_probability(rule: UpdateRule) -> float:
    """An upper bound for a false identity passing all points; degrees are below 64 STEPS^2."""
    points = point_count(rule)
    return 0.5**points if points > _POINTS else float((_DEGREE * STEPS**2 / PRIME) ** points)


def refuted(rule: UpdateRule, made: Theorem, seed: int = 0) -> str | None:
    """A counterexample to a theorem at random values, or None."""
    rng = random.Random(f"{seed}:{rule.name}:{made.name}")
    return _Check(rule, made, rng).run()


class _Check:
    def __init__(self, rule: UpdateRule, made: Theorem, rng: random.Random) -> None:
        self._rule = rule
        self._theorem = made
        self._rng = rng
        self._zero = RESIDUES.number(Fraction(0))

    def run(self) -> str | None:
        for _ in range(point_count(self._rule)):
            found = self._at_a_point(lambda: self._refute(self._theorem.claim))
            if found is not None:
                return found
        return None

    def _at_a_point(self, check: Callable[[], str | None]) -> str | None:
        for _ in range(_DRAWS):
            try:
                return check()
            except NoRootError:
                continue
        return f"no values were found at which {self._rule.name} has a value"

    def _refute(self, claim: Claim) -> str | None:
        match claim:
            case ClosedForm():
                return self._closed_form(self._theorem, claim.forms, self._hyperparameters())
            case Limit():
                return self._limit(claim)
            case OneStep():
                return self._one_step(claim)
            case SameStep():
                return self._same_step(claim)
            case StepBound():
                return None

    def _hyperparameters(self) -> dict[str, Residue]:
        values = {i.name: RESIDUES.draw(self._rng) for i in self._rule.hyperparameters}
        for name, given in self._theorem.given:
            values[name] = evaluate_form(given, {}, {})
        return values

    def _compare(
        self, place: str, found: dict[str, Residue], wanted: Iterator[tuple[str, Residue]]
    ) -> str | None:
        for name, value in wanted:
            if found[name] != value:
                return f"{place}: {name} = {found[name].value}, not {value.value} (mod {PRIME})"
        return None

    def _limit(self, claim: Limit) -> str | None:
        """The rule itself at the point; rational functions of it are continuous there."""
        values = self._hyperparameters()
        values[claim.variable.name] = evaluate_form(claim.point, {}, {})
        return self._closed_form(claim.base, claim.forms, values)

    def _closed_form(
        self, made: Theorem, forms: Forms, values: dict[str, Residue]
    ) -> str | None:
        rule, claim = self._rule, made.claim
        assert isinstance(claim, ClosedForm)
        first = RESIDUES.draw(self._rng)
        known: dict[str, Any] = {**values, start(rule).name: first}
        self._draw_free(claim, known)
        state = dict.fromkeys(rule.updated, self._zero) | {rule.parameter: first}
        gradients = [RESIDUES.draw(self._rng) for _ in range(STEPS + 1)]
        known[rule.gradient] = gradients if made.is_sequence else gradients[0]
        count = step_number(rule).name
        wrong = self._compare("t = 0", state, self._values(forms, state, known, {count: 0}))
        for t in range(1, STEPS + 1):
            if wrong is not None:
                return wrong
            gradient = gradients[t] if made.is_sequence else gradients[0]
            if claim.loss is not None:
                slope = sp.diff(claim.loss, symbol(rule, rule.parameter))
                gradient = evaluate_form(slope, known | state, {})
            found = self._step(values, state, gradient, t)
            state = {name: found[name] for name in rule.updated}
            wrong = self._compare(f"t = {t}", found, self._values(forms, found, known, {count: t}))
        return wrong

    def _draw_free(self, claim: ClosedForm, known: dict[str, Any]) -> None:
        """Symbols of the theorem's own, such as the curvature of a loss."""
        used = [form for _, form in claim.forms] + ([] if claim.loss is None else [claim.loss])
        free = set().union(*(form.free_symbols for form in used))
        for name in sorted(s.name for s in free if isinstance(s, sp.Symbol)):
            if name not in known:
                known[name] = RESIDUES.draw(self._rng)

    def _values(
        self, forms: Forms, found: dict[str, Residue], known: dict[str, Any], steps: dict[str, int]
    ) -> Iterator[tuple[str, Residue]]:
        return ((n, evaluate_form(f, known, steps)) for n, f in forms if n in found)

    def _step(
        self, values: dict[str, Residue], state: dict[str, Residue], gradient: Residue, t: int
    ) -> dict[str, Residue]:
        given: dict[str, Any] = {**values, **state, self._rule.gradient: gradient}
        if self._rule.step is not None:
            given[self._rule.step] = t
        return run_step(self._rule, given, RESIDUES)

    def _one_step(self, claim: OneStep) -> str | None:
        values, state, gradient, t = self._any_step()
        found = self._step(values, state, gradient, t)
        known = {**values, **state, self._rule.gradient: gradient}
        count = step_number(self._rule).name
        return self._compare("one step", found, self._values(claim.forms, found, known, {count: t}))

    def _any_step(self) -> tuple[dict[str, Residue], dict[str, Residue], Residue, int]:
        state = {name: RESIDUES.draw(self._rng) for name in self._rule.updated}
        gradient, t = RESIDUES.draw(self._rng), self._rng.randrange(1, STEPS + 1)
        return self._hyperparameters(), state, gradient, t

    def _same_step(self, claim: SameStep) -> str | None:
        other = claim.other
        values, state, gradient, t = self._any_step()
        seen = {n: symbol(self._rule, n) for n in other.updated if n in state}
        seen |= dict(claim.variables)

        def view(arrays: dict[str, Residue]) -> dict[str, Residue]:
            return {n: evaluate_form(f, {**values, **arrays}, {}) for n, f in seen.items()}

        after = self._step(values, state, gradient, t)
        given: dict[str, Any] = {**values, **view(state), other.gradient: gradient}
        if other.step is not None:
            given[other.step] = t
        wanted = run_step(other, given, RESIDUES)
        found = view({name: after[name] for name in self._rule.updated})
        return self._compare(
            f"a step of {other.name}", found, ((n, wanted[n]) for n in other.updated)
        )
