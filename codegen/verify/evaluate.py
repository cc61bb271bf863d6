"""Values of expressions at one point and their tangents: forward-mode differentiation.

Input: arrays for the symbols and a number for every size. Output: values in any field of
`fields`, and tangents along a direction. Nothing here uses the index kernel or the gradient
rules of `primitives`. Branches and maxima are decided on real values that belong to the point;
inside a branch an identity is one of rational functions and exponentials, so residues suffice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import cast

import numpy as np
from sympy import factorint

from .. import expression as ex
from ..errors import UnsupportedPrimitive
from ..expression import Expr
from .fields import REALS, RESIDUES, Array, Field
from .scalar_graph import constant, expand

_FUNCTIONS = ("erf", "sin", "cos", "tan", "atan")
_REPEATS = ("row_repeat", "column_repeat", "scalar_repeat")
_MOVES = (*_REPEATS, "transpose")
_SUM_AXES = {
    "rows_sum": 1, "rows_mean": 1, "columns_sum": 0, "columns_mean": 0, "elements_sum": None
}  # fmt: skip
MASKED = {"rows_max": 1, "rows_select": 1, "columns_max": 0, "columns_select": 0}
_CONDITIONS = frozenset({"all_of", "any_of", "none_of", "positive", "nonnegative"})

REARRANGED: dict[str, Callable[[Array], Array]] = {
    "transpose": lambda a: a.T,
    "diag": lambda a: np.diagonal(a).reshape(-1, 1),
    "Diag": np.diagflat,
}
BILINEAR: dict[str, Callable[[Array, Array], Array]] = {
    "hadamard": lambda a, b: a * b,
    "target_product": lambda a, b: a * b,
    "matmul": lambda a, b: a @ b,
}

_LINEAR = frozenset({*_REPEATS, *_SUM_AXES, *REARRANGED})


class Evaluation:
    """Expressions at one point; `symbols` holds an array for every level and symbol name."""

    def __init__(
        self, sizes: Mapping[str, int], symbols: Mapping[int, Mapping[str, Array]]
    ) -> None:
        self._sizes = {**sizes, "1": 1}
        self._symbols = symbols
        self._values: dict[tuple[Expr, int], Array] = {}
        self._tangents: dict[tuple[Expr, int, str], Array | None] = {}
        self._directions: dict[tuple[str, int], Array] = {}
        self._expanded: dict[Expr, Expr] = {}

    def shape(self, node: Expr) -> tuple[int, int]:
        return self._sizes[node.rows], self._sizes[node.cols]

    def value(self, node: Expr, field: Field = RESIDUES[0]) -> Array:
        """The matrix of a node, always two-dimensional; raises `NoValueError`."""
        key = (node, field.level)
        if key not in self._values:
            with np.errstate(all="ignore"):
                for part in ex.topological(node) if field.level <= 0 else (node,):
                    if (part, field.level) not in self._values and part.op not in _CONDITIONS:
                        self._values[part, field.level] = self._compute(part, field)
        return self._values[key]

    def set_direction(self, symbol: str, field: Field, direction: Array) -> None:
        """Let `symbol` move along `direction` in what `tangent` computes next."""
        self._directions[symbol, field.level] = direction
        self._tangents = {
            key: known for key, known in self._tangents.items() if key[1:] != (field.level, symbol)
        }

    def tangent(self, node: Expr, symbol: str, field: Field = RESIDUES[0]) -> Array | None:
        """The derivative of a node while `symbol` moves; None where it does not depend on it."""
        for part in ex.topological(node):
            key = (part, field.level, symbol)
            if key not in self._tangents:
                self._tangents[key] = self._compute_tangent(part, symbol, field)
        return self._tangents[node, field.level, symbol]

    # Values

    def _compute(self, node: Expr, field: Field) -> Array:
        op = node.op
        if op == "add":
            return field.reduce(self._of(node, 0, field) + self._of(node, 1, field))
        if op in BILINEAR:
            return field.reduce(BILINEAR[op](self._of(node, 0, field), self._of(node, 1, field)))
        if op in _LINEAR:
            return self._linear(node, self._of(node, 0, field), field)
        if op == "power":
            return field.power(self._of(node, 0, field), _exponent(node))
        if op == "exp":
            return self._exponential(node, field)
        if op == "log":
            return self._logarithm(node, field)
        if op == "apply":
            return self.value(self._written_out(node), field)
        if op in _FUNCTIONS:
            return field.function(op, self._of(node, 0, field))
        if op == "choose":
            return self._choice(node, self._of(node, 1, field), self._of(node, 2, field))
        if op in MASKED:
            return self._selected(node, self._of(node, 0, field), field)
        return self._leaf(node, field)

    def _of(self, node: Expr, place: int, field: Field) -> Array:
        return self.value(node.args[place], field)

    def _linear(self, node: Expr, operand: Array, field: Field) -> Array:
        """A linear operation on a value or a tangent."""
        if node.op in _REPEATS:
            return np.broadcast_to(operand, self.shape(node))
        if node.op in REARRANGED:
            return REARRANGED[node.op](operand)
        total = operand.sum(axis=_SUM_AXES[node.op], keepdims=True)
        if node.op.endswith("_mean"):
            total = total * field.number(Fraction(total.size, operand.size))
        return field.reduce(total)

    def _leaf(self, node: Expr, field: Field) -> Array:
        if node.op == "symbol":
            return self._symbols[field.level][str(node.attr)]
        if node.op == "identity":
            return np.diagflat(_filled((self._sizes[node.rows], 1), field.number(1)))
        if node.op == "number" and isinstance(node.attr, Fraction):
            return _filled((1, 1), field.number(node.attr))
        if node.op == "size":
            return _filled((1, 1), field.number(self._sizes[str(node.attr)]))
        if node.op == "constant":
            return _filled((1, 1), field.constant(str(node.attr)))
        raise UnsupportedPrimitive(f"no exact value for {node.op}; add one to verify.evaluate")

    def _written_out(self, node: Expr) -> Expr:
        if node not in self._expanded:
            self._expanded[node] = expand(node)
        return self._expanded[node]

    def _exponential(self, node: Expr, field: Field) -> Array:
        if field.level < 0:
            return field.exp(self._of(node, 0, field))
        without = self._without_logs(node.args[0])
        if without is not None:
            return self.value(without, field)
        return field.exp(self._of(node, 0, field.exponents))

    def _without_logs(self, exponent: Expr) -> Expr | None:
        """exp(exponent) with exp(log a) = a applied; None where there is no logarithm."""
        if exponent.op == "apply":
            return self._without_logs(self._written_out(exponent))
        if exponent.op == "log":
            return exponent.args[0]
        if exponent.op in _MOVES:
            inside = self._without_logs(exponent.args[0])
            return None if inside is None else _rebuilt(exponent, inside)
        if exponent.op == "add":
            parts = [(a, self._without_logs(a)) for a in exponent.args]
            if all(inside is None for _, inside in parts):
                return None
            first, second = (ex.elementwise("exp", a) if e is None else e for a, e in parts)
            return ex.hadamard(first, second)
        if exponent.op == "hadamard":
            for factor, other in (exponent.args, exponent.args[::-1]):
                number = ex.number_of(factor)
                inside = self._without_logs(other) if number is not None else None
                if number is not None and inside is not None:
                    return ex.power(inside, number)
        return None

    def _logarithm(self, node: Expr, field: Field) -> Array:
        """log(a b) = log a + log b, log(a^q) = q log a, log(exp a) = a; else a random value."""
        argument = node.args[0]
        if field.level < 0:
            return field.function("log", self._of(node, 0, field))
        if argument.op == "apply":
            argument = self._written_out(argument)
        split = _split_logarithm(argument)
        if split is not None:
            return self.value(split, field)
        # The argument's residue at level 0 names it, so its logarithm is one number at all levels.
        return field.function("log", self.value(argument, RESIDUES[0]))

    # Branches and maxima

    def _choice(self, node: Expr, chosen: Array, otherwise: Array) -> Array:
        return np.where(self._holds(node.args[0]), chosen, otherwise)

    def _holds(self, condition: Expr) -> Array:
        if condition.op in ("all_of", "any_of"):
            combine = np.logical_and if condition.op == "all_of" else np.logical_or
            return np.asarray(combine.reduce([self._holds(a) for a in condition.args]))
        if condition.op == "none_of":
            return ~self._holds(condition.args[0])
        gap = self.value(condition.args[0], REALS)
        return np.asarray(gap > 0 if condition.op == "positive" else gap >= 0)

    def _selected(self, node: Expr, values: Array, field: Field) -> Array:
        mask = self._mask(node, field)
        return mask if node.op.endswith("select") else self._masked_sum(node, values, field)

    def _mask(self, node: Expr, field: Field) -> Array:
        """1 at the first maximum along the axis, else 0."""
        real = self.value(node.args[0], REALS)
        axis = MASKED[node.op]
        first = np.expand_dims(np.argmax(real, axis=axis), axis)
        places = np.arange(real.shape[axis]).reshape((1, -1) if axis else (-1, 1))
        return np.where(places == first, field.number(1), field.number(0)).astype(_dtype(field))

    def _masked_sum(self, node: Expr, values: Array, field: Field) -> Array:
        masked = values * self._mask(node, field)
        return np.asarray(masked.sum(axis=MASKED[node.op], keepdims=True))

    # Tangents

    def _compute_tangent(self, node: Expr, symbol: str, field: Field) -> Array | None:
        if node.op == "symbol":
            return self._directions[symbol, field.level] if node.attr == symbol else None
        if node.op in _CONDITIONS:
            return None
        parts = [self._tangents[a, field.level, symbol] for a in node.args]
        moved = next((part for part in parts if part is not None), None)
        if moved is None or node.op.endswith("select"):
            return None
        if node.op == "apply":
            return self.tangent(self._written_out(node), symbol, field)
        if node.op == "add" or node.op in BILINEAR:
            return field.reduce(self._tangent_of_two(node, parts, field))
        if node.op == "choose":
            zero = _filled(self.shape(node), field.number(0))
            chosen, otherwise = (zero if part is None else part for part in parts[1:])
            return self._choice(node, chosen, otherwise)
        if node.op in _LINEAR:
            return self._linear(node, moved, field)
        if node.op in MASKED:
            return self._masked_sum(node, moved, field)
        return field.reduce(self.value(_slope(node), field) * moved)

    def _tangent_of_two(self, node: Expr, parts: list[Array | None], field: Field) -> Array:
        """The sum rule and the product rule."""
        terms = []
        for place, part in enumerate(parts):
            if part is None:
                continue
            if node.op == "add":
                terms.append(part)
            elif place == 0:
                terms.append(BILINEAR[node.op](part, self._of(node, 1, field)))
            else:
                terms.append(BILINEAR[node.op](self._of(node, 0, field), part))
        return terms[0] if len(terms) == 1 else terms[0] + terms[1]


def _slope(node: Expr) -> Expr:
    """The derivative of an element-wise function of one argument, at that argument."""
    (argument,) = node.args
    if node.op == "exp":
        return node
    if node.op == "log":
        return ex.power(argument, Fraction(-1))
    if node.op == "power":
        exponent = _exponent(node)
        return exponent * ex.power(argument, exponent - 1)
    if node.op == "erf":
        normaliser = ex.power(constant("pi", node.shape), Fraction(-1, 2))
        return 2 * normaliser * ex.elementwise("exp", -(argument * argument))
    if node.op == "sin":
        return ex.elementwise("cos", argument)
    if node.op == "cos":
        return -ex.elementwise("sin", argument)
    if node.op == "tan":
        return 1 + node * node
    if node.op == "atan":
        return 1 / (1 + argument * argument)
    raise UnsupportedPrimitive(f"no tangent for {node.op}; add one to verify.evaluate")


def _split_logarithm(argument: Expr) -> Expr | None:
    """log(argument) as an expression in simpler logarithms; None where it is an atom."""
    if argument.op == "exp":
        return argument.args[0]
    if argument.op == "power":
        return _exponent(argument) * ex.elementwise("log", argument.args[0])
    if argument.op in ("hadamard", "target_product"):
        left, right = (ex.elementwise("log", a) for a in argument.args)
        return left + right
    if argument.op in _MOVES:
        return _rebuilt(argument, ex.elementwise("log", argument.args[0]))
    if argument.op == "number" and isinstance(argument.attr, Fraction) and argument.attr > 0:
        primes = {**factorint(argument.attr.numerator)}
        for prime, count in factorint(argument.attr.denominator).items():
            primes[prime] = -count
        if sum(map(abs, primes.values())) == 1 and argument.attr > 1:
            return None
        total = ex.number(0)
        for prime, count in sorted(primes.items()):
            total = total + count * ex.elementwise("log", ex.number(prime))
        return total
    return None


def _rebuilt(node: Expr, operand: Expr) -> Expr:
    return ex.node(node.op, (operand,), node.shape, node.attr)


def _exponent(node: Expr) -> Fraction:
    return cast(Fraction, node.attr)


def _dtype(field: Field) -> type:
    return float if field.level < 0 else object


def _filled(shape: tuple[int, int], value: object) -> Array:
    dtype = float if isinstance(value, float) else object
    return np.full(shape, value, dtype=dtype)
