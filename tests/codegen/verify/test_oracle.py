"""P3: SymPy's entry-wise derivatives confirm right gradients and refute planted wrong ones."""

import re

import pytest
import sympy as sp

from gradwright.codegen import expression as ex
from gradwright.codegen.errors import UnsupportedPrimitive
from gradwright.codegen.notation import (
    K,
    Matrix,
    N,
    apply,
    column_repeat,
    columns_sum,
    layer,
    log,
    row_repeat,
    rows_sum,
    square,
    zeros,
)
from gradwright.codegen.verify.oracle import check_oracle

X, DY, Z = (ex.symbol(name, ("N", "K")) for name in ("X", "DY", "Z"))


def test_simplified_gradients_agree_with_sympy(layer_name, derived):
    result = check_oracle(*derived(layer_name))
    assert result.counterexample is None
    assert result.digits >= 30
    assert len(result.sizes) == 2


@pytest.mark.parametrize("mistake", [lambda g: -g, lambda g: g * g], ids=["sign", "square"])
def test_a_wrong_gradient_is_refuted(mistake, layer_name, swept):
    program, gradients = swept(layer_name)
    name, gradient = gradients[0]
    result = check_oracle(program, [(name, mistake(gradient))])
    assert f"D{name}[" in str(result.counterexample)


def refuted(swept, layer_name: str, variable: str, claim: ex.Expr) -> str:
    result = check_oracle(swept(layer_name)[0], [(variable, claim)])
    assert not result.ok
    return str(result.counterexample)


def test_batchnorm_with_no_gradient_is_refuted(swept):
    refuted(swept, "batchnorm", "X", zeros(N, K))


def test_relu_with_the_wrong_step_is_refuted(swept):
    step = apply(lambda x: sp.Piecewise((1, x < 0), (0, True)), X, name="wrong_step")
    refuted(swept, "relu", "X", DY * step)


def test_an_axis_mistaken_for_the_other_is_refuted(swept):
    softmax = ex.elementwise("exp", Z)
    softmax = softmax / column_repeat(rows_sum(softmax), K)
    refuted(swept, "softmax", "Z", softmax * (DY - row_repeat(columns_sum(softmax * DY), N)))


def test_the_counterexample_names_sizes_entry_and_both_values(swept):
    text = refuted(swept, "softmax", "Z", DY)
    assert re.fullmatch(r"at N = 3, K = 2: DZ\[\d, \d\] = -?[\d.e-]+, expected -?[\d.e-]+", text)


def test_a_fact_is_imposed_on_the_variant_only(assuming_normalised, swept):
    variant, gradients = assuming_normalised
    assert check_oracle(variant, gradients).ok
    assert not check_oracle(swept("softmax_cross_entropy")[0], gradients).ok


def test_a_forward_pass_that_is_never_real_is_refused():
    @layer
    def imaginary(X: Matrix[N, K]):
        return log(-1 - square(X))

    with pytest.raises(UnsupportedPrimitive, match="declare the domain"):
        check_oracle(imaginary.program(), [("X", DY)])
