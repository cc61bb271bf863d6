"""Route A: the reverse sweep over a forward program.

Input: a `Program`. Output: a `Sweep`, the adjoint of every node and the gradient of every
variable in matrix form. Guaranteed: only rules proved in `primitives` are applied. The result
is correct but not yet short; `simplify` shortens it and `prove` checks both against route B.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from . import expression as ex
from .expression import Expr
from .primitives import primitive
from .program import Program
from .segments import Claims, Seam, resolved


@dataclass(frozen=True)
class AdjointStep:
    """One line of the sweep: the rule of `node` was applied to its adjoint."""

    node: Expr
    adjoint: Expr
    rule: str


@dataclass(frozen=True)
class Sweep:
    """Adjoints in the order they were completed, and the gradients by variable name.

    `claims` are what is proved: the adjoint of every seam, from the last one back, then the
    gradient of every variable, each in terms of forward values and the adjoints before it.
    """

    steps: tuple[AdjointStep, ...]
    adjoints: Claims
    claimed_gradients: Claims

    @property
    def claims(self) -> Claims:
        return (*self.adjoints, *self.claimed_gradients)

    @property
    def gradients(self) -> Claims:
        return resolved(self.claimed_gradients, dict(self.adjoints))


def reverse_sweep(program: Program, cut: Iterable[Seam] = ()) -> Sweep:
    """Walk the nodes from the output to the inputs and add up each node's contributions."""
    upstream = ex.symbol(program.upstream, program.output.shape)
    wanted = depending_nodes(program)
    seam_of = {seam.node: seam for seam in cut}
    adjoints: dict[Expr, Expr] = {program.output: upstream}
    written: dict[str, Expr] = {}
    steps = []
    for node in reversed(ex.topological(program.output)):
        if node not in adjoints or node not in wanted or node.op == "symbol":
            continue
        adjoint = adjoints[node]
        ((_, full),) = resolved(((node.op, adjoint),), written)
        steps.append(AdjointStep(node, full, node.op))
        if node in seam_of:
            written[seam_of[node].name] = adjoint
            adjoint = seam_of[node].adjoint
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
    return Sweep(tuple(steps), tuple(written.items()), tuple(gradients))


def depending_nodes(program: Program) -> set[Expr]:
    """Nodes whose value depends on a variable; the others need no adjoint."""
    variables = {v.expr for v in program.variables}
    depending: set[Expr] = set()
    for node in ex.topological(program.output):
        if node in variables or any(arg in depending for arg in node.args):
            depending.add(node)
    return depending
