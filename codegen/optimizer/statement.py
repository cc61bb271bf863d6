"""What a theorem says, as lines of text and as formulas.

Input: a rule, a theorem and its claim. Output: equations `name_t = formula` with the words around
them. Closed forms carry the number of steps as an index.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp
from sympy.printing.str import StrPrinter

from .rule import UpdateRule
from .theorem import Claim, ClosedForm, Limit, OneStep, SameStep, StepBound, Theorem, step_number


@dataclass(frozen=True)
class Equation:
    """left = right, or left <= right; `index` is what the left side carries."""

    name: str
    index: str
    relation: str
    right: sp.Expr


def equations(rule: UpdateRule, claim: Claim) -> tuple[Equation, ...]:
    """The formulas of a claim."""
    t = step_number(rule).name
    match claim:
        case ClosedForm():
            return tuple(Equation(n, t, "=", f) for n, f in claim.forms)
        case Limit():
            return tuple(Equation(n, t, "->", f) for n, f in claim.forms)
        case OneStep():
            return tuple(Equation(n, "after", "=", f) for n, f in claim.forms)
        case SameStep():
            return tuple(Equation(n, "seen", "=", f) for n, f in claim.variables)
        case StepBound():
            return tuple(Equation(n, "change", "<=", f) for n, f in claim.forms)


def scope(rule: UpdateRule, made: Theorem) -> str:
    """For what a theorem holds."""
    claim = made.claim
    t = step_number(rule).name
    values = " and ".join(f"{name} = {_text(value)}" for name, value in made.given)
    given = f"with {values}, " if values else ""
    match claim:
        case ClosedForm():
            later = " and ".join(n for n, _ in claim.forms if n not in rule.updated)
            words = f"for every {t} >= 0 from a zero state"
            if later:
                words += f" ({later} from {t} = 1 on)"
            if claim.loss is not None:
                words += f", on the loss {_text(claim.loss)}"
        case Limit():
            words = f"by {claim.base.name}, for every {t} >= 0, as {claim.variable} falls to {_text(claim.point)}"
        case OneStep():
            words = "for one step from any state"
        case SameStep():
            words = f"one step from any state is one step of {claim.other.name}"
            taken = [f"{n} = {_text(f)}" for n, f in claim.settings]
            if claim.gradient is not None:
                taken.insert(0, f"the gradient {_text(claim.gradient)}")
            words += f" with {' and '.join(taken)}" if taken else ""
            if claim.variables:
                words += ", whose arrays are"
        case StepBound():
            words = f"by {claim.base.name}, for every {t} >= 0"
    return given + words


def statement(rule: UpdateRule, made: Theorem) -> list[str]:
    """The scope and the equations as text, one line each."""
    return [scope(rule, made), *(_line(e) for e in equations(rule, made.claim))]


def _line(equation: Equation) -> str:
    left = {
        "after": f"{equation.name}'", "seen": equation.name,
        "change": f"|change of {equation.name}|",
    }.get(equation.index, f"{equation.name}_{equation.index}")  # fmt: skip
    return f"{left} {equation.relation} {_text(equation.right)}"


class _Text(StrPrinter):
    """Formulas as a reader writes them: t - i, mu^t, |g|, sum(..., i = 1..t)."""

    def _as_ordered_terms(self, expr: sp.Add, order: str | None = None) -> list[sp.Expr]:
        terms = super()._as_ordered_terms(expr, order)
        return sorted(terms, key=lambda term: bool(term.could_extract_minus_sign()))

    def _print_Abs(self, expr: sp.Abs) -> str:
        return f"|{self._print(expr.args[0])}|"

    def _print_Sum(self, expr: sp.Sum) -> str:
        ranges = ", ".join(f"{i} = {first}..{self._print(last)}" for i, first, last in expr.limits)
        return f"sum({self._print(expr.function)}, {ranges})"


def _text(formula: sp.Expr) -> str:
    text: str = _Text().doprint(formula)
    return text.replace("**", "^")
