"""Column units as C++: sweeps over the rows of a tile of columns, in blocks where it pays."""

from __future__ import annotations

from .. import expression as ex
from ..expression import Expr, Shape
from ..routine import Statement
from ..schedule import width
from .cpp_context import Context, cost, indented, is_costly, mentions
from .cpp_entry import DOUBLE, Scope, entry
from .cpp_parking import parked
from .cpp_plan import Columns, Sweep, closure
from .cpp_tile import LARGEST, Tile, column_reduction


class ColumnsWriter:
    """The lines of one column unit."""

    def __init__(self, context: Context, unit: Columns) -> None:
        self._context = context
        self._unit = unit
        self._rows, self._cols = unit.space
        self._row = context.index(self._rows)
        self._col = context.index(self._cols, self._row)
        self._tile = Tile(context, unit, self._col)
        self._parked = self._parking()
        self._folds = True
        self._done: set[str] = set()

    def lines(self) -> list[str]:
        rows, cols = self._rows, self._cols
        body = [line for sweep in self._unit.sweeps for line in self._sweep(sweep)]
        samples = self._tile.samples
        if any(mentions(line, samples) for line in body):
            body.insert(0, f"const double {samples} = double(std::max<Index>({rows}, 1));")
        if any("(tile)" in line for line in body):
            body.insert(0, "const Index tile = last - first;")
        exprs = [s.expr for w in self._unit.sweeps for s in (*w.body, *w.accumulated)]
        work = cost(exprs, {s.name for w in self._unit.sweeps for s in w.body})
        head = f"parallel_columns({rows}, {cols}, {work}, [=](Index first, Index last) {{"
        return [head, *indented(body), "});"]

    def prepares(self, sweep: Sweep) -> bool:
        """Whether values of columns are computed before the walk over the rows."""
        return bool(self._tile.to_split(sweep))

    def accumulator(self, statement: Statement) -> str:
        return self._tile.accumulator(statement)

    def pass_over_block(self, sweep: Sweep) -> tuple[list[str], list[str]]:
        """For a walk: what a block of rows adds to the sums, and what is done with the totals."""
        self._folds = False
        body, before = self._loop_body(sweep, blocks=True)
        return [*before, *self._tile.loop(body)], self._tile.finish(sweep)

    def _parking(self) -> dict[str, str]:
        sweeps = self._unit.sweeps
        stores = {n: (p, self._context.shape(n)) for p, w in enumerate(sweeps) for n in w.stored}
        candidates = {s: 2 for w in sweeps for s in w.body
                      if s.name not in stores and is_costly(s.expr)}  # fmt: skip
        return parked(candidates, [(_ends(w), w.body) for w in sweeps], stores)

    # One sweep

    def _sweep(self, sweep: Sweep) -> list[str]:
        lines = self._tile.split(sweep) + self._tile.accumulators(sweep) + self._anchors(sweep)
        body, before = self._loop_body(sweep, self._in_blocks(sweep))
        lines += self._tile.take_folded()
        lines += [self._row_head(sweep), *indented([*before, *self._tile.loop(body)])]
        lines.append("});" if self._in_blocks(sweep) else "}")
        self._done |= sweep.stored
        return lines + self._tile.finish(sweep)

    def _row_head(self, sweep: Sweep) -> str:
        n, rows = self._row, self._rows
        if self._in_blocks(sweep):
            return f"row_blocks({rows}, [&](Index block, auto count) {{"
        if sweep is not self._unit.sweeps[0] and not sweep.accumulated:
            return f"for (Index {n} = {rows}; {n}-- > 0;) {{  // the last rows are still in a cache"
        return f"for (Index {n} = 0; {n} < {rows}; ++{n}) {{"

    def _in_blocks(self, sweep: Sweep) -> bool:
        """Sums are loaded once for several rows, unless the rows push each other out.

        Rows of a matrix whose stride is a power of two compete for the same 8 ways of a cache.
        """
        local = {s.name for s in sweep.body} - sweep.stored
        names = set(ex.symbols_of(*(s.expr for s in (*sweep.body, *sweep.accumulated))))
        read = {n for n in names - local if width(self._context.shape(n)) == 2}
        return bool(sweep.accumulated) and len(read | sweep.stored) <= 2

    def _anchors(self, sweep: Sweep) -> list[str]:
        """The first row's entries: means are summed relative to them, exactly for equal rows."""
        lines = []
        for statement in sweep.accumulated:
            if not self._tile.is_anchored(statement):
                continue
            scope = self._scope("0")
            operand = column_reduction(statement).args[0]
            local = self._values([operand], sweep, scope, set(), {})
            text = entry(operand, scope, "0", self._col)
            name = f"{statement.name}_anchor"
            value = f"math::finite_anchor({text})"
            body = self._tile.loop([*local, f"{name}{self._tile.place} = {value};"])
            lines += [f"Columns<Real> {name}(tile);", f"if ({self._rows} > 0) {{",
                      *indented(body), "}"]  # fmt: skip
        return lines

    def _scope(self, row: str, hoisted: dict[str, str] | None = None) -> Scope:
        """A column of a row; with `hoisted`, pointers to rows are declared before the columns."""
        scope = self._tile.scope()
        scope.row, scope.splits = row, self._tile.splits
        scope.fold = self._tile.fold if self._folds else None
        waiting = {n: self._parked[n] for n in self._done & set(self._parked)}
        if hoisted is None:
            for name, result in waiting.items():
                array = self._context.values.identifier(result)
                scope.constants[name] = f"{array}({row}, {self._col})"
            return scope

        def hoist(name: str, shape: Shape) -> str:
            name = waiting.get(name, name)
            identifier = self._context.values.identifier(name)
            local = self._context.unique(f"{identifier}_{row}", keep=True)
            if shape[1] == "1":
                kind = self._context.values.type(name)
                hoisted[local] = f"const {kind} {local} = {identifier}[{row}];"
            else:
                kind = self._context.row_type(name)
                hoisted[local] = f"{kind} {local} = {identifier}.row({row});"
            return local

        scope.hoist = hoist
        return scope

    def _loop_body(self, sweep: Sweep, blocks: bool) -> tuple[list[str], list[str]]:
        """The work on one column, for a row or a block of rows; and what is loaded before it."""
        hoisted: dict[str, str] = {}
        scope = self._scope(self._row, None if blocks else hoisted)
        before = self._row_values(sweep, scope) if blocks else []
        here = {n: r for n, r in self._parked.items()
                if n not in self._done
                and n in closure(_ends(sweep), sweep.body, set())}  # fmt: skip
        operands = [column_reduction(s).args[0] for s in sweep.accumulated]
        inner = self._values(operands, sweep, scope, sweep.stored, here)
        inner += [line for s in sweep.accumulated for line in self._add(s, sweep, scope)]
        self._done |= set(here)
        if not blocks:
            return inner, list(hoisted.values())
        if any(mentions(line, self._row) for line in inner):
            inner = [f"const Index {self._row} = block + r;", *inner]
        loop = ["for (Index r = 0; r < count(); ++r) {", *indented(inner), "}"]
        return self._in_registers(sweep, loop), before

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
        if len(loop) > 1:
            loop = ["for (Index r = 0; r < count(); ++r) {", *indented(loop), "}"]
        elif loop:
            loop = [f"for (Index r = 0; r < count(); ++r) {loop[0]}"]
        return [*declared, *loop]

    def _values(
        self, exprs: list[Expr], sweep: Sweep, scope: Scope, stored: set[str], here: dict[str, str]
    ) -> list[str]:
        """Element-wise values a sweep needs, stores of results and of values that wait in one."""
        ends = [*exprs, *(s.expr for s in sweep.body if s.name in stored)]
        needed = closure(ends, sweep.body, self._done) | stored
        lines = []
        for name, result in self._parked.items():
            if name in self._done and result in stored and len(stored) > 1:  # about to be replaced
                text = scope.read(name, scope.row, self._col)
                lines.append(self._constant(name, text, scope))
        for statement in (s for s in sweep.body if s.name in needed):
            name = statement.name
            text = entry(statement.expr, scope, scope.row, self._col)
            users = [s.expr for s in sweep.body if s.name in needed and s.name != name]
            if name not in stored or name in ex.symbols_of(*users, *exprs):
                lines.append(self._constant(name, text, scope))
                text = scope.constants[name]
            if name in stored:
                lines.append(f"{self._target(name, scope)} = {text};")
            elif name in here:
                lines.append(f"{self._target(here[name], scope)} = {text};  // until computed")
        return lines

    def _constant(self, name: str, text: str, scope: Scope) -> str:
        local = self._context.values.identifier(name)
        if scope.hoist is None and self._context.is_array(name):
            local = self._context.unique(f"{local}_{self._row}{self._col}", keep=True)
        scope.constants[name] = local
        return f"const Real {local} = {text};"

    def _target(self, name: str, scope: Scope) -> str:
        if scope.hoist is not None:
            return f"{scope.hoist(name, self._context.shape(name))}[{self._col}]"
        return f"{self._context.values.identifier(name)}({self._row}, {self._col})"

    # Sums

    def _in_registers(self, sweep: Sweep, inner: list[str]) -> list[str]:
        """Sums are loaded and stored once for a block of rows."""
        before, after = [], []
        place = self._tile.place
        for statement in sweep.accumulated:
            name = self._tile.accumulator(statement)
            if self._tile.is_plain_sum(statement):
                before.append(f"Real {statement.name}_part = 0;")
                after.append(f"{name}{place} += {statement.name}_part;")
            else:
                kind = "Real" if column_reduction(statement).op in LARGEST else "double"
                before.append(f"{kind} {name}_{self._col} = {name}{place};")
                after.append(f"{name}{place} = {name}_{self._col};")
        for statement, _ in sweep.squares:
            name = f"{statement.name}_squares"
            before.append(f"double {name}_{self._col} = {name}{place};")
            after.append(f"{name}{place} = {name}_{self._col};")
        return [*before, *inner, *after]

    def _add(self, statement: Statement, sweep: Sweep, scope: Scope) -> list[str]:
        """What one entry adds to a sum, or to a maximum."""
        blocks = scope.hoist is None
        suffix = f"_{self._col}" if blocks else self._tile.place
        reduction = column_reduction(statement)
        target = self._tile.accumulator(statement) + suffix
        text = entry(reduction.args[0], scope, self._row, self._col)
        if reduction.op in LARGEST:
            function = "maximum" if reduction.op == "columns_max" else "larger"
            return [f"{target} = math::{function}({target}, {text});"]
        if self._tile.is_plain_sum(statement):
            target = f"{statement.name}_part" if blocks else target
            return [f"{target} += {text};"]
        term = f"double({text}) - double({statement.name}_anchor{self._tile.place})"
        squares = [s.name for s, mean in sweep.squares if mean == statement.name]
        if not squares:
            return [f"{target} += {term};"]
        offset = f"{statement.name}_offset"
        lines = [f"const double {offset} = {term};", f"{target} += {offset};"]
        return lines + [f"{name}_squares{suffix} += {offset} * {offset};" for name in squares]


def _ends(sweep: Sweep) -> list[Expr]:
    """What a sweep computes in the end: sums and stored values."""
    stored = [s.expr for s in sweep.body if s.name in sweep.stored]
    return [*(s.expr for s in sweep.accumulated), *stored]
