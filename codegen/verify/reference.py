"""Programs and gradients evaluated to fifty digits: the reference for the emitted kernels.

Input: a program and exact values of its inputs. Output: matrices of mpmath numbers. Derivatives
come from central differences of the forward definition alone, accurate to about thirty digits.
Nothing is shared with the kernels, their printers or the stable forms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import sympy as sp

from .. import expression as ex
from ..errors import UnsupportedPrimitive
from ..expression import Expr
from ..program import Program
from ..scalar import ScalarFunction

DIGITS = 50
_STEP = mpmath.mpf(10) ** -16
Array = np.ndarray[Any, Any]
Values = Mapping[str, Array]


class NoRealValueError(ArithmeticError):
    """The definition has no real value at this point: the logarithm of a negative number."""


class Reference:
    """A program at one point. `values` are (rows, cols) float arrays, taken as exact numbers."""

    def __init__(self, program: Program, sizes: Mapping[str, int], values: Values) -> None:
        self._program = program
        self._sizes = dict(sizes)
        self._values = {name: exact(array) for name, array in values.items()}
        if program.divisor is not None and "scale" not in values:
            with mpmath.workdps(DIGITS):
                self._values["scale"] = 1 / self.value(program.divisor)

    def value(self, expr: Expr, **changed: Array) -> Array:
        """The matrix an expression stands for, with some symbols changed."""
        with mpmath.workdps(DIGITS):
            return Evaluation(self._sizes, {**self._values, **changed})(expr)

    def rounded(self, expr: Expr, unit: float, seed: int) -> Array:
        """The same with a random relative error of up to `unit` in every operation."""
        with mpmath.workdps(DIGITS):
            rng = np.random.default_rng(seed)
            return Evaluation(self._sizes, self._values, unit, rng)(expr)

    def output(self) -> Array:
        return self.value(self._program.output)

    def directional_derivative(self, upstream: Array, directions: Values) -> mpmath.mpf:
        """d/dt sum(upstream (.) output(V + t direction of V)) at t = 0, from the definition."""
        with mpmath.workdps(DIGITS):
            sides = []
            for step in (_STEP, -_STEP):
                moved = {v: self._values[v] + step * exact(d) for v, d in directions.items()}
                sides.append((exact(upstream) * self.value(self._program.output, **moved)).sum())
            return (sides[0] - sides[1]) / (2 * _STEP)


def exact(array: Array) -> Array:
    """Floats as mpmath numbers, without rounding."""
    return np.frompyfunc(mpmath.mpf, 1, 1)(np.asarray(array, dtype=object)).astype(object)


class Evaluation:
    """Evaluates expressions node by node; every node once, each with a random error if asked."""

    def __init__(
        self,
        sizes: Mapping[str, int],
        values: Values,
        unit: float = 0.0,
        rng: np.random.Generator | None = None,
    ) -> None:
        self._sizes = {**sizes, "1": 1}
        self._values = values
        self._unit, self._rng = unit, rng
        self._known: dict[Expr, Array] = {}

    def __call__(self, expr: Expr) -> Array:
        for node in ex.topological(expr):
            if node not in self._known:
                value = self._value(node, [self._known[a] for a in node.args])
                self._known[node] = self._disturbed(value)
        return self._known[expr]

    def _disturbed(self, value: Array) -> Array:
        if self._rng is None:
            return value
        errors = exact(np.asarray(self._unit * self._rng.uniform(-1, 1, value.shape)))
        return np.asarray(value + value * errors, dtype=object)

    def _value(self, node: Expr, args: list[Array]) -> Array:
        shape = tuple(self._sizes[d] for d in node.shape)
        if node.op == "symbol":
            return self._values[str(node.attr)].reshape(shape)
        if node.op in ("number", "size"):
            number = node.attr if node.op == "number" else self._sizes[str(node.attr)]
            return exact(np.full((1, 1), _number(number), dtype=object))
        if node.op == "identity":
            return exact(np.eye(shape[0]))
        if node.op in _REPEATS:
            return np.broadcast_to(args[0], shape)
        if node.op == "apply":
            assert isinstance(node.attr, ScalarFunction)
            return apply_scalar(node.attr, args)
        if node.op == "power":
            exponent = _number(node.attr)
            return _entrywise(lambda x: mpmath.power(x, exponent), args[0])
        if node.op in _OPERATIONS:
            return np.asarray(_OPERATIONS[node.op](*args), dtype=object).reshape(shape)
        raise UnsupportedPrimitive(f"verify.reference has no value for {node.op}; add it there")


def _number(value: object) -> mpmath.mpf:
    if isinstance(value, Fraction):
        return mpmath.mpf(value.numerator) / value.denominator
    return mpmath.mpf(value)


def _entrywise(f: Callable[..., Any], *arrays: Array) -> Array:
    def real(*entries: mpmath.mpf) -> mpmath.mpf:
        try:
            value = f(*entries)
        except ZeroDivisionError:
            raise NoRealValueError("a quotient by zero") from None
        if not isinstance(value, mpmath.mpf) or not mpmath.isfinite(value):
            raise NoRealValueError(f"{value} is no real number")
        return value

    return np.asarray(np.frompyfunc(real, len(arrays), 1)(*arrays), dtype=object)


def _first_maximum(values: Array, axis: int) -> Array:
    found = np.expand_dims(np.argmax(values, axis=axis), axis)
    places = np.arange(values.shape[axis]).reshape((1, -1) if axis else (-1, 1))
    return exact(np.where(places == found, 1, 0))


def _target_product(target: Array, value: Array) -> Array:
    return np.where(target == 0, mpmath.mpf(0), target * value)


_REPEATS = ("row_repeat", "column_repeat", "scalar_repeat")
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "hadamard": np.multiply,
    "target_product": _target_product,
    "matmul": np.dot,
    "transpose": np.transpose,
    "exp": lambda a: _entrywise(mpmath.exp, a),
    "log": lambda a: _entrywise(mpmath.log, a),
    "rows_sum": lambda a: a.sum(axis=1),
    "columns_sum": lambda a: a.sum(axis=0),
    "elements_sum": lambda a: a.sum(),
    "rows_mean": lambda a: a.sum(axis=1) / a.shape[1],
    "columns_mean": lambda a: a.sum(axis=0) / a.shape[0],
    "rows_max": lambda a: a.max(axis=1),
    "columns_max": lambda a: a.max(axis=0),
    "rows_select": lambda a: _first_maximum(a, 1),
    "columns_select": lambda a: _first_maximum(a, 0),
    "diag": np.diagonal,
    "Diag": lambda a: np.where(np.eye(len(a), dtype=bool), a, mpmath.mpf(0)),
}


# Scalar functions


def apply_scalar(f: ScalarFunction, args: list[Array]) -> Array:
    """A scalar function of every entry."""
    compiled = _scalar(f.expr, tuple(v.name for v in f.variables))
    return _entrywise(compiled, *args)


_Scalar = Callable[..., Any]
_FUNCTIONS = {
    "exp": mpmath.exp, "log": mpmath.log, "tanh": mpmath.tanh, "sinh": mpmath.sinh,
    "cosh": mpmath.cosh, "erf": mpmath.erf, "erfc": mpmath.erfc, "sin": mpmath.sin,
    "cos": mpmath.cos, "tan": mpmath.tan, "atan": mpmath.atan, "Pow": mpmath.power,
    "Abs": abs, "sign": mpmath.sign, "Heaviside": lambda x, *_: mpmath.mpf(x > 0),
    "Add": lambda *terms: mpmath.fsum(terms), "Mul": lambda *factors: mpmath.fprod(factors),
    "Max": max, "Min": min,
}  # fmt: skip
_RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


def _scalar(expr: sp.Basic, variables: tuple[str, ...]) -> _Scalar:
    """The SymPy expression as nested calls; the branch a Piecewise does not take is not looked at."""
    if isinstance(expr, sp.Symbol):
        place = variables.index(expr.name)
        return lambda *x: x[place]
    if isinstance(expr, sp.Rational):
        return lambda *_: mpmath.mpf(int(expr.p)) / int(expr.q)
    if expr in (sp.pi, sp.E):
        return lambda *_: +(mpmath.pi if expr == sp.pi else mpmath.e)
    if isinstance(expr, sp.Piecewise):
        return _branches(expr, variables)
    name = type(expr).__name__
    if name not in _FUNCTIONS:
        raise UnsupportedPrimitive(f"verify.reference has no function {name}; add it there")
    function, inner = _FUNCTIONS[name], [_scalar(a, variables) for a in expr.args]
    if name == "Pow" and expr.args[1] == -1:
        return lambda *x: 1 / inner[0](*x)
    if name == "exp":
        return lambda *x: mpmath.exp(inner[0](*x))
    return lambda *x: function(*(g(*x) for g in inner))


def _branches(expr: sp.Piecewise, variables: tuple[str, ...]) -> _Scalar:
    branches = [(_scalar(v, variables), _condition(c, variables)) for v, c in expr.args]

    def chosen(*x: Any) -> Any:
        return next(value for value, holds in branches if holds(*x))(*x)

    return chosen


def _condition(condition: sp.Basic, variables: tuple[str, ...]) -> Callable[..., bool]:
    if condition in (sp.true, sp.false):
        return lambda *_: condition == sp.true
    if isinstance(condition, sp.And | sp.Or | sp.Not):
        parts = [_condition(c, variables) for c in condition.args]
        if isinstance(condition, sp.Not):
            return lambda *x: not parts[0](*x)
        combine = all if isinstance(condition, sp.And) else any
        return lambda *x: combine(p(*x) for p in parts)
    left, right = (_scalar(a, variables) for a in condition.args)
    relation = _RELATIONS[condition.rel_op]
    return lambda *x: relation(left(*x), right(*x))
