"""Layers the checks are tried on, with the gradients the derivation finds for them."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import sympy as sp

from gradwright.codegen.derivation import derive_all
from gradwright.codegen.differentiate import reverse_sweep
from gradwright.codegen.expression import Expr
from gradwright.codegen.notation import (
    D,
    Diag,
    K,
    Layer,
    M,
    Matrix,
    N,
    P,
    Positive,
    Row,
    Target,
    activation,
    apply,
    assume,
    batch_mean,
    column_repeat,
    columns_max,
    columns_mean,
    columns_sum,
    diag,
    elements_sum,
    erf,
    exp,
    hadamard,
    inv_sqrt,
    layer,
    log,
    row_repeat,
    rows_max,
    rows_mean,
    rows_sum,
    sigmoid,
    softplus,
    sqrt,
    square,
    tanh,
)
from gradwright.codegen.program import Program

Gradients = tuple[tuple[str, Expr], ...]


@layer
def softmax(Z: Matrix[N, K]):
    E = exp(Z)
    return E / column_repeat(rows_sum(E), K)


@layer
def softmax_of_columns(Z: Matrix[N, K]):
    E = exp(Z)
    return E / row_repeat(columns_sum(E), N)


@layer
def shifted_softmax(Z: Matrix[N, K]):
    E = exp(Z - column_repeat(rows_max(Z), K))
    return E / column_repeat(rows_sum(E), K)


@layer
def log_softmax(Z: Matrix[N, K]):
    return Z - column_repeat(log(rows_sum(exp(Z))), K)


@layer
def log_sum_exp(Z: Matrix[N, K]):
    return log(rows_sum(exp(Z)))


@layer
def linear(X: Matrix[N, D], W: Matrix[K, D], b: Row[K]):
    return X @ W.T + row_repeat(b, N)


@layer
def batchnorm(X: Matrix[N, K], gamma: Row[K], beta: Row[K], epsilon: Positive = 1e-5):
    R = X - row_repeat(columns_mean(X), N)
    inv_std = inv_sqrt(columns_mean(square(R)) + epsilon)
    Z = hadamard(R, row_repeat(inv_std, N))
    return hadamard(row_repeat(gamma, N), Z) + row_repeat(beta, N)


@layer
def layernorm(X: Matrix[N, K], gamma: Row[K], beta: Row[K], epsilon: Positive = 1e-5):
    R = X - column_repeat(rows_mean(X), K)
    inv_std = inv_sqrt(rows_mean(square(R)) + epsilon)
    Z = hadamard(R, column_repeat(inv_std, K))
    return hadamard(row_repeat(gamma, N), Z) + row_repeat(beta, N)


@layer
def standardise(X: Matrix[N, K]):
    R = X - column_repeat(rows_mean(X), K)
    return R * column_repeat(inv_sqrt(rows_mean(square(R))), K)


@layer
def attention(Q: Matrix[N, P], R: Matrix[M, P], V: Matrix[M, D]):
    E = exp(Q @ R.T / sqrt(P))
    A = E / column_repeat(rows_sum(E), M)
    return A @ V


@layer
def softmax_cross_entropy(Z: Matrix[N, K], T: Target[N, K]):
    assume("normalised", rows_sum(T), 1, "the rows of T sum to 1")
    return batch_mean(-elements_sum(hadamard(T, log_softmax(Z))), N)


@layer
def cosine_similarity(X: Matrix[N, K], Y: Matrix[N, K]):
    return rows_sum(X * Y) / (sqrt(rows_sum(square(X))) * sqrt(rows_sum(square(Y))))


@layer
def gated(X: Matrix[N, D], W: Matrix[K, D], U: Matrix[K, D]):
    G = sigmoid(X @ W.T)
    H = tanh(X @ U.T)
    return G * H


@layer
def row_maximum(X: Matrix[N, K]):
    return rows_max(X)


@layer
def below_column_maximum(X: Matrix[N, K]):
    return X - row_repeat(columns_max(X), N)


@layer
def diagonal_of_product(A: Matrix[N, N], B: Matrix[N, N]):
    return diag(A @ B)


@layer
def off_diagonal(A: Matrix[N, N]):
    return A - Diag(diag(A))


@layer
def pseudo_huber(X: Matrix[N, K], delta: Positive = 1.0):
    return sqrt(1 + square(X / delta)) - 1


@layer
def nested_exponentials(X: Matrix[N, K]):
    return exp(-exp(-X))


@layer
def softplus_of_columns(X: Matrix[N, K]):
    return row_repeat(softplus(columns_sum(X)), N)


@layer
def waves(X: Matrix[N, D], W: Matrix[K, D]):
    return apply(sp.sin, X @ W.T)


@activation(kinks={0: 0})
def relu(x):
    return sp.Max(x, 0)


@activation
def logistic(x):
    return 1 / (1 + exp(-x))


@activation
def gelu(x):
    return x * (1 + erf(x / sqrt(2))) / 2


@activation
def mish(x):
    return x * tanh(log(1 + exp(x)))


LAYERS = {made.name: made for made in list(globals().values()) if isinstance(made, Layer)}


@cache
def _derived(name: str) -> tuple[Program, Gradients]:
    general = derive_all(LAYERS[name])[0]
    return general.program, general.gradients


@cache
def _swept(name: str) -> tuple[Program, Gradients]:
    program = replace(LAYERS[name].program(), facts=())
    return program, reverse_sweep(program).gradients


@pytest.fixture
def derived() -> Callable[[str], tuple[Program, Gradients]]:
    """A layer's program and its simplified gradients, by the layer's name."""
    return _derived


@pytest.fixture
def swept() -> Callable[[str], tuple[Program, Gradients]]:
    """A layer's program and the gradients of the reverse sweep, which are quick to get."""
    return _swept


@pytest.fixture(scope="session")
def assuming_normalised() -> tuple[Program, Gradients]:
    """Softmax cross entropy under the fact that the rows of T sum to 1."""
    variant = derive_all(LAYERS["softmax_cross_entropy"])[1]
    return variant.program, variant.gradients


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests with an argument `layer_name` run on every layer above."""
    if "layer_name" in metafunc.fixturenames:
        metafunc.parametrize("layer_name", sorted(LAYERS))
