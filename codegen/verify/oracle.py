"""P3: an independent oracle. SymPy differentiates the forward pass entry by entry.

Input: a program and claimed gradients. Output: an `OracleResult`. At two small sizes the forward
pass is written out as explicit SymPy matrices at a random rational point, one entry of a variable
at a time stays a symbol, and `sympy.diff` of sum(DY (.) Y) by it is compared with that entry of
the claim, evaluated by the same table of explicit matrices. It shares no code with the index
kernel, the gradient rules or the exact check. Equality means agreement to `DIGITS` digits.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp
from sympy import ImmutableDenseMatrix as Matrix

from .. import expression as ex
from ..errors import UnsupportedPrimitive
from ..expression import Expr
from ..program import Fact, Input, Program
from ..scalar import ScalarFunction

DIGITS = 35
_WORKING_DIGITS = 60
_ATTEMPTS = 20
# SymPy takes 10 to 50 ms for a derivative; it is the exact check that covers every entry.
_SAMPLE = 6

Values = Mapping[str, Matrix]


@dataclass(frozen=True)
class OracleResult:
    """Sizes compared; `counterexample` names the first entry that differs and both values."""

    sizes: tuple[dict[str, int], ...]
    ok: bool
    counterexample: str | None
    digits: int = DIGITS


def check_oracle(
    program: Program, gradients: Sequence[tuple[str, Expr]], seed: int = 0
) -> OracleResult:
    """Compare entries of every gradient at two sizes, each at one random point."""
    dims = program.sizes
    longest = (dims[0], dims[-1]) if dims else ("", "")
    both = [{dim: 3 if dim == long else 2 for dim in dims} for long in longest]
    found = None
    for sizes in both:
        rng = random.Random(f"{seed}:{program.name}:{sorted(sizes.items())}")
        found = found or _Oracle(program, sizes, rng).refute(gradients)
    return OracleResult(tuple(both), found is None, found)


class _Oracle:
    def __init__(self, program: Program, sizes: dict[str, int], rng: random.Random) -> None:
        self._program = program
        self._sizes = sizes
        self._rng = rng
        self._upstream = ex.symbol(program.upstream, program.output.shape)
        self._point = self._draw_point()
        self._explicit = Explicit(sizes, self._point)

    def refute(self, gradients: Sequence[tuple[str, Expr]]) -> str | None:
        for name, gradient in gradients:
            claimed = self._explicit.matrix(gradient)
            for place, wanted in self._derivatives(name):
                if not _agree(claimed[place], wanted):
                    where = ", ".join(f"{d} = {n}" for d, n in self._sizes.items())
                    index = ", ".join(str(i + 1) for i in place)
                    values = f"{sp.N(claimed[place], 6)}, expected {sp.N(wanted, 6)}"
                    return f"at {where}: D{name}[{index}] = {values}"
        return None

    def _derivatives(self, name: str) -> Iterator[tuple[tuple[int, int], sp.Expr]]:
        """d sum(DY (.) Y) / d entry, for a sample of the entries of a variable."""
        value = self._point[name]
        x = sp.Symbol("x")
        upstream = self._point[self._program.upstream]
        places = list(itertools.product(range(value.rows), range(value.cols)))
        count = max(2, _SAMPLE // len(self._program.variables))
        for place in sorted(self._rng.sample(places, min(len(places), count))):
            moved = value.as_mutable()
            moved[place] = x
            output = self._explicit.replacing(name, Matrix(moved)).matrix(self._program.output)
            total = sum(g * y for g, y in zip(upstream, output, strict=True))
            yield place, sp.diff(total, x).subs(x, value[place])

    def _draw_point(self) -> Values:
        """Rational entries at which the forward pass is real: of both signs, else positive."""
        for attempt in range(_ATTEMPTS):
            signs = (-1, 1) if attempt < _ATTEMPTS // 2 else (1,)
            largest = 29 if attempt < 3 * _ATTEMPTS // 4 else 6
            values = {
                item.name: self._draw(item, signs, largest) for item in self._symbols_to_draw()
            }
            for fact in self._program.facts:
                _impose(fact, values, self._sizes)
            try:
                output = Explicit(self._sizes, values).matrix(self._program.output)
            except ZeroDivisionError:
                continue
            if all(entry.is_real and entry.is_finite for entry in output):
                return values
        raise UnsupportedPrimitive(
            f"{self._program.name}: no point was found at which the forward pass is real; "
            "declare the domain of its inputs"
        )

    def _symbols_to_draw(self) -> list[Input]:
        upstream = Input(self._program.upstream, self._program.output.shape)
        return [*self._program.inputs, upstream, Input("scale", ("1", "1"), domain="positive")]

    def _draw(self, item: Input, signs: tuple[int, ...], largest: int) -> Matrix:
        positive = item.domain != "real" or item.role == "target"
        bounded = item.domain in ("unit", "share") or item.role == "target"

        def entry(*_: int) -> sp.Expr:
            sign = 1 if positive else self._rng.choice(signs)
            top = 6 if bounded else largest
            return sp.Float(sp.Rational(sign * self._rng.randint(1, top), 7), _WORKING_DIGITS)

        rows, cols = (1 if d == "1" else self._sizes[d] for d in item.shape)
        return Matrix(rows, cols, entry)


def _impose(fact: Fact, values: dict[str, Matrix], sizes: Mapping[str, int]) -> None:
    """Scale the rows or columns of the matrix a fact is about."""
    name = str(fact.left.args[0].attr)
    explicit = Explicit(sizes, values)
    left, right = explicit.matrix(fact.left), explicit.matrix(fact.right)
    by_row = fact.left.rows != "1"
    matrix = values[name]
    factors = Matrix([r / l for r, l in zip(right, left, strict=True)])
    factors = factors * _ones(1, matrix.cols) if by_row else _ones(matrix.rows, 1) * factors.T
    values[name] = matrix.multiply_elementwise(factors)


def _agree(claimed: sp.Expr, wanted: sp.Expr) -> bool:
    first, second = sp.N(claimed, _WORKING_DIGITS), sp.N(wanted, _WORKING_DIGITS)
    scale = max(abs(first), abs(second), sp.Float(1))
    return bool(abs(first - second) < scale * sp.Float(10) ** -DIGITS)


class Explicit:
    """Expressions as explicit matrices, given a matrix for each symbol."""

    def __init__(self, sizes: Mapping[str, int], values: Values) -> None:
        self._sizes = {**sizes, "1": 1}
        self._values = values
        self._known: dict[Expr, Matrix] = {}

    def replacing(self, name: str, value: Matrix) -> Explicit:
        """The same with another matrix for one symbol; what does not depend on it stays known."""
        other = Explicit(self._sizes, {**self._values, name: value})
        moving: set[Expr] = set()
        for node in ex.topological(*self._known):
            is_symbol = node.op == "symbol" and node.attr == name
            if is_symbol or any(a in moving for a in node.args):
                moving.add(node)
            else:
                other._known[node] = self._known[node]
        return other

    def matrix(self, expr: Expr) -> Matrix:
        for node in ex.topological(expr):
            if node not in self._known:
                matrix = self._matrix(node, [self._known[a] for a in node.args])
                self._known[node] = matrix.applyfunc(_number)
        return self._known[expr]

    def _matrix(self, node: Expr, args: list[Matrix]) -> Matrix:
        rows, cols = self._sizes[node.rows], self._sizes[node.cols]
        if node.op == "symbol":
            return self._values[str(node.attr)]
        if node.op == "size":
            return Matrix([[self._sizes[str(node.attr)]]])
        if isinstance(node.attr, ScalarFunction):
            f = node.attr
            return Matrix(rows, cols, lambda i, j: f.expr.subs(
                {v: a[i, j] for v, a in zip(f.variables, args, strict=True)}
            ))  # fmt: skip
        if isinstance(node.attr, Fraction):
            number = sp.Rational(node.attr.numerator, node.attr.denominator)
            return args[0].applyfunc(lambda e: e**number) if args else Matrix([[number]])
        if node.op == "identity":
            return Matrix.eye(rows)
        if node.op in _REPEATS:
            return _REPEATS[node.op](args[0], rows, cols)
        if node.op in _TABLE:
            return _TABLE[node.op](*args)
        raise UnsupportedPrimitive(
            f"the oracle has no explicit matrix for {node.op}; add a line to oracle._TABLE"
        )


def _number(entry: sp.Expr) -> sp.Expr:
    """Entries without the symbol become plain numbers, which keeps derivatives small."""
    return entry if entry.free_symbols or entry.is_Rational else sp.N(entry, _WORKING_DIGITS)


def _ones(rows: int, cols: int) -> Matrix:
    return Matrix.ones(rows, cols)


def _first_largest(values: Sequence[sp.Expr]) -> list[sp.Expr]:
    """1 at the first maximum."""
    marks = []
    for place, value in enumerate(values):
        ahead = [value > other for other in values[:place]]
        behind = [value >= other for other in values[place + 1 :]]
        marks.append(sp.Piecewise((1, sp.And(*ahead, *behind)), (0, True)))
    return marks


def _row_sums(matrix: Matrix) -> Matrix:
    return matrix * _ones(matrix.cols, 1)


def _column_sums(matrix: Matrix) -> Matrix:
    return _ones(1, matrix.rows) * matrix


_REPEATS: dict[str, Callable[[Matrix, int, int], Matrix]] = {
    "row_repeat": lambda a, rows, _: _ones(rows, 1) * a,
    "column_repeat": lambda a, _, cols: a * _ones(1, cols),
    "scalar_repeat": lambda a, rows, cols: _ones(rows, cols) * a[0, 0],
}
_TABLE: dict[str, Callable[..., Matrix]] = {
    "add": lambda a, b: a + b,
    "hadamard": lambda a, b: a.multiply_elementwise(b),
    "target_product": lambda a, b: a.multiply_elementwise(b),
    "matmul": lambda a, b: a * b,
    "transpose": lambda a: a.T,
    "rows_sum": _row_sums,
    "columns_sum": _column_sums,
    "elements_sum": lambda a: _row_sums(_column_sums(a)),
    "rows_mean": lambda a: _row_sums(a) / a.cols,
    "columns_mean": lambda a: _column_sums(a) / a.rows,
    "rows_max": lambda a: Matrix([sp.Max(*row) for row in a.tolist()]),
    "columns_max": lambda a: Matrix([[sp.Max(*column) for column in a.T.tolist()]]),
    "rows_select": lambda a: Matrix([_first_largest(row) for row in a.tolist()]),
    "columns_select": lambda a: Matrix([_first_largest(column) for column in a.T.tolist()]).T,
    "diag": lambda a: Matrix([a[i, i] for i in range(a.rows)]),
    "Diag": lambda a: Matrix.diag(*a),
    "exp": lambda a: a.applyfunc(sp.exp),
    "log": lambda a: a.applyfunc(sp.log),
}
