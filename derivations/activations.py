"""Element-wise activations: one scalar function each.

Sources: Nair and Hinton (2010) for ReLU, Maas et al. (2013) for its leaky form, Curci et al. (2021)
for All-ReLU, Konda et al. (2014) for the truncated one, Dugas et al. (2001) for softplus, Clevert
et al. (2015) for ELU, Klambauer et al. (2017) for SELU, Hendrycks and Gimpel (2016) for GELU, Elfwing
et al. (2018) for SiLU, Howard et al. (2019) for its hard form, Misra (2019) for Mish.
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


@activation(kinks={0: 1}, conventions=["networks alternate the sign of alpha from layer to layer"])
def all_relu(x, alpha: Real = 0.5):
    """All-ReLU: negative entries are scaled by alpha, which may be negative."""
    return Piecewise((alpha * x, x < 0), (x, True))


@activation(conventions=["it jumps at epsilon, where its derivative is taken as 1"])
def trelu(x, epsilon: NonNegative = 1.0):
    """The truncated rectified linear unit: entries below epsilon become zero."""
    return Piecewise((0, x < epsilon), (x, True))


@activation(kinks={-1: 0, 1: 0})
def hard_tanh(x):
    """The hard hyperbolic tangent: every entry is held within [-1, 1]."""
    return Piecewise((-1, x <= -1), (1, x >= 1), (x, True))


@activation(kinks={-3: 0, 3: 0})
def hard_sigmoid(x):
    """The hard sigmoid: a line of slope 1/6 held within [0, 1]."""
    return Piecewise((0, x <= -3), (1, x >= 3), (x / 6 + Rational(1, 2), True))


@activation(kinks={-3: 0, 3: 1})
def hard_swish(x):
    """Hard swish: x times its hard sigmoid."""
    return Piecewise((0, x <= -3), (x, x >= 3), (x * (x + 3) / 6, True))


@activation
def sigmoid(x):
    """The logistic sigmoid: every entry is squeezed into (0, 1)."""
    return 1 / (1 + exp(-x))


@activation
def log_sigmoid(x):
    """The logarithm of the logistic sigmoid."""
    return -log(1 + exp(-x))


@activation(name="tanh")
def hyperbolic_tangent(x):
    """The hyperbolic tangent: every entry is squeezed into (-1, 1)."""
    return tanh(x)


@activation
def softplus(x):
    """Softplus: a smooth rectifier whose derivative is the sigmoid."""
    return log(1 + exp(x))


@activation
def softsign(x):
    """Softsign: every entry is squeezed into (-1, 1) by an algebraic function."""
    return Piecewise((x / (1 + x), x > 0), (x / (1 - x), True))


@activation(kinks={0: "alpha"})
def elu(x, alpha: Positive = 1.0):
    """The exponential linear unit: negative entries approach -alpha."""
    return Piecewise((x, x > 0), (alpha * (exp(x) - 1), True))


# The fixed point of Klambauer et al.: the output of a standard normal input has mean 0 and variance 1.
SELU_SCALE = Rational("1.0507009873554804934193349852946")
SELU_ALPHA = Rational("1.6732632423543772848170429916717")


@activation(kinks={0: SELU_SCALE * SELU_ALPHA})
def selu(x):
    """The scaled exponential linear unit: a standard normal input keeps mean 0 and variance 1."""
    return Piecewise((SELU_SCALE * x, x > 0), (SELU_SCALE * SELU_ALPHA * (exp(x) - 1), True))


@activation
def gelu(x):
    """The Gaussian error linear unit: x times the normal distribution function."""
    return x * (1 + erf(x / sqrt(2))) / 2


@activation
def gelu_tanh(x):
    """The Gaussian error linear unit with its published approximation by a hyperbolic tangent."""
    return x * (1 + tanh(sqrt(2 / pi) * (x + Rational("0.044715") * x**3))) / 2


@activation
def silu(x):
    """The sigmoid linear unit: x times its sigmoid."""
    return x / (1 + exp(-x))


@activation
def mish(x):
    """Mish: x times the hyperbolic tangent of its softplus."""
    return x * tanh(log(1 + exp(x)))
