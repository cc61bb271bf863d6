"""The body of a NumPy routine: passes over blocks of rows, products and small statements."""

from __future__ import annotations

from collections.abc import Callable

from .. import expression as ex
from ..expression import Expr, Shape
from ..lower import Routine, Statement
from ..schedule import Pass, Product, Small, reduction_of, schedule, width
from ..stable import StableScalar
from .numpy_printer import NumpyPrinter
from .numpy_steps import named, operations_of, reads_late, stored


class Body:
    """The lines of one routine after its arguments are checked."""

    def __init__(
        self, routine: Routine, precise: frozenset[str], functions: dict[str, StableScalar],
        helpers: set[str],
    ) -> None:  # fmt: skip
        self._routine = routine
        self._precise = precise
        self._functions = functions
        self._helpers = helpers
        self._lines: list[str] = []
        self._arrays = {n for n, s in routine.arguments if width(s)}

    def lines(self, tuple_name: str | None) -> list[str]:
        self._helpers.add("_deliver")
        if len(self._routine.results) > 1:
            self._helpers.add("_buffers")
            names = ", ".join(f'"{r}"' for r in self._routine.results)
            targets = ", ".join(f"out_{r}" for r in self._routine.results)
            self._lines.append(f"{targets} = _buffers(out, ({names}))")
        for step in schedule(self._routine):
            if isinstance(step, Small):
                self._small(step.statement)
            elif isinstance(step, Product):
                self._product(step)
            else:
                self._pass(step)
        self._return(tuple_name)
        return self._lines

    def _printer(self, sliced: frozenset[str] = frozenset()) -> NumpyPrinter:
        return NumpyPrinter(
            self._precise, sliced, functions=self._functions, helpers=self._helpers
        )

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
        if not width(shape):
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

    def _allocate(self, name: str, shape: Shape) -> None:
        dims = ", ".join(d for d in shape if d != "1")
        inner = f"({dims},)" if width(shape) == 1 else f"({dims})"
        dtype = "np.float64" if name in self._precise else "dtype"
        if name in self._routine.results:
            inputs = ", ".join(n for n, s in self._routine.arguments if width(s))
            out = f"out_{name}" if len(self._routine.results) > 1 else "out"
            self._helpers.add("_result")
            self._lines.append(f'{name} = _result({out}, "{name}", {inner}, {dtype}, {inputs})')
        elif width(shape) == 2:
            self._helpers.add("_result")
            self._lines.append(f'{name} = _result(None, "{name}", {inner}, {dtype})')
        else:
            self._lines.append(f"{name} = np.empty({inner}, {dtype})")
        self._arrays.add(name)

    def _pass(self, step: Pass) -> None:
        for name in step.stored:
            self._allocate(name, self._routine.shape(name))
        for statement in step.accumulated:
            self._start(statement)
        rows = step.space[0]
        sliced = frozenset(
            n for n in self._arrays if self._routine.shape(n)[0] == rows and not step.whole
        )
        printer = self._printer(sliced)
        inside = _Block(step, printer, self._is_cast).lines()
        inside += [self._accumulate(printer, statement) for statement in step.accumulated]
        if step.whole:
            self._lines += inside
        else:
            self._helpers.add("_row_blocks")
            self._lines.append(f"for rows in _row_blocks({step.space[0]}, {step.space[1]}):")
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
        if _is_shifted_mean(reduction):
            data = printer.show(reduction.args[0])
            return f"{statement.name} += ({data} - {reduction.args[0].attr}[:1]).sum(axis=0)"
        op = reduction.op.replace("mean", "sum")
        summed = ex.node(op, reduction.args, reduction.shape)
        text = printer.show(summed)
        if reduction.op == "columns_mean" and text.endswith(".sum(axis=0)"):
            text = text[:-1] + ", dtype=np.float64)"
        return f"{statement.name} += {text}"

    def _finish(self, statement: Statement) -> None:
        reduction = reduction_of(statement.expr)
        assert reduction is not None
        name = statement.name
        if reduction.op == "columns_mean":
            self._lines.append(f"{name} /= max({reduction.args[0].rows}, 1)")
            if _is_shifted_mean(reduction):
                self._lines.append(f"{name} += {reduction.args[0].attr}[:1].sum(axis=0)")
        if reduction.op == "columns_shift":
            self._lines.append(f"{name}[{name} == -np.inf] = 0")
        if statement.expr.op == "at_least_one":
            self._lines.append(f"{name} = np.maximum({name}, 1)")
        if width(statement.shape) and name not in self._precise:
            self._lines.append(f"{name} = {name}.astype(dtype, copy=False)")

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


class _Block:
    """The statements of one block of rows; values that are done lend their memory to others."""

    def __init__(
        self, step: Pass, printer: NumpyPrinter, is_cast: Callable[[Statement], bool]
    ) -> None:
        self._step, self._printer, self._is_cast = step, printer, is_cast
        self._suffix = "" if step.whole else "[rows]"
        self._steps = {
            s.name: operations_of(printer, s.expr) for s in step.body if width(s.shape) == 2
        }
        self._place = {s.name: i for i, s in enumerate(step.body)}
        readers = [*step.body, *step.accumulated]
        self._last_use = {
            name: max((i for i, s in enumerate(readers) if name in ex.symbols_of(s.expr)), default=-1)
            for name in self._place
        }
        # Who holds the memory of a result that is still to come, and of each temporary array.
        self._holders: dict[str, str | None] = {
            name: None for name in self._steps if name in step.stored
        }
        self._temporary: dict[str, str] = {}

    def lines(self) -> list[str]:
        found: list[str] = []
        for statement in self._step.body:
            name = statement.name
            if width(statement.shape) < 2:
                found.append(self._vector(statement))
            elif name in self._step.stored:
                found += stored(self._steps[name], name + self._suffix)
            else:
                found += self._named(name)
        return found

    def _vector(self, statement: Statement) -> str:
        text = self._printer.show(statement.expr)
        if statement.name in self._step.stored:
            return f"{statement.name}{self._suffix or '[:]'} = {text}"
        if self._is_cast(statement):
            text = f"({text}).astype(dtype, copy=False)"
        return f"{statement.name} = {text}"

    def _named(self, name: str) -> list[str]:
        steps = self._steps[name]
        result = next((r for r in self._holders if self._can_use_result(name, r)), None)
        if result is not None:
            self._holders[result] = name
            return named(steps, name, result + self._suffix)
        owner = next((t for t, holder in self._temporary.items()
                      if steps[0].function and self._is_done(holder, name)), None)  # fmt: skip
        if owner is not None:
            storage = self._temporary.pop(owner)
            self._temporary[name] = name
            return named(steps, name, storage)
        if steps[0].function:
            self._temporary[name] = name
        return named(steps, name, None)

    def _can_use_result(self, name: str, result: str) -> bool:
        """The result is computed later, no later than the last use of this value."""
        place, last = self._place[result], self._last_use[name]
        if not self._steps[name][0].function or place <= self._place[name] or last > place:
            return False
        if last == place and reads_late(self._steps[result], name):
            return False
        holder = self._holders[result]
        return holder is None or self._is_done(holder, name)

    def _is_done(self, holder: str, name: str) -> bool:
        """Whether a value is read for the last time before, or in the first step of, another."""
        last, now = self._last_use[holder], self._place[name]
        return last < now or (last == now and not reads_late(self._steps[name], holder))


def _is_shifted_mean(reduction: Expr) -> bool:
    """The mean of data, taken of differences to the first row: exact for constant columns."""
    return reduction.op == "columns_mean" and reduction.args[0].op == "symbol"


def _refusal(condition: str, wanted: str, found: str) -> list[str]:
    """Lines that refuse a value."""
    message = f'f"{{_LAYER}}: expected {wanted}, {found}"'
    return [f"if {condition}:", f"    raise ValueError({message})"]


