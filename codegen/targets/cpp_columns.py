"""Column units as C++: tiles of columns whose sums stay on the stack between sweeps over the rows."""

from __future__ import annotations

import re

from .. import expression as ex
from ..expression import Expr, Shape
from ..lower import Statement
from ..schedule import reduction_of, width
from .cpp_context import Context, cost, indented, is_costly, mentions
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
        self._folded: dict[str, str] = {}  # values of columns that a sweep uses again and again
        self._split: dict[str, tuple[str, str]] = {}  # float64 values as head and tail
        self._parked = self._parking()
        self._done: set[str] = set()
        self._count = context.unique("samples", keep=True)

    @property
    def _place(self) -> str:
        return f"[{self._col} - first]"

    def lines(self) -> list[str]:
        body: list[str] = []
        for sweep in self._unit.sweeps:
            body += self._sweep(sweep)
        if any(self._count in line for line in body):
            body.insert(0, f"const double {self._count} = double(std::max<Index>({self._rows}, 1));")
        if any("(tile)" in line for line in body):
            body.insert(0, "const Index tile = last - first;")
        exprs = [s.expr for w in self._unit.sweeps for s in (*w.body, *w.accumulated)]
        work = cost(exprs, {s.name for w in self._unit.sweeps for s in w.body})
        head = f"parallel_columns({self._rows}, {self._cols}, {work}, [=](Index first, Index last) {{"
        return [head, *indented(body), "});"]

    def _sweep(self, sweep: Sweep) -> list[str]:
        lines = self._splits(sweep) + self._declarations(sweep)
        self._folded = {}
        body, hoisted = self._loop_body(sweep)
        lines += [f"Columns<Real> {name}(tile);" for name in self._folded.values()]
        if self._folded:
            lines += self._over_columns([f"{n}{self._place} = {text};" for text, n in self._folded.items()])
        loop = self._over_columns(body)
        n, rows = self._row, self._rows
        if self._in_blocks(sweep):
            head = f"row_blocks({rows}, [&](Index block, auto count) {{"
            lines += [head, *indented([*hoisted, *loop]), "});"]
        else:
            head = f"for (Index {n} = 0; {n} < {rows}; ++{n}) {{"
            if sweep is not self._unit.sweeps[0] and not sweep.accumulated:
                head = f"for (Index {n} = {rows}; {n}-- > 0;) {{  // the last rows are still in a cache"
            lines += [head, *indented([*hoisted, *loop]), "}"]
        return lines + self._finish(sweep)

    def _in_blocks(self, sweep: Sweep) -> bool:
        """Accumulators are loaded once for several rows, unless the rows push each other out.

        Rows of a matrix whose stride is a power of two compete for the same 8 ways of a cache.
        """
        local = {s.name for s in sweep.body} - sweep.stored
        names = ex.symbols_of(*(s.expr for s in (*sweep.body, *sweep.accumulated)))
        matrices = {n for n in names if width(self._context.shape(n)) == 2} - local | sweep.stored
        return bool(sweep.accumulated) and len(matrices) <= 2

    def _fold(self, text: str) -> str:
        if text not in self._folded:
            words = re.findall(r"[A-Za-z]\w*(?=\[)|(?<=Real\()[A-Z]\w*", text)
            words = [w.removesuffix("_tile") for w in words]
            self._folded[text] = self._context.unique("_".join(dict.fromkeys(words)) + "_tile")
        return f"{self._folded[text]}{self._place}"

    # Before a sweep

    def _declarations(self, sweep: Sweep) -> list[str]:
        lines = []
        for statement in sweep.accumulated:
            reduction = _reduction(statement)
            name = self._accumulator(statement)
            if reduction.op in _LARGEST:
                lines.append(f"Columns<Real> {name}(tile);")
                lines.append(f"std::fill_n({name}.value, tile, -std::numeric_limits<Real>::infinity());")
            else:
                lines.append(f"Columns<double> {name}(tile);")
            if self._is_anchored(statement):
                lines += self._anchor(statement, reduction.args[0], sweep)
        lines += [f"Columns<double> {s.name}_squares(tile);" for s, _ in sweep.squares]
        return lines

    def _splits(self, sweep: Sweep) -> list[str]:
        """Means in float64 that are subtracted, as two values of the data's type."""
        lines, loop = [], []
        columns = ("1", self._cols)
        names = ex.symbols_of(*(s.expr for s in (*sweep.body, *sweep.accumulated)))
        for name in names:
            double = self._context.values.type(name) == DOUBLE and self._context.shape(name) == columns
            if not double or name in self._split:
                continue
            head, tail = (self._context.unique(f"{name}_{part}") for part in ("head", "tail"))
            self._split[name] = (f"{head}{self._place}", f"{tail}{self._place}")
            value = self._scope({}).read(name, "", self._col)
            lines.append(f"Columns<Real> {head}(tile), {tail}(tile);  // {name} = head + tail")
            loop.append(f"{head}{self._place} = Real({value});")
            loop.append(f"{tail}{self._place} = Real({value} - double({head}{self._place}));")
        if loop:
            lines += self._over_columns(loop)
        return lines

    def _over_columns(self, body: list[str]) -> list[str]:
        """A loop over the columns of the tile."""
        head = f"for (Index {self._col} = first; {self._col} < last; ++{self._col})"
        if len(body) == 1:
            return ["GRADWRIGHT_VECTORIZE", f"{head} {body[0]}"]
        return ["GRADWRIGHT_VECTORIZE", f"{head} {{", *indented(body), "}"]

    def _anchor(self, statement: Statement, operand: Expr, sweep: Sweep) -> list[str]:
        """The first row's entries: means are summed relative to them, exactly for equal rows."""
        scope = self._scope({})
        scope.row, scope.hoist = "0", None
        local = self._locals([operand], sweep, scope, "0")
        text = entry(operand, scope, "0", self._col)
        name = f"{statement.name}_anchor"
        body = self._over_columns([*local, f"{name}{self._place} = {text};"])
        return [f"Columns<Real> {name}(tile);", f"if ({self._rows} > 0) {{", *indented(body), "}"]

    def _accumulator(self, statement: Statement) -> str:
        suffix = "top" if _reduction(statement).op in _LARGEST else "sum"
        return f"{statement.name}_{suffix}"

    def _is_anchored(self, statement: Statement) -> bool:
        mean = _reduction(statement).op == "columns_mean"
        return mean and self._context.is_anchored(statement.name)

    def _is_plain_sum(self, statement: Statement) -> bool:
        """A sum of which a few terms may be added up in the data's type."""
        return _reduction(statement).op not in _LARGEST and not self._is_anchored(statement)

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
        scope.splits = self._split
        return scope

    def _loop_body(self, sweep: Sweep) -> tuple[list[str], list[str]]:
        """The work on one column, for a row or a block of rows; and what is loaded before it."""
        hoisted: dict[str, str] = {}
        row, blocks = self._row, self._in_blocks(sweep)
        scope = self._scope(hoisted)
        scope.fold = self._fold
        loads: list[str] = []
        if blocks:
            scope.hoist = None
            loads = self._row_values(sweep, scope)
        inner = self._locals([s.expr for s in sweep.accumulated], sweep, scope, row)
        inner += [line for s in sweep.accumulated for line in self._add(s, sweep, scope, row)]
        if not blocks:
            return inner, list(hoisted.values())
        if any(mentions(line, row) for line in inner):
            inner = [f"const Index {row} = block + r;", *inner]
        loop = ["for (Index r = 0; r < count(); ++r) {", *indented(inner), "}"]
        return self._in_registers(sweep, loop), loads

    def _row_values(self, sweep: Sweep, scope: Scope) -> list[str]:
        """Vectors with an entry for each row of a block, loaded before the loop over columns."""
        declared, loop = [], []
        for name in ex.symbols_of(*(s.expr for s in (*sweep.body, *sweep.accumulated))):
            shape = self._context.shape(name)
            if shape[0] == "1" or shape[1] != "1":
                continue
            source = f"{self._context.values.identifier(name)}[block + r]"
            if self._context.values.type(name) == DOUBLE:
                head, tail = f"{name}_head", f"{name}_tail"
                declared.append(f"Real {head}[count()], {tail}[count()];  // {name} = head + tail")
                loop.append(f"{head}[r] = Real({source});")
                loop.append(f"{tail}[r] = Real({source} - double({head}[r]));")
                scope.splits = {**scope.splits, name: (f"{head}[r]", f"{tail}[r]")}
                scope.constants[name] = f"(double({head}[r]) + {tail}[r])"
            else:
                local = f"{name}_{self._row}"
                declared.append(f"Real {local}[count()];")
                loop.append(f"{local}[r] = {source};")
                scope.constants[name] = f"{local}[r]"
        if not loop:
            return []
        if len(loop) == 1:
            return [*declared, f"for (Index r = 0; r < count(); ++r) {loop[0]}"]
        return [*declared, "for (Index r = 0; r < count(); ++r) {", *indented(loop), "}"]

    def _in_registers(self, sweep: Sweep, inner: list[str]) -> list[str]:
        """Sums are loaded and stored once for a block of rows."""
        before, after = [], []
        for statement in sweep.accumulated:
            name = self._accumulator(statement)
            if self._is_plain_sum(statement):
                before.append(f"Real {statement.name}_part = 0;")
                after.append(f"{name}{self._place} += {statement.name}_part;")
                continue
            kind = "Real" if _reduction(statement).op in _LARGEST else "double"
            before.append(f"{kind} {name}_{self._col} = {name}{self._place};")
            after.append(f"{name}{self._place} = {name}_{self._col};")
        for statement, _ in sweep.squares:
            name = f"{statement.name}_squares"
            before.append(f"double {name}_{self._col} = {name}{self._place};")
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

    def _add(self, statement: Statement, sweep: Sweep, scope: Scope, row: str) -> list[str]:
        reduction = _reduction(statement)

        def variable(name: str) -> str:
            return f"{name}_{self._col}" if scope.hoist is None else f"{name}{self._place}"

        target = variable(self._accumulator(statement))
        text = entry(reduction.args[0], scope, row, self._col)
        if reduction.op in _LARGEST:
            function = "maximum" if reduction.op == "columns_max" else "larger"
            return [f"{target} = math::{function}({target}, {text});"]
        squares = [s.name for s, mean in sweep.squares if mean == statement.name]
        if self._is_plain_sum(statement):
            target = f"{statement.name}_part" if scope.hoist is None else target
            return [f"{target} += {text};"]
        term = f"double({text}) - double({statement.name}_anchor{self._place})"
        if not squares:
            return [f"{target} += {term};"]
        offset = f"{statement.name}_offset"
        lines = [f"const double {offset} = {term};", f"{target} += {offset};"]
        return lines + [f"{variable(f'{name}_squares')} += {offset} * {offset};" for name in squares]

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
        if not sweep.column_values:
            return []
        scope = self._scope({})
        scope.hoist = None
        lines, arrays = [], []
        for statement in sweep.column_values:
            text, kind = self._column_value(statement, sweep, scope)
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
                arrays.append(f"Columns<{own}> {tile}(tile);")
                lines.append(f"{tile}{self._place} = {value};")
                self._columns[statement.name] = tile
        self._done |= sweep.stored
        return [*arrays, *self._over_columns(lines)]

    def _is_read_later(self, name: str, sweep: Sweep) -> bool:
        later = self._unit.sweeps[self._unit.sweeps.index(sweep) + 1 :]
        exprs = [s.expr for w in later for s in (*w.body, *w.column_values)]
        return name in ex.symbols_of(*exprs)

    def _central(self, statement: Statement, mean: str) -> str:
        """A sum or mean of squares around the mean, from those around the first row."""
        rows = self._count
        shift = f"{mean}_sum{self._place}"
        total = f"{statement.name}_squares{self._place} - {shift} * {shift} / {rows}"
        text = f"math::maximum({total}, 0.0)"
        return f"{text} / {rows}" if statement.expr.op == "columns_mean" else text

    def _column_value(self, statement: Statement, sweep: Sweep, scope: Scope) -> tuple[str, str]:
        for other, mean in sweep.squares:
            if other is statement:
                return self._central(statement, mean), DOUBLE
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
            text = f"{text} / {self._count}"
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
