"""Expressions as NumPy source: broadcasting for repetition, einsum and `@` for sums of products."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import sympy as sp

from .. import expression as ex
from ..errors import UnsupportedPrimitive
from ..expression import Expr
from ..scalar import ScalarFunction
from ..schedule import width
from ..stable import StableScalar, stable_scalar
from ..text import factors_of, negated

_VECTOR_REPEATS = ("row_repeat", "column_repeat")

_SUM, _PRODUCT, _UNARY, _ATOM = 1, 2, 3, 4
_UFUNCS = {"add": "np.add", "subtract": "np.subtract", "multiply": "np.multiply",
           "divide": "np.divide"}  # fmt: skip
_AXIS = {"rows": 1, "columns": 0}
_SCALAR_FUNCTIONS = {
    "exp": "np.exp", "log": "np.log", "log1p": "np.log1p", "expm1": "np.expm1",
    "tanh": "np.tanh", "sinh": "np.sinh", "cosh": "np.cosh", "sin": "np.sin", "cos": "np.cos",
    "tan": "np.tan", "atan": "np.arctan", "sigmoid": "_sigmoid", "softplus": "_softplus",
    "erf": "_erf", "erfc": "_erfc", "erf_complement": "_erfc",
}  # fmt: skip
HELPERS = frozenset({"_sigmoid", "_softplus", "_erf", "_erfc"})


@dataclass
class NumpyPrinter:
    """Prints expressions inside or outside a loop over blocks of rows.

    `sliced` names are arrays of which the loop sees `name[rows]`; `precise` names are float64
    vectors. Scalar functions met on the way are collected in `functions`, helpers in `helpers`.
    """

    precise: frozenset[str]
    sliced: frozenset[str] = frozenset()
    names: Mapping[str, str] = field(default_factory=dict)
    functions: dict[str, StableScalar] = field(default_factory=dict)
    helpers: set[str] = field(default_factory=set)

    def show(self, expr: Expr) -> str:
        return _bare(self._show(expr, expr.shape)[0])

    def into(self, expr: Expr, destination: str) -> str:
        """A statement that computes into an existing array, without a copy where NumPy can."""
        operation = self._last_operation(expr)
        if operation is None:
            whole = "" if destination.endswith("]") else "[...]"
            return f"{destination}{whole} = {self.show(expr)}"
        function, arguments = operation
        inner = ", ".join(_bare(argument) for argument in arguments)
        return f"{function}({inner}, out={destination})"

    def _last_operation(self, expr: Expr) -> tuple[str, list[str]] | None:
        shape = expr.shape
        if expr.op in ("exp", "log"):
            return f"np.{expr.op}", [self._show(expr.args[0], shape)[0]]
        if expr.op == "apply" and self._takes_out(expr):
            return self._function_name(_scalar_function(expr)), [self._show(a, shape)[0] for a in expr.args]
        if expr.op == "add":
            negative = negated(expr.args[1])
            if negative is not None and self._is_precise_offset(negative):
                self.helpers.add("_difference")
                return "_difference", [self._show(a, shape)[0] for a in (expr.args[0], negative)]
            name = "subtract" if negative is not None else "add"
            right = expr.args[1] if negative is None else negative
            return _UFUNCS[name], [self._show(a, shape)[0] for a in (expr.args[0], right)]
        if expr.op == "hadamard":
            above, below = _factors(expr)
            numbers = [f for f in above if ex.number_of(f) is not None]
            if not numbers and not below and len(above) == 2:
                return _UFUNCS["multiply"], [self._factor(f, shape) for f in above]
            if not numbers and len(above) == 1 and len(below) == 1:
                return _UFUNCS["divide"], [self._factor(f, shape) for f in (*above, *below)]
            split = self._split_product(above, below, shape)
            if split is not None:
                return _UFUNCS["multiply"], split
        return None

    def _split_product(
        self, above: list[Expr], below: list[Expr], shape: ex.Shape
    ) -> list[str] | None:
        """(small factors) * (the rest): the last product of a longer chain."""
        full = [f for f in above if width(f.shape) == 2]
        if not full:
            return None
        last = full[-1]
        rest = [f for f in above if f is not last]
        if not rest and not below:
            return None
        return [self._join(rest, below, shape)[0], self._factor(last, shape)]

    def _factor(self, expr: Expr, shape: ex.Shape) -> str:
        text, level = self._show(expr, shape)
        return text if level >= _SUM else f"({text})"

    def _show(self, expr: Expr, shape: ex.Shape) -> tuple[str, int]:
        """Source and binding strength, for use in an expression of the given shape."""
        if expr.op in ("row_repeat", "column_repeat", "scalar_repeat"):
            return self._show(expr.args[0], shape)
        if expr.op == "symbol":
            return self._symbol(expr, shape), _ATOM
        if expr.op == "number":
            return _number(expr.attr)
        if expr.op in ("size", "step"):
            return str(expr.attr), _ATOM
        if expr.op == "step_power":
            base, exponent = (self._at_least(_ATOM, a, shape) for a in expr.args)
            return f"{base}**{exponent}", _UNARY
        if expr.op == "add":
            return self._sum(expr, shape)
        if expr.op == "hadamard":
            above, below = _factors(expr)
            return self._join(above, below, shape)
        if expr.op == "target_product":
            target, value = (self._show(a, shape)[0] for a in expr.args)
            self.helpers.add("_target_product")
            return f"_target_product({target}, {value})", _ATOM
        if expr.op == "power":
            return self._power(expr, shape)
        if expr.op in ("exp", "log"):
            return f"np.{expr.op}({self._show(expr.args[0], shape)[0]})", _ATOM
        if expr.op == "apply":
            return self._apply(expr, shape), _ATOM
        if expr.op == "matmul":
            left, right = (self._at_least(_UNARY, a, a.shape) for a in expr.args)
            return f"{left} @ {right}", _PRODUCT
        if expr.op == "transpose":
            return self._transpose(expr, shape), _ATOM
        return self._other(expr, shape)

    def _other(self, expr: Expr, shape: ex.Shape) -> tuple[str, int]:
        inner = expr.args[0] if expr.args else expr
        if expr.op == "at_least_one":
            return f"np.maximum({self._show(inner, shape)[0]}, 1)", _ATOM
        if expr.op in ("rows_shift", "columns_shift"):
            self.helpers.add("_shift")
            axis = _AXIS[expr.op.split("_")[0]]
            return self._column(expr, f"_shift({self._whole(inner)}, axis={axis})", shape)
        if expr.op in ("rows_select", "columns_select"):
            self.helpers.add("_first_maximum")
            axis = _AXIS[expr.op.split("_")[0]]
            return f"_first_maximum({self._whole(inner)}, axis={axis})", _ATOM
        if expr.op in ("rows_max", "columns_max"):
            axis = _AXIS[expr.op.split("_")[0]]
            text = f"{self._array(inner)}.max(axis={axis}, initial=-np.inf)"
            return self._column(expr, text, shape)
        if expr.op.endswith(("_sum", "_mean")):
            return self._reduction(expr, shape)
        if expr.op == "diag":
            return self._column(expr, f"np.diagonal({self._whole(inner)})", shape)
        if expr.op == "Diag":
            return f"np.diag({self._show(inner, inner.shape)[0]})", _ATOM
        if expr.op == "identity":
            return f"np.eye({expr.rows}, dtype=dtype)", _ATOM
        raise UnsupportedPrimitive(f"the NumPy printer has no rule for {expr.op}; add one there")

    def _column(self, expr: Expr, text: str, shape: ex.Shape) -> tuple[str, int]:
        """An (N,) vector inside an N x K expression needs a second axis."""
        if expr.cols == "1" and expr.rows != "1" and shape[1] != "1":
            return f"{text}[:, None]", _ATOM
        return text, _ATOM

    def _symbol(self, expr: Expr, shape: ex.Shape) -> str:
        name = self.names.get(str(expr.attr), str(expr.attr))
        column = expr.rows != "1" and expr.cols == "1" and shape[1] != "1"
        if str(expr.attr) in self.sliced and expr.rows != "1":
            return f"{name}[rows, None]" if column else f"{name}[rows]"
        return f"{name}[:, None]" if column else name

    def _transpose(self, expr: Expr, shape: ex.Shape) -> str:
        inner = expr.args[0]
        if inner.rows == "1":
            name = self._at_least(_ATOM, inner, inner.shape)
            return f"{name}[:, None]" if shape[1] != "1" else name
        if inner.cols == "1":
            return self._at_least(_ATOM, inner, inner.shape)
        return f"{self._at_least(_ATOM, inner, inner.shape)}.T"

    def _at_least(self, level: int, expr: Expr, shape: ex.Shape) -> str:
        text, own = self._show(expr, shape)
        return text if own >= level else f"({text})"

    def _whole(self, expr: Expr) -> str:
        return self._show(expr, expr.shape)[0]

    def _array(self, expr: Expr) -> str:
        return self._at_least(_ATOM, expr, expr.shape)

    def _sum(self, expr: Expr, shape: ex.Shape) -> tuple[str, int]:
        left = self._show(expr.args[0], shape)[0]
        negative = negated(expr.args[1])
        if negative is None:
            return f"{left} + {self._show(expr.args[1], shape)[0]}", _SUM
        if self._is_precise_offset(negative) and width(expr.shape) == 2:
            self.helpers.add("_difference")
            return f"_difference({left}, {self._show(negative, shape)[0]})", _ATOM
        text = f"{left} - {self._at_least(_PRODUCT, negative, shape)}"
        if self._subtracts_precise(expr.args[0], negative) and width(expr.shape) == 2:
            return f"({text}).astype(dtype, copy=False)", _ATOM
        return text, _SUM

    def _is_precise_offset(self, value: Expr) -> bool:
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
        value = Fraction(1)
        plain = []
        for factor in above:
            number = ex.number_of(factor)
            if number is None:
                plain.append(factor)
            else:
                value *= number
        small = [f for f in plain if width(f.shape) < 2]
        full = [f for f in plain if width(f.shape) == 2]
        small_below = [f for f in below if width(f.shape) < 2]
        full_below = [f for f in below if width(f.shape) == 2]
        head = self._quotient(value, small, small_below, shape)
        parts = [head] if head else []
        parts += [self._at_least(_UNARY, f, shape) for f in full]
        text = " * ".join(parts) or "1"
        for factor in full_below:
            text += f" / {self._at_least(_UNARY, factor, shape)}"
        return text, _PRODUCT

    def _quotient(
        self, value: Fraction, small: list[Expr], below: list[Expr], shape: ex.Shape
    ) -> str:
        parts = [self._at_least(_UNARY, f, shape) for f in small]
        if value != 1 or (not parts and below):
            parts.insert(0, _number(value)[0])
        if len(parts) > 1 and parts[0] == "-1":
            parts = [f"-{parts[1]}", *parts[2:]]
        text = " * ".join(parts)
        if below:
            under = [self._at_least(_UNARY, f, shape) for f in below]
            text += " / " + (under[0] if len(under) == 1 else f"({' * '.join(under)})")
        return f"({text})" if below or (len(parts) > 1) else text

    def _power(self, expr: Expr, shape: ex.Shape) -> tuple[str, int]:
        exponent, base = expr.attr, expr.args[0]
        assert isinstance(exponent, Fraction)
        if exponent < 0:
            positive = ex.node("power", (base,), base.shape, -exponent)
            under = self._at_least(_UNARY, base if exponent == -1 else positive, shape)
            return f"1 / {under}", _PRODUCT
        if exponent == Fraction(1, 2):
            return f"np.sqrt({self._show(base, shape)[0]})", _ATOM
        if exponent == 2 and base.op == "symbol":
            name = self._at_least(_ATOM, base, shape)
            return f"{name} * {name}", _PRODUCT
        if exponent == 2:
            return f"np.square({self._show(base, shape)[0]})", _ATOM
        shown = str(exponent) if exponent.denominator == 1 else f"({float(exponent)!r})"
        return f"{self._at_least(_ATOM, base, shape)} ** {shown}", _UNARY

    def _takes_out(self, expr: Expr) -> bool:
        """Whether the function's last operation can write into an array."""
        f = _scalar_function(expr)
        name = self._function_name(f)
        return name in HELPERS or last_operation(self.functions[name], set()) is not None

    def _apply(self, expr: Expr, shape: ex.Shape) -> str:
        name = self._function_name(_scalar_function(expr))
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
            return self._elements_sum(inner), _ATOM
        axis = _AXIS[over]
        if mean and inner.op == "symbol":
            self.helpers.add("_means")
            return self._column(expr, f"_means({self._whole(inner)}, axis={axis})", shape)
        text = self._axis_sum(inner, axis, precise=mean)
        if mean:
            count = inner.cols if over == "rows" else inner.rows
            text = f"{text} / max({count}, 1)"
            column, _ = self._column(expr, f"({text})", shape)
            return (text, _PRODUCT) if column == f"({text})" else (column, _ATOM)
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
        above, below = _factors(inner)
        full = [f for f in above if width(f.shape) == 2]
        vectors = [f for f in above if f.rows == "1" and f.cols != "1"]
        if below or len(full) + len(vectors) != len(above) or len(vectors) > 1 or not full:
            return None
        return full, vectors

    def _elements_sum(self, inner: Expr) -> str:
        factors = self._product_factors(inner)
        if factors is not None and len(factors[0]) == 2 and not factors[1]:
            first, second = (self._whole(f) for f in factors[0])
            return f"np.vecdot({first}, {second}).sum(dtype=np.float64)"
        return f"{self._array(inner)}.sum(dtype=np.float64)"


def _factors(expr: Expr) -> tuple[list[Expr], list[Expr]]:
    """Factors above and below the fraction bar; guarded products stay whole."""
    guarded = {n: n.op for n in ex.topological(expr) if n.op == "target_product"}
    return factors_of(expr, guarded)


def _scalar_function(expr: Expr) -> ScalarFunction:
    assert isinstance(expr.attr, ScalarFunction)
    return expr.attr


def _bare(text: str) -> str:
    """The text without parentheses around all of it."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and place < len(text) - 1:
            return text
    return text[1:-1]


def _number(value: object) -> tuple[str, int]:
    assert isinstance(value, Fraction)
    if value.denominator == 1:
        return str(value.numerator), _ATOM if value >= 0 else _UNARY
    if value in (Fraction(1, 2), Fraction(-1, 2)) or _is_short(value):
        return repr(float(value)), _ATOM if value >= 0 else _UNARY
    return f"{value.numerator} / {value.denominator}", _PRODUCT


def _is_short(value: Fraction) -> bool:
    return Fraction(repr(float(value))) == value


def sigmoid_form(f: ScalarFunction) -> sp.Expr | None:
    from ..stable import sigmoid

    return sigmoid(f.variables[0]) if len(f.variables) == 1 else None


def scalar_source(expr: sp.Expr, helpers: set[str]) -> str:
    """A stable scalar expression as NumPy source of array-valued variables."""
    return _scalar(expr, helpers)[0]


def _scalar(expr: sp.Expr, helpers: set[str]) -> tuple[str, int]:
    if isinstance(expr, sp.Symbol):
        return expr.name, _ATOM
    if expr.is_Rational:
        return _number(Fraction(int(expr.p), int(expr.q)))
    if expr.is_number and not expr.has(sp.Function):
        return repr(float(expr.evalf(30))), _ATOM
    if isinstance(expr, sp.Add):
        return _scalar_sum(expr, helpers), _SUM
    if isinstance(expr, sp.Mul):
        return _scalar_product(expr, helpers), _PRODUCT
    if isinstance(expr, sp.Pow):
        return _scalar_power(expr, helpers)
    if isinstance(expr, sp.Piecewise):
        return _scalar_branches(expr, helpers), _ATOM
    name = _SCALAR_FUNCTIONS.get(type(expr).__name__)
    if name is None:
        raise UnsupportedPrimitive(
            f"the NumPy printer has no function {type(expr).__name__}; add it to its table"
        )
    if name.startswith("_"):
        helpers.add(name)
    return f"{name}({_scalar(expr.args[0], helpers)[0]})", _ATOM


def last_operation(stable: StableScalar, helpers: set[str]) -> str | None:
    """The function as a call that writes its last operation into `out`, or None."""
    expr = stable.expr
    name = _SCALAR_FUNCTIONS.get(type(expr).__name__)
    if name is not None and name not in ("_erf", "_erfc"):
        if name.startswith("_"):
            helpers.add(name)
        return f"{name}({_scalar(expr.args[0], helpers)[0]}, out=out)"
    x = stable.function.variables[0]
    if expr == sp.Piecewise((x, x > 0), (0, True)):
        return f"np.maximum({x}, 0, out=out)"
    if expr == sp.Piecewise((1, x > 0), (0, True)):
        return f"np.heaviside({x}, 0, out=out)"
    if isinstance(expr, sp.Mul):
        above, below = _product_parts(expr, helpers)
        head, last = (above, below[-1]) if below else (above[:-1], above[-1])
        if not head:
            return f"np.negative({last[1:]}, out=out)" if last.startswith("-") else None
        ufunc = "divide" if below else "multiply"
        text = _product_text(head, below[:-1])
    elif isinstance(expr, sp.Add):
        *terms, (sign, last) = _sum_parts(expr, helpers)
        ufunc = "subtract" if sign == "-" else "add"
        text = _sum_text(terms)
    else:
        return None
    return f"np.{ufunc}({text}, {last}, out=out)"


def hides_nan(expr: sp.Expr, x: sp.Symbol) -> bool:
    """Whether some branch turns a NaN into a number: no comparison with NaN holds."""
    return any(
        x not in branches.args[-1].args[0].free_symbols for branches in expr.atoms(sp.Piecewise)
    )


def _paren(expr: sp.Expr, helpers: set[str], level: int) -> str:
    text, own = _scalar(expr, helpers)
    return text if own >= level else f"({text})"


def _scalar_sum(expr: sp.Add, helpers: set[str]) -> str:
    return _sum_text(_sum_parts(expr, helpers))


def _sum_parts(expr: sp.Add, helpers: set[str]) -> list[tuple[str, str]]:
    """Signs and terms; the first sign is a plus."""
    terms = sorted(expr.args, key=lambda t: (t.could_extract_minus_sign(), sp.default_sort_key(t)))
    parts = [("+", _paren(terms[0], helpers, _SUM))]
    for term in terms[1:]:
        sign = "-" if term.could_extract_minus_sign() else "+"
        parts.append((sign, _paren(-term if sign == "-" else term, helpers, _PRODUCT)))
    return parts


def _sum_text(parts: list[tuple[str, str]]) -> str:
    return parts[0][1] + "".join(f" {sign} {text}" for sign, text in parts[1:])


def _scalar_product(expr: sp.Mul, helpers: set[str]) -> str:
    return _product_text(*_product_parts(expr, helpers))


def _product_parts(expr: sp.Mul, helpers: set[str]) -> tuple[list[str], list[str]]:
    """Factors above and below the fraction bar; the number comes first."""
    constant = sp.Mul(*(a for a in expr.args if a.is_number))
    others = [a for a in expr.args if not a.is_number]
    above = [a for a in others if not (a.is_Pow and a.exp.is_number and a.exp < 0)]
    below = [1 / a for a in others if a not in above]
    parts = [_paren(a, helpers, _UNARY) for a in above]
    if constant == -1 and parts:
        parts = [f"-{parts[0]}", *parts[1:]]
    elif constant != 1 or not parts:
        parts.insert(0, repr(float(constant.evalf(30))))
    return parts, [_paren(factor, helpers, _UNARY) for factor in below]


def _product_text(above: list[str], below: list[str]) -> str:
    return " / ".join([" * ".join(above), *below])


def _scalar_power(expr: sp.Pow, helpers: set[str]) -> tuple[str, int]:
    base, exponent = expr.args
    if exponent == sp.Rational(1, 2):
        return f"np.sqrt({_scalar(base, helpers)[0]})", _ATOM
    if exponent == -1:
        return f"1.0 / {_paren(base, helpers, _UNARY)}", _PRODUCT
    if exponent == 2 and isinstance(base, sp.Symbol):
        return f"{base.name} * {base.name}", _PRODUCT
    if exponent == 2:
        return f"np.square({_scalar(base, helpers)[0]})", _ATOM
    if exponent.is_Integer and 2 < exponent <= 4:
        factor = _paren(base, helpers, _UNARY)
        return " * ".join([factor] * int(exponent)), _PRODUCT
    shown = _paren(exponent, helpers, _ATOM)
    return f"{_paren(base, helpers, _ATOM)} ** {shown}", _UNARY


def _scalar_branches(expr: sp.Piecewise, helpers: set[str]) -> str:
    *branches, (last, _) = [(v, c) for v, c in expr.args]
    text = _scalar(last, helpers)[0]
    for value, condition in reversed(branches):
        text = f"np.where({_condition(condition, helpers)}, {_scalar(value, helpers)[0]}, {text})"
    return text


def _condition(condition: object, helpers: set[str]) -> str:
    if isinstance(condition, sp.And | sp.Or):
        joiner = " & " if isinstance(condition, sp.And) else " | "
        return joiner.join(f"({_condition(c, helpers)})" for c in condition.args)
    if isinstance(condition, sp.Not):
        return f"~({_condition(condition.args[0], helpers)})"
    left, right = (_scalar(a, helpers)[0] for a in condition.args)  # type: ignore[attr-defined]
    return f"{left} {condition.rel_op} {right}"  # type: ignore[attr-defined]
