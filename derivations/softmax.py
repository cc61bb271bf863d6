"""Softmax and its logarithm: every row becomes a probability distribution.

Source: Bridle (1990); batch matrix form after arXiv 2511.11918.
"""

from gradwright.codegen.notation import *


@layer
def softmax(Z: Matrix[N, K]):
    """Softmax: every row of logits becomes a row of probabilities."""
    E = exp(Z)
    return E / column_repeat(rows_sum(E), K)


@layer
def log_softmax(Z: Matrix[N, K]):
    """The logarithm of softmax."""
    log_sum = log(rows_sum(exp(Z)))
    return Z - column_repeat(log_sum, K)
