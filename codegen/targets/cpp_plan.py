"""Loop structure of a C++ kernel: the schedule's passes as row units, column units and products.

Input: a routine. Output: units in order. A `Rows` unit works row by row: a row stays in the cache
while it is reduced and written. A `Columns` unit works on tiles of columns: its sweeps over the
rows add up column sums on the stack, so that a chain of passes linked by column sums is one
parallel loop. A `Walk` does both to a few rows at a time, so that they are read once. `persistent`
names the vectors that live longer than the unit that computes them.
Guaranteed: every value is computed before it is read; matrices are stored as scheduled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeGuard

from .. import expression as ex
from ..expression import Expr, Shape
from ..routine import Routine, Statement
from ..schedule import Pass, Product, Small, reduction_of, schedule, width

_MAXIMA = ("columns_max", "columns_shift")


@dataclass
class Rows:
    """Row-wise statements in order; `sums` are added up over all rows."""

    space: Shape
    body: tuple[Statement, ...]
    stored: set[str]
    sums: tuple[Statement, ...] = ()


@dataclass
class Sweep:
    """One walk over the rows of a tile; `after` works on its columns when the sums are complete.

    `squares` are sums or means of squares around a mean of the same sweep, by the mean's name.
    """

    body: tuple[Statement, ...]
    stored: set[str]
    accumulated: tuple[Statement, ...]
    after: list[Statement] = field(default_factory=list)
    squares: list[tuple[Statement, str]] = field(default_factory=list)

    @property
    def column_values(self) -> list[Statement]:
        """What is known of each column after the sweep."""
        return [*self.accumulated, *(s for s, _ in self.squares), *self.after]


@dataclass
class Columns:
    """Sweeps over tiles of columns."""

    space: Shape
    sweeps: list[Sweep]
    beside: Rows | None = None  # what the same pass does to rows

    @property
    def produced(self) -> set[str]:
        names: set[str] = set()
        for sweep in self.sweeps:
            names |= sweep.stored | {s.name for s in sweep.column_values}
        return names


@dataclass
class Walk:
    """Work on rows, and sums of columns of the same rows that nothing else waits for."""

    rows: Rows
    columns: Columns

    @property
    def sweep(self) -> Sweep:
        return self.columns.sweeps[0]


Part = Rows | Columns | Small | Product
Unit = Part | Walk


def join_moments(unit: Columns) -> None:
    """Mean and variance of a column in one sweep, from sums and squares relative to its first row.

    A sweep that only adds up squares of A - mean(A) joins the sweep before it, which adds up A.
    """
    for first, second in zip(list(unit.sweeps), list(unit.sweeps)[1:], strict=False):
        means = {ex.symbol(s.name, s.shape): _reduction(s).args[0] for s in first.accumulated
                 if s.expr.op == "columns_mean"}  # fmt: skip
        found = [_centre(s, second, means) for s in second.accumulated]
        if first.after or first.stored or second.stored or not found or None in found:
            continue
        squares = [(s, name) for s, name in zip(second.accumulated, found, strict=True) if name]
        joined = Sweep(first.body, set(), first.accumulated, second.after, squares)
        place = unit.sweeps.index(first)
        unit.sweeps[place : place + 2] = [joined]
        return


def _centre(statement: Statement, sweep: Sweep, means: dict[Expr, Expr]) -> str | None:
    """The mean around which a sum of squares is taken."""
    if statement.expr.op not in ("columns_sum", "columns_mean"):
        return None
    operand = statement.expr.args[0]
    names = {s.name: s.expr for s in sweep.body}
    base = operand.args[0] if operand.op == "power" and operand.attr == 2 else None
    if operand.op == "hadamard" and operand.args[0] is operand.args[1]:
        base = operand.args[0]
    while base is not None and base.op == "symbol" and str(base.attr) in names:
        base = names[str(base.attr)]
    for mean, data in means.items():
        if base is data - ex.row_repeat(mean, data.rows):
            return str(mean.attr)
    return None


def parts_of(unit: Unit) -> list[Part]:
    """A unit itself, or what a walk consists of."""
    return [unit.rows, unit.columns] if isinstance(unit, Walk) else [unit]


def plan(routine: Routine) -> tuple[list[Unit], set[str]]:
    """The units of a routine, and the vectors that need memory of their own or are results."""
    planner = _Planner()
    for step in schedule(routine):
        planner.add(step)
    for unit in planner.units:
        if isinstance(unit, Columns):
            join_moments(unit)
    return list(_walks(planner.units)), _persistent(planner.units)


def _walks(units: list[Part]) -> Iterator[Unit]:
    """Work on rows and the sums of columns that follow it become one walk."""
    following = [*units[1:], None]
    joined = False
    for unit, after in zip(units, following, strict=True):
        if joined:
            joined = False
        elif isinstance(unit, Rows) and not unit.sums and _adds_beside(after, unit):
            joined = True
            yield Walk(unit, after)
        else:
            yield unit


def _adds_beside(unit: Part | None, rows: Rows) -> TypeGuard[Columns]:
    """Whether all that a unit does is to add up columns in the pass that works on these rows."""
    if not isinstance(unit, Columns) or unit.beside is not rows or len(unit.sweeps) > 1:
        return False
    sweep = unit.sweeps[0]
    plain = all(_reduction(s).op == "columns_sum" for s in sweep.accumulated)
    return plain and not sweep.stored and not sweep.squares


class _Planner:
    def __init__(self) -> None:
        self.units: list[Part] = []
        self._open: Columns | None = None

    def add(self, step: Small | Product | Pass) -> None:
        if isinstance(step, Pass):
            self._add_pass(step)
        elif isinstance(step, Small) and self._open is not None:
            self._add_small(step, self._open)
        else:
            self._open = None
            self.units.append(step)

    def _add_small(self, step: Small, group: Columns) -> None:
        statement = step.statement
        reads = set(ex.symbols_of(statement.expr))
        if not reads & group.produced:
            self.units.insert(self.units.index(group), step)
        elif statement.shape == ("1", group.space[1]) and is_elementwise(statement.expr):
            group.sweeps[-1].after.append(statement)
        else:
            self._open = None
            self.units.append(step)

    def _add_pass(self, step: Pass) -> None:
        sums = tuple(s for s in step.accumulated if not width(s.shape))
        columns = tuple(s for s in step.accumulated if width(s.shape))
        rowwise = any(width(s.shape) == 1 for s in step.body) or any(
            n.op == "rows_select" for s in step.body for n in ex.topological(s.expr)
        )
        if rowwise or sums or not (columns or self._joins(step)):
            self._add_rows(step, sums, columns)
        else:
            self._add_sweep(step, Sweep(step.body, set(step.stored), columns))

    def _joins(self, step: Pass) -> bool:
        group = self._open
        if group is None or step.whole or group.space != step.space:
            return False
        reads = set(ex.symbols_of(*(s.expr for s in (*step.body, *step.accumulated))))
        return bool(reads & group.produced)

    def _add_sweep(self, step: Pass, sweep: Sweep, beside: Rows | None = None) -> None:
        if self._joins(step) and self._open is not None:
            self._open.sweeps.append(sweep)
        else:
            group = Columns(step.space, [sweep], beside)
            self.units.append(group)
            self._open = None if step.whole else group

    def _add_rows(
        self, step: Pass, sums: tuple[Statement, ...], columns: tuple[Statement, ...]
    ) -> None:
        """Row by row; column sums of the same pass follow as a sweep of their own."""
        beside: Rows | None = None
        maxima = [s for s in sums if _reduction(s).op in _MAXIMA]
        extra = [Statement(f"{s.name}_entry", _reduction(s).args[0]) for s in maxima]
        added = tuple(s for s in sums if s not in maxima)
        body = (*step.body, *extra)
        stored = set(step.stored) | {s.name for s in extra}
        leaves = {s.name for s in body if width(s.shape) == 1}
        known = stored_matrices(body, stored)
        needed = closure([s.expr for s in columns], body, known, leaves)
        kept = {s.name for s in body if width(s.shape) == 1 and s.name in needed}
        if body and (stored | kept or added):
            wanted = [s.expr for s in (*body, *added) if s in added or s.name in stored | kept]
            inner = closure(wanted, body, set()) | stored | kept
            beside = Rows(
                step.space, tuple(s for s in body if s.name in inner), stored | kept, added
            )
            self.units.append(beside)
        elif added:
            self.units.append(Rows(step.space, body, set(), added))
        for place, statement in enumerate(maxima):
            entry = ex.symbol(extra[place].name, extra[place].shape)
            self.units.append(Small(Statement(statement.name, ex.substitute(
                statement.expr, {_reduction(statement).args[0]: entry}))))  # fmt: skip
        self._open = None
        if columns:
            own = tuple(s for s in body if s.name in needed and width(s.shape) == 2)
            self._add_sweep(step, Sweep(own, set(), columns), beside)


def _reduction(statement: Statement) -> Expr:
    found = reduction_of(statement.expr)
    assert found is not None
    return found


def is_elementwise(expr: Expr) -> bool:
    return not any(
        n.op == "matmul" or n.op.startswith(("rows_", "columns_", "elements_"))
        for n in ex.topological(expr)
    )


def stored_matrices(body: Iterable[Statement], stored: set[str]) -> set[str]:
    return {s.name for s in body if width(s.shape) == 2 and s.name in stored}


def closure(
    exprs: Iterable[Expr],
    body: Iterable[Statement],
    known: set[str],
    leaves: set[str] | frozenset[str] = frozenset(),
) -> set[str]:
    """Names of the statements that expressions need, directly or through others.

    Nothing is needed for `known` names; `leaves` are needed, but not what they need in turn.
    """
    by_name = {s.name: s for s in body}
    found: set[str] = set()
    waiting = list(exprs)
    while waiting:
        for name in ex.symbols_of(waiting.pop()):
            if name in by_name and name not in known and name not in found:
                found.add(name)
                waiting += [] if name in leaves else [by_name[name].expr]
    return found


def _persistent(units: list[Part]) -> set[str]:
    """Vectors that a unit computes and another one reads."""
    made: dict[str, int] = {}
    for place, unit in enumerate(units):
        for name in _vectors_of(unit):
            made.setdefault(name, place)
    found = set()
    for place, unit in enumerate(units):
        local = {s.name for s in unit.body} if isinstance(unit, Rows) else set()
        for name in ex.symbols_of(*_exprs(unit)):
            if name in made and made[name] != place and name not in local:
                found.add(name)
    for unit in units:
        if isinstance(unit, Rows):
            found |= {s.name for s in unit.body if s.name in unit.stored and width(s.shape) == 1}
    return found


def _vectors_of(unit: Part) -> list[str]:
    if isinstance(unit, Rows):
        return [s.name for s in unit.body if s.name in unit.stored and width(s.shape) == 1]
    if isinstance(unit, Columns):
        return [s.name for sweep in unit.sweeps for s in sweep.column_values]
    if isinstance(unit, Small):
        return [unit.statement.name] if width(unit.statement.shape) == 1 else []
    return [unit.target] if width(unit.epilogue.shape) == 1 else []


def _exprs(unit: Part) -> list[Expr]:
    if isinstance(unit, Rows):
        return [s.expr for s in (*unit.body, *unit.sums)]
    if isinstance(unit, Columns):
        return [s.expr for w in unit.sweeps for s in (*w.body, *w.accumulated, *w.after)]
    if isinstance(unit, Small):
        return [unit.statement.expr]
    return [unit.left, unit.right, unit.epilogue]
