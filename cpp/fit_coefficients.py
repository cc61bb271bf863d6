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


def fit_ratio(name: str, f: Function, high: float, above: int, below: int) -> None:
    """Print float32 coefficients of p / q with small relative error over [0, high]."""
    nodes = np.cos(np.pi * (np.arange(POINTS) + 0.5) / POINTS)
    x = np.concatenate([high / 2 * (1 + nodes), np.geomspace(high / 1e4, high, POINTS)])
    values = np.array([float(f(mpf(v))) for v in x])
    p, q = np.vander(x, above + 1, increasing=True), np.vander(x, below + 1, increasing=True)
    basis = np.hstack([p, -values[:, None] * q[:, 1:]])  # p - f q = f where q starts with 1
    denominator = np.ones_like(x)
    for _ in range(8):  # the error of p - f q is that of p / q times q: weigh by the last q
        both = minimax(basis, values, 1 / (values * denominator), sweeps=40)
        denominator = q @ np.concatenate([[1.0], both[above + 1 :]])
    top, bottom = both[: above + 1], np.concatenate([[1.0], both[above + 1 :]])

    def rounded(scale: float) -> tuple[float, Array, Array]:
        a, b = np.float32(scale * top).astype(float), np.float32(scale * bottom).astype(float)
        return float(np.abs((p @ a) / (q @ b) / values - 1).max()), a, b

    # A common factor changes nothing but the rounding: take the luckiest.
    error, a, b = min((rounded(1 + i / 20000) for i in range(20000)), key=lambda found: found[0])
    print(f"{name} on [0, {high}]: rounded {error:.2g}")
    for coefficients in (a, b):
        print("   ", ", ".join(f"{c:.9g}F" for c in coefficients))


def exp_tail(r: mpf) -> mpf:
    return (mp.exp(r) - 1 - r) / r**2


def log_tail(f: mpf) -> mpf:
    return (mp.log1p(f) - f + f**2 / 2) / f**3


def erf_ratio(square: mpf) -> mpf:
    x = mp.sqrt(square)
    return mp.erf(x) / x - 1


def log_erfc(x: mpf) -> mpf:
    return mp.log(mp.erfc(x))


def scaled_tail(x: mpf) -> mpf:
    return mp.exp(x * x / 2) * mp.ncdf(-x)


def tanh_ratio(square: mpf) -> mpf:
    x = mp.sqrt(square)
    return (mp.tanh(x) / x - 1) / square


def one(_: mpf) -> mpf:
    return mpf(1)


def main() -> None:
    half_log2 = 0.34662
    fit("exp(r) = 1 + r + r^2 p(r)", exp_tail, lambda r: r * r, -half_log2, half_log2, 4)
    fit("log(1+f) = f - f^2/2 + f^3 p(f)", log_tail, lambda f: f * f, -0.29290, 0.41422, 8)
    fit("erf(x) = x + x p(x^2)", erf_ratio, one, 0.0, 0.86, 6)
    fit("erfc(x) = exp(p(x))", log_erfc, mp.erfc, 0.86, 4.0, 6)
    fit("tanh(x) = x + x^3 p(x^2)", tanh_ratio, lambda square: square, 0.0, 0.3025, 4)
    fit_ratio("exp(x^2/2) normal_cdf(-x) = p(x)/q(x)", scaled_tail, 14.4, 4, 5)


if __name__ == "__main__":
    main()
