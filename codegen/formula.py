"""Formulas as boxes: what is printed, apart from the language it is printed in.

`mathml` and `scalar_formula` build the boxes of expressions; `formula_mathml` and `formula_latex`
print them. A box knows how it is built, not how it looks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "iota": "ι", "kappa": "κ", "lambda": "λ", "lambd": "λ", "mu": "μ", "nu": "ν",
    "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "chi": "χ", "psi": "ψ",
    "omega": "ω", "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π",
    "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω",
}  # fmt: skip
_LOW_DIGITS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
DIGITS = {chr(low): str(digit) for digit, low in enumerate(_LOW_DIGITS.values())}
_NUMBERED = re.compile(r"([A-Za-z]+)_?([0-9]+)\Z")


class Box:
    """A piece of a formula."""


@dataclass(frozen=True)
class Name(Box):
    """A variable. Greek names become letters: `Dgamma` is Dγ."""

    text: str


@dataclass(frozen=True)
class Upright(Box):
    """The name of a function or an operator."""

    text: str


@dataclass(frozen=True)
class Digits(Box):
    text: str


@dataclass(frozen=True)
class Ones(Box):
    """The bold one of a vector or matrix of ones."""


@dataclass(frozen=True)
class Operator(Box):
    """A sign between boxes, or a sign before one where `prefix` is set."""

    text: str
    prefix: bool = False


@dataclass(frozen=True)
class Times(Box):
    """A product written by juxtaposition."""


@dataclass(frozen=True)
class Words(Box):
    """Plain words inside a formula."""

    text: str


@dataclass(frozen=True)
class Row(Box):
    parts: tuple[Box, ...]


@dataclass(frozen=True)
class Over(Box):
    above: Box
    below: Box


@dataclass(frozen=True)
class Raised(Box):
    base: Box
    above: Box


@dataclass(frozen=True)
class Lowered(Box):
    base: Box
    below: Box


@dataclass(frozen=True)
class Root(Box):
    body: Box


@dataclass(frozen=True)
class Fenced(Box):
    """In round brackets, or in other ones."""

    body: Box
    brackets: str = "()"


@dataclass(frozen=True)
class Summed(Box):
    """The sum of a body over an index from `below` to `above`."""

    index: Box
    below: Box
    above: Box
    body: Box


@dataclass(frozen=True)
class Call(Box):
    """f(a, b, ...)."""

    function: Box
    arguments: tuple[Box, ...]


@dataclass(frozen=True)
class Cases(Box):
    """Values with their conditions; the condition of the last may be words."""

    rows: tuple[tuple[Box, Box], ...]


def row(*parts: Box) -> Box:
    return parts[0] if len(parts) == 1 else Row(parts)


def separated(boxes: tuple[Box, ...] | list[Box], separator: Box) -> Box:
    """The boxes in a row with the separator between them."""
    parts: list[Box] = []
    for place, box in enumerate(boxes):
        parts += [separator, box] if place else [box]
    return row(*parts)


def is_tall(box: Box) -> bool:
    """Whether brackets around it must grow."""
    if isinstance(box, Over | Root | Cases | Summed):
        return True
    if isinstance(box, Raised):
        return is_tall(box.base)
    inner = box.parts if isinstance(box, Row) else box.arguments if isinstance(box, Call) else ()
    return any(map(is_tall, inner)) or (isinstance(box, Fenced) and is_tall(box.body))


def letters(name: str) -> str:
    """The name with Greek words as letters: Dgamma is Dγ, sum_mu is sum_μ, beta1 is β₁."""
    numbered = _NUMBERED.match(name)
    if numbered:
        letter = _greek(numbered[1])
        if len(letter) == 1:
            return letter + numbered[2].translate(_LOW_DIGITS)
    return "_".join(_greek(part) for part in name.split("_"))


def _greek(word: str) -> str:
    if word in GREEK:
        return GREEK[word]
    return f"D{GREEK[word[1:]]}" if word[:1] == "D" and word[1:] in GREEK else word
