"""Purely element-wise units: one loop over all entries, whatever rows they stand in."""

from __future__ import annotations

from .. import expression as ex
from ..schedule import width
from .cpp_context import Context, cost, indented, vector_loop
from .cpp_entry import Scope, entry
from .cpp_plan import Rows

_PLACED = frozenset(
    {"transpose", "identity", "diag", "Diag", "rows_select", "columns_select"}
)  # what an entry is depends on where it stands


def entries_loop(context: Context, unit: Rows) -> list[str] | None:
    """The loop, if every operand is a number or a matrix of the unit's shape; else None."""
    if unit.sums or not unit.body or any(s.shape != unit.space for s in unit.body):
        return None
    names = list(dict.fromkeys(n for s in unit.body for n in ex.symbols_of(s.expr)))
    computed = {s.name for s in unit.body}
    arrays = [n for n in names if n not in computed and width(context.shape(n))]
    placed = any(n.op in _PLACED for s in unit.body for n in ex.topological(s.expr))
    if placed or any(context.shape(n) != unit.space or context.is_labels(n) for n in arrays):
        return None
    return _loop(context, unit, arrays)


def _loop(context: Context, unit: Rows, arrays: list[str]) -> list[str]:
    stored = [s.name for s in unit.body if s.name in unit.stored]
    names = {n: context.values.identifier(n) for n in (*arrays, *stored)}
    scope = Scope(context.values, "i", "i", {n: f"{text}[i]" for n, text in names.items()})
    lines = []
    for statement in unit.body:
        text = entry(statement.expr, scope, "i", "i")
        if statement.name in unit.stored:
            lines.append(f"{names[statement.name]}[i] = {text};")
        else:
            local = scope.constants[statement.name] = context.values.identifier(statement.name)
            lines.append(f"const Real {local} = {text};")
    pointers = [f"const Real* {names[n]}" for n in arrays] + [f"Real* {names[n]}" for n in stored]
    work = cost([s.expr for s in unit.body], {s.name for s in unit.body})
    loop = vector_loop("for (Index i = 0; i < count; ++i)", lines)
    head = f"parallel_entries({work}, [=](Index count, {', '.join(pointers)}) {{"
    return [head, *indented(loop), f"}}, {', '.join(names.values())});"]
