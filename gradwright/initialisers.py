"""Initial weights: random matrices whose variance keeps activations or gradients at one scale.

Sources: Glorot and Bengio (2010) for Xavier, He et al. (2015) for He, LeCun et al. (1998), Saxe et
al. (2014) for orthogonal matrices. Biases start at zero.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradwright.kernels import LEARNED, unknown

Array = np.ndarray[Any, np.dtype[Any]]
Generator = np.random.Generator


def he_normal(rng: Generator, outputs: int, inputs: int) -> Array:
    """N(0, 2 / inputs): keeps the mean square of activations behind ReLU."""
    return rng.normal(0, math.sqrt(2 / inputs), (outputs, inputs))


def he_uniform(rng: Generator, outputs: int, inputs: int) -> Array:
    """The uniform distribution of mean 0 and variance 2 / inputs."""
    return _uniform(rng, outputs, inputs, 2 / inputs)


def xavier_normal(rng: Generator, outputs: int, inputs: int) -> Array:
    """N(0, 2 / (inputs + outputs)): for sigmoid and tanh, forward and backward."""
    return rng.normal(0, math.sqrt(2 / (inputs + outputs)), (outputs, inputs))


def xavier_uniform(rng: Generator, outputs: int, inputs: int) -> Array:
    """The uniform distribution of mean 0 and variance 2 / (inputs + outputs)."""
    return _uniform(rng, outputs, inputs, 2 / (inputs + outputs))


def lecun_normal(rng: Generator, outputs: int, inputs: int) -> Array:
    """N(0, 1 / inputs): keeps the variance through linear maps and SELU."""
    return rng.normal(0, math.sqrt(1 / inputs), (outputs, inputs))


def gain_normal(rng: Generator, outputs: int, inputs: int, before: float = 1.0) -> Array:
    """N(0, gain^2 / inputs) with the derived gain of the activation before the layer.

    Pre-activations keep variance 1 in every layer. Behind ReLU it is He's initialiser; before the
    first layer, and behind activations without a derived gain, the gain is 1.
    """
    return rng.normal(0, before / math.sqrt(inputs), (outputs, inputs))


def orthogonal(rng: Generator, outputs: int, inputs: int, gain: float = 1.0) -> Array:
    """A random matrix with orthonormal rows or columns, times gain."""
    tall = rng.normal(size=(max(outputs, inputs), min(outputs, inputs)))
    Q, R = np.linalg.qr(tall)
    Q *= np.where(np.diag(R) < 0, -1.0, 1.0)  # else the distribution is not uniform
    return gain * (Q if outputs >= inputs else Q.T)


def uniform(rng: Generator, outputs: int, inputs: int, a: float = -0.05, b: float = 0.05) -> Array:
    """The uniform distribution on [a, b)."""
    return rng.uniform(a, b, (outputs, inputs))


def normal(
    rng: Generator, outputs: int, inputs: int, mean: float = 0.0, std: float = 0.05
) -> Array:
    """N(mean, std^2)."""
    return rng.normal(mean, std, (outputs, inputs))


def zeros(rng: Generator, outputs: int, inputs: int) -> Array:
    """No randomness at all: every unit of a layer learns the same."""
    del rng
    return np.zeros((outputs, inputs))


def _uniform(rng: Generator, outputs: int, inputs: int, variance: float) -> Array:
    limit = math.sqrt(3 * variance)
    return rng.uniform(-limit, limit, (outputs, inputs))


_ALL: dict[str, Callable[..., Array]] = {
    function.__name__: function
    for function in (
        he_normal, he_uniform, xavier_normal, xavier_uniform, lecun_normal, gain_normal, orthogonal,
        uniform, normal, zeros,
    )
}  # fmt: skip
_ALIASES = {"he": "he_normal", "xavier": "xavier_normal", "glorot": "xavier_normal"}
NAMES = tuple(sorted([*_ALL, *_ALIASES]))


def check(name: str, parameters: Mapping[str, float]) -> None:
    """Refuse an unknown initialiser, or parameters it does not have."""
    function = _find(name)
    takes = [p for p in list(inspect.signature(function).parameters)[3:] if p != "before"]
    for key, value in parameters.items():
        if key not in takes:
            raise ValueError(unknown(f"parameter of {name}", key, takes))
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{name}: {key} is {type(value).__name__}, expected a number")
        if not math.isfinite(value):
            raise ValueError(f"{name}: expected a finite {key}, got {value}")
    values = {k: v.default for k, v in inspect.signature(function).parameters.items()}
    values |= parameters
    if values.get("std", 0) < 0:
        raise ValueError(f"{name}: expected std >= 0, got {values['std']}")
    if values.get("a", 0) > values.get("b", 0) and "b" in values:
        raise ValueError(f"{name}: expected a <= b, got a={values['a']} and b={values['b']}")


def weights(
    name: str, parameters: Mapping[str, float], rng: Generator, outputs: int, inputs: int,
    before: tuple[str, Mapping[str, float]] | None = None,
) -> Array:  # fmt: skip
    """A (outputs, inputs) matrix of float64 by the initialiser of this name.

    before: the activation, with its parameters, whose outputs the layer gets.
    """
    if _find(name) is gain_normal and before is not None:
        return gain_normal(rng, outputs, inputs, gain(*before))
    return _find(name)(rng, outputs, inputs, **parameters)


def gain(activation: str, parameters: Mapping[str, float]) -> float:
    """The derived gain of an activation, E[f(z)^2]^(-1/2); 1 where none is derived."""
    from gradwright.generated.gains import GAINS

    known = {**LEARNED.get(activation, {}), **parameters}
    return GAINS[activation](**known) if activation in GAINS else 1.0


def scales(name: str) -> bool:
    """Whether the weights depend on the number of inputs."""
    return _find(name) not in (uniform, normal, zeros)


def _find(name: str) -> Callable[..., Array]:
    if _ALIASES.get(name, name) not in _ALL:
        raise ValueError(unknown("initialiser", name, NAMES))
    return _ALL[_ALIASES.get(name, name)]
