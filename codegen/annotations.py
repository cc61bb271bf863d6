"""Annotations of derivation scripts: sizes, shapes, and the domains of hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

from . import expression as ex
from .errors import NotationError, ShapeError
from .expression import Expr, lift
from .program import check_name


@dataclass(frozen=True)
class Size:
    """A symbolic dimension. In formulas it is the number of rows or columns."""

    name: str

    def as_expression(self) -> Expr:
        return ex.size(self.name)

    def __mul__(self, other: object) -> Expr:
        return self.as_expression() * other

    __rmul__ = __mul__

    def __add__(self, other: object) -> Expr:
        return self.as_expression() + other

    __radd__ = __add__

    def __sub__(self, other: object) -> Expr:
        return self.as_expression() - other

    def __rsub__(self, other: object) -> Expr:
        return lift(other) - self.as_expression()

    def __truediv__(self, other: object) -> Expr:
        return self.as_expression() / other

    def __rtruediv__(self, other: object) -> Expr:
        return lift(other) / self.as_expression()

    def __pow__(self, exponent: object) -> Expr:
        return self.as_expression() ** exponent

    def __neg__(self) -> Expr:
        return -self.as_expression()


def sizes(names: str) -> tuple[Size, ...]:
    """Declare sizes beyond the predefined ones: `A, B = sizes("A B")`."""
    return tuple(Size(check_name(name, "the size")) for name in names.split())


D, H, K, M, N, P = sizes("D H K M N P")


# Annotations


@dataclass(frozen=True)
class ArgumentType:
    """What an annotation says of an argument."""

    shape: ex.Shape = ("1", "1")
    role: str = "variable"
    domain: str = "real"


def _dims(items: object, count: int, what: str) -> list[str]:
    given = items if isinstance(items, tuple) else (items,)
    if len(given) != count:
        raise ShapeError(f"{what} takes {count} size(s), got {len(given)}")
    names = []
    for item in given:
        if isinstance(item, Size):
            names.append(item.name)
        elif item == 1 and not isinstance(item, bool):
            names.append("1")
        else:
            raise ShapeError(
                f"{what}: {item!r} is no size; sizes are symbols such as N, K or sizes('A B')"
            )
    return names


class _Indexed:
    role, domain, count = "variable", "real", 2

    def __class_getitem__(cls, items: object) -> Any:
        dims = _dims(items, cls.count, cls.__name__)
        return ArgumentType(cls._shape(dims), cls.role, cls.domain)

    @staticmethod
    def _shape(dims: list[str]) -> ex.Shape:
        return dims[0], dims[1]


class Matrix(_Indexed):
    """A matrix with a gradient."""


class Row(_Indexed):
    """One row, `Row[K]` is 1 x K; a 1-d array of shape (K,) in the kernels."""

    count = 1

    @staticmethod
    def _shape(dims: list[str]) -> ex.Shape:
        return "1", dims[0]


class Column(_Indexed):
    """One column, `Column[N]` is N x 1; a 1-d array of shape (N,) in the kernels."""

    count = 1

    @staticmethod
    def _shape(dims: list[str]) -> ex.Shape:
        return dims[0], "1"


class Constant(_Indexed):
    """Data without a gradient: `Constant[N, K]`, `Constant[1, K]`."""

    role = "constant"


class Pattern(_Indexed):
    """Where a matrix has entries: 0 or 1, constant. `M * W` is stored by its entries."""

    role, domain = "pattern", "pattern"


class Target(_Indexed):
    """Targets of a loss: data without a gradient; the kernels also take integer labels."""

    role = "target"


class Positive(_Indexed):
    """Bare: a hyperparameter > 0. Indexed: positive data without a gradient."""

    role, domain = "constant", "positive"


class NonNegative(_Indexed):
    """Bare: a hyperparameter >= 0. Indexed: non-negative data without a gradient."""

    role, domain = "constant", "nonnegative"


class Real(_Indexed):
    """A real hyperparameter."""


class UnitInterval(_Indexed):
    """A hyperparameter in [0, 1)."""

    domain = "unit"


class Share(_Indexed):
    """A hyperparameter in [0, 1]."""

    domain = "share"


Scalar = ArgumentType()


HYPERPARAMETERS = (Positive, NonNegative, Real, UnitInterval, Share)


def default_value(name: str, default: object) -> float:
    """The default of a hyperparameter: a number."""
    if isinstance(default, bool) or not isinstance(default, int | float):
        raise NotationError(f"the default of {name} is {default!r}; give a number")
    return float(default)


def in_domain(value: float, domain: str) -> bool:
    """Whether a hyperparameter may have the value."""
    return {
        "positive": value > 0, "nonnegative": value >= 0, "unit": 0 <= value < 1,
        "share": 0 <= value <= 1,
    }.get(domain, isfinite(value))  # fmt: skip
