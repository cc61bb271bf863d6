"""Generated C++ kernels, compiled and run: right for unplanned layers, and at the edges."""

from typing import Any

import numpy as np
import pytest

from gradwright.codegen.derivation import Derivation, derive
from gradwright.codegen.notation import *
from gradwright.codegen.notation import Layer
from gradwright.codegen.targets.cpp_check import CompiledLayer, compiled, compiler
from gradwright.codegen.verify.floating import check_floating
from gradwright.derivations.activations import gelu, relu
from gradwright.derivations.losses import softmax_cross_entropy
from gradwright.derivations.normalisation import batchnorm, layernorm
from gradwright.derivations.softmax import softmax

pytestmark = pytest.mark.skipif(compiler() is None, reason="needs a C++ compiler")


@layer
def column_softmax(Z: Matrix[N, K]):
    E = exp(Z)
    return E / row_repeat(columns_sum(E), N)


@layer
def first_maximum_of_columns(X: Matrix[N, K]):
    return X / row_repeat(columns_max(square(X)) + 1, N)


@layer
def first_maximum_of_rows(X: Matrix[N, K]):
    return X / column_repeat(rows_max(square(X)) + 1, K)


@layer
def attention(Q: Matrix[N, P], Keys: Matrix[M, P], V: Matrix[M, D]):
    S = Q @ Keys.T / sqrt(P)
    E = exp(S)
    A = E / column_repeat(rows_sum(E), M)
    return A @ V


@layer
def learnable_numbers(X: Matrix[N, K], a: Scalar, b: Scalar):
    return a * X**3 + b * exp(X)


@layer
def two_widths(X: Matrix[N, K], Y: Matrix[N, M]):
    return rows_sum(square(X)) * rows_sum(exp(Y))


@layer
def square_matrices(X: Matrix[N, N], Y: Matrix[N, N], d: Column[N]):
    return exp(X + Y.T) + Diag(d) @ X + Diag(diag(Y))


@layer
def rows_then_columns(X: Matrix[N, K]):
    mu = rows_mean(X)
    R = X - column_repeat(mu, K)
    E = exp(R)
    c = columns_sum(E / column_repeat(rows_sum(E), K))
    return R + row_repeat(c, N)


@layer
def cpp_words(Z: Matrix[N, K], n: Row[K], part: Row[K], k: Column[N], first: Positive = 2.0):
    Real = Z * row_repeat(n, N) + column_repeat(k, K)
    mean = exp(Real * row_repeat(part, N)) * first
    return mean + Real


@layer
def saved_exponentials(X: Matrix[N, K]):
    return log(columns_sum(exp(X)))


@layer
def vector_norms(X: Matrix[N, K], W: Row[K]):
    return elements_sum(square(X @ W.T)) / N + elements_sum(square(W))


@layer
def target_in_a_product(Y: Matrix[N, K], T: Target[N, K]):
    return elements_sum(square(Y.T @ T))


ODD = [
    column_softmax, first_maximum_of_columns, first_maximum_of_rows, attention, learnable_numbers,
    two_widths, square_matrices, rows_then_columns, cpp_words, saved_exponentials, vector_norms,
    target_in_a_product,
]  # fmt: skip


@pytest.mark.parametrize("made", ODD, ids=lambda made: made.name)
def test_kernels_of_unplanned_layers_are_exact_to_rounding(made: Layer) -> None:
    derivation = derive(made)
    check_floating(derivation, {"cpp": run(derivation)})


def run(derivation: Derivation) -> CompiledLayer:
    layer = compiled(derivation)
    assert layer is not None
    return layer


def kernel(made: Layer) -> Any:
    return run(derive(made))


def test_a_row_without_finite_logits_gets_no_probability() -> None:
    Z = np.array([[-np.inf, -np.inf], [0.0, -np.inf]])
    Y = kernel(softmax).forward(Z)
    assert Y.tolist() == [[0, 0], [1, 0]]


def test_nan_and_infinity_stay_in_their_row() -> None:
    Z = np.array([[np.nan, 1.0], [np.inf, 1.0], [2.0, 1.0]])
    Y = kernel(softmax).forward(Z)
    assert np.isnan(Y[:2]).all()
    assert np.array_equal(Y[2:], kernel(softmax).forward(Z[2:]))


def test_nan_passes_through_branches() -> None:
    X = np.array([[np.nan, -1.0, 2.0]], np.float32)
    layer = kernel(relu)
    assert np.array_equal(layer.forward(X), [[np.nan, 0, 2]], equal_nan=True)
    assert np.array_equal(layer.backward(X, X), [[np.nan, 0, 2]], equal_nan=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gelu_has_its_limits_at_infinity(dtype: type) -> None:
    X = np.array([[-np.inf, np.inf, -1e30, 1e30]], dtype)
    layer = kernel(gelu)
    assert layer.forward(X).tolist() == [[0, np.inf, 0, X[0, 3]]]
    assert layer.backward(np.ones_like(X), X).tolist() == [[0, 1, 0, 1]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batchnorm_of_a_constant_column_is_beta(dtype: type) -> None:
    X = np.full((7, 3), 1e30, dtype)
    beta = np.array([1, 2, 3], dtype)
    found = kernel(batchnorm).forward(X, np.ones(3, dtype), beta)
    assert np.array_equal(found.Y, np.tile(beta, (7, 1)))


@pytest.mark.parametrize(("made", "axis"), [(batchnorm, 0), (layernorm, 1)])
def test_normalisation_keeps_its_digits_far_from_zero(made: Layer, axis: int) -> None:
    X = (np.random.default_rng(0).normal(0, 30, (40, 60)) + 1e7).astype(np.float32)
    wide = X.astype(np.float64)
    wanted = wide - wide.mean(axis, keepdims=True)
    wanted /= np.sqrt(wide.var(axis, keepdims=True) + 1e-5)
    Y = kernel(made).forward(X, np.ones(60, np.float32), np.zeros(60, np.float32)).Y
    assert np.abs(Y - wanted).max() < 1e-5


def test_a_target_of_zero_does_not_count_where_the_logarithm_is_infinite() -> None:
    Z = np.array([[0.0, -np.inf]])
    T = np.array([[1.0, 0.0]])
    layer = kernel(softmax_cross_entropy)
    found = layer.forward(Z, T)
    assert found.L == 0
    assert np.isfinite(layer.backward(1.0, Z, T, found.log_sum)).all()


def test_an_empty_batch_has_zero_parameter_gradients() -> None:
    empty, ones = np.zeros((0, 3)), np.ones(3)
    layer = kernel(layernorm)
    found = layer.forward(empty, ones, ones)
    given = {"DY": empty, "X": empty, "gamma": ones, "mu": found.mu, "inv_std": found.inv_std}
    names = [n for n, _ in derive(layernorm).kernel.backward.arguments]
    gradients = layer.backward(*(given[n] for n in names))
    assert found.Y.shape == gradients.DX.shape == (0, 3)
    assert not gradients.Dgamma.any()
    assert not gradients.Dbeta.any()
