"""Number systems for exact checks: residues that obey the laws of exp and roots, and the reals.

A residue field is Z/p for a prime p = 2 q + 1 with q prime too. Its non-zero squares are a group
of order q and play the positive numbers: each has one square root, cube root, ... that is a
square again, so roots of products split as real roots do; -1 is no square; and x -> g^x, with g a
square, maps Z/q, the next field of the chain, onto the squares. So exp(a + b) = exp(a) exp(b)
holds exactly when arguments of exp are evaluated in the next field. All primes are -1 modulo 8,
3, 5, ..., 19, which makes the whole numbers up to 22 squares: sizes have roots.

Functions without such laws (erf, atan) take random values that keep their symmetry; sin and cos
are a random point of the unit circle. A false identity may not hold here by such a choice except
with the stated probability; a true one that rests on further laws may fail.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import UnsupportedPrimitive

Array = npt.NDArray[Any]

# Each prime is twice the next one plus one; the last one ends the chain.
CHAIN = (
    1152914727071627519,
    576457363535813759,
    288228681767906879,
    144114340883953439,
    72057170441976719,
    36028585220988359,
)


class NoValueError(Exception):
    """A root of a non-square or a division by zero in `count` entries: draw another point."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} entries have no value at this point")
        self.count = count


class ZeroDivisorError(NoValueError):
    """A division by zero; at random residues that is no accident."""


class Field(Protocol):
    """What evaluation needs of a number system; `level` tells the fields apart."""

    level: int

    @property
    def exponents(self) -> Field: ...
    def number(self, value: Fraction | int) -> Any: ...
    def reduce(self, values: Array) -> Array: ...
    def power(self, values: Array, exponent: Fraction) -> Array: ...
    def exp(self, exponents: Array) -> Array: ...
    def function(self, name: str, values: Array) -> Array: ...
    def constant(self, name: str) -> Any: ...


class Residues:
    """The field Z/p for one prime of the chain, level 0 for the values that are compared."""

    def __init__(self, level: int) -> None:
        self.level = level
        self.prime = CHAIN[level]
        self._base = pow(self._random("exp", 1), 2, self.prime)

    @property
    def exponents(self) -> Residues:
        if self.level + 1 == len(CHAIN):
            raise UnsupportedPrimitive(
                f"exponentials nested more than {self.level} deep cannot be checked exactly; "
                "lengthen fields.CHAIN"
            )
        return RESIDUES[self.level + 1]

    def number(self, value: Fraction | int) -> int:
        exact = Fraction(value)
        return exact.numerator * pow(exact.denominator, -1, self.prime) % self.prime

    def reduce(self, values: Array) -> Array:
        return values % self.prime

    def power(self, values: Array, exponent: Fraction) -> Array:
        """Whole powers of anything; fractional powers of squares, the root that is a square."""
        if exponent == 2:
            return values * values % self.prime
        if exponent < 0:
            _require(values != 0, ZeroDivisorError)
        if exponent.denominator == 1:
            return self._raised(values, int(exponent))
        half = self.prime // 2
        inverse = pow(exponent.denominator, -1, half)
        roots = self._raised(values, exponent.numerator * inverse % half)
        wanted = self._raised(values, exponent.numerator)
        _require(self._raised(roots, exponent.denominator) == wanted)
        return roots

    def exp(self, exponents: Array) -> Array:
        return _map(lambda x: pow(self._base, x, self.prime), exponents)

    def function(self, name: str, values: Array) -> Array:
        if name in ("erf", "atan"):
            return _map(lambda x: self._odd(name, x), values)
        if name == "log":
            return _map(lambda x: self._random(name, x), values)
        halves = _map(lambda x: self._odd("half_tangent", x), values)
        circle = self.power(1 + halves * halves, Fraction(-1))
        sine, cosine = 2 * halves * circle % self.prime, (1 - halves * halves) * circle % self.prime
        if name == "tan":
            return sine * self.power(cosine, Fraction(-1)) % self.prime
        return {"sin": sine, "cos": cosine}[name]

    def constant(self, name: str) -> int:
        """A positive constant without algebraic relations, such as pi."""
        return pow(self._random(name, 0), 2, self.prime)

    def _raised(self, values: Array, exponent: int) -> Array:
        return _map(lambda x: pow(x, exponent, self.prime), values)

    def _odd(self, name: str, x: int) -> int:
        mirrored = self.prime - x
        if x == 0:
            return 0
        return self._random(name, x) if x < mirrored else self.prime - self._random(name, mirrored)

    def _random(self, name: str, x: int) -> int:
        digest = hashlib.blake2b(f"{name}:{self.level}:{x}".encode(), digest_size=16).digest()
        return 1 + int.from_bytes(digest) % (self.prime - 1)


class Reals:
    """Floating point: decides branches and maxima, and shows a counterexample's values."""

    level = -1

    @property
    def exponents(self) -> Reals:
        return self

    def number(self, value: Fraction | int) -> float:
        return float(value)

    def reduce(self, values: Array) -> Array:
        return values

    def power(self, values: Array, exponent: Fraction) -> Array:
        return np.asarray(values ** float(exponent))

    def exp(self, exponents: Array) -> Array:
        return np.asarray(np.exp(exponents))

    def function(self, name: str, values: Array) -> Array:
        if name == "erf":
            return np.vectorize(math.erf, otypes=[float])(values)
        known: dict[str, Callable[[Array], Array]] = {
            "log": np.log, "sin": np.sin, "cos": np.cos, "tan": np.tan, "atan": np.arctan
        }  # fmt: skip
        return known[name](values)

    def constant(self, name: str) -> float:
        return {"pi": math.pi}[name]


RESIDUES = tuple(Residues(level) for level in range(len(CHAIN)))
REALS = Reals()


def _map(function: Callable[[int], int], values: Array) -> Array:
    return np.asarray(np.frompyfunc(function, 1, 1)(values))


def _require(holds: Array, error: type[NoValueError] = NoValueError) -> None:
    if not np.all(holds):
        raise error(int(np.count_nonzero(~np.asarray(holds, dtype=bool))))
