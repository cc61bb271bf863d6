"""Residues modulo the Mersenne prime 2^61 - 1, with square roots: exact random evaluation.

-1 is no square here, so the squares play the positive numbers: each has one root that is a square
itself, which is the root; |x| is the root of x^2, and x / |x| is 1 or -1. An identity of real
rational functions, roots, absolute values and signs holds for residues wherever all roots exist;
a false one holds at random residues with probability at most degree / 2^61 (Schwartz, Zippel).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction

from ..errors import UnsupportedPrimitive

PRIME = 2**61 - 1


class NoRootError(Exception):
    """The square root of a non-square, or a division by zero: draw other values."""


@dataclass(frozen=True)
class Residue:
    """A number modulo PRIME."""

    value: int

    def __add__(self, other: Residue) -> Residue:
        return Residue((self.value + other.value) % PRIME)

    def __sub__(self, other: Residue) -> Residue:
        return Residue((self.value - other.value) % PRIME)

    def __mul__(self, other: Residue) -> Residue:
        return Residue(self.value * other.value % PRIME)

    def __truediv__(self, other: Residue) -> Residue:
        return self * other**-1

    def __pow__(self, exponent: int) -> Residue:
        if exponent < 0 and self.value == 0:
            raise NoRootError
        return Residue(pow(self.value, exponent, PRIME))


class Residues:
    """What update rules need of residues."""

    def number(self, value: Fraction) -> Residue:
        return Residue(value.numerator * pow(value.denominator, -1, PRIME) % PRIME)

    def sqrt(self, value: Residue) -> Residue:
        root = value ** ((PRIME + 1) // 4)
        if root * root != value:
            raise NoRootError
        return root

    def function(self, name: str, value: Residue) -> Residue:
        if name == "abs":
            return self.sqrt(value * value)
        if name == "sign":
            return value / self.sqrt(value * value)
        raise UnsupportedPrimitive(f"{name} has no exact values; the finite check knows abs, sign")

    def draw(self, rng: random.Random, _domain: str = "real") -> Residue:
        """A number that is not zero, positive or negative with equal odds."""
        return Residue(rng.randrange(1, PRIME))

    def equal(self, one: Residue, other: Residue) -> bool:
        return one == other

    def show(self, value: Residue) -> str:
        return f"{value.value} (mod 2^61 - 1)"


RESIDUES = Residues()
