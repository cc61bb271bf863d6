"""P2: theorems checked exactly, by running the update rule on random residues.

Input: a rule and a theorem. Output: None, or a counterexample. Closed forms are compared with the
rule run from a zero state for every t = 0, 1, ..., STEPS, identities of one step at random states.
Neither SymPy's algebra nor induction takes part. Bounds, which are inequalities, are left to P1.
"""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import sympy as sp

from .. import expression as ex
from ..scalar import ScalarFunction
from .evaluate import run_step
from .floats import FLOATS, Floats
from .formula_value import formula_value
from .residues import PRIME, RESIDUES, NoRootError, Residues
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
    """A counterexample to a theorem at random residues, or None."""
    return _Check(rule, made, RESIDUES, seed).run()


def counterexample(rule: UpdateRule, made: Theorem) -> str | None:
    """A counterexample in small decimal numbers, or None. Rounding makes it no proof."""
    return _Check(rule, made, FLOATS, 0).run()


class _Check:
    """The rule run beside one theorem, at one random point after the other."""

    def __init__(
        self, rule: UpdateRule, made: Theorem, numbers: Residues | Floats, seed: int
    ) -> None:
        self._rule = rule
        self._theorem = made
        self._numbers: Any = numbers
        self._rng = random.Random(f"{seed}:{rule.name}:{made.name}")
        self._drawn: dict[str, Any] = {}

    def run(self) -> str | None:
        for _ in range(point_count(self._rule)):
            found = self._at_a_point()
            if found is not None:
                return found
        return None

    def _at_a_point(self) -> str | None:
        for _ in range(_DRAWS):
            self._drawn = {}
            try:
                return self._refute(self._theorem.claim)
            except (NoRootError, ZeroDivisionError, OverflowError):
                continue
        return f"no values were found at which {self._rule.name} has a value"

    def _refute(self, claim: Claim) -> str | None:
        match claim:
            case ClosedForm():
                return self._closed_form(self._theorem, claim.forms, self._hyperparameters())
            case Limit():
                values = self._hyperparameters()
                # The rule itself at the point; rational functions of it are continuous there.
                values[claim.variable.name] = self._value(claim.point, {})
                return self._closed_form(claim.base, claim.forms, values)
            case OneStep():
                return self._one_step(claim)
            case SameStep():
                return self._same_step(claim)
            case StepBound():
                return None

    def _draw(self, name: str, domain: str = "real") -> Any:
        self._drawn[name] = self._numbers.draw(self._rng, domain)
        return self._drawn[name]

    def _hyperparameters(self) -> dict[str, Any]:
        values = {i.name: self._draw(i.name, i.domain) for i in self._rule.hyperparameters}
        for name, given in self._theorem.given:
            values[name] = self._drawn[name] = self._value(given, {})
        return values

    def _value(
        self, form: sp.Expr, known: dict[str, Any], steps: dict[str, int] | None = None
    ) -> Any:
        """A formula's value; symbols of the theorem's own, such as a curvature, are drawn."""
        for free in sorted(form.free_symbols, key=str):
            if isinstance(free, sp.Symbol) and free.name not in {*known, *(steps or {})}:
                known[free.name] = self._draw(free.name)
        return formula_value(form, known, steps or {}, self._numbers)

    def _compare(
        self, place: str, found: dict[str, Any], forms: Forms, known: dict[str, Any],
        steps: dict[str, int],
    ) -> str | None:  # fmt: skip
        for name, form in forms:
            if name in found:
                wrong = self._difference(place, name, found[name], self._value(form, known, steps))
                if wrong is not None:
                    return wrong
        return None

    def _difference(self, place: str, name: str, found: Any, wanted: Any) -> str | None:
        if self._numbers.equal(found, wanted):
            return None
        show = self._numbers.show
        where = ", ".join(f"{n} = {show(v)}" for n, v in self._drawn.items())
        return f"{place}: {name} is {show(found)}, not {show(wanted)}, where {where}"

    def _closed_form(self, made: Theorem, forms: Forms, values: dict[str, Any]) -> str | None:
        rule, claim = self._rule, made.claim
        assert isinstance(claim, ClosedForm)
        count, zero = step_number(rule).name, self._numbers.number(Fraction(0))
        first = self._draw(start(rule).name)
        known: dict[str, Any] = {**values, start(rule).name: first}
        state = dict.fromkeys(rule.updated, zero) | {rule.parameter: first}
        gradients = self._gradients(made)
        known[rule.gradient] = gradients if made.is_sequence else gradients[0]
        wrong = self._compare("at t = 0", state, forms, known, {count: 0})
        for t in range(1, STEPS + 1):
            if wrong is not None:
                return wrong
            gradient = gradients[t] if made.is_sequence else gradients[0]
            if claim.loss is not None:
                slope = sp.diff(claim.loss, symbol(rule, rule.parameter))
                known |= {rule.parameter: state[rule.parameter]}
                gradient = self._value(slope, known)
            found = self._step(values, state, gradient, t)
            state = {name: found[name] for name in rule.updated}
            wrong = self._compare(f"at t = {t}", found, forms, known, {count: t})
        return wrong

    def _gradients(self, made: Theorem) -> list[Any]:
        if not made.is_sequence:
            return [self._draw(self._rule.gradient)]
        return [self._draw(f"{self._rule.gradient}[{t}]") for t in range(STEPS + 1)]

    def _step(
        self, values: dict[str, Any], state: dict[str, Any], gradient: Any, t: int
    ) -> dict[str, Any]:
        given: dict[str, Any] = {**values, **state, self._rule.gradient: gradient}
        if self._rule.step is not None:
            given[self._rule.step] = t
        return run_step(self._rule, given, self._numbers)

    def _any_step(self) -> tuple[dict[str, Any], dict[str, Any], Any, int]:
        state = {name: self._draw(name) for name in self._rule.updated}
        gradient, t = self._draw(self._rule.gradient), self._rng.randrange(1, STEPS + 1)
        return self._hyperparameters(), state, gradient, t

    def _one_step(self, claim: OneStep) -> str | None:
        values, state, gradient, t = self._any_step()
        found = self._step(values, state, gradient, t)
        known = {**values, **state, self._rule.gradient: gradient}
        count = step_number(self._rule).name
        return self._compare(f"after step {t}", found, claim.forms, known, {count: t})

    def _same_step(self, claim: SameStep) -> str | None:
        other = claim.other
        values, state, gradient, t = self._any_step()
        for item in other.hyperparameters:
            if item.name not in values:
                values[item.name] = self._draw(item.name, item.domain)
        seen = {n: symbol(self._rule, n) for n in other.updated if n in state}
        seen |= dict(claim.variables)

        def view(arrays: dict[str, Any]) -> dict[str, Any]:
            return {n: self._value(f, {**values, **arrays}) for n, f in seen.items()}

        after = self._step(values, state, gradient, t)
        known = {**values, **state, self._rule.gradient: gradient}
        given: dict[str, Any] = {**values, **view(state), other.gradient: gradient}
        given |= {name: self._value(form, known) for name, form in claim.settings}
        if claim.gradient is not None:
            given[other.gradient] = self._value(claim.gradient, known)
        if other.step is not None:
            given[other.step] = t
        wanted = run_step(other, given, self._numbers)
        found = view({name: after[name] for name in self._rule.updated})
        for name in other.updated:
            wrong = self._difference(f"a step of {other.name}", name, found[name], wanted[name])
            if wrong is not None:
                return wrong
        return None
