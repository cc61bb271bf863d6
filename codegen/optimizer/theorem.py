"""Theorems about update rules: what a script claims, as mathematics.

    @theorem(momentum)
    def constant_gradient(t, theta_0, g, learning_rate, mu):
        d = -learning_rate * g * (1 - mu**t) / (1 - mu)
        ...
        return closed_form(d=d, theta=...)

    @theorem(momentum, mu=0)
    def without_memory():
        return same_step(gradient_descent)

Input: such a function. Output: a claim over SymPy symbols. Arguments are taken by name: those of
the update rule, `t` for the number of steps done, `theta_0` for a parameter's first value; another
theorem of the optimizer by its name; any other is annotated with its domain, such as `a: Real`. A
gradient is constant unless it is annotated `g: Sequence`; then g[i] is the gradient of step i.
Nothing is proved here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy as sp

from ..annotations import HYPERPARAMETERS
from ..errors import NotationError
from ..program import located
from .rule import Optimizer, UpdateRule

_ASSUMPTIONS: dict[str, dict[str, bool]] = {
    "positive": {"positive": True}, "nonnegative": {"nonnegative": True},
    "unit": {"nonnegative": True}, "share": {"nonnegative": True}, "real": {"real": True},
}  # fmt: skip
_INDICES = "ijkl"
Forms = tuple[tuple[str, sp.Expr], ...]


class Sequence:
    """Annotates a gradient that differs from step to step: g[1], g[2], ..."""


@dataclass(frozen=True)
class ClosedForm:
    """Values after t steps from a zero state, for every t >= 0.

    Intermediates of the rule hold at step t, for every t >= 1. `loss` gives the gradient as its
    derivative by the parameter.
    """

    forms: Forms
    loss: sp.Expr | None = None


@dataclass(frozen=True)
class OneStep:
    """Values after one step from any state, at every t >= 1."""

    forms: Forms


@dataclass(frozen=True)
class SameStep:
    """Seen through a change of variables, a step is a step of another optimizer.

    The other one takes `gradient`, if given, for its gradient, and `settings` for hyperparameters.
    """

    other: UpdateRule
    variables: Forms
    gradient: sp.Expr | None = None
    settings: Forms = ()


@dataclass(frozen=True)
class Limit:
    """What a closed form tends to as a hyperparameter falls to a point."""

    base: Theorem
    variable: sp.Symbol
    point: sp.Expr
    forms: Forms


@dataclass(frozen=True)
class StepBound:
    """By how much one step changes an array at most, where a closed form holds."""

    base: Theorem
    forms: Forms


Claim = ClosedForm | OneStep | SameStep | Limit | StepBound


def closed_form(*, loss: object = None, **forms: object) -> ClosedForm:
    """State the values after t steps, by the names of the rule's arrays and intermediates."""
    return ClosedForm(_forms(forms), None if loss is None else _expression("loss", loss))


def one_step(**forms: object) -> OneStep:
    """State the values after one step from any state."""
    return OneStep(_forms(forms))


def same_step(other: Optimizer, **values: object) -> SameStep:
    """State that a step is a step of another optimizer.

    Its arrays, its gradient and its hyperparameters are what `values` gives, or those of one name.
    """
    rule, forms = other.rule(), _forms(values)
    names = {i.name for i in rule.hyperparameters}
    arrays = tuple((n, f) for n, f in forms if n not in {*names, rule.gradient})
    settings = tuple((n, f) for n, f in forms if n in names)
    return SameStep(rule, arrays, dict(forms).get(rule.gradient), settings)


def limit(base: Theorem, variable: sp.Symbol, point: object, **forms: object) -> Limit:
    """State what the closed form of another theorem tends to as the variable falls to a point."""
    return Limit(_closed("limit", base), variable, _expression("the point", point), _forms(forms))


def step_bound(base: Theorem, **forms: object) -> StepBound:
    """State how far one step moves an array at most, under the closed form of another theorem."""
    return StepBound(_closed("step_bound", base), _forms(forms))


def _closed(what: str, base: object) -> Theorem:
    if not isinstance(base, Theorem) or not isinstance(base.claim, ClosedForm):
        raise NotationError(
            f"{what} rests on a closed form: name its theorem as an argument and pass it on"
        )
    return base


def total(count: object, term: Callable[[sp.Expr], object]) -> sp.Expr:
    """term(1) + ... + term(count)."""
    upper = _expression("the number of terms", count)
    used = {s.name for s in upper.free_symbols}
    index = sp.Symbol(next(i for i in _INDICES if i not in used), integer=True, positive=True)
    return sp.Sum(_expression("the term", term(index)), (index, 1, upper))


@dataclass(frozen=True)
class Theorem:
    """A named claim about an update rule, for given values of hyperparameters.

    Where `is_sequence`, the gradient differs from step to step, else it is constant. `line` is its
    place in the script.
    """

    name: str
    text: str
    claim: Claim
    given: Forms = ()
    is_sequence: bool = False
    line: int = 0

    def gradient(self, rule: UpdateRule, step: sp.Expr) -> sp.Expr:
        """The gradient of a step: g[step], or g where it is constant."""
        if self.is_sequence:
            return sp.IndexedBase(rule.gradient, real=True)[step]
        return symbol(rule, rule.gradient)


@dataclass(frozen=True)
class Statement:
    """A theorem as a script states it: a function of symbols that returns a claim."""

    optimizer: Optimizer
    function: Callable[..., object]
    given: Forms = ()

    @property
    def name(self) -> str:
        return self.function.__name__

    def read(self, rule: UpdateRule) -> Theorem:
        """Call the script's function on symbols."""
        with located(self.optimizer.source):
            parameters = inspect.signature(self.function).parameters
            made = self.function(*(_argument(self, rule, p) for p in parameters.values()))
            if not isinstance(made, Claim):
                raise NotationError(
                    f"{self.name} returns {type(made).__name__}; return closed_form(...), "
                    "one_step(...), same_step(...), limit(...) or step_bound(...)"
                )
            _check_names(self, rule, made)
            gradient = parameters.get(rule.gradient)
            words = inspect.getdoc(self.function) or self.name.replace("_", " ")
            return Theorem(
                self.name, " ".join(words.partition("\n\n")[0].split()), made, self.given,
                gradient is not None and gradient.annotation is Sequence,
                self.function.__code__.co_firstlineno,
            )  # fmt: skip


def theorem(of: Optimizer, **given: object) -> Callable[[Callable[..., object]], Statement]:
    """State a theorem about an optimizer, for all hyperparameters but those given."""

    def state(function: Callable[..., object]) -> Statement:
        made = Statement(of, function, _forms(given))
        of.statements.append(made)
        return made

    return state


def step_number(rule: UpdateRule) -> sp.Symbol:
    """t: in a closed form the number of steps done."""
    return sp.Symbol(rule.step or "t", integer=True, nonnegative=True)


def symbol(rule: UpdateRule, name: str) -> sp.Symbol:
    """The SymPy symbol of an argument of the rule, with what its domain says."""
    domain = next((i.domain for i in rule.hyperparameters if i.name == name), "real")
    return sp.Symbol(name, **_ASSUMPTIONS[domain])


def start(rule: UpdateRule) -> sp.Symbol:
    """The parameter before the first step."""
    return sp.Symbol(f"{rule.parameter}_0", real=True)


def _argument(stated: Statement, rule: UpdateRule, parameter: inspect.Parameter) -> object:
    name, kind = parameter.name, parameter.annotation
    for other in stated.optimizer.statements:
        if other.name == name and other is not stated:
            return other.read(rule)
    if name == step_number(rule).name:
        return step_number(rule)
    if name == rule.gradient and kind is Sequence:
        return sp.IndexedBase(name, real=True)
    if name in {i.name for i in rule.inputs}:
        return symbol(rule, name)
    if name == start(rule).name:
        return start(rule)
    if kind in HYPERPARAMETERS:
        return sp.Symbol(name, **_ASSUMPTIONS[kind.domain])
    raise NotationError(
        f"{name} is no argument of {rule.name}; give its domain, for example {name}: Real"
    )


def _check_names(made: Statement, rule: UpdateRule, claim: Claim) -> None:
    known = {*rule.updated, *(name for name, _ in rule.definitions)}
    forms = claim.variables if isinstance(claim, SameStep) else claim.forms
    domains = {i.name for i in rule.hyperparameters}
    for name, _ in forms:
        if name not in known:
            raise NotationError(f"{made.name}: {rule.name} computes no {name}")
    for name, _ in made.given:
        if name not in domains:
            raise NotationError(f"{made.name}: {rule.name} has no hyperparameter {name}")


def _forms(values: Mapping[str, object]) -> Forms:
    return tuple((name, _expression(name, value)) for name, value in values.items())


def _expression(name: str, value: Any) -> sp.Expr:
    """Numbers and SymPy expressions; never a string, which SymPy would evaluate."""
    if isinstance(value, bool) or not isinstance(value, int | float | Fraction | sp.Expr):
        raise NotationError(f"{name} is {type(value).__name__}; give a number or a formula")
    return sp.Rational(str(value)) if isinstance(value, float | Fraction) else sp.sympify(value)
