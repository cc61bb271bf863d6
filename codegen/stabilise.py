"""Stable forms licensed by proof: subtract the maximum before an exponential is summed.

Input: a program and its gradients. Output: what each forward value is computed as. A softmax is
defined without a shift; the theorem f(Z + c 1^T) = f(Z), proved for every column c, is the licence
to subtract the row maximum. Guaranteed: the stable forward pass and the gradients that use its
values equal the defined ones for every shift. Values that no theorem covers stay as defined.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from . import expression as ex
from .expression import Expr
from .primitives import Entries
from .program import Program
from .prove import equal_everywhere
from .segments import Claims, Seam, Segment, segments


@dataclass(frozen=True)
class Stabilised:
    """`forms` maps forward values to their stable forms; `theorems` says what licensed them."""

    forms: tuple[tuple[Expr, Expr], ...]
    theorems: tuple[str, ...]

    def __call__(self, expr: Expr, stops: Iterable[Expr] = ()) -> Expr:
        """The expression over stable forms; what is in `stops` is not looked into."""
        replacements = dict(self.forms) | {stop: stop for stop in stops}
        while (found := ex.substitute(expr, replacements)) is not expr:
            expr = found
        return expr


def stabilise(program: Program, cut: tuple[Seam, ...], claims: Claims) -> Stabilised:
    """Shift every summed exponential whose shift provably leaves the values that use it alone.

    Those are the ends of its segment, and the claims about the segment's targets.
    """
    found = Stabilised((), ())
    claimed = dict(claims)
    parts = segments(program, cut)
    for total in ex.topological(program.output):
        if total.op not in ("rows_sum", "columns_sum") or total.args[0].op != "exp":
            continue
        forms = dict(found.forms) | _shifted(total, program.output)
        candidate = Stabilised(tuple(forms.items()), found.theorems)
        if all(
            _keeps(candidate, part, claimed, program) for part in parts if total in part.forward
        ):
            found = Stabilised(candidate.forms, (*found.theorems, _theorem(program, total)))
    return found


def _keeps(
    candidate: Stabilised, part: Segment, claimed: Mapping[str, Expr], program: Program
) -> bool:
    opaque = {seam.node: seam.name for seam in part.leaves}
    entry = Entries(program.positive, opaque=opaque)
    wanted = [*(e for e in part.ends if e not in opaque), *(claimed[n] for n in part.targets)]
    return all(equal_everywhere(c, candidate(c, opaque), entry) for c in wanted)


def _shifted(total: Expr, output: Expr) -> dict[Expr, Expr]:
    """exp(A) becomes exp(A - shift); the logarithm of its sum gets the shift back.

    Where that logarithm is subtracted from A, the shift is too: huge entries lose nothing that way.
    """
    exponential = total.args[0]
    argument = exponential.args[0]
    along_rows = total.op == "rows_sum"
    if along_rows:
        shift = ex.node("rows_shift", (argument,), (argument.rows, "1"))
        repeated = ex.column_repeat(shift, argument.cols)
    else:
        shift = ex.node("columns_shift", (argument,), ("1", argument.cols))
        repeated = ex.row_repeat(shift, argument.rows)
    small = ex.elementwise("exp", argument - repeated)
    summed = ex.node("at_least_one", (ex.reduce(total.op, small),), total.shape)
    forms = {exponential: small, total: summed}
    logarithm = ex.elementwise("log", summed)
    shares = _share_of(exponential, total)
    difference = argument - _repeated_like(ex.elementwise("log", total), repeated)
    for user in ex.topological(output):
        if user.op == "log" and user.args[0] is total:
            forms[user] = logarithm + shift
        if user is difference or (user.op == "log" and user.args[0] in shares):
            forms[user] = argument - repeated - _repeated_like(logarithm, repeated)
    return forms


def _share_of(exponential: Expr, total: Expr) -> set[Expr]:
    """exp(A) over its sum: its logarithm needs no exponential, which might underflow."""
    along_rows = total.op == "rows_sum"
    repeat = ex.column_repeat if along_rows else ex.row_repeat
    dim = exponential.cols if along_rows else exponential.rows
    inverse = ex.power(total, Fraction(-1))
    outside = ex.power(repeat(total, dim), Fraction(-1))
    inside = repeat(inverse, dim)
    return {ex.hadamard(exponential, one) for one in (outside, inside)}


def _repeated_like(vector: Expr, repeated: Expr) -> Expr:
    if vector.shape == repeated.shape:
        return vector
    return ex.node(repeated.op, (vector,), repeated.shape)


def _theorem(program: Program, total: Expr) -> str:
    from .text import to_text

    names = dict(program.names)
    argument = to_text(total.args[0].args[0], names)
    kind = "column c (c 1^T)" if total.op == "rows_sum" else "row c (1 c)"
    return (
        f"exp({argument}) may be computed from {argument} + c for every {kind}: output and "
        "gradients stay the same, so the maximum is subtracted first"
    )
