"""Walks as C++: work on a few rows and what they add to the sums of columns, in turn."""

from __future__ import annotations

from .cpp_columns import ColumnsWriter
from .cpp_context import Context, indented
from .cpp_plan import Walk
from .cpp_rows import RowsWriter


def walk_lines(context: Context, unit: Walk) -> list[str]:
    """The passes of a walk as named functions, and the walk that calls them."""
    rows_writer = RowsWriter(context, unit.rows)
    columns_writer = ColumnsWriter(context, unit.columns)
    if columns_writer.prepares(unit.sweep):
        return rows_writer.lines() + columns_writer.lines()
    rows, cols = unit.rows.space
    row_pass = rows_writer.loop()
    column_pass, done = columns_writer.pass_over_block(unit.sweep)
    names = [columns_writer.accumulator(s) for s in unit.sweep.accumulated]
    sums = "".join(f", double* {name}" for name in names)
    totals = "".join(f", const double* {name}" for name in names)
    call = f"({rows}, {cols}, {rows_writer.work()}, row_pass, column_pass, columns_done);"
    return [
        *_function("row_pass", "Index first, Index last", row_pass),
        *_function(
            "column_pass", f"Index block, auto count, Index first, Index last{sums}", column_pass
        ),
        *_function("columns_done", f"Index first, Index last{totals}", done),
        f"parallel_walk<{len(names)}>{call}",
    ]


def _function(name: str, parameters: str, body: list[str]) -> list[str]:
    return [f"const auto {name} = [=]({parameters}) {{", *indented(body), "};"]
