"""Initial weights: random matrices whose variance keeps activations or gradients at one scale.

Sources: Glorot and Bengio (2010) for Xavier, He et al. (2015) for He, LeCun et al. (1998), Saxe et
al. (2014) for orthogonal matrices. Biases start at zero.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradwright.kernels import LEARNED, unknown

Array = np.ndarray[Any, np.dtype[Any]]
Generator = np.random.Generator
_BLOCK = 1 << 16  # entries in float64 at a time


@dataclass(frozen=True)
class Normal:
    """Independent entries of N(mean, std^2)."""

    mean: float
    std: float

    def draw(self, rng: Generator, shape: int | tuple[int, ...]) -> Array:
        """Entries in float64; those of several draws are those of one."""
        return rng.normal(self.mean, self.std, shape)


@dataclass(frozen=True)
class Uniform:
    """Independent entries of the uniform distribution on [low, high)."""

    low: float
    high: float

    def draw(self, rng: Generator, shape: int | tuple[int, ...]) -> Array:
        """Entries in float64; those of several draws are those of one."""
        return rng.uniform(self.low, self.high, shape)


@dataclass(frozen=True)
class Orthogonal:
    """Orthonormal rows or columns, times gain: entries that depend on each other."""

    gain: float

    def draw(self, rng: Generator, shape: tuple[int, int]) -> Array:
        """The whole matrix."""
        tall = rng.normal(size=(max(shape), min(shape)))
        Q, R = np.linalg.qr(tall)
        Q *= np.where(np.diag(R) < 0, -1.0, 1.0)  # else the distribution is not uniform
        return self.gain * (Q if shape[0] >= shape[1] else Q.T)


Distribution = Normal | Uniform | Orthogonal


def he_normal(outputs: int, inputs: int) -> Normal:
    """N(0, 2 / inputs): keeps the mean square of activations behind ReLU."""
    del outputs
    return Normal(0, math.sqrt(2 / inputs))


def he_uniform(outputs: int, inputs: int) -> Uniform:
    """The uniform distribution of mean 0 and variance 2 / inputs."""
    del outputs
    return _centred(2 / inputs)


def xavier_normal(outputs: int, inputs: int) -> Normal:
    """N(0, 2 / (inputs + outputs)): for sigmoid and tanh, forward and backward."""
    return Normal(0, math.sqrt(2 / (inputs + outputs)))


def xavier_uniform(outputs: int, inputs: int) -> Uniform:
    """The uniform distribution of mean 0 and variance 2 / (inputs + outputs)."""
    return _centred(2 / (inputs + outputs))


def lecun_normal(outputs: int, inputs: int) -> Normal:
    """N(0, 1 / inputs): keeps the variance through linear maps and SELU."""
    del outputs
    return Normal(0, math.sqrt(1 / inputs))


def gain_normal(outputs: int, inputs: int, before: float = 1.0) -> Normal:
    """N(0, gain^2 / inputs) with the derived gain of the activation before the layer.

    Pre-activations keep variance 1 in every layer. Behind ReLU it is He's initialiser; before the
    first layer, and behind activations without a derived gain, the gain is 1.
    """
    del outputs
    return Normal(0, before / math.sqrt(inputs))


def orthogonal(outputs: int, inputs: int, gain: float = 1.0) -> Orthogonal:
    """A random matrix with orthonormal rows or columns, times gain."""
    del outputs, inputs
    return Orthogonal(gain)


def uniform(outputs: int, inputs: int, a: float = -0.05, b: float = 0.05) -> Uniform:
    """The uniform distribution on [a, b)."""
    del outputs, inputs
    return Uniform(a, b)


def normal(outputs: int, inputs: int, mean: float = 0.0, std: float = 0.05) -> Normal:
    """N(mean, std^2)."""
    del outputs, inputs
    return Normal(mean, std)


def zeros(outputs: int, inputs: int) -> Normal:
    """No randomness at all: every unit of a layer learns the same."""
    del outputs, inputs
    return Normal(0, 0)


def _centred(variance: float) -> Uniform:
    limit = math.sqrt(3 * variance)
    return Uniform(-limit, limit)


_ALL: dict[str, Callable[..., Distribution]] = {
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
    takes = [p for p in list(inspect.signature(function).parameters)[2:] if p != "before"]
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


def distribution(
    name: str, parameters: Mapping[str, float], outputs: int, inputs: int,
    before: tuple[str, Mapping[str, float]] | None = None,
) -> Distribution:  # fmt: skip
    """What the initialiser of this name draws the (outputs, inputs) weights of a layer from.

    before: the activation, with its parameters, whose outputs the layer gets.
    """
    if _find(name) is gain_normal and before is not None:
        return gain_normal(outputs, inputs, gain(*before))
    return _find(name)(outputs, inputs, **parameters)


def weights(
    name: str, parameters: Mapping[str, float], rng: Generator, outputs: int, inputs: int,
    before: tuple[str, Mapping[str, float]] | None = None, dtype: Any = np.float64,
) -> Array:  # fmt: skip
    """A (outputs, inputs) matrix by the initialiser of this name."""
    W = np.empty((outputs, inputs), dtype)
    fill(distribution(name, parameters, outputs, inputs, before), rng, W)
    return W


def fill(drawn: Distribution, rng: Generator, out: Array, scale: float = 1.0) -> None:
    """Entries of a distribution, times scale, into an array of any shape; in blocks, but orthogonal.

    A sparse layer gives the array of its values: what is not there is not drawn.
    """
    if isinstance(drawn, Orthogonal):
        out[...] = drawn.draw(rng, out.shape)
        return
    flat = out.reshape(-1)
    for first in range(0, len(flat), _BLOCK):
        part = flat[first : first + _BLOCK]
        np.multiply(drawn.draw(rng, len(part)), scale, out=part, casting="same_kind")


def gain(activation: str, parameters: Mapping[str, float]) -> float:
    """The derived gain of an activation, E[f(z)^2]^(-1/2); 1 where none is derived."""
    from gradwright.generated.gains import GAINS

    known = {**LEARNED.get(activation, {}), **parameters}
    return GAINS[activation](**known) if activation in GAINS else 1.0


def scales(name: str) -> bool:
    """Whether the weights depend on the number of inputs."""
    return _find(name) not in (uniform, normal, zeros)


def _find(name: str) -> Callable[..., Distribution]:
    if _ALIASES.get(name, name) not in _ALL:
        raise ValueError(unknown("initialiser", name, NAMES))
    return _ALL[_ALIASES.get(name, name)]
