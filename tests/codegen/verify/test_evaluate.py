"""Exact evaluation keeps the identities of exp and log, and its tangents are derivatives."""

import random
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from gradwright.codegen import expression as ex
from gradwright.codegen.notation import (
    K,
    N,
    apply,
    column_repeat,
    columns_max,
    exp,
    log,
    row_repeat,
    rows_max,
    rows_sum,
)
from gradwright.codegen.program import Input, Program
from gradwright.codegen.verify.evaluate import Evaluation
from gradwright.codegen.verify.fields import REALS, RESIDUES
from gradwright.codegen.verify.points import draw_point, random_direction

SIZES = {"N": 2, "K": 3}
X = ex.symbol("X", ("N", "K"))
Y = ex.symbol("Y", ("N", "K"))


def evaluation(*expressions: ex.Expr, seed: int = 0) -> Evaluation:
    used = ex.symbols_of(*expressions)
    inputs = tuple(Input(name, ("N", "K")) for name in ("X", "Y") if name in used)
    total = ex.reduce("elements_sum", X)
    for expression in expressions:
        total = total + ex.reduce("elements_sum", expression)
    point = draw_point(Program("p", "p", inputs, "Z", total), SIZES, random.Random(seed))
    assert point is not None
    return point.evaluation()


IDENTITIES = {
    "exp of a log": (exp(log(X) + Y), X * exp(Y)),
    "exp of a log-softmax": (
        exp(X - column_repeat(log(rows_sum(exp(X))), K)),
        exp(X) / column_repeat(rows_sum(exp(X)), K),
    ),
    "exp of half a log": (exp(log(X * X + 1) / 2), ex.power(X * X + 1, Fraction(1, 2))),
    "log of a product": (log(X * exp(Y) * X), 2 * log(X) + Y),
    "log of a quotient": (
        log(X / (6 * Y)),
        log(X) - log(Y) - log(ex.number(2)) - log(ex.number(3)),
    ),
    "nested exponentials": (exp(exp(X + Y)), exp(exp(X) * exp(Y))),
    "softplus inside exp": (exp(apply(lambda x: sp.log(1 + sp.exp(x)), X)), 1 + exp(X)),
    "symbolic power": (
        apply(lambda x, y: x ** (y + 2), X, Y),
        X * X * apply(lambda x, y: sp.exp(y * sp.log(x)), X, Y),
    ),
    "hyperbolic functions": (apply(sp.tanh, X) * apply(sp.cosh, X), apply(sp.sinh, X)),
    "tangent": (apply(sp.tan, X) * apply(sp.cos, X), apply(sp.sin, X)),
    "complementary erf": (apply(sp.erfc, X), 1 - apply(sp.erf, X)),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_identities_of_elementary_functions_hold_exactly(name):
    left, right = IDENTITIES[name]
    at = evaluation(left, right)
    assert np.array_equal(at.value(left), at.value(right))


def test_different_values_differ():
    left, right = exp(X) * exp(Y), exp(X) + exp(Y)
    at = evaluation(left, right)
    assert not np.any(at.value(left) == at.value(right))


def test_a_residue_maximum_is_the_one_the_real_values_choose():
    at = evaluation(rows_max(X) + rows_max(Y), column_repeat(rows_max(X), K) * X)
    largest = np.argmax(at.value(X, REALS), axis=1)
    assert [row[i] for row, i in zip(at.value(X), largest, strict=True)] == list(
        at.value(rows_max(X))[:, 0]
    )


SMOOTH = {
    "softmax": exp(X) / column_repeat(rows_sum(exp(X)), K),
    "product": (X @ Y.T) @ X,
    "maxima": X * row_repeat(columns_max(X), N) + column_repeat(rows_max(Y), K),
    "kinks": apply(lambda x, y: sp.Piecewise((x * y, x > y), (y**2, True)), X, Y),
    "functions": apply(lambda x: sp.erf(x) + sp.sin(x) * sp.atan(x) + sp.tan(x / 9), X),
    "roots": ex.power(1 + X * X, Fraction(-1, 2)) * log(2 + Y * Y),
}


@given(st.sampled_from(sorted(SMOOTH)), st.sampled_from(["X", "Y"]), st.integers(0, 50))
def test_real_tangents_are_difference_quotients(name, symbol, seed):
    output = SMOOTH[name]
    at = evaluation(output, Y, seed=seed)
    rng = np.random.default_rng(seed)
    direction, step = rng.normal(size=(2, 3)), 1e-6
    at.set_direction(symbol, REALS, direction)
    tangent = at.tangent(output, symbol, REALS)
    values = {s: at.value(ex.symbol(s, ("N", "K")), REALS) for s in ("X", "Y")}

    def moved(sign: int) -> np.ndarray:
        shifted = {**values, symbol: values[symbol] + sign * step * direction}
        return Evaluation(SIZES, {REALS.level: shifted}).value(output, REALS)

    quotient = (moved(1) - moved(-1)) / (2 * step)
    found = np.zeros_like(quotient) if tangent is None else tangent
    scale = 1 + np.abs(values["X"]).max() ** 3 * (1 + np.abs(values["Y"]).max())
    assert np.allclose(found, quotient, atol=1e-6 * scale)


def test_a_tangent_is_linear_in_its_direction():
    output = SMOOTH["softmax"]
    at, rng, prime = evaluation(output), random.Random(1), RESIDUES[0].prime
    first, second = (random_direction((2, 3), RESIDUES[0], rng) for _ in range(2))
    found = []
    for direction in (first, second, (first + 5 * second) % prime):
        at.set_direction("X", RESIDUES[0], direction)
        found.append(at.tangent(output, "X"))
    assert np.array_equal((found[0] + 5 * found[1]) % prime, found[2])
