"""Derivations in a notebook: LaTeX there, text in a terminal.

The helpers return MIME bundles for `_repr_mimebundle_`; the notebook picks what it can show.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..expression import Expr
from .equations import (
    Equation, Line, derivation_lines, forward_equations, gradient_equations, named,
)  # fmt: skip

Bundle = dict[str, str]


def derivation_bundle(derivation: Any) -> Bundle:
    """The forward equations and the gradients of a layer."""
    equations = [*forward_equations(derivation.program), *gradient_equations(derivation)]
    return {"text/plain": repr(derivation), "text/latex": aligned(equations)}


def step_bundle(rule: str, reason: str, gradients: Iterable[tuple[str, Expr]]) -> Bundle:
    """One step of the simplification, with all gradients after it."""
    equations = tuple(named(f"D{name}", expr, {}) for name, expr in gradients)
    return lines_bundle([Line(rule, reason, equations)])


def way_bundle(derivation: Any) -> Bundle:
    """All steps from the definition to the gradients, each named by its rule."""
    return lines_bundle(derivation_lines(derivation))


def lines_bundle(lines: Iterable[Line]) -> Bundle:
    lines = list(lines)
    texts = [f"{line.rule}: {e.text}" for line in lines for e in line.equations]
    rows = [
        f"&{e.latex.replace('=', '&=', 1)} && \\text{{{_words(line)}}}"
        for line in lines
        for e in line.equations
    ]
    return {"text/plain": "\n".join(texts), "text/latex": _environment(rows)}


def aligned(equations: Iterable[Equation]) -> str:
    """LaTeX of equations, aligned at their equals signs."""
    return _environment([e.latex.replace("=", "&=", 1) for e in equations])


def _words(line: Line) -> str:
    return f"{line.rule}: {line.remark}".rstrip(": ").replace("_", r"\_")


def _environment(rows: list[str]) -> str:
    body = " \\\\\n".join(rows)
    return f"$$\n\\begin{{aligned}}\n{body}\n\\end{{aligned}}\n$$"
