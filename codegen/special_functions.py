"""Coefficients of erf and erfc for targets that have neither.

Chebyshev series fitted here with mpmath at derive time; nothing is typed in. `erfc` is exact to a
few units of float64 relative to its value wherever that is not subnormal.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import mpmath

_DIGITS = 40


def _chebyshev(f: Callable[[mpmath.mpf], mpmath.mpf], degree: int) -> tuple[float, ...]:
    """Coefficients of f on [-1, 1] from its values at Chebyshev points; the first one is halved."""
    with mpmath.workdps(_DIGITS):
        count = degree + 12
        angles = [mpmath.pi * (mpmath.mpf(i) + 0.5) / count for i in range(count)]
        values = [f(mpmath.cos(a)) for a in angles]
        coefficients = [
            2 * sum(v * mpmath.cos(k * a) for v, a in zip(values, angles, strict=True)) / count
            for k in range(degree + 1)
        ]
        coefficients[0] /= 2
        return tuple(float(c) for c in coefficients)


@cache
def erfc_coefficients() -> tuple[float, ...]:
    """erfc(x) = t exp(-x^2) p(2 t - 1) with t = 2 / (2 + x), for x >= 0."""

    def scaled(u: mpmath.mpf) -> mpmath.mpf:
        t = (u + 1) / 2
        x = 2 / t - 2
        if x > 50:  # the asymptotic series, where exp(x^2) is out of reach
            series = sum(
                (-1) ** k * mpmath.fac2(2 * k - 1) / (2 * x**2) ** k for k in range(12)
            )
            return series / (x * mpmath.sqrt(mpmath.pi)) / t
        return mpmath.exp(x**2) * mpmath.erfc(x) / t

    return _chebyshev(scaled, 25)


@cache
def erf_coefficients() -> tuple[float, ...]:
    """erf(x) = x p(2 x^2 - 1) for |x| <= 1."""

    def scaled(u: mpmath.mpf) -> mpmath.mpf:
        x = mpmath.sqrt((u + 1) / 2)
        return mpmath.erf(x) / x if x > mpmath.mpf(10) ** -15 else 2 / mpmath.sqrt(mpmath.pi)

    return _chebyshev(scaled, 12)
