"""Small decimal numbers in floating point: values a reader of a counterexample can follow."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from fractions import Fraction

from .residues import NoRootError


class Floats:
    """What update rules need of floating-point numbers."""

    def number(self, value: Fraction) -> float:
        return float(value)

    def sqrt(self, value: float) -> float:
        if value < 0:
            raise NoRootError
        return math.sqrt(value)

    def function(self, name: str, value: float) -> float:
        if name == "sign":
            return float((value > 0) - (value < 0))
        known: dict[str, Callable[[float], float]] = {
            "abs": abs, "tanh": math.tanh, "exp": math.exp, "log": math.log
        }  # fmt: skip
        return known[name](value)

    def draw(self, rng: random.Random, domain: str = "real") -> float:
        """Quarters, within the domain of a hyperparameter."""
        if domain in ("unit", "share"):
            return rng.randrange(1, 4) / 4
        size = rng.randrange(1, 9) / 4
        return size if domain in ("positive", "nonnegative") else rng.choice((size, -size))

    def equal(self, one: float, other: float) -> bool:
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)

    def show(self, value: float) -> str:
        return f"{value:.6g}"


FLOATS = Floats()
