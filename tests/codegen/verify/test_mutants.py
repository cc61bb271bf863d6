"""P6: every planted mistake is rejected by the proof and, separately, by the exact check."""

import pytest

from gradwright.codegen import expression as ex
from gradwright.codegen.differentiate import reverse_sweep
from gradwright.codegen.notation import D, Matrix, layer
from gradwright.codegen.verify import mutants as planting
from gradwright.codegen.verify.exact import ExactChecker, ExactResult
from gradwright.codegen.verify.mutants import LARGEST_COUNT, mutants, run_mutants
from gradwright.codegen.verify.sizes import SmallModel


def test_every_mutant_is_rejected_by_proof_and_exactly(layer_name, derived):
    report = run_mutants(*derived(layer_name))
    assert report.survivors == ()
    assert report.killed_by_proof == report.killed_exactly == report.total
    assert report.total >= 10


def test_mutants_are_different_and_keep_their_shapes(layer_name, derived):
    program, gradients = derived(layer_name)
    planted = mutants(program, gradients)
    assert len(planted) <= LARGEST_COUNT
    assert len({(m.variable, m.gradient) for m in planted}) == len(planted)
    assert len({m.name for m in planted}) == len(planted)
    for mutant in planted:
        assert mutant.gradient is not dict(gradients)[mutant.variable]
        assert mutant.gradient.shape == dict(gradients)[mutant.variable].shape


def test_the_same_mutants_are_planted_again(derived):
    program, gradients = derived("attention")
    assert mutants(program, gradients) == mutants(program, gradients)


KINDS = {
    "softmax": {"drop", "factor", "mean", "saved", "sign", "upstream", "zero"},
    "layernorm": {"drop", "number", "saved", "size", "variable"},
    "row_maximum": {"axis", "function"},
    "cosine_similarity": {"exponent"},
    "relu": {"function"},
    "diagonal_of_product": {"variable"},
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_mistake_is_planted_where_it_is_possible(name, derived):
    planted = {mutant.name.split()[1] for mutant in mutants(*derived(name))}
    assert planted >= KINDS[name]


def test_square_operands_are_transposed():
    @layer
    def bilinear(X: Matrix[D, D], W: Matrix[D, D]):
        return X @ W

    program = bilinear.program()
    planted = mutants(program, reverse_sweep(program).gradients)
    assert {m.name for m in planted} >= {"DX transpose 1", "DW transpose 1"}


class Blind(ExactChecker):
    """An exact check that sees nothing."""

    def check(self, gradients):  # noqa: ARG002
        return ExactResult(SmallModel((), True), True, None, 1.0)


def test_a_blind_exact_check_is_found_out(derived):
    program, gradients = derived("softmax")
    report = run_mutants(program, gradients, checker=Blind(program, gradients))
    assert report.killed_by_proof == report.total
    assert set(report.survivors) == set(report.mutants)


def test_a_proof_that_accepts_everything_is_found_out(derived, monkeypatch):
    monkeypatch.setattr(planting, "is_proved", lambda *_: True)
    program, gradients = derived("softmax")
    report = run_mutants(program, gradients)
    assert report.killed_by_proof == 0
    assert set(report.survivors) == set(report.mutants)
    assert report.total == report.killed_exactly


def test_a_change_without_effect_is_equivalent_and_no_survivor(derived, monkeypatch):
    program, gradients = derived("below_column_maximum")
    gradient = dict(gradients)["X"]
    # The maximum of X - max(X) is at the same place; the proof does not know that.
    same = ex.substitute(gradient, {program.input("X").expr: program.output})
    assert same is not gradient
    harmless = planting.Mutant("DX saved 1", "X becomes Y", "X", same)
    monkeypatch.setattr(planting, "mutants", lambda *_: [harmless])
    report = run_mutants(program, gradients)
    assert report.equivalent == (harmless,)
    assert report.survivors == ()
    assert report.total == 0
