"""Rectifiers with parameters that are learned.

Sources: He et al. (2015) for PReLU, Jin et al. (2016) for the S-shaped rectifier.
"""

from gradwright.codegen.notation import *


@layer(conventions=["the derivative at 0 is alpha"])
def prelu(X: Matrix[N, K], alpha: Row[K]):
    """The parametric rectified linear unit: every feature has its own slope for negative entries."""

    def rectified(x, slope):
        return Piecewise((x, x > 0), (slope * x, True))

    return apply(rectified, X, row_repeat(alpha, N), kinks={0: "slope"})


@layer(conventions=["tl <= tr; the derivative at both is that of the outer lines"])
def srelu(X: Matrix[N, K], al: Scalar, tl: Scalar, ar: Scalar, tr: Scalar):
    """The S-shaped rectified linear unit: a line of slope al below tl, one of slope ar above tr."""

    def s_shaped(x, al, tl, ar, tr):
        return Piecewise((tl + al * (x - tl), x <= tl), (tr + ar * (x - tr), x >= tr), (x, True))

    return apply(s_shaped, X, al, tl, ar, tr)
