"""One entry of a matrix expression as C++: indices for matrices, sharing for repetition.

Input: an expression and the names of two index variables. Output: the source of its entry there,
in the kernel's type `Real` or in double. What the symbols are at that place of the kernel, arrays,
row pointers or local constants, is said by a `Scope`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from .. import expression as ex
from ..errors import UnsupportedPrimitive
from ..expression import Expr, Shape
from ..scalar import ScalarFunction
from .cpp_scalar import ScalarFunctions
from .cpp_terms import REPEATS, indices_of, split_product, split_sum

SUM, PRODUCT, UNARY, ATOM = 1, 2, 3, 4
REAL, DOUBLE = "Real", "double"


@dataclass(frozen=True)
class Values:
    """What a routine's names are: shapes, types (Real or double) and C++ identifiers."""

    shapes: dict[str, Shape]
    types: Mapping[str, str]
    functions: ScalarFunctions
    identifiers: Mapping[str, str] = field(default_factory=dict)
    is_nonpositive: Callable[[Expr], bool] | None = None

    def type(self, name: str) -> str:
        return self.types.get(name, REAL)

    def identifier(self, name: str) -> str:
        return self.identifiers.get(name, name)


@dataclass
class Scope:
    """How names are read at a place of the kernel.

    `row` and `col` are the index variables of the enclosing loops. `constants` are local names,
    valid only at these indices. `hoist` is asked for a row pointer or for the entry of a column
    vector at `row`, declared before the inner loop; without it arrays are indexed in full.
    """

    values: Values
    row: str = ""
    col: str = ""
    constants: dict[str, str] = field(default_factory=dict)
    hoist: Callable[[str, Shape], str] | None = None
    special: Callable[[Expr, str, str], str | None] | None = None
    splits: dict[str, tuple[str, str]] = field(default_factory=dict)  # float64 as head and tail
    fold: Callable[[str], str] | None = None  # keeps a value that only depends on the column

    def inner(self, col: str) -> Scope:
        """A loop over columns inside this scope; its constants end with it."""
        return replace(self, col=col, constants=dict(self.constants))

    def read(self, name: str, i: str, j: str) -> str:
        shape = self.values.shapes[name]
        here = (shape[0] == "1" or i == self.row) and (shape[1] == "1" or j == self.col)
        if name in self.constants and here:
            return self.constants[name]
        identifier = self.values.identifier(name)
        if shape == ("1", "1"):
            return identifier
        if self.hoist is not None and shape[0] != "1" and i == self.row:
            hoisted = self.hoist(name, shape)
            return hoisted if shape[1] == "1" else f"{hoisted}[{j}]"
        if shape[0] == "1":
            return f"{identifier}[{j}]"
        return f"{identifier}[{i}]" if shape[1] == "1" else f"{identifier}({i}, {j})"


def uses_double(expr: Expr, values: Values) -> bool:
    return any(values.type(name) == DOUBLE for name in ex.symbols_of(expr))


def entry(expr: Expr, scope: Scope, i: str, j: str, real: str = REAL) -> str:
    """The source of entry (i, j) as a value of type `real`."""
    return _Printer(scope, real).show(expr, i, j)[0]


@dataclass
class _Printer:
    scope: Scope
    real: str

    def show(self, expr: Expr, i: str, j: str) -> tuple[str, int]:
        special = self.scope.special(expr, i, j) if self.scope.special is not None else None
        if special is not None:
            return special, ATOM
        if expr.op in REPEATS:
            return self.show(expr.args[0], i, j)
        if expr.op == "symbol":
            return self._symbol(expr, i, j), ATOM
        if expr.op == "number":
            assert isinstance(expr.attr, Fraction)
            return self.number(expr.attr), ATOM
        if expr.op == "size":
            return f"{self.real}({expr.attr})", ATOM
        if expr.op == "add":
            return self._sum(expr, i, j)
        if expr.op == "hadamard" or (expr.op == "power" and expr.attr == -1):
            return self._product(expr, i, j)
        if expr.op == "power":
            return self._power(expr, i, j)
        if expr.op == "log":
            return self._logarithm(expr.args[0], i, j), ATOM
        if expr.op == "exp":
            judge = self.scope.values.is_nonpositive
            suffix = "_nonpositive" if judge is not None and judge(expr.args[0]) else ""
            return f"math::exp{suffix}({self._argument(expr.args[0], i, j)})", ATOM
        if expr.op == "apply":
            return self._apply(expr, i, j), ATOM
        if expr.op == "target_product":
            target, value = (self.show(a, i, j)[0] for a in expr.args)
            return f"math::target_product({target}, {value})", ATOM
        if expr.op == "at_least_one":
            return f"math::maximum({self.show(expr.args[0], i, j)[0]}, {self.number(1)})", ATOM
        return self._structure(expr, i, j)

    def _structure(self, expr: Expr, i: str, j: str) -> tuple[str, int]:
        if expr.op == "transpose":
            return self.show(expr.args[0], j, i)
        if expr.op == "diag":
            return self.show(expr.args[0], i, i)
        if expr.op == "identity":
            return f"({i} == {j} ? {self.number(1)} : {self.number(0)})", ATOM
        if expr.op == "Diag":
            return f"({i} == {j} ? {self.show(expr.args[0], i, '')[0]} : {self.number(0)})", ATOM
        raise UnsupportedPrimitive(
            f"the C++ printer has no rule for {expr.op} at this place; add one in cpp_entry"
        )

    def number(self, value: Fraction | int) -> str:
        shown = repr(float(value))
        if Fraction(value).denominator == 1 and -(10**15) < int(value) < 10**15:
            shown = str(int(value)) if self.real == REAL else f"{int(value)}.0"
        return f"Real({shown})" if self.real == REAL else shown

    def _symbol(self, expr: Expr, i: str, j: str) -> str:
        text = self.scope.read(str(expr.attr), i, j)
        if self.real == REAL and self.scope.values.type(str(expr.attr)) == DOUBLE:
            return f"Real({text})"
        return text

    def _argument(self, expr: Expr, i: str, j: str) -> str:
        """The argument of an overloaded function, in the type wanted."""
        text = self.show(expr, i, j)[0]
        return text if self.real == REAL else f"double({text})"

    def _logarithm(self, expr: Expr, i: str, j: str) -> str:
        """In double only where the argument is: the fast function is accurate enough."""
        if self.real == REAL or uses_double(expr, self.scope.values):
            return f"math::log({self._argument(expr, i, j)})"
        return f"double(math::log({_Printer(self.scope, REAL).show(expr, i, j)[0]}))"

    def _at_least(self, level: int, expr: Expr, i: str, j: str) -> str:
        text, own = self.show(expr, i, j)
        return text if own >= level else f"({text})"

    def _sum(self, expr: Expr, i: str, j: str) -> tuple[str, int]:
        """Float64 vectors come last: x - mu keeps the digits that Real(mu) lacks."""
        terms = split_sum(expr)
        precise = [(sign, t) for sign, t in terms if self.real == REAL and self._is_double(t)]
        plain = [term for term in terms if term not in precise]
        if not plain:
            plain, precise = precise[:1], precise[1:]
        plain.sort(key=lambda term: -term[0])
        text = ""
        for sign, term in plain:
            shown = self._at_least(PRODUCT if sign < 0 else SUM, term, i, j)
            if not text:
                text = shown if sign > 0 else f"-{self._at_least(UNARY, term, i, j)}"
            else:
                text += f" {'+' if sign > 0 else '-'} {shown}"
        if not precise:
            return text, SUM
        level = ATOM
        for sign, term in precise:
            name, di, dj = self._double_entry(term, i, j)
            if name in self.scope.splits and (di == self.scope.row or dj == self.scope.col):
                head, tail = self.scope.splits[name]
                operator = "-" if sign < 0 else "+"
                text, level = f"({text} {operator} {head}) {operator} {tail}", SUM
            else:
                value = self.scope.read(name, di, dj)
                text, level = f"math::difference({text}, {'' if sign < 0 else '-'}{value})", ATOM
        return text, level

    def _is_double(self, term: Expr) -> bool:
        while term.op in (*REPEATS, "transpose"):
            term = term.args[0]
        return term.op == "symbol" and self.scope.values.type(str(term.attr)) == DOUBLE

    def _double_entry(self, term: Expr, i: str, j: str) -> tuple[str, str, str]:
        while term.op != "symbol":
            i, j = (j, i) if term.op == "transpose" else (i, j)
            term = term.args[0]
        return str(term.attr), i, j

    def _product(self, expr: Expr, i: str, j: str) -> tuple[str, int]:
        """Factors that change least come first, so that a compiler can take them out of loops."""
        value, above, below = split_product(expr)

        def order(factor: Expr) -> int:
            found = indices_of(factor, i, j)
            return (2 if j in found and j else 0) + (1 if i in found and i else 0)

        sign = "-" if value < 0 else ""
        value = abs(value)
        text = ""
        if value != 1 or not above:
            text = self.number(value)
        waiting: list[Expr] = []
        for level in range(4):
            if level == 3 and self._is_folded(text, [f for f in (*above, *below) if order(f) == 2]):
                assert self.scope.fold is not None
                text = self.scope.fold(text)
            over = [f for f in above if order(f) == level]
            under = [*waiting, *(f for f in below if order(f) == level)]
            waiting = []
            if not text and not over and level < 2 and any(order(f) in (1, 2) for f in above):
                waiting, under = under, []  # a column's value is divided before an entry is
            for factor in over:
                shown = self._at_least(UNARY if text else PRODUCT, factor, i, j)
                text = f"{text} * {shown}" if text else shown
            for factor in under:
                text = text or self.number(1)
                text += f" / {self._at_least(UNARY, factor, i, j)}"
        single = len(above) == 1 and not below and value == 1
        if single and not sign:
            return self.show(above[0], i, j)
        return f"{sign}{text}", PRODUCT if not sign else SUM if not single else UNARY

    def _is_folded(self, text: str, column_factors: list[Expr]) -> bool:
        """Whether factors of the column alone are worth computing once for all rows."""
        several = len(column_factors) > 1 or " / " in text
        return self.scope.fold is not None and bool(column_factors) and several

    def _power(self, expr: Expr, i: str, j: str) -> tuple[str, int]:
        exponent = expr.attr
        assert isinstance(exponent, Fraction)
        inner = self._argument(expr.args[0], i, j)
        named = {Fraction(2): "square", Fraction(1, 2): "sqrt", Fraction(-1, 2): "inv_sqrt"}
        if exponent in named:
            return f"math::{named[exponent]}({inner})", ATOM
        if exponent < 0:
            positive = ex.power(expr.args[0], -exponent)
            return f"{self.number(1)} / {self._at_least(UNARY, positive, i, j)}", PRODUCT
        if exponent.denominator == 1:
            return f"math::power<{exponent}>({inner})", ATOM
        return f"std::pow({inner}, {self.number(exponent)})", ATOM

    def _apply(self, expr: Expr, i: str, j: str) -> str:
        f = expr.attr
        assert isinstance(f, ScalarFunction)
        name = self.scope.values.functions.name(f)
        return f"{name}({', '.join(self._argument(a, i, j) for a in expr.args)})"
