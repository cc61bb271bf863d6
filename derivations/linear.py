"""Linear layers: a product with a weight matrix, and an affine map of every feature.

Sources: batch matrix form after arXiv 2511.11918; Wan et al. (2013) for DropConnect.
"""

from gradwright.codegen.notation import *


@layer
def linear(X: Matrix[N, D], W: Matrix[K, D], b: Row[K]):
    """The linear layer: every sample is multiplied by the weights and shifted by the bias."""
    return X @ W.T + row_repeat(b, N)


@layer
def linear_of_data(X: Constant[N, D], W: Matrix[K, D], b: Row[K]):
    """The linear layer of data: no gradient of the samples is made."""
    return linear(X, W, b)


@layer
def affine(X: Matrix[N, K], gamma: Row[K], beta: Row[K]):
    """The affine layer: every feature is scaled and shifted."""
    return hadamard(row_repeat(gamma, N), X) + row_repeat(beta, N)


@layer(conventions=["M holds 0 or 1 and stays the same; the gradient of W is 0 where M is"])
def masked_linear(X: Matrix[N, D], W: Matrix[K, D], b: Row[K], M: Constant[K, D]):
    """The masked linear layer: a linear layer with a fixed pattern of connections."""
    return X @ hadamard(M, W).T + row_repeat(b, N)


@layer(conventions=["the entries of W outside the pattern M do not exist"])
def sparse_linear(X: Matrix[N, D], W: Matrix[K, D], M: Pattern[K, D], b: Row[K]):
    """The sparse linear layer: a linear layer with weights where a pattern has them."""
    return X @ hadamard(M, W).T + row_repeat(b, N)


@layer(conventions=["R holds 0 or 1 / (1 - p), drawn afresh for each batch; none at inference"])
def dropconnect(X: Matrix[N, D], W: Matrix[K, D], b: Row[K], R: Constant[K, D]):
    """DropConnect: the weights of a linear layer are multiplied by a given random matrix R."""
    return X @ hadamard(R, W).T + row_repeat(b, N)
