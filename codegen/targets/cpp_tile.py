"""A tile of columns: its sums and other values, on the stack between sweeps over the rows."""

from __future__ import annotations

import re

from .. import expression as ex
from ..expression import Expr
from ..routine import Statement
from ..schedule import reduction_of, width
from .cpp_context import Context, vector_loop
from .cpp_entry import DOUBLE, REAL, Scope, entry, uses_double
from .cpp_plan import Columns, Sweep

LARGEST = ("columns_max", "columns_shift")


def column_reduction(statement: Statement) -> Expr:
    """The reduction over rows that an accumulated statement consists of."""
    found = reduction_of(statement.expr)
    assert found is not None
    assert width(found.shape) == 1
    return found


class Tile:
    """Names and lines for the column values of one unit; `col` runs from `first` to `last`."""

    def __init__(self, context: Context, unit: Columns, col: str) -> None:
        self._context, self._unit, self._col = context, unit, col
        self.values: dict[str, str] = {}
        self.splits: dict[str, tuple[str, str]] = {}
        self.folded: dict[str, str] = {}
        self.samples = context.unique("samples", keep=True)

    @property
    def place(self) -> str:
        return f"[{self._col} - first]"

    def loop(self, body: list[str]) -> list[str]:
        """A loop over the columns of the tile."""
        k = self._col
        return vector_loop(f"for (Index {k} = first; {k} < last; ++{k})", body)

    def scope(self) -> Scope:
        """Where column values are known and rows are not."""
        constants = {name: f"{text}{self.place}" for name, text in self.values.items()}
        return Scope(self._context.values, "", self._col, constants, None, self._context.special)

    # Before a sweep

    def accumulator(self, statement: Statement) -> str:
        largest = column_reduction(statement).op in LARGEST
        return f"{statement.name}_{'top' if largest else 'sum'}"

    def is_anchored(self, statement: Statement) -> bool:
        """Whether a mean is summed relative to the first row."""
        mean = column_reduction(statement).op == "columns_mean"
        return mean and self._context.is_anchored(statement.name)

    def is_plain_sum(self, statement: Statement) -> bool:
        """A sum of which a few terms may be added up in the data's type."""
        return column_reduction(statement).op not in LARGEST and not self.is_anchored(statement)

    def accumulators(self, sweep: Sweep) -> list[str]:
        """Declarations of what a sweep adds up."""
        lines = []
        for statement in sweep.accumulated:
            name = self.accumulator(statement)
            if column_reduction(statement).op in LARGEST:
                lowest = "-std::numeric_limits<Real>::infinity()"
                lines.append(f"Columns<Real> {name}(tile);")
                lines.append(f"std::fill_n({name}.value, tile, {lowest});")
            else:
                lines.append(f"Columns<double> {name}(tile);")
        return lines + [f"Columns<double> {s.name}_squares(tile);" for s, _ in sweep.squares]

    def to_split(self, sweep: Sweep) -> list[str]:
        """Float64 values of columns that a sweep reads."""
        names = ex.symbols_of(*(s.expr for s in (*sweep.body, *sweep.accumulated)))
        own = ("1", self._unit.space[1])
        return [n for n in names if n not in self.splits and self._context.shape(n) == own
                and self._context.values.type(n) == DOUBLE]  # fmt: skip

    def split(self, sweep: Sweep) -> list[str]:
        """Float64 values of columns that are subtracted, as two values of the data's type."""
        lines, loop = [], []
        for name in self.to_split(sweep):
            head, tail = (self._context.unique(f"{name}_{part}") for part in ("head", "tail"))
            value = self.scope().read(name, "", self._col)
            lines.append(f"Columns<Real> {head}(tile), {tail}(tile);  // {name} = head + tail")
            loop.append(f"{head}{self.place} = Real({value});")
            loop.append(f"{tail}{self.place} = Real({value} - double({head}{self.place}));")
            self.splits[name] = (f"{head}{self.place}", f"{tail}{self.place}")
        return [*lines, *self.loop(loop)] if loop else []

    def fold(self, text: str) -> str:
        """A value of the column alone, computed once before the sweep that uses it."""
        if text not in self.folded:
            words = re.findall(r"[A-Za-z]\w*(?=\[)|(?<=Real\()[A-Z]\w*", text)
            words = [w.removesuffix("_tile") for w in words]
            self.folded[text] = self._context.unique("_".join(dict.fromkeys(words)) + "_tile")
        return f"{self.folded[text]}{self.place}"

    def take_folded(self) -> list[str]:
        """The computation of folded values; the next sweep folds anew."""
        folded, self.folded = self.folded, {}
        if not folded:
            return []
        lines = [f"Columns<Real> {name}(tile);" for name in folded.values()]
        return lines + self.loop([f"{n}{self.place} = {text};" for text, n in folded.items()])

    # After a sweep

    def finish(self, sweep: Sweep) -> list[str]:
        """Column values from sums; in results, or on the stack if a later sweep reads them."""
        if not sweep.column_values:
            return []
        scope = self.scope()
        lines, arrays = [], []
        for statement in sweep.column_values:
            name = statement.name
            text, kind = self._value(statement, sweep, scope)
            own = self._context.values.type(name)
            if name in ex.symbols_of(*(s.expr for s in sweep.after)):
                local = self._context.unique(f"{name}_{self._col}", keep=True)
                lines.append(f"const {kind} {local} = {text};")
                text = scope.constants[name] = local
            value = text if own == kind else f"{own}({text})"
            if self._context.is_array(name):
                lines.append(f"{self._context.values.identifier(name)}[{self._col}] = {value};")
            elif self._is_read_after(name, sweep):
                self.values[name] = self._context.unique(f"{name}_tile")
                arrays.append(f"Columns<{own}> {self.values[name]}(tile);")
                lines.append(f"{self.values[name]}{self.place} = {value};")
        return [*arrays, *self.loop(lines)]

    def _is_read_after(self, name: str, sweep: Sweep) -> bool:
        later = self._unit.sweeps[self._unit.sweeps.index(sweep) + 1 :]
        exprs = [s.expr for w in later for s in (*w.body, *w.column_values)]
        return name in ex.symbols_of(*exprs)

    def _value(self, statement: Statement, sweep: Sweep, scope: Scope) -> tuple[str, str]:
        """The source of a column value, and its type."""
        for other, mean in sweep.squares:
            if other is statement:
                return self._central(statement, mean), DOUBLE
        reduction = reduction_of(statement.expr)
        if reduction is not None:
            return self._reduced(statement, reduction)
        known = set(scope.constants) & set(ex.symbols_of(statement.expr))
        double = bool(known) or uses_double(statement.expr, self._context.values)
        kind = DOUBLE if double else REAL
        return entry(statement.expr, scope, "", self._col, kind), kind

    def _reduced(self, statement: Statement, reduction: Expr) -> tuple[str, str]:
        kind = REAL if reduction.op in LARGEST else DOUBLE
        text = f"{self.accumulator(statement)}{self.place}"
        if reduction.op == "columns_mean":
            text = f"{text} / {self.samples}"
            if self.is_anchored(statement):
                text = f"double({statement.name}_anchor{self.place}) + {text}"
        if reduction.op == "columns_shift":
            text = f"math::finite_or_zero({text})"
        if statement.expr.op == "at_least_one":
            text = f"math::maximum({text}, {'1.0' if kind == DOUBLE else 'Real(1)'})"
        return text, kind

    def _central(self, statement: Statement, mean: str) -> str:
        """A sum or mean of squares around the mean, from those around the first row."""
        shift = f"{mean}_sum{self.place}"
        total = f"{statement.name}_squares{self.place} - {shift} * {shift} / {self.samples}"
        text = f"math::maximum({total}, 0.0)"
        return f"{text} / {self.samples}" if statement.expr.op == "columns_mean" else text
