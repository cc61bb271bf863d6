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


@layer(conventions=["t_left <= t_right; the derivative at both is that of the outer lines"])
def srelu(X: Matrix[N, K], t_left: Scalar, a_left: Scalar, t_right: Scalar, a_right: Scalar):
    """The S-shaped rectified linear unit: two learned lines outside [t_left, t_right]."""

    def s_shaped(x, tl, al, tr, ar):
        return Piecewise((tl + al * (x - tl), x <= tl), (tr + ar * (x - tr), x >= tr), (x, True))

    return apply(s_shaped, X, t_left, a_left, t_right, a_right)
