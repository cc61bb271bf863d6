"""Coefficients of erf and erfc for targets that have neither.

Polynomials fitted here with mpmath at derive time; nothing is typed in. Their values are sums of
the size of their largest term, so Horner's rule is exact to a few units of float64. `erfc` is so
relative to its value wherever that is not subnormal.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache

import mpmath

_DIGITS = 40


def _fitted(f: Callable[[mpmath.mpf], mpmath.mpf], degree: int) -> tuple[float, ...]:
    """Coefficients of powers, lowest first: the Chebyshev series of f on [-1, 1] written out."""
    with mpmath.workdps(_DIGITS):
        count = degree + 12
        angles = [mpmath.pi * (mpmath.mpf(i) + 0.5) / count for i in range(count)]
        values = [f(mpmath.cos(a)) for a in angles]
        series = [
            2 * sum(v * mpmath.cos(k * a) for v, a in zip(values, angles, strict=True)) / count
            for k in range(degree + 1)
        ]
        series[0] /= 2
        return tuple(float(c) for c in _written_out(series))


def _written_out(series: list[mpmath.mpf]) -> list[mpmath.mpf]:
    """T_0 = 1, T_1 = u, T_k+1 = 2 u T_k - T_k-1, summed as powers of u."""
    total = [mpmath.mpf(0)] * len(series)
    before, current = [mpmath.mpf(0)], [mpmath.mpf(1)]
    for k, coefficient in enumerate(series):
        total = [t + coefficient * c for t, c in itertools.zip_longest(total, current, fillvalue=0)]
        doubled = [0, *(c * (1 if k == 0 else 2) for c in current)]
        before, current = current, [
            d - b for d, b in itertools.zip_longest(doubled, before, fillvalue=0)
        ]
    return total


_ERFC_DEGREE = {"float64": 25, "float32": 10}


@cache
def erfc_coefficients(dtype: str = "float64") -> tuple[float, ...]:
    """erfc(x) = 2 t exp(-x^2) p(2 t - 1) with t = 2 / (2 + x), for x >= 0, as exact as a dtype is."""

    def scaled(u: mpmath.mpf) -> mpmath.mpf:
        t = (u + 1) / 2
        x = 2 / t - 2
        if x > 50:  # the asymptotic series, where exp(x^2) is out of reach
            series = sum(
                (-1) ** k * mpmath.fac2(2 * k - 1) / (2 * x**2) ** k for k in range(12)
            )
            return series / (x * mpmath.sqrt(mpmath.pi)) / (2 * t)
        return mpmath.exp(x**2) * mpmath.erfc(x) / (2 * t)

    return _fitted(scaled, _ERFC_DEGREE[dtype])


@cache
def erf_coefficients() -> tuple[float, ...]:
    """erf(x) = x p(2 x^2 - 1) for |x| <= 1."""

    def scaled(u: mpmath.mpf) -> mpmath.mpf:
        x = mpmath.sqrt((u + 1) / 2)
        return mpmath.erf(x) / x if x > mpmath.mpf(10) ** -15 else 2 / mpmath.sqrt(mpmath.pi)

    return _fitted(scaled, 12)
