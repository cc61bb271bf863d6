"""The body of a NumPy routine: passes over blocks of rows, products and small statements."""

from __future__ import annotations

import re

from .. import expression as ex
from ..expression import Expr, Shape
from ..routine import Routine, Statement
from ..schedule import Pass, Product, Small, reduction_of, schedule, width
from ..sparse import PATTERN_ARGUMENTS, face_arguments
from ..stable import StableScalar
from .numpy_block import Block, Loan, loans
from .numpy_passes import with_fewer_passes
from .numpy_printer import NumpyPrinter, rows_of
from .numpy_steps import operations_of, reads_late, stored


class Body:
    """The lines of one routine after its arguments are checked."""

    def __init__(
        self, routine: Routine, precise: frozenset[str], functions: dict[str, StableScalar],
        helpers: set[str], broadcasting: set[str], pattern: str | None = None,
    ) -> None:  # fmt: skip
        rewritten = with_fewer_passes(routine)
        self._routine, self._shifted = rewritten.routine, rewritten.shifted
        self._pattern = pattern
        self._precise = precise
        self._functions = functions
        self._helpers = helpers
        self._broadcasting = broadcasting
        self._lines: list[str] = []
        self._arrays = {n for n, s in routine.arguments if width(s)}

    def lines(self, tuple_name: str | None) -> list[str]:
        self._helpers.add("_deliver")
        if len(self._routine.results) > 1:
            self._helpers.add("_buffers")
            names = ", ".join(f'"{r}"' for r in self._routine.results)
            targets = ", ".join(f"out_{r}" for r in self._routine.results)
            self._lines.append(f"{targets} = _buffers(out, ({names}))")
        steps = schedule(self._routine)
        left, found = loans(steps, self._printer())
        for place, step in enumerate(steps):
            if isinstance(step, Small):
                self._small(step.statement)
            elif isinstance(step, Product):
                self._product(step)
            else:
                self._pass(step, left.get(place), found.get(place))
        self._return(tuple_name)
        return self._lines

    def _printer(self, sliced: frozenset[str] = frozenset()) -> NumpyPrinter:
        return NumpyPrinter(
            self._precise, sliced, functions=self._functions, helpers=self._helpers,
            broadcasting=self._broadcasting, shifted=self._shifted,
        )  # fmt: skip

    def _small(self, statement: Statement) -> None:
        text = self._printer().show(statement.expr)
        if self._is_cast(statement):
            text = f"({text}).astype(dtype, copy=False)"
        self._lines.append(f"{statement.name} = {text}")
        if width(statement.shape):
            self._arrays.add(statement.name)

    def _is_cast(self, statement: Statement) -> bool:
        """Vectors computed from float64 statistics go back to the layer's dtype."""
        if statement.name in self._precise or width(statement.shape) != 1:
            return False
        return any(n in self._precise for n in ex.symbols_of(statement.expr))

    def _product(self, step: Product) -> None:
        printer = self._printer()
        shape = step.epilogue.shape
        if step.node.op != "matmul":
            self._allocate(step.target, shape)
            self._lines.append(self._sparse_product(step))
        elif not width(shape):
            self._lines.append(f"{step.target} = {printer.show(step.left)} @ {printer.show(step.right)}")
        elif step.left.cols == "1":
            self._allocate(step.target, shape)
            left, right = printer.show(step.left), printer.show(step.right)
            column = "[:, None]" if width(shape) == 2 else ""
            self._lines.append(f"np.multiply({left}{column}, {right}, out={step.target})")
        else:
            self._allocate(step.target, shape)
            left, right = printer.show(step.left), printer.show(step.right)
            self._lines.append(f"np.matmul({left}, {right}, out={step.target})")
        if step.epilogue.op != "symbol" and width(shape):
            steps = operations_of(printer, step.epilogue)
            if reads_late(steps, step.target):
                self._lines.append(f"{step.target} = {printer.show(step.epilogue)}")
            else:
                self._lines += stored(steps, step.target)
        elif step.epilogue.op != "symbol":
            self._lines.append(f"{step.target} = {printer.show(step.epilogue)}")

    def _sparse_product(self, step: Product) -> str:
        """The call of the helper that computes a sparse or a sampled product."""
        left, right = self._printer().show(step.left), self._printer().show(step.right)
        pattern = ", ".join(PATTERN_ARGUMENTS)
        self._helpers.add(f"_{step.node.op}")
        if step.node.op == "sparse_product" and not step.node.attr:
            self._helpers.add("_by_columns")
            matrix = f"*_by_columns({right}, {pattern}, {step.node.cols})"
        else:
            matrix = f"{right}, {pattern}"
        return f"_{step.node.op}({left}, {matrix}, {step.target})"

    def _allocate(self, name: str, shape: Shape) -> None:
        dims = ", ".join(d for d in shape if d != "1")
        inner = f"({dims},)" if width(shape) == 1 else f"({dims})"
        dtype = "np.float64" if name in self._precise else "dtype"
        if name in self._routine.results:
            arrays = [n for n, s in self._routine.arguments if width(s)]
            inputs = ", ".join(face_arguments(arrays, self._pattern))
            out = f"out_{name}" if len(self._routine.results) > 1 else "out"
            self._helpers.add("_result")
            self._lines.append(f'{name} = _result({out}, "{name}", {inner}, {dtype}, {inputs})')
        elif width(shape) == 2:
            self._helpers.add("_result")
            self._lines.append(f'{name} = _result(None, "{name}", {inner}, {dtype})')
        else:
            self._lines.append(f"{name} = np.empty({inner}, {dtype})")
        self._arrays.add(name)

    def _pass(self, step: Pass, left: Loan | None, found: Loan | None) -> None:
        for name in [*step.stored, *([left.result] if left else [])]:
            if name not in self._arrays:
                self._allocate(name, self._routine.shape(name))
        for statement in step.accumulated:
            self._start(statement)
        rows = step.space[0]
        sliced = frozenset(
            n for n in self._arrays if self._routine.shape(n)[0] == rows and not step.whole
        )
        printer = self._printer(sliced)
        inside = Block(step, printer, self._is_cast, self._accumulate, left, found).lines()
        if step.whole:
            self._lines += inside
        else:
            self._helpers.add("_row_blocks")
            read = [n for n in sorted(sliced) if any(re.search(rf"\b{rows_of(n)}\b", i) for i in inside)]
            blocks = ", ".join(rows_of(n) for n in read)
            target = blocks if len(read) > 1 else f"[{blocks}]"
            given = ", ".join([*step.space, *read])
            self._lines.append(f"for {target} in _row_blocks({given}):")
            self._lines += [f"    {line}" for line in inside]
        for statement in step.accumulated:
            self._finish(statement)

    def _start(self, statement: Statement) -> None:
        reduction = reduction_of(statement.expr)
        assert reduction is not None
        largest = reduction.op in ("columns_max", "columns_shift")
        if not width(statement.shape):
            self._lines.append(f"{statement.name} = 0.0")
        elif largest:
            self._lines.append(f"{statement.name} = np.full({statement.shape[1]}, -np.inf)")
        else:
            self._lines.append(f"{statement.name} = np.zeros({statement.shape[1]})")

    def _accumulate(self, printer: NumpyPrinter, statement: Statement) -> str:
        reduction = reduction_of(statement.expr)
        assert reduction is not None
        if reduction.op in ("columns_max", "columns_shift"):
            block = printer._array(reduction.args[0])
            return (
                f"np.maximum({statement.name}, {block}.max(axis=0), out={statement.name})"
            )
        if self._is_data_mean(reduction):
            data = printer.show(reduction.args[0])
            return f"{statement.name} += ({data} - {reduction.args[0].attr}[:1]).sum(axis=0)"
        op = reduction.op.replace("mean", "sum")
        summed = ex.node(op, reduction.args, reduction.shape)
        text = printer.show(summed)
        shifted = reduction.args[0].attr in self._shifted
        if reduction.op == "columns_mean" and text.endswith(".sum(axis=0)") and not shifted:
            text = text[:-1] + ", dtype=np.float64)"
        return f"{statement.name} += {text}"

    def _finish(self, statement: Statement) -> None:
        reduction = reduction_of(statement.expr)
        assert reduction is not None
        name = statement.name
        if reduction.op == "columns_mean":
            self._lines.append(f"{name} /= max({reduction.args[0].rows}, 1)")
            if self._is_data_mean(reduction):
                self._lines.append(f"{name} += {reduction.args[0].attr}[:1].sum(axis=0)")
        if reduction.op == "columns_shift":
            self._lines.append(f"{name}[{name} == -np.inf] = 0")
        if statement.expr.op == "at_least_one":
            self._lines.append(f"{name} = np.maximum({name}, 1)")
        if width(statement.shape) and name not in self._precise:
            self._lines.append(f"{name} = {name}.astype(dtype, copy=False)")

    def _is_data_mean(self, reduction: Expr) -> bool:
        """The mean of data, taken of differences to the first row: exact for constant columns."""
        data = reduction.args[0]
        return reduction.op == "columns_mean" and data.op == "symbol" and data.attr not in self._shifted

    def _return(self, tuple_name: str | None) -> None:
        values = []
        for result in self._routine.results:
            shape = self._routine.shape(result)
            out = f"out_{result}" if len(self._routine.results) > 1 else "out"
            value = result if width(shape) else f"dtype.type({result})"
            values.append(f'_deliver("{result}", {value}, {out})')
        if tuple_name:
            self._lines.append(f"return {tuple_name}(")
            self._lines += [f"    {value}," for value in values]
            self._lines.append(")")
        else:
            self._lines.append(f"return {values[0]}")


def only_in_blocks(routine: Routine, name: str) -> bool:
    """Whether an array is read in passes over blocks of rows and nowhere else."""
    readers = [s for s in schedule(with_fewer_passes(routine).routine) if not isinstance(s, Pass) or s.whole]
    names: set[str] = set()
    for step in readers:
        if isinstance(step, Small):
            names |= set(ex.symbols_of(step.statement.expr))
        elif isinstance(step, Product):
            names |= set(ex.symbols_of(step.left, step.right, step.epilogue))
        else:
            names |= set(ex.symbols_of(*(s.expr for s in (*step.body, *step.accumulated))))
    return name not in names
