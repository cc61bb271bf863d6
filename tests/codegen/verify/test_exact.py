"""P2: right gradients pass at finite sizes, planted wrong ones are named with a counterexample."""

import os
import re
import subprocess
import sys
from fractions import Fraction

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from gradwright.codegen import expression as ex
from gradwright.codegen.differentiate import reverse_sweep
from gradwright.codegen.errors import UnsupportedPrimitive
from gradwright.codegen.expression import Expr
from gradwright.codegen.notation import (
    K,
    Matrix,
    N,
    apply,
    assume,
    column_repeat,
    columns_mean,
    columns_sum,
    exp,
    layer,
    log,
    row_repeat,
    rows_max,
    rows_mean,
    rows_sum,
    sigmoid,
    sqrt,
    square,
    tanh,
    zeros,
)
from gradwright.codegen.program import Input, Program
from gradwright.codegen.verify.exact import ExactChecker, check_exact
from gradwright.codegen.verify.sizes import SmallModel

X, Y = (ex.symbol(name, ("N", "K")) for name in "XY")
Z, DY, T = (ex.symbol(name, ("N", "K")) for name in ("Z", "DY", "T"))


def test_the_sweeps_gradients_pass(layer_name, swept):
    program, gradients = swept(layer_name)
    result = check_exact(program, gradients)
    assert result.counterexample is None
    assert result.ok
    assert result.error_probability < 1e-6


def test_simplified_gradients_pass(layer_name, derived):
    program, gradients = derived(layer_name)
    assert check_exact(program, gradients).counterexample is None


@pytest.mark.parametrize(
    "mistake", [lambda g: -g, lambda g: 2 * g, lambda g: g * g, lambda g: 0 * g]
)
def test_a_wrong_gradient_of_any_one_variable_is_refuted(mistake, layer_name, swept):
    program, gradients = swept(layer_name)
    checker = ExactChecker(program, gradients)
    for place, (name, gradient) in enumerate(gradients):
        claims = list(gradients)
        claims[place] = (name, mistake(gradient))
        result = checker.check(claims)
        assert not result.ok
        assert f"D{name}[" in str(result.counterexample)


def refuted(swept, layer_name: str, variable: str, claim: Expr) -> str:
    program, gradients = swept(layer_name)
    result = ExactChecker(program, gradients).check([(variable, claim)])
    assert not result.ok
    return str(result.counterexample)


def test_batchnorm_with_no_gradient_is_refuted_though_its_sum_has_none(swept):
    assert "DX[1, 1] = 0, expected" in refuted(swept, "batchnorm", "X", zeros(N, K))


def test_relu_with_the_wrong_step_is_refuted(swept):
    step = apply(lambda x: sp.Piecewise((1, x < 0), (0, True)), X, name="wrong_step")
    refuted(swept, "relu", "X", DY * step)


def test_relu_with_a_step_at_the_wrong_place_is_refuted(swept):
    step = apply(lambda x: sp.Piecewise((1, x > 1), (0, True)), X, name="late_step")
    refuted(swept, "relu", "X", DY * step)


def test_a_size_mistaken_for_another_is_refuted(swept):
    wrong = ex.substitute(dict(swept("layernorm")[1])["X"], {ex.size("K"): ex.size("N")})
    refuted(swept, "layernorm", "X", wrong)


def test_an_axis_mistaken_for_the_other_is_refuted(swept):
    softmax = exp(Z) / column_repeat(rows_sum(exp(Z)), K)
    refuted(swept, "softmax", "Z", softmax * (DY - row_repeat(columns_sum(softmax * DY), N)))


def test_a_maximum_of_columns_taken_for_one_of_rows_is_refuted(swept):
    upstream = ex.symbol("DY", ("N", "1"))
    wrong = column_repeat(upstream, K) * ex.select("columns_select", X)
    refuted(swept, "row_maximum", "X", wrong)


def test_the_counterexample_names_sizes_entry_and_both_values(swept):
    text = refuted(swept, "softmax", "Z", DY)
    assert re.fullmatch(r"at N = \d, K = \d: DZ\[\d, \d\] = -?[\d.e-]+, expected -?[\d.e-]+", text)


def test_a_claim_with_a_root_nobody_can_take_is_refuted(swept):
    root = ex.power(-square(X), Fraction(1, 2))
    assert "no value" in refuted(swept, "relu", "X", DY * root)


def test_a_fact_holds_at_the_points_of_the_variant_only(assuming_normalised, swept):
    variant, gradients = assuming_normalised
    assert check_exact(variant, gradients).ok
    general = swept("softmax_cross_entropy")[0]
    assert not check_exact(general, gradients).ok


def test_a_fact_about_something_else_is_refused_by_name():
    @layer
    def unit(X: Matrix[N, K]):
        assume("small", square(X), X)
        return X

    program = unit.program()
    with pytest.raises(UnsupportedPrimitive, match="the fact small"):
        check_exact(program, reverse_sweep(program).gradients)


def test_sizes_at_which_the_forward_pass_has_no_value_are_listed(swept):
    program, gradients = swept("standardise")
    result = check_exact(program, gradients)
    assert result.ok
    assert any("K = 1" in text for text in result.skipped)


def test_a_forward_pass_without_any_value_is_no_success():
    @layer
    def nowhere(X: Matrix[N, K]):
        return sqrt(-square(X))

    program = nowhere.program()
    result = check_exact(program, [("X", ex.symbol("DY", ("N", "K")))])
    assert result.counterexample == "no point was found at which the forward pass has a value"


def test_a_checker_judges_claims_the_same_in_any_order(swept):
    program, gradients = swept("cosine_similarity")
    wrong = [(name, 2 * gradient) for name, gradient in gradients]
    one, other = (ExactChecker(program, gradients) for _ in range(2))
    first = [one.check(claims).counterexample for claims in (gradients, wrong)]
    second = [other.check(claims).counterexample for claims in (wrong, gradients)]
    assert first == second[::-1]


def test_other_seeds_look_at_other_points_and_agree(swept):
    program, gradients = swept("softmax")
    wrong = [(name, 2 * gradient) for name, gradient in gradients]
    found = {check_exact(program, wrong, seed).counterexample for seed in range(3)}
    assert len(found) == 3
    assert all(check_exact(program, gradients, seed).ok for seed in range(3))


SCRIPT = """
from gradwright.codegen.notation import *
from gradwright.codegen.verify.exact import check_exact
from gradwright.codegen.expression import symbol
@layer
def probe(X: Matrix[N, K], v: Row[K], epsilon: Positive):
    return row_repeat(v, N) * inv_sqrt(square(X) + epsilon) * exp(X)
DY = symbol("DY", ("N", "K"))
print(check_exact(probe.program(), [("X", DY), ("v", columns_sum(DY))]))
"""


def test_results_do_not_depend_on_the_hash_seed(tmp_path):
    script = tmp_path / "probe.py"
    script.write_text(SCRIPT)

    def output(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        run = subprocess.run(
            [sys.executable, str(script)], env=environment, capture_output=True, check=True
        )
        return run.stdout.decode()

    assert output("1") == output("2") != ""


OPERATIONS = (
    lambda a, b: a + b,
    lambda a, b: a * b,
    lambda a, b: (a @ b.T) @ a,
    lambda a, b: a * sigmoid(b),
    lambda a, _: exp(-a),
    lambda a, _: tanh(a),
    lambda a, _: log(1 + square(a)),
    lambda a, _: exp(a) / column_repeat(rows_sum(exp(a)), K),
    lambda a, _: a - row_repeat(columns_mean(a), N),
    lambda a, _: a / column_repeat(ex.power(1 + rows_mean(square(a)), Fraction(1, 2)), K),
    lambda a, _: a - column_repeat(rows_max(a), K),
    lambda a, _: apply(lambda x: sp.Max(x, 0), a, name="relu", kinks={0: 0}),
)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Up to three operations on two matrices."""
    values = [X, Y]
    for _ in range(draw(st.integers(1, 3))):
        operation = draw(st.sampled_from(OPERATIONS))
        values.append(operation(values[-1], draw(st.sampled_from(values))))
    used = ex.symbols_of(values[-1])
    inputs = tuple(Input(name, ("N", "K")) for name in "XY" if name in used)
    return Program("random", "random", inputs, "Out", values[-1])


# Fixed sizes keep the proof kernel out: its normal forms of deep random programs are huge.
SMALL = SmallModel(((("N", 2), ("K", 3)), (("N", 3), ("K", 1))), complete=False)


@settings(max_examples=40, deadline=None)
@given(programs())
def test_the_sweep_is_right_on_random_programs(program):
    gradients = reverse_sweep(program).gradients
    checker = ExactChecker(program, gradients, sizes=SMALL)
    assert checker.check(gradients).counterexample is None


@settings(max_examples=40, deadline=None)
@given(programs())
def test_twice_the_gradient_of_a_random_program_is_refuted_unless_it_is_zero(program):
    (name, gradient), *others = reverse_sweep(program).gradients
    checker = ExactChecker(program, [(name, gradient), *others], sizes=SMALL)
    is_zero = checker.check([(name, 0 * gradient)]).ok
    assert checker.check([(name, 2 * gradient)]).ok == is_zero
