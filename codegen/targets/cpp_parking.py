"""Costly values that wait in a result's memory until the result itself is computed.

The exponentials of a softmax are needed by the loop that sums them and by the one that divides:
they are computed once and stand in the row of the result in between, so that no memory is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..expression import Expr, Shape
from ..routine import Statement
from .cpp_plan import closure

Use = tuple[Sequence[Expr], Sequence[Statement]]


def parked(
    candidates: Mapping[Statement, int],
    uses: Sequence[Use],
    results: Mapping[str, tuple[int, Shape]],
) -> dict[str, str]:
    """Candidates and the results they wait in.

    `candidates` says how many loops must use a value for it to wait; `uses` are the loops in
    order, each as expressions and the statements they may need; `results` tells the loop in
    which a result is written, and its shape.
    """
    found: dict[str, str] = {}
    for statement, least in candidates.items():
        users = [p for p, (exprs, body) in enumerate(uses)
                 if statement.name in closure(exprs, body, set(found))]  # fmt: skip
        if len(users) < least:
            continue
        for name, (place, shape) in results.items():
            if name not in found.values() and shape == statement.shape and place >= max(users):
                found[statement.name] = name
                break
    return found
