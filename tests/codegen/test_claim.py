"""A gradient derived by hand is proved, refuted with a counterexample, or said to be neither."""

import pytest

from gradwright.codegen import derive
from gradwright.codegen.errors import NotationError, ShapeError
from gradwright.codegen.notation import *
from gradwright.derivations.losses import half_squared_error, softmax_cross_entropy
from gradwright.derivations.normalisation import batchnorm
from gradwright.derivations.softmax import softmax


def test_a_true_claim_is_proved() -> None:
    found = derive(softmax).check("Z", lambda Y, DY: Y * (DY - column_repeat(rows_sum(Y * DY), K)))
    assert found
    assert "proved for every size" in repr(found)


def test_claims_may_use_named_intermediates() -> None:
    assert derive(batchnorm).check("gamma", lambda Z, DY: columns_sum(Z * DY))


@pytest.mark.parametrize(
    "claim",
    [
        lambda Y, DY: Y * DY,
        lambda Y, DY: Y * (DY + column_repeat(rows_sum(Y * DY), K)),
        lambda DY: DY * 0,
    ],
)
def test_a_planted_error_is_refuted_with_a_counterexample(claim) -> None:
    found = derive(softmax).check("Z", claim)
    assert not found
    assert found.counterexample is not None
    assert "wrong; " in repr(found)


def test_zero_is_no_gradient_of_batchnorm_though_the_sum_of_its_output_has_none() -> None:
    assert not derive(batchnorm).check("X", lambda X: X * 0)


def test_losses_are_claimed_with_their_division() -> None:
    found = derive(half_squared_error)
    assert found.check("Y", lambda R, DL: DL * R / N)
    assert not found.check("Y", lambda R, DL: DL * R)


def test_a_claim_that_holds_for_normalised_targets_only_is_refuted() -> None:
    found = derive(softmax_cross_entropy)
    claim = found.check("Z", lambda log_Y, T, DL: DL * (exp(log_Y) - T) / N)
    assert claim.counterexample


def test_unknown_names_and_wrong_shapes_are_errors() -> None:
    found = derive(softmax)
    with pytest.raises(NotationError, match="known names: Z"):
        found.check("Z", lambda P: P)
    with pytest.raises(NotationError, match="no variable Y"):
        found.check("Y", lambda Y: Y)
    with pytest.raises(ShapeError, match=r"\(N, K\)"):
        found.check("Z", lambda Y: rows_sum(Y))

