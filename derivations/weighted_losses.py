"""Losses in which every sample has a weight; for the entropies of logits also every class.

Mean losses still divide by N or N K, not by the sum of the weights. `cross_entropy` and
`logistic_cross_entropy` are linear in T: rows of T times their weights are exactly their weighted form.
Source of label smoothing: Szegedy et al. (2016).
"""

from gradwright.codegen.notation import *
from gradwright.derivations.losses import huber_penalty, shortfall
from gradwright.derivations.softmax import log_softmax


@layer
def weighted_squared_error(Y: Matrix[N, K], T: Target[N, K], weight: NonNegative[N, 1]):
    """The squared error, summed over all entries, with a weight for each sample."""
    R = Y - T
    return elements_sum(hadamard(column_repeat(weight, K), square(R)))


@layer(conventions=["divided by 2 N"])
def weighted_half_squared_error(Y: Matrix[N, K], T: Target[N, K], weight: NonNegative[N, 1]):
    """Half the squared error of a sample, averaged over the batch, with a weight for each sample."""
    R = Y - T
    return batch_mean(elements_sum(hadamard(column_repeat(weight, K), square(R))) / 2, N)


@layer(conventions=["divided by N K"])
def weighted_mean_squared_error(Y: Matrix[N, K], T: Target[N, K], weight: NonNegative[N, 1]):
    """The squared error, averaged over all entries, with a weight for each sample."""
    R = Y - T
    return batch_mean(elements_sum(hadamard(column_repeat(weight, K), square(R))), N * K)


@layer(conventions=["divided by N K", "the derivative at 0 is 0"])
def weighted_mean_absolute_error(Y: Matrix[N, K], T: Target[N, K], weight: NonNegative[N, 1]):
    """The absolute error, averaged over all entries, with a weight for each sample."""
    R = Y - T
    return batch_mean(elements_sum(hadamard(column_repeat(weight, K), abs(R))), N * K)


@layer(conventions=["divided by N K"])
def weighted_huber(
    Y: Matrix[N, K], T: Target[N, K], weight: NonNegative[N, 1], delta: Positive = 1.0
):
    """The Huber loss with a weight for each sample."""
    penalty = apply(huber_penalty, Y - T, delta)
    return batch_mean(elements_sum(hadamard(column_repeat(weight, K), penalty)), N * K)


@layer(conventions=["divided by N K", "targets are 0 or 1", "the derivative at a margin of 1 is 0"])
def weighted_hinge(Z: Matrix[N, K], T: Target[N, K], weight: NonNegative[N, 1]):
    """The hinge loss with a weight for each sample."""
    S = 2 * T - ones(N, K)
    margin = hadamard(S, Z)
    lack = apply(shortfall, margin, kinks={1: 0})
    return batch_mean(elements_sum(hadamard(column_repeat(weight, K), lack)), N * K)


@layer(conventions=["divided by N", "0 log 0 = 0"])
def weighted_kl_divergence(Y: Matrix[N, K], T: Target[N, K], weight: NonNegative[N, 1]):
    """The Kullback-Leibler divergence with a weight for each sample."""
    W = column_repeat(weight, K)
    return batch_mean(elements_sum(hadamard(hadamard(W, T), log(T) - log(Y))), N)


@layer(conventions=["divided by N"])
def weighted_negative_log_likelihood(
    Y: Matrix[N, K], T: Target[N, K], weight: NonNegative[N, 1]
):
    """The negative log-likelihood of the target classes with a weight for each sample."""
    likelihood = rows_sum(hadamard(Y, T))
    return batch_mean(-elements_sum(hadamard(weight, log(likelihood))), N)


@layer(conventions=["divided by N", "0 log 0 = 0", "smoothing mixes targets with 1 / K"])
def weighted_softmax_cross_entropy(
    Z: Matrix[N, K], T: Target[N, K], weight: NonNegative[N, 1], class_weight: NonNegative[1, K],
    smoothing: Share = 0.0,
):  # fmt: skip
    """The cross entropy of targets and the softmax of logits, with label smoothing and a weight for
    each sample and each class."""
    log_Y = log_softmax(Z)
    S = (1 - smoothing) * T + ones(N, K) * (smoothing / K)
    W = hadamard(column_repeat(weight, K), row_repeat(class_weight, N))
    return batch_mean(-elements_sum(hadamard(W, hadamard(S, log_Y))), N)


@layer(conventions=["divided by N", "targets in [0, 1]; both classes count",
                    "smoothing mixes targets with 1 / 2"])  # fmt: skip
def weighted_binary_cross_entropy(
    Z: Matrix[N, K], T: Target[N, K], weight: NonNegative[N, 1], class_weight: NonNegative[1, K],
    smoothing: Share = 0.0,
):  # fmt: skip
    """The binary cross entropy of targets and the sigmoid of logits, with label smoothing and a
    weight for each sample and each column."""
    S = (1 - smoothing) * T + ones(N, K) * (smoothing / 2)
    W = hadamard(column_repeat(weight, K), row_repeat(class_weight, N))
    return batch_mean(elements_sum(hadamard(W, softplus(Z) - hadamard(S, Z))), N)
