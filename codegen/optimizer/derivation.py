"""From an update rule to a proved one.

Input: an `Optimizer`. Output: an `OptimizerDerivation`. Guaranteed: the rule is element-wise (P0)
and every theorem its script states is proved for every step (P1); otherwise `ProofFailure` with a
counterexample where there is one.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass

import sympy as sp

from ..errors import NotationError, ProofFailure
from ..program import display_path
from ..text import to_text
from .exact import refuted
from .proof import unproved
from .rule import Optimizer, UpdateRule
from .theorem import Claim, Theorem
from .statement import statement


@dataclass(frozen=True)
class ProvedTheorem:
    """A theorem, what it claims, and the claim in formulas."""

    theorem: Theorem
    claim: Claim

    @property
    def name(self) -> str:
        return self.theorem.name

    @property
    def text(self) -> str:
        return self.theorem.text


@dataclass(frozen=True)
class OptimizerDerivation:
    """An optimizer with its proved theorems. `proof_seconds` is the time the proofs took."""

    rule: UpdateRule
    theorems: tuple[ProvedTheorem, ...]
    proof_seconds: float

    @property
    def name(self) -> str:
        return self.rule.name

    @property
    def title(self) -> str:
        return self.rule.title

    @property
    def equations(self) -> tuple[tuple[str, str], ...]:
        """Name and formula of every intermediate and updated array, as text."""
        rule = self.rule
        return tuple((name, to_text(e)) for name, e in (*rule.definitions, *rule.updates))

    @property
    def proof_id(self) -> str:
        """SHA-256 of the equations and of what is proved about them."""
        lines = [f"{name} = {formula}" for name, formula in self.equations]
        for made in self.theorems:
            lines += [made.name, *statement(self.rule, made.theorem, made.claim)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def claims(self) -> dict[Theorem, Claim]:
        return {made.theorem: made.claim for made in self.theorems}

    def __repr__(self) -> str:
        lines = [f"{name} = {formula}" for name, formula in self.equations]
        lines += [f"{made.name}: {made.text}" for made in self.theorems]
        return "\n".join([f"{self.name}: proved for every step", *lines])


def derive_optimizer(made: Optimizer) -> OptimizerDerivation:
    """Read an optimizer's script and prove its theorems."""
    rule = made.rule()
    if not made.theorems:
        raise NotationError(
            f"{display_path(made.source)}: {made.name}: no theorem says what this rule does; state "
            "one, for example its closed form under a constant gradient, with @theorem"
        )
    start = time.perf_counter()
    proved = tuple(_proved(rule, stated) for stated in made.theorems)
    return OptimizerDerivation(rule, proved, time.perf_counter() - start)


def _proved(rule: UpdateRule, stated: Theorem) -> ProvedTheorem:
    claim = stated.claim(rule)
    gap = unproved(rule, stated, claim)
    if gap is None:
        return ProvedTheorem(stated, claim)
    found = refuted(rule, stated, claim)
    reason = f"counterexample at random values: {found}" if found else (
        "The exact check finds no difference: the algebra of theorems lacks an identity for these "
        "functions. State the theorem in another form, or report it."
    )  # fmt: skip
    raise ProofFailure(
        f"{display_path(rule.source)}: {rule.name}: the theorem {stated.name} is not proved: "
        f"{gap}\n       {reason}"
    )
