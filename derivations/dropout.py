"""Dropout: some entries become zero, the others are scaled up.

Source: Srivastava et al. (2014), in the inverted form that needs no scaling at inference.
"""

from gradwright.codegen.notation import *


@layer(conventions=["R holds 0 or 1 / (1 - p), drawn afresh for each batch; none at inference"])
def dropout(X: Matrix[N, K], R: Constant[N, K]):
    """Dropout: X is multiplied by a given random matrix R."""
    return hadamard(R, X)
