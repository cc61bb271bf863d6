"""Which forward values the backward pass keeps, and which it computes again."""

from __future__ import annotations

from . import expression as ex
from .expression import Expr
from .program import Program
from .routine import width

REPEATS = ("row_repeat", "column_repeat", "scalar_repeat")
_SAVE_COST = 4


def choose_saved(program: Program, gradients: list[Expr]) -> list[Expr]:
    """The cheapest forward values from which the backward pass can go on.

    Inputs and the output are there anyway and cost one pass; another N x K value costs its memory
    and two passes; a cheap element-wise value is recomputed from what is there.
    """
    forward = set(ex.topological(program.output))
    saved: dict[Expr, None] = {}
    seen: set[Expr] = set()

    def need(node: Expr) -> None:
        if node in seen:
            return
        seen.add(node)
        kept = node is program.output or _is_saved(node, program)
        if node in forward and node.op != "symbol" and kept:
            saved[node] = None
            return
        for arg in node.args:
            need(arg)

    for gradient in gradients:
        need(gradient)
    return list(saved)


def _is_saved(node: Expr, program: Program) -> bool:
    """Saved unless recomputing takes only cheap element-wise work."""
    if node.op in (*REPEATS, "number", "size", "identity", "transpose"):
        return False
    if not depends_on_arrays(node):
        return False
    if width(node.shape) < 2:
        return True
    if node.op in ("add", "hadamard") and program.name_of(node) is None and any(
        ex.number_of(a) is not None for a in node.args
    ):  # fmt: skip
        return False  # its operand is kept instead, which others may read too
    return _recompute_cost(node, program) >= _SAVE_COST


def _recompute_cost(node: Expr, program: Program) -> float:
    if node.op == "symbol" or node is program.output:
        return 1
    if width(node.shape) < 2:
        return 0
    if node.op in ("matmul", "rows_select", "columns_select"):
        return _SAVE_COST
    cheap = 0.0 if node.op in REPEATS else 0.4
    own = {"exp": 3.0, "log": 3.0, "apply": 3.0}.get(node.op, cheap)
    return own + sum(_recompute_cost(a, program) for a in node.args)


def depends_on_arrays(node: Expr) -> bool:
    return any(n.op == "symbol" and not n.is_scalar for n in ex.topological(node))
