"""Scheduling: a routine as passes over the data, the same for every target.

Input: a `Routine`. Output: steps in order. A `Pass` walks once over the rows of an N x K space: it
computes row sums as it goes, adds up column sums, and writes results. A `Product` is one matrix
product with an element-wise epilogue. A `Small` step works on vectors and scalars. Element-wise
N x K values are recomputed in each pass that needs them, never stored, unless they are results or
operands of a product. Guaranteed: every value is computed before it is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from . import expression as ex
from .expression import Expr, Shape
from .routine import Routine, Statement

ROW_REDUCTIONS = ("rows_sum", "rows_mean", "rows_max", "rows_shift")
COLUMN_REDUCTIONS = ("columns_sum", "columns_mean", "columns_max", "columns_shift")
REDUCTIONS = (*ROW_REDUCTIONS, *COLUMN_REDUCTIONS, "elements_sum")
PRODUCTS = ("matmul", "sparse_product", "sampled_product")
_WHOLE = ("columns_select", "transpose", "diag", "Diag", "identity")


@dataclass(frozen=True)
class Small:
    """A statement on vectors and scalars."""

    statement: Statement


@dataclass(frozen=True)
class Product:
    """target = epilogue(left @ right); in the epilogue the symbol `target` is the product.

    `node` is the product: dense, or sparse, where `right` may be the values of a matrix.
    """

    target: str
    left: Expr
    right: Expr
    epilogue: Expr
    node: Expr


@dataclass(frozen=True)
class Pass:
    """One walk over the rows of `space`.

    `body` holds the element-wise statements and row reductions in order; `accumulated` the
    reductions over rows, complete only after the pass; `stored` the names in `body` that are
    written to arrays. `whole` passes cannot be cut into blocks of rows.
    """

    space: Shape
    body: tuple[Statement, ...]
    accumulated: tuple[Statement, ...]
    stored: tuple[str, ...]
    whole: bool


Step = Small | Product | Pass


def reduction_of(expr: Expr) -> Expr | None:
    """The reduction a statement consists of, looking through at_least_one."""
    inner = expr.args[0] if expr.op == "at_least_one" else expr
    return inner if inner.op in REDUCTIONS else None


def width(shape: Shape) -> int:
    return sum(d != "1" for d in shape)


def product_in(expr: Expr) -> Expr | None:
    return next((n for n in ex.topological(expr) if n.op in PRODUCTS), None)


def _turned(expr: Expr) -> set[str]:
    """Matrices that are read by columns while the result is written by rows."""
    return {
        str(node.args[0].attr)
        for node in ex.topological(expr)
        if node.op in ("transpose", "diag") and node.args[0].op == "symbol"
        and width(node.args[0].shape) == 2
    }


@dataclass
class _Value:
    statement: Statement
    level: int
    available: int
    space: Shape | None


@dataclass
class _Open:
    level: int
    space: Shape
    targets: list[Statement] = field(default_factory=list)


def schedule(routine: Routine) -> tuple[Step, ...]:
    """Group the statements of a routine into steps."""
    return _Scheduler(routine).run()


class _Scheduler:
    def __init__(self, routine: Routine) -> None:
        self._routine = routine
        self._values: dict[str, _Value] = {}
        self._operands = self._product_operands()
        for statement in routine.statements:
            self._values[statement.name] = self._place(statement)

    def _product_operands(self) -> set[str]:
        names: set[str] = set()
        for statement in self._routine.statements:
            for node in ex.topological(statement.expr):
                if node.op in PRODUCTS:
                    names |= set(ex.symbols_of(*node.args))
            names |= _turned(statement.expr)
        return names

    def _is_stored(self, statement: Statement) -> bool:
        """Results, operands of products, what is read turned, and vectors that another pass or a
        small step reads."""
        if statement.name in self._routine.results or statement.name in self._operands:
            return True
        own = self._values[statement.name]
        if width(statement.shape) == 2:
            return False
        return self._accumulates(statement) or any(
            statement.name in ex.symbols_of(v.statement.expr)
            and (v.level, v.space) != (own.level, own.space)
            for v in self._values.values()
        )

    def _inputs(self, expr: Expr) -> list[_Value]:
        names = dict.fromkeys(ex.symbols_of(expr))
        return [self._values[n] for n in names if n in self._values]

    def _place(self, statement: Statement) -> _Value:
        inputs = self._inputs(statement.expr)
        level = max((v.available for v in inputs), default=0)
        reduction = reduction_of(statement.expr)
        if product_in(statement.expr) is not None:
            stored = max((v.level + 1 for v in inputs if v.space is not None), default=0)
            level = max(level, stored)
            return _Value(statement, level, level + 1, None)
        turned = _turned(statement.expr)
        before = [v.level + 1 for v in inputs if v.space is not None and v.statement.name in turned]
        level = max([level, *before])
        if reduction is not None:
            space = self._space_of(reduction.args[0], level)
            along_rows = reduction.op in ROW_REDUCTIONS
            done = level if along_rows and space is not None else level + 1
            return _Value(statement, level, done if space is not None else level, space)
        if width(statement.shape) == 2:
            return _Value(statement, level, level, statement.shape)
        if statement.shape[0] != "1":
            spaces = [v.space for v in inputs if v.space is not None and v.level == level
                      and v.statement.shape[0] != "1"]  # fmt: skip
            return _Value(statement, level, level, spaces[0] if spaces else None)
        return _Value(statement, level, level, None)

    def _space_of(self, operand: Expr, level: int) -> Shape | None:
        if width(operand.shape) == 2:
            return operand.shape
        spaces = [v.space for v in self._inputs(operand) if v.space is not None and v.level == level
                  and v.statement.shape[0] != "1"]  # fmt: skip
        return spaces[0] if spaces and operand.shape[0] != "1" else None

    def run(self) -> tuple[Step, ...]:
        steps: list[Step] = []
        top = max((v.level for v in self._values.values()), default=0)
        for level in range(top + 1):
            here = [v for v in self._values.values() if v.level == level]
            steps += [Small(v.statement) for v in here if self._is_small(v)]
            for space in dict.fromkeys(v.space for v in here if v.space is not None):
                made = self._pass(level, space, [v for v in here if v.space == space])
                if made is not None:
                    steps.append(made)
            steps += [self._product(v.statement) for v in here if self._is_product(v)]
        return tuple(steps)

    def _is_small(self, value: _Value) -> bool:
        return value.space is None and not self._is_product(value)

    def _is_product(self, value: _Value) -> bool:
        return product_in(value.statement.expr) is not None

    def _product(self, statement: Statement) -> Product:
        product = product_in(statement.expr)
        assert product is not None
        symbol = ex.symbol(statement.name, product.shape)
        epilogue = ex.substitute(statement.expr, {product: symbol})
        return Product(statement.name, product.args[0], product.args[1], epilogue, product)

    def _pass(self, level: int, space: Shape, values: list[_Value]) -> Pass | None:
        """Targets of the pass, and before them what they need and nobody stored."""
        targets = [v.statement for v in values if self._is_stored(v.statement)]
        if not targets:
            return None
        accumulated = [s for s in targets if self._accumulates(s)]
        needed: dict[str, None] = {}

        def need(expr: Expr) -> None:
            for value in self._inputs(expr):
                stored_before = value.level < level and self._is_stored(value.statement)
                computed_here = value.space is not None and not self._accumulates(value.statement)
                if computed_here and not stored_before and value.statement.name not in needed:
                    need(value.statement.expr)
                    needed[value.statement.name] = None

        for target in targets:
            need(target.expr)
            if target not in accumulated:
                needed[target.name] = None
        order = [s for s in self._routine.statements if s.name in needed]
        stored = [s.name for s in order if s in targets]
        nodes = ex.topological(*(s.expr for s in [*order, *accumulated]))
        whole = any(n.op in _WHOLE for n in nodes)
        return Pass(space, tuple(order), tuple(accumulated), tuple(stored), whole)

    def _accumulates(self, statement: Statement) -> bool:
        reduction = reduction_of(statement.expr)
        return reduction is not None and reduction.op not in ROW_REDUCTIONS
