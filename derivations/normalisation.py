"""Normalisation: columns over the batch, or rows over the features, are centred and scaled.

Sources: Ioffe and Szegedy (2015), Ba, Kiros and Hinton (2016), Zhang and Sennrich (2019); batch
matrix form after arXiv 2511.11918.
"""

from gradwright.codegen.notation import *


@layer(conventions=["the variance is biased (divided by N)"])
def batchnorm(X: Matrix[N, K], gamma: Row[K], beta: Row[K], epsilon: Positive = 1e-5):
    """Batch normalisation: every column of X is centred and scaled over the batch."""
    mu = columns_mean(X)
    R = X - row_repeat(mu, N)
    var = columns_mean(square(R))
    inv_std = inv_sqrt(var + epsilon)
    Z = hadamard(R, row_repeat(inv_std, N))
    return hadamard(row_repeat(gamma, N), Z) + row_repeat(beta, N)


@layer(conventions=["mean and variance are given and have no gradient"])
def batchnorm_inference(
    X: Matrix[N, K], mean: Constant[1, K], variance: NonNegative[1, K], gamma: Row[K],
    beta: Row[K], epsilon: Positive = 1e-5,
):  # fmt: skip
    """Batch normalisation at inference: the statistics are running averages, not the batch's."""
    inv_std = inv_sqrt(variance + epsilon)
    Z = hadamard(X - row_repeat(mean, N), row_repeat(inv_std, N))
    return hadamard(row_repeat(gamma, N), Z) + row_repeat(beta, N)


@layer(conventions=["the variance is biased (divided by K)"])
def layernorm(X: Matrix[N, K], gamma: Row[K], beta: Row[K], epsilon: Positive = 1e-5):
    """Layer normalisation: every row of X is centred and scaled over its features."""
    mu = rows_mean(X)
    R = X - column_repeat(mu, K)
    var = rows_mean(square(R))
    inv_std = inv_sqrt(var + epsilon)
    Z = hadamard(R, column_repeat(inv_std, K))
    return hadamard(row_repeat(gamma, N), Z) + row_repeat(beta, N)


@layer
def rmsnorm(X: Matrix[N, K], gamma: Row[K], epsilon: Positive = 1e-5):
    """Root-mean-square normalisation: every row is divided by the root of its mean square."""
    inv_rms = inv_sqrt(rows_mean(square(X)) + epsilon)
    Z = hadamard(X, column_repeat(inv_rms, K))
    return hadamard(row_repeat(gamma, N), Z)
