"""Routines: straight-line array programs, one for each direction, as every target prints them."""

from __future__ import annotations

from dataclasses import dataclass

from . import expression as ex
from .expression import Expr, Shape
from .program import Input, Program
from .stabilise import Stabilised


@dataclass(frozen=True)
class Statement:
    """name = expr; the expression's symbols are arguments and earlier statements."""

    name: str
    expr: Expr

    @property
    def shape(self) -> Shape:
        return self.expr.shape


@dataclass(frozen=True)
class Routine:
    """A straight-line array program. Symbols have the shapes of `arguments` and `statements`."""

    name: str
    arguments: tuple[tuple[str, Shape], ...]
    statements: tuple[Statement, ...]
    results: tuple[str, ...]

    def shape(self, name: str) -> Shape:
        known = dict(self.arguments) | {s.name: s.shape for s in self.statements}
        return known[name]

    def last_use(self, name: str) -> int:
        """Index of the last statement that reads the name; -1 if none does."""
        uses = [i for i, s in enumerate(self.statements) if name in ex.symbols_of(s.expr)]
        return uses[-1] if uses else -1


@dataclass(frozen=True)
class Kernel:
    """Both routines of a layer. `saved` are the arguments of `backward` after the upstream one."""

    program: Program
    forward: Routine
    backward: Routine
    saved: tuple[str, ...]
    stable: Stabilised
    adjoints: tuple[tuple[str, str], ...] = ()

    def adjoint(self, seam: str) -> str:
        """The statement that holds the adjoint of a seam."""
        return dict(self.adjoints)[seam]

    @property
    def theorems(self) -> tuple[str, ...]:
        """What licenses the stable forms of the forward pass."""
        return self.stable.theorems

    @property
    def precise(self) -> frozenset[str]:
        """Vectors kept in float64: means and log-normalisers, from which data is subtracted."""
        statements = (*self.forward.statements, *self.backward.statements)
        given = {self.program.output_name, *self.backward.results}
        return frozenset(s.name for s in statements if _is_precise(s.expr)) - given

    @property
    def extra_results(self) -> tuple[str, ...]:
        """Forward results beyond the output: saved values that are neither inputs nor output."""
        return self.forward.results[1:]

    @property
    def gradient_names(self) -> tuple[str, ...]:
        return tuple(f"D{v.name}" for v in self.program.variables)

    def backward_hyperparameters(self) -> tuple[Input, ...]:
        used = {name for name, _ in self.backward.arguments}
        return tuple(
            i for i in self.program.inputs if i.role == "hyperparameter" and i.name in used
        )


def _is_precise(expr: Expr) -> bool:
    if width(expr.shape) != 1:
        return False
    return expr.op in ("rows_mean", "columns_mean") or is_normaliser(expr)


def is_normaliser(expr: Expr) -> bool:
    """log(sum) + shift."""
    return expr.op == "add" and expr.args[0].op == "log" and width(expr.shape) == 1


def width(shape: Shape) -> int:
    """How many of the two sizes are not 1: 0 for a scalar, 1 for a vector, 2 for a matrix."""
    return sum(d != "1" for d in shape)
