"""Atoms: the indivisible factors of a normal form, each with a key.

Equal atoms have equal keys. Summed indices are labelled canonically, so that keys are equal for
every choice of names; `skeleton` is the key without labels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .algebra import Poly

Label = str
Monomial = tuple[tuple["Atom", Fraction], ...]
Bound = tuple[tuple[Label, str], ...]

ONE = Fraction(1)


@dataclass(frozen=True, eq=False)
class Atom:
    """An indivisible factor; equal atoms have equal keys. `skeleton` is the key without labels."""

    key: str = field(init=False, repr=False)
    skeleton: str = field(init=False, repr=False)
    labels: frozenset[Label] = field(init=False, repr=False)
    height: int = field(init=False, repr=False)

    def _identify(
        self, key: str, skeleton: str, labels: Iterable[Label] = (), height: int = 0
    ) -> None:
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "skeleton", skeleton)
        object.__setattr__(self, "labels", frozenset(labels))
        object.__setattr__(self, "height", height)

    @property
    def inner_products(self) -> Iterable[Monomial]:
        """Products of atoms right inside this one."""
        return ()

    @cached_property
    def parts(self) -> frozenset[str]:
        """Skeletons of the atom and of all atoms inside."""
        inside = (atom.parts for product in self.inner_products for atom, _ in product)
        return frozenset({self.skeleton}).union(*inside)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Atom) and self.key == other.key)

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        return self.key


@dataclass(frozen=True, eq=False)
class Element(Atom):
    """An entry of a named array: `X[n,k]`."""

    name: str
    indices: tuple[Label, ...]
    positive: bool = False

    def __post_init__(self) -> None:
        key = f"{self.name}[{','.join(self.indices)}]" if self.indices else self.name
        pattern = ",".join(str(self.indices.index(i)) for i in self.indices)
        self._identify(key, f"{self.name}[{pattern}]", self.indices)


@dataclass(frozen=True, eq=False)
class Number(Atom):
    """A positive constant: a size (`N`), `pi`, `e`, or a prime under a fractional power."""

    name: str

    def __post_init__(self) -> None:
        self._identify(f"#{self.name}", f"#{self.name}")


@dataclass(frozen=True, eq=False)
class Delta(Atom):
    """Kronecker's delta of two different labels."""

    first: Label
    second: Label

    def __post_init__(self) -> None:
        key = f"delta({self.first},{self.second})"
        self._identify(key, "delta", (self.first, self.second))

    def other(self, label: Label) -> Label:
        return self.second if label == self.first else self.first


@dataclass(frozen=True, eq=False)
class Function(Atom):
    """A scalar function of a canonical argument: `exp`, `log`, `erf`, `step`, ..."""

    name: str
    argument: Poly

    def __post_init__(self) -> None:
        body = self.argument
        self._identify(
            f"{self.name}({body.key})", f"{self.name}({body.skeleton})", body.labels, body.height
        )

    @property
    def inner_products(self) -> Iterable[Monomial]:
        return (monomial for monomial, _ in self.argument.terms)


@dataclass(frozen=True, eq=False)
class Base(Atom):
    """A primitive sum, the base of a power that does not expand."""

    poly: Poly

    def __post_init__(self) -> None:
        body = self.poly
        self._identify(f"({body.key})", f"({body.skeleton})", body.labels, body.height)

    @property
    def inner_products(self) -> Iterable[Monomial]:
        return (monomial for monomial, _ in self.poly.terms)


@dataclass(frozen=True, eq=False)
class Contraction(Atom):
    """A connected sum of products over canonically labelled indices."""

    bound: Bound
    factors: Monomial

    def __post_init__(self) -> None:
        inner = {label for label, _ in self.bound}
        labels = frozenset().union(*(atom.labels for atom, _ in self.factors)) - inner
        over = ",".join(f"{label}:{dim}" for label, dim in self.bound)
        dims = ",".join(sorted(dim for _, dim in self.bound))
        height = 1 + max(atom.height for atom, _ in self.factors)
        skeleton = "*".join(sorted(power_key(a.skeleton, e) for a, e in self.factors))
        self._identify(
            f"sum[{over}]({monomial_key(self.factors)})", f"sum[{dims}]({skeleton})", labels, height
        )

    @property
    def inner_products(self) -> Iterable[Monomial]:
        return (self.factors,)


@dataclass(frozen=True, eq=False)
class Selection(Atom):
    """1 where `index` is the first place at which `body` is largest over `label`, else 0."""

    label: Label
    dim: str
    body: Poly
    index: Label

    def __post_init__(self) -> None:
        labels = (self.body.labels - {self.label}) | {self.index}
        key = f"select[{self.label}:{self.dim}={self.index}]({self.body.key})"
        self._identify(
            key, f"select[{self.dim}]({self.body.skeleton})", labels, 1 + self.body.height
        )

    @property
    def inner_products(self) -> Iterable[Monomial]:
        return (monomial for monomial, _ in self.body.terms)


def power_key(key: str, exponent: Fraction) -> str:
    return key if exponent == 1 else f"{key}^{exponent}"


def monomial_key(monomial: Monomial) -> str:
    return "*".join(power_key(atom.key, exponent) for atom, exponent in monomial)
