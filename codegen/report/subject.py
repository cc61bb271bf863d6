"""Layers and optimizers as one kind of subject, so that reports need not tell them apart.

Input: a `Derivation` or an `OptimizerDerivation`. Output: a `Subject`. Nothing is computed here
but what a report shows of both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..expression import Expr
from ..mathml import scalar_functions
from ..program import Fact, Input, Program
from ..routine import Kernel
from ..scalar import ScalarFunction
from .equations import (
    Equation,
    Line,
    forward_equations,
    gradient_equations,
    simplification_lines,
    sweep_lines,
)
from .updates import Statement, is_optimizer, statements, update_equations, update_values


@dataclass(frozen=True)
class Subject:
    """What a report is about."""

    derivation: Any

    @property
    def is_optimizer(self) -> bool:
        return is_optimizer(self.derivation)

    @property
    def program(self) -> Program | None:
        """The forward program; None for an optimizer."""
        return None if self.is_optimizer else self.derivation.program

    @property
    def definition(self) -> Any:
        """What has a name, a title, inputs, conventions and a source: a program or a rule."""
        return self.derivation.rule if self.is_optimizer else self.derivation.program

    @property
    def name(self) -> str:
        return str(self.definition.name)

    @property
    def inputs(self) -> tuple[Input, ...]:
        return tuple(self.definition.inputs)

    @property
    def kernel(self) -> Kernel | None:
        return None if self.is_optimizer else self.derivation.face

    @property
    def gradients(self) -> tuple[tuple[str, Expr], ...]:
        """In declared order."""
        return () if self.is_optimizer else self.derivation.gradients

    @property
    def facts(self) -> tuple[Fact, ...]:
        return () if self.is_optimizer else self.derivation.program.facts

    @property
    def conventions(self) -> tuple[str, ...]:
        """Choices a reader must know; facts are assumptions, not choices."""
        facts = {f"assumes that {fact.text}" for fact in self.facts}
        return tuple(c for c in self.definition.conventions if c not in facts)

    @property
    def sizes(self) -> tuple[str, ...]:
        return () if self.is_optimizer else self.derivation.program.sizes

    @property
    def stability(self) -> tuple[str, ...]:
        """Theorems that license the stable forms of the kernels."""
        return () if self.is_optimizer else self.derivation.stable.theorems

    @cached_property
    def equations(self) -> list[Equation]:
        """The forward equations, or the update rule."""
        if self.is_optimizer:
            return update_equations(self.derivation)
        return forward_equations(self.derivation.program)

    @cached_property
    def gradient_equations(self) -> list[Equation]:
        return [] if self.is_optimizer else gradient_equations(self.derivation)

    @cached_property
    def statements(self) -> list[Statement]:
        return statements(self.derivation) if self.is_optimizer else []

    @cached_property
    def sweep(self) -> list[Line]:
        return [] if self.is_optimizer else sweep_lines(self.derivation)

    @cached_property
    def simplification(self) -> list[Line]:
        return [] if self.is_optimizer else simplification_lines(self.derivation)

    @cached_property
    def functions(self) -> list[ScalarFunction]:
        """The scalar functions of the definition and of its gradients."""
        return scalar_functions(self._shown())

    def _shown(self) -> Iterable[Expr]:
        if self.is_optimizer:
            return update_values(self.derivation)
        return [self.derivation.program.output, *(g for _, g in self.gradients)]
