"""From an update rule to a proved one.

Input: an `Optimizer`. Output: an `OptimizerDerivation`. Guaranteed: the rule is element-wise (P0)
and every theorem its script states is proved for every step (P1); otherwise `ProofFailure` with a
counterexample where there is one.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass

from ..errors import NotationError, ProofFailure
from ..program import display_path
from ..text import to_text
from .exact import counterexample
from .proof import unproved
from .rule import Optimizer, UpdateRule
from .statement import statement
from .theorem import Theorem


@dataclass(frozen=True)
class OptimizerDerivation:
    """An optimizer with its proved theorems. `proof_seconds` is the time the proofs took.

    `script` is the optimizer as its script defines it; it stays in the process that read it.
    """

    rule: UpdateRule
    theorems: tuple[Theorem, ...]
    proof_seconds: float
    script: Optimizer | None = None

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"script": None}

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
            lines += [made.name, *statement(self.rule, made)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def __repr__(self) -> str:
        lines = [f"{name} = {formula}" for name, formula in self.equations]
        lines += [f"{made.name}: {made.text}" for made in self.theorems]
        return "\n".join([f"{self.name}: proved for every step", *lines])


def derive_optimizer(made: Optimizer) -> OptimizerDerivation:
    """Read an optimizer's script and prove its theorems."""
    rule = made.rule()
    if not made.statements:
        raise NotationError(
            f"{display_path(made.source)}: {made.name}: no theorem says what this rule does; state "
            "one, for example its closed form under a constant gradient, with @theorem"
        )
    start = time.perf_counter()
    theorems = tuple(stated.read(rule) for stated in made.statements)
    for theorem in theorems:
        _require_proof(rule, theorem)
    return OptimizerDerivation(rule, theorems, time.perf_counter() - start, made)


def _require_proof(rule: UpdateRule, theorem: Theorem) -> None:
    gap = unproved(rule, theorem)
    if gap is None:
        return
    found = counterexample(rule, theorem)
    reason = f"counterexample: {found}" if found else (
        "The check at random values finds no difference: the algebra of theorems lacks an "
        "identity for these functions. State the theorem in another form, or report it."
    )  # fmt: skip
    raise ProofFailure(
        f"{display_path(rule.source)}:{theorem.line}: {rule.name}: the theorem {theorem.name} is "
        f"not proved: {gap}\n       {reason}"
    )
