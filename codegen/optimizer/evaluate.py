"""Running an update rule in any number system: symbols, residues, many digits.

Input: a rule, values of its arguments, a `Numbers`. Output: the values after the step and those
of the intermediates. Values are added, multiplied and divided by Python's operators; what else a
rule may use is the number system's to define.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, Protocol

import mpmath
import sympy as sp

from .. import expression as ex
from ..errors import UnsupportedPrimitive
from ..expression import Expr
from ..scalar import ScalarFunction, trace_scalar
from .rule import UpdateRule


class Numbers(Protocol):
    """A number system beyond its operators."""

    def number(self, value: Fraction) -> Any: ...
    def sqrt(self, value: Any) -> Any: ...
    def function(self, name: str, value: Any) -> Any: ...


def run_step(rule: UpdateRule, values: Mapping[str, Any], numbers: Numbers) -> dict[str, Any]:
    """Every intermediate and updated array after one step, by name.

    `values` holds the arrays before the step, the hyperparameters and the number of the step.
    """
    known = dict(values)
    for name, expr in rule.definitions:
        known[name] = evaluate(expr, known, numbers)
    updated = {name: evaluate(expr, known, numbers) for name, expr in rule.updates}
    return {name: known[name] for name, _ in rule.definitions} | updated


def evaluate(expr: Expr, values: Mapping[str, Any], numbers: Numbers) -> Any:
    """The value of a scalar formula."""
    done: dict[Expr, Any] = {}
    for node in _order(expr):
        done[node] = _value(node, [done[a] for a in node.args], values, numbers)
    return done[expr]


@lru_cache(maxsize=1024)
def _order(expr: Expr) -> list[Expr]:
    return ex.topological(expr)


def _value(node: Expr, args: list[Any], values: Mapping[str, Any], numbers: Numbers) -> Any:
    if node.op in ("symbol", "step"):
        return values[str(node.attr)]
    if node.op == "number":
        return numbers.number(Fraction(str(node.attr)))
    if node.op == "add":
        return args[0] + args[1]
    if node.op == "hadamard":
        return args[0] * args[1]
    if node.op == "step_power":
        return args[0] ** args[1]
    if node.op == "power":
        return _power(args[0], Fraction(str(node.attr)), numbers)
    if node.op in ("exp", "log"):
        return numbers.function(node.op, args[0])
    if node.op == "apply" and isinstance(node.attr, ScalarFunction):
        return numbers.function(standard_function(node.attr), args[0])
    raise UnsupportedPrimitive(f"{node.op} is no operation of update rules")


def _power(base: Any, exponent: Fraction, numbers: Numbers) -> Any:
    if exponent.denominator == 2:
        base, exponent = numbers.sqrt(base), 2 * exponent
    if exponent.denominator != 1:
        raise UnsupportedPrimitive(f"the power {exponent} is no square root of a whole power")
    if exponent < 0:
        return numbers.number(Fraction(1)) / base ** int(-exponent)
    return base ** int(exponent)


@cache
def standard_function(f: ScalarFunction) -> str:
    """The name of a function every target knows: abs, sign or tanh."""
    known: dict[str, tuple[Callable[[sp.Expr], sp.Expr], dict[object, object]]] = {
        "abs": (sp.Abs, {0: 0}), "sign": (sp.sign, {}), "tanh": (sp.tanh, {})
    }  # fmt: skip
    if f.name in known:
        formula, kinks = known[f.name]
        if trace_scalar(lambda x: formula(x), 1, f.name, kinks).expr == f.expr:
            return f.name
    raise UnsupportedPrimitive(
        f"update rules know sqrt, abs, sign, tanh, exp and log, not {f.name}; add it to "
        "optimizer.evaluate and to the targets' tables"
    )


class Symbolic:
    """SymPy expressions."""

    def number(self, value: Fraction) -> sp.Expr:
        return sp.Rational(value.numerator, value.denominator)

    def sqrt(self, value: sp.Expr) -> sp.Expr:
        return sp.sqrt(value)

    def function(self, name: str, value: sp.Expr) -> sp.Expr:
        return {"abs": sp.Abs, "sign": sp.sign, "tanh": sp.tanh, "exp": sp.exp, "log": sp.log}[
            name
        ](value)


class ManyDigits:
    """mpmath's reals, to the precision of a context of its own."""

    def __init__(self, digits: int = 50) -> None:
        self.context = mpmath.mp.clone()
        self.context.dps = digits

    def number(self, value: Fraction) -> Any:
        return self.context.mpf(value.numerator) / value.denominator

    def sqrt(self, value: Any) -> Any:
        return self.context.sqrt(value)

    def function(self, name: str, value: Any) -> Any:
        return {"abs": abs, "sign": self.context.sign, "tanh": self.context.tanh,
                "exp": self.context.exp, "log": self.context.log}[name](value)  # fmt: skip
