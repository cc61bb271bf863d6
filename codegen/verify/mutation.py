"""Do the checks catch planted mistakes? P1 and P2 judge every mutant, each on its own.

Input: a program and its gradients. Output: a `MutantReport`. A mutant that P1 proves equal to
the gradient and P2 cannot tell from it is no mistake and is listed as equivalent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .. import index_form as ix
from ..expression import Expr
from ..primitives import Entries
from ..program import Fact, Program
from ..prove import Proof, is_proved, route_b
from .exact import ExactChecker
from .mutants import Mutant, mutants
from .sizes import SmallModel, small_model_sizes


@dataclass(frozen=True)
class Verdict:
    """Who rejected a mutant; `counterexample` is what P2 shows."""

    mutant: Mutant
    killed_by_proof: bool
    killed_exactly: bool
    counterexample: str | None

    @property
    def is_equivalent(self) -> bool:
        return not self.killed_by_proof and not self.killed_exactly

    @property
    def survives(self) -> bool:
        return self.killed_by_proof != self.killed_exactly


@dataclass(frozen=True)
class MutantReport:
    """Counts leave equivalent mutants out; `survivors` escaped one of the two checks."""

    verdicts: tuple[Verdict, ...]

    @property
    def total(self) -> int:
        return sum(not v.is_equivalent for v in self.verdicts)

    @property
    def killed_by_proof(self) -> int:
        return sum(v.killed_by_proof for v in self.verdicts)

    @property
    def killed_exactly(self) -> int:
        return sum(v.killed_exactly for v in self.verdicts)

    @property
    def survivors(self) -> tuple[Verdict, ...]:
        return tuple(v for v in self.verdicts if v.survives)

    @property
    def equivalent(self) -> tuple[Verdict, ...]:
        return tuple(v for v in self.verdicts if v.is_equivalent)

    @property
    def ok(self) -> bool:
        return not self.survivors


def run_mutants(
    program: Program,
    gradients: Sequence[tuple[str, Expr]],
    seed: int = 0,
    proof: Proof | None = None,
    sizes: SmallModel | None = None,
) -> MutantReport:
    """Judge every mutant of the gradients by the proof and by the exact check."""
    proof = proof or route_b(program)
    sizes = sizes or small_model_sizes(program, gradients, proof)
    checker = ExactChecker(program, sizes, seed)
    wanted, entry = dict(proof.gradients), Entries(program.positive)
    verdicts = []
    for mutant in mutants(program, gradients):
        proved = _is_proved(wanted[mutant.variable], mutant.gradient, entry, program.facts)
        exact = checker.check([(mutant.variable, mutant.gradient)])
        verdicts.append(Verdict(mutant, not proved, not exact.ok, exact.counterexample))
    return MutantReport(tuple(verdicts))


def _is_proved(wanted: ix.Poly, claim: Expr, entry: Entries, facts: tuple[Fact, ...]) -> bool:
    """A mistake may divide by an expression that is zero; nothing is proved about it then."""
    try:
        return is_proved(wanted, claim, entry, facts)
    except ZeroDivisionError:
        return False
