"""What the table of promises needs to know of a layer: valid arguments, exact results, structure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ... import expression as ex
from ...derivation import Derivation
from ...expression import Expr
from ...program import Input, Program
from ...text import factors_of, negated
from ..floating import Exact, exact_results, run_backend
from ..inputs import Sample, as_argument, draw_sample

Array = np.ndarray[Any, Any]
Arguments = dict[str, Any]
_MIXING = ("columns_sum", "columns_mean", "columns_max", "columns_select", "elements_sum", "diag",
           "Diag")  # fmt: skip


class BrokenPromise(AssertionError):
    """A kernel does not do what the table says; the message is the detail."""


@dataclass(frozen=True)
class Edge:
    """A promise: whom it concerns, and a check that raises where it does not hold.

    `face` promises are about the arguments of a public function, not about its arithmetic. Where a
    promise is not `strict` it is kept by every layer of this project; a script's formula may be
    such that floating point cannot keep it, which is then stated as a limitation.
    """

    name: str
    promise: str
    applies: Callable[[Subject], bool]
    check: Callable[[Subject, Any], None]
    face: bool = False
    strict: bool = True


@dataclass(frozen=True)
class Subject:
    """A layer under test."""

    derivation: Derivation
    _samples: dict[Any, Sample] = field(default_factory=dict)

    @property
    def program(self) -> Program:
        return self.derivation.program

    @property
    def name(self) -> str:
        return self.program.name

    # Arguments

    def sample(self, rows: int = 3, **changed: int) -> Sample:
        """Values of the inputs; the first size is `rows`, the others are 4, 5, ..."""
        sizes = {d: rows if i == 0 else 3 + i for i, d in enumerate(self.program.sizes)}
        sizes |= changed
        key = tuple(sizes.items())
        if key not in self._samples:
            self._samples[key] = draw_sample(self.program, sizes, "edge", defaults=True)
        return self._samples[key]

    def arguments(self, sample: Sample, dtype: str = "float64") -> Arguments:
        """What the kernel takes, hyperparameters and upstream gradient included."""
        items = [(i.name, i.shape) for i in self.program.inputs]
        found = {n: as_argument(s, sample.values[n]) for n, s in items}
        found[self.program.upstream] = as_argument(self.program.output.shape, sample.upstream)
        return {
            n: v.astype(dtype) if isinstance(v, np.ndarray) else v for n, v in found.items()
        }

    def tall_arguments(self) -> Arguments:
        """Copies of a small sample below each other: more rows than a kernel takes at once."""
        arguments = self.arguments(self.sample(rows=6))
        shapes = {i.name: i.shape for i in self.program.inputs}
        shapes[self.program.upstream] = self.program.output.shape
        first = self.program.sizes[0]
        nodes = ex.topological(self.program.output)
        copies = 500 if all(node.shape.count(first) < 2 for node in nodes) else 20
        for name, value in arguments.items():
            if isinstance(value, np.ndarray):
                dims = [d for d in shapes[name] if d != "1"]
                arguments[name] = np.tile(value, [copies if d == first else 6 for d in dims])
        return arguments

    def run(self, backend: Any, arguments: Mapping[str, Any], reduction: str = "mean") -> Arguments:
        """Output and gradients by name."""
        upstream = arguments[self.program.upstream]
        return run_backend(self.derivation, backend, arguments, upstream, reduction)

    def exact(self, sample: Sample) -> Exact:
        return exact_results(self.derivation, sample, certified=False)

    # Structure

    @property
    def arrays(self) -> list[Input]:
        return [i for i in self.program.inputs if i.is_array and i.shape != ("1", "1")]

    @property
    def hyperparameters(self) -> list[Input]:
        return [i for i in self.program.inputs if not i.is_array]

    @property
    def data(self) -> Input | None:
        """The matrix a layer works on: its first variable with two dimensions."""
        matrices = (v for v in self.program.variables if "1" not in v.shape)
        return next(matrices, None)

    @property
    def target(self) -> Input | None:
        matrices = (i for i in self.program.inputs if i.role == "target" and "1" not in i.shape)
        return next(matrices, None)

    @property
    def activation(self) -> Expr | None:
        """The application of one scalar function to the data that the layer consists of."""
        output, data = self.program.output, self.data
        if data is None or output.op != "apply" or output.args[0] is not data.expr:
            return None
        scalars = [a.args[0].op for a in output.args[1:] if a.op == "scalar_repeat"]
        others = len(scalars) == len(output.args) - 1 and {"symbol", "number"}.issuperset(scalars)
        return output if others else None

    @cached_property
    def is_row_wise(self) -> bool:
        """Row n of the output depends on no other row of the data."""
        data, output = self.data, self.program.output
        if data is None or output.rows != data.shape[0]:
            return False
        moved = {data.expr}
        for node in ex.topological(output):
            touched = [a for a in node.args if a in moved]
            if not touched:
                continue
            crosses = node.op == "transpose" or (node.op == "matmul" and node.args[1] in moved)
            if node.op in _MIXING or crosses:
                return False
            moved.add(node)
        return True

    @property
    def is_shifted(self) -> bool:
        """The data, times positive numbers, is shifted by its row maximum; a theorem licenses it."""
        statements = self.derivation.kernel.forward.statements
        nodes = ex.topological(*(s.expr for s in statements))
        shifted = [n.args[0] for n in nodes if n.op == "rows_shift"]
        return any(self._is_positive_multiple(argument) for argument in shifted)

    def _is_positive_multiple(self, expr: Expr) -> bool:
        above, below = factors_of(expr, {})
        others = [f for f in above if self.data is None or f is not self.data.expr]
        positive = all(
            ((n := ex.number_of(f)) is not None and n > 0)
            or f.op == "size"
            or (f.op == "symbol" and f.attr in self.program.positive)
            for f in (*others, *below)
        )
        return positive and len(others) == len(above) - 1

    @cached_property
    def is_normalised_exponential(self) -> bool:
        """The output is exp(Z) over its row sums."""
        if self.data is None:
            return False
        above, below = factors_of(self.program.output, {})
        return (
            len(above) == len(below) == 1
            and above[0] is ex.elementwise("exp", self.data.expr)
            and below[0] is ex.reduce("rows_sum", above[0])
        )

    def centred(self) -> list[str]:
        """The axes, rows or columns, along which the data is centred by its mean and read by
        nothing else."""
        found: list[str] = []
        if self.data is None or self.program.output.shape != self.data.shape:
            return found
        for axis in ("rows", "columns"):
            op = f"{axis}_mean"
            nodes = ex.topological(self.program.output)
            means = [n for n in nodes if n.op == op and n.args[0] is getattr(self.data, "expr", 0)]
            readers = [n for n in nodes if self.data.expr in n.args and n not in means]
            if means and readers and all(_subtracts(n, means[0]) for n in readers):
                found.append(axis)
        return found


def _subtracts(node: Expr, mean: Expr) -> bool:
    if node.op != "add" or node.args[0] not in mean.args:
        return False
    taken = negated(node.args[1])
    return taken is not None and taken.op in ("row_repeat", "column_repeat") and taken.args[0] is mean


# Checking


def require(condition: Any, message: str) -> None:
    if not condition:
        raise BrokenPromise(message)


def raises(
    subject: Subject, kind: type[Exception] | tuple[type[Exception], ...], words: list[str],
    call: Callable[[], Any], what: str,
) -> None:  # fmt: skip
    """The call raises the error, whose message names the layer and the words."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    wanted = " or ".join(k.__name__ for k in kinds)
    try:
        call()
    except kinds as error:
        if type(error) not in kinds:
            raise BrokenPromise(f"{what}: {type(error).__name__} instead of {wanted}") from error
        missing = [w for w in [subject.name, *words] if w not in str(error)]
        require(not missing, f"{what}: the message {str(error)!r} does not name {missing}")
    except Exception as error:
        raise BrokenPromise(
            f"{what}: {type(error).__name__}: {error}, expected {wanted}"
        ) from error
    else:
        raise BrokenPromise(f"{what}: accepted, expected {wanted}")


def finite(subject: Subject, results: Mapping[str, Any], what: str) -> None:
    for name, value in results.items():
        require(np.isfinite(value).all(), f"{subject.name}: {what}: {name} is {_short(value)}")


def same_bits(one: Any, other: Any) -> bool:
    """Equal in every bit, except that every NaN is equal to every other."""
    a, b = np.asarray(one), np.asarray(other)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    equal = (a == b) & (np.signbit(a) == np.signbit(b))
    return bool((equal | (np.isnan(a) & np.isnan(b))).all())


def same_results(subject: Subject, one: Mapping[str, Any], other: Mapping[str, Any],
                 what: str) -> None:  # fmt: skip
    for name, value in one.items():
        require(
            same_bits(value, other[name]),
            f"{subject.name}: {what}: {name} is {_short(other[name])} instead of {_short(value)}",
        )


def _short(value: Any) -> str:
    return np.array2string(np.asarray(value), threshold=12, precision=9).replace("\n", "")
