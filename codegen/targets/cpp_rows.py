"""Row units as C++: reductions and element-wise loops over a row while it is in the cache."""

from __future__ import annotations

from dataclasses import dataclass

from .. import expression as ex
from ..expression import Expr, Shape
from ..routine import Statement
from ..schedule import reduction_of, width
from ..text import to_text
from .cpp_context import Context, cost, indented, is_costly, select_key, vector_loop
from .cpp_entries import entries_loop
from .cpp_entry import DOUBLE, REAL, Scope, entry, uses_double
from .cpp_parking import parked
from .cpp_plan import Rows, closure
from .cpp_sums import parallel_rows, sum_name


@dataclass
class _Event:
    """A reduction or value of the row (one statement), or a loop that stores (several)."""

    statements: list[Statement]
    kind: str

    @property
    def exprs(self) -> list[Expr]:
        return [s.expr for s in self.statements]


class RowsWriter:
    """The lines of one row unit."""

    def __init__(self, context: Context, unit: Rows) -> None:
        self._context = context
        self._unit = unit
        self._row = context.index(unit.space[0])
        self._terms: dict[str, str] = {}  # names of the operands of reductions, and what they are
        self._body = [part for s in unit.body for part in self._named_operand(s)]
        self._elements = [s for s in self._body if width(s.shape) == 2]
        self._done: set[str] = set()
        self._aliases: dict[str, str] = {}
        self._hoisted: dict[str, str] = {}
        self._scope = Scope(context.values, self._row, "", {}, self._hoist, self._special)
        self._lines: list[str] = []

    def _named_operand(self, statement: Statement) -> list[Statement]:
        """A costly operand of a row's sum gets a name, so that it can wait in a result's row."""
        reduction = reduction_of(statement.expr)
        if reduction is None or width(reduction.args[0].shape) < 2:
            return [statement]
        operand = reduction.args[0]
        if operand.op == "symbol" or not is_costly(operand):
            return [statement]
        name = self._context.unique(f"terms_of_{statement.name}")
        self._context.values.shapes[name] = operand.shape
        self._terms[name] = to_text(operand)
        symbol = ex.symbol(name, operand.shape)
        summed = ex.substitute(statement.expr, {operand: symbol})
        return [Statement(name, operand), Statement(statement.name, summed)]

    def lines(self) -> list[str]:
        flat = entries_loop(self._context, self._unit)
        if flat is not None:
            return flat
        loop = self.loop()
        head = f"({self._unit.space[0]}, {self.work()}, [=](Index first, Index last) {{"
        return parallel_rows(self._context, self._unit.sums, head, loop)

    def loop(self) -> list[str]:
        """The loop over the rows first, ..., last - 1."""
        events = self._events()
        waiting = self._parked(events)
        for event in events:
            self._park(waiting, event)
            self._write(event)
        self._add_sums()
        body = [*(f"{text};" for text in self._hoisted.values()), *self._lines]
        n = self._row
        return [f"for (Index {n} = first; {n} < last; ++{n}) {{", *indented(body), "}"]

    def _add_sums(self) -> None:
        for statement in self._unit.sums:
            reduction = reduction_of(statement.expr)
            assert reduction is not None
            operand = reduction.args[0]
            if width(operand.shape) == 1:
                real = DOUBLE if uses_double(operand, self._context.values) else REAL
                text = entry(operand, self._scope, self._row, "", real)
            else:
                k = self._context.index(operand.cols, self._row)
                text = self._sum(operand, k)
            name = sum_name(self._context, statement)
            part = f"part.{name}" if len(self._unit.sums) > 1 else "part"
            self._lines.append(f"{part} += {text};")

    def work(self) -> str:
        """The operations a row takes."""
        cols = self._unit.space[1]
        statements = [*self._unit.body, *self._unit.sums]
        factor = cost([s.expr for s in statements], {s.name for s in self._elements})
        return cols if factor == 1 else f"{factor} * {cols}"

    # Order of the loops

    def _events(self) -> list[_Event]:
        """Stores wait for each other, so that they share a loop, until a reduction needs them."""
        events: list[_Event] = []
        pending: list[Statement] = []

        def flush() -> None:
            for dim in dict.fromkeys(s.shape[1] for s in pending):
                events.append(_Event([s for s in pending if s.shape[1] == dim], "store"))
            pending.clear()

        for statement in self._body:
            if width(statement.shape) == 2:
                if statement.name in self._unit.stored:
                    pending.append(statement)
                continue
            needed = closure([statement.expr], self._elements, set())
            if any(s.name in needed for s in pending):
                flush()
            kind = "reduce" if reduction_of(statement.expr) is not None else "value"
            events.append(_Event([statement], kind))
        flush()
        events += [_Event([s], "sum") for s in self._unit.sums]
        return events

    # Values that are kept in the row of a result until it is written

    def _parked(self, events: list[_Event]) -> dict[str, str]:
        """Costly values used by several loops, and the result whose row they wait in."""
        stores = {s.name: place for place, e in enumerate(events) if e.kind == "store"
                  for s in e.statements if self._is_new(s)}  # fmt: skip
        candidates = {
            s: 1 if s.name in self._terms else 2
            for s in self._elements
            if s.name not in self._unit.stored and is_costly(s.expr)
        }
        uses = [(e.exprs, self._elements) for e in events]
        return parked(candidates, uses, {n: (p, self._context.shape(n)) for n, p in stores.items()})

    def _is_new(self, statement: Statement) -> bool:
        """Whether nothing in this unit reads what the array held before."""
        return statement.name not in ex.symbols_of(statement.expr)

    def _park(self, waiting: dict[str, str], event: _Event) -> None:
        for name, result in waiting.items():
            needed = closure(event.exprs, self._elements, self._done)
            if name in self._done or name not in needed:
                continue
            statement = next(s for s in self._elements if s.name == name)
            shown = self._terms.get(name, name)
            self._lines.append(f"// {shown}, kept in the row of {result} until that is computed")
            self._store([statement], result)
            self._aliases[name] = result

    # Statements

    def _write(self, event: _Event) -> None:
        if event.kind == "store":
            self._store(event.statements)
        elif event.kind == "value":
            self._value(event.statements[0])
        elif event.kind == "reduce":
            self._reduce(event.statements[0])

    def _value(self, statement: Statement) -> None:
        kind = self._context.values.type(statement.name)
        double = kind == DOUBLE or uses_double(statement.expr, self._context.values)
        real = DOUBLE if double else REAL
        text = entry(statement.expr, self._scope, self._row, "", real)
        self._define_row(statement, kind, text if real == kind else f"Real({text})")

    def _define_row(self, statement: Statement, kind: str, text: str) -> None:
        name = statement.name
        vector = self._context.is_array(name)
        local = self._context.unique(f"{name}_{self._row}" if vector else name, keep=True)
        self._lines.append(f"const {kind} {local} = {text};")
        if name in self._unit.stored:
            self._lines.append(f"{self._context.values.identifier(name)}[{self._row}] = {local};")
        self._scope.constants[name] = local

    def _reduce(self, statement: Statement) -> None:
        reduction = reduction_of(statement.expr)
        assert reduction is not None
        kind = self._context.values.type(statement.name)
        text = self._reduction(reduction, statement.name)
        if statement.expr.op == "at_least_one":
            text = f"math::maximum({text}, {kind}(1))"
        self._define_row(statement, kind, text)

    def _reduction(self, reduction: Expr, name: str) -> str:
        operand = reduction.args[0]
        cols = operand.cols
        k = self._context.index(cols, self._row)
        term = self._term(operand, k)
        if reduction.op == "rows_sum":
            return self._sum(operand, k)
        if reduction.op == "rows_mean":
            if self._context.is_anchored(name):
                return f"mean<Real>({cols}, {term})"
            return f"double(sum<Real>({cols}, {term})) / std::max<Index>({cols}, 1)"
        if reduction.op == "rows_max":
            return f"maximum<Real>({cols}, {term})"
        return f"math::finite_or_zero(largest<Real>({cols}, {term}))"

    def _sum(self, operand: Expr, k: str) -> str:
        """The sum of a row; of labels and of products with them, only the class itself counts."""
        target, *rest = operand.args if operand.op == "target_product" else (operand,)
        if target.op != "symbol" or not self._context.is_labels(str(target.attr)):
            return f"sum<Real>({operand.cols}, {self._term(operand, k)})"
        row = self._hoist(str(target.attr), target.shape)
        term = "".join(f", {self._term(factor, k)}" for factor in rest)
        return f"target_sum<Real>({operand.cols}, {row}{term})"

    def _term(self, operand: Expr, k: str) -> str:
        """A lambda of the column index that gives the operand's entry."""
        scope = self._scope.inner(k)
        local = self._locals([operand], scope, k)
        value = entry(operand, scope, self._row, k)
        if local and local[-1].startswith(f"const Real {value} = "):
            value = local.pop().removeprefix(f"const Real {value} = ").removesuffix(";")
        if not local:
            return f"[=](Index {k}) {{ return {value}; }}"
        inner = "\n".join(indented([*local, f"return {value};"]))
        return f"[=](Index {k}) {{\n{inner}\n}}"

    def _locals(self, exprs: list[Expr], scope: Scope, k: str) -> list[str]:
        """Constants for the element-wise values that a loop needs and no array holds."""
        self._select(exprs)
        needed = closure(exprs, self._elements, self._done)
        lines = []
        for statement in self._elements:
            if statement.name in needed:
                text = entry(statement.expr, scope, self._row, k)
                lines.append(f"const Real {self._local(statement.name)} = {text};")
                scope.constants[statement.name] = self._local(statement.name)
        return lines

    def _local(self, name: str) -> str:
        return self._context.values.identifier(name)

    def _store(self, statements: list[Statement], target: str = "") -> None:
        """One loop that writes rows of arrays; `target` is another name to write to."""
        cols = statements[0].shape[1]
        k = self._context.index(cols, self._row)
        scope = self._scope.inner(k)
        exprs = [s.expr for s in statements]
        self._select(exprs)
        stored = {s.name for s in statements}
        needed = closure(exprs, self._elements, self._done) | stored
        lines = []
        for name, result in self._aliases.items():
            if len(stored) > 1 and result in stored:  # read before the result replaces it
                text = scope.read(name, self._row, k)
                lines.append(f"const Real {self._local(name)} = {text};")
                scope.constants[name] = self._local(name)
        for statement in (s for s in self._elements if s.name in needed):
            name = statement.name
            text = entry(statement.expr, scope, self._row, k)
            users = [s.expr for s in self._elements if s.name in needed and s.name != name]
            if name not in stored or name in ex.symbols_of(*users):
                lines.append(f"const Real {self._local(name)} = {text};")
                text = scope.constants[name] = self._local(name)
            if name in stored:
                lines.append(f"{self._hoist(target or name, statement.shape)}[{k}] = {text};")
        self._lines += vector_loop(f"for (Index {k} = 0; {k} < {cols}; ++{k})", lines)
        self._done |= stored

    # Arrays

    def _hoist(self, name: str, shape: Shape) -> str:
        """The pointer to the row of a matrix, or the entry of a vector, declared once a row."""
        name = self._aliases.get(name, name)
        identifier = self._context.values.identifier(name)
        local = self._context.unique(f"{identifier}_{self._row}", keep=True)
        if local not in self._hoisted:
            if shape[1] == "1":
                kind = self._context.values.type(name)
                self._hoisted[local] = f"const {kind} {local} = {identifier}[{self._row}]"
            else:
                kind = self._context.row_type(name)
                self._hoisted[local] = f"{kind} {local} = {identifier}.row({self._row})"
        return local

    def _select(self, exprs: list[Expr]) -> None:
        """The place of the first maximum of each row, before the loop that compares with it."""
        needed = closure(exprs, self._elements, self._done)
        every = [*exprs, *(s.expr for s in self._elements if s.name in needed)]
        for node in ex.topological(*every):
            if node.op != "rows_select" or select_key(node) in self._scope.constants:
                continue
            cols = node.cols
            k = self._context.index(cols, self._row)
            local = self._context.unique("first_max_" + "_".join(ex.symbols_of(node)))
            term = self._term(node.args[0], k)
            self._lines.append(f"const Index {local} = first_largest<Real>({cols}, {term});")
            self._scope.constants[select_key(node)] = local

    def _special(self, expr: Expr, i: str, j: str) -> str | None:
        if expr.op == "rows_select" and i == self._row:
            place = self._scope.constants.get(select_key(expr))
            return None if place is None else f"({j} == {place} ? Real(1) : Real(0))"
        return self._context.special(expr, i, j)
