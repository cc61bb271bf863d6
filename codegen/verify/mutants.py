"""P6: planted mistakes measure the checks. P1 and P2 judge every mutant, each on its own.

Input: a program and its gradients. Output: mutants, each the gradient of one variable with one
mistake of `mistakes` in it, and a `MutantReport` of who rejected them. A change may leave the
value as it was, such as max(x, 0) > 0 for x > 0: what P2 cannot tell from the gradient and P1
proves equal, or else P3 confirms, is no mistake and is listed as equivalent.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from .. import expression as ex
from .. import index_form as ix
from ..expression import Expr
from ..primitives import Entries
from ..program import Fact, Program
from ..prove import Proof, is_proved, route_b
from ..text import to_text
from .exact import ExactChecker
from .mistakes import changes, leaves_of
from .oracle import check_oracle

LARGEST_COUNT = 40


@dataclass(frozen=True)
class Mutant:
    """The gradient of `variable` with one mistake; `description` shows what became what."""

    name: str
    description: str
    variable: str
    gradient: Expr


@dataclass(frozen=True)
class Verdict:
    """Who rejected a mutant; `counterexample` is what P2 shows."""

    mutant: Mutant
    killed_by_proof: bool
    killed_exactly: bool
    equal_to_oracle: bool
    counterexample: str | None

    @property
    def is_equivalent(self) -> bool:
        """No mistake after all: P2 finds no difference, and P1 proves or P3 confirms it."""
        return not self.killed_exactly and (not self.killed_by_proof or self.equal_to_oracle)


@dataclass(frozen=True)
class MutantReport:
    """All counts leave equivalent mutants out; `survivors` escaped P1 or P2."""

    verdicts: tuple[Verdict, ...]

    @property
    def equivalent(self) -> tuple[Mutant, ...]:
        return tuple(v.mutant for v in self.verdicts if v.is_equivalent)

    @property
    def mutants(self) -> tuple[Mutant, ...]:
        return tuple(v.mutant for v in self._judged)

    @property
    def survivors(self) -> tuple[Mutant, ...]:
        return tuple(v.mutant for v in self._judged if not (v.killed_by_proof and v.killed_exactly))

    @property
    def total(self) -> int:
        return len(self._judged)

    @property
    def killed_by_proof(self) -> int:
        return sum(v.killed_by_proof for v in self._judged)

    @property
    def killed_exactly(self) -> int:
        return sum(v.killed_exactly for v in self._judged)

    @property
    def _judged(self) -> tuple[Verdict, ...]:
        return tuple(v for v in self.verdicts if not v.is_equivalent)


def mutants(
    program: Program, gradients: Sequence[tuple[str, Expr]], count: int = LARGEST_COUNT
) -> list[Mutant]:
    """At most `count` different mutants, taking one of each kind and variable in turn."""
    names = dict(program.names) | {program.output: program.output_name}
    queues: dict[tuple[str, str], list[Mutant]] = {}
    seen: set[tuple[str, Expr]] = set(gradients)
    for variable, gradient in gradients:
        leaves = {leaf: leaf for leaf in leaves_of(program, gradient)}
        for change in changes(program, variable, dict(gradients)):
            mutated = ex.substitute(gradient, {**leaves, change.node: change.mistaken})
            if (variable, mutated) in seen:
                continue
            seen.add((variable, mutated))
            texts = [names.get(e) or to_text(e, names) for e in (change.node, change.mistaken)]
            queue = queues.setdefault((change.kind, variable), [])
            name = f"D{variable} {change.kind} {len(queue) + 1}"
            description = f"D{variable}: {texts[0]} becomes {texts[1]}"
            queue.append(Mutant(name, description, variable, mutated))
    turns = itertools.zip_longest(*(queues[key] for key in sorted(queues)))
    found = [mutant for turn in turns for mutant in turn if mutant is not None]
    return sorted(found[:count], key=lambda mutant: mutant.name)


def run_mutants(
    program: Program,
    gradients: Sequence[tuple[str, Expr]],
    proof: Proof | None = None,
    checker: ExactChecker | None = None,
    count: int = LARGEST_COUNT,
) -> MutantReport:
    """Judge at most `count` mutants of the gradients by the proof and by the exact check."""
    proof = proof or route_b(program)
    checker = checker or ExactChecker(program, gradients, proof=proof)
    wanted = dict(proof.gradients)
    entries = {name: proof.entries(program, name) for name in wanted}
    verdicts = []
    for mutant in mutants(program, gradients, count):
        claim = [(mutant.variable, mutant.gradient)]
        entry = entries[mutant.variable]
        proved = _is_proved(wanted[mutant.variable], mutant.gradient, entry, program.facts)
        exact = checker.check(claim)
        confirmed = exact.ok and not proved and check_oracle(program, claim).ok
        verdict = Verdict(mutant, not proved, not exact.ok, confirmed, exact.counterexample)
        verdicts.append(verdict)
    return MutantReport(tuple(verdicts))


def _is_proved(wanted: ix.Poly, claim: Expr, entry: Entries, facts: tuple[Fact, ...]) -> bool:
    """A mistake may divide by an expression that is zero; nothing is proved about it then."""
    try:
        return is_proved(wanted, claim, entry, facts)
    except ZeroDivisionError:
        return False
