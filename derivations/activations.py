"""Element-wise activations: one scalar function each.

Sources: Nair and Hinton (2010) for ReLU, Maas et al. (2013) for its leaky form, Dugas et al.
(2001) for softplus, Hendrycks and Gimpel (2016) for GELU, Elfwing et al. (2018) for SiLU.
"""

from gradwright.codegen.notation import *


@activation(kinks={0: 0})
def relu(x):
    """The rectified linear unit: negative entries become zero."""
    return Max(x, 0)


@activation(kinks={0: "alpha"})
def leaky_relu(x, alpha: Real = 0.01):
    """The leaky rectified linear unit: negative entries are scaled by alpha."""
    return Piecewise((x, x > 0), (alpha * x, True))


@activation
def sigmoid(x):
    """The logistic sigmoid: every entry is squeezed into (0, 1)."""
    return 1 / (1 + exp(-x))


@activation(name="tanh")
def hyperbolic_tangent(x):
    """The hyperbolic tangent: every entry is squeezed into (-1, 1)."""
    return tanh(x)


@activation
def softplus(x):
    """Softplus: a smooth rectifier whose derivative is the sigmoid."""
    return log(1 + exp(x))


@activation
def gelu(x):
    """The Gaussian error linear unit: x times the normal distribution function."""
    return x * (1 + erf(x / sqrt(2))) / 2


@activation
def silu(x):
    """The sigmoid linear unit: x times its sigmoid."""
    return x / (1 + exp(-x))
