"""P6: systematic mistakes, planted to measure the checks themselves.

Input: a program and its gradients. Output: mutants, each the gradient of one variable with one
mistake in it: a sign, a factor, a term, an axis, a size, a transpose, another saved value, a mean
for a sum, an exponent, a function for its derivative, a lost or squared upstream gradient.
Shapes always fit. Forward values are leaves: mistakes are made in the backward pass only.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from .. import expression as ex
from ..expression import Expr
from ..program import Program
from ..scalar import ScalarFunction
from ..text import to_text

LARGEST_COUNT = 40
_MEANS = {"rows_sum": "rows_mean", "columns_sum": "columns_mean"}
_OTHER_AXIS = {
    "rows_sum": "columns_sum", "columns_sum": "rows_sum", "rows_mean": "columns_mean",
    "columns_mean": "rows_mean", "rows_max": "columns_max", "columns_max": "rows_max",
    "rows_select": "columns_select", "columns_select": "rows_select",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """The gradient of `variable` with one mistake; `description` shows what became what."""

    name: str
    description: str
    variable: str
    gradient: Expr


@dataclass(frozen=True)
class _Change:
    """A node of a gradient and what a mistake makes of it."""

    kind: str
    node: Expr
    mistaken: Expr


def mutants(program: Program, gradients: Sequence[tuple[str, Expr]]) -> list[Mutant]:
    """At most `LARGEST_COUNT` different mutants, taking one of each kind and variable in turn."""
    names = dict(program.names) | {program.output: program.output_name}
    queues: dict[tuple[str, str], list[Mutant]] = {}
    seen: set[tuple[str, Expr]] = set(gradients)
    for variable, gradient in gradients:
        for change in _changes(program, variable, dict(gradients)):
            leaves = {leaf: leaf for leaf in _leaves(program, gradient)}
            mutated = ex.substitute(gradient, {**leaves, change.node: change.mistaken})
            if (variable, mutated) in seen:
                continue
            seen.add((variable, mutated))
            before, after = to_text(change.node, names), to_text(change.mistaken, names)
            description = f"{before} becomes {after} in D{variable}"
            queue = queues.setdefault((change.kind, variable), [])
            name = f"D{variable} {change.kind} {len(queue) + 1}"
            queue.append(Mutant(name, description, variable, mutated))
    turns = itertools.zip_longest(*(queues[key] for key in sorted(queues)))
    found = [mutant for turn in turns for mutant in turn if mutant is not None]
    return sorted(found[:LARGEST_COUNT], key=lambda mutant: mutant.name)


def _changes(program: Program, variable: str, gradients: dict[str, Expr]) -> Iterator[_Change]:
    gradient = gradients[variable]
    leaves = _leaves(program, gradient)
    yield _Change("zero", gradient, ex.scalar_repeat(ex.number(0), gradient.shape))
    yield _Change("sign", gradient, ex.negate(gradient))
    yield _Change("factor", gradient, 2 * gradient)
    if gradient.rows == gradient.cols:
        yield _Change("transpose", gradient, gradient.T)
    for name, other in gradients.items():
        if name != variable and other.shape == gradient.shape:
            yield _Change("variable", gradient, other)
    for node in _backward_nodes(gradient, leaves):
        for kind, mistakes in _MISTAKES.items():
            for mistaken in mistakes(node):
                if mistaken.shape == node.shape:
                    yield _Change(kind, node, mistaken)
        yield from _own_functions(program, node)
    yield from _leaf_changes(program, leaves)


def _own_functions(program: Program, node: Expr) -> Iterator[_Change]:
    """The forward pass's function in place of its derivative."""
    if node.op == "apply":
        for forward in ex.topological(program.output):
            if forward.op == "apply" and forward.args == node.args:
                yield _Change("function", node, forward)


def _leaf_changes(program: Program, leaves: Sequence[Expr]) -> Iterator[_Change]:
    """Upstream gradients lost or squared, other values saved, sizes exchanged."""
    upstream = ex.symbol(program.upstream, program.output.shape)
    values = [i.expr for i in program.inputs if i.is_array]
    values += [node for node, _ in program.names] + [program.output]
    for leaf in leaves:
        if leaf is upstream:
            yield _Change("upstream", leaf, ex.scalar_repeat(ex.number(1), leaf.shape))
            yield _Change("upstream", leaf, leaf * leaf)
        if leaf.op == "number" and isinstance(leaf.attr, Fraction):
            yield _Change("number", leaf, ex.number(leaf.attr + 1))
        if leaf.op == "size":
            for dim in program.sizes:
                yield _Change("size", leaf, ex.size(dim))
        elif leaf.op != "number":
            for value in [*values, upstream]:
                if value.shape == leaf.shape and value is not leaf and not _clipped(value, leaf):
                    yield _Change("saved", leaf, value)


def _clipped(value: Expr, leaf: Expr) -> bool:
    """max(x, 0) > 0 holds where x > 0 does: such a value in place of x need be no mistake."""
    f = value.attr
    return isinstance(f, ScalarFunction) and not f.is_smooth and leaf in value.args


def _leaves(program: Program, gradient: Expr) -> list[Expr]:
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
        if left.rows == left.cols:
            yield left.T @ right
        if right.rows == right.cols:
            yield left @ right.T
        if right.shape == left.shape and left.rows == left.cols:
            yield right @ left
    if node.op == "transpose" and node.rows == node.cols:
        yield node.args[0]


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
