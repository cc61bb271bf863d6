"""P3: theorems checked by SymPy on explicit steps, an oracle of its own.

Input: an optimizer and a theorem. Output: None, or what differs. The script's function itself is
called on SymPy symbols, step after step, and compared with the theorem's formulas written out at
t = 1, 2, ... by SymPy's own summation and cancellation. Neither the traced rule nor `algebra`
takes part.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import sympy as sp

from ..errors import NotationError
from .evaluate import Symbolic, run_step
from .rule import Optimizer, Update, UpdateRule
from .theorem import (
    ClosedForm,
    Forms,
    OneStep,
    SameStep,
    Theorem,
    start,
    step_number,
    symbol,
)  # fmt: skip

STEPS = 2


def differs(made: Optimizer, rule: UpdateRule, stated: Theorem) -> str | None:
    """Where SymPy does not find theorem and script equal; limits and bounds are left to P1."""
    claim = stated.claim
    given = {symbol(rule, name): value for name, value in stated.given}
    match claim:
        case ClosedForm():
            return _closed_form(made, rule, stated, claim)
        case OneStep():
            found = _call(made, rule, _any_state(rule) | {rule.step or "": sp.Integer(2)}, given)
            forms = [(n, f.xreplace({step_number(rule): sp.Integer(2)})) for n, f in claim.forms]
            return _compare(found, forms, given, "one step")
        case SameStep():
            return _same_step(made, rule, claim, given)
    return None


def _call(
    made: Optimizer, rule: UpdateRule, values: Mapping[str, sp.Expr],
    given: Mapping[sp.Expr, sp.Expr],
) -> dict[str, sp.Expr]:  # fmt: skip
    """One step of the script's function; what is not in `values` is the symbol of its name."""
    names = inspect.signature(made.function).parameters
    arguments = [values.get(n, symbol(rule, n).xreplace(given)) for n in names]
    result = made.function(*arguments)
    if not isinstance(result, Update):
        raise NotationError(f"{made.name} returns {type(result).__name__}; return update(...)")
    return dict(result.values)


def _any_state(rule: UpdateRule) -> dict[str, sp.Expr]:
    return {name: symbol(rule, name) for name in rule.arrays}


def _closed_form(
    made: Optimizer, rule: UpdateRule, stated: Theorem, claim: ClosedForm
) -> str | None:
    given = {symbol(rule, name): value for name, value in stated.given}
    state = dict.fromkeys(rule.states, sp.S.Zero) | {rule.parameter: start(rule)}
    for t in range(1, STEPS + 1):
        gradient = stated.gradient(rule, sp.Integer(t))
        if claim.loss is not None:
            parameter = symbol(rule, rule.parameter)
            gradient = sp.diff(claim.loss, parameter).subs(parameter, state[rule.parameter])
        values = state | {rule.gradient: gradient, rule.step or "": sp.Integer(t)}
        state = _call(made, rule, values, given)
        forms = [(n, _at(f, step_number(rule), t)) for n, f in claim.forms]
        wrong = _compare(state, forms, given, f"t = {t}")
        if wrong is not None:
            return wrong
    return None


def _at(form: sp.Expr, count: sp.Symbol, t: int) -> sp.Expr:
    return form.subs(count, t).doit()


def _same_step(
    made: Optimizer, rule: UpdateRule, claim: SameStep, given: Mapping[sp.Expr, sp.Expr]
) -> str | None:
    """The other optimizer's traced rule, which its own theorems check, on the variables seen."""
    other = claim.other
    before = _any_state(rule)
    count = {rule.step or other.step or "": sp.Integer(2)}
    after = _call(made, rule, before | count, given)
    seen = {n: before[n] for n in other.updated if n in before} | dict(claim.variables)
    values = {i.name: symbol(other, i.name).xreplace(given) for i in other.hyperparameters}
    gradient = before[rule.gradient] if claim.gradient is None else claim.gradient
    values |= seen | count | dict(claim.settings) | {other.gradient: gradient}
    wanted = run_step(other, values, Symbolic())
    replaced = [(before[n], after[n]) for n in rule.updated]
    found = {n: f.subs(replaced, simultaneous=True) for n, f in seen.items()}
    return _compare(found, [(n, wanted[n]) for n in other.updated], given, other.name)


def _cancelled(expr: sp.Expr) -> sp.Expr:
    """SymPy's canonical quotient of polynomials, the arguments of roots first."""

    def is_root(part: sp.Expr) -> bool:
        return part.is_Pow and part.exp.is_Rational and not part.exp.is_Integer

    def cancelled(root: sp.Expr) -> sp.Expr:
        return sp.factor(root.base) ** root.exp

    return sp.cancel(expr.replace(is_root, cancelled))


def _compare(
    found: Mapping[str, sp.Expr],
    forms: Forms | list[tuple[str, sp.Expr]],
    given: Mapping[sp.Expr, sp.Expr],
    where: str,
) -> str | None:
    for name, form in forms:
        if name in found and _cancelled(found[name] - form.xreplace(given)) != 0:
            return f"{where}: {name} is {found[name]}, the theorem says {form}"
    return None
