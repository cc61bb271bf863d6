"""Matrix expressions over symbolic sizes: the one value all stages of derive time work on.

An `Expr` is an immutable node: an operation, its operands, an attribute and a shape. Shapes are
pairs of dimension names; the name "1" is the dimension one. Nodes are interned: structurally
equal expressions are the same object, so shared parts stay shared. What each operation means,
and what its gradient is, stands in `primitives`.
"""

from __future__ import annotations

import numbers
import weakref
from collections.abc import Hashable, Iterator, Mapping
from fractions import Fraction

from .errors import ShapeError, UnsupportedPrimitive

Shape = tuple[str, str]
_FINEST_POWER = 12


class Expr:
    """A node of a matrix expression. Build it with the functions of this module or `notation`."""

    __slots__ = ("__weakref__", "args", "attr", "op", "shape")
    __array_ufunc__ = None  # NumPy's functions refuse it at once
    op: str
    args: tuple[Expr, ...]
    attr: Hashable
    shape: Shape

    def __init__(self) -> None:
        raise TypeError("build expressions with the functions of gradwright.codegen.notation")

    def __reduce__(self) -> tuple[object, ...]:
        return node, (self.op, self.args, self.shape, self.attr)

    def __repr__(self) -> str:
        from .text import to_text

        return f"{to_text(self)}  {shape_text(self.shape)}"

    def _repr_latex_(self) -> str:
        from .mathml import to_latex

        return f"$\\displaystyle {to_latex(self)}$"

    @property
    def rows(self) -> str:
        return self.shape[0]

    @property
    def cols(self) -> str:
        return self.shape[1]

    @property
    def is_scalar(self) -> bool:
        return self.shape == ("1", "1")

    @property
    def T(self) -> Expr:
        return transpose(self)

    def __add__(self, other: object) -> Expr:
        return add(self, lift(other))

    def __radd__(self, other: object) -> Expr:
        return add(lift(other), self)

    def __sub__(self, other: object) -> Expr:
        return add(self, negate(lift(other)))

    def __rsub__(self, other: object) -> Expr:
        return add(lift(other), negate(self))

    def __neg__(self) -> Expr:
        return negate(self)

    def __mul__(self, other: object) -> Expr:
        return hadamard(self, lift(other))

    def __rmul__(self, other: object) -> Expr:
        return hadamard(lift(other), self)

    def __truediv__(self, other: object) -> Expr:
        return hadamard(self, power(lift(other), Fraction(-1)))

    def __rtruediv__(self, other: object) -> Expr:
        return hadamard(lift(other), power(self, Fraction(-1)))

    def __matmul__(self, other: object) -> Expr:
        return matmul(self, lift(other))

    def __pow__(self, exponent: object) -> Expr:
        if isinstance(exponent, Expr) and exponent.op == "step":
            return step_power(self, exponent)
        value = Fraction(str(exponent)) if isinstance(exponent, float) else exponent
        if not isinstance(value, int | Fraction) or Fraction(value).denominator > _FINEST_POWER:
            raise ShapeError(
                f"an expression to the power {exponent}: element-wise powers are integers or simple "
                "fractions, such as X ** 2; others are scalar functions: apply(lambda x, p: x**p, X, p)"
            )
        return power(self, Fraction(value))

    def __bool__(self) -> bool:
        raise ShapeError(
            "an expression has no truth value while it is derived; "
            "write a Piecewise in a scalar function instead of an if"
        )

    def _compared(self, _: object) -> bool:
        return bool(self)

    __lt__ = __le__ = __gt__ = __ge__ = _compared

    def __iter__(self) -> Iterator[Expr]:
        raise ShapeError("an expression has no entries to loop over; sizes are symbols")


_interned: weakref.WeakValueDictionary[tuple[object, ...], Expr] = weakref.WeakValueDictionary()


def node(op: str, args: tuple[Expr, ...], shape: Shape, attr: Hashable = None) -> Expr:
    """The interned node; callers have checked the shapes."""
    key = (op, args, shape, attr)
    found = _interned.get(key)
    if found is None:
        found = object.__new__(Expr)
        found.op, found.args, found.shape, found.attr = op, args, shape, attr
        _interned[key] = found
    return found


def shape_text(shape: Shape) -> str:
    return f"({shape[0]}, {shape[1]})"


def lift(value: object) -> Expr:
    """Python numbers and sizes become 1 x 1 expressions."""
    if isinstance(value, Expr):
        return value
    if hasattr(value, "as_expression"):
        expression = value.as_expression()
        assert isinstance(expression, Expr)
        return expression
    if isinstance(value, bool):
        raise UnsupportedPrimitive(f"{value} is no number; write 1 or 0")
    if isinstance(value, numbers.Rational):  # SymPy's too
        return number(Fraction(int(value.numerator), int(value.denominator)))
    if isinstance(value, float):
        return number(Fraction(str(value)))
    raise UnsupportedPrimitive(
        f"{type(value).__name__} {value!r} is neither a matrix expression, a size nor a number; "
        "SymPy expressions go into a scalar function: apply(f, X)"
    )


def symbol(name: str, shape: Shape) -> Expr:
    """A named matrix: an input, a saved value or an upstream gradient."""
    return node("symbol", (), shape, name)


def number(value: Fraction | int) -> Expr:
    return node("number", (), ("1", "1"), Fraction(value))


def size(name: str) -> Expr:
    """A dimension as a 1 x 1 number."""
    return number(1) if name == "1" else node("size", (), ("1", "1"), name)


def number_of(expr: Expr) -> Fraction | None:
    """The value of a number, also of a repeated one."""
    while expr.op in ("scalar_repeat", "row_repeat", "column_repeat"):
        expr = expr.args[0]
    return expr.attr if expr.op == "number" and isinstance(expr.attr, Fraction) else None


def scalar_repeat(value: Expr, shape: Shape) -> Expr:
    """A 1 x 1 expression in every entry."""
    if not value.is_scalar:
        raise ShapeError(f"scalar_repeat: expected shape (1, 1), got {shape_text(value.shape)}")
    return value if shape == ("1", "1") else node("scalar_repeat", (value,), shape)


def matched(name: str, left: Expr, right: Expr) -> tuple[Expr, Expr]:
    """Operands of an element-wise operation; 1 x 1 operands are repeated, nothing else is."""
    if left.shape != right.shape:
        if left.is_scalar:
            left = scalar_repeat(left, right.shape)
        elif right.is_scalar:
            right = scalar_repeat(right, left.shape)
    if left.shape != right.shape:
        remedy = _repeat_remedy(left, right) or _repeat_remedy(right, left)
        raise ShapeError(
            f"{name}: shapes {shape_text(left.shape)} and {shape_text(right.shape)} differ{remedy}"
        )
    return left, right


def _repeat_remedy(small: Expr, large: Expr) -> str:
    if small.rows == "1" and small.cols == large.cols:
        return f"; a row is repeated explicitly: row_repeat(..., {large.rows})"
    if small.cols == "1" and small.rows == large.rows:
        return f"; a column is repeated explicitly: column_repeat(..., {large.cols})"
    return ""


def add(left: Expr, right: Expr) -> Expr:
    left, right = matched("add", left, right)
    if number_of(left) == 0:
        return right
    if number_of(right) == 0:
        return left
    if left.op == right.op == "number":
        return number(number_of(left) + number_of(right))  # type: ignore[operator]
    return node("add", (left, right), left.shape)


def negate(value: Expr) -> Expr:
    return hadamard(number(-1), value)


def hadamard(left: Expr, right: Expr) -> Expr:
    left, right = matched("hadamard", left, right)
    for one, other in ((left, right), (right, left)):
        value = number_of(one)
        if value == 1:
            return other
        if value == 0:
            return one
        inner = number_of(other.args[0]) if other.op == "hadamard" else None
        if value is not None and inner is not None:
            return hadamard(lift(value * inner), other.args[1])
    if left.op == right.op == "number":
        return number(number_of(left) * number_of(right))  # type: ignore[operator]
    if number_of(right) is not None:
        left, right = right, left
    return node("hadamard", (left, right), left.shape)


def matmul(left: Expr, right: Expr) -> Expr:
    if left.cols != right.rows:
        hint = ""
        if left.cols == right.cols:
            hint = "; did you mean the transpose, A @ B.T?"
        raise ShapeError(
            f"matmul: inner sizes of {shape_text(left.shape)} and {shape_text(right.shape)} "
            f"differ{hint}"
        )
    return node("matmul", (left, right), (left.rows, right.cols))


def transpose(value: Expr) -> Expr:
    """(A^T)^T = A is applied at once."""
    if value.op == "transpose":
        return value.args[0]
    if value.is_scalar:
        return value
    if value.op == "Diag":
        return value
    if value.op in ("scalar_repeat", "identity"):
        return node(value.op, value.args, (value.cols, value.rows), value.attr)
    return node("transpose", (value,), (value.cols, value.rows))


def transposed_product(value: Expr) -> Expr:
    """The transpose with (A B)^T = B^T A^T applied, for products nobody else reads."""
    if value.op != "matmul":
        return transpose(value)
    left, right = value.args
    return matmul(transposed_product(right), transposed_product(left))


def row_repeat(row: Expr, rows: str) -> Expr:
    if row.rows != "1":
        raise ShapeError(
            f"row_repeat: expected one row, got {shape_text(row.shape)}; "
            "column_repeat repeats a column"
        )
    return row if rows == "1" else node("row_repeat", (row,), (rows, row.cols))


def column_repeat(column: Expr, cols: str) -> Expr:
    if column.cols != "1":
        raise ShapeError(
            f"column_repeat: expected one column, got {shape_text(column.shape)}; "
            "row_repeat repeats a row"
        )
    return column if cols == "1" else node("column_repeat", (column,), (column.rows, cols))


_REDUCED_ROWS = ("rows_sum", "rows_mean", "rows_max")
_REDUCED_COLUMNS = ("columns_sum", "columns_mean", "columns_max")


def reduce(op: str, value: Expr) -> Expr:
    """rows_* gives one number a row, columns_* one a column, elements_sum one in all."""
    if op in _REDUCED_ROWS:
        return value if value.cols == "1" else node(op, (value,), (value.rows, "1"))
    if op in _REDUCED_COLUMNS:
        return value if value.rows == "1" else node(op, (value,), ("1", value.cols))
    if op == "elements_sum":
        return value if value.is_scalar else node(op, (value,), ("1", "1"))
    raise UnsupportedPrimitive(f"no reduction named {op}")


def select(op: str, value: Expr) -> Expr:
    """rows_select marks the first maximum of each row with 1, columns_select of each column."""
    return node(op, (value,), value.shape)


def diag(value: Expr) -> Expr:
    if value.rows != value.cols:
        raise ShapeError(f"diag: expected a square matrix, got {shape_text(value.shape)}")
    return node("diag", (value,), (value.rows, "1"))


def diagonal_matrix(column: Expr) -> Expr:
    if column.cols != "1":
        raise ShapeError(f"Diag: expected one column, got {shape_text(column.shape)}")
    if column.op == "scalar_repeat":
        return hadamard(column.args[0], identity(column.rows))
    return node("Diag", (column,), (column.rows, column.rows))


def identity(dim: str) -> Expr:
    return node("identity", (), (dim, dim))


def elementwise(op: str, value: Expr) -> Expr:
    """exp or log of every entry."""
    return node(op, (value,), value.shape)


def power(value: Expr, exponent: Fraction) -> Expr:
    """A rational power of every entry."""
    if exponent == 1:
        return value
    inner = number_of(value)
    if inner is not None and exponent.denominator == 1 and (inner or exponent > 0):
        result = number(inner ** int(exponent))
        return scalar_repeat(result, value.shape)
    if value.op == "power" and isinstance(value.attr, Fraction):
        whole = value.attr * exponent
        odd_root = value.attr.denominator == 1 and exponent.denominator == 1
        if odd_root or value.attr.denominator != 1:
            return power(value.args[0], whole)
    return node("power", (value,), value.shape, exponent)


def step(name: str) -> Expr:
    """The number of a step, 1, 2, 3, ...: the t of an optimizer's update rule."""
    return node("step", (), ("1", "1"), name)


def step_power(base: Expr, exponent: Expr) -> Expr:
    """A scalar to the power of the number of the step."""
    if not base.is_scalar:
        raise ShapeError(f"a power of the step has a scalar base, got {shape_text(base.shape)}")
    return node("step_power", (base, exponent), base.shape)


def topological(*roots: Expr) -> list[Expr]:
    """Every node once, operands before users, in the order of first use."""
    order: dict[Expr, None] = {}
    stack: list[tuple[Expr, bool]] = [(root, False) for root in reversed(roots)]
    while stack:
        current, ready = stack.pop()
        if current in order:
            continue
        if ready:
            order[current] = None
        else:
            stack.append((current, True))
            stack.extend((arg, False) for arg in reversed(current.args))
    return list(order)


def rebuild(expr: Expr, args: tuple[Expr, ...]) -> Expr:
    """The same operation on other operands of the same shapes."""
    builders = {
        "add": lambda: add(*args),
        "hadamard": lambda: hadamard(*args),
        "matmul": lambda: matmul(*args),
        "transpose": lambda: transpose(args[0]),
        "power": lambda: power(args[0], expr.attr),  # type: ignore[arg-type]
        "scalar_repeat": lambda: scalar_repeat(args[0], expr.shape),
    }
    if expr.op in builders:
        return builders[expr.op]()
    return node(expr.op, args, expr.shape, expr.attr)


def substitute(expr: Expr, replacements: dict[Expr, Expr]) -> Expr:
    """Replace nodes; what is replaced is not looked into."""
    done: dict[Expr, Expr] = dict(replacements)
    stack = [expr]
    while stack:
        current = stack[-1]
        if current in done:
            stack.pop()
            continue
        missing = [arg for arg in current.args if arg not in done]
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        args = tuple(done[arg] for arg in current.args)
        done[current] = current if args == current.args else rebuild(current, args)
    return done[expr]


def with_sizes(expr: Expr, names: Mapping[str, str]) -> Expr:
    """The same expression over other sizes."""
    done: dict[Expr, Expr] = {}
    for item in topological(expr):
        shape = names.get(item.rows, item.rows), names.get(item.cols, item.cols)
        attr = names.get(str(item.attr), item.attr) if item.op == "size" else item.attr
        done[item] = node(item.op, tuple(done[a] for a in item.args), shape, attr)
    return done[expr]


def symbols_of(*exprs: Expr) -> list[str]:
    """Names of the symbols an expression uses, in order of first use."""
    return [str(item.attr) for item in topological(*exprs) if item.op == "symbol"]
