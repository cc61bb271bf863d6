"""Fit the polynomial coefficients of include/gradwright/math.hpp (needs numpy, mpmath; run by hand).

Each polynomial minimises the largest weighted error on a Chebyshev grid by Lawson's iteratively
reweighted least squares.  The coefficients are rounded to float32 one by one, lowest power first,
and the remaining ones fitted again, so that they absorb the rounding of the earlier ones.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from mpmath import mp, mpf
from numpy.typing import NDArray

Array = NDArray[np.float64]
Function = Callable[[mpf], mpf]
mp.dps = 40
POINTS = 600
CENTRE = mpf(4)  # of the map t = 1 - 2 CENTRE / (x + CENTRE) that takes [0, inf) to [-1, 1)


def minimax(basis: Array, target: Array, weight: Array, sweeps: int = 150) -> Array:
    """Coefficients c that minimise max |weight (basis c - target)|."""
    scale = np.abs(basis).max(axis=0)
    emphasis = np.full(len(target), 1.0 / len(target))
    coefficients = np.zeros(basis.shape[1])
    best, best_error = coefficients, np.inf
    for _ in range(sweeps):
        rows = weight * np.sqrt(emphasis)
        solution = np.linalg.lstsq(rows[:, None] * basis / scale, rows * target, rcond=None)[0]
        coefficients = solution / scale
        error = np.abs(weight * (basis @ coefficients - target))
        if error.max() < best_error:
            best, best_error = coefficients, error.max()
        emphasis *= error
        emphasis /= emphasis.sum()
    return best


def fit(name: str, f: Function, weight: Function, low: float, high: float, degree: int) -> None:
    """Print float32 coefficients of p with minimal max |weight (p - f)| over [low, high]."""
    nodes = np.cos(np.pi * (np.arange(POINTS) + 0.5) / POINTS)
    x = (low + high) / 2 + (high - low) / 2 * nodes
    rest = np.array([float(f(mpf(v))) for v in x])
    weights = np.array([float(weight(mpf(v))) for v in x])
    powers = np.vander(x, degree + 1, increasing=True)
    rounded = []
    for power in range(degree + 1):
        coefficients = minimax(powers[:, power:], rest, weights)
        if power == 0:
            ideal = np.abs(weights * (powers @ coefficients - rest)).max()
        rounded.append(np.float32(coefficients[0]))
        rest = rest - float(rounded[-1]) * powers[:, power]
    print(f"{name} on [{low}, {high}]: {ideal:.2g}, rounded {np.abs(weights * rest).max():.2g}")
    print("   ", ", ".join(f"{c:.9g}F" for c in rounded))


def exp_tail(r: mpf) -> mpf:
    return (mp.exp(r) - 1 - r) / r**2


def log_tail(f: mpf) -> mpf:
    return (mp.log1p(f) - f + f**2 / 2) / f**3


def erf_ratio(square: mpf) -> mpf:
    x = mp.sqrt(square)
    return mp.erf(x) / x - 1


def log_erfc(x: mpf) -> mpf:
    return mp.log(mp.erfc(x))


def mapped(t: mpf) -> mpf:
    return CENTRE * (1 + t) / (1 - t)


def scaled_erfc(t: mpf) -> mpf:
    x = mapped(t)
    return mp.exp(x * x) * mp.erfc(x) * (1 + 2 * x)


def one(_: mpf) -> mpf:
    return mpf(1)


def main() -> None:
    half_log2 = 0.34662
    fit("exp(r) = 1 + r + r^2 p(r)", exp_tail, lambda r: r * r, -half_log2, half_log2, 4)
    fit("log(1+f) = f - f^2/2 + f^3 p(f)", log_tail, lambda f: f * f, -0.29290, 0.41422, 8)
    fit("erf(x) = x + x p(x^2)", erf_ratio, one, 0.0, 0.86, 6)
    fit("erfc(x) = exp(p(x))", log_erfc, mp.erfc, 0.9, 4.0, 8)
    for degree in (8, 9, 10, 11):
        fit("exp(x^2) erfc(x) (1+2x) = p(t)", scaled_erfc, lambda t: 1 / scaled_erfc(t), -1.0, 0.44, degree)


if __name__ == "__main__":
    main()
