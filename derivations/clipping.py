"""Clipping of gradients by their global norm, derived as the gradient of a function of that norm.

Source: Pascanu et al. (2013) for the rule. Huber's function of the norm of all gradients is half its
square up to a limit and its tangent beyond; its gradient is every G times min(1, limit / norm).
"""

from gradwright.codegen.notation import *


def huber_of_root(s, limit):
    """Huber's function of the square root of s."""
    return Piecewise((limit * (sqrt(s) - limit / 2), s > limit**2), (s / 2, True))


@layer(conventions=["a norm equal to the limit is not clipped"])
def clip_by_global_norm(G: Matrix[N, K], others: NonNegative = 0.0, clip_norm: Positive = 1.0):
    """Huber's function of the norm of all gradients; its gradient is G, clipped.

    G is one of them, and `others` the sum of the squares of all others.
    """
    square_norm = elements_sum(square(G)) + others
    return apply(huber_of_root, square_norm, clip_norm)
