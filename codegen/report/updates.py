"""Optimizers in reports: the update rule, and what is proved about many steps of it.

Input: an `OptimizerDerivation`. Output: the pieces that take the place of a layer's forward
equations and gradients. Claims are those of the proved theorems, formula by formula.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..expression import Expr
from ..formula import Box, Fenced, Lowered, Name, Operator, Raised, Upright, row
from ..formula_latex import latex
from ..mathml import math_element
from ..optimizer.statement import equations, statement
from ..scalar_formula import scalar_box
from .equations import Equation, named

_RELATIONS = {"=": "=", "<=": "≤", "->": "→"}


@dataclass(frozen=True)
class Statement:
    """A theorem: its name, the claim in words, for what it holds, and formulas."""

    name: str
    words: str
    scope: str
    texts: tuple[str, ...]
    boxes: tuple[Box, ...]

    @property
    def mathml(self) -> list[str]:
        return [math_element(b, text) for b, text in zip(self.boxes, self.texts, strict=True)]

    @property
    def latex(self) -> list[str]:
        return [latex(box) for box in self.boxes]


def is_optimizer(derivation: Any) -> bool:
    return hasattr(derivation, "rule")


def update_equations(derivation: Any) -> list[Equation]:
    """The intermediates, and the new value of every array."""
    rule = derivation.rule
    return [
        *(named(name, expr, {}) for name, expr in rule.definitions),
        *(Equation(Name(n), n, expr, {}, sign="←") for n, expr in rule.updates),
    ]


def update_values(derivation: Any) -> list[Expr]:
    rule = derivation.rule
    return [expr for _, expr in (*rule.definitions, *rule.updates)]


def statements(derivation: Any) -> list[Statement]:
    """The proved theorems in the order of the script."""
    rule, found = derivation.rule, []
    for made in derivation.theorems:
        words, *texts = statement(rule, made)
        boxes = tuple(
            row(_left(e.name, e.index), Operator(_RELATIONS[e.relation]), scalar_box(e.right))
            for e in equations(rule, made.claim)
        )
        words = words.replace(">=", "≥")
        found.append(Statement(made.name, made.text, words, tuple(texts), boxes))
    return found


def _left(name: str, index: str) -> Box:
    if index == "after":
        return Raised(Name(name), Operator("′"))
    if index == "change":
        return Fenced(row(Upright("Δ"), Name(name)), "||")
    return Name(name) if index == "seen" else Lowered(Name(name), Name(index))
