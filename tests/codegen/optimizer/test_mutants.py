"""Planted mistakes are rejected by the proof and by the finite check, each on its own."""

from dataclasses import replace

import pytest

from gradwright.codegen.optimizer import OptimizerDerivation
from gradwright.codegen.optimizer.mutants import LARGEST_COUNT, judge, mutants

Derived = dict[str, OptimizerDerivation]


@pytest.mark.parametrize(
    ("name", "fewest"),
    [("gradient_descent", 10), ("momentum", 30), ("nesterov", 40), ("adam", LARGEST_COUNT)],
)
def test_all_mutants_are_killed_twice(derived: Derived, name: str, fewest: int) -> None:
    verdicts = judge(derived[name].rule, derived[name].theorems)
    assert len(verdicts) >= fewest
    assert [v.mutant.description for v in verdicts if not v.killed_by_proof] == []
    assert [v.mutant.description for v in verdicts if not v.killed_exactly] == []


def test_the_mistakes_that_happen_are_among_the_mutants(derived: Derived) -> None:
    found = " | ".join(mutant.name for mutant in mutants(derived["adam"].rule))
    for kind in ("sign", "factor", "factor dropped", "name", "exponent", "step", "quotient",
                 "inside the root"):  # fmt: skip
        assert kind in found


def test_mutants_are_different_rules(derived: Derived) -> None:
    made = mutants(derived["nesterov"].rule)
    assert len({m.rule for m in made}) == len({m.name for m in made}) == len(made)


def test_a_mistake_no_theorem_notices_survives(derived: Derived) -> None:
    """With only one special case stated, what happens to the velocity goes unseen."""
    made = derived["momentum"]
    weak = replace(made, theorems=tuple(t for t in made.theorems if t.name == "without_memory"))
    survivors = [v for v in judge(weak.rule, weak.theorems) if v.survives]
    assert survivors
