"""Column units as C++: tiles of columns whose sums stay on the stack between sweeps over the rows."""

from __future__ import annotations

from .. import expression as ex
from ..expression import Expr, Shape
from ..lower import Statement
from ..schedule import reduction_of, width
from .cpp_context import Context, cost, indented, is_costly
from .cpp_entry import DOUBLE, REAL, Scope, entry, uses_double
from .cpp_plan import Columns, Sweep, closure

_LARGEST = ("columns_max", "columns_shift")


class ColumnsWriter:
    """The lines of one column unit."""

    def __init__(self, context: Context, unit: Columns) -> None:
        self._context = context
        self._unit = unit
        self._rows, self._cols = unit.space
        self._row = context.index(self._rows)
        self._col = context.index(self._cols, self._row)
        self._columns: dict[str, str] = {}  # column values on the stack
        self._parked = self._parking()
        self._done: set[str] = set()

    @property
    def _place(self) -> str:
        return f"[{self._col} - first]"

    def lines(self) -> list[str]:
        body: list[str] = []
        for sweep in self._unit.sweeps:
            body += self._sweep(sweep)
        exprs = [s.expr for w in self._unit.sweeps for s in (*w.body, *w.accumulated)]
        work = cost(exprs, {s.name for w in self._unit.sweeps for s in w.body})
        head = f"parallel_columns({self._rows}, {self._cols}, {work}, [=](Index first, Index last) {{"
        return [head, *indented(body), "});"]

    def _sweep(self, sweep: Sweep) -> list[str]:
        lines = self._declarations(sweep)
        body, hoisted = self._loop_body(sweep)
        columns = f"for (Index {self._col} = first; {self._col} < last; ++{self._col}) {{"
        loop = ["GRADWRIGHT_VECTORIZE", columns, *indented(body), "}"]
        if hoisted:
            head = f"for (Index {self._row} = 0; {self._row} < {self._rows}; ++{self._row}) {{"
            lines += [head, *indented([*hoisted, *loop]), "}"]
        else:
            lines += [f"row_blocks({self._rows}, [&](Index block, auto count) {{", *indented(loop), "});"]
        return lines + self._finish(sweep)

    # Before a sweep

    def _declarations(self, sweep: Sweep) -> list[str]:
        lines = []
        for statement in sweep.accumulated:
            reduction = _reduction(statement)
            name = self._accumulator(statement)
            if reduction.op in _LARGEST:
                lines.append(f"Real {name}[column_tile];")
                lines.append(f"std::fill_n({name}, last - first, -std::numeric_limits<Real>::infinity());")
            else:
                lines.append(f"double {name}[column_tile] = {{}};")
            if self._is_anchored(statement):
                lines += self._anchor(statement, reduction.args[0], sweep)
        return lines

    def _anchor(self, statement: Statement, operand: Expr, sweep: Sweep) -> list[str]:
        """The first row's entries: means are summed relative to them, exactly for equal rows."""
        scope = self._scope({})
        scope.row, scope.hoist = "0", None
        local = self._locals([operand], sweep, scope, "0")
        text = entry(operand, scope, "0", self._col)
        name = f"{statement.name}_anchor"
        lines = [*local, f"{name}{self._place} = {text};"]
        loop = f"for (Index {self._col} = first; {self._col} < last; ++{self._col})"
        body = [f"{loop} {lines[0]}"] if len(lines) == 1 else [f"{loop} {{", *indented(lines), "}"]
        return [f"Real {name}[column_tile] = {{}};", f"if ({self._rows} > 0) {{", *indented(body), "}"]

    def _accumulator(self, statement: Statement) -> str:
        suffix = "top" if _reduction(statement).op in _LARGEST else "sum"
        return f"{statement.name}_{suffix}"

    def _is_anchored(self, statement: Statement) -> bool:
        mean = _reduction(statement).op == "columns_mean"
        return mean and self._context.is_anchored(statement.name)

    # The loop over rows

    def _scope(self, hoisted: dict[str, str]) -> Scope:
        constants = {name: f"{text}{self._place}" for name, text in self._columns.items()}
        for name in self._done & set(self._parked):
            array = self._context.values.identifier(self._parked[name])
            constants[name] = f"{array}({self._row}, {self._col})"

        def hoist(name: str, shape: Shape) -> str:
            name = self._parked.get(name, name) if name in self._done else name
            identifier = self._context.values.identifier(name)
            local = self._context.unique(f"{identifier}_{self._row}", keep=True)
            if shape[1] == "1":
                kind = self._context.values.type(name)
                hoisted[local] = f"const {kind} {local} = {identifier}[{self._row}];"
            else:
                kind = self._context.row_type(name)
                hoisted[local] = f"{kind} {local} = {identifier}.row({self._row});"
            return local

        scope = Scope(self._context.values, self._row, self._col, constants, None, self._context.special)
        scope.hoist = hoist
        return scope

    def _loop_body(self, sweep: Sweep) -> tuple[list[str], list[str]]:
        """The work on one column of a block of rows; and what a row loop must load first."""
        hoisted: dict[str, str] = {}
        rowwise = self._reads_rows(sweep)
        scope = self._scope(hoisted)
        if not rowwise:
            scope.hoist = None
        row = self._row
        inner = self._locals([s.expr for s in sweep.accumulated], sweep, scope, row)
        inner += [self._add(s, scope, row) for s in sweep.accumulated]
        if rowwise:
            return inner, list(hoisted.values())
        inner = [f"const Index {row} = block + r;", *inner]
        return self._in_registers(sweep, ["for (Index r = 0; r < count(); ++r) {", *indented(inner), "}"]), []

    def _reads_rows(self, sweep: Sweep) -> bool:
        """Whether the sweep reads vectors with an entry for each row."""
        names = ex.symbols_of(*(s.expr for s in (*sweep.body, *sweep.accumulated)))
        shapes = [self._context.shape(n) for n in names]
        return any(s[0] != "1" and s[1] == "1" for s in shapes)

    def _in_registers(self, sweep: Sweep, inner: list[str]) -> list[str]:
        """Accumulators are loaded and stored once for a block of rows."""
        before, after = [], []
        for statement in sweep.accumulated:
            name = self._accumulator(statement)
            kind = "Real" if _reduction(statement).op in _LARGEST else "double"
            before.append(f"{kind} {name}_{self._col} = {name}{self._place};")
            after.append(f"{name}{self._place} = {name}_{self._col};")
        return [*before, *inner, *after]

    def _locals(self, exprs: list[Expr], sweep: Sweep, scope: Scope, row: str) -> list[str]:
        """Element-wise values the sweep needs, and stores of its results."""
        stored = sweep.stored if row != "0" else set()
        parked = {n for n in self._parked if self._is_here(n, sweep)} if row != "0" else set()
        wanted = [*exprs, *(s.expr for s in sweep.body if s.name in stored)]
        needed = closure(wanted, sweep.body, self._done) | stored
        lines = []
        for statement in (s for s in sweep.body if s.name in needed):
            name = statement.name
            text = entry(statement.expr, scope, row, self._col)
            users = [s.expr for s in sweep.body if s.name in needed and s.name != name]
            if name not in stored or name in ex.symbols_of(*users, *exprs):
                local = self._context.values.identifier(name)
                lines.append(f"const Real {local} = {text};")
                text = scope.constants[name] = local
            if name in stored:
                lines.append(f"{self._target(name, scope)} = {text};")
            elif name in parked:
                lines.append(f"{self._target(self._parked[name], scope)} = {text};  // until computed")
        if row != "0":
            self._done |= parked
        return lines

    def _target(self, name: str, scope: Scope) -> str:
        shape = self._context.shape(name)
        if scope.hoist is not None:
            return f"{scope.hoist(name, shape)}[{self._col}]"
        return f"{self._context.values.identifier(name)}({self._row}, {self._col})"

    def _add(self, statement: Statement, scope: Scope, row: str) -> str:
        reduction = _reduction(statement)
        blocks = scope.hoist is None
        name = self._accumulator(statement)
        target = f"{name}_{self._col}" if blocks else f"{name}{self._place}"
        text = entry(reduction.args[0], scope, row, self._col)
        if reduction.op in _LARGEST:
            return f"{target} = math::{'maximum' if reduction.op == 'columns_max' else 'larger'}({target}, {text});"
        if self._is_anchored(statement):
            return f"{target} += double({text}) - double({statement.name}_anchor{self._place});"
        return f"{target} += {text};"

    # Costly values wait in a result until it is computed

    def _parking(self) -> dict[str, str]:
        sweeps = self._unit.sweeps
        stores = {n: p for p, sweep in enumerate(sweeps) for n in sweep.stored}
        found: dict[str, str] = {}
        for statement in dict.fromkeys(s for sweep in sweeps for s in sweep.body):
            if statement.name in stores or not is_costly(statement.expr):
                continue
            users = [p for p, sweep in enumerate(sweeps) if self._is_needed(statement.name, sweep)]
            for name, place in stores.items():
                same = self._context.shape(name) == statement.shape
                if same and name not in found.values() and len(users) > 1 and place >= max(users):
                    found[statement.name] = name
                    break
        return found

    def _is_needed(self, name: str, sweep: Sweep) -> bool:
        exprs = [s.expr for s in sweep.accumulated]
        exprs += [s.expr for s in sweep.body if s.name in sweep.stored]
        return name in closure(exprs, sweep.body, set())

    def _is_here(self, name: str, sweep: Sweep) -> bool:
        """Whether this sweep is the first to need a parked value."""
        return name not in self._done and self._is_needed(name, sweep)

    # After a sweep

    def _finish(self, sweep: Sweep) -> list[str]:
        """Column values from their sums; in results, or on the stack if a later sweep reads them."""
        if not sweep.accumulated and not sweep.after:
            return []
        scope = self._scope({})
        scope.hoist = None
        lines, arrays = [], []
        for statement in (*sweep.accumulated, *sweep.after):
            text, kind = self._column_value(statement, scope)
            own = self._context.values.type(statement.name)
            if statement.name in ex.symbols_of(*(s.expr for s in sweep.after)):
                local = self._context.unique(f"{statement.name}_{self._col}", keep=True)
                lines.append(f"const {kind} {local} = {text};")
                text = scope.constants[statement.name] = local
            value = text if own == kind else f"{own}({text})"
            if self._context.is_array(statement.name):
                target = self._context.values.identifier(statement.name)
                lines.append(f"{target}[{self._col}] = {value};")
            elif self._is_read_later(statement.name, sweep):
                tile = self._context.unique(f"{statement.name}_tile")
                arrays.append(f"{own} {tile}[column_tile];")
                lines.append(f"{tile}{self._place} = {value};")
                self._columns[statement.name] = tile
        head = f"for (Index {self._col} = first; {self._col} < last; ++{self._col}) {{"
        self._done |= {n for n in sweep.stored if n not in self._done}
        if len(lines) == 1:
            return [*arrays, f"{head.removesuffix(' {')} {lines[0]}"]
        return [*arrays, head, *indented(lines), "}"]

    def _is_read_later(self, name: str, sweep: Sweep) -> bool:
        later = self._unit.sweeps[self._unit.sweeps.index(sweep) + 1 :]
        exprs = [s.expr for w in later for s in (*w.body, *w.accumulated, *w.after)]
        return name in ex.symbols_of(*exprs)

    def _column_value(self, statement: Statement, scope: Scope) -> tuple[str, str]:
        reduction = reduction_of(statement.expr)
        if reduction is None:
            local = set(scope.constants)
            double = uses_double(statement.expr, self._context.values) or bool(
                local & set(ex.symbols_of(statement.expr))
            )
            text = entry(statement.expr, scope, "", self._col, DOUBLE if double else REAL)
            return text, DOUBLE if double else REAL
        text = f"{self._accumulator(statement)}{self._place}"
        if reduction.op == "columns_mean":
            text = f"{text} / double(std::max<Index>({self._rows}, 1))"
            if self._is_anchored(statement):
                text = f"double({statement.name}_anchor{self._place}) + {text}"
        if reduction.op == "columns_shift":
            text = f"math::finite_or_zero({text})"
        kind = REAL if reduction.op in _LARGEST else DOUBLE
        if statement.expr.op == "at_least_one":
            text = f"math::maximum({text}, {'1.0' if kind == DOUBLE else 'Real(1)'})"
        return text, kind


def _reduction(statement: Statement) -> Expr:
    found = reduction_of(statement.expr)
    assert found is not None and width(found.shape) == 1
    return found
