"""Route A: the reverse sweep over a forward program.

Input: a `Program`. Output: a `Sweep`, the adjoint of every node and the gradient of every
variable in matrix form. Guaranteed: only rules proved in `primitives` are applied. The result
is correct but not yet short; `simplify` shortens it and `prove` checks both against route B.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import expression as ex
from .expression import Expr
from .primitives import primitive
from .program import Program


@dataclass(frozen=True)
class AdjointStep:
    """One line of the sweep: the rule of `node` was applied to its adjoint."""

    node: Expr
    adjoint: Expr
    rule: str


@dataclass(frozen=True)
class Sweep:
    """Adjoints in the order they were completed, and the gradients by variable name."""

    steps: tuple[AdjointStep, ...]
    gradients: tuple[tuple[str, Expr], ...]


def reverse_sweep(program: Program) -> Sweep:
    """Walk the nodes from the output to the inputs and add up each node's contributions."""
    upstream = ex.symbol(program.upstream, program.output.shape)
    wanted = depending_nodes(program)
    adjoints: dict[Expr, Expr] = {program.output: upstream}
    steps = []
    for node in reversed(ex.topological(program.output)):
        if node not in adjoints or node not in wanted or node.op == "symbol":
            continue
        adjoint = adjoints[node]
        steps.append(AdjointStep(node, adjoint, node.op))
        contributions = primitive(node.op).gradient(node, adjoint)
        for argument, contribution in zip(node.args, contributions, strict=True):
            if contribution is None or argument not in wanted:
                continue
            previous = adjoints.get(argument)
            adjoints[argument] = contribution if previous is None else previous + contribution
    gradients = []
    for variable in program.variables:
        zero = ex.scalar_repeat(ex.number(0), variable.shape)
        gradients.append((variable.name, adjoints.get(variable.expr, zero)))
    return Sweep(tuple(steps), tuple(gradients))


def depending_nodes(program: Program) -> set[Expr]:
    """Nodes whose value depends on a variable; the others need no adjoint."""
    variables = {v.expr for v in program.variables}
    depending: set[Expr] = set()
    for node in ex.topological(program.output):
        if node in variables or any(arg in depending for arg in node.args):
            depending.add(node)
    return depending
