"""Stable forms licensed by proof: subtract the maximum before an exponential is summed.

Input: a program and its gradients. Output: what each forward value is computed as. A softmax is
defined without a shift; the theorem f(Z + c 1^T) = f(Z), proved for every column c, is the licence
to subtract the row maximum. Guaranteed: the stable forward pass and the gradients that use its
values equal the defined ones for every shift. Values that no theorem covers stay as defined.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import expression as ex
from .expression import Expr
from .primitives import Entries
from .program import Program
from .prove import equal_everywhere


@dataclass(frozen=True)
class Stabilised:
    """`forms` maps forward values to their stable forms; `theorems` says what licensed them."""

    forms: tuple[tuple[Expr, Expr], ...]
    theorems: tuple[str, ...]

    def __call__(self, expr: Expr) -> Expr:
        return ex.substitute(expr, dict(self.forms))


def stabilise(program: Program, gradients: tuple[tuple[str, Expr], ...]) -> Stabilised:
    """Shift every summed exponential whose shift provably leaves output and gradients alone."""
    found = Stabilised((), ())
    entry = Entries(program.positive)
    for total in ex.topological(program.output):
        if total.op not in ("rows_sum", "columns_sum") or total.args[0].op != "exp":
            continue
        forms = _shifted(total, program.output, found)
        candidate = Stabilised(tuple(forms.items()), found.theorems)
        claims = [program.output, *(g for _, g in gradients)]
        if all(equal_everywhere(c, candidate(c), entry) for c in claims):
            found = Stabilised(candidate.forms, (*found.theorems, _theorem(program, total)))
    return found


def _shifted(total: Expr, output: Expr, found: Stabilised) -> dict[Expr, Expr]:
    """exp(A) becomes exp(A - shift); the logarithm of its sum gets the shift back."""
    exponential = total.args[0]
    argument = found(exponential.args[0])
    along_rows = total.op == "rows_sum"
    if along_rows:
        shift = ex.node("rows_shift", (argument,), (argument.rows, "1"))
        repeated = ex.column_repeat(shift, argument.cols)
    else:
        shift = ex.node("columns_shift", (argument,), ("1", argument.cols))
        repeated = ex.row_repeat(shift, argument.rows)
    small = ex.elementwise("exp", argument - repeated)
    summed = ex.node("at_least_one", (ex.reduce(total.op, small),), total.shape)
    forms = dict(found.forms) | {exponential: small, total: summed}
    for user in ex.topological(output):
        if user.op == "log" and user.args[0] is total:
            forms[user] = ex.elementwise("log", summed) + shift
    return forms


def _theorem(program: Program, total: Expr) -> str:
    from .text import to_text

    names = dict(program.names)
    argument = to_text(total.args[0].args[0], names)
    kind = "column c (c 1^T)" if total.op == "rows_sum" else "row c (1 c)"
    return (
        f"exp({argument}) may be computed from {argument} + c for every {kind}: output and "
        "gradients stay the same, so the maximum is subtracted first"
    )
