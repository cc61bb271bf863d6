"""The equations of a layer as a reader meets them: forward, gradient, and the way between.

Input: a derivation. Output: `Equation`s and `Line`s, each line named by its rule. Guaranteed:
right-hand sides are expressions of the derivation or of the proved gradient rules; nothing is
derived here. Adjoints of named values are referred to by name, so that every line stays short.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .. import expression as ex
from ..differentiate import depending_nodes
from ..expression import Expr, Shape
from ..formula import Box, Name, Operator, row
from ..formula_latex import latex
from ..mathml import adjoint_box, expression_box, math_element
from ..primitives import primitive
from ..program import Program
from ..text import to_text

if TYPE_CHECKING:
    from ..derivation import Derivation

_LONG = 80


@dataclass(frozen=True)
class Equation:
    """`left` = `right`; nodes in `names` are written by name. `left_text` is for plain text.

    The sign of an update is ← instead.
    """

    left: Box
    left_text: str
    right: Expr
    names: dict[Expr, str] = field(compare=False)
    sign: str = "="

    @property
    def shape(self) -> Shape:
        return self.right.shape

    @property
    def text(self) -> str:
        return f"{self.left_text} {self.sign} {to_text(self.right, self.names)}"

    @property
    def box(self) -> Box:
        return row(self.left, Operator(self.sign), expression_box(self.right, self.names))

    @property
    def mathml(self) -> str:
        return math_element(self.box, self.text)

    @property
    def latex(self) -> str:
        return latex(self.box)


@dataclass(frozen=True)
class Line:
    """A step of a derivation: the rule in the margin, a remark, and what it yields."""

    rule: str
    remark: str
    equations: tuple[Equation, ...]


def named(name: str, right: Expr, names: dict[Expr, str]) -> Equation:
    return Equation(Name(name), name, right, names)


def forward_names(program: Program) -> dict[Expr, str]:
    """Names of the forward values, the output's included."""
    names = dict(program.names)
    if program.output.op != "symbol":
        names[program.output] = program.output_name
    return names


def forward_equations(program: Program) -> list[Equation]:
    """One equation a named value, in the order of computation."""
    names = forward_names(program)
    values = [*((name, node) for node, name in program.names),
              (program.output_name, program.output)]  # fmt: skip
    return [named(name, node, names) for name, node in values]


def gradient_equations(derivation: Any) -> list[Equation]:
    """The gradients, in an order in which one may use another, which it then names.

    Where one is too long to read, the sums that have a name in the kernel get a line of their own.
    """
    program = derivation.program
    left = {f"D{name}": expr for name, expr in getattr(derivation, "gradients", ())}
    equations = _in_order(left, forward_names(program))
    if any(len(e.text) > _LONG for e in equations):
        equations = _in_order(_kernel_sums(derivation) | left, forward_names(program))
    return equations


def _in_order(values: dict[str, Expr], names: dict[Expr, str]) -> list[Equation]:
    left = dict(values)
    shared = {expr: name for name, expr in reversed(values.items()) if _worth_naming(expr, names)}
    equations = []
    while left:
        ready = [n for n, e in left.items() if not _uses(e, {left[m] for m in left if m != n})]
        name = ready[0] if ready else next(iter(left))
        right = left.pop(name)
        others = {e: n for e, n in shared.items() if n != name}
        equations.append(named(name, right, others | names))
    return equations


def _kernel_sums(derivation: Any) -> dict[str, Expr]:
    """Vectors and scalars that the backward routine names, as expressions of forward values."""
    program, kernel = derivation.program, derivation.kernel
    values = {ex.symbol(name, node.shape): node for node, name in forward_names(program).items()}
    used = set(ex.topological(*(g for _, g in derivation.gradients)))
    found = {}
    for statement in kernel.backward.statements:
        expr = ex.substitute(statement.expr, values)
        values[ex.symbol(statement.name, statement.shape)] = expr
        if "1" in expr.shape and expr in used and statement.name not in kernel.backward.results:
            found[statement.name] = expr
    return found


def _worth_naming(expr: Expr, names: dict[Expr, str]) -> bool:
    return bool(expr.args) and expr not in names and ex.number_of(expr) is None


def _uses(expr: Expr, others: set[Expr]) -> bool:
    return any(node in others and node is not expr for node in ex.topological(expr) if node.args)


def sweep_lines(derivation: Derivation) -> list[Line]:
    """The reverse sweep: the adjoint of every node, by the rules of the nodes that use it."""
    program = derivation.program
    names = forward_names(program)
    wanted = depending_nodes(program)
    adjoints: dict[Expr, Expr] = {}
    rules: dict[Expr, dict[str, None]] = {}
    lines = []

    def line(node: Expr, name: str | None) -> Line:
        left = Name(f"D{name}") if name else adjoint_box(node, names)
        text = f"D{name}" if name else f"D[{_node_text(node, names)}]"
        return Line(", ".join(rules[node]), "", (Equation(left, text, adjoints[node], names),))

    for step in derivation.sweep.steps:
        node, name = step.node, names.get(step.node)
        upstream = ex.symbol(f"D{name}", node.shape) if name else adjoints[node]
        if node is not program.output and not _is_negation(node, name):
            lines.append(line(node, name))
        contributions = primitive(node.op).gradient(node, upstream)
        for argument, contribution in zip(node.args, contributions, strict=True):
            if contribution is None or argument not in wanted:
                continue
            previous = adjoints.get(argument)
            adjoints[argument] = contribution if previous is None else previous + contribution
            used = rules.get(node, {}) if _is_negation(node, name) else {node.op: None}
            rules.setdefault(argument, {}).update(used or {node.op: None})
    lines += [line(v.expr, v.name) for v in program.variables if v.expr in adjoints]
    return lines


def _node_text(node: Expr, names: dict[Expr, str]) -> str:
    """Text leaves repetition to broadcasting, but the adjoint of a repeated row is another."""
    text = to_text(node, names)
    return f"{node.op}({text})" if node.op.endswith("_repeat") else text


def _is_negation(node: Expr, name: str | None) -> bool:
    return name is None and node.op == "hadamard" and ex.number_of(node.args[0]) == -1


def simplification_lines(derivation: Derivation) -> list[Line]:
    """Expand, drop, fold: after each step the gradients that it changed."""
    names = forward_names(derivation.program)
    before = dict(derivation.sweep.claims)
    lines = []
    for step in derivation.simplified.steps:
        changed = tuple(
            named(f"D{name}", expr, names) for name, expr in step.gradients if before[name] != expr
        )
        before = dict(step.gradients)
        if changed:
            lines.append(Line(step.rule, step.reason, changed))
    return lines


def derivation_lines(derivation: object) -> list[Line]:
    """The whole way; empty for definitions without gradients."""
    if getattr(derivation, "sweep", None) is None:
        return []
    return [*sweep_lines(derivation), *simplification_lines(derivation)]  # type: ignore[arg-type]
