"""Systematic mistakes in a backward pass: what a node of a gradient may wrongly become.

Input: a program, its gradients and one variable. Output: changes of one node of that variable's
gradient: a sign, a factor, a term, an axis, a size, a transpose, another saved value, a mean for
a sum, an exponent, a function for its derivative, a lost or squared upstream gradient. Shapes
always fit. Forward values are leaves: mistakes are made in the backward pass only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from .. import expression as ex
from ..expression import Expr
from ..program import Program
from ..scalar import ScalarFunction

_MEANS = {"rows_sum": "rows_mean", "columns_sum": "columns_mean"}
_OTHER_AXIS = {
    "rows_sum": "columns_sum", "columns_sum": "rows_sum", "rows_mean": "columns_mean",
    "columns_mean": "rows_mean", "rows_max": "columns_max", "columns_max": "rows_max",
    "rows_select": "columns_select", "columns_select": "rows_select",
}  # fmt: skip


@dataclass(frozen=True)
class Change:
    """A node of a gradient and what a mistake of some kind makes of it."""

    kind: str
    node: Expr
    mistaken: Expr


def changes(program: Program, variable: str, gradients: dict[str, Expr]) -> Iterator[Change]:
    """Every change of one variable's gradient; some may leave its value as it was."""
    gradient = gradients[variable]
    leaves = leaves_of(program, gradient)
    yield Change("zero", gradient, ex.scalar_repeat(ex.number(0), gradient.shape))
    yield Change("sign", gradient, ex.negate(gradient))
    yield Change("factor", gradient, 2 * gradient)
    for dim in dict.fromkeys(d for d in gradient.shape if d != "1"):
        yield Change("size", gradient, gradient / ex.size(dim))
    if gradient.rows == gradient.cols:
        yield Change("transpose", gradient, gradient.T)
    for name, other in gradients.items():
        if name != variable and other.shape == gradient.shape:
            yield Change("variable", gradient, other)
    nodes = _backward_nodes(gradient, leaves)
    for node in nodes:
        for kind, mistakes in _MISTAKES.items():
            for mistaken in mistakes(node):
                if mistaken.shape == node.shape:
                    yield Change(kind, node, mistaken)
        yield from _own_functions(program, node)
    yield from _leaf_changes(program, leaves, nodes)


def _own_functions(program: Program, node: Expr) -> Iterator[Change]:
    """The forward pass's function in place of its derivative."""
    if node.op == "apply":
        for forward in ex.topological(program.output):
            if forward.op == "apply" and forward.args == node.args:
                yield Change("function", node, forward)


def _leaf_changes(
    program: Program, leaves: Sequence[Expr], nodes: Sequence[Expr]
) -> Iterator[Change]:
    """Upstream gradients lost or squared, other values saved, sizes exchanged."""
    upstream = ex.symbol(program.upstream, program.output.shape)
    values = [i.expr for i in program.inputs if i.is_array]
    values += [node for node, _ in program.names] + [program.output]
    for leaf in leaves:
        if leaf is upstream:
            yield Change("upstream", leaf, ex.scalar_repeat(ex.number(1), leaf.shape))
            yield Change("upstream", leaf, leaf * leaf)
        if leaf.op == "number" and isinstance(leaf.attr, Fraction):
            yield Change("number", leaf, ex.number(leaf.attr + 1))
        if leaf.op == "size":
            for dim in program.sizes:
                yield Change("size", leaf, ex.size(dim))
        elif leaf.op != "number":
            branching = _only_branches(leaf, nodes)
            for value in [*values, upstream]:
                may_decide_alike = branching and leaf in ex.topological(value)
                if value.shape == leaf.shape and value is not leaf and not may_decide_alike:
                    yield Change("saved", leaf, value)


def _only_branches(leaf: Expr, nodes: Sequence[Expr]) -> bool:
    """Whether a value only decides branches and maxima: max(x, 0) > 0 holds where x > 0 does."""
    return all(
        node.op in ("rows_select", "columns_select")
        or (isinstance(node.attr, ScalarFunction) and not node.attr.is_smooth)
        for node in nodes
        if leaf in node.args
    )


def leaves_of(program: Program, gradient: Expr) -> list[Expr]:
    """Forward values and symbols a gradient starts from; it is not looked into them."""
    forward = {n for n in ex.topological(program.output) if n.args}
    found: dict[Expr, None] = {}
    stack = [gradient]
    visited: set[Expr] = set()
    while stack:
        node = stack.pop()
        if node in visited:
            continue
        visited.add(node)
        if node in forward or not node.args:
            found[node] = None
        else:
            stack.extend(reversed(node.args))
    return list(found)


def _backward_nodes(gradient: Expr, leaves: Sequence[Expr]) -> list[Expr]:
    inside = set(ex.topological(*leaves))
    return [n for n in reversed(ex.topological(gradient)) if n not in inside]


# Mistakes at one node. A mistake of another shape is left out by the caller.


def _signs(node: Expr) -> Iterator[Expr]:
    if node.op == "add":
        left, right = node.args
        yield left - right
        yield right - left


def _factors(node: Expr) -> Iterator[Expr]:
    if node.op == "add":
        left, right = node.args
        yield 2 * left + right
        yield left + 2 * right


def _drops(node: Expr) -> Iterator[Expr]:
    if node.op in ("add", "hadamard"):
        for kept, dropped in (node.args, node.args[::-1]):
            if ex.number_of(dropped) is None and ex.number_of(kept) is None:
                yield kept


def _unsummed(node: Expr) -> Iterator[Expr]:
    """A repeated reduction replaced by what was to be reduced."""
    if node.op in ("row_repeat", "column_repeat", "scalar_repeat"):
        inner = node.args[0]
        if inner.op.endswith(("_sum", "_mean")):
            yield inner.args[0]


def _axes(node: Expr) -> Iterator[Expr]:
    if node.op in ("row_repeat", "column_repeat"):
        reduced = node.args[0]
        if reduced.op in _OTHER_AXIS:
            other = ex.reduce(_OTHER_AXIS[reduced.op], reduced.args[0])
            if other.rows == "1":
                yield ex.row_repeat(other, node.rows)
            elif other.cols == "1":
                yield ex.column_repeat(other, node.cols)
    if node.op in ("rows_select", "columns_select"):
        yield ex.select(_OTHER_AXIS[node.op], node.args[0])


def _transposes(node: Expr) -> Iterator[Expr]:
    if node.op == "matmul":
        left, right = node.args
        if left.rows == left.cols and not _is_diagonal(left):
            yield left.T @ right
        if right.rows == right.cols and not _is_diagonal(right):
            yield left @ right.T
        if right.shape == left.shape and left.rows == left.cols:
            yield right @ left
    if node.op == "transpose" and node.rows == node.cols and not _is_diagonal(node):
        yield node.args[0]


def _is_diagonal(node: Expr) -> bool:
    return node.op in ("Diag", "identity") or (
        node.op == "transpose" and _is_diagonal(node.args[0])
    )


def _means(node: Expr) -> Iterator[Expr]:
    if node.op in _MEANS:
        yield ex.reduce(_MEANS[node.op], node.args[0])
    for total, mean in _MEANS.items():
        if node.op == mean:
            yield ex.reduce(total, node.args[0])
    if node.op == "elements_sum":
        yield node / ex.size(node.args[0].rows)


def _exponents(node: Expr) -> Iterator[Expr]:
    if node.op == "power" and isinstance(node.attr, Fraction):
        base = node.args[0]
        yield ex.node("power", (base,), node.shape, node.attr - 1)
        if node.attr != -1:
            yield ex.power(base, node.attr + 1)
        yield base


def _functions(node: Expr) -> Iterator[Expr]:
    """A function for its derivative, one minus it (the other branch), or none at all."""
    if node.op == "apply":
        yield 1 - node
        yield from node.args[:1]
    if node.op in ("exp", "log"):
        yield node.args[0]
    if node.op in ("rows_select", "columns_select"):
        yield 1 - node


_MISTAKES: dict[str, Callable[[Expr], Iterator[Expr]]] = {
    "sign": _signs,
    "factor": _factors,
    "drop": _drops,
    "sum": _unsummed,
    "axis": _axes,
    "transpose": _transposes,
    "mean": _means,
    "exponent": _exponents,
    "function": _functions,
}
