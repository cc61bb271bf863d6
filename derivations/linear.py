"""Linear layers: a product with a weight matrix, and an affine map of every feature.

Source: batch matrix form after arXiv 2511.11918.
"""

from gradwright.codegen.notation import *


@layer
def linear(X: Matrix[N, D], W: Matrix[K, D], b: Row[K]):
    """The linear layer: every sample is multiplied by the weights and shifted by the bias."""
    return X @ W.T + row_repeat(b, N)


@layer
def affine(X: Matrix[N, K], gamma: Row[K], beta: Row[K]):
    """The affine layer: every feature is scaled and shifted."""
    return hadamard(row_repeat(gamma, N), X) + row_repeat(beta, N)
