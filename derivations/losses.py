"""Losses: one number for a batch of predictions and targets.

Sources: arXiv 2511.11918 for the batch matrix forms, Huber (1964), Kullback and Leibler (1951), Cortes
and Vapnik (1995) for the hinge; `batch_mean` losses also come as sums.
"""

from gradwright.codegen.notation import *
from gradwright.derivations.softmax import log_softmax


@layer
def squared_error(Y: Matrix[N, K], T: Target[N, K]):
    """The squared error, summed over all entries."""
    R = Y - T
    return elements_sum(square(R))


@layer(conventions=["divided by 2 N"])
def half_squared_error(Y: Matrix[N, K], T: Target[N, K]):
    """Half the squared error of a sample, averaged over the batch."""
    R = Y - T
    return batch_mean(elements_sum(square(R)) / 2, N)


@layer(conventions=["divided by N K"])
def mean_squared_error(Y: Matrix[N, K], T: Target[N, K]):
    """The squared error, averaged over all entries."""
    R = Y - T
    return batch_mean(elements_sum(square(R)), N * K)


@layer(conventions=["divided by N K", "the derivative at 0 is 0"])
def mean_absolute_error(Y: Matrix[N, K], T: Target[N, K]):
    """The absolute error, averaged over all entries."""
    R = Y - T
    return batch_mean(elements_sum(abs(R)), N * K)


def huber_penalty(r, delta):
    """Half the square up to delta, beyond it the tangents."""
    far = delta * (Abs(r) - delta / 2)
    return Piecewise((far, r > delta), (far, r < -delta), (r**2 / 2, True))


@layer(conventions=["divided by N K"])
def huber(Y: Matrix[N, K], T: Target[N, K], delta: Positive = 1.0):
    """The Huber loss: half the squared error where it is at most delta, linear beyond."""
    R = Y - T
    return batch_mean(elements_sum(apply(huber_penalty, R, delta)), N * K)


@layer(conventions=["divided by N", "0 log 0 = 0"])
def cross_entropy(Y: Matrix[N, K], T: Target[N, K]):
    """The cross entropy of targets and predicted probabilities."""
    return batch_mean(-elements_sum(hadamard(T, log(Y))), N)


@layer(conventions=["divided by N", "0 log 0 = 0"])
def softmax_cross_entropy(Z: Matrix[N, K], T: Target[N, K]):
    """The cross entropy of targets and the softmax of logits."""
    assume("normalised", rows_sum(T), ones(N, 1), "the rows of T sum to 1")
    log_Y = log_softmax(Z)
    return batch_mean(-elements_sum(hadamard(T, log_Y)), N)


@layer(conventions=["divided by N", "targets in [0, 1]; both classes count"])
def binary_cross_entropy(Z: Matrix[N, K], T: Target[N, K]):
    """The binary cross entropy of targets and the sigmoid of logits."""
    return batch_mean(elements_sum(softplus(Z) - hadamard(T, Z)), N)


@layer(conventions=["one-sided: entries with target 0 do not count"])
def logistic_cross_entropy(Y: Matrix[N, K], T: Target[N, K]):
    """The one-sided logistic cross entropy of arXiv 2511.11918."""
    return -elements_sum(hadamard(T, log_sigmoid(Y)))


@layer(conventions=["divided by N"])
def negative_log_likelihood(Y: Matrix[N, K], T: Target[N, K]):
    """The negative log-likelihood of the target classes under predicted probabilities."""
    likelihood = rows_sum(hadamard(Y, T))
    return batch_mean(-elements_sum(log(likelihood)), N)


@layer(conventions=["divided by N", "0 log 0 = 0"])
def kl_divergence(Y: Matrix[N, K], T: Target[N, K]):
    """The Kullback-Leibler divergence from target to predicted probabilities."""
    return batch_mean(elements_sum(hadamard(T, log(T) - log(Y))), N)


def shortfall(margin):
    """How much a margin lacks to 1."""
    return Max(1 - margin, 0)


@layer(conventions=["divided by N K", "targets are 0 or 1", "the derivative at a margin of 1 is 0"])
def hinge(Z: Matrix[N, K], T: Target[N, K]):
    """The hinge loss: the score of every class has its sign and a size of at least 1, or costs."""
    S = 2 * T - ones(N, K)
    margin = hadamard(S, Z)
    return batch_mean(elements_sum(apply(shortfall, margin, kinks={1: 0})), N * K)
