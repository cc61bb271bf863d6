"""P1: the theorems about an update rule, proved for every step, state and gradient.

Input: a rule and a theorem. Output: None, or what could not be proved. A closed form is proved by
induction over t: it gives the start values at t = 0, and one step from its values at t gives its
values at t + 1. The other claims are identities of one step. Guaranteed: what `algebra` and
SymPy's limits of rational functions guarantee; no value is computed in floating point.
"""

from __future__ import annotations

from collections.abc import Mapping

import sympy as sp

from .algebra import is_zero
from .evaluate import Symbolic, run_step
from .rule import UpdateRule
from .theorem import (
    ClosedForm,
    Limit,
    OneStep,
    SameStep,
    StepBound,
    Theorem,
    start,
    step_number,
    symbol,
)  # fmt: skip

_NUMBERS = Symbolic()


def unproved(rule: UpdateRule, made: Theorem) -> str | None:
    """What stands between the rule and the theorem, or None where it is proved."""
    return _Prover(rule, made).run()


class _Prover:
    def __init__(self, rule: UpdateRule, made: Theorem) -> None:
        self._rule = rule
        self._theorem = made
        self._given = {symbol(rule, name): value for name, value in made.given}
        self._t = step_number(rule)

    def run(self) -> str | None:
        claim = self._theorem.claim
        match claim:
            case ClosedForm():
                return self._induction(claim)
            case OneStep():
                return self._one_step(claim)
            case SameStep():
                return self._same_step(claim)
            case Limit():
                return unproved(self._rule, claim.base) or self._limit(claim)
            case StepBound():
                return unproved(self._rule, claim.base) or self._step_bound(claim)

    def _hyperparameters(self) -> dict[str, sp.Expr]:
        named = {i.name: symbol(self._rule, i.name) for i in self._rule.hyperparameters}
        return {name: self._given.get(s, s) for name, s in named.items()}

    def _step(self, arrays: Mapping[str, sp.Expr], gradient: sp.Expr) -> dict[str, sp.Expr]:
        """Step t + 1 from the given parameter and states."""
        values = {**self._hyperparameters(), **arrays, self._rule.gradient: gradient}
        if self._rule.step is not None:
            values[self._rule.step] = self._t + 1
        return run_step(self._rule, values, _NUMBERS)

    def _compare(
        self, where: str, found: Mapping[str, sp.Expr], wanted: Mapping[str, sp.Expr]
    ) -> str | None:
        for name, value in wanted.items():
            value = value.xreplace(self._given)
            if not is_zero(found[name] - value):
                return f"{where}: {name} is {found[name]}, not proved equal to {value}"
        return None

    def _induction(self, claim: ClosedForm) -> str | None:
        rule, t = self._rule, self._t
        forms = {name: form.xreplace(self._given) for name, form in claim.forms}
        # An array of which the form says nothing may have any value before a step.
        known = {name: forms.get(name, symbol(rule, name)) for name in rule.updated}
        origin = {name: start(rule) if name == rule.parameter else sp.S.Zero for name in known}
        base = {name: forms[name].xreplace({t: sp.S.Zero}) for name in known if name in forms}
        wrong = self._compare("at t = 0", base, {name: origin[name] for name in base})
        if wrong is not None:
            return wrong
        parameter = symbol(rule, rule.parameter)
        gradient = self._gradient(claim).xreplace({parameter: known[rule.parameter]})
        found = self._step(known, gradient)
        next_forms = {name: form.xreplace({t: t + 1}) for name, form in forms.items()}
        return self._compare(f"from {t} to {t + 1}", found, next_forms)

    def _gradient(self, claim: ClosedForm) -> sp.Expr:
        if claim.loss is not None:
            return sp.diff(claim.loss, symbol(self._rule, self._rule.parameter))
        return self._theorem.gradient(self._rule, self._t + 1)

    def _any_state(self) -> dict[str, sp.Expr]:
        return {name: symbol(self._rule, name) for name in self._rule.updated}

    def _one_step(self, claim: OneStep) -> str | None:
        found = self._step(self._any_state(), symbol(self._rule, self._rule.gradient))
        wanted = {name: form.xreplace({self._t: self._t + 1}) for name, form in claim.forms}
        return self._compare("after one step", found, wanted)

    def _same_step(self, claim: SameStep) -> str | None:
        """other(seen(state), seen(g)) = seen(rule(state, g))."""
        rule, other = self._rule, claim.other
        before = self._any_state()
        seen = {name: symbol(rule, name) for name in other.updated if name in rule.updated}
        seen |= dict(claim.variables)
        missing = [name for name in other.updated if name not in seen]
        if missing:
            return f"{other.name} has {', '.join(missing)}, which is not given"
        gradient = symbol(rule, rule.gradient)
        after = self._step(before, gradient)
        replaced = {before[name]: after[name] for name in rule.updated}
        own = self._hyperparameters()
        values = {i.name: own.get(i.name, symbol(other, i.name)) for i in other.hyperparameters}
        values |= {n: form.xreplace(self._given) for n, form in (*seen.items(), *claim.settings)}
        taken = gradient if claim.gradient is None else claim.gradient
        values[other.gradient] = taken.xreplace(self._given)
        if other.step is not None:
            values[other.step] = self._t + 1
        wanted = run_step(other, values, _NUMBERS)
        found = {name: form.xreplace(replaced) for name, form in seen.items()}
        return self._compare(f"as a step of {other.name}", found, {n: wanted[n] for n in seen})

    def _closed_forms(self, base: Theorem) -> dict[str, sp.Expr]:
        assert isinstance(base.claim, ClosedForm)
        given = {symbol(self._rule, name): value for name, value in base.given} | self._given
        return {name: form.xreplace(given) for name, form in base.claim.forms}

    def _limit(self, claim: Limit) -> str | None:
        """From above, for a positive, a negative and a zero gradient."""
        forms = self._closed_forms(claim.base)
        gradient = symbol(self._rule, self._rule.gradient)
        cases = (sp.Symbol("g", positive=True), sp.Symbol("g", negative=True), sp.S.Zero)
        for name, wanted in claim.forms:
            for case in cases:
                form = forms[name].subs(gradient, case)
                found = sp.limit(sp.cancel(form), claim.variable, claim.point, "+")
                if not is_zero(found - wanted.subs(gradient, case)):
                    return f"as {claim.variable} falls to {claim.point}: {name} tends to {found}"
        return None

    def _step_bound(self, claim: StepBound) -> str | None:
        forms = self._closed_forms(claim.base)
        for name, bound in claim.forms:
            change = forms[name].xreplace({self._t: self._t + 1}) - forms[name]
            slack = sp.factor(sp.together(bound - sp.Abs(sp.factor(sp.together(change)))))
            if not slack.is_nonnegative:
                return f"{bound} - |change of {name}| is {slack}, not proved to be >= 0"
        return None
