"""Expressions as NumPy source: broadcasting for repetition, einsum and `@` for sums of products."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from .. import expression as ex
from ..errors import UnsupportedPrimitive
from ..expression import Expr
from ..saving import REPEATS
from ..scalar import ScalarFunction
from ..schedule import width
from ..stable import StableScalar, stable_scalar
from ..text import factors_of, negated
from .numpy_scalar import (
    ATOM,
    HELPERS,
    PRODUCT,
    SUM,
    UNARY,
    number_source,
    sigmoid_form,
)  # fmt: skip

_VECTOR_REPEATS = ("row_repeat", "column_repeat")
_AXIS = {"rows": 1, "columns": 0}


@dataclass
class NumpyPrinter:
    """Prints expressions inside or outside a loop over blocks of rows.

    `sliced` names are arrays of which the loop sees `name_rows`; `precise` names are float64
    vectors. Scalar functions met on the way are collected in `functions`, helpers in `helpers`;
    `broadcasting` are the functions whose first argument is smaller than their value,
    `shifted` the values whose mean needs no care.
    """

    precise: frozenset[str]
    sliced: frozenset[str] = frozenset()
    names: Mapping[str, str] = field(default_factory=dict)
    functions: dict[str, StableScalar] = field(default_factory=dict)
    helpers: set[str] = field(default_factory=set)
    broadcasting: set[str] = field(default_factory=set)
    shifted: frozenset[str] = frozenset()

    def show(self, expr: Expr) -> str:
        return bare(self._show(expr, expr.shape)[0])

    def source(self, expr: Expr, shape: ex.Shape) -> tuple[str, int]:
        """Source and binding strength, for use in an expression of the given shape."""
        return self._show(expr, shape)

    def scale(self, above: list[Expr], below: list[Expr], shape: ex.Shape) -> str:
        """Numbers, scalars and vectors of a product as one factor; empty where there are none."""
        return self._quotient(*_small_factors(above, below), shape)

    def function_with_out(self, expr: Expr) -> str:
        """The name of an applied function; all can write into an array."""
        name = self._function_name(_scalar_function(expr))
        first = expr.args[0]
        if width(first.shape) < 2 or first.op in REPEATS:
            self.broadcasting.add(name)
        return name

    def is_precise(self, expr: Expr) -> bool:
        """Whether a sum's right side is float64 where the layer is float32."""
        negative = negated(expr.args[1])
        return negative is not None and self._subtracts_precise(expr.args[0], negative)

    def _show(self, expr: Expr, shape: ex.Shape) -> tuple[str, int]:
        """Source and binding strength, for use in an expression of the given shape."""
        if expr.op in REPEATS:
            return self._show(expr.args[0], shape)
        if expr.op == "symbol":
            return self._symbol(expr, shape), ATOM
        if expr.op == "number":
            return number_source(expr.attr)
        if expr.op in ("size", "step"):
            return str(expr.attr), ATOM
        if expr.op == "step_power":
            base, exponent = (self._at_least(ATOM, a, shape) for a in expr.args)
            return f"{base}**{exponent}", UNARY
        if expr.op == "add":
            return self._sum(expr, shape)
        if expr.op == "hadamard":
            above, below = factors(expr)
            return self._join(above, below, shape)
        if expr.op == "target_product":
            target, value = (self._show(a, shape)[0] for a in expr.args)
            self.helpers.add("_target_product")
            return f"_target_product({target}, {value})", ATOM
        if expr.op == "power":
            return self._power(expr, shape)
        if expr.op in ("exp", "log"):
            return f"np.{expr.op}({self._show(expr.args[0], shape)[0]})", ATOM
        if expr.op == "apply":
            return self._apply(expr, shape), ATOM
        if expr.op == "matmul":
            left, right = (self._at_least(UNARY, a, a.shape) for a in expr.args)
            return f"{left} @ {right}", PRODUCT
        if expr.op == "transpose":
            return self._transpose(expr, shape), ATOM
        return self._other(expr, shape)

    def _other(self, expr: Expr, shape: ex.Shape) -> tuple[str, int]:
        inner = expr.args[0] if expr.args else expr
        if expr.op == "at_least_one":
            return f"np.maximum({self._show(inner, shape)[0]}, 1)", ATOM
        if expr.op in ("rows_shift", "columns_shift"):
            self.helpers.add("_shift")
            axis = _AXIS[expr.op.split("_")[0]]
            return self._column(expr, f"_shift({self._whole(inner)}, axis={axis})", shape)
        if expr.op in ("rows_select", "columns_select"):
            self.helpers.add("_first_maximum")
            axis = _AXIS[expr.op.split("_")[0]]
            return f"_first_maximum({self._whole(inner)}, axis={axis})", ATOM
        if expr.op in ("rows_max", "columns_max"):
            axis = _AXIS[expr.op.split("_")[0]]
            text = f"{self._array(inner)}.max(axis={axis}, initial=-np.inf)"
            return self._column(expr, text, shape)
        if expr.op.endswith(("_sum", "_mean")):
            return self._reduction(expr, shape)
        if expr.op in ("rows_first", "columns_first"):
            return self._first(expr, shape), ATOM
        if expr.op == "diag":
            return self._column(expr, f"np.diagonal({self._whole(inner)})", shape)
        if expr.op == "Diag":
            return f"np.diag({self._show(inner, inner.shape)[0]})", ATOM
        if expr.op == "identity":
            return f"np.eye({expr.rows}, dtype=dtype)", ATOM
        raise UnsupportedPrimitive(f"the NumPy printer has no rule for {expr.op}; add one there")

    def _first(self, expr: Expr, shape: ex.Shape) -> str:
        """The first row or column, as a slice beside the whole matrix, or as a float64 vector."""
        rows = expr.op == "rows_first"
        data = str(expr.args[0].attr)
        data = rows_of(data) if rows and data in self.sliced else data
        if width(shape) == 2:
            return f"{data}[:, :1]" if rows else f"{data}[:1]"
        self.helpers.add("_first")
        return f"_first({data}, axis={_AXIS[expr.op.split('_')[0]]})"

    def _column(self, expr: Expr, text: str, shape: ex.Shape) -> tuple[str, int]:
        """An (N,) vector inside an N x K expression needs a second axis."""
        if expr.cols == "1" and expr.rows != "1" and shape[1] != "1":
            return f"{text}[:, None]", ATOM
        return text, ATOM

    def _symbol(self, expr: Expr, shape: ex.Shape) -> str:
        name = self.names.get(str(expr.attr), str(expr.attr))
        column = expr.rows != "1" and expr.cols == "1" and shape[1] != "1"
        if str(expr.attr) in self.sliced and expr.rows != "1":
            name = rows_of(name)
        return f"{name}[:, None]" if column else name

    def _transpose(self, expr: Expr, shape: ex.Shape) -> str:
        inner = expr.args[0]
        if inner.rows == "1":
            name = self._at_least(ATOM, inner, inner.shape)
            return f"{name}[:, None]" if shape[1] != "1" else name
        if inner.cols == "1":
            return self._at_least(ATOM, inner, inner.shape)
        return f"{self._at_least(ATOM, inner, inner.shape)}.T"

    def _at_least(self, level: int, expr: Expr, shape: ex.Shape) -> str:
        text, own = self._show(expr, shape)
        return text if own >= level else f"({text})"

    def _whole(self, expr: Expr) -> str:
        return self._show(expr, expr.shape)[0]

    def _array(self, expr: Expr) -> str:
        return self._at_least(ATOM, expr, expr.shape)

    def _sum(self, expr: Expr, shape: ex.Shape) -> tuple[str, int]:
        left = self._show(expr.args[0], shape)[0]
        negative = negated(expr.args[1])
        if negative is None:
            return f"{left} + {self._show(expr.args[1], shape)[0]}", SUM
        if self.is_precise_offset(negative) and width(expr.shape) == 2:
            self.helpers.add("_difference")
            return f"_difference({left}, {self._show(negative, shape)[0]})", ATOM
        text = f"{left} - {self._at_least(PRODUCT, negative, shape)}"
        if self._subtracts_precise(expr.args[0], negative) and width(expr.shape) == 2:
            return f"({text}).astype(dtype, copy=False)", ATOM
        return text, SUM

    def is_precise_offset(self, value: Expr) -> bool:
        """A float64 vector, repeated."""
        if value.op not in _VECTOR_REPEATS or value.args[0].op != "symbol":
            return False
        return value.args[0].attr in self.precise

    def _subtracts_precise(self, left: Expr, right: Expr) -> bool:
        names = [n for n in ex.symbols_of(right) if n in self.precise]
        return bool(names) or any(n in self.precise for n in ex.symbols_of(left))

    def _join(
        self, above: list[Expr], below: list[Expr], shape: ex.Shape
    ) -> tuple[str, int]:
        """Small factors first, so that scalars and vectors are multiplied before matrices."""
        full = [f for f in above if width(f.shape) == 2 and ex.number_of(f) is None]
        full_below = [f for f in below if width(f.shape) == 2]
        head = self.scale(above, below, shape)
        parts = [head] if head else []
        parts += [self._at_least(UNARY, f, shape) for f in full]
        text = " * ".join(parts) or "1"
        for factor in full_below:
            text += f" / {self._at_least(UNARY, factor, shape)}"
        return text, PRODUCT

    def _quotient(
        self, value: Fraction, small: list[Expr], below: list[Expr], shape: ex.Shape
    ) -> str:
        parts = [self._at_least(UNARY, f, shape) for f in small]
        if value != 1 or (not parts and below):
            parts.insert(0, number_source(value)[0])
        if len(parts) > 1 and parts[0] == "-1":
            parts = [f"-{parts[1]}", *parts[2:]]
        text = " * ".join(parts)
        if below:
            below = [g for f in below for g in _sizes_in(f) or [f]]
            plain = not any(width(f.shape) for f in (*small, *below))
            under = [
                f"max({f.attr}, 1)" if plain and f.op == "size" else self._at_least(UNARY, f, shape)
                for f in below
            ]
            text += " / " + (under[0] if len(under) == 1 else f"({' * '.join(under)})")
        return f"({text})" if below or (len(parts) > 1) else text

    def _power(self, expr: Expr, shape: ex.Shape) -> tuple[str, int]:
        exponent, base = expr.attr, expr.args[0]
        assert isinstance(exponent, Fraction)
        if exponent < 0:
            positive = ex.node("power", (base,), base.shape, -exponent)
            under = self._at_least(UNARY, base if exponent == -1 else positive, shape)
            return f"1 / {under}", PRODUCT
        if exponent == Fraction(1, 2):
            return f"np.sqrt({self._show(base, shape)[0]})", ATOM
        if exponent == 2 and base.op == "symbol":
            name = self._at_least(ATOM, base, shape)
            return f"{name} * {name}", PRODUCT
        if exponent == 2:
            return f"np.square({self._show(base, shape)[0]})", ATOM
        shown = str(exponent) if exponent.denominator == 1 else f"({float(exponent)!r})"
        return f"{self._at_least(ATOM, base, shape)} ** {shown}", UNARY

    def _apply(self, expr: Expr, shape: ex.Shape) -> str:
        name = self.function_with_out(expr)
        return f"{name}({', '.join(self._show(a, shape)[0] for a in expr.args)})"

    def _function_name(self, f: ScalarFunction) -> str:
        """Equal names with different formulas get a number."""
        stable = stable_scalar(f)
        if stable.expr == sigmoid_form(f):
            self.helpers.add("_sigmoid")
            return "_sigmoid"
        for suffix in ("", *(f"_{i}" for i in range(2, 99))):
            name = f"_{f.name}{suffix}"
            if name in HELPERS:
                name = f"_{f.name}_function{suffix}"
            if self.functions.setdefault(name, stable) == stable:
                return name
        raise UnsupportedPrimitive(f"too many functions named {f.name}")

    def _reduction(self, expr: Expr, shape: ex.Shape) -> tuple[str, int]:
        over, kind = expr.op.rsplit("_", 1)
        inner = expr.args[0]
        mean = kind == "mean"
        if over == "elements":
            return self._elements_sum(inner), ATOM
        axis = _AXIS[over] if width(inner.shape) == 2 else 0
        shifted = inner.op == "symbol" and inner.attr in self.shifted
        if mean and inner.op == "symbol" and not shifted:
            self.helpers.add("_means")
            return self._column(expr, f"_means({self._whole(inner)}, axis={axis})", shape)
        text = self._axis_sum(inner, axis, precise=mean and not shifted)
        if mean:
            count = inner.cols if over == "rows" else inner.rows
            text = f"{text} / max({count}, 1)"
            column, _ = self._column(expr, f"({text})", shape)
            return (text, PRODUCT) if column == f"({text})" else (column, ATOM)
        return self._column(expr, text, shape)

    def _axis_sum(self, inner: Expr, axis: int, precise: bool) -> str:
        kept = "n" if axis == 1 else "k"
        factors = self._product_factors(inner)
        if factors is not None:
            full, vectors = factors
            if len(full) == 1 and len(vectors) == 1 and axis == 1:
                return f"np.vecdot({self._whole(full[0])}, {self._whole(vectors[0])})"
            if len(full) >= 2:
                first = self._join([*vectors, *full[:-1]], [], inner.shape)[0]
                if axis == 1:
                    return f"np.vecdot({first}, {self._whole(full[-1])})"
                return f'np.einsum("nk,nk->{kept}", {first}, {self._whole(full[-1])})'
        if axis == 1 and not precise:
            self.helpers.add("_row_sums")
            return f"_row_sums({self._whole(inner)})"
        dtype = ", dtype=np.float64" if precise else ""
        return f"{self._array(inner)}.sum(axis={axis}{dtype})"

    def _product_factors(self, inner: Expr) -> tuple[list[Expr], list[Expr]] | None:
        """Full factors and row vectors of a plain product; a square counts twice."""
        if inner.op == "power" and inner.attr == 2 and width(inner.shape) == 2:
            return [inner.args[0]] * 2, []
        if inner.op != "hadamard" or any(
            n.op == "target_product" for n in ex.topological(inner)
        ):
            return None
        above, below = factors(inner)
        full = [f for f in above if width(f.shape) == 2]
        vectors = [f for f in above if f.rows == "1" and f.cols != "1"]
        if below or len(full) + len(vectors) != len(above) or len(vectors) > 1 or not full:
            return None
        return full, vectors

    def _elements_sum(self, inner: Expr) -> str:
        if inner.op == "target_product":
            target, value = (self._show(a, inner.shape)[0] for a in inner.args)
            self.helpers.add("_target_sum")
            return f"_target_sum({target}, {value})"
        factors = self._product_factors(inner)
        if factors is not None and len(factors[0]) == 2 and not factors[1]:
            first, second = (self._whole(f) for f in factors[0])
            return f"np.vecdot({first}, {second}).sum(dtype=np.float64)"
        return f"{self._array(inner)}.sum(dtype=np.float64)"


def rows_of(name: str) -> str:
    """What a block of rows of an array is called."""
    return f"{name}_rows"


def factors(expr: Expr) -> tuple[list[Expr], list[Expr]]:
    """Factors above and below the fraction bar; guarded products stay whole."""
    guarded = {n: n.op for n in ex.topological(expr) if n.op == "target_product"}
    return factors_of(expr, guarded)


def _small_factors(
    above: list[Expr], below: list[Expr]
) -> tuple[Fraction, list[Expr], list[Expr]]:
    """The number, the vectors above and the vectors below."""
    value, small = Fraction(1), []
    for factor in above:
        number = ex.number_of(factor)
        if number is not None:
            value *= number
        elif width(factor.shape) < 2:
            small.append(factor)
    return value, small, [f for f in below if width(f.shape) < 2]


def _scalar_function(expr: Expr) -> ScalarFunction:
    assert isinstance(expr.attr, ScalarFunction)
    return expr.attr


def bare(text: str) -> str:
    """The text without parentheses around all of it."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and place < len(text) - 1:
            return text
    return text[1:-1]


def _sizes_in(factor: Expr) -> list[Expr]:
    """The sizes a scalar is the product of, if it is one."""
    above, below = factors_of(factor, {})
    return above if not below and all(f.op == "size" for f in above) else []
