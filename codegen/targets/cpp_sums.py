"""Sums over all rows: parallel loops that return what their chunks add up, in double."""

from __future__ import annotations

from collections.abc import Sequence

from ..routine import Statement
from ..schedule import reduction_of
from .cpp_context import Context, indented


def sum_name(context: Context, statement: Statement) -> str:
    """The variable a sum is collected in: the value itself, or what it is computed from."""
    plain = statement.expr.op.endswith("_sum") and not context.is_result(statement.name)
    return statement.name if plain else f"{statement.name}_sum"


def parallel_rows(
    context: Context, sums: Sequence[Statement], head: str, loop: list[str]
) -> list[str]:
    """A row loop inside a parallel loop, then the values of the sums it returns."""
    names = [sum_name(context, s) for s in sums]
    if not names:
        return [f"parallel_for{head}", *indented(loop), "});"]
    if len(names) == 1:
        inner = ["double part = 0;", *loop, "return part;"]
        lines = [f"const double {names[0]} = parallel_sum{head}", *indented(inner), "});"]
    else:
        kind, variable = context.unique("Sums"), context.unique("sums")
        inner = [f"{kind} part;", *loop, "return part;"]
        lines = [*_structure(kind, names), f"const {kind} {variable} = parallel_sum{head}",
                 *indented(inner), "});"]  # fmt: skip
        lines += [f"const double {name} = {variable}.{name};" for name in names]
    return lines + [line for s in sums for line in _finished(context, s)]


def _structure(kind: str, names: list[str]) -> list[str]:
    members = ", ".join(f"{name} = 0" for name in names)
    return [
        f"struct {kind} {{",
        f"    double {members};",
        f"    {kind}& operator+=(const {kind}& other) {{",
        *(f"        {name} += other.{name};" for name in names),
        "        return *this;",
        "    }",
        "};",
    ]


def _finished(context: Context, statement: Statement) -> list[str]:
    """The value of a statement, where it is more than the sum."""
    text = sum_name(context, statement)
    if text == statement.name:
        return []
    reduction = reduction_of(statement.expr)
    assert reduction is not None
    if reduction.op.endswith("_mean"):
        text = f"{text} / double(std::max<Index>({reduction.args[0].rows}, 1))"
    if statement.expr.op == "at_least_one":
        text = f"math::maximum({text}, 1.0)"
    name = context.values.identifier(statement.name)
    if context.is_result(statement.name):
        return [f"{name} = Real({text});"]
    return [f"const double {name} = {text};"]
