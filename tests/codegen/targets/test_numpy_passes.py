"""Routines with fewer passes are the routines they were."""

from dataclasses import replace

import pytest

import gradwright.derivations.normalisation as normalisations
from gradwright.codegen import expression as ex
from gradwright.codegen.derivation import derive
from gradwright.codegen.notation import Layer
from gradwright.codegen.routine import Routine, Statement
from gradwright.codegen.targets.numpy_passes import are_equal, with_fewer_passes

LAYERS = (normalisations.batchnorm, normalisations.layernorm, normalisations.rmsnorm)
FORWARD = derive(normalisations.batchnorm).kernel.forward


def with_statement(routine: Routine, name: str, expr: ex.Expr) -> Routine:
    changed = (Statement(s.name, expr if s.name == name else s.expr) for s in routine.statements)
    return replace(routine, statements=tuple(changed))


@pytest.mark.parametrize("layer", LAYERS, ids=lambda l: l.name)
def test_backward_is_rewritten_and_proved_equal(layer: Layer) -> None:
    before = derive(layer).kernel.backward
    after = with_fewer_passes(before).routine
    assert after.statements != before.statements
    assert are_equal(before, after)


def test_the_mean_is_found_from_differences_to_the_first_row() -> None:
    found = with_fewer_passes(FORWARD)
    names = [s.name for s in found.routine.statements]
    assert names[:4] == ["shifted", "drift", "mu", "R"]
    assert found.shifted == {"shifted"}


@pytest.mark.parametrize("name", ["drift", "mu", "R", "Y"])
def test_a_rewritten_statement_that_is_false_is_not_equal(name: str) -> None:
    after = with_fewer_passes(FORWARD).routine
    value = next(s.expr for s in after.statements if s.name == name)
    assert not are_equal(FORWARD, with_statement(after, name, ex.hadamard(ex.lift(2), value)))


def test_a_result_that_is_missing_is_not_equal() -> None:
    after = with_fewer_passes(FORWARD).routine
    kept = tuple(s for s in after.statements if s.name != "Y")
    assert not are_equal(FORWARD, replace(after, statements=kept))
