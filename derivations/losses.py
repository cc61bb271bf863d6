"""Losses: one number for a batch of predictions and targets.

Sources: arXiv 2511.11918 for the batch matrix forms; `batch_mean` losses also come as sums.
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
